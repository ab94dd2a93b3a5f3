use idem::{Error, idempotent};

#[derive(serde::Serialize)]
struct Order {
    id: u64,
}

#[idempotent(skip(order.id))]
async fn charge(order: Order) -> Result<u64, Error> {
    Ok(order.id)
}

#[idempotent(skip(a))]
async fn refund((a, b): (u64, u64)) -> Result<u64, Error> {
    Ok(a + b)
}

fn main() {}
