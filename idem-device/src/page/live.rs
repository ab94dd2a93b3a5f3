//! What callers were told: counters and a plot. The script asks for them anew every few seconds.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::plot;
use super::visitor::Visitor;
use crate::device::Device;
use crate::look::words;

/// The counters, in the order in which they are counted, and how each is drawn.
pub(super) const NAMES: [(&str, &str); 3] =
    [("first calls", "first"), ("replays", "replay"), ("refusals", "refusal")];

pub(super) async fn live(State(device): State<Arc<Device>>, visitor: Visitor) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (kind, fragment(&device, &visitor).into_string()).into_response()
}

pub(super) fn fragment(device: &Device, visitor: &Visitor) -> Markup {
    let (all, steps) = device.history.look(&visitor.caller.namespace);
    html! {
        dl.counters {
            @for ((name, class), count) in NAMES.iter().zip(all) {
                div class=(class) {
                    dt { span.swatch aria-hidden="true" {} (name) }
                    dd data-count=(name) { (words::number(count)) }
                }
            }
        }
        (plot::plot(&steps))
        p.faint { "Counted by this device since its start." }
    }
}
