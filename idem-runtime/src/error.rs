//! What a call is refused with.

use std::fmt;
use std::time::Duration;

use crate::encoding::{DecodeError, EncodeError};
use crate::store::StoreError;
use crate::{Text, Timestamp, Token};

/// Why a call did not run its body, or could not be answered with the first call's result.
///
/// ```
/// use idem::{Error, MemoryStore, idempotent};
///
/// #[idempotent(name = "orders.charge", key(order_id), skip(store), store = store)]
/// fn charge(store: &MemoryStore, order_id: u64, amount: u64) -> Result<u64, Error> {
///     Ok(amount)
/// }
///
/// let store = MemoryStore::new();
/// charge(&store, 7, 1250)?;
/// let refused = charge(&store, 7, 9999).unwrap_err();
/// assert!(matches!(&refused, Error::Mismatch { argument, .. } if &**argument == "amount"));
/// assert_eq!((refused.http_status(), refused.is_retryable()), (422, false));
/// assert_eq!(refused.function(), "orders.charge");
/// assert!(refused.token().is_some());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The operation was done before, and its result is not given again: `on_duplicate = reject`, or the result
    /// was not kept.
    #[non_exhaustive]
    Duplicate {
        /// The signature text or name.
        function: Text,
        /// The call's token.
        token: Token,
        /// When it was first submitted.
        first_at: Timestamp,
        /// Whether the result should be there and is not: too large, not to be encoded, or resolved without one.
        not_kept: bool,
    },
    /// The first call still runs.
    #[non_exhaustive]
    Running {
        /// The signature text or name.
        function: Text,
        /// The call's token.
        token: Token,
        /// How long the running attempt is believed alive without a sign of life.
        lease_left: Duration,
        /// Whether this call was made in the running attempt's own body, and would have waited for itself.
        itself: bool,
    },
    /// The same key was used before with other verified arguments.
    #[non_exhaustive]
    Mismatch {
        /// The signature text or name.
        function: Text,
        /// The call's token.
        token: Token,
        /// The argument that differs; never its value.
        argument: Text,
    },
    /// An earlier attempt began and did not end; nobody knows what it did.
    #[non_exhaustive]
    Interrupted {
        /// The signature text or name.
        function: Text,
        /// The call's token.
        token: Token,
        /// When that attempt began.
        since: Timestamp,
        /// How many attempts there were.
        attempts: u32,
    },
    /// The attempt was replaced by another one.
    #[non_exhaustive]
    LeaseLost {
        /// The signature text or name.
        function: Text,
        /// The call's token.
        token: Token,
    },
    /// The store gave no answer, so the body did not run.
    #[non_exhaustive]
    Store {
        /// The signature text or name.
        function: Text,
        /// The call's token, where it was made.
        token: Option<Token>,
        /// What the store said.
        source: StoreError,
    },
    /// An argument or the scope could not be encoded, so there is no token.
    #[non_exhaustive]
    Encode {
        /// The signature text or name.
        function: Text,
        /// Which argument: its name, or its position as `#2`.
        argument: Text,
        /// What is wrong with it.
        source: EncodeError,
    },
    /// The stored result does not fit the function's return type. The record stays.
    #[non_exhaustive]
    Decode {
        /// The signature text or name.
        function: Text,
        /// The call's token.
        token: Token,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The library is used in a way that cannot work.
    #[non_exhaustive]
    Misuse {
        /// The signature text or name.
        function: Text,
        /// What is wrong and what to do.
        message: Text,
    },
}

impl Error {
    /// The signature text or name of the function that was called.
    #[must_use]
    pub fn function(&self) -> &str {
        match self {
            Error::Duplicate { function, .. }
            | Error::Running { function, .. }
            | Error::Mismatch { function, .. }
            | Error::Interrupted { function, .. }
            | Error::LeaseLost { function, .. }
            | Error::Store { function, .. }
            | Error::Encode { function, .. }
            | Error::Decode { function, .. }
            | Error::Misuse { function, .. } => function,
        }
    }

    /// The call's token, if it was made.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        match self {
            Error::Duplicate { token, .. }
            | Error::Running { token, .. }
            | Error::Mismatch { token, .. }
            | Error::Interrupted { token, .. }
            | Error::LeaseLost { token, .. }
            | Error::Decode { token, .. } => Some(*token),
            Error::Store { token, .. } => *token,
            Error::Encode { .. } | Error::Misuse { .. } => None,
        }
    }

    /// Whether the same call may be answered otherwise later: [`Error::Running`], but not of a call in its own body, and
    /// [`Error::Store`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::Running { itself: false, .. } | Error::Store { .. })
    }

    /// After how long to ask again, where asking again makes sense: the lease left of a running attempt, a
    /// second for a store.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Running { lease_left, itself: false, .. } => Some(*lease_left),
            Error::Store { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The status code for a service's own answer: 409 for `Duplicate`, `Running` and `Interrupted`, 422 for
    /// `Mismatch`, 503 for `Store`, 500 for the others (RFC 9110, section 15).
    ///
    /// ```
    /// # use idem::Error;
    /// fn answer(error: &Error) -> (u16, Option<(&'static str, String)>) {
    ///     let seconds = error.retry_after().map(|after| after.as_secs().max(1));
    ///     (error.http_status(), seconds.map(|seconds| ("Retry-After", seconds.to_string())))
    /// }
    /// # let nowhere = idem::call("orders.charge").run_blocking(|| Ok::<(), Error>(())).unwrap_err();
    /// # assert_eq!(answer(&nowhere), (500, None));
    /// ```
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            Error::Duplicate { .. } | Error::Running { .. } | Error::Interrupted { .. } => 409,
            Error::Mismatch { .. } => 422,
            Error::Store { .. } => 503,
            _ => 500,
        }
    }

    /// The library is used in a way that cannot work: for the facade and the stores.
    #[doc(hidden)]
    pub fn misuse(function: impl Into<Text>, message: impl Into<Text>) -> Self {
        Error::Misuse { function: function.into(), message: message.into() }
    }

    /// A store cannot be connected to.
    #[doc(hidden)]
    #[must_use]
    pub fn connecting(source: StoreError) -> Self {
        Error::Store { function: Text::from_static(CONNECT), token: None, source }
    }
}

/// What [`Error::Mismatch`] names where the key is made of something else.
pub(crate) const KEY: &str = "key(…)";
/// What [`Error::Store`] names where no function was called yet.
const CONNECT: &str = "idem::connect";

/// As in RFC 3339, in whole seconds.
fn moment(at: Timestamp) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(at.system_time())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Duplicate { function, token, first_at, not_kept } => {
                let first_at = moment(*first_at);
                write!(f, "Do not submit repeated requests: `{function}` was first submitted at {first_at}")?;
                if *not_kept {
                    f.write_str(
                        ", and its result was not kept (it was too large or could not be encoded, or its record was \
                         resolved without one)",
                    )?;
                }
                write!(f, " [token {token}]")
            }
            Error::Running { function, token, itself: true, .. } => write!(
                f,
                "`{function}` is called with the same arguments in its own body, and would wait for itself [token {token}]"
            ),
            Error::Running { function, token, lease_left, itself: false } => {
                let left = humantime::format_duration(Duration::from_millis(
                    u64::try_from(lease_left.as_millis()).unwrap_or(u64::MAX),
                ));
                write!(
                    f,
                    "`{function}` is still running for the same arguments; ask again in {left} [token {token}]"
                )
            }
            Error::Mismatch { function, token, argument } if **argument == *KEY => write!(
                f,
                "`{function}` was called before with another `{KEY}`: its records were made with that \
                 one, so restore it, or give the function a new name [token {token}]"
            ),
            Error::Mismatch { function, token, argument } => write!(
                f,
                "`{function}` was called before with the same key and another `{argument}`; use a new key for \
                 another operation, or leave `{argument}` out with skip(…) [token {token}]"
            ),
            Error::Interrupted { function, token, since, attempts } => write!(
                f,
                "`{function}` began at {} (attempt {attempts}), and nobody knows what it did, so it is not run again: find \
                 out, then reopen or resolve its record, or forget it if a later attempt has freed it [token {token}]",
                moment(*since)
            ),
            Error::LeaseLost { function, token } => write!(
                f,
                "this attempt of `{function}` was replaced by another one: stop, and leave the work to that one \
                 [token {token}]"
            ),
            Error::Store { function, token, source } => {
                let what = if **function == *CONNECT { "failed" } else { "was not run" };
                write!(f, "`{function}` {what}: {source}")?;
                match token {
                    Some(token) => write!(f, " [token {token}]"),
                    None => Ok(()),
                }
            }
            Error::Encode { function, argument, source } => write!(
                f,
                "`{function}` was not run: its argument `{argument}` cannot be part of the token: {source}; leave it \
                 out with skip(…) or name the parts that count with key(…)"
            ),
            Error::Decode { function, token, source } => write!(
                f,
                "the stored result of `{function}` does not fit its return type: {source}; the record stays and the \
                 body did not run: give the new type a new name, or forget the record [token {token}]"
            ),
            Error::Misuse { function, message } => write!(f, "`{function}`: {message}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Store { source, .. } => Some(source),
            Error::Encode { source, .. } => Some(source),
            Error::Decode { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        std::io::Error::other(error)
    }
}
