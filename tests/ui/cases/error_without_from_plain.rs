use idem::idempotent;

#[derive(Debug)]
struct Declined;

#[idempotent]
fn charge(order: u64) -> Result<u64, Declined> {
    if order == 0 {
        return Err(Declined);
    }
    Ok(order)
}

fn main() {}
