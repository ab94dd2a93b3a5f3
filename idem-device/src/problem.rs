//! Why a request is not answered as its caller hoped: problem documents (RFC 9457), each kind with a `type` of its own.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use idem::StoreError;
use idem::store::Fault;

use crate::answer::{Answer, Object};

/// Where each kind is described.
pub(crate) const PLACE: &str = "https://docs.rs/idem-rs/latest/idem/guide/device_protocol/index.html#";

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The last part of its `type`.
    pub(crate) slug: &'static str,
    /// What it is called in answers, logs and metrics.
    pub(crate) outcome: &'static str,
    pub(crate) title: &'static str,
    pub(crate) status: StatusCode,
}

macro_rules! kinds {
    ($($name:ident = $slug:literal $outcome:literal, $status:ident, $title:literal;)*) => {
        impl Kind {
            $(pub(crate) const $name: Kind =
                Kind { slug: $slug, outcome: $outcome, title: $title, status: StatusCode::$status };)*
        }

        /// All kinds that there are.
        #[cfg(test)]
        pub(crate) const KINDS: &[Kind] = &[$(Kind::$name),*];
    };
}

kinds! {
    RUNNING = "running" "running", CONFLICT, "The first call still runs";
    INTERRUPTED = "interrupted" "interrupted", CONFLICT, "An attempt began and did not end; nobody knows what it did";
    NOT_OPEN = "not-open" "not_open", CONFLICT, "The record is not one that a person can decide about";
    MISMATCH = "mismatch" "mismatch", UNPROCESSABLE_ENTITY, "The same key was used with other arguments";
    TOKEN_DIFFERS = "token-differs" "token_differs", UNPROCESSABLE_ENTITY, "The token is not that of the arguments";
    DIGEST_DIFFERS = "digest-differs" "digest_differs", UNPROCESSABLE_ENTITY, "The digest is not that of the verified arguments";
    LEASE_LOST = "lease-lost" "lease_lost", PRECONDITION_FAILED, "Another attempt has replaced this one";
    INVALID = "invalid-request" "invalid", BAD_REQUEST, "The request is not one of this protocol";
    NO_RECORD = "no-record" "no_record", NOT_FOUND, "There is no record under this token";
    NO_ROUTE = "no-route" "no_route", NOT_FOUND, "There is nothing at this address";
    NO_METHOD = "no-method" "no_method", METHOD_NOT_ALLOWED, "This address does not take this method";
    NO_KEY = "no-key" "no_key", UNAUTHORIZED, "The request has no key, or an unknown one";
    WRONG_HOST = "wrong-host" "wrong_host", MISDIRECTED_REQUEST, "The request was meant for another host";
    TOO_SLOW = "too-slow" "too_slow", REQUEST_TIMEOUT, "The request did not arrive in time";
    TOO_LARGE = "too-large" "too_large", PAYLOAD_TOO_LARGE, "The body is larger than this device takes";
    MEDIA_TYPE = "media-type" "media_type", UNSUPPORTED_MEDIA_TYPE, "The body is neither application/json nor application/cbor";
    TOO_MANY = "too-many-waiting" "too_many_waiting", SERVICE_UNAVAILABLE, "Too many callers wait";
    STORE = "store" "store", SERVICE_UNAVAILABLE, "The device's store does not answer";
    FAILED = "failed" "failed", INTERNAL_SERVER_ERROR, "The device has failed";
}

impl Kind {
    pub(crate) fn uri(self) -> String {
        format!("{PLACE}{}", self.slug)
    }
}

/// One problem.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    members: Object,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Problem { kind, detail: detail.into(), retry_after: None, members: Object::default() }
    }

    /// What a request has that none of this protocol has.
    pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(Kind::INVALID, detail)
    }

    /// The same, of one of its names.
    pub(crate) fn field(name: &str, detail: impl std::fmt::Display) -> Self {
        Problem::invalid(format!("`{name}`: {detail}")).with(Object::new().text("field", name.to_owned()))
    }

    /// With more members.
    pub(crate) fn with(mut self, members: Object) -> Self {
        self.members = self.members.and(members);
        self
    }

    pub(crate) fn after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// The store gave no answer.
    pub(crate) fn store(operation: &str, error: &StoreError) -> Self {
        if error.fault() == Fault::TooLarge {
            tracing::warn!(operation, %error, "the store holds nothing so large");
            return Problem::new(
                Kind::TOO_LARGE,
                "its store holds nothing so large: send a `complete` without the result",
            );
        }
        let (fault, retry) = match error.fault() {
            Fault::Lost => ("lost", true),
            Fault::Unavailable => ("unavailable", true),
            _ => ("refused", false),
        };
        tracing::error!(operation, fault, %error, "the store gave no answer");
        // Its name and its troubles are the operator's: they are in the log.
        let detail = match error.fault() {
            Fault::Lost => "it may have carried the request out; repeating it is safe",
            Fault::Unavailable => "it has not carried the request out; repeat it",
            _ => "it has not carried the request out, and will not until its operator acts",
        };
        let problem = Problem::new(Kind::STORE, detail).with(Object::new().text("fault", fault));
        if retry { problem.after(Duration::from_secs(1)) } else { problem }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status
    }

    pub(crate) fn title(&self) -> &'static str {
        self.kind.title
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn into_answer(self) -> Answer {
        let object = Object::new()
            .text("type", self.kind.uri())
            .text("title", self.kind.title)
            .number("status", self.kind.status.as_u16().into())
            .text("detail", self.detail)
            .text("outcome", self.kind.outcome);
        Answer {
            status: self.kind.status,
            retry_after: self.retry_after,
            outcome: self.kind.outcome,
            object: object.and(self.members),
            problem: true,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into_answer().into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::KINDS;

    #[test]
    fn every_kind_is_described_where_its_type_leads_to() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/guide/device_protocol.md");
        let page = std::fs::read_to_string(page).unwrap();
        for kind in KINDS {
            assert!(page.contains(&format!("\n### {}\n", kind.slug)), "{}", kind.slug);
        }
    }
}
