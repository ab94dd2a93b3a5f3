//! A state of the system, as small as it can be: records, callers, what is on its way, and what the promises
//! remember.

use idem_runtime::store::{AttemptId, State as RecordState};

use crate::kept::{FAR, Kept};
use crate::message::{Message, Net, Operation, Told};

/// How many callers there are.
pub const CALLERS: usize = 3;
/// How many tokens there are.
pub const TOKENS: usize = 2;

/// So many attempts a caller can make, all its calls together.
pub const ATTEMPTS: u8 = 4;

/// What the wall clock shows when the lease clock shows 0.
pub const EPOCH: u8 = 40;

/// An attempt: a caller and which of its attempts. 0 is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Attempt(pub u8);

impl Attempt {
    /// Nobody's: what a person has resolved.
    pub const NOBODY: Attempt = Attempt(0);

    /// Some attempt that nothing will ever be heard of again: which one it was makes no difference any more.
    pub const GONE: Attempt = Attempt(16);

    /// The caller's attempt of this number.
    #[must_use]
    pub fn of(caller: usize, number: u8) -> Self {
        Attempt(1 + u8::try_from(caller).unwrap_or(0) * ATTEMPTS + number)
    }

    /// Whose it is.
    #[must_use]
    pub fn caller(self) -> Option<usize> {
        let caller = self.0.checked_sub(1).map(|attempt| usize::from(attempt / ATTEMPTS));
        caller.filter(|caller| *caller < CALLERS)
    }

    /// As a member of a set of attempts.
    #[must_use]
    pub fn bit(self) -> u16 {
        self.0.checked_sub(1).map_or(0, |attempt| 1 << attempt)
    }

    /// As the library's own.
    #[must_use]
    pub fn id(self) -> AttemptId {
        AttemptId::from(u128::from(self.0))
    }

    /// The same attempt after the callers have changed places: `to` says where each one goes.
    pub(crate) fn moved(self, to: &[usize; CALLERS]) -> Self {
        match self.caller() {
            Some(caller) => Attempt::of(to[caller], (self.0 - 1) % ATTEMPTS),
            None => self,
        }
    }
}

/// The library's attempt as the model's.
#[must_use]
pub fn attempt(id: AttemptId) -> Attempt {
    Attempt(id.to_bytes()[15])
}

/// Where a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It has not called yet.
    Idle,
    /// A claim was sent, then.
    Claiming {
        /// When.
        sent: u8,
    },
    /// Another attempt runs.
    Waiting {
        /// It asks again then, if nothing wakes it before.
        wakes: u8,
    },
    /// The body runs.
    Body,
    /// The body ended, or did not begin, and the store is told so until it answers.
    Settling(Operation),
    /// The call is over.
    Over(Outcome),
}

/// What became of a call, as far as it makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Its body ended, it got a stored result, it was refused, or its process died.
    Ended,
    /// It gave its claim back before the body began.
    GaveUp,
}

/// A caller: a process of its own that makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// Where it is.
    pub phase: Phase,
    /// What it calls.
    pub token: u8,
    /// Which of its attempts this is.
    pub number: u8,
    /// How many calls it may still make.
    pub calls: u8,
    /// Another digest that it takes for its own.
    pub accept: u8,
    /// When it stops waiting; 0 as long as it has not waited.
    pub until: u8,
    /// The attempt's fence and generation.
    pub grant: (u8, u8),
    /// Whether the store has seen a release of this attempt.
    pub returned: bool,
    /// What became of its body: whether it ended, for the promises.
    pub began: bool,
}

/// What the promises remember of a token: what was said to callers, whatever the record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seen {
    /// Who holds the lease, and until when.
    pub holder: Option<(Attempt, u8)>,
    /// The last fence, and whose it is.
    pub fence: (u8, Attempt),
    /// Whose result was stored, and until when it counts.
    pub result: Option<(Attempt, u8)>,
    /// Whether a call of the present record was `reject`.
    pub strict: bool,
    /// Whether that was so already when the last attempt was granted.
    pub strict_then: bool,
    /// The attempts whose bodies began and of which the store was not told how they ended.
    pub open: u16,
    /// The attempts whose bodies began and did not end.
    pub unknown: u16,
    /// The generation of those.
    pub generation: u8,
    /// The last attempt that was given back or interrupted, and when.
    pub settled: Option<(Attempt, u8)>,
    /// An attempt that was granted after its own release.
    pub late: Attempt,
}

impl Seen {
    /// What was once asked for under `retry` is forgotten with its record.
    pub fn expired(&mut self) {
        if !self.strict {
            self.open = 0;
            self.unknown = 0;
        }
    }

    /// A body panicked or was dropped.
    pub fn broke_off(&mut self, attempt: Attempt) {
        self.unknown |= self.open & attempt.bit();
        self.open &= !attempt.bit();
    }

    /// A person has decided.
    pub fn decided(&mut self) {
        self.open = 0;
        self.unknown = 0;
        self.settled = None;
    }
}

/// One token: its record, the source of its fences, and what the promises remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Token {
    /// What the store holds.
    pub record: Option<Kept>,
    /// The last fence that was given; it outlives the record.
    pub fence: u8,
    /// What was said.
    pub seen: Seen,
}

/// A state of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// Ticks since the beginning: the clock that nobody sets.
    pub now: u8,
    /// How far the wall clock was set.
    pub set: i8,
    /// The tokens.
    pub tokens: [Token; TOKENS],
    /// The callers.
    pub callers: [Caller; CALLERS],
    /// What is on its way.
    pub net: Net,
    /// How many processes died.
    pub crashes: u8,
    /// How many messages were repeated.
    pub repeats: u8,
    /// How often a person has decided.
    pub decisions: u8,
    /// The promises that were broken, as bits.
    pub broken: u16,
}

impl State {
    /// What the wall clock shows.
    #[must_use]
    pub fn wall(&self) -> u8 {
        (EPOCH + self.now).saturating_add_signed(self.set)
    }

    /// Forgets what nothing depends on any more: the ends of leases that are over, moments beyond the end of the
    /// system, attempts that nothing will be heard of, and how large fences are.
    pub fn tidy(&mut self, end: u8) {
        let (now, wall, set) = (self.now, self.wall(), self.set != 0);
        let beyond = |expires: u8| if expires > EPOCH + end && expires < FAR { FAR } else { expires };
        for token in &mut self.tokens {
            if let Some(record) = &mut token.record {
                if record.lease <= now {
                    record.lease = 0;
                }
                let running = record.state == RecordState::Running && record.lease > now;
                if !set {
                    record.expires = beyond(record.expires);
                }
                if record.expires <= wall && !running && !set {
                    token.record = None;
                    token.seen.expired();
                }
            }
            token.seen.holder = token.seen.holder.filter(|(_, holds)| *holds > now);
            if let (Some((_, expires)), false) = (&mut token.seen.result, set) {
                *expires = beyond(*expires);
            }
        }
        for index in 0..CALLERS {
            for number in 0..ATTEMPTS {
                self.forget_attempt(index, number);
            }
        }
        for (index, caller) in self.callers.iter_mut().enumerate() {
            let heard = self.net.iter().any(|message| usize::from(message.caller) == index);
            if matches!(caller.phase, Phase::Over(_)) && !heard {
                let own = Attempt::of(index, caller.number);
                let held = |token: &Token| token.record.is_some_and(|record| record.attempt == own);
                if !self.tokens.iter().any(held) {
                    caller.phase = Phase::Over(Outcome::Ended);
                    caller.returned = false;
                    caller.number = if caller.calls == 0 { 0 } else { caller.number };
                }
            }
        }
        self.rank_fences();
    }

    /// Takes an attempt of which nothing will be heard any more for any such attempt.
    fn forget_attempt(&mut self, index: usize, number: u8) {
        let attempt = Attempt::of(index, number);
        let caller = &self.callers[index];
        let gave_up = caller.phase == Phase::Over(Outcome::GaveUp);
        let over = matches!(caller.phase, Phase::Over(_) | Phase::Idle);
        if (caller.number == number && !over) || self.net.iter().any(|message| message.attempt == attempt) {
            return;
        }
        let gone = |of: &mut Attempt| {
            if *of == attempt {
                *of = Attempt::GONE;
            }
        };
        for token in &mut self.tokens {
            let seen = &mut token.seen;
            if let Some(record) = &mut token.record {
                // A call that gave up must not be found to hold anything at the end.
                let looked_at = gave_up && caller.number == number && record.state == RecordState::Running;
                if !looked_at || seen.late == attempt {
                    gone(&mut record.attempt);
                }
            }
            if seen.late == attempt {
                seen.late = Attempt::NOBODY;
            }
            if let Some((holder, _)) = &mut seen.holder {
                gone(holder);
            }
            gone(&mut seen.fence.1);
            seen.settled = seen.settled.filter(|(settled, _)| *settled != attempt);
            for set in [&mut seen.open, &mut seen.unknown] {
                if *set & attempt.bit() != 0 {
                    *set = (*set & !attempt.bit()) | Attempt::GONE.bit();
                }
            }
        }
    }

    /// Fences are only compared: the smallest one of a token becomes 1, the next one 2.
    fn rank_fences(&mut self) {
        for index in 0..TOKENS {
            let mut used = [false; 64];
            self.each_fence(index, |fence| used[usize::from(*fence).min(63)] = true);
            used[0] = false;
            let mut ranks = [0; 64];
            let mut rank = 0;
            for (used, place) in used.iter().zip(&mut ranks) {
                if *used {
                    rank += 1;
                    *place = rank;
                }
            }
            self.each_fence(index, |fence| *fence = ranks[usize::from(*fence).min(63)]);
        }
    }

    fn each_fence(&mut self, index: usize, mut f: impl FnMut(&mut u8)) {
        let token = &mut self.tokens[index];
        f(&mut token.fence);
        f(&mut token.seen.fence.0);
        f(&mut token.seen.generation);
        if let Some(record) = &mut token.record {
            f(&mut record.fence);
            f(&mut record.generation);
        }
        for caller in self.callers.iter_mut().filter(|caller| usize::from(caller.token) == index) {
            f(&mut caller.grant.0);
            f(&mut caller.grant.1);
        }
        self.net.change(|mut message| {
            match &mut message.told {
                _ if usize::from(message.token) != index => {}
                Told::Claimed { fence, generation } => {
                    f(fence);
                    f(generation);
                }
                _ if message.operation == Operation::Complete => {
                    f(&mut message.carried.0);
                    f(&mut message.carried.1);
                }
                _ => {}
            }
            Some(message)
        });
    }

    /// The same state with the callers and the tokens at other places: `to` and `tokens` say where each goes.
    #[must_use]
    pub fn moved(&self, to: &[usize; CALLERS], swap: bool) -> State {
        let token = |token: u8| if swap { 1 - token } else { token };
        let mut state = *self;
        for (index, caller) in self.callers.iter().enumerate() {
            let calls = !matches!(caller.phase, Phase::Idle | Phase::Over(_));
            state.callers[to[index]] =
                Caller { token: if calls { token(caller.token) } else { 0 }, ..*caller };
        }
        if swap {
            state.tokens.swap(0, 1);
        }
        for token in &mut state.tokens {
            if let Some(record) = &mut token.record {
                record.attempt = record.attempt.moved(to);
                record.result = record.result.moved(to);
            }
            let seen = &mut token.seen;
            for (attempt, _) in [&mut seen.holder, &mut seen.result, &mut seen.settled].into_iter().flatten()
            {
                *attempt = attempt.moved(to);
            }
            seen.fence.1 = seen.fence.1.moved(to);
            seen.late = seen.late.moved(to);
            for set in [&mut seen.open, &mut seen.unknown] {
                let before = *set;
                *set = before & Attempt::GONE.bit();
                for (caller, to) in to.iter().enumerate() {
                    let attempts = (before >> (caller * usize::from(ATTEMPTS))) & ((1 << ATTEMPTS) - 1);
                    *set |= attempts << (to * usize::from(ATTEMPTS));
                }
            }
        }
        state.net.change(|message| {
            let caller = u8::try_from(to[usize::from(message.caller)]).unwrap_or(0);
            let (attempt, token) = (message.attempt.moved(to), token(message.token));
            Some(Message { caller, attempt, token, ..message })
        });
        state
    }
}
