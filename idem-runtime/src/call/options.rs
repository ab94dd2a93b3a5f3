//! What a call is told beside its arguments.

use std::time::Duration;

use crate::store::OnInterrupt;

/// What a duplicate of a running call gets.
///
/// ```
/// # use idem::{Error, MemoryStore, OnRunning};
/// let store = MemoryStore::new();
/// let call = || idem::call("reports.make").store(&store).on_running(OnRunning::Reject);
/// call().run_blocking(|| {
///     // A duplicate that comes from elsewhere while the body runs:
///     let duplicate = || call().run_blocking(|| Ok::<_, Error>(())).unwrap_err();
///     let refused = std::thread::scope(|scope| scope.spawn(duplicate).join()).unwrap();
///     assert!(matches!(refused, Error::Running { .. }) && refused.is_retryable());
///     Ok::<_, Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnRunning {
    /// It waits for the first call.
    Wait,
    /// [`Error::Running`](crate::Error::Running) at once.
    Reject,
}

/// What becomes of a call whose claim could not be made.
///
/// ```
/// # use idem::{Error, MemoryStore, OnStoreError};
/// // It refuses every first call: not one record fits.
/// let full = MemoryStore::builder().max_records(0).build();
/// let call = || idem::call("mails.send").store(&full);
/// assert!(matches!(call().run_blocking(|| Ok(())), Err(Error::Store { .. })));
/// call().on_store_error(OnStoreError::Run).run_blocking(|| Ok::<_, Error>(()))?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnStoreError {
    /// [`Error::Store`](crate::Error::Store); the body does not run.
    Fail,
    /// The body runs unprotected; an `Ok` is recorded once the store answers.
    Run,
}

/// What a call is told beside its arguments: what is not set has its default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub(crate) ttl: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    pub(crate) wait: Option<Duration>,
    pub(crate) max_run: Option<Duration>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) max_result: Option<usize>,
    pub(crate) on_running: Option<OnRunning>,
    pub(crate) on_interrupt: Option<OnInterrupt>,
    pub(crate) on_store_error: Option<OnStoreError>,
    pub(crate) record_arguments: bool,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $kind:ty;)*) => {
        impl Options {
            /// Every option at its default.
            #[must_use]
            pub const fn new() -> Self {
                Options {
                    ttl: None, lease: None, wait: None, max_run: None, max_attempts: None, max_result: None,
                    on_running: None, on_interrupt: None, on_store_error: None, record_arguments: false,
                }
            }

            $($(#[$doc])* #[must_use] pub const fn $name(mut self, $name: $kind) -> Self {
                self.$name = Some($name);
                self
            })*

            /// The record keeps the signature text, the key's values and the verified arguments.
            #[must_use]
            pub const fn record_arguments(mut self) -> Self {
                self.record_arguments = true;
                self
            }
        }

        impl<D, X, M, C> super::Call<D, X, M, C> {
            $($(#[$doc])* pub fn $name(mut self, $name: $kind) -> Self {
                self.prepared.options.$name = Some($name);
                self
            })*

            /// The record keeps the signature text, the key's values and the verified arguments, never the
            /// skipped ones: for audit.
            pub fn record_arguments(mut self) -> Self {
                self.prepared.options.record_arguments = true;
                self
            }
        }
    };
}

setters! {
    /// How long a finished record answers duplicates, from the moment it finished. 24 hours if not set; zero is
    /// [`Error::Misuse`](crate::Error::Misuse).
    ttl: Duration;
    /// How long the running attempt is believed alive without a sign of life; renewed while the body runs.
    /// 10 seconds if not set; zero is [`Error::Misuse`](crate::Error::Misuse).
    lease: Duration;
    /// A duplicate of a running call waits in all at most so long; then it is
    /// [`Error::Running`](crate::Error::Running). 15 seconds if not set. Given alone it means
    /// [`OnRunning::Wait`].
    wait: Duration;
    /// After so long an attempt's lease is no longer renewed. No limit if not set.
    max_run: Duration;
    /// After so many attempts that did not end, the body is not started again until a person says so. An attempt
    /// that ended in an `Err` does not count. No limit if not set.
    max_attempts: u32;
    /// A larger encoded result, in bytes, is not kept: its duplicates get
    /// [`Error::Duplicate`](crate::Error::Duplicate). 1 MiB if not set.
    max_result: usize;
    /// What a duplicate of a running call gets. [`OnRunning::Wait`] if not set; [`OnRunning::Reject`] for
    /// `run_blocking` and with [`on_duplicate::Reject`](super::on_duplicate::Reject).
    on_running: OnRunning;
    /// What becomes of an attempt that began and did not end. [`OnInterrupt::Retry`] if not set.
    on_interrupt: OnInterrupt;
    /// What becomes of a call whose claim could not be made. [`OnStoreError::Fail`] if not set.
    on_store_error: OnStoreError;
}

impl Options {
    pub(crate) fn ttl_or_default(&self) -> Duration {
        self.ttl.unwrap_or(Duration::from_secs(24 * 60 * 60))
    }

    pub(crate) fn lease_or_default(&self) -> Duration {
        self.lease.unwrap_or(Duration::from_secs(10))
    }

    pub(crate) fn wait_or_default(&self) -> Duration {
        self.wait.unwrap_or(Duration::from_secs(15))
    }

    pub(crate) fn max_result_or_default(&self) -> usize {
        self.max_result.unwrap_or(1 << 20)
    }

    /// Whether a duplicate of a running call waits, where `otherwise` is what it does untold.
    pub(crate) fn waits(&self, otherwise: OnRunning) -> bool {
        let untold = if self.wait.is_some() { OnRunning::Wait } else { otherwise };
        self.on_running.unwrap_or(untold) == OnRunning::Wait
    }
}
