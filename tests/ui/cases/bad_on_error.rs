use idem::{Error, idempotent};

#[idempotent(on_error = ignore)]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_error = with)]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_error = store_or(a, b))]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_error = 5)]
async fn ship(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
