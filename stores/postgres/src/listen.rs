//! The one connection that hears when attempts end. It is opened when somebody waits for the first time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use idem_runtime::Token;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Error, Executor};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::shared::Shared;
use crate::sql::CHANNEL;

/// How long a waiter waits for the connection before it looks without it.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long it rests before it connects again.
const REST: Duration = Duration::from_millis(250);
/// How often it is seen whether the store is closed, and after how much silence the connection is looked at.
const GLANCE: Duration = Duration::from_secs(1);
const SILENT: u32 = 15;

#[derive(Debug)]
pub(crate) struct Listener {
    started: AtomicBool,
    up: watch::Sender<bool>,
}

impl Default for Listener {
    fn default() -> Self {
        Listener { started: AtomicBool::new(false), up: watch::Sender::new(false) }
    }
}

impl Shared {
    /// Whether somebody listens. Who waits for the first time waits a moment for it.
    pub(crate) async fn listens(self: &Arc<Self>, first: bool) -> bool {
        if !self.notifies() {
            return false;
        }
        if !first {
            return *self.listener.up.borrow();
        }
        if !self.listener.started.swap(true, Ordering::Relaxed) {
            self.spawn(listen(Arc::clone(self)));
        }
        let mut up = self.listener.up.subscribe();
        if *up.borrow() {
            return true;
        }
        timeout(PATIENCE, up.wait_for(|up| *up)).await.is_ok_and(|up| up.is_ok())
    }
}

async fn listen(shared: Arc<Shared>) {
    while !shared.queue.is_closed() {
        if let Err(error) = hear(&shared).await {
            tracing::debug!(store = %shared.name, %error, "the listening connection was lost");
        }
        shared.listener.up.send_replace(false);
        // They look now and then from now on.
        shared.watches.all();
        sleep(REST).await;
    }
}

/// Hears until the connection is lost, or the store is closed.
async fn hear(shared: &Shared) -> Result<(), Error> {
    // One connection and no limits: the listener wants a pool to take it from.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(shared.builder.time_limit)
        .connect_lazy_with(shared.session.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.ignore_pool_close_event(true);
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    shared.listener.up.send_replace(true);
    // What was told before is looked for.
    shared.watches.all();
    let mut silent = 0;
    while !shared.queue.is_closed() {
        match timeout(GLANCE, listener.try_recv()).await {
            Ok(Ok(Some(told))) => {
                silent = 0;
                if let Ok(token) = told.payload().parse::<Token>() {
                    shared.watches.told(token);
                }
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) if silent < SILENT => silent += 1,
            Err(_) => {
                silent = 0;
                if timeout(shared.builder.time_limit, listener.execute("SELECT 1")).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
