//! The promises, checked from what was written down: pure functions over events.
//!
//! Nothing here knows at which moment the store carried a request out, only that it was between the moment at which
//! it was sent and the one at which the answer came; where no answer came, it may have been later, or not at all. A
//! violation is reported only if no order of these moments would keep the promise.

mod callers;
mod grants;
mod policy;
mod results;
mod story;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::story::{Life, Story};
use super::event::{Event, Micros, What};

/// What the checks allow for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// What clocks may be wrong by.
    pub(super) tolerance: Micros,
    /// How long after its process was killed, or its answer was lost, a request may still reach the store.
    pub(super) late: Micros,
    /// How long a thread may stand still without anybody having stopped it.
    pub(super) pause: Micros,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance { tolerance: 10_000, late: 5_000_000, pause: 2_000_000 }
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) promise: &'static str,
    pub(super) token: String,
    pub(super) what: String,
}

/// Checks every promise on every token.
pub(super) fn check(events: &[Event], allowance: Allowance) -> Vec<Broken> {
    let mut by_token: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| !event.token.is_empty()) {
        by_token.entry(&event.token).or_default().push(event);
    }
    let lives = Life::all(events);
    let mut broken = Vec::new();
    for (token, mut events) in by_token {
        events.sort_by_key(|event| event.at.boot);
        let story = Story::new(&events, &lives, allowance);
        for rule in RULES {
            // One of a kind is enough to look at; others follow from it.
            if let Err(Violation { promise, what }) = rule(&story) {
                broken.push(Broken { promise, token: token.to_owned(), what });
            }
        }
    }
    broken
}

struct Violation {
    promise: &'static str,
    what: String,
}

type Kept = Result<(), Violation>;

fn violated(promise: &'static str, what: String) -> Kept {
    Err(Violation { promise, what })
}

const RULES: &[fn(&Story<'_>) -> Kept] = &[
    grants::held,
    grants::fences_grow,
    grants::replaced_changes_nothing,
    grants::late_claim,
    grants::given_back,
    results::kept,
    results::known,
    policy::unknown_is_not_repeated,
    policy::attempts_used_up,
    policy::running_has_a_holder,
    policy::interrupted_has_a_reason,
    callers::answered_in_time,
    callers::bodies_are_granted,
    callers::answered_with_the_result,
];

/// How often each thing happened, so that a run which proves little is seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts(pub(super) BTreeMap<&'static str, u64>);

impl Counts {
    pub(super) fn add(&mut self, event: &Event) {
        use super::event::{End, Given, Op, Said};
        let name = match &event.what {
            What::Started => "processes",
            What::Killed => "kills",
            What::Disturbed { .. } => "disturbances",
            What::Fault { fault, .. } if fault == "lost" => "lost answers",
            What::Fault { .. } => "other faults",
            What::Called { .. } => "calls",
            What::Left { .. } => "callers that went away",
            What::Began { number, .. } => {
                if *number > 1 {
                    *self.0.entry("bodies run again").or_default() += 1;
                }
                "bodies"
            }
            What::Ended { end: End::Panicked, .. } => "panics",
            What::Ended { end: End::Dropped, .. } => "bodies dropped",
            What::Answered { answer, .. } => match answer {
                Given::Ok(_) | Given::Err(_) => "answered with a result",
                Given::Running => "answered `running`",
                Given::Interrupted => "answered `interrupted`",
                Given::Mismatch => "answered `mismatch`",
                Given::Duplicate => "answered `duplicate`",
                Given::Store => "answered `store error`",
                Given::Panic | Given::Wrong(_) => return,
            },
            What::Asked { op: Op::Forget | Op::Reopen { .. } | Op::Resolve { .. }, .. } => {
                "decisions of a person"
            }
            What::Replied { reply: Said::LeaseLost { .. }, .. } => "leases lost",
            What::Replied { reply: Said::Done { .. }, .. } => "duplicates of done records",
            // From a store, not from the faults put before it.
            What::Replied { reply: Said::Lost, .. } => "lost answers",
            _ => return,
        };
        *self.0.entry(name).or_default() += 1;
    }

    pub(super) fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}
