//! A history checker: whatever dies, the promises of the guide hold, on your store.
//!
//! Many processes make calls at the same time, through the library's own call layer: a few tokens, so that they
//! collide; short leases; bodies that return, fail, panic and take long; callers that go away and that ask again; people
//! who reopen, resolve and forget. Meanwhile processes are killed, and stopped for longer than a lease; answers of the
//! store are lost, requests are late or come twice. What is called, and what is done, is drawn from a seed.
//!
//! Each process appends what happens in it to a ledger: what its callers asked and got, how its bodies began and ended,
//! what the store was asked and answered. Afterwards every promise is checked from the ledger alone, and a violation is
//! printed with all that happened to its token, in order.
//!
//! A test of a store that outlives its processes, `tests/history.rs`:
//!
//! ```no_run
//! use idem_runtime::conformance::history::{self, History};
//! # use idem_runtime::{Error, store::MemoryStore};
//! # struct MyStore;
//! # impl MyStore { fn open(_: &str) -> Result<MemoryStore, Error> { Ok(MemoryStore::new()) } }
//!
//! #[test]
//! fn whatever_dies() {
//!     // In the processes of the run: makes calls, and does not return.
//!     history::worker(MyStore::open);
//!
//!     let again = || history::this_test("whatever_dies");
//!     History::new().kills(10).stops(5).lost(100).processes("my-store://host", again).assert();
//! }
//! # fn main() {}
//! ```
//!
//! A store of one process is run with [`History::tasks`], which has threads in place of processes. Neither replaces the
//! suite of [`conformance`](super), which asks for each row of the protocol; this one finds what comes of their order.
//!
//! | promise | what is checked |
//! | --- | --- |
//! | I1 | while an attempt holds its lease, as the store confirmed it, no other one is granted and nobody forgets it; a body begins with a grant, once, and not later than a lease after its claim was sent |
//! | I2 | what was completed is what every later claim is answered with, until its `ttl` is over or a person forgets it; nobody is given what nobody completed with, or what belongs to other verified arguments |
//! | I3 | complete, renew and interrupt of an attempt that was replaced change nothing |
//! | I4 | fences grow |
//! | I5 | what the store said it completed is not granted again before its `ttl` |
//! | I7 | what was granted and does not begin is given back; after its own release or interrupt an attempt is not granted, however late its claim comes |
//! | I8 | a panic comes through |
//! | I9 | every call is answered within its limits, no one is told *running* earlier than that, or for an attempt that had ended |
//! | I10 | with `reject`, or after `max_attempts`, nothing is granted whose last attempt's outcome is not known; nobody is told *interrupted* without a reason |
//! | I11 | who ran the body gets what it returned, or what the attempt that replaced it completed with |
//!
//! I6, that a caller who goes away undoes nothing, shows in I2, I5, I10 and I11. What a process can lose with its machine
//! is not played: a run shows what holds while the store's servers and disks live.
//!
//! Nothing is assumed of the order in which the store did things, but that each was done between question and answer,
//! and of its clock, but that it runs as fast as this machine's. A process that was stopped may end its body long after
//! another one took over: that is no violation, for that there are fences.

mod calls;
mod check;
mod event;
mod faults;
mod gate;
mod ledger;
mod plan;
mod processes;
mod report;
mod schedule;
mod tasks;
mod watched;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::processes::{this_test, worker};
pub use self::report::{Report, Violation};

use self::event::Moment;
use self::processes::Worker;
use self::report::Violation as Seen;
use self::schedule::{Outcome, Process, Schedule};
use self::tasks::Tasks;
use crate::Text;
use crate::store::{AttemptId, Handle, Store};

/// A run, and how much of everything is to happen in it.
///
/// ```
/// use idem_runtime::conformance::history::History;
/// use idem_runtime::store::MemoryStore;
///
/// let store = MemoryStore::new();
/// History::new().kills(2).stops(1).lost(10).tasks(|| store.clone()).assert();
/// ```
#[derive(Clone)]
#[must_use = "it is run by `tasks` or `processes`"]
pub struct History {
    seed: u64,
    lease: Duration,
    processes: usize,
    callers: usize,
    threads: usize,
    kills: u64,
    stops: u64,
    lost: u64,
    at_most: Duration,
    keep: Option<PathBuf>,
    disturb: Option<(String, Arc<dyn Fn() + Send + Sync>)>,
}

impl Default for History {
    fn default() -> Self {
        History {
            seed: 1,
            lease: Duration::from_millis(200),
            processes: 4,
            callers: 6,
            threads: 2,
            kills: 10,
            stops: 5,
            lost: 100,
            at_most: Duration::from_secs(300),
            keep: None,
            disturb: None,
        }
    }
}

impl History {
    /// A run of a few seconds: ten kills, five stops that outlast a lease, a hundred lost answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// What everything random is drawn from. The choices are the same for the same seed; how they interleave is up to
    /// the machine.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The leases of the calls, by which all other times are measured: 200 ms unless it is set. A store must answer in a
    /// small part of it.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_millis(10));
        self
    }

    /// How many processes there are at a time, 4 unless it is set.
    pub fn at_once(mut self, processes: usize) -> Self {
        self.processes = processes.max(2);
        self
    }

    /// How many callers each process has: 6 that await, and 2 threads that block, unless it is set.
    pub fn callers(mut self, awaiting: usize, blocking: usize) -> Self {
        (self.callers, self.threads) = (awaiting.max(1), blocking);
        self
    }

    /// It goes on until so many processes were killed.
    pub fn kills(mut self, kills: u64) -> Self {
        self.kills = kills;
        self
    }

    /// It goes on until so many processes were stopped for longer than a lease.
    pub fn stops(mut self, stops: u64) -> Self {
        self.stops = stops;
        self
    }

    /// It goes on until so many answers of the store were lost.
    pub fn lost(mut self, answers: u64) -> Self {
        self.lost = answers;
        self
    }

    /// It fails if that has not happened within so long: 5 minutes unless it is set.
    pub fn at_most(mut self, time: Duration) -> Self {
        self.at_most = time;
        self
    }

    /// Keeps the ledger in this folder. Otherwise it is in a temporary one, which stays only after a violation.
    pub fn keep(mut self, folder: impl Into<PathBuf>) -> Self {
        self.keep = Some(folder.into());
        self
    }

    /// Something to do to the store from outside now and then: to cut its connections, say.
    pub fn disturb(mut self, what: impl Into<String>, how: impl Fn() + Send + Sync + 'static) -> Self {
        self.disturb = Some((what.into(), Arc::new(how)));
        self
    }

    /// Runs it within this process: `open` is called for each thread that stands for a process, and gives each the
    /// same store, or another way to the same records.
    ///
    /// Of a "process" that is killed nothing reaches the store any more, and what it waited for is dropped. Of a store
    /// whose records end with the process only the callers are killed.
    ///
    /// # Panics
    /// If the ledger cannot be written, or the library or the store panics.
    #[must_use = "it says what was violated"]
    pub fn tasks<S: Store>(&self, open: impl Fn() -> S) -> Report {
        let open = || Handle::from(Arc::new(open()));
        let name = open().profile().name.clone();
        let began = Instant::now();
        let scope: Arc<str> = scope().into();
        self.run(&name, |folder, number| {
            let tasks = Tasks::start(self, open(), folder, &scope, began, number)?;
            Ok(Box::new(tasks))
        })
    }

    /// Runs it with processes of their own, each started by the command that `again` gives: it runs a program that calls
    /// [`worker`] first; the worker is given `store`, a URL or any other text, to open the store with.
    ///
    /// # Panics
    /// If the ledger cannot be written.
    #[must_use = "it says what was violated"]
    pub fn processes(&self, store: &str, again: impl Fn() -> Command) -> Report {
        let began = Moment::now();
        let scope = scope();
        let shown = store.rsplit_once('@').map_or(store, |(_, after)| after).to_owned();
        self.run(&Text::from(shown), |folder, number| {
            let worker = Worker::start(self, store, again(), folder, &scope, began, number)?;
            Ok(Box::new(worker))
        })
    }

    fn run(
        &self,
        store: &Text,
        mut start: impl FnMut(&Path, u32) -> Result<Box<dyn Process>, String>,
    ) -> Report {
        let began = Instant::now();
        let folder = Folder::new(self.keep.clone());
        let schedule = Schedule::new(self, &folder.path).expect("the folder of the ledger takes a file");
        let ran = schedule.run(&mut |number| start(&folder.path, number));
        let Outcome { events, counts, broken, mut troubles } = ran.expect("the ledger can be read");
        let violations: Vec<Violation> = broken.into_iter().map(|one| Seen::new(one, &events)).collect();
        if counts.get("bodies") == 0 && troubles.is_empty() {
            troubles.push("no body ran".to_owned());
        }
        let kept = folder.end(violations.is_empty() && troubles.is_empty());
        Report {
            store: store.clone(),
            seed: self.seed,
            took: began.elapsed(),
            counts,
            violations,
            troubles,
            folder: kept,
        }
    }

    fn seed_of(&self, process: u32, part: u64) -> u64 {
        seed_of(self.seed, process, part)
    }
}

/// A seed for each part of each process.
fn seed_of(seed: u64, process: u32, part: u64) -> u64 {
    let mut rng = fastrand::Rng::with_seed(seed ^ (u64::from(process) << 32) ^ part);
    rng.u64(..)
}

/// What keeps the tokens of a run apart from those of all others.
fn scope() -> String {
    AttemptId::random().to_string()
}

/// Where the ledger is.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn new(keep: Option<PathBuf>) -> Folder {
        let temporary = keep.is_none();
        let path = keep
            .unwrap_or_else(|| std::env::temp_dir().join(format!("idem-history-{}", AttemptId::random())));
        std::fs::create_dir_all(&path).expect("a folder for the ledger can be made");
        Folder { path, temporary }
    }

    /// Where it still is.
    fn end(self, passed: bool) -> Option<PathBuf> {
        if self.temporary && passed {
            let _ = std::fs::remove_dir_all(&self.path);
            return None;
        }
        Some(self.path)
    }
}
