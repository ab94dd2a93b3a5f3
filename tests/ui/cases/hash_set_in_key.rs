use idem::{Error, idempotent};

struct Order {
    tags: std::collections::HashSet<u64>,
}

#[idempotent(key(order.tags), skip(order))]
async fn charge(order: Order) -> Result<u64, Error> {
    Ok(1)
}

fn main() {}
