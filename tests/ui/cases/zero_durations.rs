use idem::{Error, idempotent};

#[idempotent(ttl = "0s")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(lease = "0ms")]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(ttl = 0)]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
