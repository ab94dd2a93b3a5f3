//! `reopen`, `resolve`, `forget`: what a person says.

use std::time::Duration;

use super::{Change, Decision, Verdict, View, held, lease_over};
use crate::store::record::{AttemptId, Head, State};
use crate::store::request::{Reopen, Resolve};
use crate::time::Now;

/// Whether a person may decide about this record: nobody knows what its last attempt did.
fn undecided(head: &Head, fence: u64, now: &Now) -> bool {
    let open = match head.state {
        State::Interrupted => true,
        State::Running => lease_over(head, now),
        State::Free | State::Done => false,
    };
    open && head.fence == fence
}

pub(super) fn reopen(found: Option<View<'_>>, reopen: &Reopen, now: &Now) -> Decision {
    match found {
        Some(View { head, .. }) if undecided(head, reopen.fence, now) => {
            let free = Head {
                state: State::Free,
                unended: 0,
                ended_at: now.wall,
                expires: now.wall.after(head.ttl),
                ..*head
            };
            Decision::whole(Verdict::Reopened, free)
        }
        // The same request once more.
        Some(View { head, by, .. })
            if head.state == State::Free
                && !head.tombstone
                && head.fence == reopen.fence
                && head.unended == 0
                && *by == *reopen.by =>
        {
            Decision::only(Verdict::Reopened)
        }
        _ => Decision::only(Verdict::Record),
    }
}

pub(super) fn resolve(found: Option<View<'_>>, resolve: &Resolve, now: &Now) -> Decision {
    match found {
        Some(View { head, .. }) if undecided(head, resolve.fence, now) => {
            let done = Head {
                state: State::Done,
                kind: resolve.kind,
                attempt: AttemptId::NOBODY,
                ttl: resolve.ttl,
                ended_at: now.wall,
                expires: now.wall.after(resolve.ttl),
                ..*head
            };
            Decision::whole(Verdict::Resolved, done)
        }
        // The same request once more; another result is not the same request.
        Some(View { head, result, by, .. })
            if head.state == State::Done
                && head.attempt == AttemptId::NOBODY
                && head.fence == resolve.fence
                && head.kind == resolve.kind
                && *result == *resolve.result
                && *by == *resolve.by =>
        {
            Decision::only(Verdict::Resolved)
        }
        _ => Decision::only(Verdict::Record),
    }
}

pub(super) fn forget(found: Option<View<'_>>, now: &Now) -> Decision {
    match found {
        Some(View { head, .. }) if held(head, now) => Decision::only(Verdict::Running {
            since: head.began_at,
            lease_left: Duration::from_micros(head.lease.micros - now.lease.micros),
        }),
        Some(_) => Decision { verdict: Verdict::Forgotten, change: Change::Remove },
        None => Decision::only(Verdict::Forgotten),
    }
}
