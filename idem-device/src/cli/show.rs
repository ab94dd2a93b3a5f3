//! `idem show`: everything that is known of one record.

use std::fmt::Write as _;

use clap::Args;
use idem::Timestamp;
use idem::store::{AttemptId, Kind, OnInterrupt, State};

use super::Failure;
use super::at::At;
use super::out;
use super::which::Which;
use crate::answer::Uuid;
use crate::look::{Seen, words};
use crate::value::notation::notation;

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    at: At,
}

impl Show {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let store = self.at.connect().await?;
        let seen = self.which.find(&store).await?;
        print(&seen, self.at.json)
    }
}

/// Prints a record.
pub(super) fn print(seen: &Seen, json: bool) -> Result<(), Failure> {
    if json { out::json(&out::record(seen)) } else { out::print(&facts(seen, Timestamp::now())) }
}

/// What there is to know, a line each.
pub(super) fn facts(seen: &Seen, now: Timestamp) -> String {
    let (record, head) = (&seen.record, &seen.record.head);
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<14}{}", value.replace('\n', "\n              "));
    };
    line("token", &seen.token.to_string());
    line("function", &words::clean(&record.function));
    if !record.scope.is_empty() {
        line("scope", &words::clean(&record.scope));
    }
    line("state", &state(seen));
    if let Some(arguments) = &record.arguments {
        line("arguments", &notation(&arguments.key));
        if *arguments.verified != [0xa0] {
            line("verified", &notation(&arguments.verified));
        }
    }
    match head.kind {
        Kind::Value => line("result", &notation(&record.result)),
        Kind::Error => line("error", &notation(&record.result)),
        _ if head.state == State::Done => {
            line("result", "none is kept: duplicates are told `Do not submit repeated requests`")
        }
        _ => {}
    }
    line("first asked", &words::moment(head.first_at, now));
    line("last began", &words::moment(head.began_at, now));
    if !words::is_never(head.ended_at) {
        line(ended(seen), &words::moment(head.ended_at, now));
    }
    line("attempts", &attempts(seen));
    line("policy", policy(head.on_interrupt));
    if !record.by.is_empty() {
        line(decided(seen), &words::clean(&record.by));
    }
    line("expires", &expires(seen, now));
    line("kept for", &humantime::format_duration(head.ttl).to_string());
    line(
        "attempt",
        &if head.attempt == AttemptId::NOBODY {
            "nobody's: a person has resolved it".into()
        } else {
            Uuid(head.attempt).to_string()
        },
    );
    line("fence", &format!("{}, generation {}", head.fence, head.generation));
    text
}

/// What the end of the last attempt was.
fn ended(seen: &Seen) -> &'static str {
    match (seen.record.head.state, seen.record.by.is_empty()) {
        (State::Interrupted, _) => "interrupted",
        (State::Done, false) => "resolved",
        (_, false) => "reopened",
        _ => "last ended",
    }
}

/// The state in a sentence.
pub(crate) fn state(seen: &Seen) -> String {
    let reject = seen.record.head.on_interrupt == OnInterrupt::Reject;
    match seen.record.head.state {
        State::Running if seen.lease_over && reject => {
            "running, but its lease is over: nobody knows what the attempt did, and a person has to say"
                .into()
        }
        State::Running if seen.lease_over => {
            "running, but its lease is over: the next call runs the body again".into()
        }
        State::Running => "running".into(),
        State::Interrupted if reject => {
            "interrupted: an attempt began and did not end, nobody knows what it did, and a person has to say"
                .into()
        }
        State::Interrupted => {
            "interrupted: an attempt began and did not end; the next call runs the body again".into()
        }
        State::Free => "free: the next call runs the body".into(),
        _ => "done".into(),
    }
}

pub(crate) fn attempts(seen: &Seen) -> String {
    let head = &seen.record.head;
    match (head.number, head.unended) {
        (number, 0) => number.to_string(),
        (number, unended) => format!("{number}, of which {unended} began and did not end"),
    }
}

fn policy(policy: OnInterrupt) -> &'static str {
    match policy {
        OnInterrupt::Retry => "retry: the next call runs the body again",
        _ => "reject: a person has to say what happened",
    }
}

/// What the name in a record has done.
pub(crate) fn decided(seen: &Seen) -> &'static str {
    if seen.record.head.state == State::Done { "resolved by" } else { "reopened by" }
}

pub(crate) fn expires(seen: &Seen, now: Timestamp) -> String {
    let head = &seen.record.head;
    match head.state {
        State::Running if !seen.lease_over => "not while it runs".into(),
        State::Running | State::Interrupted if head.on_interrupt == OnInterrupt::Reject => {
            "not before a person has decided".into()
        }
        _ => words::moment(head.expires, now),
    }
}
