use idem::{Error, idempotent};

#[idempotent]
extern "C" fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent]
unsafe extern "system" fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
