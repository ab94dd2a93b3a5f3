//! The callers of a process: they make the calls that are planned, and write down what becomes of them.

use std::any::Any;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::event::{End, Given, What, micros};
use super::gate::Pace;
use super::ledger::Ledger;
use super::plan::{Ends, OnError, Person, Plan, Step};
use crate::call::{
    Call, CurrentAttempt, Observed, OnRunning, current, observe, observe_blocking, on_cancel, on_duplicate,
    on_error,
};
use crate::io::caught;
use crate::store::{Handle, Reopen, Reply, Request, Resolve, State, Store as _};
use crate::{Error, Token};

/// What the callers of one process share.
#[derive(Clone)]
pub(super) struct Callers {
    pub(super) store: Handle,
    pub(super) ledger: Arc<Ledger>,
    pub(super) pace: Pace,
    /// What keeps the tokens of this run apart from all others.
    pub(super) scope: Arc<str>,
    pub(super) lease: Duration,
    /// How long ago the run began when these callers did, and when that was.
    pub(super) began: (Duration, Instant),
    pub(super) over: Arc<AtomicBool>,
}

/// How a function of the run fails.
#[derive(Debug)]
enum Failure {
    Own(String),
    Refused(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Refused(Box::new(error))
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Failure::Own(text) => serializer.serialize_str(text),
            Failure::Refused(error) => serializer.collect_str(error),
        }
    }
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Failure::Own)
    }
}

type Returned = Result<String, Failure>;

/// A panic that is meant, so that nobody needs to be told of it.
struct Meant;

impl Callers {
    fn go_on(&self) -> bool {
        !self.over.load(Ordering::Acquire) && !self.pace.is_dead()
    }

    fn draw(&self, rng: &mut Rng) -> Plan {
        Plan::draw(rng, self.began.0 + self.began.1.elapsed(), self.lease)
    }

    /// Calls one after the other until the run is over.
    pub(super) async fn run(self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        while self.go_on() {
            let plan = self.draw(&mut rng);
            if plan.kind.person != Person::Nothing && rng.u32(..4) == 0 {
                self.decide(&plan, &mut rng).await;
            }
            for _ in 0..plan.tries {
                let again = self.call(&plan).await;
                if !again || !self.go_on() {
                    break;
                }
                tokio::time::sleep(self.lease.mul_f64(rng.f64() * 0.2)).await;
            }
            tokio::time::sleep(self.lease.mul_f64(rng.f64() * 0.1)).await;
        }
    }

    /// The same on a thread, through the blocking half of the library.
    pub(super) fn run_blocking(self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        while self.go_on() {
            let plan = self.draw(&mut rng);
            for _ in 0..plan.tries {
                let again = self.call_blocking(&plan);
                if !again || !self.go_on() {
                    break;
                }
                std::thread::sleep(self.lease.mul_f64(rng.f64() * 0.2));
            }
            std::thread::sleep(self.lease.mul_f64(rng.f64() * 0.1));
        }
    }

    /// The call, up to what changes its type. There is no other place that makes one, as the library demands.
    fn start(&self, plan: &Plan) -> Call {
        let mut call = Call::new(plan.kind.name.into(), None)
            .scope(&self.scope)
            .arg(&plan.number)
            .store(&self.store)
            .lease(plan.lease)
            .ttl(plan.ttl)
            .on_interrupt(plan.on_interrupt);
        call = match plan.wait {
            Some(wait) => call.wait(wait),
            None => call.on_running(OnRunning::Reject),
        };
        if let Some(most) = plan.kind.max_attempts {
            call = call.max_attempts(most);
        }
        if let Some(most) = plan.max_run {
            call = call.max_run(most);
        }
        if plan.kind.verifies { call.verify("amount", &plan.verified) } else { call }
    }

    fn token(&self, plan: &Plan) -> Token {
        self.start(plan).token().expect("a number makes a token")
    }

    fn called(&self, plan: &Plan, number: u64, token: Token) {
        let wait = plan.wait.unwrap_or_default();
        // A call may be granted, take over or be told anything at the very end of its wait.
        let limit = wait + self.store.profile().time_limit * 4 + plan.body.length() + self.lease * 10;
        let what = What::Called {
            call: number,
            function: plan.kind.name.to_owned(),
            verified: plan.verified,
            wait: micros(wait),
            limit: micros(limit + Duration::from_secs(15)),
        };
        self.ledger.write(Some(token), what);
    }

    /// One call; whether its caller makes it again.
    async fn call(&self, plan: &Plan) -> bool {
        let (number, token) = (self.ledger.number(), self.token(plan));
        self.called(plan, number, token);
        let body = self.clone().body(plan.clone(), number, token);
        let call = self.start(plan);
        let returned = async {
            match plan.kind {
                kind if kind.finishes => call.on_cancel(on_cancel::Finish).run(body).await,
                kind if kind.refuses => call.on_duplicate(on_duplicate::Reject).run(body).await,
                kind => match kind.on_error {
                    OnError::Release => call.run(body).await,
                    OnError::Store => call.on_error(on_error::Store).run(body).await,
                    OnError::Interrupt => call.on_error(on_error::Interrupt).run(body).await,
                },
            }
        };
        let answered = Caught(Box::pin(observe(returned)));
        let answered = match plan.leaves {
            Some(after) => tokio::time::timeout(after, answered).await.ok(),
            None => Some(answered.await),
        };
        match answered {
            Some(answered) => self.answered(token, number, answered),
            None => {
                self.ledger.write(Some(token), What::Left { call: number });
                true
            }
        }
    }

    fn call_blocking(&self, plan: &Plan) -> bool {
        let (number, token) = (self.ledger.number(), self.token(plan));
        self.called(plan, number, token);
        let body = || self.body_blocking(plan, number, token);
        let call = self.start(plan);
        let returned = || match plan.kind {
            kind if kind.refuses => call.on_duplicate(on_duplicate::Reject).run_blocking(body),
            kind => match kind.on_error {
                OnError::Release => call.run_blocking(body),
                OnError::Store => call.on_error(on_error::Store).run_blocking(body),
                OnError::Interrupt => call.on_error(on_error::Interrupt).run_blocking(body),
            },
        };
        self.answered(token, number, caught(|| observe_blocking(returned)))
    }

    /// Writes down what the caller was given; says whether it asks again.
    fn answered(
        &self,
        token: Token,
        call: u64,
        answered: Result<(Returned, Option<Observed>), Box<dyn Any + Send>>,
    ) -> bool {
        let (answer, recorded, again) = match answered {
            Err(payload) => {
                if !payload.is::<Meant>() {
                    // A panic of the library's own is not to be hidden.
                    resume_unwind(payload);
                }
                (Given::Panic, false, true)
            }
            Ok((returned, observed)) => {
                let recorded = observed.is_some_and(|observed| observed.recorded);
                match returned {
                    Ok(value) => (Given::Ok(value), recorded, false),
                    Err(Failure::Own(text)) => (Given::Err(text), recorded, true),
                    Err(Failure::Refused(error)) => {
                        let again = error.is_retryable();
                        let given = match *error {
                            Error::Duplicate { .. } => Given::Duplicate,
                            Error::Running { .. } => Given::Running,
                            Error::Mismatch { .. } => Given::Mismatch,
                            Error::Interrupted { .. } => Given::Interrupted,
                            Error::Store { .. } => Given::Store,
                            // The lease may be shorter than the answers of a store before which faults are put.
                            Error::Misuse { .. } => Given::Store,
                            other => Given::Wrong(other.to_string()),
                        };
                        (given, recorded, again)
                    }
                }
            }
        };
        self.ledger.write(Some(token), What::Answered { call, answer, recorded });
        again
    }

    /// Writes down that a body begins.
    fn begin(&self, call: u64, token: Token) -> (CurrentAttempt, Ending) {
        let attempt = current().expect("in a body there is an attempt");
        let id = attempt.id().to_string();
        let what = What::Began {
            call,
            attempt: id.clone(),
            fence: attempt.fence(),
            generation: attempt.generation(),
            number: attempt.number(),
        };
        self.ledger.write(Some(token), what);
        let ending = Ending { ledger: Arc::clone(&self.ledger), token, call, attempt: id, end: End::Dropped };
        (attempt, ending)
    }

    async fn body(self, plan: Plan, call: u64, token: Token) -> Returned {
        let (attempt, ending) = self.begin(call, token);
        for step in &plan.body.steps {
            match step {
                Step::Pause(time) => self.pace.pause(*time).await,
                Step::Block(time) => self.pace.block(*time),
                Step::Check => {
                    if let Err(Error::LeaseLost { .. }) = attempt.check().await {
                        return ending.with(Ends::Err, &attempt);
                    }
                }
            }
        }
        ending.with(plan.body.ends, &attempt)
    }

    fn body_blocking(&self, plan: &Plan, call: u64, token: Token) -> Returned {
        let (attempt, ending) = self.begin(call, token);
        for step in &plan.body.steps {
            match step {
                Step::Pause(time) | Step::Block(time) => self.pace.block(*time),
                Step::Check => {
                    if let Err(Error::LeaseLost { .. }) = attempt.check_blocking() {
                        return ending.with(Ends::Err, &attempt);
                    }
                }
            }
        }
        ending.with(plan.body.ends, &attempt)
    }

    /// A person looks at the record, and decides.
    async fn decide(&self, plan: &Plan, rng: &mut Rng) {
        let token = self.token(plan);
        if plan.kind.person == Person::Forgets {
            let _ = self.store.ask(Request::Forget { token }).await;
            return;
        }
        let Ok(Reply::Record(Some(record))) = self.store.ask(Request::Get { token }).await else { return };
        // Of what runs the store knows whether its lease is over.
        if !matches!(record.head.state, State::Interrupted | State::Running) {
            return;
        }
        let fence = record.head.fence;
        let request = if rng.u32(..3) > 0 {
            Request::Reopen(Arc::new(Reopen::new(token, fence, "history")))
        } else {
            Request::Resolve(Arc::new(Resolve::new(token, fence, "history", plan.ttl)))
        };
        let _ = self.store.ask(request).await;
    }
}

/// Writes down how a body has ended, however that is.
struct Ending {
    ledger: Arc<Ledger>,
    token: Token,
    call: u64,
    attempt: String,
    end: End,
}

impl Ending {
    fn with(mut self, ends: Ends, attempt: &CurrentAttempt) -> Returned {
        // No other body returns the same.
        let result = format!("p{}c{}f{}", self.ledger.process(), self.call, attempt.fence());
        match ends {
            Ends::Ok => {
                self.end = End::Ok(result.clone());
                Ok(result)
            }
            Ends::Err => {
                self.end = End::Err(result.clone());
                Err(Failure::Own(result))
            }
            Ends::Panic => {
                self.end = End::Panicked;
                drop(self);
                resume_unwind(Box::new(Meant));
            }
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, End::Dropped);
        let what = What::Ended { call: self.call, attempt: std::mem::take(&mut self.attempt), end };
        self.ledger.write(Some(self.token), what);
    }
}

/// A future whose panic is an output.
struct Caught<F>(std::pin::Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = std::thread::Result<F::Output>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        match caught(|| self.0.as_mut().poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => std::task::Poll::Ready(Err(payload)),
        }
    }
}
