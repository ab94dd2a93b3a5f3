use idem::idempotent;

#[idempotent]
async fn charge(order: u64) {}

#[idempotent]
fn refund(order: u64) -> ! {
    panic!("{order}")
}

fn main() {}
