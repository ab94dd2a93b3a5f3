//! Waiting for the end of a running attempt: a long poll, of which there are only so many, and which ends with its
//! caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use idem::Token;
use idem::store::{Reply, Request};

use crate::device::{Caller, Device};

/// How long a store that cannot watch is left alone before it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a caller may still wait.
pub(crate) struct Wait {
    device: Arc<Device>,
    until: Instant,
}

impl Wait {
    /// At most so long, and at most as long as anybody may.
    pub(crate) fn new(device: &Arc<Device>, wait: Duration) -> Self {
        Wait { device: Arc::clone(device), until: Instant::now() + wait.min(device.limits.wait) }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero() || self.device.is_stopping()
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Waits until the attempt is over, its lease is, or the caller has waited long enough. Says nothing if there is no
    /// room for one more caller that waits.
    pub(crate) async fn watch(&self, caller: &Caller, token: Token, most: Duration) -> Option<Watched> {
        let _room = self.device.room()?;
        let limit = self.left().min(most);
        let watching = caller.store.ask(Request::Watch { token, limit });
        tokio::select! {
            answer = watching.into_future() => Some(match answer {
                Ok(Reply::Record(record)) => Watched::Record(record),
                Ok(_) => Watched::Nothing,
                Err(_) => {
                    tokio::time::sleep(limit.min(PAUSE)).await;
                    Watched::Nothing
                }
            }),
            () = self.device.stops() => Some(Watched::Nothing),
        }
    }
}

/// What a watch has seen.
pub(crate) enum Watched {
    Record(Option<Arc<idem::store::Record>>),
    /// Nothing that says anything: look again.
    Nothing,
}
