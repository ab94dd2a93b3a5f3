use idem::{Error, idempotent};

#[idempotent(on_cancel = finish)]
fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
