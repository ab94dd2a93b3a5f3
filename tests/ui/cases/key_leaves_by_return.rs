use idem::{Error, idempotent};

#[idempotent(key(if order == 0 { return Ok(0) } else { order }))]
fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
