//! The protocol over HTTP: which address is which operation, and what is the same for all of them.

pub(crate) mod body;
mod claim;
mod open;
mod person;
pub(crate) mod record;
pub(crate) mod records;
mod settle;
mod stats;
mod submit;
mod wait;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::Router;
use axum::extract::{FromRequestParts, MatchedPath, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use idem::Token;

use crate::answer::{Answer, Format};
use crate::device::{Caller, Device};
use crate::history::Told;
use crate::page;
use crate::problem::{Kind, Problem};

pub(crate) use claim::DO_NOT;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// One address and method.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// What it is called in logs and metrics.
    pub(crate) operation: &'static str,
    /// Whether everybody may ask, with a key or without.
    pub(crate) open: bool,
}

macro_rules! routes {
    ($($method:ident $path:literal $operation:literal $open:ident => $handler:path;)*) => {
        /// All that is answered to.
        pub(crate) const ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            operation: $operation,
            open: routes!(@ $open),
        }),*];

        fn addresses() -> Router<Arc<Device>> {
            Router::new()$(.route($path, on(MethodFilter::$method, $handler)))*
        }
    };
    (@ open) => { true };
    (@ keyed) => { false };
}

routes! {
    POST "/v1/claim" "claim" keyed => claim::claim;
    POST "/v1/submit" "submit" keyed => submit::submit;
    POST "/v1/records/{token}/complete" "complete" keyed => settle::complete;
    POST "/v1/records/{token}/release" "release" keyed => settle::release;
    POST "/v1/records/{token}/renew" "renew" keyed => settle::renew;
    POST "/v1/records/{token}/interrupt" "interrupt" keyed => settle::interrupt;
    POST "/v1/records/{token}/reopen" "reopen" keyed => person::reopen;
    POST "/v1/records/{token}/resolve" "resolve" keyed => person::resolve;
    GET "/v1/records/{token}" "get" keyed => records::get;
    DELETE "/v1/records/{token}" "forget" keyed => records::forget;
    GET "/v1/records" "list" keyed => records::list;
    POST "/v1/purge" "purge" keyed => records::purge;
    GET "/v1/stats" "stats" keyed => stats::stats;
    GET "/v1/openapi.json" "openapi" open => open::openapi;
    GET "/metrics" "metrics" open => open::metrics;
    GET "/healthz" "healthz" open => open::healthz;
    GET "/readyz" "readyz" open => open::readyz;
}

/// Everything that the device answers to.
pub(crate) fn routes(device: &Arc<Device>) -> Router {
    addresses()
        .merge(page::routes(device))
        .fallback(nothing)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(Arc::clone(device), around))
        .with_state(Arc::clone(device))
}

async fn nothing() -> Problem {
    Problem::new(Kind::NO_ROUTE, "this device speaks version 1 of the protocol: its addresses begin with /v1")
}

async fn no_method(method: Method) -> Problem {
    Problem::new(Kind::NO_METHOD, format!("see /v1/openapi.json for what it takes instead of {method}"))
}

/// Around every request: who asks, how the answer is written, what is counted and logged. Nothing that is logged
/// contains arguments, results or keys.
async fn around(State(device): State<Arc<Device>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    let format = answer_format(request.headers());
    let peer = request.extensions().get::<Peer>().copied();
    let route = route(&request);
    let admitted = admitted(&device, route, &mut request).await;
    let namespace = request.extensions().get().map(|caller: &Caller| caller.namespace.clone());
    let answered = match admitted {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let told = answered.extensions().get().and_then(|answer| Told::of(route?.operation, answer));
    if let (Some(namespace), Some(told)) = (namespace, told) {
        device.history.count(&namespace, told);
    }
    let (mut response, outcome) = finish(answered, format);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

    let took = began.elapsed();
    let operation = route.map_or("none", |route| route.operation);
    device.metrics.answered(operation, outcome, took);
    let status = response.status().as_u16();
    tracing::debug!(
        request = response.headers()[REQUEST_ID].to_str().unwrap_or_default(),
        peer = peer.map(|peer| tracing::field::display(peer.0)),
        operation,
        status,
        outcome,
        ms = took.as_secs_f64() * 1000.0,
        "answered"
    );
    response
}

fn route(request: &Request) -> Option<&'static Route> {
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let method = match request.method() {
        &Method::HEAD => "GET",
        method => method.as_str(),
    };
    ROUTES.iter().find(|route| route.path == path && route.method == method)
}

/// Lets a request in, if it may come in.
async fn admitted(device: &Device, route: Option<&Route>, request: &mut Request) -> Result<(), Problem> {
    if device.loopback_only && !is_loopback_name(request.headers()) {
        let detail = "without keys this device answers to the names of its own machine only: localhost, 127.0.0.1, [::1]";
        return Err(Problem::new(Kind::WRONG_HOST, detail));
    }
    if route.is_some_and(|route| !route.open) {
        let authorization =
            request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let caller = device.caller(authorization).await?;
        request.extensions_mut().insert(caller);
    }
    Ok(())
}

/// Whether a request names this machine as its host, as every program on it does. A page in a browser that came from
/// elsewhere under a name of its own, which now leads here, does not.
fn is_loopback_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Writes the answer as it was asked for.
fn finish(mut response: Response, format: Format) -> (Response, &'static str) {
    match response.extensions_mut().remove::<Answer>() {
        Some(answer) => (answer.write(format), answer.outcome),
        None => {
            let outcome = if response.status().is_success() { "ok" } else { "failed" };
            (response, outcome)
        }
    }
}

/// The caller's own name for the request, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fits = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        !bytes.is_empty()
            && bytes.len() <= 64
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    };
    match headers.get(REQUEST_ID).filter(fits) {
        Some(id) => id.clone(),
        None => {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            // Of this process, and then counted: it is looked for in a log, and says nothing else.
            static PROCESS: LazyLock<u32> = LazyLock::new(|| getrandom::u32().unwrap_or_default());
            let (mut id, number) = ([0; 32], NEXT.fetch_add(1, Ordering::Relaxed));
            let mut rest = &mut id[..];
            // Eight digits, a dash, and twenty more at most.
            let _ = write!(rest, "{:08x}-{number}", *PROCESS);
            let left = rest.len();
            HeaderValue::from_bytes(&id[..32 - left]).unwrap_or(HeaderValue::from_static("none"))
        }
    }
}

/// As the caller accepts it; else as it writes itself.
fn answer_format(headers: &HeaderMap) -> Format {
    let has = |name, kind: &str| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .is_some_and(|value| value.contains(kind))
    };
    if has(header::ACCEPT, "application/cbor") {
        Format::Cbor
    } else if has(header::ACCEPT, "json") {
        Format::Json
    } else if has(header::CONTENT_TYPE, "application/cbor") {
        Format::Cbor
    } else {
        Format::Json
    }
}

/// The token in the address.
struct InPath(Token);

impl<S: Send + Sync> FromRequestParts<S> for InPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::field("token", "the address has no token"))?;
        crate::schema::parse_token(&text).map(InPath)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A route that takes a caller and is open to everybody would have none.
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or_else(|| Problem::new(Kind::NO_KEY, "there is no caller"))
    }
}
