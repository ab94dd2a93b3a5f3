//! What a run has found.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{Broken, Counts};
use super::event::Event;
use crate::Text;

/// What a run did, and every promise that it saw broken.
#[derive(Debug, Clone)]
pub struct Report {
    pub(super) store: Text,
    pub(super) seed: u64,
    pub(super) took: Duration,
    pub(super) counts: Counts,
    pub(super) violations: Vec<Violation>,
    pub(super) troubles: Vec<String>,
    pub(super) folder: Option<PathBuf>,
}

/// A promise that was not kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Violation {
    /// Which one: `I1` and so on, as the guide numbers them.
    pub promise: &'static str,
    /// The token's first 16 digits.
    pub token: String,
    /// What was seen.
    pub what: String,
    /// Everything that happened to that token, in order.
    pub events: Vec<String>,
}

/// So many violations are printed with all their events.
const MOST: usize = 5;

impl Report {
    /// The promises that were not kept.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How often something happened, by its name in the printed report: `"kills"`, `"lost answers"`, `"bodies"`…
    #[must_use]
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name)
    }

    /// How long the run took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Whether every promise was kept, and the run did what it was told to.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.violations.is_empty() && self.troubles.is_empty()
    }

    /// Panics unless every promise was kept and the run did what it was told to.
    ///
    /// # Panics
    /// If not: with this report.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.passed(), "{self}");
    }
}

impl Violation {
    pub(super) fn new(broken: Broken, events: &[Event]) -> Violation {
        let mut mine: Vec<&Event> = events.iter().filter(|event| event.token == broken.token).collect();
        mine.sort_by_key(|event| event.at.boot);
        let lines = mine.iter().map(|event| {
            let what = serde_json::to_string(&event.what).expect("an event is plain data");
            format!("{} p{} {what}", event.at.boot, event.process)
        });
        Violation { promise: broken.promise, what: broken.what, events: lines.collect(), token: broken.token }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.took.as_secs_f64();
        writeln!(f, "history of {}, seed {}, {secs:.1} s:", self.store, self.seed)?;
        for (name, count) in &self.counts.0 {
            writeln!(f, "  {count:>8} {name}")?;
        }
        for trouble in &self.troubles {
            writeln!(f, "  FAILED: {trouble}")?;
        }
        for violation in self.violations.iter().take(MOST) {
            writeln!(
                f,
                "\n  VIOLATED {} by token {}: {}",
                violation.promise, violation.token, violation.what
            )?;
            for event in &violation.events {
                writeln!(f, "    {event}")?;
            }
        }
        if self.violations.len() > MOST {
            writeln!(f, "\n  and {} more", self.violations.len() - MOST)?;
        }
        if let Some(folder) = &self.folder {
            writeln!(f, "  the ledger is in {}", folder.display())?;
        }
        write!(f, "{} violations", self.violations.len())
    }
}
