//! A master of a Redis Cluster is killed, and its replica takes over.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use idem::{RedisStore, idempotent};
use idem_servers::RedisCluster;

use crate::until;

/// Which orders were charged, and which a second time.
#[derive(Default)]
struct Ledger(Mutex<(BTreeSet<u64>, BTreeSet<u64>)>);

impl Ledger {
    fn charge(&self, order: u64) {
        let (once, again) = &mut *self.0.lock().unwrap();
        if !once.insert(order) {
            again.insert(order);
        }
    }

    fn again(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }
}

#[idempotent(name = "failover.charge", key(order), skip(store, ledger), store = &store, on_cancel = finish)]
async fn charge(store: RedisStore, order: u64, ledger: Arc<Ledger>) -> Result<u64, idem::Error> {
    ledger.charge(order);
    Ok(order)
}

/// Makes calls until after a failover, with the old master back or not; how many were answered with a value, and how many bodies ran twice in the end.
async fn survive(parameters: &str, back: bool) -> Option<(usize, usize)> {
    let mut cluster = RedisCluster::start()?;
    let url = format!("{}?{parameters}", cluster.urls()[0].replace("redis:", "redis-cluster:"));
    let store = RedisStore::connect(&url).await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let (next, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (store, ledger) = (store.clone(), Arc::clone(&ledger));
            let (next, stop) = (Arc::clone(&next), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answered = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let order = next.fetch_add(1, Ordering::Relaxed);
                    match charge(store.clone(), order, Arc::clone(&ledger)).await {
                        Ok(_) => answered.push(order),
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                }
                answered
            })
        })
        .collect();
    let some = |more: u64| {
        let from = next.load(Ordering::Relaxed);
        let next = Arc::clone(&next);
        async move { until("calls are made", async || next.load(Ordering::Relaxed) > from + more).await }
    };
    some(2_000).await;
    let master = cluster.master_of(0);
    cluster.nodes_mut()[master].kill();
    let cluster = tokio::task::spawn_blocking(move || {
        while cluster.master_of(0) == master {
            std::thread::yield_now();
        }
        if back {
            // As a replica of its heir.
            cluster.nodes_mut()[master].restart();
        }
        cluster
    });
    let cluster = cluster.await.unwrap();
    some(2_000).await;
    stop.store(true, Ordering::Relaxed);
    let mut answered = Vec::new();
    for caller in callers {
        answered.extend(caller.await.unwrap());
    }
    // What was answered is asked again: a record that is lost shows in a body that runs again.
    for order in &answered {
        until("the call works", async || charge(store.clone(), *order, Arc::clone(&ledger)).await.is_ok())
            .await;
    }
    drop(cluster);
    Some((answered.len(), ledger.again()))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_after_a_failover() {
    let Some((answered, again)) = survive("time_limit=5s", false).await else { return };
    // As the page says, a failover may lose what was answered last: so many at most as a moment has.
    eprintln!("a failover: {answered} calls answered, {again} bodies ran again");
    assert!(again < 200, "{again} of {answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_the_replica_that_was_waited_for_loses_nothing() {
    let Some((answered, again)) = survive("wait_replicas=1", true).await else { return };
    eprintln!(
        "a failover to a replica that was waited for: {answered} calls answered, {again} bodies ran again"
    );
    assert_eq!(again, 0, "of {answered}");
}
