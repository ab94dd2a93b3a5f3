use idem::{Error, idempotent};

struct Context;

#[idempotent]
fn charge(order: u64, context: &Context) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
