//! The body of a request: of a known kind, not too large, and there in time.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::answer::Format;
use crate::device::{Device, Limits};
use crate::problem::{Kind, Problem};
use crate::schema::{self, Fields};

/// A body in the encoding that tokens are made of.
pub(crate) struct Body(Vec<u8>);

impl Body {
    pub(crate) fn fields(&self) -> Result<Fields<'_>, Problem> {
        Fields::read(&self.0)
    }
}

impl FromRequest<Arc<Device>> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, device: &Arc<Device>) -> Result<Self, Problem> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        // A page in a browser cannot send either of them elsewhere without being allowed to.
        let format = if kind.eq_ignore_ascii_case("application/json") {
            Format::Json
        } else if kind.eq_ignore_ascii_case("application/cbor") {
            Format::Cbor
        } else {
            return Err(Problem::new(
                Kind::MEDIA_TYPE,
                "send `Content-Type: application/json` or `application/cbor`",
            ));
        };
        let bytes = collect(request, device.limits).await?;
        schema::canonical(&bytes, format).map(Body)
    }
}

/// All of a body, if it is not too large, and there in time.
pub(crate) async fn collect(request: Request, limits: Limits) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Kind::TOO_LARGE, format!("at most {} bytes", limits.body));
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limits.body as u64) {
        return Err(too_large());
    }
    let collecting = Limited::new(request.into_body(), limits.body).collect();
    match tokio::time::timeout(limits.body_time, collecting).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::invalid("the body ended early")),
        Err(_) => Err(Problem::new(Kind::TOO_SLOW, format!("a body has {:?}", limits.body_time))),
    }
}
