//! `claim`: may this attempt run the body?

use std::time::Instant;

use super::Check;
use super::driver::{Bench, Call, LONG, Outcome, attempts, ensure, must_be, not_before};
use crate::store::{AttemptId, Claim, Grant, Kind, OnInterrupt, Reply, State};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "claim-nothing",
        rule: "found nothing: running, mine, new fence and generation, attempt 1; claimed",
        run: nothing,
    },
    Check {
        name: "claim-expired",
        rule: "found an expired record: like nothing, with a higher fence",
        run: expired,
    },
    Check {
        name: "claim-again",
        rule: "running, this attempt: the lease starts anew; claimed, same fence",
        run: again,
    },
    Check {
        name: "claim-late",
        rule: "free or interrupted, last attempt was this one: nothing; lease lost",
        run: late,
    },
    Check {
        name: "claim-after-a-strangers-release-of-nothing",
        rule: "free by a `release` that found nothing: running, mine, new fence and generation, attempt 1",
        run: after_a_strangers_release,
    },
    Check {
        name: "claim-free",
        rule: "free: running, mine, higher fence, same generation; claimed, attempt n + 1",
        run: free,
    },
    Check {
        name: "claim-free-other-arguments",
        rule: "free, the digest differs: a new generation; claimed, attempt n + 1",
        run: free_other_arguments,
    },
    Check {
        name: "claim-mismatch",
        rule: "digest differs, and is not the one in `accept`: nothing; mismatch, with the record's digest",
        run: mismatch,
    },
    Check {
        name: "claim-running",
        rule: "running, lease not over: nothing; running, since when, lease left",
        run: running,
    },
    Check {
        name: "claim-lease-over-retry",
        rule: "running, lease over; `retry`: running, mine, higher fence, same generation; attempt n + 1",
        run: lease_over_retry,
    },
    Check {
        name: "claim-interrupted-retry",
        rule: "interrupted; `retry`: running, mine, higher fence, same generation; attempt n + 1",
        run: interrupted_retry,
    },
    Check { name: "claim-done", rule: "done: nothing; done, with the result, when, until when", run: done },
    Check {
        name: "claim-keeps",
        rule: "the record keeps scope, function and digest; the arguments only where they are to be recorded",
        run: keeps,
    },
];

pub(super) fn rejecting(claim: &mut Claim) {
    claim.on_interrupt = OnInterrupt::Reject;
}

fn nothing(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    ensure!(call.record()?.is_none(), "a record is there that nobody made");
    let grant = call.granted(a)?;
    ensure!(grant.number == 1, "the first attempt is number {}", grant.number);
    ensure!(grant.fence > 0 && grant.generation == grant.fence, "the generation is the fence: {grant:?}");
    let head = call.the_record()?.head;
    ensure!(
        head.state == State::Running && head.attempt == a && !head.tombstone && head.number == 1,
        "the record is to be running, by this attempt: {head:?}"
    );
    ensure!(
        (head.fence, head.generation) == (grant.fence, grant.generation),
        "the record has {head:?}, the answer was {grant:?}"
    );
    ensure!(head.first_at == head.began_at, "first asked for when the attempt began: {head:?}");
    Ok(())
}

fn expired(bench: &Bench) -> Outcome {
    let unit = bench.unit;
    /// A state, how to get there, and after how many units it expires.
    type Way = (&'static str, fn(&Call, AttemptId, Grant) -> Outcome, u32);
    let ways: [Way; 4] = [
        (
            "done",
            |call, attempt, grant| {
                let complete = call.complete_with(attempt, grant, |complete| complete.ttl = call.unit);
                must_be!(call.ask(complete)?, Reply::Completed, "`complete`");
                Ok(())
            },
            1,
        ),
        ("free", |call, attempt, _| call.released(attempt), 1),
        ("interrupted", |call, attempt, _| call.interrupted(attempt), 1),
        ("running, its lease over", |_, _, _| Ok(()), 2),
    ];
    let calls = bench.calls(ways.len());
    for (call, (state, end, units)) in calls.iter().zip(ways) {
        let [a, b] = attempts();
        let claimed = Instant::now();
        let lease = if units == 2 { unit } else { LONG };
        let first = call.granted_with(a, |claim| (claim.lease, claim.ttl) = (lease, unit))?;
        let sent = if units == 2 { claimed } else { Instant::now() };
        end(call, a, first)?;
        call.expires(sent, unit * units, &format!("a record that is {state}"))?;
        let second = call.granted(b)?;
        ensure!(second.number == 1, "{state} and expired: attempt 1, not {}", second.number);
        ensure!(
            second.fence > first.fence && second.generation == second.fence,
            "{state} and expired: a higher fence and a new generation, after {first:?} not {second:?}"
        );
    }
    Ok(())
}

fn again(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let first = call.granted_with(a, |claim| claim.lease = call.unit)?;
    call.lease_over()?;
    for _ in 0..2 {
        let again = call.granted(a)?;
        ensure!(again == first, "the same claim again is to be answered with {first:?}, not {again:?}");
    }
    let reply = call.ask_in_vain(call.claim(b))?;
    let left = must_be!(reply, Reply::Running { lease_left, .. } => lease_left, "after the lease began anew");
    ensure!(left > LONG / 2, "the lease began anew, and only {left:?} of {LONG:?} are left");
    Ok(())
}

fn late(bench: &Bench) -> Outcome {
    let calls = bench.calls(3);
    let [a] = attempts();
    calls[0].granted(a)?;
    calls[0].released(a)?;
    calls[1].granted(a)?;
    calls[1].interrupted(a)?;
    calls[2].released(a)?;
    let after = ["`release`", "`interrupt`", "a `release` that found nothing"];
    for (call, after) in calls.iter().zip(after) {
        for _ in 0..2 {
            let reply = call.ask_in_vain(call.claim(a))?;
            must_be!(reply, Reply::LeaseLost { .. }, format!("a claim that comes after its own {after}"));
        }
    }
    Ok(())
}

fn after_a_strangers_release(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    call.released(a)?;
    let head = call.the_record()?.head;
    ensure!(head.tombstone && head.state == State::Free && head.attempt == a, "free by {a}: {head:?}");
    let grant = call.granted_with(b, rejecting)?;
    ensure!(
        grant.number == 1 && grant.generation == grant.fence,
        "a `release` that found nothing is no attempt: {grant:?}"
    );
    ensure!(!call.the_record()?.head.tombstone, "the record is a real one now");
    Ok(())
}

fn free(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let first = call.granted(a)?;
    call.released(a)?;
    let second = call.granted_with(b, |claim| claim.max_attempts = Some(1))?;
    ensure!(second.fence > first.fence, "the fence grows: {first:?}, {second:?}");
    ensure!(second.generation == first.generation, "the generation stays: {first:?}, {second:?}");
    ensure!(second.number == 2, "it is attempt 2: {second:?}");
    let head = call.the_record()?.head;
    ensure!(head.state == State::Running && head.attempt == b, "running, by the second attempt: {head:?}");
    Ok(())
}

fn free_other_arguments(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b, c] = attempts();
    let first = call.granted(a)?;
    call.released(a)?;
    let second = call.granted_with(b, |claim| call.differ(claim))?;
    ensure!(
        second.fence > first.fence && second.generation == second.fence && second.number == 2,
        "other arguments: a new generation, attempt 2: {first:?}, {second:?}"
    );
    let reply = call.ask_in_vain(call.claim(c))?;
    must_be!(reply, Reply::Mismatch { .. }, "the digest of the first attempt is not the record's any more");
    Ok(())
}

fn mismatch(bench: &Bench) -> Outcome {
    let calls = bench.calls(4);
    let [a, b] = attempts();
    let grant = calls[0].granted(a)?;
    calls[1].granted_with(a, |claim| claim.lease = bench.unit)?;
    calls[1].lease_over()?;
    calls[2].granted(a)?;
    calls[2].interrupted(a)?;
    let done = calls[3].granted(a)?;
    calls[3].completed(a, done)?;
    let states = ["running", "running, its lease over", "interrupted", "done"];
    for (call, state) in calls.iter().zip(states) {
        let differing = call.claim_with(b, |claim| call.differ(claim));
        let wrong = call.claim_with(b, |claim| {
            call.differ(claim);
            claim.accept = Some(b"neither".to_vec());
        });
        for request in [differing, wrong] {
            let when = format!("{state}, other arguments");
            let reply = call.ask_in_vain(request)?;
            let digest = must_be!(reply, Reply::Mismatch { digest } => digest, when);
            ensure!(
                digest == call.digest,
                "{when}: the record's digest is {:?}, not {digest:?}",
                call.digest
            );
        }
        let when = format!("{state}, other arguments, the record's digest accepted");
        let accepting = call.claim_with(b, |claim| {
            call.differ(claim);
            claim.accept = Some(call.digest.clone());
        });
        match (state, call.ask(accepting)?) {
            ("running", Reply::Running { .. }) | ("done", Reply::Done(_)) => {}
            ("interrupted" | "running, its lease over", Reply::Claimed(next)) => {
                ensure!(
                    next.number == 2 && next.generation < next.fence,
                    "{when}: same generation: {next:?}"
                );
            }
            (_, other) => return Err(format!("{when}: {other:?}").into()),
        }
        // Equal arguments are never a mismatch.
        if state == "done" {
            call.duplicate("done, equal arguments")?;
        }
    }
    let again = calls[0].granted_with(a, |claim| calls[0].differ(claim))?;
    ensure!(again == grant, "an attempt's own claim again is to be answered with {grant:?}, not {again:?}");
    Ok(())
}

fn running(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    call.granted(a)?;
    let claims = [
        call.claim(b),
        call.claim_with(b, rejecting),
        call.claim_with(b, |claim| claim.max_attempts = Some(1)),
    ];
    let began_at = call.the_record()?.head.began_at;
    for claim in claims {
        let reply = call.ask_in_vain(claim)?;
        let (since, left) = must_be!(
            reply,
            Reply::Running { since, lease_left } => (since, lease_left),
            "running, its lease not over"
        );
        ensure!(since == began_at, "it runs since {began_at:?}, not {since:?}");
        ensure!(left <= LONG && left > LONG / 2, "of a lease of {LONG:?} are left {left:?}");
    }
    Ok(())
}

fn lease_over_retry(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    let sent = Instant::now();
    let first = call.granted_with(a, |claim| claim.lease = call.unit)?;
    // Asked for over and over, so that one granted too early would be seen.
    let (next, second) = call.until("the end of the lease", || {
        let [next] = attempts();
        match call.ask(call.claim(next))? {
            Reply::Running { lease_left, .. } => {
                ensure!(lease_left <= call.unit, "{lease_left:?} of a lease of {:?} left", call.unit);
                Ok(None)
            }
            Reply::Claimed(grant) => {
                not_before(sent, call.unit, "the record was taken over")?;
                Ok(Some((next, grant)))
            }
            other => Err(format!("running: expected `Running` or `Claimed`, found {other:?}").into()),
        }
    })?;
    ensure!(
        second.fence > first.fence && second.generation == first.generation && second.number == 2,
        "taken over: higher fence, same generation, attempt 2: {first:?}, {second:?}"
    );
    let head = call.the_record()?.head;
    ensure!(head.attempt == next && head.unended == 1, "one attempt did not end: {head:?}");
    Ok(())
}

fn interrupted_retry(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let first = call.granted(a)?;
    call.interrupted(a)?;
    let second = call.granted(b)?;
    ensure!(
        second.fence > first.fence && second.generation == first.generation && second.number == 2,
        "interrupted: higher fence, same generation, attempt 2: {first:?}, {second:?}"
    );
    call.is(State::Running, "claimed after an interruption")
}

fn done(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let grant = call.granted(a)?;
    let began_at = call.the_record()?.head.first_at;
    call.completed(a, grant)?;
    let strict = call.claim_with(b, |claim| {
        rejecting(claim);
        claim.max_attempts = Some(1);
    });
    for request in [call.claim(b), strict, call.claim(a)] {
        let reply = call.ask_in_vain(request)?;
        let finished = must_be!(reply, Reply::Done(finished) => finished, "done");
        ensure!(
            finished.result == super::driver::result_of(a) && finished.kind == Kind::Value,
            "done with the result of the attempt that completed, and that it is a value: {finished:?}"
        );
        ensure!(
            finished.attempt == a && finished.generation == grant.generation,
            "done by the attempt that completed, in its generation: {finished:?}, {grant:?}"
        );
        ensure!(finished.first_at == began_at, "first asked for at {began_at:?}: {finished:?}");
        ensure!(
            finished.first_at <= finished.completed_at && finished.completed_at < finished.expires_at,
            "first asked for, then completed, then expired: {finished:?}"
        );
        let life = finished.expires_at.since(finished.completed_at);
        ensure!(
            life.abs_diff(LONG) < bench.unit,
            "it answers duplicates for the `ttl` of `complete`, {LONG:?}, not {life:?}"
        );
    }
    Ok(())
}

fn keeps(bench: &Bench) -> Outcome {
    for recorded in [true, false] {
        let call = bench.call();
        let [a] = attempts();
        let grant = call.granted_with(a, |claim| claim.record_arguments = recorded)?;
        for state in ["running", "done"] {
            let record = call.the_record()?;
            ensure!(record.scope == call.scope, "{state}: the scope is kept, not {:?}", record.scope);
            ensure!(
                record.function == call.function,
                "{state}: the function is kept, not {:?}",
                record.function
            );
            ensure!(record.digest == call.digest, "{state}: the digest is kept, not {:?}", record.digest);
            let expected = recorded.then(|| call.arguments.clone());
            ensure!(
                record.arguments == expected,
                "{state}: the arguments are to be {expected:?} and are {:?}",
                record.arguments
            );
            if state == "running" {
                call.completed(a, grant)?;
            }
        }
    }
    Ok(())
}
