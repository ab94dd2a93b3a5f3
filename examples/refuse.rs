//! A repeated request is answered `Do not submit repeated requests` and given up. The record keeps the token, the
//! signature and the parameters of the first one.
//!
//! `cargo run --example refuse`

use idem::encoding::from_slice;
use idem::store::{Asked, Reply, Request, Store};
use idem::{MemoryStore, idempotent};
use serde_json::Value;

/// Nothing of the result is stored, so it needs no serde, and an embedded store needs no runtime.
#[idempotent(on_duplicate = reject, record_arguments, store = store, skip(store))]
fn submit(store: &MemoryStore, form: &str, fields: Vec<(String, u32)>) -> Result<(), idem::Error> {
    println!("submitted: {form} with {} fields", fields.len());
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = MemoryStore::new();
    let fields = || vec![("amount".to_owned(), 1250), ("items".to_owned(), 3)];

    submit(&store, "order", fields())?;
    let Err(refused) = submit(&store, "order", fields()) else { return Err("it was submitted twice".into()) };
    println!("refused:   {refused}\n");

    let token = refused.token().ok_or("a refusal has a token")?;
    let Asked::Now(Ok(Reply::Record(Some(record)))) = store.ask(Request::Get { token }) else {
        return Err("the record is not there".into());
    };
    let recorded = record.arguments.as_ref().ok_or("the record has no arguments")?;
    println!("token:      {token}");
    println!("signature:  {}", record.function);
    println!("parameters: {}", from_slice::<Value>(&recorded.key)?);
    println!("state:      {}", record.head.state);
    Ok(())
}
