//! Annotated functions of every shape in a crate with the strictest lints.
//!
//! It has to pass `cargo clippy` without a warning. Where a lint is expected, the attribute must not have hidden
//! it: what the user writes in a body is judged as without it.

use core::time::Duration;
use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use idem::{Error, MemoryStore, OnError, idempotent};
use serde::Serialize;

pub mod expected;
pub mod traits;

/// The result of everything here.
pub type Outcome<T> = Result<T, Error>;

const LEASE: Duration = Duration::from_secs(10);

/// A function that waits for nothing of its own.
///
/// # Errors
/// As the call.
#[idempotent]
pub async fn without_arguments() -> Outcome<()> {
    std::future::ready(()).await;
    Ok(())
}

/// The same, plain.
///
/// # Errors
/// As the call.
#[idempotent]
pub fn without_arguments_plain() -> Outcome<()> {
    Ok(())
}

/// Every argument counts.
///
/// # Errors
/// If the amount is too large.
#[idempotent]
pub async fn charge(order: u64, mut amount: u64, who: &str, note: Option<String>) -> Outcome<u64> {
    if amount > 1_000 {
        return Ok(0);
    }
    amount += who.len() as u64;
    std::future::ready(()).await;
    amount += note.map_or(0, |note| note.len() as u64);
    Ok(order + amount)
}

/// Every argument counts.
///
/// # Errors
/// If the text is no number.
#[idempotent(error = refused, on_error = with(judge), scope = who)]
pub fn charge_plain(order: u64, mut amount: u64, who: &str) -> Result<u64, Cow<'static, str>> {
    amount += who.parse::<u64>().map_err(|why| why.to_string())?;
    Ok(order + amount)
}

fn refused(error: Error) -> Cow<'static, str> {
    let text = error.to_string();
    drop(error);
    Cow::Owned(text)
}

#[expect(clippy::ptr_arg)]
fn judge(error: &Cow<'static, str>) -> OnError {
    if error.is_empty() { OnError::Interrupt } else { OnError::Release }
}

/// Arguments that the body does not use, and one that it uses although its name says otherwise.
///
/// # Errors
/// As the call.
#[idempotent(key(order, _kept.len()))]
pub async fn unused(order: u64, _kept: &str, _: u64, _unused: Vec<u8>) -> Outcome<u64> {
    std::future::ready(()).await;
    Ok(order)
}

/// Patterns.
///
/// # Errors
/// As the call.
#[idempotent]
pub async fn patterns((left, mut right): (u64, u64), [first, ..]: [u64; 3], (): ()) -> Outcome<u64> {
    right += 1;
    std::future::ready(()).await;
    Ok(left + right + first)
}

/// Patterns whose names make the key.
///
/// # Errors
/// As the call.
#[idempotent(key(left, *first + 1))]
pub fn patterns_in_key((left, right): (u64, u64), [first, _second]: &[u64; 2]) -> Outcome<u64> {
    Ok(left + right + first)
}

/// Every option at once.
///
/// # Errors
/// As the call.
#[idempotent(
    key(order, amount + 1, (order)),
    skip(store),
    name = "lints.options",
    scope = format!("{order}"),
    store = &store,
    ttl = "24h",
    lease = LEASE,
    on_duplicate = replay,
    on_running = wait,
    wait = Duration::from_secs(amount),
    on_error = store_or(|_: &String| Some(OnError::Release)),
    on_interrupt = reject,
    on_cancel = finish,
    on_store_error = run,
    max_run = "5m",
    max_attempts = 3,
    record_arguments,
    max_result = "1 MiB",
    error = |error| error.to_string(),
    crate = ::idem
)]
pub async fn options(store: Arc<MemoryStore>, order: u64, amount: u64) -> Result<u64, String> {
    std::future::ready(()).await;
    Ok(order + amount)
}

/// Generics.
///
/// # Errors
/// As the call.
#[idempotent(on_duplicate = reject)]
pub async fn generic<'a, T, const N: usize>(
    what: &'a T,
    numbers: [u8; N],
    shown: impl Display + Serialize + Send,
) -> Outcome<(&'a T, String)>
where
    T: Serialize + Sync,
    [u8; N]: Serialize,
{
    std::future::ready(()).await;
    Ok((what, format!("{shown}{numbers:?}")))
}

/// A function that calls itself.
///
/// # Errors
/// As the call.
#[idempotent]
pub fn factorial(n: u64) -> Outcome<u64> {
    if n == 0 { Ok(1) } else { Ok(n * factorial(n - 1)?) }
}

/// Methods.
#[derive(Debug)]
pub struct Shop {
    id: u64,
    total: u64,
    store: MemoryStore,
}

impl Shop {
    /// By reference.
    ///
    /// # Errors
    /// As the call.
    #[idempotent(store = &self.store, key(self.id, order))]
    pub async fn by_reference(&self, order: u64) -> Outcome<u64> {
        std::future::ready(()).await;
        Ok(self.id + order)
    }

    /// By mutable reference.
    ///
    /// # Errors
    /// As the call.
    #[idempotent(store = &self.store, key(self.id, order))]
    pub fn by_mutable_reference(&mut self, order: u64) -> Outcome<u64> {
        self.total += order;
        Ok(self.total)
    }

    /// By `Arc`.
    ///
    /// # Errors
    /// As the call.
    #[idempotent(store = &self.store, skip(self, _permit), on_cancel = finish)]
    pub async fn by_arc(self: Arc<Self>, order: u64, _permit: Vec<u8>) -> Outcome<u64> {
        std::future::ready(()).await;
        Ok(self.id + order)
    }

    /// By value.
    ///
    /// # Errors
    /// As the call.
    #[idempotent(store = &self.store, skip(self), on_error = interrupt)]
    pub async fn by_value(mut self, order: u64) -> Outcome<u64> {
        self.total += order;
        std::future::ready(()).await;
        Ok(self.total)
    }

    /// Associated.
    ///
    /// # Errors
    /// As the call.
    #[idempotent(skip(store), store = store)]
    pub fn associated(store: &MemoryStore, order: u64) -> Outcome<u64> {
        Ok(order)
    }
}

macro_rules! made {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $ty:ty),*) $body:block)*) => {
        $(
            $(#[$attribute])*
            #[idempotent]
            pub fn $name($($argument: $ty),*) -> Outcome<u64> $body
        )*
    };
}

made! {
    /// Made by a macro.
    ///
    /// # Errors
    /// As the call.
    first(order: u64) { Ok(order) }

    /// Made by a macro.
    ///
    /// # Errors
    /// As the call.
    second(order: u64, _amount: u64) { Ok(order) }
}
