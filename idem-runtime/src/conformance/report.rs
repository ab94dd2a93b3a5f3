//! What the suite found.

use std::fmt;
use std::time::Duration;

use crate::Text;

/// What the suite found on a store.
#[derive(Debug, Clone)]
pub struct Report {
    pub(super) store: Text,
    pub(super) results: Vec<Checked>,
}

/// One thing that was checked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checked {
    /// The check's name.
    pub name: &'static str,
    /// What the protocol says.
    pub rule: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The store does what the protocol says.
    Passed,
    /// It does not: what was expected and what was found.
    Failed(String),
    /// It was left out, for this reason.
    Skipped(String),
}

impl Report {
    /// The store's URL without a password.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.store
    }

    /// What was checked, in order.
    #[must_use]
    pub fn results(&self) -> &[Checked] {
        &self.results
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Checked> {
        self.results.iter().filter(|checked| matches!(checked.verdict, Verdict::Failed(_)))
    }

    /// Panics if something failed.
    ///
    /// # Panics
    /// If something failed: with this report.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.passed(), "{self}");
    }

    fn count(&self, of: fn(&Verdict) -> bool) -> usize {
        self.results.iter().filter(|checked| of(&checked.verdict)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "conformance of {}:", self.store)?;
        for checked in &self.results {
            let took = checked.took.as_millis();
            match &checked.verdict {
                Verdict::Passed => writeln!(f, "  passed   {} ({took} ms)", checked.name)?,
                Verdict::Skipped(reason) => writeln!(f, "  skipped  {}: {reason}", checked.name)?,
                Verdict::Failed(failure) => {
                    writeln!(f, "  FAILED   {}", checked.name)?;
                    writeln!(f, "           the protocol: {}", checked.rule)?;
                    writeln!(f, "           the store: {failure}")?;
                }
            }
        }
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.count(|verdict| *verdict == Verdict::Passed),
            self.count(|verdict| matches!(verdict, Verdict::Failed(_))),
            self.count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        )
    }
}
