//! The keeper of the leases: renews them on `idem-io`, at a third of the lease, counted from before the claim
//! was sent, so that bodies that block or never yield are believed alive, too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::current::Running;
use crate::io::io;
use crate::store::Reply;

/// The leases that are kept, by when they are due.
#[derive(Debug, Default)]
struct Keeper {
    state: Mutex<State>,
    earlier: Notify,
}

#[derive(Debug, Default)]
struct State {
    due: BTreeMap<(Instant, u64), Arc<Lease>>,
    next_id: u64,
    /// When the keeper looks again by itself; nothing while it sleeps for good.
    wakes_at: Option<Instant>,
}

#[derive(Debug)]
struct Lease {
    id: u64,
    running: Arc<Running>,
    /// From then on it is not renewed any more.
    until: Option<Instant>,
    /// Where it stands among the due ones, as long as it does.
    due: Mutex<Instant>,
    over: AtomicBool,
}

/// A lease that is kept until this is dropped.
#[derive(Debug)]
pub(crate) struct Kept(Arc<Lease>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        let mut state = keeper().lock();
        let due = *self.0.due.lock().unwrap_or_else(PoisonError::into_inner);
        state.due.remove(&(due, self.0.id));
    }
}

/// Keeps the lease of an attempt whose claim was sent at this moment.
pub(crate) fn keep(running: Arc<Running>, sent: Instant, max_run: Option<Duration>) -> Kept {
    let keeper = keeper();
    let until = max_run.and_then(|most| sent.checked_add(most));
    let due = sent + running.lease / 3;
    let lease = {
        let mut state = keeper.lock();
        state.next_id += 1;
        let id = state.next_id;
        Arc::new(Lease { id, running, until, due: Mutex::new(due), over: AtomicBool::new(false) })
    };
    keeper.put(Arc::clone(&lease), due);
    Kept(lease)
}

fn keeper() -> &'static Keeper {
    static KEEPER: OnceLock<Keeper> = OnceLock::new();
    static STARTED: Once = Once::new();
    let keeper = KEEPER.get_or_init(Keeper::default);
    STARTED.call_once(|| io().keep(keeper.run()));
    keeper
}

impl Keeper {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, lease: Arc<Lease>, due: Instant) {
        let mut state = self.lock();
        if lease.over.load(Ordering::Acquire) {
            return;
        }
        *lease.due.lock().unwrap_or_else(PoisonError::into_inner) = due;
        state.due.insert((due, lease.id), lease);
        // Most leases are alike, so that a new one is due after the others and nobody is woken.
        if state.wakes_at.is_none_or(|at| due < at) {
            state.wakes_at = Some(due);
            drop(state);
            self.earlier.notify_one();
        }
    }

    async fn run(&'static self) {
        loop {
            let (now, wakes_at) = {
                let mut state = self.lock();
                let now = Instant::now();
                let later = state.due.split_off(&(now, u64::MAX));
                let due = std::mem::replace(&mut state.due, later);
                state.wakes_at = state.due.first_key_value().map(|((at, _), _)| *at);
                let wakes_at = state.wakes_at;
                drop(state);
                for lease in due.into_values() {
                    self.renew(lease, now);
                }
                (now, wakes_at)
            };
            match wakes_at {
                // Whichever comes first: the next one due, or a new one before it.
                Some(at) => {
                    let left = at.saturating_duration_since(now);
                    let _ = tokio::time::timeout(left, self.earlier.notified()).await;
                }
                None => self.earlier.notified().await,
            }
        }
    }

    fn renew(&'static self, lease: Arc<Lease>, now: Instant) {
        if lease.over.load(Ordering::Acquire) {
            return;
        }
        if lease.until.is_some_and(|until| now >= until) {
            tracing::warn!(
                function = %lease.running.function, token = %lease.running.token,
                "the attempt runs longer than its max_run; its lease is not renewed any more"
            );
            return;
        }
        let asked = lease.running.store.ask(lease.running.renewal());
        io().keep(async move {
            let answer = asked.await;
            if lease.over.load(Ordering::Acquire) {
                return;
            }
            let third = lease.running.lease / 3;
            match answer {
                Ok(Reply::LeaseLost { .. }) => {
                    tracing::warn!(
                        function = %lease.running.function, token = %lease.running.token,
                        attempt = lease.running.grant.number, "lease lost: another attempt may run"
                    );
                    lease.running.lose();
                }
                Ok(_) => self.put(lease, now + third),
                Err(error) => {
                    tracing::warn!(
                        function = %lease.running.function, token = %lease.running.token, %error,
                        "the lease was not renewed; it will be asked again"
                    );
                    let soon = (third / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
                    self.put(lease, Instant::now() + soon);
                }
            }
        });
    }
}
