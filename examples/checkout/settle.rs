//! What a person does about attempts that began and did not end.

use std::error::Error;
use std::sync::Arc;

use idem::Timestamp;
use idem::encoding::{from_slice, to_vec};
use idem::store::{
    Arguments, Handle, Kind, Listed, Query, Reopen, Reply, Request, Resolve, State, StoreError,
};
use serde::Deserialize;

use crate::shop::{NAME, Shop, TTL};

const BY: &str = "checkout --settle";

/// What the record keeps of the verified arguments.
#[derive(Deserialize)]
struct Verified {
    order: String,
    amount_cents: u64,
}

/// Prints the records that are refused until somebody has looked.
pub async fn list(store: &Handle, shop: &Shop) -> Result<(), Box<dyn Error>> {
    let interrupted = interrupted(store, shop).await?;
    if interrupted.is_empty() {
        return Ok(());
    }
    let ledger = shop.ledger().read()?;
    println!("{} attempts began and did not end. Their records:\n", interrupted.len());
    println!(
        "{:<14} {:<21} {:<11} {:>9}  {:>9}  in the ledger",
        "token", "event", "order", "amount", "began"
    );
    for Listed { token, record, .. } in interrupted {
        let (event, Verified { order, amount_cents }) = arguments(record.arguments.as_ref())?;
        let amount = format!("{}.{:02}", amount_cents / 100, amount_cents % 100);
        let ago = format!("{} s ago", Timestamp::now().since(record.head.began_at).as_secs());
        let there = if ledger.contains_key(&event) { "yes" } else { "no" };
        println!("{token:<.12}…  {event:<21} {order:<11} {amount:>9}  {ago:>9}  {there}");
    }
    println!(
        "\nThey are refused until somebody says what happened. Here the ledger tells: with --settle, what is in it is \
         resolved (it happened), the rest is reopened (run it again).\n"
    );
    Ok(())
}

/// Looks each of them up in the ledger: what is there is resolved with its receipt, the rest is reopened.
pub async fn settle(store: &Handle, shop: &Shop) -> Result<(), Box<dyn Error>> {
    let ledger = shop.ledger().read()?;
    let (mut resolved, mut reopened) = (0, 0);
    for Listed { token, record, .. } in interrupted(store, shop).await? {
        let (event, _) = arguments(record.arguments.as_ref())?;
        let request = match ledger.get(&event).and_then(|charges| charges.first()) {
            Some(charge) => {
                let mut resolve = Resolve::new(token, record.head.fence, BY, TTL);
                resolve.result = to_vec(&charge.receipt)?.into();
                resolve.kind = Kind::Value;
                Request::Resolve(Arc::new(resolve))
            }
            None => Request::Reopen(Arc::new(Reopen::new(token, record.head.fence, BY))),
        };
        match store.ask(request).await? {
            Reply::Resolved => resolved += 1,
            Reply::Reopened => reopened += 1,
            // Somebody else was quicker.
            _ => {}
        }
    }
    println!("settled: {resolved} resolved, {reopened} reopened\n");
    Ok(())
}

/// The records of this shop whose last attempt did not end: interrupted, or running with their lease over.
async fn interrupted(store: &Handle, shop: &Shop) -> Result<Vec<Listed>, StoreError> {
    let mut found = Vec::new();
    for state in [State::Interrupted, State::Running] {
        let mut query = Query::default();
        query.state = Some(state);
        query.lease_over = state == State::Running;
        query.function = Some(NAME.into());
        loop {
            let Reply::Page(page) = store.ask(Request::List(Arc::new(query.clone()))).await? else { break };
            found.extend(
                page.records.into_iter().filter(|listed| *listed.record.scope == *shop.ledger().shop()),
            );
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// The key's only value, and the verified ones.
fn arguments(recorded: Option<&Arguments>) -> Result<(String, Verified), Box<dyn Error>> {
    let recorded = recorded.ok_or("a record without its arguments")?;
    let (event,) = from_slice(&recorded.key)?;
    Ok((event, from_slice(&recorded.verified)?))
}
