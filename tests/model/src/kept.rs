//! A record, as far as transitions look at it, in few bytes; and the library's own, of which it is made.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use idem_runtime::store::{Head, Kind, OnInterrupt, Payload, Record, State as RecordState};
use idem_runtime::{LeaseTime, Timestamp, encoding};

use crate::state::{Attempt, attempt};

/// What a record says that a transition looks at. Times are ticks; the rest (how many attempts there were, when
/// they began) is for people, and no transition depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kept {
    /// Running, free, interrupted or done.
    pub state: RecordState,
    /// The strictest of all claims.
    pub on_interrupt: OnInterrupt,
    /// Free by a release that found nothing.
    pub tombstone: bool,
    /// The last attempt.
    pub attempt: Attempt,
    /// How many attempts did not end.
    pub unended: u8,
    /// The last attempt's fence.
    pub fence: u8,
    /// The first attempt's fence.
    pub generation: u8,
    /// The lease's end.
    pub lease: u8,
    /// From when on it counts as gone.
    pub expires: u8,
    /// The digest of the verified arguments.
    pub digest: u8,
    /// Whose result is kept.
    pub result: Attempt,
    /// Whether a person has reopened or resolved it.
    pub by: bool,
}

/// Never, as a tick.
const NEVER: u8 = u8::MAX;

/// After everything that is looked at, as a tick.
pub(crate) const FAR: u8 = 200;

fn small(number: u64) -> u8 {
    u8::try_from(number).expect("the bounds keep numbers small")
}

fn moment(at: Timestamp) -> u8 {
    if at == Timestamp::NEVER { NEVER } else { small(at.as_micros()) }
}

/// So many ticks, each a microsecond to the library.
#[must_use]
pub fn ticks(count: u8) -> Duration {
    Duration::from_micros(u64::from(count))
}

impl Kept {
    /// As the library's own record.
    #[must_use]
    pub fn record(&self, ttl: u8) -> Record {
        let mut head = Head::default();
        head.state = self.state;
        head.on_interrupt = self.on_interrupt;
        head.tombstone = self.tombstone;
        head.attempt = self.attempt.id();
        head.unended = u32::from(self.unended);
        head.fence = u64::from(self.fence);
        head.generation = u64::from(self.generation);
        head.lease = LeaseTime { run: 0, micros: u64::from(self.lease) };
        head.ttl = ticks(ttl);
        head.expires = if self.expires == NEVER {
            Timestamp::NEVER
        } else {
            Timestamp::from_micros(self.expires.into())
        };
        let mut record = Record::default();
        if self.result != Attempt::NOBODY {
            head.kind = Kind::Value;
            record.result = Payload::from(vec![self.result.0]);
        }
        record.head = head;
        record.digest = digest(self.digest).to_vec();
        if self.by {
            record.by = "person".into();
        }
        record
    }

    /// What a transition looks at in the library's record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let head = &record.head;
        Kept {
            state: head.state,
            on_interrupt: head.on_interrupt,
            tombstone: head.tombstone,
            attempt: attempt(head.attempt),
            unended: small(head.unended.min(2).into()),
            fence: small(head.fence),
            generation: small(head.generation),
            lease: if head.state == RecordState::Running { small(head.lease.micros) } else { 0 },
            expires: moment(head.expires),
            digest: number(&record.digest),
            result: record.result.first().map_or(Attempt::NOBODY, |attempt| Attempt(*attempt)),
            by: !record.by.is_empty(),
        }
    }
}

/// So many calls with other verified arguments can be told apart, those that verify nothing included.
const DIGESTS: u8 = 3;

/// The digest of verified arguments by their number; 0 is a call that verifies nothing.
///
/// # Panics
/// For a number that is too large.
#[must_use]
pub fn digest(number: u8) -> &'static [u8] {
    static MADE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let amounts = (1..DIGESTS).map(|amount| BTreeMap::from([("amount", amount)]));
        let encoded = amounts.map(|amount| encoding::to_vec(&amount).expect("a map is encoded"));
        let digests = encoded.map(|verified| idem_runtime::digest::of(&verified).expect("it is such a map"));
        std::iter::once(Vec::new()).chain(digests).collect()
    });
    &MADE[usize::from(number)]
}

/// The number of a digest.
#[must_use]
pub fn number(bytes: &[u8]) -> u8 {
    (0..DIGESTS).find(|number| digest(*number) == bytes).unwrap_or(0)
}
