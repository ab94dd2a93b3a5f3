//! The promises, checked where they can be broken: at the store's every answer, at every body's start, and where
//! nothing can happen any more.
//!
//! They are checked against what was *said* to callers, which [`Seen`](crate::state::Seen) remembers, and never
//! against the record, which is what a wrong transition would get wrong.

use idem_runtime::Now;
use idem_runtime::store::{OnInterrupt, Record, Reply, Request, State as RecordState, protocol};

use crate::bounds::Bounds;
use crate::kept::Kept;
use crate::message::Operation;
use crate::state::{Attempt, Caller, Outcome, Phase, State, attempt};

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// While an attempt holds its lease no other one is granted, and a body starts only while its attempt does.
    I1,
    /// A stored result is what every duplicate gets, and nothing overwrites it.
    I2,
    /// An attempt that was replaced changes nothing.
    I3,
    /// Fences grow.
    I4,
    /// What was completed does not run again.
    I5,
    /// A call that began no body leaves nothing behind.
    I7,
    /// Every wait ends.
    I9,
    /// With `reject`, a body whose outcome is unknown is not started again.
    I10,
    /// No duplicate gets the result of other verified arguments.
    Verified,
    /// Attempts of one operation have one generation.
    Generation,
}

impl Promise {
    /// All of them.
    pub const ALL: [Promise; 10] = [
        Promise::I1,
        Promise::I2,
        Promise::I3,
        Promise::I4,
        Promise::I5,
        Promise::I7,
        Promise::I9,
        Promise::I10,
        Promise::Verified,
        Promise::Generation,
    ];

    /// As it is printed.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Promise::I1 => "I1: while an attempt holds its lease, no other one is granted or begins its body",
            Promise::I2 => "I2: a stored result is what every duplicate gets, and nothing overwrites it",
            Promise::I3 => "I3: an attempt that was replaced changes nothing in the store",
            Promise::I4 => "I4: fences grow with every attempt, over release, expiry and forget",
            Promise::I5 => "I5: a body that was answered `completed` is not run again before its ttl",
            Promise::I7 => "I7: a call that gave its claim back before its body leaves nothing held",
            Promise::I9 => "I9: every wait ends: nothing is at rest while a caller waits",
            Promise::I10 => "I10: with `reject` a body whose outcome is unknown is not started again",
            Promise::Verified => "verified arguments: no duplicate gets the result of other arguments",
            Promise::Generation => {
                "generation: attempts that follow one that did not end have its generation"
            }
        }
    }

    /// As a member of a set of promises.
    #[must_use]
    pub fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// One request that the store has answered.
pub(crate) struct Answered<'a> {
    pub(crate) before: Option<&'a Record>,
    pub(crate) after: Option<&'a Record>,
    pub(crate) request: &'a Request,
    pub(crate) reply: &'a Reply,
    pub(crate) now: &'a Now,
}

/// Remembers what the store has said about a token, and notes what it must not have said or done.
pub(crate) fn at_the_store(state: &mut State, index: usize, bounds: &Bounds, answered: &Answered<'_>) {
    let Answered { before, after, request, reply, now } = answered;
    let (tick, wall) = (state.now, state.wall());
    let mut broken = 0;
    let mut breaks = |promise: Promise, is: bool| broken |= if is { promise.bit() } else { 0 };
    let token = &mut state.tokens[index];
    let seen = &mut token.seen;
    let live = before.filter(|record| !protocol::expired(&record.head, now));
    if let (Some(_), None) = (before, live) {
        seen.expired();
    }
    seen.result = seen.result.filter(|(_, expires)| *expires > wall);

    // Who asks, for what attempts say while they run and as they end.
    let settles = match request {
        Request::Complete(complete) => Some((Operation::Complete, attempt(complete.attempt))),
        Request::Release { attempt: id, .. } => Some((Operation::Release, attempt(*id))),
        Request::Renew { attempt: id, .. } => Some((Operation::Renew, attempt(*id))),
        Request::Interrupt { attempt: id, .. } => Some((Operation::Interrupt, attempt(*id))),
        _ => None,
    };
    if let (Some((_, who)), Some(record)) = (settles, live) {
        let replaced = attempt(record.head.attempt) != who
            && matches!(record.head.state, RecordState::Running | RecordState::Done);
        breaks(Promise::I3, replaced && *after != Some(record));
    }
    let lease = |after: Option<&Record>| after.map_or(tick, |record| Kept::of(record).lease);
    match (request, reply) {
        (Request::Claim(claim), Reply::Claimed(grant)) => {
            let who = attempt(claim.attempt);
            let fence = u8::try_from(grant.fence).unwrap_or(0);
            breaks(Promise::I1, seen.holder.is_some_and(|(holder, end)| holder != who && end > tick));
            breaks(Promise::I5, seen.result.is_some());
            breaks(Promise::I4, fence < seen.fence.0 || (fence == seen.fence.0 && seen.fence.1 != who));
            breaks(
                Promise::I7,
                seen.settled.is_some_and(|(settled, at)| settled == who && tick < at + bounds.lease),
            );
            let strict = claim.on_interrupt == OnInterrupt::Reject;
            seen.strict = strict || (seen.strict && (live.is_some() || seen.open | seen.unknown != 0));
            if seen.fence.1 != who {
                seen.strict_then = seen.strict;
            }
            seen.fence = (fence, who);
            seen.holder = Some((who, tick + bounds.lease));
            if seen.settled.is_some_and(|(settled, _)| settled != who) {
                seen.settled = None;
            }
            if let Some(caller) = who.caller() {
                let caller = &state.callers[caller];
                if caller.returned && Attempt::of(who.caller().unwrap_or(0), caller.number) == who {
                    seen.late = who;
                }
            }
        }
        (Request::Claim(claim), Reply::Interrupted { .. }) => {
            seen.strict |= claim.on_interrupt == OnInterrupt::Reject;
        }
        (Request::Claim(claim), Reply::Done(finished)) => {
            let of = finished.result.first().map_or(Attempt::NOBODY, |attempt| Attempt(*attempt));
            breaks(Promise::I2, seen.result.is_none_or(|(stored, _)| stored != of));
            if let (Some(caller), Some(own)) = (of.caller(), attempt(claim.attempt).caller()) {
                let (theirs, own) = (bounds.callers[caller].arguments, bounds.callers[own].arguments);
                // A call that verifies nothing takes any result for its own, and its own is anybody's.
                breaks(Promise::Verified, theirs != own && theirs != 0 && own != 0);
            }
        }
        (Request::Complete(complete), Reply::Completed) => {
            let who = attempt(complete.attempt);
            // A repetition is answered as the first one was, and stores nothing.
            if seen.result.is_none() {
                seen.result = Some((who, wall + bounds.ttl));
            }
            seen.holder = None;
            seen.settled = None;
            seen.open &= !who.bit();
        }
        (Request::Complete(complete), Reply::LeaseLost { .. }) => {
            seen.open &= !attempt(complete.attempt).bit();
        }
        (Request::Release { attempt: id, .. }, _) => {
            let who = attempt(*id);
            seen.open &= !who.bit();
            if seen.holder.is_some_and(|(holder, _)| holder == who) {
                seen.holder = None;
            }
            if *after != live {
                seen.settled = Some((who, tick));
            }
            if let Some(caller) = who.caller() {
                let caller = &mut state.callers[caller];
                caller.returned |= Attempt::of(who.caller().unwrap_or(0), caller.number) == who;
            }
        }
        (Request::Renew { attempt: id, .. }, Reply::Renewed) => {
            seen.holder = Some((attempt(*id), lease(*after)));
        }
        (Request::Interrupt { attempt: id, .. }, Reply::Stopped) => {
            seen.holder = None;
            seen.settled = Some((attempt(*id), tick));
        }
        (Request::Reopen(_), Reply::Reopened) => seen.decided(),
        (Request::Resolve(_), Reply::Resolved) => {
            seen.decided();
            seen.result = Some((Attempt::NOBODY, wall + bounds.ttl));
        }
        (Request::Forget { .. }, Reply::Forgotten) => {
            seen.decided();
            seen.result = None;
            seen.strict = false;
        }
        _ => {}
    }
    if let Some((stored, _)) = seen.result {
        let kept = after.map(Kept::of);
        let still = kept.is_some_and(|kept| kept.state == RecordState::Done && kept.result == stored);
        breaks(Promise::I2, !still);
    }
    seen.settled = seen.settled.filter(|(_, at)| tick < at + bounds.lease);
    state.broken |= broken;
}

/// Notes what must not be so when a body begins.
pub(crate) fn at_the_body(state: &mut State, caller: usize, bounds: &Bounds) {
    let (tick, wall) = (state.now, state.wall());
    let Caller { token, number, grant, .. } = state.callers[caller];
    let who = Attempt::of(caller, number);
    let seen = &mut state.tokens[usize::from(token)].seen;
    let others = (seen.open | seen.unknown) & !who.bit();
    let mut broken = 0;
    let mut breaks = |promise: Promise, is: bool| broken |= if is { promise.bit() } else { 0 };
    breaks(Promise::I1, !seen.holder.is_some_and(|(holder, end)| holder == who && end > tick));
    breaks(Promise::I5, seen.result.is_some_and(|(_, expires)| expires > wall));
    // What counts is the policy under which the attempt was granted: a stricter call that comes after that is
    // refused, but does not stop it.
    breaks(Promise::I10, others != 0 && (seen.strict_then || bounds.callers[caller].strict));
    // A freed call that is made again with other arguments is another operation.
    let alike = bounds.callers.iter().all(|other| other.arguments == bounds.callers[caller].arguments);
    breaks(Promise::Generation, others != 0 && alike && seen.generation != grant.1);
    seen.open |= who.bit();
    seen.generation = grant.1;
    state.broken |= broken;
}

/// What must not be so where nothing can happen any more.
#[must_use]
pub(crate) fn at_rest(state: &State) -> u16 {
    let mut broken = 0;
    for (index, caller) in state.callers.iter().enumerate() {
        if !matches!(caller.phase, Phase::Idle | Phase::Over(_)) {
            broken |= Promise::I9.bit();
        }
        if caller.phase == Phase::Over(Outcome::GaveUp) {
            let who = Attempt::of(index, caller.number);
            let holds = |kept: &Kept| kept.state == RecordState::Running && kept.attempt == who;
            let held = |token: &crate::state::Token| {
                token.record.as_ref().is_some_and(holds) && token.seen.late != who
            };
            broken |= if state.tokens.iter().any(held) { Promise::I7.bit() } else { 0 };
        }
    }
    broken
}
