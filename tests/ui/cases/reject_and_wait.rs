use idem::{Error, idempotent};

#[idempotent(on_running = reject, wait = "1s")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
