use idem::{Error, idempotent};

use std::collections::HashSet;

#[idempotent(key(order))]
async fn charge(order: u64, tags: HashSet<String>) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
