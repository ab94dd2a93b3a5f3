use idem::{Error, idempotent};

use std::fmt::Display;

#[idempotent]
fn charge(order: u64) -> impl Display {
    order
}

#[idempotent]
async fn refund(order: u64) -> Result<impl Display, Error> {
    Ok(order)
}

fn main() {}
