//! The system: what can happen next in a state, and what it leads to.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use idem_runtime::digest::{Compared, compare};
use idem_runtime::store::{
    Claim, Complete, Kind, OnInterrupt, Payload, Record, Reopen, Reply, Request, Resolve,
    State as RecordState,
};
use idem_runtime::{LeaseTime, Now, Timestamp};
use stateright::{Model, Property};

use crate::bounds::Bounds;
use crate::promises::{self, Answered, Promise};
use crate::rules::{Rules, Times};
use crate::state::{
    ATTEMPTS, Attempt, CALLERS, Caller, Kept, Message, Net, Operation, Outcome, Phase, State, TOKENS, Token,
    Told, digest, number, ticks,
};

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A caller makes a call of this token.
    Begin(usize, u8),
    /// A request reaches the store, or an answer its caller.
    Deliver(Message),
    /// A request reaches the store, and will do so once more.
    Repeat(Message),
    /// A request reaches the store, and its answer is lost.
    LoseAnswer(Message),
    /// A request or an answer is lost on its way.
    Lose(Message),
    /// A caller has waited long enough for an answer, and asks again.
    AskAgain(usize),
    /// A caller goes away before its body began, or its time limit is reached.
    GiveUp(usize),
    /// A waiting caller asks again.
    Wake(usize),
    /// A body ends in an `Ok`.
    EndWell(usize),
    /// A body ends in an `Err`: nothing was done.
    EndInError(usize),
    /// A body panics, or is dropped.
    Break(usize),
    /// A lease is renewed.
    Renew(usize),
    /// A process dies.
    Die(usize),
    /// A person forgets a record.
    Forget(usize),
    /// A person says: run it again.
    Reopen(usize),
    /// A person says: it happened.
    Resolve(usize),
    /// Time passes.
    Tick,
    /// The wall clock is set.
    SetClock(i8),
}

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
    fn open(&self, state: &State) -> bool {
        state.now < self.bounds.ticks
    }

    fn room(&self, state: &State) -> bool {
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
    fn awaited(&self, state: &State, message: &Message) -> bool {
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

    /// What a caller can do.
    fn callers_actions(&self, state: &State, index: usize, actions: &mut Vec<Action>) {
        let (open, room) = (self.open(state), self.room(state));
        let caller = &state.callers[index];
        let own = |operation: Operation| {
            move |message: &&Message| {
                usize::from(message.caller) == index
                    && message.operation == operation
                    && message.attempt == Attempt::of(index, caller.number)
            }
        };
        let on_its_way = |operation: Operation| state.net.iter().find(own(operation)).is_some();
        match caller.phase {
            Phase::Idle | Phase::Over(_) if open && room && caller.calls > 0 && caller.number < ATTEMPTS => {
                let tokens = if self.bounds.one_token { 1 } else { TOKENS as u8 };
                actions.extend((0..tokens).map(|token| Action::Begin(index, token)));
            }
            Phase::Idle | Phase::Over(_) => {}
            Phase::Claiming { sent } => {
                // To ask again while the claim before is only late repeats it.
                let waits = state.net.iter().filter(own(Operation::Claim)).any(|claim| claim.sent == sent);
                let repeats = open && state.now > sent && state.repeats < self.bounds.repeats;
                if room && (!waits || repeats) {
                    actions.push(Action::AskAgain(index));
                }
                if room && open {
                    actions.push(Action::GiveUp(index));
                }
            }
            Phase::Waiting { wakes } => {
                let running = state.tokens[usize::from(caller.token)]
                    .record
                    .is_some_and(|record| record.state == RecordState::Running);
                if room && (!running || state.now >= wakes) {
                    actions.push(Action::Wake(index));
                }
            }
            Phase::Body => {
                if room {
                    actions.push(Action::EndWell(index));
                    if open {
                        actions.extend([Action::EndInError(index), Action::Break(index)]);
                    }
                }
            }
            Phase::Settling(operation) => {
                if room && !on_its_way(operation) {
                    actions.push(Action::AskAgain(index));
                }
            }
        }
        let renews = matches!(caller.phase, Phase::Body | Phase::Settling(Operation::Complete));
        if self.bounds.renews && renews && open && room && !on_its_way(Operation::Renew) {
            actions.push(Action::Renew(index));
        }
        let alive = !matches!(caller.phase, Phase::Idle | Phase::Over(_) | Phase::Waiting { .. });
        if alive && open && state.crashes < self.bounds.crashes {
            actions.push(Action::Die(index));
        }
    }

    /// What can happen, but time.
    fn happenings(&self, state: &State, actions: &mut Vec<Action>) {
        let (open, room) = (self.open(state), self.room(state));
        for index in 0..CALLERS {
            self.callers_actions(state, index, actions);
        }
        let mut last = None;
        for message in state.net.iter() {
            if last == Some(*message) {
                continue;
            }
            last = Some(*message);
            actions.push(Action::Deliver(*message));
            if open {
                actions.push(Action::Lose(*message));
                if message.told == Told::Nothing && self.awaited(state, message) {
                    actions.push(Action::LoseAnswer(*message));
                }
                if message.told == Told::Nothing && room && state.repeats < self.bounds.repeats {
                    actions.push(Action::Repeat(*message));
                }
            }
        }
        if open && state.decisions < self.bounds.decisions {
            for (index, token) in state.tokens.iter().enumerate() {
                if token.record.is_some() {
                    actions.extend([Action::Forget(index), Action::Reopen(index), Action::Resolve(index)]);
                }
            }
        }
        if open && self.bounds.sets_clock && state.set == 0 {
            actions.extend([Action::SetClock(-35), Action::SetClock(60)]);
        }
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

    /// Of the states that differ only in which caller or token is which, (nearly) always the same one.
    fn canonical(&self, state: &State) -> State {
        let mut order = [0, 1, 2];
        let marks = order.map(|index| self.mark(state, index));
        order.sort_by_key(|index| marks[*index]);
        let mut to = [0; CALLERS];
        for (place, index) in order.into_iter().enumerate() {
            to[index] = place;
        }
        // Callers of another kind keep their places.
        let alike = |(index, to): (usize, &usize)| self.bounds.callers[index] == self.bounds.callers[*to];
        let to = if to.iter().enumerate().all(alike) { to } else { [0, 1, 2] };
        let state = state.moved(&to, false);
        if self.bounds.one_token { state } else { state.min(state.moved(&[0, 1, 2], true)) }
    }

    /// A number by which callers are ordered. Two that could change places have the same.
    fn mark(&self, state: &State, index: usize) -> (usize, u64) {
        let caller = &state.callers[index];
        let own = |attempt: Attempt| attempt.caller() == Some(index);
        let mut hasher = Mixer::default();
        Caller { token: 0, ..*caller }.hash(&mut hasher);
        for token in [caller.token, 1 - caller.token] {
            let Token { record, seen, .. } = &state.tokens[usize::from(token)];
            [
                record.is_some_and(|record| own(record.attempt)),
                record.is_some_and(|record| own(record.result)),
                seen.holder.is_some_and(|(holder, _)| own(holder)),
                seen.settled.is_some_and(|(settled, _)| own(settled)),
                own(seen.fence.1),
                own(seen.late),
            ]
            .hash(&mut hasher);
            for set in [seen.open, seen.unknown] {
                ((set >> (index * usize::from(ATTEMPTS))) & ((1 << ATTEMPTS) - 1)).hash(&mut hasher);
            }
        }
        let mut messages = 0_u64;
        for message in state.net.iter().filter(|message| usize::from(message.caller) == index) {
            let mut hasher = Mixer::default();
            let attempt = Attempt((message.attempt.0 - 1) % ATTEMPTS);
            Message { caller: 0, attempt, token: message.token ^ caller.token, ..*message }.hash(&mut hasher);
            messages = messages.wrapping_add(hasher.finish());
        }
        let like = self.bounds.callers.iter().position(|other| *other == self.bounds.callers[index]);
        (like.unwrap_or(0), hasher.finish().wrapping_add(messages))
    }
}

/// Mixes what is hashed into one number, the same in every run.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
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
