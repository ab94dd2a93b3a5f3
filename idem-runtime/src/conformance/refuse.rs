//! `claim`, where an attempt began and did not end: whether the body is started again.

use std::time::Instant;

use super::Check;
use super::claim::rejecting;
use super::driver::{Bench, Call, LONG, Outcome, attempts, ensure, must_be};
use crate::store::{Claim, Grant, OnInterrupt, Reply, Request, State};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "claim-free-not-ended-reject",
        rule: "free, an earlier attempt did not end; `reject`: nothing; interrupted",
        run: free_not_ended_reject,
    },
    Check {
        name: "claim-reject",
        rule: "running, lease over, or interrupted; `reject` of record or claim: the stricter policy is kept, \
               the state stays; interrupted",
        run: reject,
    },
    Check {
        name: "claim-reject-stays",
        rule: "interrupted and lease over, under `reject`: they stay until a person acts",
        run: reject_stays,
    },
    Check {
        name: "claim-attempts-used-up",
        rule: "attempts used up: the policy becomes `reject`; interrupted. An `Err` does not count",
        run: attempts_used_up,
    },
    Check {
        name: "claim-refused-owner-ends",
        rule: "refused with interrupted: its owner may still end it",
        run: refused_owner_ends,
    },
];

/// Asks in vain, and is told that an attempt was interrupted.
fn is_interrupted(call: &Call, request: Request, number: u32, when: &str) -> Outcome {
    let reply = call.ask_in_vain(request)?;
    let found = must_be!(reply, Reply::Interrupted { number, .. } => number, when);
    ensure!(found == number, "{when}: it was attempt {number}, not {found}");
    Ok(())
}

/// Free, and an earlier attempt did not end.
fn make_free_not_ended(call: &Call) -> Outcome<Grant> {
    let [a, b] = attempts();
    call.granted(a)?;
    call.interrupted(a)?;
    let grant = call.granted(b)?;
    call.released(b)?;
    Ok(grant)
}

fn free_not_ended_reject(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [c] = attempts();
    make_free_not_ended(&call)?;
    is_interrupted(&call, call.claim_with(c, rejecting), 2, "free, the claim says `reject`")?;
    let different = call.claim_with(c, |claim| {
        rejecting(claim);
        call.differ(claim);
    });
    is_interrupted(&call, different, 2, "free, the claim says `reject` and has other arguments")?;
    let grant = call.granted(c)?;
    ensure!(grant.number == 3, "with `retry` it is attempt 3: {grant:?}");
    Ok(())
}

fn reject(bench: &Bench) -> Outcome {
    for ended in [true, false] {
        for of_the_record in [true, false] {
            let call = bench.call();
            let [a, b, c] = attempts();
            let lease = if ended { LONG } else { call.unit };
            call.granted_with(a, |claim| {
                claim.lease = lease;
                claim.on_interrupt = if of_the_record { OnInterrupt::Reject } else { OnInterrupt::Retry };
            })?;
            let state = if ended {
                call.interrupted(a)?;
                State::Interrupted
            } else {
                call.lease_over()?;
                State::Running
            };
            let when = format!("{state}, `reject` of the {}", if of_the_record { "record" } else { "claim" });
            let strict = call.claim_with(b, |claim| {
                if !of_the_record {
                    rejecting(claim)
                }
            });
            let reply = call.ask(strict)?;
            let number = must_be!(reply, Reply::Interrupted { number, .. } => number, when);
            ensure!(number == 1, "{when}: it was attempt 1, not {number}");
            let head = call.the_record()?.head;
            ensure!(head.state == state && head.attempt == a, "{when}: the state stays: {head:?}");
            ensure!(
                head.on_interrupt == OnInterrupt::Reject,
                "{when}: the stricter policy is kept: {head:?}"
            );
            is_interrupted(&call, call.claim(c), 1, &format!("{when}, then a claim that says `retry`"))?;
        }
    }
    Ok(())
}

fn reject_stays(bench: &Bench) -> Outcome {
    let calls = bench.calls(3);
    let [a, b] = attempts();
    let short = |claim: &mut Claim| (claim.lease, claim.ttl) = (bench.unit, bench.unit);
    let strict = |claim: &mut Claim| {
        short(claim);
        rejecting(claim);
    };
    calls[0].granted_with(a, strict)?;
    calls[0].interrupted(a)?;
    calls[1].granted_with(a, strict)?;
    // One that began later and may expire has gone before the others are looked at.
    let sent = Instant::now();
    calls[2].granted_with(a, short)?;
    calls[2].expires(sent, bench.unit * 2, "a record whose lease is over, under `retry`")?;
    for (call, state) in calls.iter().zip(["interrupted", "lease over"]) {
        is_interrupted(call, call.claim(b), 1, &format!("{state}, under `reject`, after its `ttl`"))?;
    }
    Ok(())
}

fn attempts_used_up(bench: &Bench) -> Outcome {
    let two = |claim: &mut Claim| claim.max_attempts = Some(2);
    let call = bench.call();
    let [a, b, c, d] = attempts();
    call.granted_with(a, two)?;
    call.interrupted(a)?;
    // An attempt that ends in an `Err` does not count.
    call.granted_with(b, two)?;
    call.released(b)?;
    call.granted_with(c, |claim| {
        two(claim);
        claim.lease = call.unit;
    })?;
    call.lease_over()?;
    let reply = call.ask(call.claim_with(d, two))?;
    must_be!(reply, Reply::Interrupted { number: 3, .. }, "two attempts did not end, and two are allowed");
    is_interrupted(&call, call.claim(d), 3, "from then on the policy is `reject`")?;
    call.is(State::Running, "its state stays")
}

fn refused_owner_ends(bench: &Bench) -> Outcome {
    let calls = bench.calls(4);
    let [a, b] = attempts();
    for (way, call) in calls.iter().enumerate() {
        let grant = call.granted_with(a, |claim| claim.lease = call.unit)?;
        call.lease_over()?;
        let reply = call.ask(call.claim_with(b, rejecting))?;
        must_be!(reply, Reply::Interrupted { .. }, "lease over, the claim says `reject`");
        match way {
            0 => {
                call.completed(a, grant)?;
                call.duplicate("completed by its owner")?;
            }
            1 => {
                call.released(a)?;
                call.is(State::Free, "released by its owner")?;
                call.granted(b)?;
            }
            2 => {
                must_be!(call.ask(call.renew(a))?, Reply::Renewed, "`renew` by its owner");
                must_be!(call.ask(call.claim(b))?, Reply::Running { .. }, "renewed by its owner");
            }
            _ => {
                call.interrupted(a)?;
                is_interrupted(call, call.claim(b), 1, "interrupted by its owner")?;
            }
        }
    }
    Ok(())
}
