//! A server that is killed in the middle of many calls, and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use idem::{PostgresStore, idempotent};
use idem_servers::Postgres;

use crate::{PATIENCE, database, until};

const CALLS: usize = 10_000;
/// Each order is charged by two of the calls.
const ORDERS: usize = CALLS / 2;

#[derive(Default)]
struct Ledger {
    charged: Vec<AtomicU32>,
    begun: AtomicUsize,
    /// How many calls were answered with a value.
    ended: AtomicUsize,
}

#[idempotent(name = "killed.charge", key(order), skip(store, ledger), store = &store, on_cancel = finish, wait = "1m")]
async fn charge(store: PostgresStore, order: usize, ledger: Arc<Ledger>) -> Result<u32, idem::Error> {
    ledger.begun.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(order as u64 % 7)).await;
    Ok(ledger.charged[order].fetch_add(1, Ordering::Relaxed))
}

/// The server's settings are its own: what is answered is on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn no_body_runs_twice_though_the_server_is_killed_in_between() {
    let Some(mut server) = Postgres::start() else { return };
    let store = PostgresStore::connect(&database(&server).await).await.unwrap();
    let ledger =
        Arc::new(Ledger { charged: (0..ORDERS).map(|_| AtomicU32::new(0)).collect(), ..Ledger::default() });
    let call = |order: usize| {
        let (store, ledger) = (store.clone(), Arc::clone(&ledger));
        tokio::spawn(async move {
            let answer = charge(store, order, Arc::clone(&ledger)).await;
            ledger.ended.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
            answer
        })
    };
    let calls: Vec<_> = (0..CALLS).map(|number| (number % ORDERS, call(number % ORDERS))).collect();
    until("a part of them has run", async || ledger.begun.load(Ordering::Relaxed) > ORDERS / 4).await;
    server.kill();
    let server = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    let server = server.await.unwrap();
    let (back, before) = (Instant::now(), ledger.ended.load(Ordering::Relaxed));
    until("a call is answered", async || ledger.ended.load(Ordering::Relaxed) > before).await;
    let took = back.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?}");

    let (mut values, mut errors) = (0, 0);
    for (order, call) in calls {
        match tokio::time::timeout(PATIENCE, call).await.expect("an answer").unwrap() {
            Ok(value) => {
                assert_eq!(value, 0, "order {order} was charged once before");
                values += 1;
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                errors += 1;
            }
        }
    }
    assert_eq!(values + errors, CALLS);
    // Who was told to come back does, and gets what the one charge returned.
    for order in 0..ORDERS {
        until("the call works", async || match call(order).await.unwrap() {
            Ok(value) => {
                assert_eq!(value, 0);
                true
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                false
            }
        })
        .await;
    }
    assert!(ledger.charged.iter().all(|times| times.load(Ordering::Relaxed) == 1));
    eprintln!(
        "{CALLS} calls, the server killed in between: {values} values, {errors} retryable errors, the first answer \
         {took:?} after it was back"
    );
    drop(server);
}
