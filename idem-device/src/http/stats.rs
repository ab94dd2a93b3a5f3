//! `GET /v1/stats`: what the device is, and what its store promises.

use std::sync::Arc;

use axum::extract::State;

use crate::answer::{Answer, Object, millis};
use crate::device::{Caller, Device};

pub(super) async fn stats(State(device): State<Arc<Device>>, caller: Caller) -> Answer {
    let profile = caller.store.profile();
    let limits = Object::new()
        .number("body", device.limits.body as u64)
        .number("waiting", device.limits.waiting as u64)
        .millis("wait_ms", device.limits.wait)
        .millis("lease_ms", crate::schema::MAX_LEASE);
    let object = Object::new()
        .text("version", env!("CARGO_PKG_VERSION"))
        .shared("namespace", &caller.namespace)
        .text("durability", profile.durability.to_string())
        .number("time_limit_ms", millis(profile.time_limit))
        .object("limits", Some(limits));
    Answer::ok("stats", object)
}
