use idem::{Error, idempotent};

struct Context;

#[idempotent]
async fn charge(order: u64, (context, amount): (Context, u64)) -> Result<u64, Error> {
    Ok(order + amount)
}

fn main() {}
