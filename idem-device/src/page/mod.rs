//! The page: what a person sees of the device, and what they decide. Written by the device as HTML that works without
//! script; everything that it is made of comes from here.

mod decide;
mod form;
mod home;
mod list;
mod live;
mod plot;
mod record;
mod search;
mod shell;
mod visitor;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use idem::Text;

use crate::device::Device;
use crate::look::Tally;

/// What the page keeps between two requests.
pub(crate) struct Kept {
    /// What forms are sealed with where there are no keys.
    secret: [u8; 32],
    /// The last count of each namespace's records, and when it was made.
    tallies: Mutex<HashMap<Text, (Instant, Arc<Tally>)>>,
}

impl Kept {
    pub(crate) fn new() -> Self {
        let mut secret = [0; 32];
        // Without randomness a page from elsewhere could guess what a form has.
        getrandom::fill(&mut secret).expect("the operating system gives random numbers");
        Kept { secret, tallies: Mutex::default() }
    }

    /// Forgets the namespaces that have no key any more.
    pub(crate) fn keep(&self, has: impl Fn(&str) -> bool) {
        let mut tallies = self.tallies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tallies.retain(|namespace, _| has(namespace));
    }
}

/// The addresses of the page.
pub(crate) fn routes(device: &Arc<Device>) -> Router<Arc<Device>> {
    let pages = Router::new()
        .route("/", get(home::home))
        .route("/live", get(live::live))
        .route("/find", get(search::find))
        .route("/records", get(list::list))
        .route("/records/{token}", get(record::record))
        .route("/records/{token}/reopen", get(decide::ask_reopen).post(decide::reopen))
        .route("/records/{token}/resolve", get(decide::ask_resolve).post(decide::resolve))
        .layer(from_fn_with_state(Arc::clone(device), visitor::admit));
    let assets = Router::new()
        .route("/assets/style.css", get(style))
        .route("/assets/page.js", get(script))
        .route("/assets/icon.svg", get(icon));
    pages.merge(assets).layer(from_fn(protect))
}

async fn style(State(_): State<Arc<Device>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css"))
}

async fn script(State(_): State<Arc<Device>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("page.js"))
}

async fn icon(State(_): State<Arc<Device>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("icon.svg"))
}

/// What a browser is told of every answer: nothing is loaded, framed, sent or run but what comes from here.
async fn protect(request: axum::extract::Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Tokens are in addresses. (With `no-referrer` forms would not say where they come from.)
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
