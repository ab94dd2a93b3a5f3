//! The call as a value, which is also what the attribute expands to.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;

use super::blocking::Blocking;
use super::prepared::Prepared;
use super::site::Function;
use super::source::Source;
use super::{
    Argument, Convert, ConvertWith, Converts, Finish, Judges, Keeps, Outcome, Run, on_cancel, on_duplicate,
    on_error,
};
use crate::store::IntoStore;
use crate::{Error, Token};

/// A call that is being put together: what is called, with what, and what its duplicates get.
///
/// Every argument is encoded at once, so nothing stays borrowed. Nothing is asked of the store before the call
/// runs.
///
/// The type's parameters are the options that change what the function's types must be able to do.
///
/// ```
/// use std::time::Duration;
/// use idem::{Error, MemoryStore, OnInterrupt, on_error};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), idem::Error> {
/// let store = MemoryStore::new();
/// let (order_id, amount_cents) = (7_u64, 1250_u64);
/// let receipt = idem::call("orders.charge")
///     .scope("tenant 1")
///     .arg(&order_id)
///     .verify("amount_cents", &amount_cents)
///     .store(&store)
///     .ttl(Duration::from_secs(7 * 24 * 60 * 60))
///     .on_interrupt(OnInterrupt::Reject)
///     .on_error(on_error::Interrupt)
///     .run(async { Ok::<_, Error>(format!("receipt for {order_id}")) })
///     .await?;
/// assert_eq!(receipt, "receipt for 7");
/// # Ok(()) }
/// ```
#[must_use = "a call does nothing until it is run"]
pub struct Call<D = on_duplicate::Replay, X = on_error::Release, M = Convert, C = on_cancel::Interrupt> {
    pub(crate) prepared: Box<Prepared>,
    pub(crate) on_error: X,
    pub(crate) convert: M,
    pub(crate) other: PhantomData<fn() -> (D, C)>,
}

impl Call {
    /// A call, and where its store comes from if none is given.
    #[inline]
    #[track_caller]
    pub fn new(function: Function, source: Option<Source>) -> Self {
        let mut prepared = Prepared::take(function.called_at(Location::caller()).0);
        prepared.source = source;
        Call { prepared, on_error: on_error::Release, convert: Convert, other: PhantomData }
    }
}

impl<D, X, M, C> Call<D, X, M, C> {
    /// Adds a value that makes the token. The order counts.
    ///
    /// ```
    /// let one = idem::call("accounts.transfer").arg("ann").arg("bob").token()?;
    /// let other = idem::call("accounts.transfer").arg("bob").arg("ann").token()?;
    /// assert_ne!(one, other);
    /// # Ok::<(), idem::Error>(())
    /// ```
    #[inline]
    pub fn arg<A: Argument + ?Sized>(mut self, value: &A) -> Self {
        self.prepared.arg(value);
        self
    }

    /// Adds a value that is verified: the same key with another value is [`Error::Mismatch`].
    ///
    /// ```
    /// # use idem::{Error, MemoryStore};
    /// let store = MemoryStore::new();
    /// let charge = |amount: u64| {
    ///     let call = idem::call("orders.charge").arg(&7_u64).verify("amount", &amount).store(&store);
    ///     call.run_blocking(|| Ok(amount))
    /// };
    /// assert_eq!(charge(1250)?, 1250);
    /// assert!(matches!(charge(9999), Err(Error::Mismatch { argument, .. }) if &*argument == "amount"));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn verify<A: Argument + ?Sized>(mut self, name: &str, value: &A) -> Self {
        self.prepared.verify(name, value);
        self
    }

    /// Says how the key is made, so that another key under the same name is [`Error::Mismatch`].
    #[inline]
    pub fn key(mut self, text: &str) -> Self {
        self.prepared.key(text);
        self
    }

    /// Puts a tenant or principal into the token: two scopes never meet.
    ///
    /// ```
    /// let token = |tenant: u32| idem::call("orders.charge").scope(tenant).arg(&7_u64).token();
    /// assert_ne!(token(1)?, token(2)?);
    /// # Ok::<(), idem::Error>(())
    /// ```
    pub fn scope(mut self, scope: impl fmt::Display) -> Self {
        self.prepared.scope(&scope);
        self
    }

    /// Uses this store instead of the process's.
    #[inline]
    pub fn store(mut self, store: impl IntoStore) -> Self {
        self.prepared.store = Some(store.into_store());
        self
    }

    /// What a duplicate of a finished call gets: [`on_duplicate::Replay`], if not set, or
    /// [`on_duplicate::Reject`].
    ///
    /// ```
    /// # use idem::{Error, MemoryStore, on_duplicate};
    /// let store = MemoryStore::new();
    /// let submit = || {
    ///     let call = idem::call("forms.submit").on_duplicate(on_duplicate::Reject).store(&store);
    ///     call.run_blocking(|| Ok::<_, Error>(std::time::Instant::now())) // it needs no serde: nothing is stored
    /// };
    /// submit()?;
    /// assert!(submit().unwrap_err().to_string().starts_with("Do not submit repeated requests"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn on_duplicate<D2>(self, _: D2) -> Call<D2, X, M, C> {
        Call { prepared: self.prepared, on_error: self.on_error, convert: self.convert, other: PhantomData }
    }

    /// What an `Err` of the body means: one of the types in [`on_error`]; [`on_error::Release`] if not set.
    ///
    /// ```
    /// # use idem::{MemoryStore, on_error};
    /// let store = MemoryStore::new();
    /// let charge = |answer: Result<u64, String>| {
    ///     idem::call("orders.charge").on_error(on_error::Store).store(&store).run_blocking(|| answer)
    /// };
    /// assert_eq!(charge(Err("declined".into())), Err("declined".into()));
    /// assert_eq!(charge(Ok(7)), Err("declined".into()));
    /// ```
    pub fn on_error<X2>(self, on_error: X2) -> Call<D, X2, M, C> {
        Call { prepared: self.prepared, on_error, convert: self.convert, other: PhantomData }
    }

    /// What becomes of the body when its caller goes away: [`on_cancel::Interrupt`], if not set, or
    /// [`on_cancel::Finish`].
    pub fn on_cancel<C2>(self, _: C2) -> Call<D, X, M, C2> {
        Call { prepared: self.prepared, on_error: self.on_error, convert: self.convert, other: PhantomData }
    }

    /// Makes the function's own error of a refusal, where it has no `From<idem::Error>`.
    ///
    /// ```
    /// # use idem::MemoryStore;
    /// let status = |error: idem::Error| error.http_status();
    /// let full = MemoryStore::builder().max_records(0).build();
    /// let answer = idem::call("orders.charge").error(status).store(&full).run_blocking(|| Ok(()));
    /// assert_eq!(answer, Err(503));
    /// ```
    pub fn error<E, F: FnOnce(Error) -> E>(self, convert: F) -> Call<D, X, ConvertWith<F>, C> {
        Call {
            prepared: self.prepared,
            on_error: self.on_error,
            convert: ConvertWith(convert),
            other: PhantomData,
        }
    }

    /// The call's token, without a call.
    ///
    /// ```
    /// let token = idem::call("shop::charge(order_id: u64, who: String)").arg(&7_u64).arg("ann").token()?;
    /// assert!(token.to_string().starts_with("6be7b1e2"));
    /// # Ok::<(), idem::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Encode`] and [`Error::Misuse`], as the call itself.
    pub fn token(mut self) -> Result<Token, Error> {
        let token = self.prepared.token();
        self.prepared.keep();
        token
    }

    /// Runs the call on this thread, which blocks while the store answers and while it waits. A duplicate of a
    /// running call gets [`Error::Running`], unless [`Call::on_running`] or [`Call::wait`] says otherwise: a wait
    /// blocks the thread, so that what it waits for must be able to go on without it.
    ///
    /// ```
    /// # use idem::{Error, MemoryStore};
    /// let store = MemoryStore::new();
    /// let answer = idem::call("orders.charge").arg(&7_u64).store(&store).run_blocking(|| Ok::<_, Error>(1250));
    /// assert_eq!(answer?, 1250);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Panics
    /// As the body does, after the store was told.
    pub fn run_blocking<R, F>(self, body: F) -> R
    where
        F: FnOnce() -> R,
        R: Outcome,
        D: Keeps<R::Ok>,
        X: Judges<R::Err>,
        M: Converts<R::Err>,
    {
        Blocking::new(self).run(body)
    }
}

impl<D, X, M> Call<D, X, M, on_cancel::Interrupt> {
    /// Runs the call.
    ///
    /// Dropped before the body began, it gives the token back; dropped in the body, the record is interrupted;
    /// dropped after it, the result is recorded all the same.
    #[inline]
    pub fn run<R, F>(self, body: F) -> Run<R, F, D, X, M>
    where
        F: Future<Output = R>,
        R: Outcome,
        D: Keeps<R::Ok>,
        X: Judges<R::Err>,
        M: Converts<R::Err>,
    {
        Run::new(self, body)
    }
}

impl<D, X, M> Call<D, X, M, on_cancel::Finish> {
    /// Runs the call; a body that has begun runs on in a task of its own when the caller goes away.
    ///
    /// It needs a tokio runtime, and is [`Error::Misuse`] without one.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use idem::{Error, MemoryStore, on_cancel};
    /// # use tokio::sync::Notify;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// let store = MemoryStore::new();
    /// let (begun, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    /// let call = || idem::call("orders.charge").arg(&7_u64).store(&store).on_cancel(on_cancel::Finish);
    ///
    /// let first = call().run({
    ///     let (begun, gone) = (Arc::clone(&begun), Arc::clone(&gone));
    ///     async move {
    ///         begun.notify_one();
    ///         gone.notified().await;
    ///         Ok::<_, Error>(1250)
    ///     }
    /// });
    /// tokio::select! {
    ///     _ = first => unreachable!("the body waits"),
    ///     () = begun.notified() => gone.notify_one(), // its caller goes away
    /// }
    /// assert_eq!(call().run(async { Ok::<_, Error>(0) }).await?, 1250);
    /// # Ok(()) }
    /// ```
    pub fn run<R, F>(self, body: F) -> Finish<R, F, D, X, M>
    where
        F: Future<Output = R> + Send + 'static,
        R: Outcome + Send + 'static,
        R::Ok: Send,
        R::Err: Send,
        D: Keeps<R::Ok> + Send + 'static,
        X: Judges<R::Err> + Send + 'static,
        M: Converts<R::Err> + Send + 'static,
    {
        Finish::new(self, body)
    }
}

impl<D, X, M, C> fmt::Debug for Call<D, X, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("function", self.prepared.text()).finish_non_exhaustive()
    }
}
