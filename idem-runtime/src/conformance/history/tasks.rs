//! Processes within this one: threads with runtimes of their own, and a gate between them and the store.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::History;
use super::calls::Callers;
use super::event::What;
use super::faults::Faults;
use super::gate::{Gate, Gated, Pace};
use super::ledger::Ledger;
use super::schedule::Process;
use super::watched::Watched;
use crate::store::Handle;

pub(super) struct Tasks {
    gate: Arc<Gate>,
    ledger: Arc<Ledger>,
    over: Arc<AtomicBool>,
    killed: Arc<Notify>,
    /// Where the callers run that can be dropped at any moment.
    runtime: Option<JoinHandle<()>>,
    threads: Vec<JoinHandle<()>>,
    /// Whether its records would end with it, so that nothing but its callers is killed.
    guarded: bool,
}

impl Tasks {
    pub(super) fn start(
        history: &History,
        store: Handle,
        folder: &Path,
        scope: &Arc<str>,
        began: Instant,
        number: u32,
    ) -> Result<Tasks, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let ledger = Arc::new(Ledger::open(folder, number).map_err(failed)?);
        let gate = Arc::new(Gate::new(Arc::clone(&ledger)));
        let guarded = store.profile().guarded;
        let store = Handle::from(Arc::new(Watched::new(store, Arc::clone(&ledger))));
        let seed = history.seed_of(number, 0);
        let store = Handle::from(Arc::new(Faults::new(store, Arc::clone(&ledger), seed, history.lease)));
        let store = Handle::from(Arc::new(Gated::new(store, Arc::clone(&gate))));
        let over = Arc::new(AtomicBool::new(false));
        let callers = Callers {
            store,
            ledger: Arc::clone(&ledger),
            pace: Pace(Some(Arc::clone(&gate))),
            scope: Arc::clone(scope),
            lease: history.lease,
            began: (began.elapsed(), Instant::now()),
            over: Arc::clone(&over),
        };
        let killed = Arc::new(Notify::new());
        let threads = (0..history.threads).map(|thread| {
            let (callers, seed) = (callers.clone(), history.seed_of(number, 1 + thread as u64));
            std::thread::spawn(move || callers.run_blocking(seed))
        });
        let threads = threads.collect();
        let seeds: Vec<u64> = (0..history.callers).map(|n| history.seed_of(number, 100 + n as u64)).collect();
        let told = Arc::clone(&killed);
        let runtime = std::thread::spawn(move || run(callers, &seeds, &told));
        Ok(Tasks { gate, ledger, over, killed, runtime: Some(runtime), threads, guarded })
    }
}

/// Runs the callers until they are over, or all of them are dropped at once.
pub(super) fn run(callers: Callers, seeds: &[u64], killed: &Notify) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("the operating system gives what a runtime needs");
    let tasks: Vec<_> = seeds.iter().map(|seed| runtime.spawn(callers.clone().run(*seed))).collect();
    runtime.block_on(async {
        let all = async {
            for task in tasks {
                if let Err(error) = task.await {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        };
        let mut all = std::pin::pin!(all);
        let mut killed = std::pin::pin!(killed.notified());
        std::future::poll_fn(|cx| {
            let over = all.as_mut().poll(cx).is_ready() || killed.as_mut().poll(cx).is_ready();
            if over { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    });
}

impl Process for Tasks {
    fn kill(&mut self) {
        self.over.store(true, Ordering::Release);
        if self.guarded {
            self.gate.go_on();
        } else {
            self.gate.kill();
        }
        self.killed.notify_one();
        if let Some(runtime) = self.runtime.take() {
            drop(runtime.join());
        }
    }

    fn stop(&mut self) {
        self.gate.stop();
    }

    fn go_on(&mut self) {
        self.gate.go_on();
    }

    fn finish(&mut self, limit: Duration) -> bool {
        self.over.store(true, Ordering::Release);
        let until = Instant::now() + limit;
        let mut all: Vec<JoinHandle<()>> = self.runtime.take().into_iter().collect();
        all.append(&mut self.threads);
        while all.iter().any(|thread| !thread.is_finished()) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        for thread in all {
            if let Err(payload) = thread.join() {
                std::panic::resume_unwind(payload);
            }
        }
        self.ledger.write(None, What::Finished);
        true
    }

    fn ended(&mut self) -> Option<String> {
        let over = self.runtime.as_ref().is_some_and(|thread| thread.is_finished());
        let over = over || self.threads.iter().any(|thread| thread.is_finished());
        over.then(|| "one of its callers panicked".to_owned())
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.kill();
    }
}
