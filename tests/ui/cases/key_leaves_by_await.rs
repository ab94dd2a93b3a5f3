use idem::{Error, idempotent};

async fn id(order: u64) -> u64 {
    order
}

#[idempotent(key(id(order).await))]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
