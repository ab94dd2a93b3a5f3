use idem::{Error, idempotent};

#[idempotent(key(order.parse::<u64>()?))]
async fn charge(order: &str) -> Result<u64, Error> {
    Ok(order.len() as u64)
}

fn main() {}
