//! A request of the protocol as one of HTTP.

use std::fmt::Write as _;
use std::time::Duration;

use hyper::Method;
use idem_runtime::encoding::{append, bytes_header, map_header, text_header};
use idem_runtime::store::{AttemptId, Kind, OnInterrupt, Query, Request};

use crate::options::Send;

/// One request of HTTP.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// CBOR, where there is a body.
    pub(crate) body: Option<Vec<u8>>,
}

/// Names and their encoded values.
#[derive(Default)]
struct Body {
    count: usize,
    entries: Vec<u8>,
}

impl Body {
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.count += 1;
        text_header(name.len(), &mut self.entries);
        self.entries.extend_from_slice(name.as_bytes());
        &mut self.entries
    }

    /// A value that is encoded already.
    fn encoded(&mut self, name: &str, encoding: &[u8]) {
        self.name(name).extend_from_slice(encoding);
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let out = self.name(name);
        bytes_header(bytes.len(), out);
        out.extend_from_slice(bytes);
    }

    fn text(&mut self, name: &str, text: &str) {
        let out = self.name(name);
        text_header(text.len(), out);
        out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, name: &str, number: u64) {
        // Encoding a number cannot fail.
        let _ = append(&number, self.name(name));
    }

    fn millis(&mut self, name: &str, duration: Duration) {
        self.number(name, millis(duration));
    }

    fn flag(&mut self, name: &str) {
        self.name(name).push(0xf5);
    }

    fn attempt(&mut self, attempt: AttemptId) {
        self.text("attempt", &attempt.to_string());
    }

    fn result(&mut self, kind: Kind, result: &[u8]) {
        let word = match kind {
            Kind::Value => "value",
            Kind::Error => "error",
            _ => return,
        };
        self.text("kind", word);
        self.bytes("result_cbor", result);
    }

    fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() + 3);
        map_header(self.count, &mut out);
        out.extend_from_slice(&self.entries);
        out
    }
}

/// Whole milliseconds, rounded up: what is asked for lasts at least so long.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// How many records a device removes at once.
const PURGE: usize = 10_000;
/// How many it lists.
const PAGE: usize = 1_000;

/// The request of HTTP; nothing for a request that this version does not know.
pub(crate) fn ask(request: &Request, send: Send) -> Option<Ask> {
    let mut body = Body::default();
    let path = match request {
        Request::Claim(claim) => {
            let token = claim.token.to_string();
            body.text("token", &token);
            body.text("scope", &claim.scope);
            body.text("function", &claim.function);
            if let Some(arguments) = claim.arguments.as_ref().filter(|_| send == Send::Arguments) {
                body.encoded("arguments", &arguments.key);
                if claim.record_arguments {
                    body.encoded("verify", &arguments.verified);
                    body.flag("record_arguments");
                }
            }
            body.bytes("digest", &claim.digest);
            if let Some(accept) = &claim.accept {
                body.bytes("accept", accept);
            }
            body.attempt(claim.attempt);
            body.millis("lease_ms", claim.lease);
            body.millis("ttl_ms", claim.ttl);
            if claim.on_interrupt == OnInterrupt::Reject {
                body.text("on_interrupt", "reject");
            }
            if let Some(most) = claim.max_attempts {
                body.number("max_attempts", most.into());
            }
            "/v1/claim".to_owned()
        }
        Request::Complete(complete) => {
            body.attempt(complete.attempt);
            body.number("fence", complete.fence);
            body.number("generation", complete.generation);
            body.number("number", complete.number.into());
            body.text("function", &complete.function);
            body.bytes("digest", &complete.digest);
            body.result(complete.kind, &complete.result);
            body.millis("ttl_ms", complete.ttl);
            format!("/v1/records/{}/complete", complete.token)
        }
        Request::Release { token, attempt, lease } => {
            body.attempt(*attempt);
            body.millis("lease_ms", *lease);
            format!("/v1/records/{token}/release")
        }
        Request::Renew { token, attempt, lease } => {
            body.attempt(*attempt);
            body.millis("lease_ms", *lease);
            format!("/v1/records/{token}/renew")
        }
        Request::Interrupt { token, attempt } => {
            body.attempt(*attempt);
            format!("/v1/records/{token}/interrupt")
        }
        Request::Reopen(reopen) => {
            body.number("fence", reopen.fence);
            body.text("by", &reopen.by);
            format!("/v1/records/{}/reopen", reopen.token)
        }
        Request::Resolve(resolve) => {
            body.number("fence", resolve.fence);
            body.text("by", &resolve.by);
            body.result(resolve.kind, &resolve.result);
            body.millis("ttl_ms", resolve.ttl);
            format!("/v1/records/{}/resolve", resolve.token)
        }
        Request::Purge { limit } => {
            body.number("limit", (*limit).clamp(1, PURGE) as u64);
            "/v1/purge".to_owned()
        }
        Request::Forget { token } => {
            return Some(without_body(Method::DELETE, format!("/v1/records/{token}")));
        }
        Request::Get { token } => return Some(without_body(Method::GET, format!("/v1/records/{token}"))),
        Request::Watch { token, limit } => {
            return Some(without_body(
                Method::GET,
                format!("/v1/records/{token}?wait_ms={}", millis(*limit)),
            ));
        }
        Request::List(query) => return Some(without_body(Method::GET, list(query))),
        _ => return None,
    };
    Some(Ask { method: Method::POST, path, body: Some(body.finish()) })
}

fn without_body(method: Method, path: String) -> Ask {
    Ask { method, path, body: None }
}

fn list(query: &Query) -> String {
    let limit = match query.limit {
        0 => 100,
        limit => limit.min(PAGE),
    };
    let mut path = format!("/v1/records?limit={limit}");
    // Writing to memory does not fail.
    if let Some(state) = query.state {
        let _ = write!(path, "&state={state}");
    }
    if query.lease_over {
        path.push_str("&lease_over=true");
    }
    if let Some(function) = &query.function {
        path.push_str("&function=");
        for byte in function.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                path.push(char::from(byte));
            } else {
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
    if let Some(age) = query.age {
        let _ = write!(path, "&age={}ms", millis(age));
    }
    if let Some(cursor) = query.cursor {
        let _ = write!(path, "&cursor={cursor}");
    }
    path
}
