use idem::{Error, idempotent};

#[idempotent(max_attempts = 0)]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(max_attempts = "three")]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(max_result = "1 parcel")]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(max_result = true)]
async fn ship(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
