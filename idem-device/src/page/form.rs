//! What comes from a form: only from a form that this device has written for this visitor, and that was sent from its
//! own page.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use maud::html;
use sha2::Sha256;

use super::shell::{self, Shell};
use super::visitor::Visitor;
use crate::device::Device;
use crate::http::body;
use crate::problem::Problem;

/// The name of the field that holds a form's seal.
pub(super) const SEAL: &str = "seal";

/// Why nothing is done with a form.
pub(super) enum Refused {
    /// It is not one of this page's, or not this visitor's.
    Form(&'static str),
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused::Problem(problem)
    }
}

impl Refused {
    /// What the visitor is told.
    pub(super) fn page(&self, root: &'static str) -> Response {
        match self {
            Refused::Problem(problem) => shell::failed(problem, root),
            Refused::Form(why) => {
                let page = Shell::new("Nothing was done", root).page(html! {
                    h1 { "Nothing was done" }
                    p.notice.bad role="alert" { (why) }
                    p { a href=(root) { "Overview" } }
                });
                (StatusCode::FORBIDDEN, page).into_response()
            }
        }
    }
}

/// The names and values of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of this name; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// Reads what a form of this page has sent.
    pub(super) async fn read(device: &Device, request: Request) -> Result<Self, Refused> {
        check_site(request.headers())?;
        let bytes = body::collect(request, device.limits).await?;
        Ok(Form(form_urlencoded::parse(&bytes).into_owned().collect()))
    }

    /// Refuses a form that was not written for this visitor and this purpose.
    pub(super) fn check(&self, visitor: &Visitor, purpose: &str) -> Result<(), Refused> {
        let seal = URL_SAFE_NO_PAD.decode(self.get(SEAL)).unwrap_or_default();
        let why = "The form was not written for you, or not by this device: open the record again.";
        sealing(visitor, purpose).verify_slice(&seal).map_err(|_| Refused::Form(why))
    }
}

/// What a form for this purpose has in its field [`SEAL`]: nobody else can make it.
pub(super) fn seal(visitor: &Visitor, purpose: &str) -> String {
    URL_SAFE_NO_PAD.encode(sealing(visitor, purpose).finalize().into_bytes())
}

fn sealing(visitor: &Visitor, purpose: &str) -> Hmac<Sha256> {
    // A key of any length will do.
    let mut sealing = Hmac::<Sha256>::new_from_slice(&visitor.secret).expect("every length is a key's");
    sealing.update(b"idem device form\0");
    sealing.update(purpose.as_bytes());
    sealing
}

/// Refuses what a page from elsewhere has sent: browsers say where a request comes from.
fn check_site(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or("?"));
    let same = match (text(header::HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        // An older browser, or one that came over plain HTTP from another machine.
        (None, Some(origin)) => {
            let host = text(header::HOST).unwrap_or_default();
            origin.split_once("://").is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
        }
        // Not a browser: there is nobody whose browser could be misled.
        (None, None) => true,
    };
    if same { Ok(()) } else { Err(Refused::Form("The form was sent from another site.")) }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::check_site;

    #[test]
    fn a_form_comes_from_the_same_site() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            check_site(&headers).is_ok()
        };
        assert!(of(&[("sec-fetch-site", "same-origin"), ("origin", "http://a:1"), ("host", "b")]));
        assert!(of(&[("origin", "http://a:1"), ("host", "A:1")]));
        assert!(of(&[("host", "a:1")]));
        for site in ["cross-site", "same-site", "none"] {
            assert!(!of(&[("sec-fetch-site", site), ("origin", "http://a:1"), ("host", "a:1")]), "{site}");
        }
        assert!(!of(&[("origin", "null"), ("host", "a:1")]));
        assert!(!of(&[("origin", "http://a:2"), ("host", "a:1")]));
        assert!(!of(&[("origin", "http://b"), ("host", "a:1")]));
    }
}
