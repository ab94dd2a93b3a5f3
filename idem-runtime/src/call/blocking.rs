//! The synchronous call.

use std::time::Duration;

use super::guard::Guard;
use super::machine::{Entry, Step, Wait};
use super::outcome;
use super::settle::{Ended, PANIC_LIMIT, Settled, Told};
use super::{Call, Converts, Judges, Keeps, OnRunning, Outcome};
use crate::Error;
use crate::io::{caught, io};
use crate::store::{Answer, Handle, Pending, StoreError};

/// A call that runs on the thread that makes it.
pub struct Blocking<D, X, M, C>(Call<D, X, M, C>);

impl<D, X, M, C> Blocking<D, X, M, C> {
    pub(super) fn new(call: Call<D, X, M, C>) -> Self {
        Blocking(call)
    }

    pub(super) fn run<R>(self, body: impl FnOnce() -> R) -> R
    where
        R: Outcome,
        D: Keeps<R::Ok>,
        X: Judges<R::Err>,
        M: Converts<R::Err>,
    {
        let Call { mut prepared, on_error, convert, .. } = self.0;
        prepared.progress.untold = Some(OnRunning::Reject);
        prepared.progress.blocks = true;
        let mut guard = Guard::new(prepared);
        let entry = loop {
            match guard.block_for_entry() {
                Entry::Body if !guard.begin_body() => {}
                entry => break entry,
            }
        };
        match entry {
            Entry::Replay(finished) => {
                return outcome::replay::<R, D, X, M>(&mut guard, &finished, convert);
            }
            Entry::Refuse(error) => {
                return outcome::refuse(&mut guard, error, convert);
            }
            Entry::Body => {}
        }
        match guard.within(|| caught(body)) {
            Ok(result) => {
                let within = guard.progress.within.clone();
                let (ended, result) =
                    within.enter(|| outcome::ended::<R, D, X>(&mut guard, &on_error, result));
                let settled = guard.block_for_settled(ended, None);
                outcome::given::<R, D, X>(&mut guard, settled, result)
            }
            Err(payload) => {
                guard.block_for_settled(Ended::Unknown, Some(PANIC_LIMIT));
                std::panic::resume_unwind(payload);
            }
        }
    }
}

impl Guard {
    fn block_for_entry(&mut self) -> Entry {
        if io().is_here() {
            return Entry::Refuse(Error::misuse(
                self.text().clone(),
                "a plain function cannot be called on the library's own thread: it would wait for itself",
            ));
        }
        loop {
            let step = match std::mem::take(&mut self.progress.wait) {
                Wait::Start => self.start(),
                Wait::Refused(error) => Step::Enter(Entry::Refuse(*error)),
                Wait::Store(connecting) => {
                    let store = crate::io::wait_for(connecting);
                    self.connected(store)
                }
                Wait::Answer(pending) => {
                    let answer = answer(pending, self.store.as_ref().expect("who answers is a store"));
                    self.answered(answer)
                }
                Wait::Woken(pending) | Wait::Paused(pending) => {
                    // A watch ends by its own limit.
                    drop(pending.wait(None));
                    self.ask()
                }
                Wait::Pause(pause) => {
                    std::thread::sleep(pause);
                    self.ask()
                }
                Wait::Again | Wait::Settled(_) => self.ask(),
            };
            match step {
                Step::Enter(entry) => return entry,
                Step::Wait(wait) => self.progress.wait = wait,
            }
        }
    }

    fn block_for_settled(&mut self, ended: Ended, limit: Option<Duration>) -> Settled {
        match self.settle(ended) {
            Told::Over(settled) => settled,
            Told::Wait => {
                let Wait::Settled(pending) = std::mem::take(&mut self.progress.wait) else {
                    return Settled::Own;
                };
                let most = self.store.as_ref().map_or(Duration::ZERO, time_limit);
                match pending.wait(Some(limit.unwrap_or(most))) {
                    Ok(answer) => self.settled(answer),
                    Err(pending) => self.leave(pending),
                }
            }
        }
    }
}

/// A store answers within its time limit; a little more is given to its own thread.
fn time_limit(store: &Handle) -> Duration {
    store.profile().time_limit.saturating_add(Duration::from_secs(1))
}

/// Blocks until the store has answered, or should have.
pub(super) fn answer(pending: Pending, store: &Handle) -> Answer {
    pending.wait(Some(time_limit(store))).unwrap_or_else(|_| {
        Err(StoreError::lost(
            store.profile().name.clone(),
            "has not answered within its time limit; ask again",
        ))
    })
}
