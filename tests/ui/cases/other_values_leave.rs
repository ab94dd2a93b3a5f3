use idem::{Error, idempotent};

#[idempotent(scope = order.get(0..1).ok_or(Error)?)]
async fn charge(order: &str) -> Result<u64, Error> {
    Ok(order.len() as u64)
}

#[idempotent(store = connect().await)]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(ttl = return Ok(1))]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
