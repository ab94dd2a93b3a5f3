use idem::{Error, idempotent};

#[idempotent(ttl = 60 * 60)]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
