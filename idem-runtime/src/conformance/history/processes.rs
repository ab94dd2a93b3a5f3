//! Processes of the operating system: the program that runs the history, started again.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::calls::Callers;
use super::event::{Moment, What, micros};
use super::faults::Faults;
use super::gate::Pace;
use super::ledger::Ledger;
use super::schedule::Process;
use super::watched::Watched;
use super::{History, seed_of, tasks};
use crate::store::{Handle, Store};

/// Tells a process that it is a worker of a run, and which.
const WORKER: &str = "IDEM_HISTORY_WORKER";

/// What a worker is told.
#[derive(Serialize, Deserialize)]
struct Told {
    store: String,
    folder: PathBuf,
    number: u32,
    seed: u64,
    scope: String,
    lease_us: u64,
    callers: u64,
    threads: u64,
    /// When the run began, on the clock that processes share.
    began_us: u64,
}

/// The command that runs the present test binary again, with this test alone: for
/// [`History::processes`](super::History::processes). The test is named by its path within the binary, as `--exact`
/// takes it.
///
/// # Panics
/// If the operating system does not say which program this is.
#[must_use]
pub fn this_test(test: &str) -> Command {
    let program = std::env::current_exe().expect("the operating system says which program this is");
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
}

/// In a worker that [`History::processes`](super::History::processes) has started: opens the store and makes calls on
/// it, until the process is killed or told to end; does not return. In any other process: does nothing.
///
/// To be called before anything else by the program that `processes` is given.
///
/// # Panics
/// In a worker, if the store cannot be opened within some seconds: connections are cut in a run.
pub fn worker<S: Store, E: fmt::Display>(open: impl Fn(&str) -> Result<S, E>) {
    let Ok(told) = std::env::var(WORKER) else { return };
    let told: Told = serde_json::from_str(&told).expect("what a worker is told is plain data");
    dies_with_its_parent();
    let until = Instant::now() + Duration::from_secs(10);
    let store = loop {
        match open(&told.store) {
            Ok(store) => break Handle::from(Arc::new(store)),
            Err(error) if Instant::now() > until => panic!("the store of the run cannot be opened: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    work(&told, store);
    std::process::exit(0);
}

fn work(told: &Told, store: Handle) {
    let lease = Duration::from_micros(told.lease_us);
    let ledger = Ledger::open(&told.folder, told.number).expect("the folder of the ledger is there");
    let ledger = Arc::new(ledger);
    let seed = |part| seed_of(told.seed, told.number, part);
    let store = Handle::from(Arc::new(Watched::new(store, Arc::clone(&ledger))));
    let store = Handle::from(Arc::new(Faults::new(store, Arc::clone(&ledger), seed(0), lease)));
    let over = Arc::new(AtomicBool::new(false));
    let since_start = Duration::from_micros(Moment::now().boot.saturating_sub(told.began_us));
    let callers = Callers {
        store,
        ledger: Arc::clone(&ledger),
        pace: Pace(None),
        scope: told.scope.as_str().into(),
        lease,
        began: (since_start, Instant::now()),
        over: Arc::clone(&over),
    };
    // The end of its input is what tells it to end.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        over.store(true, Ordering::Release);
    });
    let threads: Vec<_> = (0..told.threads)
        .map(|thread| {
            let (callers, seed) = (callers.clone(), seed(1 + thread));
            std::thread::spawn(move || callers.run_blocking(seed))
        })
        .collect();
    let seeds: Vec<u64> = (0..told.callers).map(|caller| seed(100 + caller)).collect();
    tasks::run(callers, &seeds, &Notify::new());
    for thread in threads {
        if let Err(payload) = thread.join() {
            std::panic::resume_unwind(payload);
        }
    }
    let _ = crate::call::shutdown_blocking(Duration::from_secs(5));
    ledger.write(None, What::Finished);
}

/// Killed by the system when its parent ends, however that is: also where it stands still.
fn dies_with_its_parent() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        if getppid().is_none_or(rustix::process::Pid::is_init) {
            std::process::exit(1);
        }
    }
}

/// A worker.
pub(super) struct Worker {
    child: Child,
    errors: PathBuf,
}

impl Worker {
    pub(super) fn start(
        history: &History,
        store: &str,
        mut command: Command,
        folder: &Path,
        scope: &str,
        began: Moment,
        number: u32,
    ) -> Result<Worker, String> {
        let told = Told {
            store: store.to_owned(),
            folder: folder.to_owned(),
            number,
            seed: history.seed,
            scope: scope.to_owned(),
            lease_us: micros(history.lease),
            callers: history.callers as u64,
            threads: history.threads as u64,
            began_us: began.boot,
        };
        let told = serde_json::to_string(&told).expect("what a worker is told is plain data");
        let errors = folder.join(format!("{number}.stderr"));
        let file = File::create(&errors).map_err(|error| format!("{}: {error}", errors.display()))?;
        let child = command
            .env(WORKER, told)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
        Ok(Worker { child, errors })
    }

    fn signal(&self, name: &str) {
        // A shell can do so everywhere, and how long it takes does not count.
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill -\"$0\" \"$1\"", name]).arg(self.child.id().to_string());
        let _ = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

impl Process for Worker {
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn stop(&mut self) {
        self.signal("STOP");
    }

    fn go_on(&mut self) {
        self.signal("CONT");
    }

    fn finish(&mut self, limit: Duration) -> bool {
        drop(self.child.stdin.take());
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let said = std::fs::read_to_string(&self.errors).unwrap_or_default();
        Some(format!("{status}: {said}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
