//! What callers were answered lately: kept in memory, for the page. A fixed number of counters for each namespace.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use idem::Text;

use crate::answer::Answer;

/// How long one bar of the plot is.
pub(crate) const STEP: Duration = Duration::from_secs(10);
/// How many there are: half an hour.
pub(crate) const STEPS: usize = 180;

/// What a caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Run the body, or: it is recorded.
    First,
    /// The result of the first call.
    Replay,
    /// No: it runs, its outcome is unknown, its arguments differ, or it is not to be submitted again.
    Refusal,
}

impl Told {
    /// What an answer to an operation has told, if it is one to a call.
    pub(crate) fn of(operation: &str, answer: &Answer) -> Option<Self> {
        if !matches!(operation, "claim" | "submit") {
            return None;
        }
        match answer.outcome {
            "claimed" | "completed" => Some(Told::First),
            "done" if answer.object.has("message") => Some(Told::Refusal),
            "done" => Some(Told::Replay),
            "running" | "interrupted" | "mismatch" => Some(Told::Refusal),
            _ => None,
        }
    }
}

/// How many callers were told what, in the order of [`Told`].
pub(crate) type Counts = [u64; 3];

/// What was counted.
pub(crate) struct History {
    began: Instant,
    namespaces: Mutex<HashMap<Text, Counted>>,
}

struct Counted {
    all: Counts,
    /// Which step each place holds, and its counts.
    steps: Box<[(u64, Counts)]>,
}

impl History {
    pub(crate) fn new() -> Self {
        History { began: Instant::now(), namespaces: Mutex::default() }
    }

    fn step(&self) -> u64 {
        // Counted from 1, so that a place that was never used is older than everything.
        self.began.elapsed().as_secs() / STEP.as_secs() + 1
    }

    pub(crate) fn count(&self, namespace: &Text, told: Told) {
        self.count_at(namespace, told, self.step());
    }

    fn count_at(&self, namespace: &Text, told: Told, step: u64) {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Counted { all: Counts::default(), steps: vec![(0, Counts::default()); STEPS].into() };
        let counted = match namespaces.get_mut(namespace) {
            Some(counted) => counted,
            None => namespaces.entry(namespace.clone()).or_insert_with(new),
        };
        let place = &mut counted.steps[(step % STEPS as u64) as usize];
        if place.0 != step {
            *place = (step, Counts::default());
        }
        place.1[told as usize] += 1;
        counted.all[told as usize] += 1;
    }

    /// What was counted since the device was started, and in each step of the last half hour, the oldest one first.
    pub(crate) fn look(&self, namespace: &Text) -> (Counts, Vec<Counts>) {
        self.look_at(namespace, self.step())
    }

    fn look_at(&self, namespace: &Text, now: u64) -> (Counts, Vec<Counts>) {
        let namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counted) = namespaces.get(namespace) else {
            return (Counts::default(), vec![Counts::default(); STEPS]);
        };
        let of = |step: u64| match counted.steps[(step % STEPS as u64) as usize] {
            (held, counts) if held == step => counts,
            _ => Counts::default(),
        };
        let steps = (0..STEPS as u64).rev().map(|back| now.checked_sub(back).map_or(Counts::default(), of));
        (counted.all, steps.collect())
    }

    /// Forgets the namespaces that have no key any more.
    pub(crate) fn keep(&self, has: impl Fn(&str) -> bool) {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.retain(|namespace, _| has(namespace));
    }
}

#[cfg(test)]
mod tests {
    use idem::Text;

    use super::{History, STEPS, Told};

    #[test]
    fn each_step_is_counted_and_old_ones_are_gone() {
        let history = History::new();
        let (shop, bank) = (Text::from("shop"), Text::from("bank"));
        history.count_at(&shop, Told::First, 1);
        history.count_at(&shop, Told::Replay, 2);
        history.count_at(&shop, Told::Replay, 2);
        let (all, steps) = history.look_at(&shop, 2);
        assert_eq!((all, steps.len()), ([1, 2, 0], STEPS));
        assert_eq!((steps[STEPS - 2], steps[STEPS - 1]), ([1, 0, 0], [0, 2, 0]));
        assert_eq!(steps[..STEPS - 2].iter().flatten().sum::<u64>(), 0);

        // A place that is used again, and one that is not.
        let last = STEPS as u64;
        history.count_at(&shop, Told::Refusal, last + 1);
        let (all, steps) = history.look_at(&shop, last + 2);
        assert_eq!((all, steps[STEPS - 2], steps[STEPS - 1]), ([1, 2, 1], [0, 0, 1], [0, 0, 0]));
        assert_eq!(steps.iter().flatten().sum::<u64>(), 1);

        assert_eq!(history.look_at(&bank, 2).0, [0, 0, 0]);
        history.keep(|namespace| namespace == "bank");
        assert_eq!(history.look_at(&shop, 2).0, [0, 0, 0]);
    }
}
