//! Stores with one rule of the protocol taken out, each by something around `protocol::apply`.

use std::sync::Arc;
use std::time::Duration;

use idem_runtime::conformance::history::{History, Report};
use idem_runtime::store::{AttemptId, OnInterrupt, Record, Reply, Request, State};
use idem_runtime::{LeaseTime, Now};

use crate::held::{Apply, Held, apply};

const LEASE: Duration = Duration::from_millis(200);

/// Runs until a violation is seen, at most two minutes.
fn run(store: &Held) -> Report {
    let seed = std::env::var("IDEM_HISTORY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let history = History::new().seed(seed).lease(LEASE).kills(u64::MAX).at_most(Duration::from_secs(120));
    history.tasks(|| store.clone())
}

#[track_caller]
fn is_found(promises: &[&str], store: &Held) {
    let report = run(store);
    let found: Vec<&str> = report.violations().iter().map(|violation| violation.promise).collect();
    println!("found after {:.1} s: {found:?}", report.took().as_secs_f64());
    if let Some(first) = report.violations().first() {
        println!("{}: {}", first.promise, first.what);
    }
    assert!(found.iter().any(|promise| promises.contains(promise)), "{report}");
    assert!(!report.violations()[0].events.is_empty());
}

#[track_caller]
fn is_found_in(promises: &[&str], apply: Apply) {
    is_found(promises, &Held::new(apply));
}

#[test]
fn nothing_is_found_in_a_store_that_is_not_broken() {
    let store = Held::new(apply);
    let report = History::new().lease(LEASE).kills(20).stops(10).lost(300).tasks(|| store.clone());
    println!("{report}");
    report.assert();
}

/// The request as if the attempt that runs had sent it.
fn by_whoever_runs(record: Option<&Record>, request: &Request) -> Request {
    let running = record.filter(|record| record.head.state == State::Running);
    let Some(attempt) = running.map(|record| record.head.attempt) else { return request.clone() };
    match request.clone() {
        Request::Complete(complete) => {
            let mut complete = complete.as_ref().clone();
            complete.attempt = attempt;
            Request::Complete(Arc::new(complete))
        }
        Request::Release { token, lease, .. } => Request::Release { token, attempt, lease },
        Request::Renew { token, lease, .. } => Request::Renew { token, attempt, lease },
        other => other,
    }
}

/// The claim with another lease.
fn with_lease(request: &Request, lease: Duration) -> Request {
    match request.clone() {
        Request::Claim(claim) => {
            let mut claim = claim.as_ref().clone();
            claim.lease = lease;
            Request::Claim(Arc::new(claim))
        }
        Request::Renew { token, attempt, .. } => Request::Renew { token, attempt, lease },
        other => other,
    }
}

#[test]
fn no_owner_check_on_complete() {
    is_found_in(&["I3", "I2"], |record, request, now, fence| match request {
        Request::Complete(_) => apply(record, &by_whoever_runs(record.as_ref(), request), now, fence),
        _ => apply(record, request, now, fence),
    });
}

#[test]
fn no_owner_check_on_release() {
    is_found_in(&["I1"], |record, request, now, fence| match request {
        Request::Release { .. } => apply(record, &by_whoever_runs(record.as_ref(), request), now, fence),
        _ => apply(record, request, now, fence),
    });
}

#[test]
fn no_owner_check_on_renew() {
    is_found_in(&["I3"], |record, request, now, fence| match request {
        Request::Renew { .. } => apply(record, &by_whoever_runs(record.as_ref(), request), now, fence),
        _ => apply(record, request, now, fence),
    });
}

/// How long this attempt's claims and renewals take to be answered.
fn slow(request: &Request) -> Duration {
    let attempt = match request {
        Request::Claim(claim) => claim.attempt,
        Request::Renew { attempt, .. } => *attempt,
        _ => return Duration::ZERO,
    };
    LEASE / 4 * u32::from(attempt.to_bytes()[15] % 4)
}

/// Whoever counts from the answer believes in its lease for longer than the store by as long as the answer took.
#[test]
fn the_lease_is_counted_from_the_answer() {
    let store = Held::new(|record, request, now, fence| {
        apply(record, &with_lease(request, LEASE - slow(request)), now, fence)
    });
    is_found(&["I1"], &store.slow(slow));
}

#[test]
fn the_fence_begins_again_after_a_release() {
    is_found_in(&["I4"], |record, request, now, fence| {
        let was_free = record.as_ref().is_some_and(|record| record.head.state == State::Free);
        let reply = apply(record, request, now, fence);
        match (reply, record) {
            (Reply::Claimed(mut grant), Some(record)) if was_free => {
                record.head.fence = u64::from(grant.number);
                grant.fence = record.head.fence;
                Reply::Claimed(grant)
            }
            (reply, _) => reply,
        }
    });
}

#[test]
fn a_takeover_before_the_lease_is_over() {
    is_found_in(&["I1"], |record, request, now, fence| {
        let micros = now.lease.micros + LEASE.as_micros() as u64 / 2;
        let sooner = Now { lease: LeaseTime { micros, ..now.lease }, ..*now };
        let mine = |record: &Record| matches!(request, Request::Claim(claim) if claim.attempt != record.head.attempt);
        let other = record.as_ref().is_some_and(mine);
        let now = if other { &sooner } else { now };
        // The lease of what is granted then is to be as long as ever.
        let shorter = with_lease(request, LEASE / 2);
        apply(record, if other { &shorter } else { request }, now, fence)
    });
}

#[test]
fn a_lost_claim_is_not_released() {
    is_found_in(&["I9", "I10"], |record, request, now, fence| match request {
        Request::Release { .. } if record.is_some() => Reply::Released,
        _ => apply(record, request, now, fence),
    });
}

#[test]
fn the_policy_of_the_record_is_ignored() {
    is_found_in(&["I10"], |record, request, now, fence| {
        if let (Some(record), Request::Claim(_)) = (record.as_mut(), request) {
            record.head.on_interrupt = OnInterrupt::Retry;
        }
        apply(record, request, now, fence)
    });
}

#[test]
fn the_row_for_a_late_claim() {
    is_found_in(&["I7"], |record, request, now, fence| {
        if let (Some(record), Request::Claim(claim)) = (record.as_mut(), request) {
            let over = matches!(record.head.state, State::Free | State::Interrupted);
            if over && record.head.attempt == claim.attempt {
                record.head.attempt = AttemptId::NOBODY;
            }
        }
        apply(record, request, now, fence)
    });
}

#[test]
fn what_runs_is_forgotten() {
    is_found_in(&["I1"], |record, request, now, fence| match request {
        Request::Forget { .. } => {
            *record = None;
            Reply::Forgotten
        }
        _ => apply(record, request, now, fence),
    });
}

#[test]
fn complete_without_a_digest() {
    is_found_in(&["I2"], |record, request, now, fence| match request {
        Request::Complete(complete) => {
            let mut complete = complete.as_ref().clone();
            complete.digest.clear();
            apply(record, &Request::Complete(Arc::new(complete)), now, fence)
        }
        _ => apply(record, request, now, fence),
    });
}
