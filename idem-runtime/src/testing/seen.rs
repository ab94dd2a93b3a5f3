//! What happened to a call, as assertions.

use std::future::Future;

use crate::call::{Happened, Observed, observe, observe_blocking};

/// A call's result, and what happened to the call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Seen<T> {
    /// What the call gave.
    pub output: T,
    /// What happened to it.
    pub observed: Observed,
}

/// Awaits a call and sees what happens to it. As [`observe`](observe()), with assertions.
///
/// # Panics
/// If no call is made in this task.
///
/// ```
/// use idem::testing::{TestStore, seen, under};
///
/// #[idem::idempotent(name = "orders.charge")]
/// async fn charge(order_id: u64) -> Result<u64, idem::Error> {
///     Ok(order_id)
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let store = TestStore::new();
/// let first = seen(under(&store, charge(7))).await;
/// assert_eq!(first.assert_executed().assert_recorded().output.as_ref().unwrap(), &7);
/// seen(under(&store, charge(7))).await.assert_replayed();
/// # }
/// ```
pub async fn seen<F: Future>(call: F) -> Seen<F::Output> {
    let (output, observed) = observe(call).await;
    Seen { output, observed: observed.expect(NONE) }
}

/// As [`seen`], for plain functions.
///
/// # Panics
/// As [`seen`].
pub fn seen_blocking<T>(call: impl FnOnce() -> T) -> Seen<T> {
    let (output, observed) = observe_blocking(call);
    Seen { output, observed: observed.expect(NONE) }
}

const NONE: &str = "a call of a function that carries `#[idempotent]` is made inside";

impl<T> Seen<T> {
    #[track_caller]
    fn assert(&self, holds: bool, what: &str) -> &Self {
        assert!(holds, "the call of {} {what}: {:#?}", self.observed.function, self.observed);
        self
    }

    /// The body ran, and not without a record.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn assert_executed(&self) -> &Self {
        self.assert(self.observed.happened == Happened::Executed, "was to run its body")
    }

    /// The body did not run: a stored result was given.
    ///
    /// # Panics
    /// If none was.
    #[track_caller]
    pub fn assert_replayed(&self) -> &Self {
        self.assert(self.observed.happened == Happened::Replayed, "was to get a stored result")
    }

    /// The body did not run, and there was no result to give: an [`Error`](crate::Error) was given.
    ///
    /// # Panics
    /// If the call was not refused.
    #[track_caller]
    pub fn assert_refused(&self) -> &Self {
        self.assert(self.observed.happened == Happened::Refused, "was to be refused")
    }

    /// The call waited for another one that ran.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn assert_waited(&self) -> &Self {
        self.assert(self.observed.waited, "was to wait for another one")
    }

    /// The store holds what the call ended with.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn assert_recorded(&self) -> &Self {
        self.assert(self.observed.recorded, "was to be recorded")
    }
}
