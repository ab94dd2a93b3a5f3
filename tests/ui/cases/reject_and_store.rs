use idem::{Error, idempotent};

#[idempotent(on_duplicate = reject, on_error = store)]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(on_error = store_or(judge), on_duplicate = reject)]
fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn judge(_: &Error) -> Option<idem::OnError> {
    None
}

fn main() {}
