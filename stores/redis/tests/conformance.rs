//! The public suite for stores.

use idem_redis::RedisStore;
use idem_runtime::conformance::Suite;
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
