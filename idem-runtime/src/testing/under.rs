//! Calls under a store of the test's.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::call::under::{self as calls, UnderFuture};
use crate::store::IntoStore;

pin_project! {
    /// The future of [`under()`].
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Under<F> {
        #[pin]
        future: UnderFuture<F>,
    }
}

impl<F: Future> Future for Under<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<F> fmt::Debug for Under<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Under").finish_non_exhaustive()
    }
}

/// Awaits `future`, and puts every call that is made in its task under `store`, whatever store the call has of its own:
/// the process's, or one of `store = …`. It needs no [`install`](https://docs.rs/idem-rs/latest/idem/fn.install.html).
///
/// What the future spawns is not under the store; put that under it, too.
///
/// ```
/// use idem::MemoryStore;
/// use idem::testing::under;
///
/// #[idem::idempotent(name = "orders.charge")]
/// async fn charge(order_id: u64) -> Result<u64, idem::Error> {
///     Ok(order_id)
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), idem::Error> {
/// assert_eq!(under(&MemoryStore::new(), charge(7)).await?, 7);
/// assert!(charge(7).await.is_err()); // no store is installed here
/// # Ok(()) }
/// ```
pub fn under<F: Future>(store: impl IntoStore, future: F) -> Under<F> {
    let under = calls::Under { store: store.into_store(), hears: None };
    Under { future: UnderFuture::new(Some(Arc::new(under)), future) }
}

/// As [`under()`], for plain functions: every call that `run` makes on this thread is under `store`.
///
/// ```
/// use idem::MemoryStore;
/// use idem::testing::under_blocking;
///
/// let answer = under_blocking(&MemoryStore::new(), || {
///     idem::call("orders.charge").run_blocking(|| Ok::<_, idem::Error>(7))
/// });
/// assert_eq!(answer.unwrap(), 7);
/// ```
pub fn under_blocking<T>(store: impl IntoStore, run: impl FnOnce() -> T) -> T {
    let under = calls::Under { store: store.into_store(), hears: None };
    calls::within(&Arc::new(under), run)
}
