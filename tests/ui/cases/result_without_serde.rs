use idem::{Error, idempotent};

struct Receipt;

#[idempotent]
async fn charge(order: u64) -> Result<Receipt, Error> {
    let _ = order;
    Ok(Receipt)
}

fn main() {}
