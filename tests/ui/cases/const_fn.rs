use idem::{Error, idempotent};

#[idempotent]
const fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
