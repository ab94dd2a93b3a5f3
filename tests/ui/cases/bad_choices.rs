use idem::{Error, idempotent};

#[idempotent(on_duplicate = reply)]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_running = "reject")]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_interrupt = stop)]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_cancel = go_on)]
async fn ship(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_store_error = ignore)]
async fn pack(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
