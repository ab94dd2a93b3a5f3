//! What is written into the ledger: one event a line, as JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::encoding;
use crate::store::{Answer, Fault, Finished, Kind, OnInterrupt, Payload, Reply, Request};
use crate::time::Timestamp;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Event {
    /// When.
    pub(super) at: Moment,
    /// In which process: each one that is started has a number of its own.
    #[serde(rename = "p")]
    pub(super) process: u32,
    /// About which token: its first 16 digits. Empty where it is about the process.
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    pub(super) token: String,
    #[serde(flatten)]
    pub(super) what: What,
}

/// A moment by two clocks, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(super) struct Moment {
    /// By a clock that nobody sets, and that all processes of this machine share.
    pub(super) boot: u64,
    /// By the wall clock.
    pub(super) wall: u64,
}

impl Moment {
    pub(super) fn now() -> Moment {
        let wall = Timestamp::now().as_micros();
        Moment { boot: boot(wall), wall }
    }
}

#[cfg(target_os = "linux")]
fn boot(_: u64) -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Never negative: it counts from the start of the machine.
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}

#[cfg(not(target_os = "linux"))]
fn boot(wall: u64) -> u64 {
    wall
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub(super) enum What {
    /// A process was started.
    Started,
    /// It ended in good order.
    Finished,
    /// It was killed, or what stands for that.
    Killed,
    /// It was stopped, so that nothing in it goes on.
    Stopped,
    /// It goes on.
    Continued,
    /// Something was done to the store from outside: its connections were cut, say.
    Disturbed { what: String },
    /// A fault was put between the calls and the store.
    Fault { operation: String, fault: String },

    /// A call was made.
    Called {
        call: u64,
        function: String,
        /// Its verified argument; 0 where there is none.
        verified: u64,
        /// How long it waits for a running one.
        #[serde(rename = "wait_us")]
        wait: Micros,
        /// It has to be answered within so long, unless its process ends.
        #[serde(rename = "limit_us")]
        limit: Micros,
    },
    /// The caller has its answer.
    Answered {
        call: u64,
        answer: Given,
        /// Whether the caller was told that the store holds it.
        recorded: bool,
    },
    /// The caller went away.
    Left { call: u64 },

    /// A body begins.
    Began { call: u64, attempt: String, fence: u64, generation: u64, number: u32 },
    /// A body has ended.
    Ended { call: u64, attempt: String, end: End },

    /// The store is asked.
    Asked { ask: u64, op: Op },
    /// The store has answered.
    Replied { ask: u64, reply: Said },
}

/// A duration in whole microseconds.
pub(super) type Micros = u64;

pub(super) fn micros(duration: Duration) -> Micros {
    crate::time::micros(duration)
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Ok(String),
    Err(String),
    Panicked,
    /// Its future was dropped.
    Dropped,
}

/// What a caller was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Given {
    /// An `Ok`.
    Ok(String),
    /// An `Err` of the function's own.
    Err(String),
    /// A panic.
    Panic,
    Duplicate,
    Running,
    Mismatch,
    Interrupted,
    Store,
    /// Another error of the library.
    Wrong(String),
}

/// What the store is asked for, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(super) enum Op {
    Claim {
        attempt: String,
        digest: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accept: Option<String>,
        #[serde(rename = "lease_us")]
        lease: Micros,
        #[serde(rename = "ttl_us")]
        ttl: Micros,
        reject: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most: Option<u32>,
    },
    /// A duplicate sees that it is done, without a claim.
    Look {
        digest: String,
    },
    Complete {
        attempt: String,
        fence: u64,
        digest: String,
        result: Kept,
        #[serde(rename = "ttl_us")]
        ttl: Micros,
    },
    Release {
        attempt: String,
        #[serde(rename = "lease_us")]
        lease: Micros,
    },
    Renew {
        attempt: String,
        #[serde(rename = "lease_us")]
        lease: Micros,
    },
    Interrupt {
        attempt: String,
    },
    Reopen {
        fence: u64,
    },
    Resolve {
        fence: u64,
    },
    Forget,
}

/// A result in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kept {
    Nothing,
    Ok(String),
    Err(String),
}

/// What the store answers, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    Claimed {
        fence: u64,
        generation: u64,
        number: u32,
    },
    Running,
    Done {
        attempt: String,
        result: Kept,
    },
    Mismatch {
        digest: String,
    },
    Interrupted,
    LeaseLost {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        winner: Option<Kept>,
    },
    Completed,
    Released,
    Renewed,
    Stopped,
    Reopened,
    Resolved,
    Forgotten,
    /// The record, because a person's decision did not fit.
    Record,
    /// It may have been carried out.
    Lost,
    /// It was not carried out.
    Failed,
    /// What is not an answer to what was asked.
    Other(String),
}

impl Op {
    /// Nothing for operations that change nothing but what is over.
    pub(super) fn of(request: &Request) -> Option<Op> {
        Some(match request {
            Request::Claim(claim) => Op::Claim {
                attempt: claim.attempt.to_string(),
                digest: hash(&claim.digest),
                accept: claim.accept.as_deref().map(hash),
                lease: micros(claim.lease),
                ttl: micros(claim.ttl),
                reject: claim.on_interrupt == OnInterrupt::Reject,
                most: claim.max_attempts,
            },
            Request::Complete(complete) => Op::Complete {
                attempt: complete.attempt.to_string(),
                fence: complete.fence,
                digest: hash(&complete.digest),
                result: Kept::of(complete.kind, &complete.result),
                ttl: micros(complete.ttl),
            },
            Request::Release { attempt, lease, .. } => {
                Op::Release { attempt: attempt.to_string(), lease: micros(*lease) }
            }
            Request::Renew { attempt, lease, .. } => {
                Op::Renew { attempt: attempt.to_string(), lease: micros(*lease) }
            }
            Request::Interrupt { attempt, .. } => Op::Interrupt { attempt: attempt.to_string() },
            Request::Reopen(reopen) => Op::Reopen { fence: reopen.fence },
            Request::Resolve(resolve) => Op::Resolve { fence: resolve.fence },
            Request::Forget { .. } => Op::Forget,
            Request::Get { .. } | Request::List(_) | Request::Purge { .. } | Request::Watch { .. } => {
                return None;
            }
        })
    }

    pub(super) fn attempt(&self) -> Option<&str> {
        match self {
            Op::Claim { attempt, .. }
            | Op::Complete { attempt, .. }
            | Op::Release { attempt, .. }
            | Op::Renew { attempt, .. }
            | Op::Interrupt { attempt } => Some(attempt),
            Op::Look { .. } | Op::Reopen { .. } | Op::Resolve { .. } | Op::Forget => None,
        }
    }

    /// By `Store::finished`.
    pub(super) fn look(digest: &[u8]) -> Op {
        Op::Look { digest: hash(digest) }
    }
}

impl Kept {
    fn of(kind: Kind, result: &Payload) -> Kept {
        // What is not a text of ours came from elsewhere, and is told apart by its bytes.
        let text = || encoding::from_slice::<String>(result).unwrap_or_else(|_| hash(result));
        match kind {
            Kind::None => Kept::Nothing,
            Kind::Value => Kept::Ok(text()),
            Kind::Error => Kept::Err(text()),
        }
    }

    fn finished(finished: &Finished) -> Kept {
        Kept::of(finished.kind, &finished.result)
    }
}

impl Said {
    pub(super) fn done(finished: &Finished) -> Said {
        Said::Done { attempt: finished.attempt.to_string(), result: Kept::finished(finished) }
    }

    pub(super) fn of(answer: &Answer) -> Said {
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) if error.fault() == Fault::Lost => return Said::Lost,
            Err(_) => return Said::Failed,
        };
        match reply {
            Reply::Claimed(grant) => {
                Said::Claimed { fence: grant.fence, generation: grant.generation, number: grant.number }
            }
            Reply::Running { .. } => Said::Running,
            Reply::Done(finished) => Said::done(finished),
            Reply::Mismatch { digest } => Said::Mismatch { digest: hash(digest) },
            Reply::Interrupted { .. } => Said::Interrupted,
            Reply::LeaseLost { winner } => Said::LeaseLost { winner: winner.as_ref().map(Kept::finished) },
            Reply::Completed => Said::Completed,
            Reply::Released => Said::Released,
            Reply::Renewed => Said::Renewed,
            Reply::Stopped => Said::Stopped,
            Reply::Reopened => Said::Reopened,
            Reply::Resolved => Said::Resolved,
            Reply::Forgotten => Said::Forgotten,
            Reply::Record(_) => Said::Record,
            other => Said::Other(format!("{other:?}")),
        }
    }
}

/// Bytes that are only compared; `-` for none.
fn hash(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    let hash = crate::token::hash::sha256(&mut bytes.to_vec());
    let mut text = crate::Token::from_bytes(hash).to_string();
    text.truncate(16);
    text
}
