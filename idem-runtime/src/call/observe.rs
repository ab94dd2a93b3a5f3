//! What happened to a call, seen from around it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::{Text, Timestamp, Token};

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Happened {
    /// The body ran.
    Executed,
    /// The body ran without a record: the store did not answer, and `on_store_error = run`.
    ExecutedUnprotected,
    /// A stored result was given.
    Replayed,
    /// An [`Error`](crate::Error) was given instead.
    Refused,
}

/// What happened to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// The signature text or name.
    pub function: Text,
    /// The call's token, where it was made.
    pub token: Option<Token>,
    /// What became of the call.
    pub happened: Happened,
    /// The number of the attempt that ran the body; 0 if it did not run.
    pub attempt: u32,
    /// Whether the call waited for a running one.
    pub waited: bool,
    /// Whether the store has answered that it holds what the call ended with: the result, or the token free
    /// again. `false` for a result over the limit, and while it is still being recorded in the background.
    pub recorded: bool,
    /// Of a replay: when the operation was first asked for.
    pub first_at: Option<Timestamp>,
    /// Of a replay: when it was completed.
    pub completed_at: Option<Timestamp>,
    /// Of a replay: until when duplicates are answered.
    pub expires_at: Option<Timestamp>,
}

impl Observed {
    pub(crate) fn new(function: Text, token: Option<Token>) -> Self {
        Observed {
            function,
            token,
            happened: Happened::Refused,
            attempt: 0,
            waited: false,
            recorded: false,
            first_at: None,
            completed_at: None,
            expires_at: None,
        }
    }

    /// Of a replay: how long ago the result was completed, by this machine's wall clock.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.completed_at.map(|at| Timestamp::now().since(at))
    }
}

/// Where the first call inside leaves what happened to it.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    taken: AtomicBool,
    seen: Mutex<Option<Observed>>,
}

impl Slot {
    pub(crate) fn leave(&self, observed: Observed) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(observed);
    }

    fn take(&self) -> Option<Observed> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

thread_local!(static OBSERVER: RefCell<Option<Arc<Slot>>> = const { RefCell::new(None) });

/// The slot of whoever observes this call, if it is the first one inside.
#[inline]
pub(crate) fn observer() -> Option<Arc<Slot>> {
    let slot = OBSERVER.try_with(|slot| slot.borrow().clone()).ok().flatten()?;
    (!slot.taken.swap(true, Ordering::AcqRel)).then_some(slot)
}

fn within<T>(slot: &Arc<Slot>, run: impl FnOnce() -> T) -> T {
    struct Back(Option<Arc<Slot>>);
    impl Drop for Back {
        fn drop(&mut self) {
            let before = self.0.take();
            let _ = OBSERVER.try_with(|slot| slot.replace(before));
        }
    }
    let _back = Back(OBSERVER.try_with(|slots| slots.replace(Some(Arc::clone(slot)))).ok().flatten());
    run()
}

pin_project! {
    /// The future of [`observe`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Observe<F> {
        #[pin]
        future: F,
        slot: Arc<Slot>,
    }
}

impl<F: Future> Future for Observe<F> {
    type Output = (F::Output, Option<Observed>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let output = ready!(within(this.slot, || this.future.poll(cx)));
        Poll::Ready((output, this.slot.take()))
    }
}

/// Awaits `future` and tells what happened to the first call inside, if there was one in this task.
///
/// ```
/// use idem::{Error, Happened, MemoryStore, idempotent, observe};
///
/// #[idempotent(name = "orders.charge", store = store, skip(store))]
/// async fn charge(store: &MemoryStore, order_id: u64) -> Result<u64, Error> {
///     Ok(order_id)
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), idem::Error> {
/// let store = MemoryStore::new();
/// let (_, first) = observe(charge(&store, 7)).await;
/// let (_, again) = observe(charge(&store, 7)).await;
/// assert_eq!(first.map(|seen| (seen.happened, seen.attempt, seen.recorded)), Some((Happened::Executed, 1, true)));
/// assert_eq!(again.map(|seen| seen.happened), Some(Happened::Replayed));
///
/// assert!(observe(async {}).await.1.is_none());
/// # Ok(()) }
/// ```
pub fn observe<F: Future>(future: F) -> Observe<F> {
    Observe { future, slot: Arc::default() }
}

/// As [`observe`], for plain functions.
///
/// ```
/// # use idem::{Error, Happened, MemoryStore};
/// let store = MemoryStore::new();
/// let charge = || idem::call("orders.charge").arg(&7_u64).store(&store).run_blocking(|| Ok::<_, Error>(7));
/// charge()?;
/// let (_, seen) = idem::observe_blocking(charge);
/// assert_eq!(seen.map(|seen| seen.happened), Some(Happened::Replayed));
/// # Ok::<(), Error>(())
/// ```
pub fn observe_blocking<T>(run: impl FnOnce() -> T) -> (T, Option<Observed>) {
    let slot = Arc::default();
    let output = within(&slot, run);
    (output, slot.take())
}
