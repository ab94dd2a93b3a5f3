use idem::{Error, idempotent};

#[idempotent]
async fn charge(order: u64, #[cfg(test)] amount: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
