//! A store whose clock the test moves.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{
    Answer, Asked, Durability, Listed, Page, Pending, Profile, Query, Record, Reply, Request, Responder,
    State, Store, StoreError, protocol,
};
use crate::time::{LeaseTime, Now, Timestamp};
use crate::{Text, Token};

/// A store for tests: its clocks stand still until the test moves them, it notes what it is asked, and it fails where it
/// is told to.
///
/// Clones are the same store. It decides as every store does, by [`protocol::apply`]. Its leases are renewed as those of a
/// store over a network, while its clocks stand still.
///
/// ```
/// use std::time::Duration;
/// use idem::Error;
/// use idem::testing::TestStore;
///
/// let store = TestStore::new();
/// let charge = || {
///     let call = idem::call("orders.charge").arg(&7_u64).store(&store);
///     call.on_duplicate(idem::on_duplicate::Reject).run_blocking(|| Ok::<_, Error>(()))
/// };
/// charge()?;
/// assert!(matches!(charge(), Err(Error::Duplicate { .. })));
/// store.advance(Duration::from_secs(24 * 60 * 60)); // its `ttl`
/// charge()?;
/// assert_eq!(store.asked(), ["claim", "complete", "claim", "claim", "complete"]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct TestStore(Arc<Inner>);

struct Inner {
    profile: Profile,
    state: Mutex<Held>,
}

struct Held {
    records: BTreeMap<Token, Record>,
    now: Now,
    fence: u64,
    asked: Vec<Request>,
    faults: VecDeque<(Text, Fault)>,
    watches: Vec<Watch>,
}

struct Watch {
    token: Token,
    until: LeaseTime,
    responder: Responder,
}

#[derive(Clone, Copy)]
enum Fault {
    /// It is not carried out.
    Fail,
    /// It is carried out, and its answer is lost.
    LoseAnswer,
}

/// The first of January 2030, when nothing of a test has happened yet.
const BEGINNING: Timestamp = Timestamp::from_micros(1_893_456_000_000_000);

impl TestStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let mut profile = Profile::new("testing:", Durability::Machine);
        profile.time_limit = Duration::from_millis(500);
        TestStore(Arc::new(Inner {
            profile,
            state: Mutex::new(Held {
                records: BTreeMap::new(),
                now: Now { wall: BEGINNING, lease: LeaseTime { run: 1, micros: 0 } },
                fence: 0,
                asked: Vec::new(),
                faults: VecDeque::new(),
                watches: Vec::new(),
            }),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time passes: leases come to their end, records expire, and whoever waits for so long is told.
    pub fn advance(&self, by: Duration) {
        let mut held = self.lock();
        held.now.wall = held.now.wall.after(by);
        held.now.lease = held.now.lease.after(by);
        held.wake()
    }

    /// Sets the wall clock alone, forward or back: `ttl` follows it, leases do not.
    pub fn set_wall_clock(&self, to: Timestamp) {
        self.lock().now.wall = to;
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn wall_clock(&self) -> Timestamp {
        self.lock().now.wall
    }

    /// The record under a token, if there is one that is not expired.
    #[must_use]
    pub fn record(&self, token: Token) -> Option<Record> {
        let held = self.lock();
        held.records.get(&token).filter(|record| !protocol::expired(&record.head, &held.now)).cloned()
    }

    /// The names of the operations that it was asked for, in their order: `claim`, `complete`, `release`…
    #[must_use]
    pub fn asked(&self) -> Vec<&'static str> {
        self.lock().asked.iter().map(Request::operation).collect()
    }

    /// What it was asked, in its order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.lock().asked.clone()
    }

    /// The next request of this operation (`claim`, `complete`…) that has no fault yet is not carried out, and the caller
    /// is told that the store is not available. Calls ask again within half a second.
    pub fn fail_next(&self, operation: &str) {
        self.lock().faults.push_back((operation.to_owned().into(), Fault::Fail));
    }

    /// The next request of this operation (`claim`, `complete`…) that has no fault yet is carried out, and its answer is
    /// lost.
    ///
    /// ```
    /// use idem::Error;
    /// use idem::testing::{TestStore, seen_blocking};
    ///
    /// let store = TestStore::new();
    /// store.lose_next_answer("claim");
    /// let charge = || idem::call("orders.charge").store(&store).run_blocking(|| Ok::<_, Error>(7));
    /// seen_blocking(charge).assert_executed();
    /// assert_eq!(store.asked(), ["claim", "claim", "complete"]); // asked again, and answered as before
    /// ```
    pub fn lose_next_answer(&self, operation: &str) {
        self.lock().faults.push_back((operation.to_owned().into(), Fault::LoseAnswer));
    }

    /// Carries a request out, unless a fault was planned for it.
    pub(super) fn carry_out(&self, request: Request) -> Asked {
        let mut held = self.lock();
        held.asked.push(request.clone());
        let planned = held.faults.iter().position(|(operation, _)| **operation == *request.operation());
        let fault = planned.and_then(|place| held.faults.remove(place)).map(|(_, fault)| fault);
        if let Some(Fault::Fail) = fault {
            return Asked::Now(Err(StoreError::unavailable("testing:", "was told to fail")));
        }
        let asked = held.ask(request);
        held.wake();
        match fault {
            Some(_) => Asked::Now(Err(StoreError::lost("testing:", "was told to lose its answer"))),
            None => asked,
        }
    }
}

impl Held {
    fn ask(&mut self, request: Request) -> Asked {
        match &request {
            Request::List(query) => Asked::Now(Ok(Reply::Page(self.list(query)))),
            Request::Purge { limit } => Asked::Now(Ok(Reply::Purged(self.purge(*limit)))),
            Request::Watch { token, limit } => self.watch(*token, *limit),
            _ => Asked::Now(self.settle(&request)),
        }
    }

    fn settle(&mut self, request: &Request) -> Answer {
        let token = request.token().unwrap_or_default();
        let mut record = self.records.remove(&token);
        let fence = &mut self.fence;
        let reply = protocol::apply(&mut record, request, &self.now, || {
            *fence += 1;
            *fence
        });
        if let Some(record) = record {
            self.records.insert(token, record);
        }
        Ok(reply)
    }

    fn found(&self, token: Token) -> Option<&Record> {
        self.records.get(&token).filter(|record| !protocol::expired(&record.head, &self.now))
    }

    fn watch(&mut self, token: Token, limit: Duration) -> Asked {
        let (responder, pending) = Pending::channel("testing:");
        let until = self.now.lease.after(limit);
        self.watches.push(Watch { token, until, responder });
        Asked::Later(pending)
    }

    /// Answers those who wait for what is so now.
    fn wake(&mut self) {
        for watch in std::mem::take(&mut self.watches) {
            let record = self.found(watch.token).cloned();
            let runs = record.as_ref().is_some_and(|record| record.head.state == State::Running);
            if runs && watch.until.micros > self.now.lease.micros {
                self.watches.push(watch);
            } else {
                watch.responder.answer(Ok(Reply::Record(record.map(Arc::new))));
            }
        }
    }

    fn list(&self, query: &Query) -> Page {
        let fits = |record: &Record| {
            let head = &record.head;
            let over = head.state == State::Running && protocol::lease_over(head, &self.now);
            query.state.is_none_or(|state| head.state == state)
                && (!query.lease_over || over)
                && query.function.as_ref().is_none_or(|function| record.function == *function)
                && query.age.is_none_or(|age| self.now.wall.since(head.first_at) >= age)
                && !protocol::expired(head, &self.now)
        };
        let limit = if query.limit == 0 { 100 } else { query.limit };
        let after =
            self.records.iter().filter(|(token, _)| query.cursor.is_none_or(|cursor| **token > cursor));
        let mut found = after.filter(|(_, record)| fits(record));
        let listed = |(token, record): (&Token, &Record)| Listed::new(*token, record.clone());
        let records: Vec<_> = found.by_ref().take(limit).map(listed).collect();
        let next = found.next().and(records.last()).map(|last| last.token);
        Page::new(records, next)
    }

    fn purge(&mut self, limit: usize) -> usize {
        let gone = |record: &Record| protocol::expired(&record.head, &self.now);
        let gone = self.records.iter().filter(|(_, record)| gone(record)).map(|(token, _)| *token);
        let gone: Vec<_> = gone.take(limit).collect();
        for token in &gone {
            self.records.remove(token);
        }
        gone.len()
    }
}

impl Store for TestStore {
    fn ask(&self, request: Request) -> Asked {
        self.carry_out(request)
    }

    fn profile(&self) -> &Profile {
        &self.0.profile
    }
}

impl Default for TestStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.lock();
        f.debug_struct("TestStore")
            .field("now", &held.now)
            .field("records", &held.records.len())
            .finish_non_exhaustive()
    }
}
