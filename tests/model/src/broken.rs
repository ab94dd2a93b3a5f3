//! Rules taken out or weakened, each by a wrapper around the library's transition or around what a call does: the
//! promise that fails then is found.

use std::collections::BTreeSet;

use idem_runtime::Now;
use idem_runtime::store::{AttemptId, OnInterrupt, Record, Reply, Request, State, protocol};
use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::actions::Action;
use crate::bounds::Bounds;
use crate::message::Operation;
use crate::promises::Promise;
use crate::rules::Rules;
use crate::system::{System, apply};

/// A rule that was taken out.
#[derive(Debug, Clone, Copy)]
pub struct Broken {
    /// Which one.
    pub name: &'static str,
    /// The promise that fails.
    pub breaks: Promise,
    /// The rules without it.
    pub rules: Rules,
    /// The system in which that is seen.
    pub bounds: Bounds,
}

/// The way to a state that breaks a promise.
pub type Trace = Path<crate::state::State, Action>;

impl Broken {
    /// The shortest way to a state that breaks the promise.
    #[must_use]
    pub fn found(&self) -> Option<Trace> {
        let system = System { bounds: self.bounds, rules: self.rules, symmetric: false };
        let name = self.breaks.text();
        let checker = system.checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([name])));
        checker.spawn_bfs().join().discovery(name)
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Broken> {
    let rules = Rules::default();
    let two = Bounds { one_token: true, repeats: 0, ..Bounds::new("two callers", 2) };
    let strict = two.strict();
    let broken = |name, breaks, rules, bounds| Broken { name, breaks, rules, bounds };
    let store = |apply| Rules { apply, ..rules };
    vec![
        broken(
            "`complete` without a look at whose attempt runs",
            Promise::I3,
            store(complete_of_anybody),
            two,
        ),
        broken("`complete` over another attempt's result", Promise::I2, store(complete_over_done), two),
        broken("`complete` without a digest", Promise::Verified, store(complete_without_digest), {
            let mut bounds = two;
            (bounds.callers[0].arguments, bounds.callers[1].arguments) = (1, 2);
            bounds
        }),
        broken("`release` without a look at whose attempt runs", Promise::I3, store(release_of_anybody), two),
        broken(
            "`renew` without a look at whose attempt runs",
            Promise::I3,
            store(renew_of_anybody),
            Bounds { renews: true, ..two },
        ),
        broken(
            "`interrupt` without a look at whose attempt runs",
            Promise::I3,
            store(interrupt_of_anybody),
            two,
        ),
        broken(
            "the lease counted from the answer instead of from the sending",
            Promise::I1,
            Rules { may_begin: |_| true, ..rules },
            two,
        ),
        broken("the fence begins anew after a release", Promise::I4, store(fence_reset_after_release), two),
        broken("a takeover before the lease is over", Promise::I1, store(early_takeover), two),
        broken("a takeover with a new generation", Promise::Generation, store(new_generation), two),
        broken("a lost claim not released", Promise::I7, Rules { given_up: None, ..rules }, strict),
        broken("without the rows for a late claim", Promise::I7, store(late_claim), strict),
        broken("the policy of the record ignored", Promise::I10, store(policy_of_the_claim), {
            let mut bounds = strict;
            bounds.callers[1].strict = false;
            bounds
        }),
        broken(
            "a body that was broken off told as `release`",
            Promise::I10,
            Rules { broken_off: Operation::Release, ..rules },
            strict,
        ),
        broken(
            "`forget` of a live lease",
            Promise::I1,
            store(forget_whatever),
            Bounds { decisions: 1, ..two },
        ),
        broken("a finished record taken for expired", Promise::I5, store(expires_early), two),
        broken(
            "a waiter does not ask again when the lease ends",
            Promise::I9,
            Rules { wakes_at_lease_end: false, ..rules },
            two,
        ),
    ]
}

/// Makes the request as if the attempt that the record names had sent it.
fn in_its_name(record: Option<&Record>, request: &Request) -> Request {
    let Some(owner) = record.map(|record| record.head.attempt) else { return request.clone() };
    match request {
        Request::Complete(complete) => {
            let mut complete = (**complete).clone();
            complete.attempt = owner;
            Request::Complete(complete.into())
        }
        Request::Release { token, lease, .. } => {
            Request::Release { token: *token, attempt: owner, lease: *lease }
        }
        Request::Renew { token, lease, .. } => {
            Request::Renew { token: *token, attempt: owner, lease: *lease }
        }
        Request::Interrupt { token, .. } => Request::Interrupt { token: *token, attempt: owner },
        other => other.clone(),
    }
}

fn complete_of_anybody(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    let request = match request {
        Request::Complete(_) => &in_its_name(record.as_ref(), request),
        _ => request,
    };
    apply(record, request, now, fence)
}

fn release_of_anybody(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    let request = match request {
        Request::Release { .. } => &in_its_name(record.as_ref(), request),
        _ => request,
    };
    apply(record, request, now, fence)
}

fn renew_of_anybody(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    let request = match request {
        Request::Renew { .. } => &in_its_name(record.as_ref(), request),
        _ => request,
    };
    apply(record, request, now, fence)
}

fn interrupt_of_anybody(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    let request = match request {
        Request::Interrupt { .. } => &in_its_name(record.as_ref(), request),
        _ => request,
    };
    apply(record, request, now, fence)
}

fn complete_over_done(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    if let (Some(record), Request::Complete(complete)) = (record.as_mut(), request) {
        if record.head.state == State::Done {
            record.head.state = State::Running;
            record.head.attempt = complete.attempt;
        }
    }
    apply(record, request, now, fence)
}

fn complete_without_digest(
    record: &mut Option<Record>,
    request: &Request,
    now: &Now,
    fence: &mut u64,
) -> Reply {
    let request = match request {
        Request::Complete(complete) => {
            let mut complete = (**complete).clone();
            complete.digest.clear();
            &Request::Complete(complete.into())
        }
        _ => request,
    };
    apply(record, request, now, fence)
}

fn fence_reset_after_release(
    record: &mut Option<Record>,
    request: &Request,
    now: &Now,
    fence: &mut u64,
) -> Reply {
    let free = record.as_ref().is_some_and(|record| record.head.state == State::Free);
    if free && matches!(request, Request::Claim(_)) {
        *record = None;
        *fence = 0;
    }
    apply(record, request, now, fence)
}

fn early_takeover(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    if let (Some(record), Request::Claim(claim)) = (record.as_mut(), request) {
        if record.head.state == State::Running && record.head.attempt != claim.attempt {
            record.head.lease.micros = record.head.lease.micros.saturating_sub(1);
        }
    }
    apply(record, request, now, fence)
}

fn new_generation(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    match apply(record, request, now, fence) {
        Reply::Claimed(mut grant) => {
            grant.generation = grant.fence;
            if let Some(record) = record {
                record.head.generation = grant.fence;
            }
            Reply::Claimed(grant)
        }
        other => other,
    }
}

fn late_claim(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    if let (Some(record), Request::Claim(claim)) = (record.as_mut(), request) {
        let settled = matches!(record.head.state, State::Free | State::Interrupted);
        if settled && record.head.attempt == claim.attempt {
            record.head.attempt = AttemptId::NOBODY;
        }
    }
    apply(record, request, now, fence)
}

fn policy_of_the_claim(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    if let (Some(record), Request::Claim(_)) = (record.as_mut(), request) {
        record.head.on_interrupt = OnInterrupt::Retry;
    }
    apply(record, request, now, fence)
}

fn forget_whatever(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    if let Request::Forget { .. } = request {
        *record = None;
    }
    apply(record, request, now, fence)
}

fn expires_early(record: &mut Option<Record>, request: &Request, now: &Now, fence: &mut u64) -> Reply {
    let mut early = *now;
    if let (Some(record), Request::Claim(_)) = (record.as_ref(), request) {
        if record.head.state == State::Done && !protocol::expired(&record.head, now) {
            early.wall = record.head.expires;
        }
    }
    apply(record, request, &early, fence)
}
