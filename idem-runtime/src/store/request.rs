//! What a store is asked: owned values, so that they can be asked again, moved to another thread, sent
//! over a wire, or written down by a test.

use std::sync::Arc;
use std::time::Duration;

use super::record::{AttemptId, Kind, OnInterrupt, Payload, State};
use crate::{Text, Token};

/// One operation of the protocol.
///
/// The larger ones are shared, so that asking again copies nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Request {
    /// May this attempt run the body?
    Claim(Arc<Claim>),
    /// The body ended: keep its result.
    Complete(Arc<Complete>),
    /// The attempt gives the token back: its body did not begin, or ended in an `Err` that is not kept.
    Release {
        /// Of which record.
        token: Token,
        /// Whose claim is given back.
        attempt: AttemptId,
        /// How long a claim that comes late is still refused.
        lease: Duration,
    },
    /// A sign of life.
    Renew {
        /// Of which record.
        token: Token,
        /// Whose lease.
        attempt: AttemptId,
        /// How long from now.
        lease: Duration,
    },
    /// The body began and did not end: nobody knows what it did.
    Interrupt {
        /// Of which record.
        token: Token,
        /// Whose body.
        attempt: AttemptId,
    },
    /// A person says: run it again.
    Reopen(Arc<Reopen>),
    /// A person says: it happened.
    Resolve(Arc<Resolve>),
    /// Remove the record, unless it is running with a lease.
    Forget {
        /// Which record.
        token: Token,
    },
    /// Read one record.
    Get {
        /// Which record.
        token: Token,
    },
    /// Read many records, a page at a time.
    List(Arc<Query>),
    /// Remove at most `limit` expired records.
    Purge {
        /// At most so many.
        limit: usize,
    },
    /// Answer with the record once it is not running, or after `limit`.
    Watch {
        /// Which record.
        token: Token,
        /// At most so long.
        limit: Duration,
    },
}

impl Request {
    /// The token that the request is about, if it is about one.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        match self {
            Request::Claim(claim) => Some(claim.token),
            Request::Complete(complete) => Some(complete.token),
            Request::Reopen(reopen) => Some(reopen.token),
            Request::Resolve(resolve) => Some(resolve.token),
            Request::Release { token, .. }
            | Request::Renew { token, .. }
            | Request::Interrupt { token, .. }
            | Request::Forget { token }
            | Request::Get { token }
            | Request::Watch { token, .. } => Some(*token),
            Request::List(_) | Request::Purge { .. } => None,
        }
    }

    /// The operation's name, for logs and error messages.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Request::Claim(_) => "claim",
            Request::Complete(_) => "complete",
            Request::Release { .. } => "release",
            Request::Renew { .. } => "renew",
            Request::Interrupt { .. } => "interrupt",
            Request::Reopen(_) => "reopen",
            Request::Resolve(_) => "resolve",
            Request::Forget { .. } => "forget",
            Request::Get { .. } => "get",
            Request::List(_) => "list",
            Request::Purge { .. } => "purge",
            Request::Watch { .. } => "watch",
        }
    }
}

/// May this attempt run the body?
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Claim {
    /// Of which record.
    pub token: Token,
    /// Who asks.
    pub attempt: AttemptId,
    /// The digest of the verified arguments: opaque to stores, which only compare it.
    pub digest: Vec<u8>,
    /// Another digest that the call has looked at and takes for its own.
    pub accept: Option<Vec<u8>>,
    /// How long the attempt is believed alive without a sign of life.
    pub lease: Duration,
    /// How long the record is kept once it is finished, freed or interrupted.
    pub ttl: Duration,
    /// What becomes of an attempt that began and did not end.
    pub on_interrupt: OnInterrupt,
    /// After so many attempts that did not end the record's policy becomes `reject`.
    pub max_attempts: Option<u32>,
    /// The scope that is part of the token.
    pub scope: Text,
    /// The signature text or name that is part of the token.
    pub function: Text,
    /// The arguments, where the store makes the token itself or the record is to keep them.
    pub arguments: Option<Arguments>,
    /// Whether the record keeps the arguments.
    pub record_arguments: bool,
}

/// A call's arguments in the encoding that makes the token; never the skipped ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Arguments {
    /// What makes the token: a CBOR array of the values.
    pub key: Vec<u8>,
    /// What is verified: a CBOR map from name to value.
    pub verified: Vec<u8>,
}

impl Arguments {
    /// The array of the key's values and the map of the verified ones, both as CBOR.
    #[must_use]
    pub fn new(key: Vec<u8>, verified: Vec<u8>) -> Self {
        Arguments { key, verified }
    }
}

/// The body ended: keep its result.
///
/// It carries all that a record needs, because it may find none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Complete {
    /// Of which record.
    pub token: Token,
    /// Whose body ended.
    pub attempt: AttemptId,
    /// The attempt's fence.
    pub fence: u64,
    /// The attempt's generation.
    pub generation: u64,
    /// The attempt's number.
    pub number: u32,
    /// The signature text or name.
    pub function: Text,
    /// The digest of the verified arguments.
    pub digest: Vec<u8>,
    /// The encoded result; empty for [`Kind::None`].
    pub result: Payload,
    /// What the result is.
    pub kind: Kind,
    /// How long the record is kept from now on.
    pub ttl: Duration,
}

/// A person says: run it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Reopen {
    /// Which record.
    pub token: Token,
    /// The fence that the person saw.
    pub fence: u64,
    /// Who says so.
    pub by: Text,
}

impl Reopen {
    /// Reopens what was seen with this fence.
    #[must_use]
    pub fn new(token: Token, fence: u64, by: impl Into<Text>) -> Self {
        Reopen { token, fence, by: by.into() }
    }
}

/// A person says: it happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Resolve {
    /// Which record.
    pub token: Token,
    /// The fence that the person saw.
    pub fence: u64,
    /// Who says so.
    pub by: Text,
    /// The encoded result; empty for [`Kind::None`].
    pub result: Payload,
    /// What the result is.
    pub kind: Kind,
    /// How long the record is kept from now on.
    pub ttl: Duration,
}

impl Resolve {
    /// Resolves what was seen with this fence, without a result: duplicates are told `Do not submit
    /// repeated requests`. Set `result` and `kind` for one that is replayed.
    #[must_use]
    pub fn new(token: Token, fence: u64, by: impl Into<Text>, ttl: Duration) -> Self {
        Resolve { token, fence, by: by.into(), ttl, ..Resolve::default() }
    }
}

/// Which records to list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Query {
    /// Only records in this state. Of running ones, see also [`Query::lease_over`].
    pub state: Option<State>,
    /// Only running records whose lease is over.
    pub lease_over: bool,
    /// Only records of this function.
    pub function: Option<Text>,
    /// Only records first asked for at least so long ago.
    pub age: Option<Duration>,
    /// Go on after this token: the cursor of the page before.
    pub cursor: Option<Token>,
    /// At most so many; 0 means 100. A store may answer fewer than it is asked for and a cursor.
    pub limit: usize,
}
