//! What a store answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::{AttemptId, Kind, Listed, Payload, Record};
use crate::time::Timestamp;
use crate::{Text, Token};

/// The answer to a [`Request`](super::Request), or why there is none.
pub type Answer = Result<Reply, StoreError>;

/// What a store answers to an operation that it carried out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reply {
    /// To a claim: the attempt may run the body.
    Claimed(Grant),
    /// To a claim, or to a `forget`: another attempt runs and its lease is not over.
    Running {
        /// When that attempt began.
        since: Timestamp,
        /// How long it is still believed alive without a sign of life.
        lease_left: Duration,
    },
    /// To a claim: the body ended well before.
    Done(Finished),
    /// To a claim: the verified arguments may differ.
    Mismatch {
        /// The record's digest.
        digest: Vec<u8>,
    },
    /// To a claim: an attempt began and did not end, and the body is not to be started again.
    Interrupted {
        /// When the last attempt began.
        since: Timestamp,
        /// How many attempts there were.
        number: u32,
    },
    /// The attempt was replaced.
    LeaseLost {
        /// What the attempt that replaced it has completed with, if it has.
        winner: Option<Finished>,
    },
    /// The result is kept.
    Completed,
    /// The attempt holds nothing any more.
    Released,
    /// The lease goes on.
    Renewed,
    /// The record says that nobody knows what the attempt did.
    Stopped,
    /// The next call runs the body again.
    Reopened,
    /// Duplicates are answered from now on.
    Resolved,
    /// The record is gone.
    Forgotten,
    /// To `get`, `watch`, and to a `reopen` or `resolve` that did not fit: the record as it is.
    Record(Option<Arc<Record>>),
    /// A page of records.
    Page(Page),
    /// So many expired records were removed.
    Purged(usize),
}

/// A claim that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Grant {
    /// Grows with every attempt of the token.
    pub fence: u64,
    /// The fence of the first attempt of this record.
    pub generation: u64,
    /// The attempt's number, from 1.
    pub number: u32,
}

impl Grant {
    /// What a store says when it grants a claim.
    #[must_use]
    pub fn new(fence: u64, generation: u64, number: u32) -> Self {
        Grant { fence, generation, number }
    }
}

/// What a finished record answers duplicates with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Finished {
    /// The encoded result; empty for [`Kind::None`].
    pub result: Payload,
    /// What the result is.
    pub kind: Kind,
    /// The attempt that completed; [`AttemptId::NOBODY`] if a person resolved it.
    pub attempt: AttemptId,
    /// The fence of the record's first attempt.
    pub generation: u64,
    /// When it was first asked for.
    pub first_at: Timestamp,
    /// When it was completed.
    pub completed_at: Timestamp,
    /// Until when duplicates are answered.
    pub expires_at: Timestamp,
}

/// A page of records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Page {
    /// The records, in the order of their tokens.
    pub records: Vec<Listed>,
    /// Where the next page begins; nothing on the last one.
    pub next: Option<Token>,
}

impl Page {
    /// A page, and where the next one begins.
    #[must_use]
    pub fn new(records: Vec<Listed>, next: Option<Token>) -> Self {
        Page { records, next }
    }
}

/// Why a store gave no answer.
#[derive(Debug, Clone)]
pub struct StoreError(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    fault: Fault,
    store: Text,
    message: Text,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What is known of a request that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// It may have been carried out: the answer was lost. Asking again is safe.
    Lost,
    /// It was not carried out, and may be if it is asked again.
    Unavailable,
    /// It was not carried out, and asking again at once does not help: the store is full, read-only, or
    /// not one of ours.
    Refused,
    /// It was not carried out and never will be: it is larger than what the store can hold. A result is then left
    /// out, and the rest recorded.
    TooLarge,
}

impl StoreError {
    /// The request may have been carried out; nobody knows.
    #[must_use]
    pub fn lost(store: impl Into<Text>, message: impl Into<Text>) -> Self {
        Self::new(Fault::Lost, store, message)
    }

    /// The request was not carried out; the next one may be.
    #[must_use]
    pub fn unavailable(store: impl Into<Text>, message: impl Into<Text>) -> Self {
        Self::new(Fault::Unavailable, store, message)
    }

    /// The request was not carried out, and will not be until something changes.
    #[must_use]
    pub fn refused(store: impl Into<Text>, message: impl Into<Text>) -> Self {
        Self::new(Fault::Refused, store, message)
    }

    /// The request was not carried out, because the store holds nothing so large.
    #[must_use]
    pub fn too_large(store: impl Into<Text>, message: impl Into<Text>) -> Self {
        Self::new(Fault::TooLarge, store, message)
    }

    fn new(fault: Fault, store: impl Into<Text>, message: impl Into<Text>) -> Self {
        StoreError(Box::new(Inner { fault, store: store.into(), message: message.into(), source: None }))
    }

    /// With the error that it comes from.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// What is known of the request.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.0.fault
    }

    /// Which store, as its URL without a password.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.0.store
    }

    /// What happened and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store {} {}", self.0.store, self.0.message)?;
        match &self.0.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}
