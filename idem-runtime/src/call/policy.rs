//! The options that change what a function's types must be able to do, as types of their own.

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

use crate::Error;
use crate::encoding::{self, DecodeError, EncodeError};

/// What a function must return: a `Result`, so that a refusal can be returned, too.
///
/// Recognised by type, not by spelling: an alias of `Result` is fine.
///
/// ```
/// # use idem::idempotent;
/// type ApiResult<T> = Result<T, std::io::Error>;
///
/// #[idempotent(name = "orders.charge")]
/// async fn charge(order_id: u64) -> ApiResult<u64> {
///     Ok(order_id)
/// }
/// ```
///
/// A function that returns anything else does not compile:
///
/// ```compile_fail
/// # use idem::idempotent;
/// #[idempotent(name = "orders.charge")]
/// async fn charge(order_id: u64) -> u64 {
///     order_id
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`#[idempotent]` needs a function that returns `Result<T, E>`, and this one returns `{Self}`",
    label = "a refusal or a store failure could not be returned here",
    note = "write `Result<{Self}, idem::Error>`"
)]
pub trait Outcome: Sized {
    /// The value's type.
    type Ok;
    /// The error's type.
    type Err;
    /// As a `Result`.
    fn split(self) -> Result<Self::Ok, Self::Err>;
    /// From a `Result`.
    fn join(result: Result<Self::Ok, Self::Err>) -> Self;
}

impl<T, E> Outcome for Result<T, E> {
    type Ok = T;
    type Err = E;

    fn split(self) -> Self {
        self
    }

    fn join(result: Self) -> Self {
        result
    }
}

/// What can make the token or be verified: everything that is `Serialize`.
///
/// ```
/// # use idem::Error;
/// let token = |amount: Option<u64>| idem::call("orders.charge").arg("ann").arg(&amount).token();
/// assert_ne!(token(None)?, token(Some(0))?);
/// # Ok::<(), Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the argument type `{Self}` cannot be part of the token: it is not `serde::Serialize`",
    label = "this argument cannot be encoded",
    note = "leave it out with `#[idempotent(skip(...))]`, or name the parts that count with `key(...)`"
)]
pub trait Argument {
    /// Appends the value's encoding.
    #[doc(hidden)]
    fn append_to(&self, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> Argument for T {
    #[inline]
    fn append_to(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encoding::append(self, out)
    }
}

/// What an `Err` of the body means for its record.
///
/// ```
/// # use idem::{MemoryStore, OnError, idempotent};
/// # use std::io::{Error, ErrorKind};
/// fn means(error: &Error) -> OnError {
///     match error.kind() {
///         ErrorKind::ConnectionRefused => OnError::Release,
///         _ => OnError::Interrupt,
///     }
/// }
///
/// #[idempotent(store = store, skip(store, fails), on_error = with(means), on_interrupt = reject)]
/// fn charge(store: &MemoryStore, order_id: u64, fails: Option<ErrorKind>) -> Result<u64, Error> {
///     fails.map_or(Ok(order_id), |kind| Err(kind.into()))
/// }
///
/// let store = MemoryStore::new();
/// assert!(charge(&store, 1, Some(ErrorKind::ConnectionRefused)).is_err());
/// assert_eq!(charge(&store, 1, None)?, 1);
///
/// assert!(charge(&store, 2, Some(ErrorKind::TimedOut)).is_err());
/// assert!(charge(&store, 2, None).is_err(), "nobody knows whether it was charged");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// Nothing was done: the next call runs the body again.
    Release,
    /// Nobody knows what was done.
    Interrupt,
}

/// What a duplicate of a finished call gets: for [`Call::on_duplicate`](super::Call::on_duplicate).
pub mod on_duplicate {
    /// The stored result.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Replay;

    /// [`Error::Duplicate`](crate::Error::Duplicate); nothing of the result is stored.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Reject;
}

/// What an `Err` of the body means: for [`Call::on_error`](super::Call::on_error).
pub mod on_error {
    /// Nothing was done: the next call runs the body again.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Release;

    /// Nobody knows what was done: the record is interrupted.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Interrupt;

    /// It is a result like any other: kept and replayed.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Store;

    /// A function says which: `fn(&E) -> OnError`.
    #[derive(Debug, Clone, Copy)]
    pub struct With<F>(pub F);

    /// A function says which, and `None` keeps it: `fn(&E) -> Option<OnError>`.
    #[derive(Debug, Clone, Copy)]
    pub struct StoreOr<F>(pub F);
}

/// What becomes of the body when its caller goes away: for [`Call::on_cancel`](super::Call::on_cancel).
pub mod on_cancel {
    /// It stops where it is, and its record is interrupted.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Interrupt;

    /// It runs on in a task of its own, on the caller's tokio runtime.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct Finish;
}

/// Whether and how values are kept.
#[diagnostic::on_unimplemented(
    message = "the result `{T}` cannot be kept for later calls: it is not both `serde::Serialize` and `serde::de::DeserializeOwned`",
    label = "this result cannot be stored",
    note = "derive `Serialize` and `Deserialize` for it, or write `#[idempotent(on_duplicate = reject)]`, which keeps no result"
)]
pub trait Keeps<T>: sealed::Sealed {
    /// Whether duplicates are given the result.
    #[doc(hidden)]
    const REPLAYS: bool;
    /// Appends the value's encoding.
    #[doc(hidden)]
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError>;
    /// The value that was encoded so.
    #[doc(hidden)]
    fn decode(bytes: &[u8]) -> Result<T, DecodeError>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Keeps<T> for on_duplicate::Replay {
    const REPLAYS: bool = true;

    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encoding::append(value, out)
    }

    fn decode(bytes: &[u8]) -> Result<T, DecodeError> {
        encoding::from_slice(bytes)
    }
}

impl<T> Keeps<T> for on_duplicate::Reject {
    const REPLAYS: bool = false;

    fn encode(_: &T, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }

    fn decode(_: &[u8]) -> Result<T, DecodeError> {
        Err(DecodeError::custom("the function says `on_duplicate = reject`"))
    }
}

/// What an `Err` means, and whether and how it is kept.
#[diagnostic::on_unimplemented(
    message = "the error `{E}` does not go with this `on_error`",
    label = "what this function's errors mean is not known",
    note = "`on_error = store` and `store_or` need an error that is `serde::Serialize` and `serde::de::DeserializeOwned`; `with` takes `fn(&E) -> idem::OnError`, `store_or` takes `fn(&E) -> Option<idem::OnError>`"
)]
pub trait Judges<E>: sealed::Sealed {
    /// What it means; `None` keeps it.
    #[doc(hidden)]
    fn judge(&self, error: &E) -> Option<OnError>;
    /// Appends the error's encoding.
    #[doc(hidden)]
    fn encode(error: &E, out: &mut Vec<u8>) -> Result<(), EncodeError>;
    /// The error that was encoded so.
    #[doc(hidden)]
    fn decode(bytes: &[u8]) -> Result<E, DecodeError>;
}

macro_rules! keeps_no_errors {
    () => {
        fn encode(_: &E, _: &mut Vec<u8>) -> Result<(), EncodeError> {
            Ok(())
        }

        fn decode(_: &[u8]) -> Result<E, DecodeError> {
            Err(DecodeError::custom("an error is stored, and the function says no longer `on_error = store`"))
        }
    };
}

macro_rules! keeps_errors {
    () => {
        fn encode(error: &E, out: &mut Vec<u8>) -> Result<(), EncodeError> {
            encoding::append(error, out)
        }

        fn decode(bytes: &[u8]) -> Result<E, DecodeError> {
            encoding::from_slice(bytes)
        }
    };
}

impl<E> Judges<E> for on_error::Release {
    fn judge(&self, _: &E) -> Option<OnError> {
        Some(OnError::Release)
    }
    keeps_no_errors!();
}

impl<E> Judges<E> for on_error::Interrupt {
    fn judge(&self, _: &E) -> Option<OnError> {
        Some(OnError::Interrupt)
    }
    keeps_no_errors!();
}

#[diagnostic::do_not_recommend]
impl<E, F: Fn(&E) -> OnError> Judges<E> for on_error::With<F> {
    fn judge(&self, error: &E) -> Option<OnError> {
        Some((self.0)(error))
    }
    keeps_no_errors!();
}

#[diagnostic::do_not_recommend]
impl<E: Serialize + DeserializeOwned> Judges<E> for on_error::Store {
    fn judge(&self, _: &E) -> Option<OnError> {
        None
    }
    keeps_errors!();
}

#[diagnostic::do_not_recommend]
impl<E: Serialize + DeserializeOwned, F: Fn(&E) -> Option<OnError>> Judges<E> for on_error::StoreOr<F> {
    fn judge(&self, error: &E) -> Option<OnError> {
        (self.0)(error)
    }
    keeps_errors!();
}

/// How a refusal becomes the function's own error.
#[diagnostic::on_unimplemented(
    message = "a refusal cannot be returned as `{E}`: it is not `From<idem::Error>`",
    label = "no error of this function can be made of a refusal",
    note = "implement `From<idem::Error>` for it, or name a function that makes one: `#[idempotent(error = path)]`"
)]
pub trait Converts<E>: sealed::Sealed {
    /// The function's own error.
    #[doc(hidden)]
    fn convert(self, error: Error) -> E;
}

/// By `From<idem::Error>`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Convert;

/// By a function.
#[derive(Debug, Clone, Copy)]
pub struct ConvertWith<F>(pub(crate) F);

#[diagnostic::do_not_recommend]
impl<E: From<Error>> Converts<E> for Convert {
    fn convert(self, error: Error) -> E {
        E::from(error)
    }
}

impl<E, F: FnOnce(Error) -> E> Converts<E> for ConvertWith<F> {
    fn convert(self, error: Error) -> E {
        (self.0)(error)
    }
}

pub(super) mod sealed {
    use super::{Convert, ConvertWith, on_duplicate, on_error};

    pub trait Sealed {}
    impl Sealed for on_duplicate::Replay {}
    impl Sealed for on_duplicate::Reject {}
    impl Sealed for on_error::Release {}
    impl Sealed for on_error::Interrupt {}
    impl Sealed for on_error::Store {}
    impl<F> Sealed for on_error::With<F> {}
    impl<F> Sealed for on_error::StoreOr<F> {}
    impl Sealed for Convert {}
    impl<F> Sealed for ConvertWith<F> {}
}
