//! What can happen in a state.

use idem_runtime::store::State as RecordState;

use crate::message::{Message, Operation, Told};
use crate::state::{ATTEMPTS, Attempt, CALLERS, Phase, State, TOKENS};
use crate::system::System;

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

impl System {
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
    pub(crate) fn happenings(&self, state: &State, actions: &mut Vec<Action>) {
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
}
