//! Calls on Redis and on a Redis Cluster: what they cost the server, many processes at once, servers that die.

mod commands;
mod failover;
mod killed;
mod paused;
mod processes;

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::{Duration, Instant};

use idem_servers::Redis;

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

/// Makes calls that have all been asked before the server answers the first of them.
async fn together<F: Future>(server: &Redis, calls: Vec<F>) -> Vec<F::Output> {
    server.freeze();
    let mut calls: Vec<_> = calls.into_iter().map(|call| (Box::pin(call), None)).collect();
    let mut thawed = false;
    poll_fn(|cx| {
        let mut all = Poll::Ready(());
        for (call, result) in calls.iter_mut().filter(|(_, result)| result.is_none()) {
            match call.as_mut().poll(cx) {
                Poll::Ready(value) => *result = Some(value),
                Poll::Pending => all = Poll::Pending,
            }
        }
        if !std::mem::replace(&mut thawed, true) {
            server.thaw();
        }
        all
    })
    .await;
    calls.into_iter().map(|(_, result)| result.expect("all are over")).collect()
}
