//! The shortest way in: one attribute, and a repeated call is answered instead of run.
//!
//! `cargo run --example quickstart`

use idem::{MemoryStore, idempotent};

#[idempotent]
async fn charge(order_id: u64, amount_cents: u64) -> Result<String, idem::Error> {
    println!("charging {amount_cents} cents for order {order_id}");
    Ok(format!("receipt for order {order_id}"))
}

#[tokio::main]
async fn main() -> Result<(), idem::Error> {
    // Once, when the program starts. A service has a store that outlives it: `idem::connect("sqlite:orders.db")`.
    idem::install(MemoryStore::new())?;

    println!("first:  {}", charge(7, 1250).await?);
    println!("again:  {}", charge(7, 1250).await?); // the body does not run: the first call's receipt
    println!("other:  {}", charge(8, 1250).await?); // another order, another token
    Ok(())
}
