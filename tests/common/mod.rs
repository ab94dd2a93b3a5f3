//! What the tests of the call share: both stores, and a store that fails when it is told to.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use idem::store::{Asked, Handle, IntoStore, Pending, Profile, Record, Reply, Request, State, Store};
use idem::{MemoryStore, SqliteStore, StoreError, Token};
use tempfile::TempDir;

/// How long an event may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A store to test on, and what must live as long.
pub struct Place {
    pub name: &'static str,
    pub store: Handle,
    _folder: Option<TempDir>,
}

pub fn memory() -> Place {
    Place { name: "memory", store: MemoryStore::new().into_store(), _folder: None }
}

pub fn sqlite() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", folder.path().join("idem.db").display());
    let store = SqliteStore::open(&url).expect("a new file").into_store();
    Place { name: "sqlite", store, _folder: Some(folder) }
}

/// Both stores.
pub fn places() -> [Place; 2] {
    [memory(), sqlite()]
}

/// What becomes of one request.
#[derive(Clone)]
pub enum Fault {
    /// It is carried out; its answer comes once the gate is open.
    HoldAnswer(Gate),
    /// It is carried out once the gate is open.
    HoldRequest(Gate),
    /// It is not carried out, and may be asked again.
    Fail,
    /// It is not carried out, and asking again does not help.
    Refuse,
    /// It is not carried out, because it is too large for the store.
    TooLarge,
    /// It is not carried out; that is said once the gate is open.
    HoldFailure(Gate),
    /// It is carried out, and the answer is lost.
    Lose,
}

/// Closed until it is opened.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        assert!(*open, "a gate was never opened");
    }
}

/// A store that does to each operation what the test has planned for it, and counts them.
#[derive(Clone)]
pub struct Faulty(Arc<Inner>);

struct Inner {
    store: Handle,
    profile: Profile,
    plan: Mutex<HashMap<&'static str, VecDeque<Fault>>>,
    seen: Mutex<Vec<Request>>,
    more: Condvar,
}

impl Faulty {
    pub fn new(store: &Handle) -> Self {
        Self::with(store, |_| {})
    }

    pub fn with(store: &Handle, change: impl FnOnce(&mut Profile)) -> Self {
        let mut profile = store.profile().clone();
        profile.time_limit = Duration::from_millis(300);
        change(&mut profile);
        Faulty(Arc::new(Inner {
            store: store.clone(),
            profile,
            plan: Mutex::default(),
            seen: Mutex::default(),
            more: Condvar::new(),
        }))
    }

    /// The next request of this operation that has no plan yet gets this fault.
    pub fn plan(&self, operation: &'static str, fault: Fault) -> &Self {
        self.0.plan.lock().unwrap().entry(operation).or_default().push_back(fault);
        self
    }

    /// How often an operation was asked for.
    pub fn count(&self, operation: &str) -> usize {
        self.0.seen.lock().unwrap().iter().filter(|request| request.operation() == operation).count()
    }

    /// Waits until an operation was asked for so often.
    pub fn wait_for(&self, operation: &str, times: usize) {
        let seen = self.0.seen.lock().unwrap();
        let enough = |seen: &mut Vec<Request>| {
            seen.iter().filter(|request| request.operation() == operation).count() < times
        };
        let (seen, late) = self.0.more.wait_timeout_while(seen, PATIENCE, enough).unwrap();
        assert!(!late.timed_out(), "{operation} was not asked for {times} times: {seen:?}");
    }
}

fn answered(asked: Asked) -> idem::store::Answer {
    asked.wait(Some(PATIENCE)).expect("an answer in time")
}

impl Store for Faulty {
    fn ask(&self, request: Request) -> Asked {
        let operation = request.operation();
        let fault = self.0.plan.lock().unwrap().get_mut(operation).and_then(VecDeque::pop_front);
        let note = || {
            self.0.seen.lock().unwrap().push(request.clone());
            self.0.more.notify_all();
        };
        let later = |run: Box<dyn FnOnce() -> idem::store::Answer + Send>| {
            let (responder, pending) = Pending::channel("faulty:");
            std::thread::spawn(move || responder.answer(run()));
            Asked::Later(pending)
        };
        let store = self.0.store.clone();
        match fault {
            None => {
                let asked = store.ask(request.clone());
                note();
                asked
            }
            Some(Fault::HoldAnswer(gate)) => {
                let answer = answered(store.ask(request.clone()));
                note();
                later(Box::new(move || {
                    gate.wait();
                    answer
                }))
            }
            Some(Fault::HoldRequest(gate)) => {
                note();
                later(Box::new(move || {
                    gate.wait();
                    answered(store.ask(request))
                }))
            }
            Some(Fault::HoldFailure(gate)) => {
                note();
                later(Box::new(move || {
                    gate.wait();
                    Err(StoreError::unavailable("faulty:", "was told to fail"))
                }))
            }
            Some(Fault::Fail) => {
                note();
                Asked::Now(Err(StoreError::unavailable("faulty:", "was told to fail")))
            }
            Some(Fault::Refuse) => {
                note();
                Asked::Now(Err(StoreError::refused("faulty:", "was told to refuse")))
            }
            Some(Fault::TooLarge) => {
                note();
                Asked::Now(Err(StoreError::too_large("faulty:", "was told to find it too large")))
            }
            Some(Fault::Lose) => {
                let _ = answered(store.ask(request.clone()));
                note();
                Asked::Now(Err(StoreError::lost("faulty:", "was told to lose its answer")))
            }
        }
    }

    fn profile(&self) -> &Profile {
        &self.0.profile
    }
}

/// The record under a token, if there is one.
pub fn record(store: &Handle, token: Token) -> Option<Arc<Record>> {
    match answered(store.ask(Request::Get { token })) {
        Ok(Reply::Record(record)) => record,
        other => panic!("`get` was answered with {other:?}"),
    }
}

/// Waits until the record under a token is in a state.
pub fn wait_for_state(store: &Handle, token: Token, state: State) -> Arc<Record> {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        match record(store, token) {
            Some(record) if record.head.state == state => return record,
            found => assert!(std::time::Instant::now() < until, "{state} is not reached: {found:?}"),
        }
        std::thread::yield_now();
    }
}

/// Waits for something that blocks without holding up the runtime.
pub async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.expect("no panic")
}
