//! What waits for the writer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use idem_runtime::Text;
use idem_runtime::store::{Answer, Request, Responder};

/// One request that the writer is to carry out.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) namespace: Text,
    pub(crate) request: Request,
    /// Until when it is answered.
    pub(crate) until: Instant,
    pub(crate) waiting: Waiting,
}

/// Whoever waits for an answer: the first one counts.
#[derive(Debug, Clone)]
pub(crate) struct Waiting(Arc<Mutex<Option<Responder>>>);

impl Waiting {
    pub(crate) fn new(responder: Responder) -> Self {
        Waiting(Arc::new(Mutex::new(Some(responder))))
    }

    pub(crate) fn answer(&self, answer: Answer) {
        let responder = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(responder) = responder {
            responder.answer(answer);
        }
    }
}

/// Those whose time is up.
#[derive(Debug, Default)]
pub(crate) struct Overdue {
    /// The writer is at their requests.
    pub(crate) taken: Vec<Waiting>,
    /// Their requests will not be carried out.
    pub(crate) queued: Vec<Waiting>,
}

/// The requests that wait, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    /// How many transactions the writer has begun.
    begun: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Who waits for what the writer is at.
    taken: Vec<(Instant, Waiting)>,
    /// The writer sleeps until something comes.
    idle: bool,
    /// Nobody asks any more.
    closed: bool,
    /// The writer is gone.
    dead: bool,
}

impl Queue {
    /// Gives the writer something to do; false if it is gone.
    #[must_use]
    pub(crate) fn push(&self, job: Job) -> bool {
        let mut state = self.lock();
        if state.dead {
            return false;
        }
        state.jobs.push_back(job);
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    /// Adds what waits to `batch`, at most up to so many. Does not wait.
    pub(crate) fn top_up(&self, batch: &mut Vec<Job>, most: usize) {
        Self::fill(&mut self.lock(), batch, most);
    }

    /// Waits until there is something to do; false when nothing is left and nothing can come.
    pub(crate) fn wait(&self, batch: &mut Vec<Job>, most: usize) -> bool {
        let mut state = self.lock();
        // All of them have been answered.
        state.taken.clear();
        loop {
            Self::fill(&mut state, batch, most);
            if !batch.is_empty() {
                return true;
            }
            if state.closed {
                state.dead = true;
                return false;
            }
            state.idle = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn fill(state: &mut State, batch: &mut Vec<Job>, most: usize) {
        let count = most.saturating_sub(batch.len()).min(state.jobs.len());
        let from = batch.len();
        batch.extend(state.jobs.drain(..count));
        state.taken.extend(batch[from..].iter().map(|job| (job.until, job.waiting.clone())));
    }

    /// The writer begins a transaction.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// How many transactions the writer has begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether the writer waits for something to do: it does not even tidy up.
    #[cfg(test)]
    pub(crate) fn sleeps(&self) -> bool {
        self.lock().idle
    }

    /// Whether nobody waits for the writer.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.jobs.is_empty() && state.taken.is_empty()
    }

    /// Takes those out whose time is up at that moment.
    pub(crate) fn overdue(&self, at: Instant) -> Overdue {
        let mut state = self.lock();
        let mut overdue = Overdue::default();
        state.taken.retain(|(until, waiting)| {
            let late = *until <= at;
            if late {
                overdue.taken.push(waiting.clone());
            }
            !late
        });
        state.jobs.retain(|job| {
            let late = job.until <= at;
            if late {
                overdue.queued.push(job.waiting.clone());
            }
            !late
        });
        overdue
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().jobs.is_empty()
    }

    /// The last handle is gone: the writer ends after what is queued.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// The writer is gone, whatever the reason: what still waits is answered by dropping it.
    pub(crate) fn die(&self) {
        let jobs = {
            let mut state = self.lock();
            state.dead = true;
            (std::mem::take(&mut state.jobs), std::mem::take(&mut state.taken))
        };
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
