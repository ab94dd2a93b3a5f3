use idem::{Error, idempotent};

#[idempotent]
async fn charge(order: u64) -> Result<u64, Error> {
    let amount: String = order;
    missing(amount);
    Ok("text")
}

#[idempotent]
fn refund(order: u64) -> Result<u64, Error> {
    let amount: String = order;
    missing(amount);
    Ok("text")
}

fn main() {}
