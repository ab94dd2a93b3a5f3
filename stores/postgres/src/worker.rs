//! What is always at work on the library's thread: the connections, the clock, and the removal of what has expired.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use idem_runtime::store::{Reply, Request, StoreError};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use tokio::time::{sleep, timeout};

use crate::shared::Shared;
use crate::{carry, connect, server};

/// How many requests share a statement and a commit at most.
const BATCH: usize = 64;
/// How long a connection rests before the next is tried, at first and at most.
const FIRST: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_millis(500);
/// How long a connection may be silent before it is looked at: proxies and firewalls forget silent ones.
const SILENT: Duration = Duration::from_secs(30);
/// How often the clock is looked at, while something waits and while nothing does.
const TICK: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(1);
/// How many expired records are removed at once, and how long it rests before it looks again.
const STEP: usize = 500;
const REST: Duration = Duration::from_secs(10);

/// Keeps one connection open, and carries out what waits.
pub(crate) async fn work(shared: Arc<Shared>, mut first: Option<PgConnection>) {
    let mut pause = FIRST;
    loop {
        let opened = match first.take() {
            Some(connection) => Ok(connection),
            None => open(&shared).await,
        };
        match opened {
            Ok(mut connection) => {
                pause = FIRST;
                shared.up();
                let end = serve(&shared, &mut connection).await;
                shared.down();
                match end {
                    None => return drop(timeout(IDLE, connection.close()).await),
                    Some(error) => {
                        tracing::debug!(store = %shared.name, %error, "a connection was lost");
                        shared.trouble(shared.connecting(error));
                    }
                }
            }
            Err(error) => {
                tracing::debug!(store = %shared.name, %error, "no connection");
                shared.trouble(error);
            }
        }
        if shared.queue.is_closed() {
            return;
        }
        sleep(between(pause / 2, pause)).await;
        pause = (pause * 2).min(LAST);
    }
}

/// Opens a connection. What it leads to may not be what it was.
async fn open(shared: &Shared) -> Result<PgConnection, StoreError> {
    let mut connection = connect::connection(&shared.session, &shared.builder)
        .await
        .map_err(|error| shared.connecting(error))?;
    let check = server::check(&mut connection, &shared.names, &shared.name);
    match timeout(shared.builder.time_limit, check).await {
        Ok(checked) => checked.map(|_| connection),
        Err(_) => Err(shared.connecting(silent())),
    }
}

fn silent() -> Error {
    Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within the time limit"))
}

/// A duration between two, at random: those who lost their connections together do not come back together.
fn between(least: Duration, most: Duration) -> Duration {
    // A new hasher is keyed at random.
    let random = RandomState::new().hash_one(()) % 1_000;
    least + (most - least).mul_f64(random as f64 / 1_000.0)
}

/// Carries out what waits until the connection is lost (why), or nothing is left to do.
async fn serve(shared: &Shared, connection: &mut PgConnection) -> Option<Error> {
    let most = if shared.builder.pooled { 1 } else { BATCH };
    loop {
        let mut batch = match timeout(SILENT, shared.queue.take(most)).await {
            Ok(Some(batch)) => carry::Batch::new(batch),
            Ok(None) => return None,
            Err(_) => match timeout(shared.builder.time_limit, connection.ping()).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => return Some(error),
                Err(_) => return Some(silent()),
            },
        };
        let carried = timeout(shared.left(batch.since()), carry::out(shared, connection, &mut batch)).await;
        let error = match carried {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error,
            // It may come late; nobody reads it any more.
            Err(_) => silent(),
        };
        shared.queue.put_back(batch.left());
        // Before another connection takes what is late.
        shared.give_up();
        return Some(error);
    }
}

/// Answers what has waited for too long, until the store is closed.
pub(crate) async fn keep_time(shared: Arc<Shared>) {
    while !shared.queue.is_closed() {
        sleep(if shared.queue.is_empty() { IDLE } else { TICK }).await;
        shared.give_up();
    }
}

/// Removes what has expired, in small steps with pauses between them, while the store is used.
pub(crate) async fn tidy(shared: Arc<Shared>) {
    loop {
        sleep(between(REST / 2, REST)).await;
        if shared.queue.is_closed() {
            return;
        }
        if shared.made.swap(0, Ordering::Relaxed) == 0 {
            continue;
        }
        loop {
            let began = std::time::Instant::now();
            match shared.ask(&carry::EVERYWHERE, Request::Purge { limit: STEP }).await {
                Ok(Reply::Purged(STEP..)) if !shared.queue.is_closed() => {
                    // Four fifths of the time are left to others.
                    sleep(began.elapsed() * 4).await;
                }
                // What fails here is tried again later; what is asked for fails loudly on its own.
                _ => break,
            }
        }
    }
}
