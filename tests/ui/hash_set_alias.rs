use idem::{Error, idempotent};

type Tags = std::collections::HashSet<String>;

#[idempotent]
fn charge(order: u64, tags: Tags) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
