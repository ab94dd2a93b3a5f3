//! What a store is, what it is asked and what it answers.
//!
//! A store does the operations of the protocol atomically per token, by its own clock. It knows nothing of
//! calls. Stores that decide in Rust use [`protocol`], the transitions as pure functions; all of them pass the
//! conformance suite (`idem::conformance`).

mod asked;
mod codec;
mod memory;
mod packed;
pub mod protocol;
mod record;
mod reply;
mod request;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use asked::{Asked, Pending, Responder};
pub use codec::CodecError;
pub use memory::{MemoryStore, MemoryStoreBuilder};
pub use record::{AttemptId, Head, Kind, Listed, OnInterrupt, Payload, Record, State};
pub use reply::{Answer, Fault, Finished, Grant, Page, Reply, StoreError};
pub use request::{Arguments, Claim, Complete, Query, Reopen, Request, Resolve};

use crate::{Text, Token};

/// Where records are kept.
///
/// [`Store::ask`] *starts* an operation: it goes on whether anybody waits for the answer or not (but a watch).
/// Every request is answered within [`Profile::time_limit`], if only with a [`StoreError`] whose
/// [`fault`](StoreError::fault) says what is known of it.
pub trait Store: Send + Sync + 'static {
    /// Starts one operation.
    fn ask(&self, request: Request) -> Asked;

    /// What a claim of this token and digest, whoever's, would be answered with, if the record is done and the store
    /// can see that at once, on this thread, for less than a claim costs. A call looks here first, so that a duplicate
    /// makes no claim; with nothing it claims.
    ///
    /// Nothing, if not implemented. A store that has to ask somebody, or to read a file, leaves it so: a first call
    /// would do that twice.
    fn finished(&self, token: &Token, digest: &[u8]) -> Option<Finished> {
        let _ = (token, digest);
        None
    }

    /// What the store is and promises. Clones of one store give the same reference.
    fn profile(&self) -> &Profile;

    /// An owned handle on this store. A store that is shared inside can save the allocation.
    fn to_handle(&self) -> Handle
    where
        Self: Sized + Clone,
    {
        Handle::from(Arc::new(self.clone()))
    }
}

/// What a store's records survive, from little to much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing beyond the process.
    Process,
    /// The end of the process.
    Machine,
    /// A power cut.
    Synced,
    /// The loss of the machine.
    Replicated,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Durability::Process => "process",
            Durability::Machine => "machine",
            Durability::Synced => "synced",
            Durability::Replicated => "replicated",
        })
    }
}

/// What a store is and promises.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Profile {
    /// The store's URL without a password.
    pub name: Text,
    /// What its records survive.
    pub durability: Durability,
    /// Whether it makes the token itself, and so needs scope, function and arguments in a claim.
    pub wants_arguments: bool,
    /// Whether it can keep arguments. A function that says `record_arguments` needs a store that can.
    pub takes_arguments: bool,
    /// Whether an attempt's guard is the sign of life, so that leases need no renewal: only where every
    /// record ends with the process.
    pub guarded: bool,
    /// How long a request may take, and for how long an unanswered claim is asked again.
    pub time_limit: Duration,
}

impl Profile {
    /// A store whose records survive so much; with renewed leases and a limit of 5 seconds.
    #[must_use]
    pub fn new(name: impl Into<Text>, durability: Durability) -> Self {
        Profile {
            name: name.into(),
            durability,
            wants_arguments: false,
            takes_arguments: true,
            guarded: false,
            time_limit: Duration::from_secs(5),
        }
    }
}

/// An owned handle on a store.
#[derive(Clone)]
pub struct Handle(Owned);

#[derive(Clone)]
enum Owned {
    Static(&'static dyn Store),
    Shared(Arc<dyn Store>),
}

impl Handle {
    /// The same store, kept for the rest of the process: for the one store that a process installs.
    #[must_use]
    pub fn into_static(self) -> Self {
        match self.0 {
            Owned::Static(_) => self,
            Owned::Shared(store) => {
                let store: &'static Arc<dyn Store> = Box::leak(Box::new(store));
                Handle(Owned::Static(&**store))
            }
        }
    }

    /// Whether both are handles on one store.
    #[must_use]
    pub fn same(&self, other: &Handle) -> bool {
        // Clones of a store share its profile.
        std::ptr::eq(self.profile(), other.profile())
    }
}

impl std::ops::Deref for Handle {
    type Target = dyn Store;
    #[inline]
    fn deref(&self) -> &dyn Store {
        match &self.0 {
            Owned::Static(store) => *store,
            Owned::Shared(store) => &**store,
        }
    }
}

impl Store for Handle {
    fn ask(&self, request: Request) -> Asked {
        (**self).ask(request)
    }

    fn finished(&self, token: &Token, digest: &[u8]) -> Option<Finished> {
        (**self).finished(token, digest)
    }

    fn profile(&self) -> &Profile {
        (**self).profile()
    }

    fn to_handle(&self) -> Handle {
        self.clone()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.profile().name).finish()
    }
}

/// What can be given as `store = …`: it becomes an owned handle before the body runs.
///
/// Implemented for a reference to a store that can be cloned, for a [`Handle`], for an `Arc` of a store, and for
/// the library's own stores by value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a store",
    label = "a store, an `Arc` of one, or a reference to one of these is expected",
    note = "`store = …` takes an owned handle before the body runs: keep the store as `Arc<dyn idem::Store>` or as a type that is `Store + Clone`"
)]
pub trait IntoStore {
    /// The owned handle.
    fn into_store(self) -> Handle;
}

impl IntoStore for Handle {
    fn into_store(self) -> Handle {
        self
    }
}

impl<S: Store> From<Arc<S>> for Handle {
    fn from(store: Arc<S>) -> Self {
        Handle(Owned::Shared(store))
    }
}

impl From<Arc<dyn Store>> for Handle {
    fn from(store: Arc<dyn Store>) -> Self {
        Handle(Owned::Shared(store))
    }
}

impl IntoStore for MemoryStore {
    fn into_store(self) -> Handle {
        self.to_handle()
    }
}

impl<S: Store> IntoStore for Arc<S> {
    fn into_store(self) -> Handle {
        Handle(Owned::Shared(self))
    }
}

impl<S: Store> IntoStore for &Arc<S> {
    fn into_store(self) -> Handle {
        Handle(Owned::Shared(Arc::<S>::clone(self)))
    }
}

impl IntoStore for Arc<dyn Store> {
    fn into_store(self) -> Handle {
        Handle(Owned::Shared(self))
    }
}

impl IntoStore for &Arc<dyn Store> {
    fn into_store(self) -> Handle {
        Handle(Owned::Shared(Arc::clone(self)))
    }
}

impl<S: Store + Clone> IntoStore for &S {
    fn into_store(self) -> Handle {
        self.to_handle()
    }
}
