//! The way to a state, as text.

use std::fmt::{self, Write as _};

use crate::actions::Action;
use crate::broken::Trace;
use crate::kept::Kept;
use crate::message::{Message, Operation, Told};
use crate::state::{Attempt, State};

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.caller() {
            Some(caller) => {
                write!(f, "caller {caller}'s attempt {}", (self.0 - 1) % crate::state::ATTEMPTS + 1)
            }
            None if *self == Attempt::GONE => f.write_str("an attempt that is gone"),
            None => f.write_str("nobody's attempt"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = match self.operation {
            Operation::Claim => "claim",
            Operation::Complete => "complete",
            Operation::Release => "release",
            Operation::Renew => "renew",
            Operation::Interrupt => "interrupt",
        };
        match self.told {
            Told::Nothing => write!(f, "`{operation}` of {}", self.attempt),
            Told::Claimed { fence, .. } => {
                write!(f, "the answer `claimed, fence {fence}` to {}", self.attempt)
            }
            told => write!(f, "the answer {told:?} to {}", self.attempt),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Begin(caller, token) => {
                write!(f, "caller {caller} calls token {token}: it sends its claim")
            }
            Action::Deliver(message) => write!(f, "{message} arrives"),
            Action::Repeat(message) => write!(f, "{message} arrives, and will once more"),
            Action::LoseAnswer(message) => write!(f, "{message} arrives, and its answer is lost"),
            Action::Lose(message) => write!(f, "{message} is lost"),
            Action::AskAgain(caller) => write!(f, "caller {caller} has no answer and asks again"),
            Action::GiveUp(caller) => write!(f, "caller {caller} gives up before its body began"),
            Action::Wake(caller) => write!(f, "caller {caller} has waited and claims again"),
            Action::EndWell(caller) => write!(f, "caller {caller}'s body ends in an Ok: it sends `complete`"),
            Action::EndInError(caller) => {
                write!(f, "caller {caller}'s body ends in an Err: it sends `release`")
            }
            Action::Break(caller) => {
                write!(f, "caller {caller}'s body panics or is dropped: the store is told")
            }
            Action::Renew(caller) => write!(f, "caller {caller} sends `renew`"),
            Action::Die(caller) => write!(f, "caller {caller}'s process dies"),
            Action::Forget(token) => write!(f, "a person forgets token {token}"),
            Action::Reopen(token) => write!(f, "a person reopens token {token}"),
            Action::Resolve(token) => write!(f, "a person resolves token {token}"),
            Action::Tick => f.write_str("time passes"),
            Action::SetClock(by) => write!(f, "the wall clock is set by {by} ticks"),
        }
    }
}

fn record(kept: Option<&Kept>) -> String {
    let Some(kept) = kept else { return "no record".into() };
    let mut text = format!("{}, {}, fence {}", kept.state, kept.attempt, kept.fence);
    if kept.lease > 0 {
        let _ = write!(text, ", lease until {}", kept.lease);
    }
    text
}

/// A step a line: when, what happened, and what the store holds then where that has changed.
#[must_use]
pub fn text(path: Trace) -> String {
    let steps: Vec<(State, Option<Action>)> = path.into_vec();
    let mut text = String::new();
    for pair in steps.windows(2) {
        let [(before, Some(action)), (after, _)] = pair else { continue };
        let _ = write!(text, "  {:>2}  {action}", before.now);
        for (index, (old, new)) in before.tokens.iter().zip(&after.tokens).enumerate() {
            if old.record != new.record {
                let _ = write!(text, "\n        → token {index}: {}", record(new.record.as_ref()));
            }
        }
        text.push('\n');
    }
    text
}
