//! The public suite for stores.

use idem_redis::RedisStore;
use idem_runtime::conformance::Suite;
use idem_servers::{Redis};

#[test]
fn the_suite_passes_on_one_server() {
    let Some(server) = Redis::start() else { return };
    let url = server.url();
    let elsewhere = format!("{url}?namespace=other");
    Suite::new()
        .shared()
        .elsewhere(move || RedisStore::connect_blocking(&elsewhere).unwrap())
        .run(|| RedisStore::connect_blocking(&url).unwrap())
        .assert();
}
