//! What happened to one token, put in order.

use std::collections::{BTreeMap, HashMap};

use super::Allowance;
use crate::conformance::history::event::{End, Event, Given, Micros, Moment, Op, Said, What};

/// How long a process lived, and when it stood still.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    pub(super) killed: Option<u64>,
    pub(super) finished: Option<u64>,
    /// Its last sign of life.
    pub(super) last: u64,
    stops: Vec<(u64, u64)>,
}

impl Life {
    pub(super) fn all(events: &[Event]) -> BTreeMap<u32, Life> {
        let mut lives: BTreeMap<u32, Life> = BTreeMap::new();
        let mut in_order: Vec<&Event> = events.iter().collect();
        in_order.sort_by_key(|event| event.at.boot);
        for event in in_order {
            let life = lives.entry(event.process).or_default();
            let at = event.at.boot;
            match event.what {
                What::Killed => life.killed = Some(at),
                What::Stopped => life.stops.push((at, u64::MAX)),
                What::Continued => {
                    if let Some(stop) = life.stops.last_mut() {
                        stop.1 = at;
                    }
                }
                What::Finished => {
                    life.finished = Some(at);
                    life.last = at;
                }
                _ => life.last = life.last.max(at),
            }
        }
        lives
    }

    /// Whether somebody stopped it between these moments.
    pub(super) fn stood_still(&self, from: u64, to: u64) -> bool {
        self.stops.iter().any(|(began, ended)| *began <= to && *ended >= from)
    }

    /// How long somebody had stopped it between these moments.
    pub(super) fn stopped_for(&self, from: u64, to: u64) -> Micros {
        let overlap = |(began, ended): &(u64, u64)| (*ended).min(to).saturating_sub((*began).max(from));
        self.stops.iter().map(overlap).sum()
    }
}

/// One request to the store.
#[derive(Debug, Clone)]
pub(super) struct Operation<'a> {
    pub(super) process: u32,
    pub(super) op: &'a Op,
    pub(super) sent: Moment,
    pub(super) reply: Option<(Moment, &'a Said)>,
    /// Until when it may have been carried out; nothing if it was not.
    pub(super) until: Option<u64>,
}

impl<'a> Operation<'a> {
    /// Whether it may have been carried out between these moments.
    pub(super) fn may_be(&self, from: u64, to: u64) -> bool {
        self.sent.boot <= to && self.until.is_some_and(|until| until >= from)
    }

    /// What the store answered, and when the answer was there: nothing if it is not known.
    pub(super) fn said(&self) -> Option<(Moment, &'a Said)> {
        self.reply.filter(|(_, said)| !matches!(said, Said::Lost | Said::Failed))
    }

    /// When it had been answered so.
    pub(super) fn said_so(&self, so: impl Fn(&Said) -> bool) -> Option<Moment> {
        self.said().filter(|(_, said)| so(said)).map(|(at, _)| at)
    }

    /// Whether it is a claim that was granted, or of which nobody knows.
    pub(super) fn may_grant(&self) -> bool {
        matches!(self.op, Op::Claim { .. })
            && self.until.is_some()
            && self.said().is_none_or(|(_, said)| matches!(said, Said::Claimed { .. }))
    }
}

/// An attempt that the store has let run.
#[derive(Debug)]
pub(super) struct Grant<'a> {
    pub(super) attempt: &'a str,
    pub(super) fence: u64,
    pub(super) generation: u64,
    pub(super) number: u32,
    /// Before that it was not granted.
    pub(super) from: Moment,
    /// By then it was.
    pub(super) to: Moment,
    pub(super) ttl: Micros,
    pub(super) reject: bool,
    /// Of the claims that were answered with this grant: when sent, when answered, and the lease.
    pub(super) claims: Vec<(Moment, Moment, Micros)>,
}

/// One call of the library.
#[derive(Debug, Default)]
pub(super) struct Call<'a> {
    pub(super) called: Option<(Moment, &'a What)>,
    pub(super) began: Option<(Moment, &'a What)>,
    pub(super) ended: Option<(Moment, &'a End)>,
    pub(super) answered: Option<(Moment, &'a Given, bool)>,
    pub(super) left: bool,
    /// The attempt of its body.
    pub(super) attempt: Option<&'a str>,
}

#[derive(Debug)]
pub(super) struct Story<'a> {
    /// In the order in which they were sent.
    pub(super) operations: Vec<Operation<'a>>,
    /// In the order of their fences.
    pub(super) grants: Vec<Grant<'a>>,
    pub(super) calls: BTreeMap<(u32, u64), Call<'a>>,
    /// Every body that began.
    pub(super) bodies: Vec<(u32, Moment, &'a What)>,
    pub(super) lives: &'a BTreeMap<u32, Life>,
    pub(super) allowance: Allowance,
}

impl<'a> Story<'a> {
    pub(super) fn new(events: &[&'a Event], lives: &'a BTreeMap<u32, Life>, allowance: Allowance) -> Self {
        let mut story = Story {
            operations: Vec::new(),
            grants: Vec::new(),
            calls: BTreeMap::new(),
            bodies: Vec::new(),
            lives,
            allowance,
        };
        story.read(events);
        story.find_grants();
        story
    }

    fn read(&mut self, events: &[&'a Event]) {
        let mut asked: HashMap<(u32, u64), usize> = HashMap::new();
        for Event { at, process, what, .. } in events.iter().copied() {
            let calls = &mut self.calls;
            let mut call = |number: u64, with: &dyn Fn(&mut Call<'a>)| {
                with(calls.entry((*process, number)).or_default())
            };
            match what {
                What::Asked { ask, op } => {
                    asked.insert((*process, *ask), self.operations.len());
                    let until = Some(self.unanswered(*process));
                    let operation = Operation { process: *process, op, sent: *at, reply: None, until };
                    self.operations.push(operation);
                }
                What::Replied { ask, reply } => {
                    if let Some(index) = asked.get(&(*process, *ask)) {
                        let operation = &mut self.operations[*index];
                        operation.reply = Some((*at, reply));
                        operation.until = match reply {
                            Said::Failed => None,
                            Said::Lost => Some(at.boot.saturating_add(self.allowance.late)),
                            _ => Some(at.boot),
                        };
                    }
                }
                What::Called { call: number, .. } => call(*number, &|call| call.called = Some((*at, what))),
                What::Began { call: number, attempt, .. } => {
                    call(*number, &|call| {
                        call.began = Some((*at, what));
                        call.attempt = Some(attempt);
                    });
                    self.bodies.push((*process, *at, what));
                }
                What::Ended { call: number, end, .. } => call(*number, &|call| call.ended = Some((*at, end))),
                What::Answered { call: number, answer, recorded } => {
                    call(*number, &|call| call.answered = Some((*at, answer, *recorded)));
                }
                What::Left { call: number } => call(*number, &|call| call.left = true),
                _ => {}
            }
        }
    }

    /// Until when a request that was not answered may have been carried out.
    fn unanswered(&self, process: u32) -> u64 {
        let life = self.lives.get(&process);
        let end = life.and_then(|life| life.killed.or(life.finished));
        end.map_or(u64::MAX, |end| end.saturating_add(self.allowance.late))
    }

    fn find_grants(&mut self) {
        let mut grants: BTreeMap<(u64, &str), Grant<'a>> = BTreeMap::new();
        for operation in &self.operations {
            let (Op::Claim { attempt, lease, ttl, reject, .. }, Some((at, said))) =
                (operation.op, operation.said())
            else {
                continue;
            };
            let Said::Claimed { fence, generation, number } = said else { continue };
            let grant = grants.entry((*fence, attempt)).or_insert_with(|| Grant {
                attempt,
                fence: *fence,
                generation: *generation,
                number: *number,
                from: operation.sent,
                to: at,
                ttl: *ttl,
                reject: *reject,
                claims: Vec::new(),
            });
            grant.claims.push((operation.sent, at, *lease));
            if at.boot < grant.to.boot {
                grant.to = at;
            }
        }
        for grant in grants.values_mut() {
            // It may have been an earlier claim, whose answer was lost, that was granted.
            let mine = self.operations.iter().filter(|one| one.op.attempt() == Some(grant.attempt));
            let mut claims = mine.filter(|one| matches!(one.op, Op::Claim { .. }) && one.until.is_some());
            if let Some(first) = claims.next() {
                if first.sent.boot < grant.from.boot {
                    grant.from = first.sent;
                }
            }
        }
        self.grants = grants.into_values().collect();
    }

    pub(super) fn of<'s>(&'s self, attempt: &'s str) -> impl Iterator<Item = &'s Operation<'a>> {
        self.operations.iter().filter(move |one| one.op.attempt() == Some(attempt))
    }

    /// Whether the attempt may have ended before this moment: by its own complete, release or interrupt.
    pub(super) fn may_have_ended(&self, attempt: &str, before: u64) -> bool {
        self.of(attempt).any(|one| one.op.is_end() && one.may_be(0, before))
    }

    /// Whether a person may have decided between these moments.
    pub(super) fn person(&self, from: u64, to: u64) -> bool {
        self.operations.iter().any(|one| one.op.is_a_persons() && one.may_be(from, to))
    }

    /// How many fences this attempt was given: more than one only if a claim of it came late.
    pub(super) fn times_granted(&self, attempt: &str) -> usize {
        self.grants.iter().filter(|grant| grant.attempt == attempt).count()
    }
}

impl Op {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Op::Complete { .. } | Op::Release { .. } | Op::Interrupt { .. })
    }

    pub(super) fn is_a_persons(&self) -> bool {
        matches!(self, Op::Forget | Op::Reopen { .. } | Op::Resolve { .. })
    }
}
