use idem::{Error, idempotent};

#[idempotent(tll = "1h")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_runing = wait)]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(expires_after = "1h")]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent("1h")]
async fn ship(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
