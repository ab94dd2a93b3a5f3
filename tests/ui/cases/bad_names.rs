use idem::{Error, idempotent};

#[idempotent(name = "")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(name = 7)]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
