//! Who looks at the page: with keys, somebody who has one, and has given it as the password (HTTP Basic, RFC 7617)
//! with their own name before it. So each look is checked against the key file as it is now, nothing is kept in the
//! device, and several devices over one store know the same visitors.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use idem::store::Handle;
use maud::html;

use super::shell::{self, Shell};
use crate::device::{Caller, Device};

/// Somebody who looks at the page.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    /// What they call themselves, if they have said so.
    pub(super) name: String,
    /// What their forms are sealed with.
    pub(super) secret: Arc<[u8]>,
}

impl Visitor {
    pub(super) fn store(&self) -> &Handle {
        &self.caller.store
    }
}

/// Lets in who has a key, if there are keys.
pub(super) async fn admit(State(device): State<Arc<Device>>, mut request: Request, next: Next) -> Response {
    let (name, key) = credentials(request.headers()).unwrap_or_default();
    let bearer = format!("Bearer {key}");
    match device.caller(Some(&bearer)).await {
        Ok(caller) => {
            let secret: Arc<[u8]> = match &device.keys {
                Some(_) => key.into_bytes().into(),
                None => device.page.secret.as_slice().into(),
            };
            request.extensions_mut().insert(Visitor { caller, name, secret });
            next.run(request).await
        }
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            let page = Shell::new("A key is needed", shell::root(request.uri().path())).page(html! {
                h1 { "A key is needed" }
                p { "Give your own name as the user name, and a key of this device as the password." }
                p { "Your name is kept in the records that you decide about; the key says whose records you see." }
            });
            let mut response = (StatusCode::UNAUTHORIZED, page).into_response();
            let realm = HeaderValue::from_static(
                "Basic realm=\"idem device: your name, and a key\", charset=\"UTF-8\"",
            );
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            response
        }
        Err(problem) => shell::failed(&problem, shell::root(request.uri().path())),
    }
}

/// The name and the key.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, key) = text.split_once(':')?;
    Some((name.to_owned(), key.to_owned()))
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // Every page stands behind `admit`.
        parts.extensions.get::<Visitor>().cloned().ok_or(StatusCode::UNAUTHORIZED)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::credentials;

    #[test]
    fn a_name_and_a_key() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            credentials(&headers)
        };
        // `ann:idem_x:y`, `:k`, `nothing`, and what is none of them.
        assert_eq!(of("Basic YW5uOmlkZW1feDp5"), Some(("ann".into(), "idem_x:y".into())));
        assert_eq!(of("basic OmsK"), Some((String::new(), "k\n".into())));
        assert_eq!(of("Basic bm90aGluZw=="), None);
        assert_eq!(of("Basic ="), None);
        assert_eq!(of("Bearer YW5uOms="), None);
        assert_eq!(credentials(&HeaderMap::new()), None);
    }
}
