//! What can happen between a call and its store: a request or an answer is lost, late, or comes twice.

use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;

use super::event::What;
use super::ledger::Ledger;
use crate::Token;
use crate::io::io;
use crate::store::{Asked, AttemptId, Finished, Handle, Profile, Request, Store, StoreError};

/// Puts faults before a store.
pub(super) struct Faults {
    store: Handle,
    profile: Profile,
    ledger: Arc<Ledger>,
    rng: Mutex<Rng>,
    lease: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It is carried out, and the answer is lost.
    LoseAnswer,
    /// It is said to be lost, and carried out so much later.
    Late(Duration),
    /// It is not carried out, and may be asked again.
    Fail,
    /// It is carried out so much later; the answer comes.
    DelayRequest(Duration),
    /// The answer comes so much later.
    DelayAnswer(Duration),
    /// It is carried out, and once more so much later.
    Twice(Duration),
}

impl Faults {
    pub(super) fn new(store: Handle, ledger: Arc<Ledger>, seed: u64, lease: Duration) -> Faults {
        let mut profile = store.profile().clone();
        // So that claims are given up in the time that a run has.
        profile.time_limit = profile.time_limit.min(lease * 3);
        Faults { store, profile, ledger, rng: Mutex::new(Rng::with_seed(seed)), lease }
    }

    fn draw(&self, request: &Request) -> Fault {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        if let Request::List(_) | Request::Purge { .. } | Request::Get { .. } | Request::Watch { .. } =
            request
        {
            return Fault::None;
        }
        let mut share = |most: f64| self.lease.mul_f64(rng.f64() * most);
        let (short, long, longer) = (share(0.3), share(1.5), share(5.0));
        if let Request::Claim(claim) = request {
            // Of a few attempts no claim is answered, so that they are given up.
            if is_unlucky(claim.attempt) {
                let late = !self.profile.guarded && rng.bool();
                return if late { Fault::Late(long) } else { Fault::LoseAnswer };
            }
        }
        let drawn = rng.u32(..1000);
        // Where the guard of a call is its sign of life, nothing comes late: store and call are in one process.
        if self.profile.guarded && !matches!(drawn, 0..50 | 65..85 | 115..145) {
            return Fault::None;
        }
        match drawn {
            0..50 => Fault::LoseAnswer,
            50..65 => Fault::Late(long),
            65..85 => Fault::Fail,
            85..115 => Fault::DelayRequest(short),
            115..145 => Fault::DelayAnswer(short),
            145..150 => Fault::DelayAnswer(longer),
            150..170 => Fault::Twice(long),
            _ => Fault::None,
        }
    }

    fn lost(&self) -> StoreError {
        StoreError::lost(self.profile.name.clone(), "lost an answer, because the run is told to")
    }
}

fn is_unlucky(attempt: AttemptId) -> bool {
    // Attempts are numbers that count on, from anywhere.
    attempt.to_bytes()[15] % 64 == 0
}

async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

impl Store for Faults {
    fn ask(&self, request: Request) -> Asked {
        let fault = self.draw(&request);
        if fault == Fault::None {
            return self.store.ask(request);
        }
        let name = match fault {
            Fault::LoseAnswer | Fault::Late(_) => "lost",
            Fault::Fail => "failed",
            Fault::DelayRequest(_) | Fault::DelayAnswer(_) => "delayed",
            Fault::Twice(_) | Fault::None => "twice",
        };
        let what = What::Fault { operation: request.operation().to_owned(), fault: name.to_owned() };
        self.ledger.write(request.token(), what);
        let (store, lost) = (self.store.clone(), self.lost());
        let name = self.profile.name.clone();
        Asked::Later(match fault {
            Fault::None | Fault::LoseAnswer => {
                let asked = store.ask(request);
                io().spawn(name, async move {
                    let _ = asked.await;
                    Err(lost)
                })
            }
            Fault::Late(time) => {
                io().keep(async move {
                    pause(time).await;
                    let _ = store.ask(request).await;
                });
                io().spawn(name, async move { Err(lost) })
            }
            Fault::Fail => {
                let failed =
                    StoreError::unavailable(name.clone(), "was not asked, because the run is told to");
                io().spawn(name, async move { Err(failed) })
            }
            Fault::DelayRequest(time) => io().spawn(name, async move {
                pause(time).await;
                store.ask(request).await
            }),
            Fault::DelayAnswer(time) => {
                let asked = store.ask(request);
                io().spawn(name, async move {
                    let answer = asked.await;
                    pause(time).await;
                    answer
                })
            }
            Fault::Twice(time) => {
                let asked = store.ask(request.clone());
                io().keep(async move {
                    pause(time).await;
                    let _ = store.ask(request).await;
                });
                asked.into_future()
            }
        })
    }

    /// Half of the duplicates do not see it, so that they claim.
    fn finished(&self, token: &Token, digest: &[u8]) -> Option<Finished> {
        let looks = self.rng.lock().unwrap_or_else(PoisonError::into_inner).bool();
        if looks { self.store.finished(token, digest) } else { None }
    }

    fn profile(&self) -> &Profile {
        &self.profile
    }
}
