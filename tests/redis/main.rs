//! Calls on Redis and on a Redis Cluster: what they cost the server, many processes at once, servers that die.

mod commands;
mod failover;
mod killed;
mod paused;
mod processes;

use std::time::{Duration, Instant};

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
