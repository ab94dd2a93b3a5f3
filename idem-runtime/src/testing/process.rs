//! A process that makes a call: what is heard of the call, and how it dies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::report::Point;
use super::store::TestStore;
use crate::call::under::{Hears, Under};
use crate::store::{Asked, Handle, Profile, Reply, Request, Store, StoreError};
use crate::{Text, Token};

/// What a dying process unwinds with.
pub(super) struct Died;

/// One process. It asks the store that all share, until it dies.
#[derive(Clone)]
pub(super) struct Process(Arc<Inner>);

struct Inner {
    store: TestStore,
    profile: Profile,
    point: Option<Point>,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    token: Option<Token>,
    function: Option<Text>,
    lease: Duration,
    bodies: usize,
    suspensions: usize,
    outcome: Option<&'static str>,
    dead: bool,
    /// It stands still where its point says so.
    stopped: bool,
    /// Who looks after this process, and is told when it stops.
    looks: Option<Waker>,
    /// Bodies that wait until it goes on.
    bodies_wait: Vec<Waker>,
    tasks: Vec<AbortHandle>,
    /// The operation for which its point has come already.
    done: bool,
}

impl Process {
    /// A process that makes a call in which this happens.
    pub(super) fn new(store: &TestStore, point: Option<Point>) -> Self {
        let profile = store.profile().clone();
        Process(Arc::new(Inner { store: store.clone(), profile, point, life: Mutex::default() }))
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.0.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What puts its calls under the store.
    pub(super) fn under(&self) -> Arc<Under> {
        Arc::new(Under { store: Handle::from(Arc::new(self.clone())), hears: Some(Arc::new(self.clone())) })
    }

    pub(super) fn token(&self) -> Option<Token> {
        self.life().token
    }

    pub(super) fn function(&self) -> Option<Text> {
        self.life().function.clone()
    }

    pub(super) fn lease(&self) -> Duration {
        self.life().lease
    }

    pub(super) fn bodies(&self) -> usize {
        self.life().bodies
    }

    pub(super) fn suspensions(&self) -> usize {
        self.life().suspensions
    }

    pub(super) fn outcome(&self) -> Option<&'static str> {
        self.life().outcome
    }

    /// Drives a part of its call. Then it tells whether it stands still; if not, the context is woken when it does.
    pub(super) fn drive<T>(
        &self,
        cx: &mut Context<'_>,
        part: impl FnOnce(&mut Context<'_>) -> T,
    ) -> (T, bool) {
        // Whoever drives it looks by themselves afterwards: to wake them would poll another body once too often.
        self.life().looks = None;
        let output = part(cx);
        let mut life = self.life();
        life.looks = Some(cx.waker().clone());
        (output, life.stopped)
    }

    /// Nothing that it does is seen from now on.
    pub(super) fn die(&self) {
        let mut life = self.life();
        life.dead = true;
        for task in life.tasks.drain(..) {
            task.abort();
        }
    }

    /// It goes on after it has stood still.
    pub(super) fn go_on(&self) {
        let mut life = self.life();
        life.stopped = false;
        for waker in life.bodies_wait.drain(..) {
            waker.wake();
        }
    }

    /// It dies here: whatever runs it is unwound, without a word in the log.
    fn dies_here(&self) -> ! {
        self.die();
        std::panic::resume_unwind(Box::new(Died))
    }

    /// Whether this is the first request to be disturbed, of the two kinds that matter.
    fn comes_now(&self, request: &Request) -> bool {
        let claims = matches!(request, Request::Claim(_));
        let settles =
            matches!(request, Request::Complete(_) | Request::Release { .. } | Request::Interrupt { .. });
        let meant = match self.0.point {
            Some(Point::Claimed | Point::ClaimAnswerLost) => claims,
            Some(Point::BeforeComplete | Point::Completed | Point::CompleteAnswerLost) => settles,
            _ => false,
        };
        let mut life = self.life();
        let now = meant && !life.done && request.token() == life.token;
        life.done |= now;
        now
    }
}

impl Store for Process {
    fn ask(&self, request: Request) -> Asked {
        let (dead, stopped) = {
            let mut life = self.life();
            if let (Request::Claim(claim), None) = (&request, &life.function) {
                life.function = Some(claim.function.clone());
                life.lease = claim.lease;
            }
            (life.dead, life.stopped)
        };
        if dead {
            return Asked::Now(after_death(&request));
        }
        if stopped && matches!(request, Request::Renew { .. }) {
            return Asked::Now(Err(StoreError::unavailable(
                "testing:",
                "is not asked by a process that stands still",
            )));
        }
        if !self.comes_now(&request) {
            return self.0.store.carry_out(request);
        }
        match self.0.point {
            Some(Point::BeforeComplete) => self.dies_here(),
            Some(Point::Claimed | Point::Completed) => {
                let _ = self.0.store.carry_out(request);
                self.dies_here()
            }
            _ => {
                let _ = self.0.store.carry_out(request);
                Asked::Now(Err(StoreError::lost("testing:", "was told to lose its answer")))
            }
        }
    }

    fn profile(&self) -> &Profile {
        &self.0.profile
    }
}

/// What ends whatever the library still does for a process that is dead.
fn after_death(request: &Request) -> Result<Reply, StoreError> {
    Ok(match request {
        Request::Complete(_) => Reply::Completed,
        Request::Release { .. } => Reply::Released,
        Request::Interrupt { .. } => Reply::Stopped,
        Request::Renew { .. } => Reply::Renewed,
        Request::Watch { .. } | Request::Get { .. } => Reply::Record(None),
        _ => return Err(StoreError::refused("testing:", "is not asked by a process that is dead")),
    })
}

impl Hears for Process {
    fn called(&self, token: Token) {
        self.life().token.get_or_insert(token);
    }

    fn begins(&self, token: Token) {
        let mut life = self.life();
        if life.token != Some(token) || life.dead {
            return;
        }
        life.bodies += 1;
        drop(life);
        if self.0.point == Some(Point::BodyBegun) {
            self.dies_here();
        }
    }

    fn suspended(&self, token: Token) {
        let mut life = self.life();
        if life.token != Some(token) || life.dead || life.bodies == 0 {
            return;
        }
        life.suspensions += 1;
        let at = match self.0.point {
            Some(Point::Suspended(at) | Point::GoneAway(at) | Point::Overtaken(at)) => at,
            _ => return,
        };
        if life.suspensions == at {
            life.stopped = true;
            if let Some(looks) = life.looks.take() {
                looks.wake();
            }
        }
    }

    fn may_go_on(&self, token: Token, cx: &mut Context<'_>) -> bool {
        let mut life = self.life();
        let stands = life.stopped && life.token == Some(token);
        if stands {
            life.bodies_wait.push(cx.waker().clone());
        }
        !stands
    }

    fn ends(&self, token: Token, outcome: &'static str) {
        let mut life = self.life();
        if life.token == Some(token) && !life.dead {
            life.outcome = Some(outcome);
        }
    }

    fn spawned(&self, task: AbortHandle) {
        self.life().tasks.push(task);
    }
}
