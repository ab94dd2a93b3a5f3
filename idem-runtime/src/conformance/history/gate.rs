//! A process within this one: what can be done to it from outside is done at its gate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::ledger::Ledger;
use crate::Token;
use crate::io::io;
use crate::store::{Answer, Asked, Finished, Handle, Profile, Reply, Request, Store, StoreError};

/// Whether a process goes on, stands still, or is dead.
///
/// Where it stands still nothing comes out of it and nothing goes in, and its bodies do not get on. Once it is dead
/// nothing of it reaches the store or the ledger; what is still in it is told whatever lets it end.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    told: Notify,
    dead: AtomicBool,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Open,
    Stopped,
    Dead,
}

impl Gate {
    pub(super) fn new(ledger: Arc<Ledger>) -> Gate {
        let told = Notify::new();
        Gate {
            state: Mutex::new(State::Open),
            changed: Condvar::new(),
            told,
            dead: AtomicBool::new(false),
            ledger,
        }
    }

    fn set(&self, state: State) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != State::Dead {
            *now = state;
        }
        drop(now);
        self.changed.notify_all();
        self.told.notify_waiters();
    }

    pub(super) fn stop(&self) {
        self.set(State::Stopped);
    }

    pub(super) fn go_on(&self) {
        self.set(State::Open);
    }

    pub(super) fn kill(&self) {
        self.ledger.close();
        self.dead.store(true, Ordering::Release);
        self.set(State::Dead);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the process stands still.
    pub(super) async fn pass(&self) {
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            // From here on no change is missed.
            told.as_mut().enable();
            if self.state() != State::Stopped {
                return;
            }
            told.await;
        }
    }

    /// As [`Gate::pass`], on a thread.
    pub(super) fn pass_blocking(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(state, |state| *state == State::Stopped));
    }
}

/// The store as a process behind a gate sees it.
pub(super) struct Gated {
    store: Handle,
    gate: Arc<Gate>,
}

impl Gated {
    pub(super) fn new(store: Handle, gate: Arc<Gate>) -> Gated {
        Gated { store, gate }
    }
}

/// What lets a dead process end.
fn told_the_dead(request: &Request, profile: &Profile) -> Answer {
    match request {
        Request::Complete(_) => Ok(Reply::Completed),
        Request::Release { .. } => Ok(Reply::Released),
        Request::Interrupt { .. } => Ok(Reply::Stopped),
        Request::Renew { .. } => Ok(Reply::LeaseLost { winner: None }),
        _ => Err(StoreError::refused(profile.name.clone(), "is not there for a process that is dead")),
    }
}

impl Store for Gated {
    fn ask(&self, request: Request) -> Asked {
        let profile = self.store.profile();
        match self.gate.state() {
            State::Dead => Asked::Now(told_the_dead(&request, profile)),
            State::Open => match self.store.ask(request.clone()) {
                Asked::Now(answer) => Asked::Now(answer),
                Asked::Later(pending) => {
                    let (gate, profile) = (Arc::clone(&self.gate), profile.clone());
                    Asked::Later(io().spawn(profile.name.clone(), async move {
                        let answer = pending.await;
                        gate.pass().await;
                        if gate.is_dead() { told_the_dead(&request, &profile) } else { answer }
                    }))
                }
            },
            State::Stopped => {
                let (gate, store) = (Arc::clone(&self.gate), self.store.clone());
                Asked::Later(io().spawn(profile.name.clone(), async move {
                    gate.pass().await;
                    if gate.is_dead() {
                        return told_the_dead(&request, store.profile());
                    }
                    store.ask(request).await
                }))
            }
        }
    }

    fn finished(&self, token: &Token, digest: &[u8]) -> Option<Finished> {
        if self.gate.state() == State::Open { self.store.finished(token, digest) } else { None }
    }

    fn profile(&self) -> &Profile {
        self.store.profile()
    }
}

/// How a body gets on.
#[derive(Debug, Clone)]
pub(super) struct Pace(pub(super) Option<Arc<Gate>>);

impl Pace {
    pub(super) async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
        if let Some(gate) = &self.0 {
            gate.pass().await;
        }
    }

    pub(super) fn block(&self, time: Duration) {
        std::thread::sleep(time);
        if let Some(gate) = &self.0 {
            gate.pass_blocking();
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.0.as_ref().is_some_and(|gate| gate.is_dead())
    }
}
