//! The way of a call up to its body or its refusal: a state machine without a thread or a task, driven by
//! [`run`](super::run) and [`blocking`](super::blocking).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Span;

use super::current::{self, Running, Within};
use super::guard;
use super::keeper::{self, Kept};
use super::observe::{self, Happened, Observed, Slot};
use super::options::{OnRunning, OnStoreError};
use super::prepared::Prepared;
use super::source::{NoStore, Sourced};
use super::under::Put;
use crate::error::KEY;
use crate::io::io;
use crate::store::{
    Answer, Asked, AttemptId, Durability, Fault, Finished, Grant, Handle, Pending, Reply, Request, StoreError,
};
use crate::token::digest::{Compared, compare};
use crate::{Error, Text, Token};

/// How far a call has come, and what it remembers on the way.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(super) at: At,
    pub(super) wait: Wait,
    pub(super) span: Option<Span>,
    /// Whoever observes this call, and what they are told.
    observer: Option<Arc<Slot>>,
    /// Whether the caller is a thread, which waits for every answer.
    pub(super) blocks: bool,
    /// What a duplicate of a running call does, if nothing was said.
    pub(super) untold: Option<OnRunning>,
    /// The attempt in whose body this call was made.
    parent: Option<Arc<Running>>,
    /// What calls in its body are within.
    pub(super) within: Within,
    pub(super) kept: Option<Kept>,
    pub(super) grant: Option<Grant>,
    /// When the claim was sent last, where its lease must be looked at.
    sent: Option<Instant>,
    /// When waiting ends.
    wait_until: Option<Instant>,
    pub(super) waited: bool,
    /// When an unanswered claim is no longer asked again, and how long the next pause is.
    ask_until: Option<Instant>,
    pause: Duration,
    /// Whether a claim may be in the store without our knowing.
    unanswered: bool,
    rounds: u32,
    /// Whether duplicates are given the result.
    pub(super) keeps: bool,
    /// The call's token, once it was made.
    token: Token,
    /// The store that a test has put this call under.
    pub(super) put: Put,
    /// Whether all is known that a claim needs.
    made: bool,
}

/// Where a call is, for the guard.
#[derive(Debug, Default)]
pub(crate) enum At {
    /// Nothing of it is in the store, or what is there is settled.
    #[default]
    Idle,
    /// A claim was sent, and no body has begun.
    Claiming,
    /// The body runs.
    Body,
    /// The body ended, and the store is being told so.
    Settling(Request),
}

/// What a call waits for.
#[derive(Default)]
pub(crate) enum Wait {
    /// Nothing: it has not begun.
    #[default]
    Start,
    /// The store, which is being connected.
    Store(Pin<Box<dyn Future<Output = Result<Handle, NoStore>> + Send>>),
    /// The answer to its claim.
    Answer(Pending),
    /// A running attempt that ends.
    Woken(Pending),
    /// The end of a pause before the claim is asked again.
    Pause(Duration),
    /// The same, once the pause has begun.
    Paused(Pending),
    /// Nothing: the claim is asked again.
    Again,
    /// Nothing: the call is over.
    Refused(Box<Error>),
    /// The answer to what the body ended with.
    Settled(Pending),
}

impl std::fmt::Debug for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wait")
    }
}

/// Where the claim leads to.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Into the body.
    Body,
    /// To the stored result.
    Replay(Finished),
    /// To a refusal.
    Refuse(Error),
}

/// What is next.
#[derive(Debug)]
pub(crate) enum Step {
    Wait(Wait),
    Enter(Entry),
}

fn refuse(error: Error) -> Step {
    Step::Enter(Entry::Refuse(error))
}

/// So often a claim is asked again because of what the store answered, not because it did not.
const MOST_ROUNDS: u32 = 32;

/// So often a claim is asked again because its lease was over before it was answered.
const MOST_LATE: u32 = 8;

/// A lease that needs no renewal because the guard is the sign of life.
const GUARDED: Duration = Duration::from_secs(1 << 40);

impl Prepared {
    pub(super) fn token_now(&self) -> Token {
        self.progress.token
    }

    pub(super) fn attempt(&self) -> AttemptId {
        self.claim.attempt
    }

    fn handle(&self) -> &Handle {
        self.store.as_ref().expect("a call has its store before it asks it")
    }

    /// Begins: finds the store.
    pub(super) fn start(&mut self) -> Step {
        self.progress.observer = observe::observer();
        // What needs no store is checked whether there is one or not.
        match self.checked_token() {
            Ok(token) => self.progress.token = token,
            Err(error) => return refuse(error),
        }
        let (put, store) = Put::begin(self.progress.token);
        self.progress.put = put;
        self.store = store.or(self.store.take());
        if self.store.is_some() {
            return self.make_claim();
        }
        match self.source.map(super::Source::find) {
            Some(Sourced::Ready(store)) => {
                self.store = Some(store);
                self.make_claim()
            }
            Some(Sourced::Connecting(connecting)) => Step::Wait(Wait::Store(connecting)),
            Some(Sourced::Failed(why)) => self.connected(Err(why)),
            None => self.connected(Err(NoStore::Misuse("it has no store: say `.store(…)`".into()))),
        }
    }

    pub(super) fn connected(&mut self, store: Result<Handle, NoStore>) -> Step {
        match store {
            Ok(store) => {
                self.store = Some(store);
                self.make_claim()
            }
            Err(NoStore::Misuse(message)) => refuse(Error::misuse(self.text().clone(), message)),
            Err(NoStore::Store(source)) => {
                if self.options.on_store_error == Some(OnStoreError::Run) {
                    // There is nothing to record in, and the caller has said that this is fine.
                    tracing::warn!(function = %self.text(), error = %source, "runs unprotected: there is no store");
                    self.progress.parent = current::running();
                    return Step::Enter(Entry::Body);
                }
                let function = self.text().clone();
                refuse(Error::Store { function, token: None, source })
            }
        }
    }

    /// Says once that the text of a function without a name may change.
    fn warn_of_derived_text(&self) {
        let Some(instance) = self.called.instance() else { return };
        if instance.site.is_derived() && instance.warned.set(()).is_ok() {
            tracing::warn!(
                function = %self.text(),
                "it is known by its signature text, which changes when it is renamed or moved, and may change with the \
                 compiler: a call repeated across that runs again; give it a name: #[idempotent(name = \"…\")]"
            );
        }
    }

    /// Looks whether this is a duplicate of a finished call, and else makes and sends the claim.
    fn make_claim(&mut self) -> Step {
        if let Err(error) = self.make_digest() {
            return refuse(error);
        }
        let profile = self.handle().profile();
        if self.options.record_arguments && !profile.takes_arguments {
            let message = format!(
                "it says `record_arguments`, and no arguments may be sent to the store {}: leave `record_arguments` out, or \
                 `?send=token` out of the store's URL",
                profile.name
            );
            return refuse(Error::misuse(self.text().clone(), message));
        }
        let outlives = profile.durability > Durability::Process;
        self.progress.made = true;
        if outlives {
            self.warn_of_derived_text();
        }
        self.progress.span = guard::span(self);
        match self.handle().finished(&self.progress.token, &self.digest) {
            Some(finished) => Step::Enter(Entry::Replay(finished)),
            None => {
                self.fill();
                self.ask()
            }
        }
    }

    fn checked_token(&mut self) -> Result<Token, Error> {
        let token = self.token()?;
        self.check_text()?;
        if self.options.lease_or_default().is_zero() {
            return Err(Error::misuse(
                self.text().clone(),
                "a `lease` of 0 is over before it begins; leave it out for 10 s",
            ));
        }
        if self.options.ttl_or_default().is_zero() {
            return Err(Error::misuse(
                self.text().clone(),
                "a `ttl` of 0 would answer no duplicate; leave it out for 24 h, or do not use idem here",
            ));
        }
        Ok(token)
    }

    /// Makes the claim.
    fn fill(&mut self) {
        let lease = self.options.lease_or_default();
        let profile = self.handle().profile();
        let (guarded, wants) = (profile.guarded, profile.wants_arguments);
        let lease = match self.options.max_run {
            _ if !guarded => lease,
            Some(most) => most.saturating_add(lease),
            None => GUARDED,
        };
        self.fill_claim(self.progress.token, lease, wants);
        self.progress.parent = current::running();
    }

    /// Sends the claim.
    pub(super) fn ask(&mut self) -> Step {
        self.progress.at = At::Claiming;
        let store = self.handle();
        // A guard's lease has no end, unless the body may only run so long.
        let ends = !store.profile().guarded || self.options.max_run.is_some();
        let sent = ends.then(Instant::now);
        let asked = self.told(store, Request::Claim(Arc::clone(&self.claim)));
        self.progress.sent = sent;
        match asked {
            Asked::Now(answer) => self.answered(answer),
            Asked::Later(pending) => {
                // What the store itself takes is part of the limit.
                self.asks_until();
                Step::Wait(Wait::Answer(pending))
            }
        }
    }

    /// Asks the store, for a caller that awaits the answer or for one that blocks.
    pub(super) fn told(&self, store: &Handle, request: Request) -> Asked {
        if self.progress.blocks { io().instead(|| store.ask(request)) } else { store.ask(request) }
    }

    /// When an unanswered claim is no longer asked again: the store's time limit from the first time on.
    fn asks_until(&mut self) -> Instant {
        let limit = self.handle().profile().time_limit;
        let far = |now: Instant| now.checked_add(limit).unwrap_or(now + GUARDED);
        *self.progress.ask_until.get_or_insert_with(|| far(Instant::now()))
    }

    pub(super) fn answered(&mut self, answer: Answer) -> Step {
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) => return self.unanswered(error),
        };
        // It answers again: the next failure has a time limit of its own.
        self.progress.ask_until = None;
        self.progress.pause = Duration::ZERO;
        if let Reply::Claimed(grant) = reply {
            self.progress.grant = Some(grant);
            return Step::Enter(Entry::Body);
        }
        // Whatever else it is, nothing of this call is in the store.
        self.progress.at = At::Idle;
        self.progress.unanswered = false;
        let (function, token) = (self.text().clone(), self.token_now());
        match reply {
            Reply::Done(finished) => Step::Enter(Entry::Replay(finished)),
            Reply::Running { lease_left, .. } => self.wait_for(lease_left),
            Reply::Mismatch { digest } => match compare(&self.claim.digest, &digest) {
                Compared::Compatible => {
                    self.change_claim(|claim| claim.accept = Some(digest));
                    self.again()
                }
                Compared::Differs(argument) => {
                    let argument = if argument == crate::token::digest::KEY {
                        Text::from_static(KEY)
                    } else {
                        argument.into()
                    };
                    refuse(Error::Mismatch { function, token, argument })
                }
                Compared::Unreadable => self.unexpected("a digest that is none"),
            },
            Reply::Interrupted { since, number } => {
                refuse(Error::Interrupted { function, token, since, attempts: number })
            }
            Reply::LeaseLost { .. } => {
                // Taken for a claim that comes late: this call is another attempt.
                self.change_claim(|claim| claim.attempt = AttemptId::random());
                self.again()
            }
            other => self.unexpected(&format!("{other:?}")),
        }
    }

    fn unexpected(&self, what: &str) -> Step {
        let name = self.handle().profile().name.clone();
        let source = StoreError::refused(name, format!("answered a claim with {what}"));
        refuse(Error::Store { function: self.text().clone(), token: Some(self.token_now()), source })
    }

    fn again(&mut self) -> Step {
        self.progress.rounds += 1;
        if self.progress.rounds > MOST_ROUNDS {
            return self.unexpected("something else each time");
        }
        self.ask()
    }

    /// Another attempt runs.
    fn wait_for(&mut self, lease_left: Duration) -> Step {
        let untold = self.progress.untold.unwrap_or(OnRunning::Wait);
        let itself = current::is_within(self.progress.parent.as_ref(), self.token_now(), self.handle());
        let refused = |this: &Self| {
            // A guard's lease has no end that says anything.
            let lease_left = lease_left.min(this.options.lease_or_default());
            let (function, token) = (this.text().clone(), this.token_now());
            refuse(Error::Running { function, token, lease_left, itself })
        };
        if itself || !self.options.waits(untold) {
            return refused(self);
        }
        let now = Instant::now();
        let most = self.options.wait_or_default();
        let until =
            *self.progress.wait_until.get_or_insert_with(|| now.checked_add(most).unwrap_or(now + GUARDED));
        let left = until.saturating_duration_since(now);
        if left.is_zero() {
            return refused(self);
        }
        self.progress.waited = true;
        // A moment more than the lease, so that it is over when the claim is asked again.
        let limit = left.min(lease_left.saturating_add(Duration::from_millis(1)));
        match self.told(self.handle(), Request::Watch { token: self.token_now(), limit }) {
            Asked::Now(Ok(_)) => Step::Wait(Wait::Again),
            // It cannot tell when: a look now and then, and room for others in between.
            Asked::Now(Err(_)) => Step::Wait(Wait::Pause(limit.min(Duration::from_millis(50)))),
            Asked::Later(pending) => Step::Wait(Wait::Woken(pending)),
        }
    }

    /// The claim was not answered: it is asked again until the store's time limit.
    fn unanswered(&mut self, error: StoreError) -> Step {
        self.progress.unanswered |= error.fault() == Fault::Lost;
        if !self.progress.unanswered {
            self.progress.at = At::Idle;
        }
        let until = self.asks_until();
        let pause = self.progress.pause.clamp(Duration::from_millis(5), Duration::from_millis(500));
        self.progress.pause = pause * 2;
        let in_vain = matches!(error.fault(), Fault::Refused | Fault::TooLarge);
        if !in_vain && Instant::now() + pause < until {
            return Step::Wait(Wait::Pause(pause));
        }
        if self.options.on_store_error == Some(OnStoreError::Run) {
            tracing::warn!(
                function = %self.text(), token = %self.token_now(), %error,
                "runs unprotected: the store does not answer, and on_store_error = run"
            );
            return Step::Enter(Entry::Body);
        }
        if self.progress.unanswered {
            self.give_back();
        }
        refuse(Error::Store { function: self.text().clone(), token: Some(self.token_now()), source: error })
    }

    /// Gives the token back in the background: a claim may be in the store, and no body has begun.
    pub(super) fn give_back(&mut self) {
        self.progress.at = At::Idle;
        self.progress.unanswered = false;
        if let Some(store) = self.store.clone() {
            self.carry(store, self.release(), None);
        }
    }

    /// Before the body's first step: takes up the attempt. `false` if the claim was sent too long ago, so that it
    /// must be asked again.
    pub(super) fn begin_body(&mut self) -> bool {
        let Some(grant) = self.progress.grant else {
            // Its claim may be in the store all the same: a call that waited for that would wait for itself.
            let running = self.store.is_some().then(|| self.running(Grant::default()));
            let innermost = running.or_else(|| self.progress.parent.clone());
            self.progress.within = Within { innermost, unprotected: true };
            self.progress.at = At::Body;
            self.progress.put.begins(self.token_now());
            return true;
        };
        if let Some(sent) = self.progress.sent {
            if sent.elapsed() >= self.claim.lease {
                self.progress.grant = None;
                self.progress.rounds += 1;
                self.progress.wait = Wait::Again;
                if self.progress.rounds > MOST_LATE {
                    self.give_back();
                    let message =
                        "its `lease` is shorter than the store takes to answer a claim; make it longer";
                    let error = Error::misuse(self.text().clone(), message);
                    self.progress.wait = Wait::Refused(Box::new(error));
                }
                return false;
            }
        }
        let running = self.running(grant);
        let guarded = self.handle().profile().guarded;
        if let Some(sent) = self.progress.sent.filter(|_| !guarded) {
            self.progress.kept = Some(keeper::keep(Arc::clone(&running), sent, self.options.max_run));
        }
        if let Some(span) = &self.progress.span {
            span.record("attempt", grant.number);
        }
        self.progress.within = Within { innermost: Some(running), unprotected: false };
        self.progress.at = At::Body;
        self.progress.put.begins(self.token_now());
        true
    }

    fn running(&self, grant: Grant) -> Arc<Running> {
        let parent = self.progress.parent.clone();
        Arc::new(Running::new(self.handle().clone(), self.text().clone(), &self.claim, grant, parent))
    }

    pub(super) fn release(&self) -> Request {
        Request::Release { token: self.token_now(), attempt: self.attempt(), lease: self.claim.lease }
    }

    /// What is told about this call; made only if somebody wants to know.
    pub(super) fn tell(&mut self, happened: Happened, change: impl FnOnce(&mut Observed)) {
        let Some(slot) = self.progress.observer.take() else { return };
        let token = self.progress.made.then_some(self.progress.token);
        let mut observed = Observed::new(self.text().clone(), token);
        observed.happened = happened;
        observed.waited = self.progress.waited;
        observed.attempt = self.progress.grant.map_or(0, |grant| grant.number);
        change(&mut observed);
        slot.leave(observed);
    }
}
