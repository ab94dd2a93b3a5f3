//! A suite for people who write a store: it asks the store what the protocol says and looks at the answers.
//!
//! ```
//! use idem_runtime::conformance;
//! use idem_runtime::store::MemoryStore;
//!
//! conformance::run(MemoryStore::new);
//! ```
//!
//! That is the one line for a test of your own; for a store that is connected to, `block_on` in the closure.
//! [`run`] panics with every failure there is; each says which row of the protocol it is about, what was expected
//! and what was found. What belongs to a store's circumstances is set on a [`Suite`].
//!
//! What it cannot show is what happens when processes die: for that there is [`history`].
//!
//! The suite sees the store from outside only: it sends requests and waits, by the real clock, for short leases to
//! be over and short-lived records to expire. It works on a store that others use: its tokens are new ones, and it
//! removes its records when it is done with them.

mod claim;
mod complete;
mod driver;
mod fence;
pub mod history;
mod person;
mod race;
mod read;
mod refuse;
mod report;
mod settle;
mod several;
mod value;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::driver::{Bench, Outcome};
pub use self::report::{Checked, Report, Verdict};
use crate::Text;
use crate::store::{Handle, Store};

/// Runs every check on the store that `make` gives.
///
/// # Panics
/// If a check fails: with the whole [`Report`].
pub fn run<S: Store>(make: impl Fn() -> S) -> Report {
    let report = Suite::new().run(make);
    report.assert();
    report
}

/// The suite, and the circumstances of a store.
///
/// ```
/// use idem_runtime::conformance::Suite;
/// use idem_runtime::store::MemoryStore;
/// use std::time::Duration;
///
/// let store = MemoryStore::new();
/// let report = Suite::new()
///     .unit(Duration::from_millis(60))
///     .shared()
///     .skip("race-takeover", "one process only")
///     .run(|| store.clone());
/// report.assert();
/// ```
#[derive(Clone)]
#[must_use]
pub struct Suite {
    unit: Duration,
    patience: Duration,
    threads: usize,
    rounds: usize,
    shared: bool,
    elsewhere: Option<Arc<dyn Fn() -> Handle + Send + Sync>>,
    only: Option<String>,
    skipped: Vec<(String, String)>,
}

/// One thing that is checked.
struct Check {
    name: &'static str,
    /// What the protocol says.
    rule: &'static str,
    run: fn(&Bench) -> Outcome,
}

impl Default for Suite {
    fn default() -> Self {
        Suite {
            unit: Duration::from_millis(100),
            patience: Duration::from_secs(20),
            threads: 8,
            rounds: 40,
            shared: false,
            elsewhere: None,
            only: None,
            skipped: Vec::new(),
        }
    }
}

impl Suite {
    /// The whole suite, for a store of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the leases and records live that are waited for: 100 ms unless it is set. On a slow store it is to
    /// be longer than a few requests take.
    pub fn unit(mut self, unit: Duration) -> Self {
        self.unit = unit;
        self
    }

    /// How long a check waits for what has to come: 20 s unless it is set.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many threads a race has, and how many times it is run: 8 and 40 unless it is set.
    pub fn races(mut self, threads: usize, rounds: usize) -> Self {
        (self.threads, self.rounds) = (threads.max(2), rounds);
        self
    }

    /// What `make` gives is each time another way to the same records, as another process would have one: then
    /// that is checked, too.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Gives another namespace of the same store, from which nothing of the first may be seen.
    pub fn elsewhere<S: Store>(mut self, make: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.elsewhere = Some(Arc::new(move || Handle::from(Arc::new(make()))));
        self
    }

    /// Runs only the checks whose names begin so.
    pub fn only(mut self, prefix: impl Into<String>) -> Self {
        self.only = Some(prefix.into());
        self
    }

    /// Leaves out the checks whose names begin so, for a reason that the report repeats: what a store's class
    /// cannot do.
    pub fn skip(mut self, prefix: impl Into<String>, reason: impl Into<String>) -> Self {
        self.skipped.push((prefix.into(), reason.into()));
        self
    }

    /// Runs the checks on the store that `make` gives, one after the other.
    #[must_use = "it says what failed"]
    pub fn run<S: Store>(&self, make: impl Fn() -> S) -> Report {
        let make = || Handle::from(Arc::new(make()));
        let store = make();
        let second = self.shared.then(make);
        let third = self.elsewhere.as_ref().map(|make| make());
        let mut results = Vec::new();
        for check in checks() {
            if self.only.as_ref().is_some_and(|prefix| !check.name.starts_with(prefix.as_str())) {
                continue;
            }
            let began = Instant::now();
            let verdict = match self.why_not(check) {
                Some(reason) => Verdict::Skipped(reason),
                None => {
                    let bench = Bench {
                        store: store.clone(),
                        second: second.clone(),
                        elsewhere: third.clone(),
                        unit: self.unit,
                        patience: self.patience,
                        threads: self.threads,
                        rounds: self.rounds,
                        name: check.name,
                    };
                    // Honest: nothing that the panic may have broken is looked at again.
                    match catch_unwind(AssertUnwindSafe(|| (check.run)(&bench))) {
                        Ok(Ok(())) => Verdict::Passed,
                        Ok(Err(failure)) => Verdict::Failed(failure.to_string()),
                        Err(panic) => Verdict::Failed(format!("the store panicked: {}", said(&*panic))),
                    }
                }
            };
            results.push(Checked { name: check.name, rule: check.rule, verdict, took: began.elapsed() });
        }
        Report { store: store.profile().name.clone(), results }
    }

    fn why_not(&self, check: &Check) -> Option<String> {
        let told = self.skipped.iter().find(|(prefix, _)| check.name.starts_with(prefix.as_str()));
        if let Some((_, reason)) = told {
            return Some(reason.clone());
        }
        if check.name.starts_with(several::SHARED) && !self.shared {
            return Some("the suite was given one way to the records (`Suite::shared`)".to_owned());
        }
        if check.name.starts_with(several::NAMESPACE) && self.elsewhere.is_none() {
            return Some("the suite was given one namespace (`Suite::elsewhere`)".to_owned());
        }
        None
    }
}

fn checks() -> impl Iterator<Item = &'static Check> {
    [
        claim::CHECKS,
        refuse::CHECKS,
        complete::CHECKS,
        settle::CHECKS,
        person::CHECKS,
        read::CHECKS,
        watch::CHECKS,
        fence::CHECKS,
        value::CHECKS,
        race::CHECKS,
        several::CHECKS,
    ]
    .into_iter()
    .flatten()
}

fn said(panic: &(dyn std::any::Any + Send)) -> Text {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        Text::from(*text)
    } else if let Some(text) = panic.downcast_ref::<String>() {
        Text::from(text.clone())
    } else {
        Text::from("(no message)")
    }
}
