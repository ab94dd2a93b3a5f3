//! The memory store: records of this process, for as long as it lives.

mod limits;
mod shard;
mod table;
mod walk;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use self::limits::Limits;
use self::shard::{PartGuard, Shards};
use super::packed::Packed;
use super::protocol::{self, Change};
use super::record::{Payload, Record, State};
use super::{Answer, Asked, Durability, Finished, Handle, Pending, Profile, Reply, Request, Store};
use crate::Token;
use crate::io::io;
use crate::time::{LeaseTime, Now, Timestamp, micros};

const NAME: &str = "memory:";

/// A store that keeps its records in this process: quick, and gone when the process ends.
///
/// Clones are the same store. An attempt's guard is its sign of life, so leases need no renewal.
///
/// ```
/// use idem_runtime::store::{MemoryStore, Store};
/// let store = MemoryStore::builder().max_records(1_000_000).build();
/// assert_eq!(store.profile().name.as_str(), "memory:");
/// ```
///
/// Without a limit it holds whatever it is given until that expires; expired records are dropped as new ones
/// come. With a limit, a claim that would pass it is refused ([`Error::Store`](crate::Error::Store)) after
/// everything expired has been dropped. A record that is not expired is never dropped.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

/// Makes a [`MemoryStore`] with limits.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct MemoryStoreBuilder {
    max_records: Option<usize>,
    max_bytes: Option<usize>,
}

impl MemoryStoreBuilder {
    /// Refuses a claim that would make it more than so many records.
    pub fn max_records(mut self, records: usize) -> Self {
        self.max_records = Some(records);
        self
    }

    /// Refuses a claim once the records take so many bytes. What an attempt that already runs completes with
    /// is kept all the same.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// The store, empty.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        let mut profile = Profile::new(NAME, Durability::Process);
        profile.guarded = true;
        let limits = Limits::new(self.max_records, self.max_bytes);
        let inner = Arc::new_cyclic(|me| Inner {
            shards: Shards::new(),
            limits,
            profile,
            began: Instant::now(),
            me: Weak::clone(me),
            counters: Counters { fence: AtomicU64::new(0), purge: AtomicUsize::new(0) },
        });
        MemoryStore { inner }
    }
}

impl MemoryStore {
    /// An empty store without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A store with limits.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }

    /// How many records it holds, expired ones that have not been dropped yet included.
    #[must_use]
    pub fn records(&self) -> usize {
        self.inner.shards.iter().map(|shard| shard.read().len()).sum()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("records", &self.records()).finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn ask(&self, request: Request) -> Asked {
        self.inner.ask(request)
    }

    fn finished(&self, token: &Token, digest: &[u8]) -> Option<Finished> {
        self.inner.finished(token, digest)
    }

    fn profile(&self) -> &Profile {
        &self.inner.profile
    }

    fn to_handle(&self) -> Handle {
        Handle::from(Arc::clone(&self.inner))
    }
}

/// What the clones share. For a duplicate nothing in it is written but a lock of its own thread and, where the
/// result is too long to be copied, the count of its record.
struct Inner {
    shards: Shards,
    limits: Option<Limits>,
    profile: Profile,
    /// Leases are measured from here on.
    began: Instant,
    /// For the timer of a watch, which must not keep the store alive.
    me: Weak<Inner>,
    counters: Counters,
}

/// Away from what every request reads.
#[repr(align(128))]
struct Counters {
    /// The last fence that was given. It outlives every record.
    fence: AtomicU64,
    /// The shard at which the next purge begins.
    purge: AtomicUsize,
}

impl Store for Inner {
    #[inline]
    fn ask(&self, request: Request) -> Asked {
        Asked::Now(match &request {
            Request::List(query) => Ok(Reply::Page(self.list(query))),
            Request::Purge { limit } => Ok(Reply::Purged(self.purge(*limit))),
            Request::Watch { token, limit } => return self.watch(*token, *limit),
            Request::Claim(claim) => match self.finished(&claim.token, &claim.digest) {
                Some(finished) => Ok(Reply::Done(finished)),
                None => self.settle(&claim.token, &request),
            },
            Request::Complete(complete) => self.settle(&complete.token, &request),
            Request::Reopen(reopen) => self.settle(&reopen.token, &request),
            Request::Resolve(resolve) => self.settle(&resolve.token, &request),
            Request::Release { token, .. }
            | Request::Renew { token, .. }
            | Request::Interrupt { token, .. }
            | Request::Forget { token }
            | Request::Get { token } => self.settle(token, &request),
        })
    }

    /// Nothing is copied but a short result, and no clock that takes time is looked at.
    #[inline]
    fn finished(&self, token: &Token, digest: &[u8]) -> Option<Finished> {
        let part = self.shards.of(token).read();
        let record = part.find(token)?;
        // A done record has no lease.
        let now = Now { wall: roughly_now(), lease: LeaseTime::default() };
        // Which of them is about to expire is not seen by that clock.
        if record.expires() <= now.wall.after(TICK) {
            return None;
        }
        let head = record.head();
        protocol::answers(record.view(&head), digest, &now)
            .then(|| protocol::finished(&head, Payload::packed(record)))
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }
}

impl Inner {
    fn lease_clock(&self) -> LeaseTime {
        LeaseTime { run: 0, micros: micros(self.began.elapsed()) }
    }

    fn now(&self) -> Now {
        Now { wall: Timestamp::now(), lease: self.lease_clock() }
    }

    /// Carries out a request about one token.
    #[inline(never)]
    fn settle(&self, token: &Token, request: &Request) -> Answer {
        let shard = self.shards.of(token).write();
        let now = self.now();
        let found = shard.find(token);
        let head = found.map(Packed::head);
        let view = found.zip(head.as_ref()).map(|(found, head)| found.view(head));
        let decision =
            protocol::decide(view, request, &now, || self.counters.fence.fetch_add(1, Ordering::Relaxed) + 1);
        let live = found.filter(|found| !shard::gone(found, &now));
        let reply = protocol::reply(decision.verdict, live.map(Packed::unpack).as_ref());
        match decision.change {
            Change::Nothing => Ok(reply),
            change => self.change(shard, token, request, &now, change, reply),
        }
    }

    /// Carries out what was decided about the record of a token, in the same lock.
    #[inline(never)]
    fn change(
        &self,
        mut shard: PartGuard<'_>,
        token: &Token,
        request: &Request,
        now: &Now,
        change: Change,
        reply: Reply,
    ) -> Answer {
        let limits = self.limits.as_ref();
        let found = shard.find(token);
        let before = found.filter(|found| !shard::gone(found, now)).map(Packed::unpack);
        let after = match change {
            Change::Nothing | Change::Remove => None,
            Change::Head(head) => before.map(|record| Record { head, ..record }),
            Change::Whole(head) => Some(protocol::carried(before, head, request)),
        };
        let after = after.map(|record| Packed::new(*token, &record));
        // Only a claim can be refused: it is the only one before a body has begun.
        let mut counted = false;
        if let (Some(limits), None, Some(after), Request::Claim(_)) = (limits, found, &after, request) {
            counted = limits.reserve(after);
            if !counted {
                drop(shard);
                if !limits.worth_looking(now.wall, now.lease.micros) {
                    return Err(limits.refuse(NAME));
                }
                self.make_room();
                return self.settle(token, request);
            }
        }
        let woken = shard.put(token, after, now, limits, counted);
        drop(shard);
        woken.answer();
        Ok(reply)
    }

    /// The record, once it is not running, or after `limit`.
    fn watch(&self, token: Token, limit: Duration) -> Asked {
        let now = self.now();
        let mut shard = self.shards.of(&token).write();
        let record = shard.find(&token).filter(|record| !shard::gone(record, &now));
        if limit.is_zero() || record.is_none_or(|record| record.state() != State::Running) {
            return Asked::Now(Ok(Reply::Record(record.map(|record| Arc::new(record.unpack())))));
        }
        let (responder, pending) = Pending::channel(NAME);
        let waiter = shard.wait(token, responder);
        drop(shard);
        let me = Weak::clone(&self.me);
        let deadline = io().after(limit, move || {
            if let Some(store) = me.upgrade() {
                store.watched(token, waiter);
            }
        });
        let me = Weak::clone(&self.me);
        Asked::Later(pending.with_stop(move || {
            drop(deadline);
            if let Some(store) = me.upgrade() {
                store.shards.of(&token).write().stop_waiting(token, waiter);
            }
        }))
    }

    /// The limit of a watch has come.
    fn watched(&self, token: Token, waiter: u64) {
        let now = self.now();
        let mut shard = self.shards.of(&token).write();
        let Some(responder) = shard.stop_waiting(token, waiter) else { return };
        let record = shard.find(&token).filter(|record| !shard::gone(record, &now));
        let record = record.map(|record| Arc::new(record.unpack()));
        drop(shard);
        responder.answer(Ok(Reply::Record(record)));
    }
}

/// More than the operating system's clock advances by at a time.
const TICK: Duration = Duration::from_millis(50);

/// The wall clock as of the operating system's last tick, less than a [`TICK`] ago.
#[inline]
fn roughly_now() -> Timestamp {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        if let (Ok(seconds), Ok(nanos)) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec)) {
            return Timestamp::from_micros(seconds * 1_000_000 + nanos / 1_000);
        }
    }
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rough_clock_is_less_than_a_tick_behind() {
        for _ in 0..1_000 {
            let before = Timestamp::now();
            let roughly = roughly_now();
            assert!(before < roughly.after(TICK) && roughly <= Timestamp::now(), "{before:?} {roughly:?}");
        }
    }
}
