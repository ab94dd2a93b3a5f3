use idem::{Error, idempotent};

type Tags = std::collections::HashSet<u32>;

#[idempotent]
fn charge(order: u64, tags: Tags) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
