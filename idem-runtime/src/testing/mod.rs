//! For tests of functions that carry the attribute (feature `testing`, for `dev-dependencies`).
//!
//! ```toml
//! [dev-dependencies]
//! idem-rs = { version = "0.1", features = ["testing"] }
//! ```
//!
//! | what | for |
//! | --- | --- |
//! | [`every_crash`], [`every_crash_blocking`] | lets a function die at every point at which it can, and tells what the next call got |
//! | [`TestStore`] | a store whose clock the test moves, and which fails where it is told to |
//! | [`under`], [`under_blocking`] | puts every call inside under a store, whatever store it has of its own |
//! | [`seen`], [`seen_blocking`] | a call's result, with assertions on what happened to the call |
//!
//! ```
//! use idem::testing::{TestStore, every_crash, seen, under};
//!
//! #[idem::idempotent(name = "orders.charge")] // the process's store, or any other
//! async fn charge(order_id: u64) -> Result<u64, idem::Error> {
//!     Ok(order_id)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! println!("{}", every_crash(|| charge(7)).await); // a table: what ran how often, and who got what
//!
//! let store = TestStore::new();
//! seen(under(&store, charge(7))).await.assert_executed();
//! seen(under(&store, charge(7))).await.assert_replayed();
//! store.advance(std::time::Duration::from_secs(25 * 60 * 60)); // longer than `ttl`
//! seen(under(&store, charge(7))).await.assert_executed();
//! # }
//! ```

mod crash;
mod driver;
mod process;
mod report;
mod seen;
mod store;
mod under;

pub use crash::{EveryCrash, every_crash, every_crash_blocking};
pub use report::{Crash, Crashes, Got, Point};
pub use seen::{Seen, seen, seen_blocking};
pub use store::TestStore;
pub use under::{Under, under, under_blocking};
