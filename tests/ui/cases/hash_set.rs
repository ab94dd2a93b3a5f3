use idem::{Error, idempotent};

use std::collections::HashSet;

#[idempotent]
async fn charge(order: u64, tags: HashSet<u32>) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
