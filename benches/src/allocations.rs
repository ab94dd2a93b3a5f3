//! How often a duplicate allocates.

use std::hint::black_box;

use idem::idempotent;
use serde::Serialize;

use crate::allocator::allocations;
use crate::subject::{install, now};
use crate::table::Row;

#[derive(Serialize)]
struct Flat {
    order: u64,
    amount_cents: u64,
    currency: &'static str,
    paid: bool,
}

#[idempotent(name = "allocations.number")]
async fn number(order: u64, who: &str) -> Result<u64, idem::Error> {
    Ok(order + who.len() as u64)
}

#[idempotent(name = "allocations.text")]
async fn text(order: u64) -> Result<String, idem::Error> {
    Ok(format!("receipt of order {order}"))
}

#[idempotent(name = "allocations.flat")]
async fn flat(order: &Flat) -> Result<u64, idem::Error> {
    Ok(order.order)
}

#[idempotent(name = "allocations.verified", key(order))]
async fn verified(order: u64, amount_cents: u64, who: &str) -> Result<u64, idem::Error> {
    Ok(order + amount_cents + who.len() as u64)
}

pub fn rows() -> Vec<Row> {
    install();
    let order = Flat { order: 7, amount_cents: 1_250, currency: "EUR", paid: false };
    let row = |what: &str, once: &mut dyn FnMut()| {
        (0..10).for_each(|_| once());
        let count = allocations(&mut *once) as f64;
        (format!("heap allocations of a duplicate: {what}"), count)
    };
    let counts = [
        (row("`u64` result", &mut || drop(black_box(now(number(7, "ann"))))), 0.0),
        (row("flat struct as argument", &mut || drop(black_box(now(flat(&order))))), 0.0),
        (row("verified arguments", &mut || drop(black_box(now(verified(7, 1_250, "ann"))))), 0.0),
        (row("`String` result", &mut || drop(black_box(now(text(7))))), 1.0),
    ];
    counts
        .into_iter()
        .map(|((what, count), target)| {
            Row::new(what, format!("{count}"), format!("the decoded value: {target}"))
                .ratio(count)
                .at_most(target)
        })
        .collect()
}
