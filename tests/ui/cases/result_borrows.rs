use idem::{Error, idempotent};

#[idempotent]
async fn charge(order: &str) -> Result<&str, Error> {
    Ok(order)
}

#[idempotent]
fn refund(order: u64) -> Result<Option<&'static str>, Error> {
    Ok(Some("refunded").filter(|_| order > 0))
}

#[idempotent(on_error = store)]
fn cancel(order: &str) -> Result<u64, &str> {
    Err(order)
}

fn main() {}
