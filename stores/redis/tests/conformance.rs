//! The public suite for stores.

mod common;

use std::sync::Arc;

use common::*;
use idem_redis::RedisStore;
use idem_runtime::conformance::Suite;
use idem_runtime::store::{Complete, MemoryStore, Reply, Request, Store};
use idem_servers::{Redis, RedisCluster};

fn passes(url: &str, other: &str) {
    let elsewhere = other.to_owned();
    Suite::new()
        .shared()
        .elsewhere(move || RedisStore::connect_blocking(&elsewhere).unwrap())
        .run(|| RedisStore::connect_blocking(url).unwrap())
        .assert();
}

#[test]
fn the_suite_passes_on_one_server() {
    let Some(server) = Redis::start() else { return };
    passes(&server.url(), &format!("{}?namespace=other", server.url()));
}

#[test]
fn the_suite_passes_in_a_namespace_of_another_database_over_a_socket() {
    let Some(server) = Redis::start() else { return };
    let url = format!("redis+unix://{}?db=3", server.socket().display());
    let shop = RedisStore::connect_blocking(&format!("{url}&namespace=shop:*")).unwrap();
    let bank = shop.with_namespace("shop");
    Suite::new().shared().elsewhere(move || bank.clone()).run(|| shop.clone()).assert();
}

#[test]
fn the_suite_passes_on_a_cluster() {
    let Some(cluster) = RedisCluster::start() else { return };
    let url = cluster.urls()[0].replace("redis:", "redis-cluster:");
    passes(&url, &format!("{url}?namespace=other"));
}

#[test]
fn the_suite_passes_where_a_replica_is_waited_for() {
    let Some(server) = Redis::start() else { return };
    let master = format!("127.0.0.1 {}", server.port());
    let Some(_replica) = Redis::start_with(&[("replicaof", &master)]) else { return };
    let url = format!("{}?wait_replicas=1", server.url());
    passes(&url, &format!("{url}&namespace=other"));
}

#[test]
fn the_suite_passes_on_a_cluster_whose_replicas_are_waited_for() {
    let Some(cluster) = RedisCluster::start() else { return };
    let url = cluster.urls()[0].replace("redis:", "redis-cluster:") + "?wait_replicas=1";
    passes(&url, &format!("{url}&namespace=other"));
}

/// The script completes what was claimed with the same digest and function, and leaves everything else to the protocol.
#[test]
fn a_completion_with_another_digest_or_function_is_decided_by_the_protocol() {
    let Some(server) = Redis::start() else { return };
    let (redis, memory) = (open(&server.url()), MemoryStore::new());
    let as_it_was = |_: &mut Complete| {};
    let digest = |complete: &mut Complete| complete.digest = b"tigesd".to_vec();
    // The same bytes, one after the other.
    let longer = |complete: &mut Complete| {
        complete.digest = b"digests".to_vec();
        complete.function = "hop::charge(order: u64)".into();
    };
    let function = |complete: &mut Complete| complete.function = "shop::refund(order: u64)".into();
    let prefix = |complete: &mut Complete| complete.function = "shop::charge".into();
    let changes: [&dyn Fn(&mut Complete); 5] = [&as_it_was, &digest, &longer, &function, &prefix];
    for (number, change) in (0..).zip(changes) {
        let claim = claim(token(number));
        let done = [&redis as &dyn Store, &memory].map(|store| {
            let Ok(Reply::Claimed(grant)) = wait(store.ask(asked_claim(&claim))) else { panic!("claimed") };
            let mut complete = complete(&claim, grant, b"one");
            change(&mut complete);
            let reply = wait(store.ask(Request::Complete(Arc::new(complete)))).unwrap();
            let Ok(Reply::Record(Some(record))) = wait(store.ask(Request::Get { token: claim.token })) else {
                panic!("it is there")
            };
            (reply, record.head.state, record.digest.clone(), record.function.clone(), record.result.clone())
        });
        assert_eq!(done[0], done[1], "{number}");
    }
}
