use idem::idempotent;

#[idempotent]
async fn charge(order: u64) -> Option<u64> {
    Some(order)
}

fn main() {}
