use idem::{Error, idempotent};

type Tags = std::collections::HashSet<u32>;

#[idempotent]
async fn charge(order: u64, tags: &Tags) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent]
async fn refund(order: u64, tags: &mut Tags) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
