//! The protocol: record × request × time → answer × change, as pure functions.
//!
//! [`decide`] is the whole of it; [`apply`] carries the decision out on a record that is held in Rust. Each
//! `match` arm of the transitions is one row of the protocol's table, in its order: the first that fits counts.
//! A repetition of the same request by the same attempt is answered as the first one was.

mod claim;
mod person;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use super::record::{Head, Record, State};
use super::request::Request;
use super::{Finished, Grant, Reply};
use crate::time::{Now, Timestamp};

/// What a transition looks at in a record.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The part that decides.
    pub head: &'a Head,
    /// The digest of the verified arguments.
    pub digest: &'a [u8],
    /// The encoded result.
    pub result: &'a [u8],
    /// Who reopened or resolved it.
    pub by: &'a str,
}

/// What a transition answers, and what becomes of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// The change.
    pub change: Change,
}

/// The answer, still without what only the record can give (a digest, a result).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// [`Reply::Claimed`]
    Claimed(Grant),
    /// [`Reply::Running`]
    Running {
        /// When that attempt began.
        since: Timestamp,
        /// How long it is still believed alive.
        lease_left: Duration,
    },
    /// [`Reply::Done`], with the record's result.
    Done,
    /// [`Reply::Mismatch`], with the record's digest.
    Mismatch,
    /// [`Reply::Interrupted`]
    Interrupted,
    /// [`Reply::LeaseLost`]; the winner is the record, if it is done.
    LeaseLost,
    /// [`Reply::Completed`]
    Completed,
    /// [`Reply::Released`]
    Released,
    /// [`Reply::Renewed`]
    Renewed,
    /// [`Reply::Stopped`]
    Stopped,
    /// [`Reply::Reopened`]
    Reopened,
    /// [`Reply::Resolved`]
    Resolved,
    /// [`Reply::Forgotten`]
    Forgotten,
    /// [`Reply::Record`]
    Record,
}

/// What becomes of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    Nothing,
    /// It is removed.
    Remove,
    /// Its head is replaced, the rest stays.
    Head(Head),
    /// Its head is replaced, and everything that the request carries.
    Whole(Head),
}

impl Decision {
    fn only(verdict: Verdict) -> Self {
        Decision { verdict, change: Change::Nothing }
    }

    fn head(verdict: Verdict, head: Head) -> Self {
        Decision { verdict, change: Change::Head(head) }
    }

    fn whole(verdict: Verdict, head: Head) -> Self {
        Decision { verdict, change: Change::Whole(head) }
    }
}

/// Whether the running attempt's lease is over: its time is up, or its clock's run is.
#[must_use]
pub fn lease_over(head: &Head, now: &Now) -> bool {
    head.lease.run != now.lease.run || head.lease.micros <= now.lease.micros
}

/// Whether the record counts as gone. A running one is never gone while its lease lasts.
#[must_use]
pub fn expired(head: &Head, now: &Now) -> bool {
    head.expires <= now.wall && (head.state != State::Running || lease_over(head, now))
}

/// Whether the record is running with a lease that is not over.
#[must_use]
pub fn held(head: &Head, now: &Now) -> bool {
    head.state == State::Running && !lease_over(head, now)
}

/// Decides one request about one token: everything but `list` and `purge`.
///
/// `found` is what the store holds under the token, expired or not. `fence` gives a fence that is larger than
/// every one that the token ever had; it is asked at most once, and only if an attempt begins. Where it comes
/// from a clock that may stand still or go back, the one of the record that was found is exceeded all the same.
#[must_use]
#[inline]
pub fn decide(
    found: Option<View<'_>>,
    request: &Request,
    now: &Now,
    fence: impl FnOnce() -> u64,
) -> Decision {
    let last = found.map_or(0, |view| view.head.fence);
    let fence = || fence().max(last.saturating_add(1));
    let found = found.filter(|view| !expired(view.head, now));
    match request {
        Request::Claim(claim) => claim::claim(found, claim, now, fence),
        Request::Complete(complete) => settle::complete(found, complete, now),
        Request::Release { attempt, lease, .. } => settle::release(found, *attempt, *lease, now),
        Request::Renew { attempt, lease, .. } => settle::renew(found, *attempt, *lease, now),
        Request::Interrupt { attempt, .. } => settle::interrupt(found, *attempt, now),
        Request::Reopen(reopen) => person::reopen(found, reopen, now),
        Request::Resolve(resolve) => person::resolve(found, resolve, now),
        Request::Forget { .. } => person::forget(found, now),
        Request::Get { .. } | Request::Watch { .. } | Request::List(_) | Request::Purge { .. } => {
            Decision::only(Verdict::Record)
        }
    }
}

/// Whether a claim with this digest, whoever's, is answered [`Verdict::Done`] and changes nothing: what a duplicate
/// of a finished call comes to, without a claim.
#[must_use]
#[inline]
pub fn answers(found: View<'_>, digest: &[u8], now: &Now) -> bool {
    found.head.state == State::Done && !expired(found.head, now) && same(found.digest, digest)
}

/// Most calls verify nothing: asking that first spares them a call that compares no bytes.
#[inline]
fn same(digest: &[u8], other: &[u8]) -> bool {
    digest.is_empty() && other.is_empty() || digest == other
}

/// The record after a [`Change::Whole`]: the new head, and everything that the request carries.
#[must_use]
pub fn carried(before: Option<Record>, head: Head, request: &Request) -> Record {
    let mut record = before.unwrap_or_default();
    record.head = head;
    match request {
        Request::Claim(claim) => Record {
            head,
            scope: claim.scope.clone(),
            function: claim.function.clone(),
            digest: claim.digest.clone(),
            arguments: if claim.record_arguments { claim.arguments.clone() } else { None },
            ..Record::default()
        },
        Request::Complete(complete) => Record {
            // Arguments of another attempt, freed since, are not those of this result.
            arguments: record.arguments.filter(|_| record.digest == complete.digest),
            function: complete.function.clone(),
            digest: complete.digest.clone(),
            result: complete.result.clone(),
            ..record
        },
        Request::Resolve(resolve) => {
            Record { result: resolve.result.clone(), by: resolve.by.clone(), ..record }
        }
        Request::Reopen(reopen) => Record { by: reopen.by.clone(), ..record },
        _ => record,
    }
}

/// What duplicates of a done record are answered with.
#[must_use]
pub fn finished(head: &Head, result: super::Payload) -> Finished {
    Finished {
        result,
        kind: head.kind,
        attempt: head.attempt,
        generation: head.generation,
        first_at: head.first_at,
        completed_at: head.ended_at,
        expires_at: head.expires,
    }
}

/// The answer in full: the verdict with what the record (as it was found, and not expired) adds to it.
#[must_use]
pub fn reply(verdict: Verdict, record: Option<&Record>) -> Reply {
    let done = |record: &Record| finished(&record.head, record.result.clone());
    match verdict {
        Verdict::Claimed(grant) => Reply::Claimed(grant),
        Verdict::Running { since, lease_left } => Reply::Running { since, lease_left },
        Verdict::Done => Reply::Done(record.map(done).unwrap_or_default()),
        Verdict::Mismatch => {
            Reply::Mismatch { digest: record.map(|record| record.digest.clone()).unwrap_or_default() }
        }
        Verdict::Interrupted => {
            let head = record.map(|record| record.head).unwrap_or_default();
            Reply::Interrupted { since: head.began_at, number: head.number }
        }
        Verdict::LeaseLost => {
            Reply::LeaseLost { winner: record.filter(|record| record.head.state == State::Done).map(done) }
        }
        Verdict::Completed => Reply::Completed,
        Verdict::Released => Reply::Released,
        Verdict::Renewed => Reply::Renewed,
        Verdict::Stopped => Reply::Stopped,
        Verdict::Reopened => Reply::Reopened,
        Verdict::Resolved => Reply::Resolved,
        Verdict::Forgotten => Reply::Forgotten,
        Verdict::Record => Reply::Record(record.cloned().map(Arc::new)),
    }
}

/// Carries one request out on one record: decides, changes the record, and gives the answer in full.
#[must_use]
pub fn apply(
    record: &mut Option<Record>,
    request: &Request,
    now: &Now,
    fence: impl FnOnce() -> u64,
) -> Reply {
    let decision = decide(record.as_ref().map(Record::view), request, now, fence);
    record.take_if(|record| expired(&record.head, now));
    let reply = reply(decision.verdict, record.as_ref());
    match decision.change {
        Change::Nothing => {}
        Change::Remove => *record = None,
        Change::Head(head) => {
            if let Some(record) = record {
                record.head = head;
            }
        }
        Change::Whole(head) => *record = Some(carried(record.take(), head, request)),
    }
    reply
}

impl Record {
    /// What a transition looks at.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { head: &self.head, digest: &self.digest, result: &self.result, by: &self.by }
    }
}
