use idem::{Error, idempotent};

#[idempotent(ttl = "soon")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(lease = "10 parsecs")]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(wait = 5)]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(max_run = "")]
async fn ship(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(ttl = 1.5)]
async fn pack(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
