//! Calls on PostgreSQL: what they cost the server, many processes at once, a server that dies, an application that
//! holds all of its own connections.

mod commands;
mod killed;
mod paused;
mod pool;
mod processes;

use std::time::{Duration, Instant};

use idem::PostgresStore;
use idem_servers::Postgres;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again until it is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < end, "not in {PATIENCE:?}: {what}");
        tokio::task::yield_now().await;
    }
}

/// The URL of a database with the tables in it.
async fn database(server: &Postgres) -> String {
    let url = server.database();
    PostgresStore::migrate(&url).await.unwrap();
    url
}
