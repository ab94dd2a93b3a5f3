use idem::{Error, idempotent};

#[idempotent]
unsafe extern "C" fn charge(order: u64, mut rest: ...) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
