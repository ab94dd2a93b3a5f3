//! Make an operation happen once: one attribute on a function, and a repeated call is answered with the first
//! call's result instead of run, or refused.
//!
//! ```
//! use idem::idempotent;
//!
//! #[idempotent(name = "orders.charge")]
//! async fn charge(order_id: u64, amount_cents: u64) -> Result<String, idem::Error> {
//!     Ok(format!("receipt for order {order_id}: {amount_cents}")) // here the card is charged
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), idem::Error> {
//! idem::install(idem::connect("memory:").await?)?; // once, when the program starts
//! let first = charge(7, 1250).await?; // runs the body
//! assert_eq!(charge(7, 1250).await?, first); // does not: the stored receipt
//! # Ok(()) }
//! ```
//!
//! [`idempotent`] lists the attribute's options, [`call`](call()) is the same as a value, and the [`guide`] has a
//! page for [keys](guide::keys), [duplicates](guide::duplicates), [errors](guide::errors),
//! [crashes](guide::crashes), [stores](guide::stores), [web handlers](guide::web_handlers), [Redis](guide::redis),
//! [PostgreSQL](guide::postgres), [the device](guide::device), [its protocol](guide::device_protocol),
//! [the command and the page](guide::command) and [what is proven and how](guide::proofs).
//!
//! | feature | adds |
//! | --- | --- |
//! | `device` | the idempotent device as a store, `http://…` and `https://…` |
//! | `sqlite` | the SQLite store, `sqlite:FILE`; it needs a C compiler |
//! | `postgres` | the PostgreSQL store, `postgres://…`, shared by machines; it needs Rust 1.94 and a C compiler |
//! | `redis` | the Redis store, `redis://…` and others; it needs a C compiler |
//! | `metrics` | counters through the `metrics` facade |
//! | `conformance` | the conformance suite and the history checker, for people who write a store |
//! | `testing` | for tests of annotated functions: crashes everywhere, a store whose clock moves, assertions |

#[cfg(feature = "device")]
pub use idem_device_client::DeviceStore;
pub use idem_macros::idempotent;
#[cfg(feature = "postgres")]
pub use idem_postgres::{PgConnectOptions, PostgresStore};
#[cfg(feature = "redis")]
pub use idem_redis::{RedisStore, redis};
pub use idem_runtime::call::{
    Argument, Call, CurrentAttempt, Happened, Observe, Observed, OnError, OnRunning, OnStoreError, Outcome,
    current, observe, observe_blocking, on_cancel, on_duplicate, on_error, shutdown, shutdown_blocking,
};
#[cfg(feature = "conformance")]
pub use idem_runtime::conformance;
pub use idem_runtime::encoding::{self, unordered};
pub use idem_runtime::store::{self, MemoryStore, OnInterrupt, Store, StoreError};
#[cfg(feature = "testing")]
pub use idem_runtime::testing;
pub use idem_runtime::{Error, Io, Text, Timestamp, Token, digest, io};
#[cfg(feature = "sqlite")]
pub use idem_sqlite::SqliteStore;

mod connect;
mod global;
pub mod guide;

pub use connect::{connect, connect_blocking};
pub use global::{call, install};

/// What the attribute writes. Not for anybody else: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use idem_runtime::call::{
        OnRunning, OnStoreError, Options, Outcome, Site, here, on_cancel, on_duplicate, on_error, probe,
    };
    pub use idem_runtime::store::OnInterrupt;
}

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
