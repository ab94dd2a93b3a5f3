//! The process's store: installed by the program, or named by `IDEM_STORE`.

use idem_runtime::call::{Call, Function, NoStore, Source, Sourced};
use idem_runtime::store::{Handle, IntoStore};
use idem_runtime::{Error, io};
use once_cell::sync::OnceCell;

use crate::connect::connect_blocking;

/// Made once, and kept for the rest of the process; a connection that fails is tried again by the next call.
static STORE: OnceCell<Handle> = OnceCell::new();

const VARIABLE: &str = "IDEM_STORE";

const NONE: &str = "no store is set, and nothing runs unprotected by accident: call \
                    `idem::install(store)` once when the program starts, or set IDEM_STORE to a URL such as \
                    `memory:` or `sqlite:idem.db`";

/// Starts to put a call together: what the attribute does, as a value.
///
/// The name stands for the function; another call site with the same name and another number of values is
/// [`Error::Misuse`]. The call uses the process's store unless [`Call::store`] gives one.
///
/// ```
/// # async fn charge(_: u64, _: u64) -> Result<u64, idem::Error> { Ok(1) }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), idem::Error> {
/// let store = idem::MemoryStore::new();
/// let (order, amount) = (7_u64, 1_250_u64);
/// let receipt = idem::call("orders.charge")
///     .arg(&order)
///     .verify("amount", &amount)
///     .store(&store)
///     .run(async { charge(order, amount).await })
///     .await?;
/// assert_eq!(receipt, 1);
/// # Ok(()) }
/// ```
#[track_caller]
#[inline]
pub fn call(function: impl Into<Function>) -> Call {
    static PROCESS: Source = Source::new(find);
    Call::new(function.into(), Some(PROCESS))
}

/// Sets the process's store, once, when the program starts.
///
/// # Errors
/// [`Error::Misuse`] if a store was set before, or calls have used the one that `IDEM_STORE` names.
///
/// ```
/// idem::install(idem::MemoryStore::new())?;
/// assert!(idem::install(idem::MemoryStore::new()).is_err());
/// # Ok::<(), idem::Error>(())
/// ```
pub fn install(store: impl IntoStore) -> Result<(), Error> {
    STORE.set(store.into_store().into_static()).map_err(|_| {
        Error::misuse(
            "idem::install",
            "this process has a store: call it once, before the first annotated function is called (after that, the \
             store that IDEM_STORE names is in use)",
        )
    })
}

/// The process's store for one call.
#[inline]
fn find() -> Sourced {
    match STORE.get() {
        Some(store) => Sourced::Ready(store.clone()),
        None => from_variable(),
    }
}

#[cold]
fn from_variable() -> Sourced {
    let url = match std::env::var(VARIABLE) {
        Ok(url) if !url.trim().is_empty() => url,
        Err(std::env::VarError::NotUnicode(_)) => {
            return Sourced::Failed(NoStore::Misuse("IDEM_STORE is not Unicode".into()));
        }
        _ => return Sourced::Failed(NoStore::Misuse(NONE.into())),
    };
    let connect = move || {
        STORE.get_or_try_init(|| connect_blocking(&url).map(Handle::into_static)).cloned().map_err(no_store)
    };
    // Opening a file or a connection blocks, and the first call may be on an async runtime's thread.
    Sourced::Connecting(Box::pin(io().block(connect)))
}

/// Why the store that the variable names cannot be used, for the call that needs it.
fn no_store(error: Error) -> NoStore {
    match error {
        Error::Store { source, .. } => NoStore::Store(source),
        Error::Misuse { message, .. } => NoStore::Misuse(format!("IDEM_STORE: {message}").into()),
        other => NoStore::Misuse(other.to_string().into()),
    }
}
