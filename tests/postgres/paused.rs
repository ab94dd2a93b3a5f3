//! A test clock that stands still, and jumps when everybody sleeps: no time limit of a call goes by it.

use std::sync::Arc;

use idem::{PostgresStore, idempotent};
use idem_servers::Postgres;
use tokio::sync::Notify;

use crate::database;

#[idempotent(name = "paused.charge", key(order), skip(store, begun, gate), store = store, wait = "1m")]
async fn charge(
    store: &PostgresStore,
    order: u64,
    begun: Arc<Notify>,
    gate: Arc<Notify>,
) -> Result<u64, idem::Error> {
    begun.notify_one();
    gate.notified().await;
    Ok(order)
}

#[tokio::test(start_paused = true)]
async fn calls_do_not_look_at_the_callers_clock() {
    let Some(server) = Postgres::start() else { return };
    let store = PostgresStore::connect(&database(&server).await).await.unwrap();
    for order in 0..20 {
        let (begun, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let call = || {
            let (store, begun, gate) = (store.clone(), Arc::clone(&begun), Arc::clone(&gate));
            tokio::spawn(async move { charge(&store, order, begun, gate).await })
        };
        let first = call();
        begun.notified().await;
        let duplicate = call();
        gate.notify_one();
        assert_eq!(first.await.unwrap().unwrap(), order);
        assert_eq!(duplicate.await.unwrap().unwrap(), order);
        assert_eq!(call().await.unwrap().unwrap(), order);
    }
}

/// A runtime without timers and sockets: the store needs none of the caller's.
#[test]
fn calls_need_nothing_of_the_callers_runtime() {
    let Some(server) = Postgres::start() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = PostgresStore::connect(&database(&server).await).await.unwrap();
        for order in 0..200 {
            let gate = Arc::new(Notify::new());
            gate.notify_one();
            for _ in 0..2 {
                let result = charge(&store, order, Arc::default(), Arc::clone(&gate)).await;
                assert_eq!(result.unwrap(), order);
            }
        }
    });
}
