//! What a token costs beside its hash.

use std::hint::black_box;

use idem::__private::{Options, Site, here};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::beside;
use crate::measure::{Clock, Subject, in_turns};
use crate::subject::{self, NAME};
use crate::table::{Row, time};

/// An order of 12 fields, some of them nested.
#[derive(Debug, Clone, Serialize)]
pub struct Order {
    id: u64,
    customer: Customer,
    channel: Channel,
    currency: &'static str,
    amount_cents: u64,
    discount_cents: i64,
    tax_rate: f64,
    lines: Vec<Line>,
    paid: bool,
    coupon: Option<String>,
    note: Option<String>,
    created_at: u64,
}

#[derive(Debug, Clone, Serialize)]
struct Customer {
    name: String,
    email: String,
}

#[derive(Debug, Clone, Serialize)]
enum Channel {
    Web,
}

#[derive(Debug, Clone, Serialize)]
struct Line {
    sku: String,
    quantity: u32,
}

impl Order {
    pub fn example() -> Self {
        Order {
            id: 4_711_000_815,
            customer: Customer { name: "Ann Example".into(), email: "ann@example.com".into() },
            channel: Channel::Web,
            currency: "EUR",
            amount_cents: 129_900,
            discount_cents: -500,
            tax_rate: 0.19,
            lines: vec![
                Line { sku: "KB-ISO-DE-87".into(), quantity: 1 },
                Line { sku: "MOUSE-LEFT-3".into(), quantity: 2 },
            ],
            paid: false,
            coupon: Some("SPRING".into()),
            note: None,
            created_at: 1_732_400_000,
        }
    }
}

/// The function of an attribute's call, as the attribute writes it.
macro_rules! annotated {
    ($name:expr) => {{
        static SITE: Site =
            Site::named($name, "(order: u64, who: &str)", Options::new()).at(file!(), line!(), column!());
        idem::call(here(&SITE, &|| ()))
    }};
}

pub fn rows() -> Vec<Row> {
    beside::check();
    let (order, who) = subject::arguments(0);
    let mut bytes = Vec::new();
    beside::encode(order, who, &mut bytes);
    let pair = in_turns(
        Clock::Thread,
        201,
        10_000,
        &mut [
            Subject::each(|| {
                let call = annotated!(NAME).arg(black_box(&order)).arg(black_box(who));
                black_box(call.token().expect("a token"));
            }),
            Subject::each(|| {
                let call = idem::call("orders.charge").arg(black_box(&order)).arg(black_box(who));
                black_box(call.token().expect("a token"));
            }),
            Subject::each(|| {
                black_box(Sha256::digest(black_box(&bytes)));
            }),
        ],
    );

    let order = Order::example();
    let encoded = idem::encoding::to_vec(&order).expect("it can be encoded");
    let nested = in_turns(
        Clock::Thread,
        201,
        2_000,
        &mut [
            Subject::each(|| {
                let call = annotated!("orders.place").arg(black_box(&order));
                black_box(call.token().expect("a token"));
            }),
            Subject::each(|| {
                let json = serde_json::to_vec(black_box(&order)).expect("it can be encoded");
                black_box(Sha256::digest(&json));
            }),
        ],
    );
    let (ours, theirs) = (encoded.len(), serde_json::to_vec(&order).map_or(0, |json| json.len()));
    let (pair_bytes, bare) = (bytes.len(), time(pair.of(2)));
    vec![
        Row::new(
            format!("token of `(u64, &str)`, {pair_bytes} bytes, as the attribute makes it"),
            time(pair.of(0)),
            format!("SHA-256 of the same bytes: {bare}"),
        )
        .ratio(pair.ratio(0, 2))
        .at_most(1.5),
        Row::new("the same through `idem::call(name)`", time(pair.of(1)), format!("the same: {bare}"))
            .ratio(pair.ratio(1, 2))
            .at_most(1.5),
        Row::new(
            format!("token of a nested order of 12 fields, {ours} bytes and the name"),
            time(nested.of(0)),
            format!("`serde_json::to_vec` ({theirs} bytes) and SHA-256 of it: {}", time(nested.of(1))),
        )
        .ratio(nested.ratio(0, 1))
        .at_most(1.0),
    ]
}
