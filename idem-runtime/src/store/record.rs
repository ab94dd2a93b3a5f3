//! What a store holds under a token.

use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::packed::Packed;
use crate::time::{LeaseTime, Timestamp};
use crate::{Text, Token};

/// The process that drew, and the next id to give.
type Next = (u32, u128);

/// A random 128-bit number that stands for one execution of the body.
///
/// ```
/// use idem_runtime::store::AttemptId;
/// assert_ne!(AttemptId::random(), AttemptId::random());
/// assert_eq!(AttemptId::from(7_u128).to_string(), "00000000000000000000000000000007");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AttemptId(u128);

impl AttemptId {
    /// Nobody's attempt: what a person has resolved.
    pub const NOBODY: AttemptId = AttemptId(0);

    /// A new attempt id, different from every other one in any process.
    ///
    /// Each thread draws 128 bits from the operating system and counts on from there; a forked child, which has its
    /// parent's memory, draws its own.
    #[must_use]
    pub fn random() -> Self {
        thread_local!(static NEXT: Cell<Next> = const { Cell::new((0, 0)) });
        let process = std::process::id();
        let id = NEXT.try_with(|next| Self::next(next, process));
        id.unwrap_or_else(|_| Self::next(&Cell::new((0, 0)), process))
    }

    /// The next id that this process may give.
    fn next(next: &Cell<Next>, process: u32) -> Self {
        let fresh = || {
            let mut bytes = [0; 16];
            // Without randomness two processes could take each other for themselves.
            getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
            u128::from_ne_bytes(bytes)
        };
        let mut id = match next.get() {
            (drawn_by, id) if drawn_by == process => id,
            _ => 0,
        };
        // 0 is nobody's.
        while id == 0 {
            id = fresh();
        }
        next.set((process, id.wrapping_add(1)));
        AttemptId(id)
    }

    /// The id as 16 bytes, most significant first.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id that [`AttemptId::to_bytes`] gave.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        AttemptId(u128::from_be_bytes(bytes))
    }
}

impl From<u128> for AttemptId {
    fn from(id: u128) -> Self {
        AttemptId(id)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptId({self})")
    }
}

/// The state of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum State {
    /// An attempt runs, or ran and gave no sign of life since.
    #[default]
    Running,
    /// The last attempt gave the token back: its body did not begin, or ended in an `Err` that is not kept.
    Free,
    /// The last attempt began and did not end; what effects it had nobody knows.
    Interrupted,
    /// The body ended well, or a person said that it did.
    Done,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Running => "running",
            State::Free => "free",
            State::Interrupted => "interrupted",
            State::Done => "done",
        })
    }
}

/// What a stored result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Kind {
    /// Nothing was kept: the call does not keep results, or the result was too large or could not be encoded.
    #[default]
    None,
    /// The value of an `Ok`.
    Value,
    /// The error of an `Err`.
    Error,
}

/// What becomes of an attempt that began and did not end. [`OnInterrupt::Reject`] is the stricter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum OnInterrupt {
    /// The next call runs the body again.
    #[default]
    Retry,
    /// The body is not started again until a person says so.
    Reject,
}

/// The part of a record that decides: small, and the same for every store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Head {
    /// Running, free, interrupted or done.
    pub state: State,
    /// What the stored result is.
    pub kind: Kind,
    /// What becomes of an attempt that began and did not end: the strictest of all claims so far.
    pub on_interrupt: OnInterrupt,
    /// Free by a `release` that found nothing: no claim of this attempt was ever seen.
    pub tombstone: bool,
    /// The last attempt.
    pub attempt: AttemptId,
    /// How many attempts there were, from 1.
    pub number: u32,
    /// How many of them began and did not end.
    pub unended: u32,
    /// The last attempt's fence.
    pub fence: u64,
    /// The fence of the first attempt of this record.
    pub generation: u64,
    /// Until when the running attempt is believed alive.
    pub lease: LeaseTime,
    /// How long the record is kept once it is finished, freed or interrupted.
    pub ttl: Duration,
    /// When it was first asked for.
    pub first_at: Timestamp,
    /// When the last attempt began.
    pub began_at: Timestamp,
    /// When the last attempt ended; [`Timestamp::NEVER`] while it has not.
    pub ended_at: Timestamp,
    /// From when on the record counts as gone; a running one only if its lease is over, too.
    pub expires: Timestamp,
}

/// What a store holds under a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Record {
    /// The part that decides.
    pub head: Head,
    /// The scope that is part of the token.
    pub scope: Text,
    /// The signature text or name.
    pub function: Text,
    /// The digest of the verified arguments.
    pub digest: Vec<u8>,
    /// The arguments, if the function was told to record them.
    pub arguments: Option<super::Arguments>,
    /// The encoded result; empty unless [`Head::kind`] says what it is.
    pub result: Payload,
    /// Who reopened or resolved it; empty if nobody did.
    pub by: Text,
}

/// Bytes that are shared and never change: an encoded result.
///
/// ```
/// use idem_runtime::store::Payload;
/// assert_eq!(&*Payload::from(vec![0x18, 0x2a]), [0x18, 0x2a]);
/// ```
#[derive(Clone)]
pub struct Payload(Bytes);

#[derive(Clone)]
enum Bytes {
    Empty,
    /// So few that they are copied: threads that read the same result meet on no counter.
    Few(u8, [u8; FEW]),
    Shared(Arc<[u8]>),
    /// The result in a record of the memory store, without a copy.
    Packed(Packed),
}

const FEW: usize = 38;

impl Payload {
    #[inline]
    pub(crate) fn packed(record: &Packed) -> Self {
        Payload(few(record.result()).unwrap_or_else(|| Bytes::Packed(record.clone())))
    }
}

#[inline]
fn few(bytes: &[u8]) -> Option<Bytes> {
    let mut copy = [0; FEW];
    copy.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let length = u8::try_from(bytes.len()).ok()?;
    Some(if length == 0 { Bytes::Empty } else { Bytes::Few(length, copy) })
}

impl Default for Payload {
    fn default() -> Self {
        Payload(Bytes::Empty)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Payload::from(bytes.as_slice())
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Payload(few(bytes).unwrap_or_else(|| Bytes::Shared(bytes.into())))
    }
}

impl Deref for Payload {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Empty => &[],
            Bytes::Few(length, bytes) => &bytes[..usize::from(*length).min(FEW)],
            Bytes::Shared(bytes) => bytes,
            Bytes::Packed(record) => record.result(),
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload {}

impl Hash for Payload {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Only the length: results may be secret.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

/// One record and the token that it is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Listed {
    /// The token.
    pub token: Token,
    /// What is kept under it.
    pub record: Record,
}

impl Listed {
    /// A record with its token.
    #[must_use]
    pub fn new(token: Token, record: Record) -> Self {
        Listed { token, record }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_forked_child_draws_attempt_ids_of_its_own() {
        let parent = Cell::new((0, 0));
        let first = AttemptId::next(&parent, 1);
        // A fork copies what the parent has come to.
        let child = Cell::new(parent.get());
        assert_eq!(AttemptId::next(&parent, 1), AttemptId(first.0.wrapping_add(1)));
        let of_child = AttemptId::next(&child, 2);
        assert!(of_child.0.abs_diff(first.0) > 1 << 64, "{of_child} and {first}");
        assert_eq!(AttemptId::next(&child, 2), AttemptId(of_child.0.wrapping_add(1)));
    }

    #[test]
    fn states_and_attempts_have_names() {
        let states = [State::Running, State::Free, State::Interrupted, State::Done];
        assert_eq!(states.map(|state| state.to_string()), ["running", "free", "interrupted", "done"]);
        assert_eq!(AttemptId::from(0xa7_u128).to_string(), "000000000000000000000000000000a7");
    }

    #[test]
    fn a_payload_is_its_bytes() {
        let (few, many) = (vec![7; FEW], vec![7; FEW + 1]);
        let payloads = [vec![], vec![7], vec![8], few.clone(), many.clone()].map(Payload::from);
        for (at, payload) in payloads.iter().enumerate() {
            let equal: Vec<_> = payloads.iter().map(|other| other == payload).collect();
            assert!(equal.into_iter().enumerate().all(|(other, equal)| equal == (other == at)), "{at}");
        }
        let hasher = std::hash::RandomState::new();
        let hashes = payloads.iter().map(|payload| std::hash::BuildHasher::hash_one(&hasher, payload));
        assert_eq!(hashes.collect::<HashSet<_>>().len(), payloads.len());
        // What has few bytes is copied, and shares no counter.
        assert!(matches!(Payload::from(few).0, Bytes::Few(..)));
        assert!(matches!(Payload::from(many).0, Bytes::Shared(..)));
    }
}
