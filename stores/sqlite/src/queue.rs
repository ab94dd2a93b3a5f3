//! What waits for the writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use idem_runtime::Text;
use idem_runtime::store::{Request, Responder};

/// One request that the writer is to carry out.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) namespace: Text,
    pub(crate) request: Request,
    /// Until when it is answered.
    pub(crate) until: Instant,
    pub(crate) responder: Responder,
}

/// The requests that wait, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// The writer sleeps until something comes.
    idle: bool,
    /// Nobody asks any more.
    closed: bool,
    /// The writer is gone.
    dead: bool,
}

impl Queue {
    /// Gives the writer something to do, or the request's responder back if the writer is gone.
    pub(crate) fn push(&self, job: Job) -> Result<(), Responder> {
        let mut state = self.lock();
        if state.dead {
            return Err(job.responder);
        }
        state.jobs.push_back(job);
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Adds what waits to `batch`, at most up to so many. Does not wait.
    pub(crate) fn top_up(&self, batch: &mut Vec<Job>, most: usize) {
        Self::fill(&mut self.lock(), batch, most);
    }

    /// Waits until there is something to do; false when nothing is left and nothing can come.
    pub(crate) fn wait(&self, batch: &mut Vec<Job>, most: usize) -> bool {
        let mut state = self.lock();
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
        batch.extend(state.jobs.drain(..count));
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
            std::mem::take(&mut state.jobs)
        };
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
