//! What became of the deliveries: a line while they are handled, a table in the end.

use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use idem::{Error, Happened, Observed};

use crate::ledger::Charge;
use crate::shop::{ChargeError, Receipt};

/// What became of one delivery.
#[derive(Debug)]
pub enum Fate {
    Executed,
    Replayed {
        waited: bool,
    },
    Refused(&'static str),
    /// Why, and what was said, if it is not what the data asks for.
    Failed(&'static str, Option<String>),
}

impl Fate {
    pub fn of(result: Result<Receipt, ChargeError>, seen: Option<Observed>) -> Self {
        match result {
            Ok(_) => match seen {
                Some(seen) if seen.happened == Happened::Replayed => Fate::Replayed { waited: seen.waited },
                _ => Fate::Executed,
            },
            Err(ChargeError::Busy) => Fate::Failed("the payment provider was busy", None),
            Err(ChargeError::Unknown(error)) => {
                Fate::Failed("the payment provider did not say what it did", Some(error.to_string()))
            }
            Err(ChargeError::Refused(error)) => match error {
                Error::Mismatch { .. } => Fate::Refused("Mismatch: this event, with another order or amount"),
                Error::Interrupted { .. } => {
                    Fate::Refused("Interrupted: nobody knows whether it was charged")
                }
                Error::Running { .. } => Fate::Refused("Running: the first call still runs"),
                error => Fate::Failed("the call could not be made", Some(error.to_string())),
            },
        }
    }
}

/// The counts, and the line that shows them while they grow.
pub struct Report {
    deliveries: usize,
    done: usize,
    executed: usize,
    replayed: usize,
    waited: usize,
    refused: BTreeMap<&'static str, usize>,
    failed: BTreeMap<&'static str, usize>,
    trouble: Option<String>,
    took: Duration,
    terminal: bool,
    shown: Instant,
}

impl Report {
    pub fn new(deliveries: usize) -> Self {
        Report {
            deliveries,
            done: 0,
            executed: 0,
            replayed: 0,
            waited: 0,
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            trouble: None,
            took: Duration::ZERO,
            terminal: std::io::stderr().is_terminal(),
            shown: Instant::now(),
        }
    }

    pub fn add(&mut self, fate: Fate) {
        self.done += 1;
        match fate {
            Fate::Executed => self.executed += 1,
            Fate::Replayed { waited } => {
                self.replayed += 1;
                self.waited += usize::from(waited);
            }
            Fate::Refused(why) => *self.refused.entry(why).or_default() += 1,
            Fate::Failed(why, trouble) => {
                *self.failed.entry(why).or_default() += 1;
                self.trouble = self.trouble.take().or(trouble);
            }
        }
        self.show();
    }

    /// On a terminal one line that changes, else a line now and then.
    fn show(&mut self) {
        let last = self.done == self.deliveries;
        let line = || format!("{} of {}: {}", self.done, self.deliveries, self.summary());
        if self.terminal {
            if last || self.shown.elapsed() >= Duration::from_millis(50) {
                eprint!("\r\x1b[K{}{}", line(), if last { "\n" } else { "" });
                let _ = std::io::stderr().flush();
                self.shown = Instant::now();
            }
        } else if last || self.done % 500 == 0 {
            eprintln!("{}", line());
        }
    }

    pub fn took(&mut self, took: Duration) {
        self.took = took;
    }

    /// Whether nothing failed but what the data asks for.
    pub fn is_clean(&self) -> bool {
        self.trouble.is_none()
    }

    pub fn summary(&self) -> String {
        let (refused, failed): (usize, usize) = (self.refused.values().sum(), self.failed.values().sum());
        format!("executed {}, replayed {}, refused {refused}, failed {failed}", self.executed, self.replayed)
    }

    pub fn print(&self, ledger: &HashMap<String, Vec<Charge>>) {
        let row = |what: &str, count: usize, note: &str| {
            println!("{}", format!("{what:<10} {count:>6}   {note}").trim_end());
        };
        println!("\n{} deliveries in {:.1} s\n", self.deliveries, self.took.as_secs_f64());
        row("executed", self.executed, "charged, and the receipt recorded");
        row("replayed", self.replayed, "given the receipt of the first call");
        row("", self.waited, "of these waited for it");
        row("refused", self.refused.values().sum(), "");
        for (why, count) in &self.refused {
            row("", *count, why);
        }
        row("failed", self.failed.values().sum(), "");
        for (why, count) in &self.failed {
            row("", *count, why);
        }
        if let Some(trouble) = &self.trouble {
            println!("\nwhat the first of them said: {trouble}");
        }

        let charges = ledger.values().flatten();
        let cents: u64 = charges.clone().map(|charge| charge.receipt.amount_cents).sum();
        let twice = ledger.values().filter(|charges| charges.len() > 1).count();
        println!("\nledger");
        row("charges", charges.count(), &format!("{}.{:02} in all", cents / 100, cents % 100));
        row("events", ledger.len(), "that were charged");
        row("twice", twice, "events charged more than once");
        println!();
    }
}
