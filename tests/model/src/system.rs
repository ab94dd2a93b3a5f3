//! The system: what comes of what happens in a state.

use std::sync::Arc;

use idem_runtime::digest::{Compared, compare};
use idem_runtime::store::{
    Claim, Complete, Kind, OnInterrupt, Payload, Record, Reopen, Reply, Request, Resolve,
};
use idem_runtime::{LeaseTime, Now, Timestamp};
use stateright::{Model, Property};

use crate::actions::Action;
use crate::bounds::Bounds;
use crate::kept::{Kept, digest, number, ticks};
use crate::message::{Message, Net, Operation, Told};
use crate::promises::{self, Answered, Promise};
use crate::rules::{Rules, Times};
use crate::state::{ATTEMPTS, Attempt, CALLERS, Caller, Outcome, Phase, State, TOKENS, Token};

/// A bounded system, and the rules that it goes by.
#[derive(Debug, Clone)]
pub struct System {
    /// How large it is.
    pub bounds: Bounds,
    /// The store's and the callers' rules.
    pub rules: Rules,
    /// Whether states that differ only in which caller or token is which count as one. What a caller is called
    /// in a trace may then change from step to step.
    pub symmetric: bool,
}

impl System {
    /// The system with the library's own rules.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        System { bounds, rules: Rules::default(), symmetric: true }
    }

    /// Whether faults can still happen.
    pub(crate) fn open(&self, state: &State) -> bool {
        state.now < self.bounds.ticks
    }

    pub(crate) fn room(&self, state: &State) -> bool {
        state.net.len() < self.bounds.messages
    }

    fn now(state: &State) -> Now {
        Now {
            wall: Timestamp::from_micros(state.wall().into()),
            lease: LeaseTime { run: 0, micros: state.now.into() },
        }
    }

    /// The request that a message carries, as the library makes it.
    fn request(&self, message: &Message) -> Request {
        let caller = &self.bounds.callers[usize::from(message.caller)];
        let token = idem_runtime::Token::from_bytes([message.token; 32]);
        let (attempt, lease) = (message.attempt.id(), ticks(self.bounds.lease));
        match message.operation {
            Operation::Claim => {
                let mut claim = Claim::default();
                claim.token = token;
                claim.attempt = attempt;
                claim.digest = digest(caller.arguments).to_vec();
                claim.accept = (message.carried.0 != u8::MAX).then(|| digest(message.carried.0).to_vec());
                claim.lease = lease;
                claim.ttl = ticks(self.bounds.ttl);
                claim.on_interrupt = if caller.strict { OnInterrupt::Reject } else { OnInterrupt::Retry };
                Request::Claim(Arc::new(claim))
            }
            Operation::Complete => {
                let mut complete = Complete::default();
                complete.token = token;
                complete.attempt = attempt;
                complete.fence = message.carried.0.into();
                complete.generation = message.carried.1.into();
                complete.digest = digest(caller.arguments).to_vec();
                complete.result = Payload::from(vec![message.attempt.0]);
                complete.kind = Kind::Value;
                complete.ttl = ticks(self.bounds.ttl);
                Request::Complete(Arc::new(complete))
            }
            Operation::Release => Request::Release { token, attempt, lease },
            Operation::Renew => Request::Renew { token, attempt, lease },
            Operation::Interrupt => Request::Interrupt { token, attempt },
        }
    }

    /// The store carries a request out.
    fn ask(&self, state: &mut State, index: usize, request: &Request) -> Reply {
        let now = Self::now(state);
        let token = &mut state.tokens[index];
        let before = token.record.map(|kept| kept.record(self.bounds.ttl));
        let mut after = before.clone();
        let mut fence = u64::from(token.fence);
        let reply = (self.rules.apply)(&mut after, request, &now, &mut fence);
        token.fence = u8::try_from(fence).expect("the bounds keep fences small");
        let answered =
            Answered { before: before.as_ref(), after: after.as_ref(), request, reply: &reply, now: &now };
        promises::at_the_store(state, index, &self.bounds, &answered);
        state.tokens[index].record = after.as_ref().map(Kept::of);
        reply
    }

    /// A request reaches the store; the answer goes back if the caller still waits for it.
    fn reach_store(&self, state: &mut State, message: Message, heard: bool) {
        let request = self.request(&message);
        let reply = self.ask(state, usize::from(message.token), &request);
        if !self.awaited(state, &message) {
            return;
        }
        let message = Message { told: told(&reply), ..message };
        if !heard {
        } else if message.operation == Operation::Claim && message.told.takes_time() {
            state.net.send(message);
        } else {
            self.reach_caller(state, message);
        }
    }

    /// Whether the caller waits for the answer to this.
    pub(crate) fn awaited(&self, state: &State, message: &Message) -> bool {
        let index = usize::from(message.caller);
        let caller = &state.callers[index];
        Attempt::of(index, caller.number) == message.attempt
            && match caller.phase {
                Phase::Claiming { sent } => message.operation == Operation::Claim && sent == message.sent,
                Phase::Settling(operation) => message.operation == operation,
                _ => false,
            }
    }

    /// An answer that nobody waits for any more changes nothing, and of a request whose answer nobody waits for it
    /// makes no difference when it was sent.
    fn drop_unheard(&self, state: &mut State) {
        let mut net = state.net;
        net.change(|message| {
            let awaited = self.awaited(state, &message);
            let sent = if awaited { message.sent } else { u8::MAX };
            (awaited || message.told == Told::Nothing).then_some(Message { sent, ..message })
        });
        state.net = net;
    }

    /// An answer reaches its caller.
    fn reach_caller(&self, state: &mut State, message: Message) {
        if !self.awaited(state, &message) {
            return;
        }
        let index = usize::from(message.caller);
        if message.operation == Operation::Claim {
            self.claim_answered(state, index, message);
        } else {
            let gave_up = !state.callers[index].began;
            over(state, index, if gave_up { Outcome::GaveUp } else { Outcome::Ended });
        }
    }

    fn claim_answered(&self, state: &mut State, index: usize, message: Message) {
        let now = state.now;
        let own = self.bounds.callers[index].arguments;
        let caller = &mut state.callers[index];
        match message.told {
            Told::Claimed { fence, generation } => {
                if !(self.rules.may_begin)(&Times { sent: message.sent, now, lease: self.bounds.lease }) {
                    return self.claim(state, index);
                }
                caller.phase = Phase::Body;
                caller.grant = (fence, generation);
                caller.began = true;
                promises::at_the_body(state, index, &self.bounds);
            }
            Told::Done => over(state, index, Outcome::Ended),
            Told::Running { left } => {
                if caller.until == 0 {
                    caller.until = now + self.bounds.wait;
                }
                if caller.until > self.bounds.end() {
                    caller.until = u8::MAX;
                }
                if now >= caller.until {
                    return over(state, index, Outcome::Ended);
                }
                let wakes = if self.rules.wakes_at_lease_end { now + left } else { u8::MAX };
                caller.phase = Phase::Waiting { wakes: wakes.min(caller.until) };
            }
            Told::Mismatch { digest: theirs }
                if compare(digest(own), digest(theirs)) == Compared::Compatible =>
            {
                caller.accept = theirs;
                self.claim(state, index);
            }
            Told::LeaseLost if caller.number + 1 < ATTEMPTS => {
                caller.number += 1;
                caller.returned = false;
                self.claim(state, index);
            }
            _ => over(state, index, Outcome::Ended),
        }
    }

    /// Sends the claim.
    fn claim(&self, state: &mut State, index: usize) {
        let now = state.now;
        let caller = &mut state.callers[index];
        caller.phase = Phase::Claiming { sent: now };
        let carried = (caller.accept, 0);
        let message = message(index, caller, Operation::Claim, now, carried);
        state.net.send(message);
    }

    /// Tells the store what the call ended with.
    fn settle(&self, state: &mut State, index: usize, operation: Operation) {
        let caller = &mut state.callers[index];
        caller.phase = Phase::Settling(operation);
        let carried = if operation == Operation::Complete { caller.grant } else { (0, 0) };
        let message = message(index, caller, operation, 0, carried);
        state.net.send(message);
    }

    fn person(&self, state: &mut State, index: usize, request: &Request) {
        state.decisions += 1;
        let _ = self.ask(state, index, request);
    }

    /// Nothing can happen any more.
    fn at_rest(&self, state: &State) -> bool {
        if state.now < self.bounds.ticks || !state.net.is_empty() {
            return false;
        }
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        actions.is_empty()
    }
}

fn message(index: usize, caller: &Caller, operation: Operation, sent: u8, carried: (u8, u8)) -> Message {
    Message {
        caller: u8::try_from(index).unwrap_or(0),
        attempt: Attempt::of(index, caller.number),
        token: caller.token,
        operation,
        sent,
        carried,
        told: Told::Nothing,
    }
}

fn over(state: &mut State, index: usize, outcome: Outcome) {
    let caller = &mut state.callers[index];
    *caller = Caller {
        phase: Phase::Over(outcome),
        number: caller.number,
        calls: caller.calls,
        returned: caller.returned,
        ..NOBODY
    };
}

const NOBODY: Caller = Caller {
    phase: Phase::Idle,
    token: 0,
    number: 0,
    calls: 0,
    accept: u8::MAX,
    until: 0,
    grant: (0, 0),
    returned: false,
    began: false,
};

fn told(reply: &Reply) -> Told {
    let small = |number: u64| u8::try_from(number).expect("the bounds keep numbers small");
    match reply {
        Reply::Claimed(grant) => {
            Told::Claimed { fence: small(grant.fence), generation: small(grant.generation) }
        }
        Reply::Running { lease_left, .. } => {
            Told::Running { left: u8::try_from(lease_left.as_micros()).unwrap_or(u8::MAX) }
        }
        Reply::Done(_) => Told::Done,
        Reply::Mismatch { digest } => Told::Mismatch { digest: number(digest) },
        Reply::Interrupted { .. } => Told::Interrupted,
        Reply::LeaseLost { .. } => Told::LeaseLost,
        _ => Told::Settled,
    }
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut callers = [NOBODY; CALLERS];
        for (caller, bounds) in callers.iter_mut().zip(&self.bounds.callers) {
            caller.calls = bounds.calls;
        }
        let tokens = [Token::default(); TOKENS];
        vec![State {
            now: 0,
            set: 0,
            tokens,
            callers,
            net: Net::default(),
            crashes: 0,
            repeats: 0,
            decisions: 0,
            broken: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.happenings(state, actions);
        let late = !self.open(state);
        if !late || (actions.is_empty() && state.now < self.bounds.end() && !idle(state)) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Begin(index, token) => {
                let caller = &mut state.callers[index];
                let first = caller.phase == Phase::Idle;
                *caller = Caller {
                    token,
                    number: if first { 0 } else { caller.number + 1 },
                    calls: caller.calls - 1,
                    ..NOBODY
                };
                if caller.number >= ATTEMPTS {
                    return None;
                }
                self.claim(&mut state, index);
            }
            Action::Deliver(message) => {
                state.net.take(&message);
                match message.told {
                    Told::Nothing => self.reach_store(&mut state, message, true),
                    _ => self.reach_caller(&mut state, message),
                }
            }
            Action::Repeat(message) => {
                state.repeats += 1;
                self.reach_store(&mut state, message, true);
            }
            Action::LoseAnswer(message) => {
                state.net.take(&message);
                self.reach_store(&mut state, message, false);
            }
            Action::Lose(message) => state.net.take(&message),
            Action::AskAgain(index) => {
                match state.callers[index].phase {
                    Phase::Settling(operation) => self.settle(&mut state, index, operation),
                    _ => {
                        if last.net.iter().any(|message| {
                            self.awaited(last, message) && usize::from(message.caller) == index
                        }) {
                            state.repeats += 1;
                        }
                        self.claim(&mut state, index);
                    }
                }
            }
            Action::GiveUp(index) => match self.rules.given_up {
                Some(operation) => self.settle(&mut state, index, operation),
                None => over(&mut state, index, Outcome::GaveUp),
            },
            Action::Wake(index) => self.claim(&mut state, index),
            Action::EndWell(index) => self.settle(&mut state, index, Operation::Complete),
            Action::EndInError(index) => self.settle(&mut state, index, Operation::Release),
            Action::Break(index) => {
                let caller = &state.callers[index];
                let (token, attempt) = (usize::from(caller.token), Attempt::of(index, caller.number));
                state.tokens[token].seen.broke_off(attempt);
                self.settle(&mut state, index, self.rules.broken_off);
            }
            Action::Renew(index) => {
                let message = message(index, &state.callers[index], Operation::Renew, 0, (0, 0));
                state.net.send(message);
            }
            Action::Die(index) => {
                state.crashes += 1;
                over(&mut state, index, Outcome::Ended);
            }
            Action::Forget(index) => {
                let token = idem_runtime::Token::from_bytes([index as u8; 32]);
                self.person(&mut state, index, &Request::Forget { token });
            }
            Action::Reopen(index) => {
                let token = idem_runtime::Token::from_bytes([index as u8; 32]);
                let fence = last.tokens[index].record.map_or(0, |record| record.fence.into());
                self.person(
                    &mut state,
                    index,
                    &Request::Reopen(Arc::new(Reopen::new(token, fence, "person"))),
                );
            }
            Action::Resolve(index) => {
                let token = idem_runtime::Token::from_bytes([index as u8; 32]);
                let fence = last.tokens[index].record.map_or(0, |record| record.fence.into());
                let resolve = Resolve::new(token, fence, "person", ticks(self.bounds.ttl));
                self.person(&mut state, index, &Request::Resolve(Arc::new(resolve)));
            }
            Action::Tick => state.now += 1,
            Action::SetClock(by) => {
                state.set = by;
                // Until when a late claim is refused is kept by the wall clock, as every record is.
                for token in &mut state.tokens {
                    token.seen.settled = None;
                }
            }
        }
        self.drop_unheard(&mut state);
        state.tidy(self.bounds.end());
        Some(if self.symmetric { self.canonical(&state) } else { state })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! promise {
            ($promise:ident) => {
                Property::always(Promise::$promise.text(), |_: &System, state: &State| {
                    state.broken & Promise::$promise.bit() == 0
                })
            };
        }
        macro_rules! at_rest {
            ($promise:ident) => {
                Property::always(Promise::$promise.text(), |system: &System, state: &State| {
                    state.broken & Promise::$promise.bit() == 0
                        && (promises::at_rest(state) & Promise::$promise.bit() == 0 || !system.at_rest(state))
                })
            };
        }
        vec![
            promise!(I1),
            promise!(I2),
            promise!(I3),
            promise!(I4),
            promise!(I5),
            at_rest!(I7),
            at_rest!(I9),
            promise!(I10),
            promise!(Verified),
            promise!(Generation),
        ]
    }
}

/// Every call is over.
fn idle(state: &State) -> bool {
    state.net.is_empty()
        && state.callers.iter().all(|caller| matches!(caller.phase, Phase::Idle | Phase::Over(_)))
}

/// The library's transition, with a fence from what outlives records.
pub(crate) fn apply(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    idem_runtime::store::protocol::apply(record, request, now, || {
        *fence += 1;
        *fence
    })
}
