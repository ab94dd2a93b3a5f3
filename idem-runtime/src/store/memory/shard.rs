//! A part of the memory store: the records whose tokens begin alike, and those who wait for one of them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};

use super::Packed;
use super::limits::Limits;
use super::table::Table;
use crate::Token;
use crate::store::record::State;
use crate::store::{Reply, Responder, protocol};
use crate::time::Now;

/// So many parts, in the order of their tokens.
pub(super) const SHARDS: usize = 64;

/// How many places of the table are looked at for something expired whenever a record is added. A look at all
/// of them is over before the table has grown by an eighth of its places.
const LOOKS: usize = 8;

/// All parts.
pub(super) struct Shards([Shard; SHARDS]);

impl Shards {
    pub(super) fn new() -> Self {
        Shards(std::array::from_fn(|_| Shard::default()))
    }

    #[inline]
    pub(super) fn of(&self, token: &Token) -> &Shard {
        &self.0[Self::index(token)]
    }

    pub(super) fn at(&self, index: usize) -> &Shard {
        &self.0[index]
    }

    /// Which part a token belongs to: its first bits say.
    #[inline]
    pub(super) fn index(token: &Token) -> usize {
        usize::from(token.as_bytes()[0]) * SHARDS / 256
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Shard> {
        self.0.iter()
    }
}

/// One part. Whoever reads it writes to a lock of his own thread only, so that threads whose calls are duplicates
/// do not wait for each other's caches; whoever changes it takes all of these locks.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Shard(ShardedLock<Part>);

// What a panic may have left behind is whole: every change is made by one step that cannot panic half way.
impl Shard {
    #[inline]
    pub(super) fn read(&self) -> ShardedLockReadGuard<'_, Part> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> PartGuard<'_> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) type PartGuard<'a> = ShardedLockWriteGuard<'a, Part>;

#[derive(Default)]
pub(super) struct Part {
    records: Table,
    waiting: BTreeMap<(Token, u64), Responder>,
    /// How many have ever waited.
    waiters: u64,
    /// The place in the table that is looked at next for something expired.
    place: usize,
}

/// Whether the record counts as gone.
#[inline]
pub(super) fn gone(record: &Packed, now: &Now) -> bool {
    record.expires() <= now.wall && protocol::expired(&record.head(), now)
}

impl Part {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many places the table has, full ones and empty ones.
    pub(super) fn places(&self) -> usize {
        self.records.places()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Packed> {
        self.records.iter()
    }

    #[inline]
    pub(super) fn find(&self, token: &Token) -> Option<&Packed> {
        self.records.get(token)
    }

    /// Puts a record in the place of what is there, or removes that. `counted` says that the limits know of it.
    pub(super) fn put(
        &mut self,
        token: &Token,
        record: Option<Packed>,
        now: &Now,
        limits: Option<&Limits>,
        counted: bool,
    ) -> Woken {
        let mut woken = Woken::default();
        let Some(record) = record else {
            if let Some(before) = self.records.remove(token) {
                forgotten(&before, limits);
                self.wake(token, None, &mut woken);
            }
            return woken;
        };
        if let (Some(limits), false) = (limits, counted) {
            limits.add(&record);
        }
        let (state, attempt) = (record.state(), record.attempt());
        match self.records.insert(record) {
            Some(before) => {
                forgotten(&before, limits);
                let same = state == State::Running && attempt == before.attempt();
                if before.state() == State::Running && !same {
                    let record = self.records.get(token).cloned();
                    self.wake(token, record, &mut woken);
                }
            }
            None => self.look(now, limits, &mut woken),
        }
        woken
    }

    /// Looks at a few places of the table and drops what has expired.
    fn look(&mut self, now: &Now, limits: Option<&Limits>, woken: &mut Woken) {
        for _ in 0..LOOKS {
            if self.place >= self.places() {
                self.place = 0;
                self.records.shrink();
            }
            if !self.drop_at(self.place, now, limits, woken) {
                self.place += 1;
            }
        }
    }

    /// Gives the places back that a past crowd needed.
    pub(super) fn shrink(&mut self) {
        self.records.shrink();
    }

    /// Drops the record at one place of the table, if it has expired. Another one may have moved there then.
    pub(super) fn drop_at(
        &mut self,
        place: usize,
        now: &Now,
        limits: Option<&Limits>,
        woken: &mut Woken,
    ) -> bool {
        if !self.records.at(place).is_some_and(|record| gone(record, now)) {
            return false;
        }
        let Some(record) = self.records.remove_at(place) else { return false };
        forgotten(&record, limits);
        self.wake(record.token(), None, woken);
        true
    }

    /// Somebody waits until a running record is not running any more.
    pub(super) fn wait(&mut self, token: Token, responder: Responder) -> u64 {
        self.waiters += 1;
        self.waiting.insert((token, self.waiters), responder);
        self.waiters
    }

    /// Somebody does not wait any more.
    pub(super) fn stop_waiting(&mut self, token: Token, waiter: u64) -> Option<Responder> {
        self.waiting.remove(&(token, waiter))
    }

    fn wake(&mut self, token: &Token, record: Option<Packed>, woken: &mut Woken) {
        if self.waiting.is_empty() {
            return;
        }
        let waiters = self.waiting.range((*token, 0)..=(*token, u64::MAX)).map(|(waiter, _)| *waiter);
        let responders: Vec<_> =
            waiters.collect::<Vec<_>>().iter().filter_map(|waiter| self.waiting.remove(waiter)).collect();
        if !responders.is_empty() {
            woken.0.push((record, responders));
        }
    }
}

fn forgotten(record: &Packed, limits: Option<&Limits>) {
    if let Some(limits) = limits {
        limits.remove(record);
    }
}

/// Those whose waiting is over, and the record that they waited for. They are answered after the part's lock has
/// been given back: waking runs other people's code.
#[derive(Default)]
#[must_use]
pub(super) struct Woken(Vec<(Option<Packed>, Vec<Responder>)>);

impl Woken {
    #[inline]
    pub(super) fn answer(self) {
        for (record, responders) in self.0 {
            let record = record.map(|record| Arc::new(record.unpack()));
            for responder in responders {
                responder.answer(Ok(Reply::Record(record.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Record;
    use crate::time::{LeaseTime, Timestamp};

    #[test]
    fn tokens_are_spread_over_all_parts() {
        let parts = (0..=255).map(|first| Shards::index(&Token::from_bytes([first; 32])));
        let mut counts = [0; SHARDS];
        parts.for_each(|part| counts[part] += 1);
        assert_eq!(counts, [256 / SHARDS; SHARDS]);
    }

    #[test]
    fn a_running_record_is_gone_when_its_time_and_its_lease_are_over() {
        let mut record = Record::default();
        record.head.state = State::Running;
        record.head.expires = Timestamp::from_micros(10);
        record.head.lease = LeaseTime { run: 0, micros: 20 };
        let record = Packed::new(Token::from_bytes([1; 32]), &record);
        // The wall clock can be set forward.
        for (wall, lease, over) in [(9, 19, false), (10, 19, false), (9, 20, false), (10, 20, true)] {
            let now = Now { wall: Timestamp::from_micros(wall), lease: LeaseTime { run: 0, micros: lease } };
            assert_eq!(gone(&record, &now), over, "{now:?}");
        }
    }
}
