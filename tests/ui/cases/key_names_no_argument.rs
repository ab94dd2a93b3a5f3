use idem::{Error, idempotent};

#[idempotent(key(ordr))]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(key(ordr.to_string()))]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(key(1 + 1))]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(key(order))]
async fn ship() -> Result<u64, Error> {
    Ok(1)
}

#[idempotent(key(self.id, order))]
async fn pack(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
