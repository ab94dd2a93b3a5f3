//! What all requests share.

use std::sync::Arc;
use std::time::Duration;

use idem::Text;
use idem::store::{Handle, Reply, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::history::History;
use crate::keys::KeyFile;
use crate::metrics::Metrics;
use crate::page;
use crate::problem::{Kind, Problem};
use crate::stores::Stores;

/// How much is taken of what clients may ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of a body.
    pub(crate) body: usize,
    /// How long a body may take to arrive.
    pub(crate) body_time: Duration,
    /// How many callers may wait at once.
    pub(crate) waiting: usize,
    /// How long one of them may.
    pub(crate) wait: Duration,
}

/// What all requests share.
pub(crate) struct Device {
    pub(crate) stores: Stores,
    /// Who may ask; nothing where everybody may.
    pub(crate) keys: Option<KeyFile>,
    /// Whether only this machine's own names are answered to, so that no page in a browser can get here under another.
    pub(crate) loopback_only: bool,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) history: History,
    pub(crate) page: page::Kept,
    waiting: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

/// A store that was found for a request: one namespace.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) namespace: Text,
    pub(crate) store: Handle,
}

impl Device {
    pub(crate) fn new(
        stores: Stores,
        keys: Option<KeyFile>,
        loopback_only: bool,
        limits: Limits,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let waiting = Arc::new(Semaphore::new(limits.waiting));
        Device {
            stores,
            keys,
            loopback_only,
            limits,
            metrics: Metrics::new(),
            history: History::new(),
            page: page::Kept::new(),
            waiting,
            stopping,
        }
    }

    /// Whose key this is, and where their records are.
    pub(crate) async fn caller(&self, authorization: Option<&str>) -> Result<Caller, Problem> {
        let Some(keys) = &self.keys else {
            return Ok(Caller { namespace: Text::EMPTY, store: self.stores.base().clone() });
        };
        let Some(namespace) = keys.find(authorization) else {
            return Err(Problem::new(
                Kind::NO_KEY,
                "send `Authorization: Bearer KEY`, with a key of this device",
            ));
        };
        match self.stores.namespace(&namespace).await {
            Ok(store) => Ok(Caller { namespace, store }),
            Err(error) => {
                tracing::error!(%namespace, %error, "the namespace cannot be opened");
                Err(Problem::new(Kind::STORE, "the store cannot be opened").after(Duration::from_secs(1)))
            }
        }
    }

    /// Room for one more caller that waits, if there is.
    pub(crate) fn room(self: &Arc<Self>) -> Option<Waiting> {
        let permit = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        self.metrics.waiting.inc();
        Some(Waiting { device: Arc::clone(self), _permit: permit })
    }

    /// Ends when the device is about to stop.
    pub(crate) async fn stops(&self) {
        let mut stopping = self.stopping.clone();
        // The sender is there as long as the server is.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// One caller that waits.
pub(crate) struct Waiting {
    device: Arc<Device>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.device.metrics.waiting.dec();
    }
}

impl Caller {
    /// Asks the store.
    pub(crate) async fn ask(&self, request: Request) -> Result<Reply, Problem> {
        let operation = request.operation();
        self.store.ask(request).await.map_err(|error| Problem::store(operation, &error))
    }
}
