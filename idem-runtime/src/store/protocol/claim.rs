//! `claim`: may this attempt run the body?

use std::time::Duration;

use super::{Decision, Verdict, View, lease_over, same};
use crate::store::Grant;
use crate::store::record::{Head, Kind, OnInterrupt, State};
use crate::store::request::Claim;
use crate::time::{Now, Timestamp};

#[inline]
pub(super) fn claim(
    found: Option<View<'_>>,
    claim: &Claim,
    now: &Now,
    fence: impl FnOnce() -> u64,
) -> Decision {
    let Some(View { head, digest, .. }) = found else {
        return first(claim, now, fence());
    };
    let mine = head.attempt == claim.attempt;
    let differs = !same(digest, &claim.digest);
    let mismatch = differs && claim.accept.as_deref() != Some(digest);
    let strictest = head.on_interrupt.max(claim.on_interrupt);
    match head.state {
        State::Running if mine => {
            let renewed = Head {
                lease: now.lease.after(claim.lease),
                expires: running_expires(head.on_interrupt, claim.lease, head.ttl, now),
                ..*head
            };
            Decision::head(Verdict::Claimed(grant(&renewed)), renewed)
        }
        State::Free | State::Interrupted if mine => Decision::only(Verdict::LeaseLost),
        State::Free if head.tombstone => first(claim, now, fence()),
        State::Free if head.unended > 0 && used_up(head.unended, claim) => refuse(head, head.expires),
        State::Free if head.unended > 0 && strictest == OnInterrupt::Reject => {
            Decision::only(Verdict::Interrupted)
        }
        State::Free => next(head, head.unended, claim, now, fence(), differs),
        _ if mismatch => Decision::only(Verdict::Mismatch),
        State::Running if !lease_over(head, now) => Decision::only(Verdict::Running {
            since: head.began_at,
            lease_left: Duration::from_micros(head.lease.micros - now.lease.micros),
        }),
        State::Running | State::Interrupted => {
            // A running attempt whose lease is over did not end; an interrupted one has been counted.
            let unended = head.unended.saturating_add(u32::from(head.state == State::Running));
            if strictest == OnInterrupt::Retry && !used_up(unended, claim) {
                next(head, unended, claim, now, fence(), false)
            } else {
                refuse(head, Timestamp::NEVER)
            }
        }
        State::Done => Decision::only(Verdict::Done),
    }
}

/// Whether so many attempts that did not end are as many as the claim allows.
fn used_up(unended: u32, claim: &Claim) -> bool {
    claim.max_attempts.is_some_and(|most| unended >= most)
}

/// The first attempt of a new record.
fn first(claim: &Claim, now: &Now, fence: u64) -> Decision {
    let head = Head {
        state: State::Running,
        kind: Kind::None,
        on_interrupt: claim.on_interrupt,
        tombstone: false,
        attempt: claim.attempt,
        number: 1,
        unended: 0,
        fence,
        generation: fence,
        lease: now.lease.after(claim.lease),
        ttl: claim.ttl,
        first_at: now.wall,
        began_at: now.wall,
        ended_at: Timestamp::NEVER,
        expires: running_expires(claim.on_interrupt, claim.lease, claim.ttl, now),
    };
    Decision::whole(Verdict::Claimed(grant(&head)), head)
}

/// The next attempt of the same record.
fn next(head: &Head, unended: u32, claim: &Claim, now: &Now, fence: u64, new_generation: bool) -> Decision {
    let on_interrupt = head.on_interrupt.max(claim.on_interrupt);
    let next = Head {
        state: State::Running,
        kind: Kind::None,
        on_interrupt,
        attempt: claim.attempt,
        number: head.number.saturating_add(1),
        unended,
        fence,
        generation: if new_generation { fence } else { head.generation },
        lease: now.lease.after(claim.lease),
        ttl: claim.ttl,
        began_at: now.wall,
        ended_at: Timestamp::NEVER,
        expires: running_expires(on_interrupt, claim.lease, claim.ttl, now),
        ..*head
    };
    Decision::whole(Verdict::Claimed(grant(&next)), next)
}

/// The outcome of an attempt is not known, and the body is not to be started again. From now on the record
/// says `reject`; its owner may still end it.
fn refuse(head: &Head, expires: Timestamp) -> Decision {
    let stricter = Head { on_interrupt: OnInterrupt::Reject, expires, ..*head };
    if stricter == *head {
        Decision::only(Verdict::Interrupted)
    } else {
        Decision::head(Verdict::Interrupted, stricter)
    }
}

fn grant(head: &Head) -> Grant {
    Grant::new(head.fence, head.generation, head.number)
}

/// Until when a running record is kept: `ttl` after its lease's end, or until a person acts.
pub(super) fn running_expires(
    on_interrupt: OnInterrupt,
    lease: Duration,
    ttl: Duration,
    now: &Now,
) -> Timestamp {
    match on_interrupt {
        OnInterrupt::Retry => now.wall.after(lease).after(ttl),
        OnInterrupt::Reject => Timestamp::NEVER,
    }
}
