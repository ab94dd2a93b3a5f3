//! What becomes of operations and calls whose connections break.

mod breaks;

use idem_servers::{Postgres, Redis};

#[test]
fn redis() {
    let Some(server) = Redis::start() else { return };
    breaks::run(&server.url());
}

#[test]
fn postgres() {
    let Some(server) = Postgres::start_with(&[("fsync", "off"), ("max_connections", "300")]) else { return };
    let url = server.database();
    idem::PostgresStore::migrate_blocking(&url).expect("a new database takes the tables");
    breaks::run(&url);
}
