//! The runtime of `idem-rs`: tokens, results, the protocol, the store trait, the memory store and the call.
//!
//! Applications use the facade crate `idem-rs` (its library is called `idem`), which re-exports what is public
//! here. Crates that implement a store may depend on this one alone.

pub mod call;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod encoding;
mod error;
mod io;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod time;
mod token;

pub use error::Error;
pub use io::{Io, io};
pub use text::Text;
pub use time::{LeaseTime, Now, Timestamp};
pub use token::{Token, digest};
