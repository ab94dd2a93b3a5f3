use idem::{Error, idempotent};

#[idempotent(ttl)]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(scope = )]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(lease("10s"))]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(key)]
async fn ship(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(skip = order)]
async fn pack(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(key())]
async fn weigh(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(record_arguments = true)]
async fn print(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(crate)]
async fn send(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
