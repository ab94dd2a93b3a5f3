//! What everybody may ask: is it well, what does it count, what does it speak.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use idem::Token;
use idem::store::{Reply, Request};

use crate::answer::{Answer, Object};
use crate::device::Device;
use crate::problem::{Kind, Problem};

/// The process answers.
pub(super) async fn healthz() -> Answer {
    Answer::ok("well", Object::new())
}

/// The store answers, and the device is not about to stop.
pub(super) async fn readyz(State(device): State<Arc<Device>>) -> Result<Answer, Problem> {
    if device.is_stopping() {
        return Err(Problem::new(Kind::STORE, "the device stops").after(Duration::from_secs(1)));
    }
    match device.stores.base().ask(Request::Get { token: Token::default() }).await {
        Ok(Reply::Record(_)) => Ok(Answer::ok("ready", Object::new())),
        Ok(_) => Err(Problem::new(Kind::FAILED, "the store's answer is not one to this request")),
        Err(error) => Err(Problem::store("get", &error)),
    }
}

pub(super) async fn metrics(State(device): State<Arc<Device>>) -> impl IntoResponse {
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, KIND)], device.metrics.text())
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], crate::openapi::document())
}
