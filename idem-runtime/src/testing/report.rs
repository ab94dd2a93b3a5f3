//! What came of every crash, as a table.

use std::fmt;

use crate::store::State;

/// Where a call dies, or what else happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// The process dies before anything is sent.
    BeforeClaim,
    /// The claim is carried out, and the process dies before its answer comes.
    Claimed,
    /// The claim is carried out, its answer is lost, and it is asked again.
    ClaimAnswerLost,
    /// The process dies at the body's beginning.
    BodyBegun,
    /// The process dies while the body is suspended for the so many-th time.
    Suspended(usize),
    /// The caller goes away (its future is dropped) while the body is suspended for the so many-th time.
    GoneAway(usize),
    /// The process stands still while the body is suspended for the so many-th time, until its lease is over and the next
    /// call was made; then it goes on.
    Overtaken(usize),
    /// The body has ended, and the process dies before the store is told.
    BeforeComplete,
    /// The store is told what the body ended with, and the process dies before the answer comes.
    Completed,
    /// The store is told what the body ended with, the answer is lost, and it is told again.
    CompleteAnswerLost,
    /// The process dies after the call.
    Over,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::BeforeClaim => f.pad("dies before the claim"),
            Point::Claimed => f.pad("dies with the claim made, unanswered"),
            Point::ClaimAnswerLost => f.pad("the claim's answer is lost"),
            Point::BodyBegun => f.pad("dies as the body begins"),
            Point::Suspended(at) => f.pad(&format!("dies in the body, at .await {at}")),
            Point::GoneAway(at) => f.pad(&format!("the caller goes away at .await {at}")),
            Point::Overtaken(at) => f.pad(&format!("stands still at .await {at}, is taken over")),
            Point::BeforeComplete => f.pad("dies after the body, not recorded"),
            Point::Completed => f.pad("dies after the body, recorded"),
            Point::CompleteAnswerLost => f.pad("the recording's answer is lost"),
            Point::Over => f.pad("dies after the call"),
        }
    }
}

/// What a call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Got {
    /// Nothing: its process died.
    Died,
    /// Nothing: it went away.
    WentAway,
    /// Its body ran, and ended in an `Ok`.
    Executed,
    /// Its body ran, and ended in an `Err`.
    Failed,
    /// The stored result.
    Replayed,
    /// It was refused: `duplicate`, `interrupted`, `running`, `mismatch`…
    Refused(&'static str),
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Got::Died => f.pad("died"),
            Got::WentAway => f.pad("went away"),
            Got::Executed => f.pad("executed: Ok"),
            Got::Failed => f.pad("executed: Err"),
            Got::Replayed => f.pad("replayed"),
            Got::Refused(why) => f.pad(&format!("refused: {why}")),
        }
    }
}

/// What came of one crash.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Crash {
    /// Where the first call died.
    pub point: Point,
    /// What it got.
    pub first: Got,
    /// What the next call got, made once the first one's lease was over.
    pub next: Got,
    /// How often the body was begun, both calls together.
    pub bodies: usize,
    /// How many effects there were, both calls together, if they were counted.
    pub effects: Option<usize>,
    /// What the record says after both; nothing if there is none.
    pub record: Option<State>,
}

/// What came of every crash. It prints as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Crashes {
    pub(super) function: String,
    pub(super) crashes: Vec<Crash>,
}

impl Crashes {
    /// One after the other, in the order of a call.
    #[must_use]
    pub fn crashes(&self) -> &[Crash] {
        &self.crashes
    }

    /// Sees to it that whatever dies, the effect happens at most so often; where effects are not counted, that the body is
    /// begun at most so often.
    ///
    /// For a function that must not repeat what it does, this is `assert_at_most(1)`.
    ///
    /// # Panics
    /// If it happens more often somewhere, with the table.
    #[track_caller]
    pub fn assert_at_most(&self, times: usize) -> &Self {
        let often = |crash: &&Crash| crash.effects.unwrap_or(crash.bodies) > times;
        let worst: Vec<_> = self.crashes.iter().filter(often).map(|crash| crash.point.to_string()).collect();
        assert!(
            worst.is_empty(),
            "{} does more than {times} time(s) what it does, where it {}:\n{self}",
            self.function,
            worst.join("; or ")
        );
        self
    }

    /// Sees to it that whatever dies, the next call is answered: it ran the body, or got a result, and was not refused.
    ///
    /// # Panics
    /// If it is refused somewhere, with the table.
    #[track_caller]
    pub fn assert_never_refused(&self) -> &Self {
        let refused = |crash: &&Crash| matches!(crash.next, Got::Refused(_));
        let worst: Vec<_> =
            self.crashes.iter().filter(refused).map(|crash| crash.point.to_string()).collect();
        let worst = worst.join("; or ");
        assert!(
            worst.is_empty(),
            "the next call of {} is refused, where the first one {worst}:\n{self}",
            self.function
        );
        self
    }
}

impl fmt::Display for Crashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.crashes.iter().any(|crash| crash.effects.is_some());
        let rows = self.crashes.iter().map(|crash| {
            let mut row = vec![
                crash.point.to_string(),
                crash.first.to_string(),
                crash.next.to_string(),
                crash.bodies.to_string(),
            ];
            if counted {
                row.push(crash.effects.map_or_else(String::new, |effects| effects.to_string()));
            }
            row.push(crash.record.map_or_else(|| "none".to_owned(), |state| state.to_string()));
            row
        });
        let mut titles = vec!["the first call", "it got", "the next call got", "bodies begun"];
        if counted {
            titles.push("effects");
        }
        titles.push("record");
        let mut table = vec![titles.into_iter().map(str::to_owned).collect()];
        table.extend(rows);
        let widths: Vec<usize> = (0..table[0].len())
            .map(|column| table.iter().map(|row: &Vec<String>| row[column].len()).max().unwrap_or(0))
            .collect();
        writeln!(f, "{}", self.function)?;
        for (index, row) in table.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if index == 0 {
                for width in &widths {
                    write!(f, "| {:-<width$} ", "")?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}
