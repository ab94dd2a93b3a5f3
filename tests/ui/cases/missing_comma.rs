use idem::{Error, idempotent};

#[idempotent(ttl = "1h" lease = "10s")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
