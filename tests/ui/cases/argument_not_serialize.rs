use idem::{Error, idempotent};

struct Context;

#[idempotent]
async fn charge(order: u64, context: Context) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
