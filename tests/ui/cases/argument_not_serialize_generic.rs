use idem::{Error, idempotent};

#[idempotent]
async fn charge<T: Send>(order: T) -> Result<u64, Error> {
    Ok(1)
}

fn main() {}
