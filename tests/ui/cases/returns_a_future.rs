use idem::{Error, idempotent};

use std::pin::Pin;

async fn work(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent]
fn charge(order: u64) -> Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>> {
    Box::pin(work(order))
}

fn main() {}
