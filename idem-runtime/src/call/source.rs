//! Where a call without a store of its own gets one: the facade's business, which the runtime does not know.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::Text;
use crate::store::{Handle, StoreError};

/// Gives the process's store.
#[derive(Clone, Copy)]
pub struct Source(fn() -> Sourced);

/// What a [`Source`] gives.
pub enum Sourced {
    /// The store.
    Ready(Handle),
    /// The store, once it is connected.
    Connecting(Pin<Box<dyn Future<Output = Result<Handle, NoStore>> + Send>>),
    /// No store.
    Failed(NoStore),
}

/// Why there is no store.
#[derive(Debug, Clone)]
pub enum NoStore {
    /// None was set, or what was set cannot be one; the text says what to do.
    Misuse(Text),
    /// It cannot be reached.
    Store(StoreError),
}

impl Source {
    /// A source that asks this function at each call.
    #[must_use]
    pub const fn new(find: fn() -> Sourced) -> Self {
        Source(find)
    }

    pub(crate) fn find(self) -> Sourced {
        (self.0)()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

impl fmt::Debug for Sourced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sourced::Ready(store) => f.debug_tuple("Ready").field(store).finish(),
            Sourced::Connecting(_) => f.write_str("Connecting"),
            Sourced::Failed(why) => f.debug_tuple("Failed").field(why).finish(),
        }
    }
}
