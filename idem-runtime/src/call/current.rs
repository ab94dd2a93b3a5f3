//! The running attempt, as its body sees it.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::{Answer, AttemptId, Grant, Handle, Reply, Request, StoreError};
use crate::{Error, Text, Token};

/// One running attempt: what the guard, the keeper of the leases and the body share.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) store: Handle,
    pub(crate) function: Text,
    pub(crate) token: Token,
    pub(crate) attempt: AttemptId,
    pub(crate) grant: Grant,
    pub(crate) lease: Duration,
    /// The attempt in whose body this one was called.
    pub(crate) parent: Option<Arc<Running>>,
    lost: AtomicBool,
    told: Notify,
}

impl Running {
    pub(crate) fn new(
        store: Handle,
        function: Text,
        claim: &crate::store::Claim,
        grant: Grant,
        parent: Option<Arc<Running>>,
    ) -> Self {
        Running {
            store,
            function,
            token: claim.token,
            attempt: claim.attempt,
            grant,
            lease: claim.lease,
            parent,
            lost: AtomicBool::new(false),
            told: Notify::new(),
        }
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    pub(crate) fn renewal(&self) -> Request {
        Request::Renew { token: self.token, attempt: self.attempt, lease: self.lease }
    }

    fn checked(&self, answer: Answer) -> Result<(), Error> {
        let lost = || Error::LeaseLost { function: self.function.clone(), token: self.token };
        let failed =
            |source| Error::Store { function: self.function.clone(), token: Some(self.token), source };
        match answer {
            Ok(Reply::Renewed) if self.lost.load(Ordering::Acquire) => Err(lost()),
            Ok(Reply::Renewed) => Ok(()),
            Ok(Reply::LeaseLost { .. }) => {
                self.lose();
                Err(lost())
            }
            Ok(other) => {
                let name = self.store.profile().name.clone();
                Err(failed(StoreError::refused(name, format!("answered a renewal with {other:?}"))))
            }
            Err(source) => Err(failed(source)),
        }
    }
}

/// In whose body something runs.
#[derive(Debug, Clone)]
pub(crate) struct Within {
    /// The attempt whose body it is. Of a body that runs unprotected it is what its claim may have become without
    /// anybody knowing, or else the attempt around it.
    pub(crate) innermost: Option<Arc<Running>>,
    /// Whether the body runs unprotected, and so has no attempt that it could know of.
    pub(crate) unprotected: bool,
}

impl Within {
    /// In no body.
    pub(crate) const NONE: Within = Within { innermost: None, unprotected: false };

    /// Runs a part of the body.
    pub(crate) fn enter<T>(&self, run: impl FnOnce() -> T) -> T {
        struct Back(Within);
        impl Drop for Back {
            fn drop(&mut self) {
                let before = std::mem::take(&mut self.0);
                let _ = CURRENT.try_with(|current| current.replace(before));
            }
        }
        let _back = Back(CURRENT.try_with(|current| current.replace(self.clone())).unwrap_or(Within::NONE));
        run()
    }
}

impl Default for Within {
    fn default() -> Self {
        Within::NONE
    }
}

thread_local!(static CURRENT: RefCell<Within> = const { RefCell::new(Within::NONE) });

/// The attempt in whose body this thread is, if only for those who would wait for it.
pub(crate) fn running() -> Option<Arc<Running>> {
    CURRENT.try_with(|current| current.borrow().innermost.clone()).ok().flatten()
}

/// Whether this thread is in the body of an attempt of this token on this store, however deep.
pub(crate) fn is_within(innermost: Option<&Arc<Running>>, token: Token, store: &Handle) -> bool {
    let mut next = innermost;
    while let Some(running) = next {
        if running.token == token && running.store.same(store) {
            return true;
        }
        next = running.parent.as_ref();
    }
    false
}

/// The attempt that this body is an execution of; nothing outside of bodies, and in one that runs unprotected.
///
/// It is there within the task or thread of the call, not in what the body spawns: take it along.
///
/// ```
/// use idem::{Error, MemoryStore, idempotent};
///
/// #[idempotent(name = "orders.charge", store = store, skip(store))]
/// async fn charge(store: &MemoryStore, order_id: u64) -> Result<u32, Error> {
///     Ok(idem::current().expect("in a body there is an attempt").number())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), idem::Error> {
/// assert_eq!(charge(&MemoryStore::new(), 7).await?, 1);
/// assert!(idem::current().is_none());
/// # Ok(()) }
/// ```
#[must_use]
pub fn current() -> Option<CurrentAttempt> {
    let protected = CURRENT.try_with(|current| !current.borrow().unprotected).unwrap_or(false);
    protected.then(running).flatten().map(CurrentAttempt)
}

/// The running attempt.
#[derive(Clone)]
pub struct CurrentAttempt(Arc<Running>);

impl CurrentAttempt {
    /// The call's token.
    #[must_use]
    pub fn token(&self) -> Token {
        self.0.token
    }

    /// The signature text or name of the function.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.0.function
    }

    /// The attempt's id.
    #[must_use]
    pub fn id(&self) -> AttemptId {
        self.0.attempt
    }

    /// A number that only grows per token: pass it on to what can refuse a smaller one, so that an attempt that
    /// was replaced changes nothing there any more.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.0.grant.fence
    }

    /// The attempt's number, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.grant.number
    }

    /// The fence of the first attempt of the present record: the same for every attempt of one operation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.grant.generation
    }

    /// A text for the next service's own idempotency key: the same for every attempt of this operation, and
    /// another for each label.
    ///
    /// A service that replays failures per key replays them here, too.
    ///
    /// ```
    /// # use idem::{Error, MemoryStore};
    /// # fn main() -> Result<(), Error> {
    /// let key = idem::call("orders.charge").arg(&7_u64).store(&MemoryStore::new()).run_blocking(|| {
    ///     let attempt = idem::current().expect("in a body there is an attempt");
    ///     Ok::<_, Error>(attempt.idempotency_key("payment"))
    /// })?;
    /// assert!(key.ends_with("-payment"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn idempotency_key(&self, label: &str) -> String {
        let mut key = String::with_capacity(64 + 1 + 20 + 1 + label.len());
        write!(key, "{}-{}-{label}", self.0.token, self.0.grant.generation)
            .expect("a String takes every text");
        key
    }

    /// Asks the store whether the lease is still this attempt's, and renews it.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] if another attempt has replaced this one, [`Error::Store`] if the store gives no
    /// answer. Dropped, it has no effect but a renewal.
    ///
    /// ```
    /// # use idem::{Error, MemoryStore};
    /// # async fn send_report() {}
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// idem::call("reports.send").store(&MemoryStore::new()).run(async {
    ///     let attempt = idem::current().expect("in a body there is an attempt");
    ///     // … long work …
    ///     attempt.check().await?;
    ///     send_report().await;
    ///     Ok::<_, Error>(())
    /// }).await?;
    /// # Ok(()) }
    /// ```
    pub async fn check(&self) -> Result<(), Error> {
        self.0.checked(self.0.store.ask(self.0.renewal()).await)
    }

    /// As [`CurrentAttempt::check`], for a plain function: blocks until the store answers.
    ///
    /// # Errors
    /// As [`CurrentAttempt::check`].
    pub fn check_blocking(&self) -> Result<(), Error> {
        let asked = crate::io::io().instead(|| self.0.store.ask(self.0.renewal()));
        self.0.checked(super::blocking::answer(asked.into_future(), &self.0.store))
    }

    /// Returns once a renewal was answered with *lease lost*: another attempt may run. It never returns while
    /// the lease is kept, so use it in a `select!`.
    ///
    /// ```
    /// # use idem::{Error, MemoryStore};
    /// # async fn make_report() -> Result<u64, Error> { Ok(3) }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// let pages = idem::call("reports.make").store(&MemoryStore::new()).run(async {
    ///     let attempt = idem::current().expect("in a body there is an attempt");
    ///     tokio::select! {
    ///         report = make_report() => report,
    ///         () = attempt.lost() => Err(attempt.check().await.unwrap_err()),
    ///     }
    /// }).await?;
    /// assert_eq!(pages, 3);
    /// # Ok(()) }
    /// ```
    pub async fn lost(&self) {
        loop {
            let told = self.0.told.notified();
            if self.0.lost.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }

    /// Whether a renewal was answered with *lease lost*, without asking anybody.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.lost.load(Ordering::Acquire)
    }
}

impl fmt::Debug for CurrentAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentAttempt")
            .field("function", &self.0.function)
            .field("token", &self.0.token)
            .field("attempt", &self.0.attempt)
            .field("number", &self.0.grant.number)
            .field("fence", &self.0.grant.fence)
            .field("generation", &self.0.grant.generation)
            .finish()
    }
}
