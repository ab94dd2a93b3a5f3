use idem::idempotent;

#[idempotent]
fn charge(order: u64) -> u64 {
    order
}

fn main() {}
