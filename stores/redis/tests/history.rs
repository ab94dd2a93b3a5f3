//! The history checker on servers that processes share, while they are killed and stopped and their connections cut.

use idem_redis::RedisStore;
use idem_runtime::conformance::history::{self, History};
use idem_servers::{Redis, RedisCluster};

#[test]
fn whatever_dies() {
    history::worker(RedisStore::connect_blocking);
    let Some(server) = Redis::start() else { return };
    let url = server.url();
    let again = || history::this_test("whatever_dies");
    let history = History::new()
        .kills(10)
        .stops(5)
        .lost(100)
        .disturb("connections cut", move || server.cut_connections());
    let report = history.processes(&url, again);
    println!("{report}");
    report.assert();
    assert!(report.count("bodies run again") > 0, "{report}");
}

#[test]
fn whatever_dies_on_a_cluster() {
    history::worker(RedisStore::connect_blocking);
    let Some(cluster) = RedisCluster::start() else { return };
    let url = cluster.urls()[0].replace("redis:", "redis-cluster:");
    let again = || history::this_test("whatever_dies_on_a_cluster");
    let cut = move || cluster.nodes().iter().for_each(Redis::cut_connections);
    let history = History::new().kills(10).stops(5).lost(100).disturb("connections cut", cut);
    let report = history.processes(&url, again);
    println!("{report}");
    report.assert();
    assert!(report.count("bodies run again") > 0, "{report}");
}
