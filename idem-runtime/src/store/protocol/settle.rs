//! `complete`, `release`, `renew`, `interrupt`: what an attempt says while it runs and as it ends.

use std::time::Duration;

use super::claim::running_expires;
use super::{Decision, Verdict, View};
use crate::store::record::{AttemptId, Head, OnInterrupt, State};
use crate::store::request::Complete;
use crate::time::{Now, Timestamp};

pub(super) fn complete(found: Option<View<'_>>, complete: &Complete, now: &Now) -> Decision {
    let done = |head: Head| Head {
        state: State::Done,
        kind: complete.kind,
        tombstone: false,
        attempt: complete.attempt,
        ttl: complete.ttl,
        ended_at: now.wall,
        expires: now.wall.after(complete.ttl),
        ..head
    };
    let Some(View { head, .. }) = found else {
        let carried = Head {
            number: complete.number,
            fence: complete.fence,
            generation: complete.generation,
            first_at: now.wall,
            began_at: now.wall,
            ..Head::default()
        };
        return Decision::whole(Verdict::Completed, done(carried));
    };
    let mine = head.attempt == complete.attempt;
    match head.state {
        State::Running if mine => Decision::whole(Verdict::Completed, done(*head)),
        State::Free | State::Interrupted => {
            // A body that ended well must not run again, whoever's record this was.
            let carried = Head {
                number: head.number.max(complete.number),
                fence: head.fence.max(complete.fence),
                generation: complete.generation,
                ..*head
            };
            Decision::whole(Verdict::Completed, done(carried))
        }
        State::Done if mine => Decision::only(Verdict::Completed),
        State::Running | State::Done => Decision::only(Verdict::LeaseLost),
    }
}

pub(super) fn release(found: Option<View<'_>>, attempt: AttemptId, lease: Duration, now: &Now) -> Decision {
    match found {
        Some(View { head, .. }) if head.state == State::Running && head.attempt == attempt => {
            let free =
                Head { state: State::Free, ended_at: now.wall, expires: now.wall.after(head.ttl), ..*head };
            Decision::head(Verdict::Released, free)
        }
        None => {
            let tombstone = Head {
                state: State::Free,
                tombstone: true,
                attempt,
                first_at: now.wall,
                began_at: now.wall,
                ended_at: now.wall,
                expires: now.wall.after(lease),
                ..Head::default()
            };
            Decision::whole(Verdict::Released, tombstone)
        }
        Some(_) => Decision::only(Verdict::Released),
    }
}

pub(super) fn renew(found: Option<View<'_>>, attempt: AttemptId, lease: Duration, now: &Now) -> Decision {
    match found {
        Some(View { head, .. }) if head.state == State::Running && head.attempt == attempt => {
            let renewed = Head {
                lease: now.lease.after(lease),
                expires: running_expires(head.on_interrupt, lease, head.ttl, now),
                ..*head
            };
            Decision::head(Verdict::Renewed, renewed)
        }
        _ => Decision::only(Verdict::LeaseLost),
    }
}

pub(super) fn interrupt(found: Option<View<'_>>, attempt: AttemptId, now: &Now) -> Decision {
    match found {
        Some(View { head, .. }) if head.state == State::Running && head.attempt == attempt => {
            let expires = match head.on_interrupt {
                OnInterrupt::Retry => now.wall.after(head.ttl),
                OnInterrupt::Reject => Timestamp::NEVER,
            };
            let stopped = Head {
                state: State::Interrupted,
                unended: head.unended.saturating_add(1),
                ended_at: now.wall,
                expires,
                ..*head
            };
            Decision::head(Verdict::Stopped, stopped)
        }
        Some(View { head, .. }) if head.state == State::Interrupted && head.attempt == attempt => {
            Decision::only(Verdict::Stopped)
        }
        _ => Decision::only(Verdict::LeaseLost),
    }
}
