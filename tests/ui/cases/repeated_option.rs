use idem::{Error, idempotent};

#[idempotent(ttl = "1h", lease = "10s", ttl = "2h")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(key(order), key(amount))]
async fn refund(order: u64, amount: u64) -> Result<u64, Error> {
    Ok(order + amount)
}

#[idempotent(skip(order), skip(amount))]
async fn cancel(order: u64, amount: u64) -> Result<u64, Error> {
    Ok(order + amount)
}

#[idempotent(record_arguments, record_arguments)]
async fn ship(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
