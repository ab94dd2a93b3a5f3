//! The library's own thread, `idem-io`: it opens the stores' connections, keeps leases and time limits by the
//! real clock, and carries what must go on when a caller goes away.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{Thread, ThreadId};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};

use crate::Text;
use crate::store::{Answer, Pending, Reply};

/// The library's own thread, with a runtime of its own.
///
/// What is started here goes on when the caller's runtime is shut down, and its timers follow the real clock
/// even where a test has paused the caller's.
#[derive(Debug)]
pub struct Io {
    runtime: Handle,
    thread: ThreadId,
    open: Arc<Open>,
}

/// The library's own thread; the first use starts it.
///
/// # Panics
/// If the operating system gives no thread.
pub fn io() -> &'static Io {
    static IO: OnceLock<Io> = OnceLock::new();
    IO.get_or_init(|| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("idem-io: the operating system gives what a runtime needs");
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new()
            .name("idem-io".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .expect("idem-io: the operating system gives a thread");
        Io { runtime: handle, thread: thread.thread().id(), open: Arc::default() }
    })
}

impl Io {
    /// Starts an operation of a store. It goes on whether the answer is waited for or not; `store` names it if
    /// the answer is lost.
    ///
    /// ```
    /// use idem_runtime::{io, store::Reply};
    /// let pending = io().spawn("example:", async { Ok(Reply::Released) });
    /// assert_eq!(pending.wait(None).unwrap().unwrap(), Reply::Released);
    /// ```
    pub fn spawn(
        &self,
        store: impl Into<Text>,
        operation: impl Future<Output = Answer> + Send + 'static,
    ) -> Pending {
        let (responder, pending) = Pending::channel(store);
        drop(self.runtime.spawn(async move { responder.answer(operation.await) }));
        pending
    }

    /// Runs what blocks on a thread of its own, and gives what it gives.
    ///
    /// # Panics
    /// As `run` does.
    pub fn block<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + Unpin + 'static {
        let mut task = self.runtime.spawn_blocking(run);
        std::future::poll_fn(move |cx| match ready!(Pin::new(&mut task).poll(cx)) {
            Ok(output) => Poll::Ready(output),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                // The library's runtime is never shut down.
                Err(_) => Poll::Pending,
            },
        })
    }

    /// Starts work that [`Io::idle`] waits for: what is still being recorded.
    pub(crate) fn record(&self, work: impl Future<Output = ()> + Send + 'static) {
        let open = OneOpen::new(&self.open);
        drop(self.runtime.spawn(async move {
            work.await;
            drop(open);
        }));
    }

    /// Starts work that nothing waits for.
    pub(crate) fn keep(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work));
    }

    /// Is answered after so long by the real clock.
    ///
    /// ```
    /// use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// idem_runtime::io().pause(Duration::from_millis(1)).await.unwrap();
    /// # }
    /// ```
    pub fn pause(&self, delay: Duration) -> Pending {
        self.spawn("idem-io", async move {
            tokio::time::sleep(delay).await;
            Ok(Reply::Record(None))
        })
    }

    /// Runs `then` after so long by the real clock, on this thread, unless what it gives is dropped before.
    pub(crate) fn after(&self, delay: Duration, then: impl FnOnce() + Send + 'static) -> Timer {
        let task = self.runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            then();
        });
        Timer(task.abort_handle())
    }

    /// Asks for a thread that blocks until the answer is there: a store must not leave the work to the runtime that the
    /// thread belongs to, which it may hold up.
    pub(crate) fn instead<T>(&self, ask: impl FnOnce() -> T) -> T {
        let _entered = Handle::try_current().is_ok().then(|| self.runtime.enter());
        ask()
    }

    /// Whether this is the library's own thread, which must not wait for itself.
    pub(crate) fn is_here(&self) -> bool {
        std::thread::current().id() == self.thread
    }

    /// Waits until nothing is being recorded any more, at most so long; says whether that was reached.
    pub(crate) fn idle(&self, limit: Duration) -> bool {
        let count = self.open.lock();
        let busy = |count: &mut usize| *count > 0;
        let waited = self.open.none.wait_timeout_while(count, limit, busy);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

/// A timer that stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Timer(tokio::task::AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How much is still being recorded.
#[derive(Debug, Default)]
struct Open {
    count: Mutex<usize>,
    none: Condvar,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct OneOpen(Arc<Open>);

impl OneOpen {
    fn new(open: &Arc<Open>) -> Self {
        *open.lock() += 1;
        OneOpen(Arc::clone(open))
    }
}

impl Drop for OneOpen {
    fn drop(&mut self) {
        let mut count = self.0.lock();
        *count -= 1;
        if *count == 0 {
            self.0.none.notify_all();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread, at most so long.
fn drive<F: Future + Unpin>(future: &mut F, limit: Option<Duration>) -> Option<F::Output> {
    // A limit beyond what the clock can say is none.
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut *future).poll(&mut context) {
            return Some(output);
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(left) if left.is_zero() => return None,
            Some(left) => std::thread::park_timeout(left),
            None => std::thread::park(),
        }
    }
}

/// Drives one pending answer on this thread, at most so long.
pub(crate) fn block_on(mut pending: Pending, limit: Option<Duration>) -> Result<Answer, Pending> {
    drive(&mut pending, limit).ok_or(pending)
}

/// Drives a future on this thread to its end. It must not need the caller's runtime.
pub(crate) fn wait_for<F: Future + Unpin>(mut future: F) -> F::Output {
    match drive(&mut future, None) {
        Some(output) => output,
        None => unreachable!("without a limit a future is driven to its end"),
    }
}

/// Runs what a user gave, so that a panic in it can be passed on later.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> std::thread::Result<T> {
    // Honest: the payload is resumed and nothing that the panic may have broken is looked at before.
    std::panic::catch_unwind(AssertUnwindSafe(run))
}
