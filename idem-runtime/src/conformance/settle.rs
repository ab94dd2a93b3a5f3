//! `release`, `renew` and `interrupt`: what an attempt says while it runs or as it stops.

use std::time::Instant;

use super::Check;
use super::driver::{Bench, Call, LONG, Outcome, attempts, ensure, must_be};
use crate::store::{AttemptId, OnInterrupt, Reply, Request, State};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "release-running",
        rule: "running, this attempt: free, expires the claim's `ttl` from now; released",
        run: release_running,
    },
    Check {
        name: "release-nothing",
        rule: "nothing: free by this attempt, for one lease; released",
        run: release_nothing,
    },
    Check {
        name: "release-anything-else",
        rule: "anything else: nothing; released",
        run: release_anything_else,
    },
    Check {
        name: "renew-running",
        rule: "running, this attempt: lease extended; renewed",
        run: renew_running,
    },
    Check {
        name: "renew-anything-else",
        rule: "anything else: nothing; lease lost",
        run: renew_anything_else,
    },
    Check {
        name: "interrupt-running",
        rule: "running or interrupted, this attempt: interrupted; interrupted",
        run: interrupt_running,
    },
    Check {
        name: "interrupt-anything-else",
        rule: "anything else: nothing; lease lost",
        run: interrupt_anything_else,
    },
];

/// Brings calls into every state but running by this attempt.
fn others(bench: &Bench, a: AttemptId) -> Outcome<Vec<(&'static str, Call)>> {
    /// A state, and how to get there.
    type Way = (&'static str, fn(&Call, AttemptId, AttemptId) -> Outcome);
    let ways: [Way; 8] = [
        ("nothing", |_, _, _| Ok(())),
        ("running, another attempt", |call, _, b| call.granted(b).map(drop)),
        ("free by itself", |call, a, _| {
            call.granted(a)?;
            call.released(a)
        }),
        ("free by another", |call, _, b| {
            call.granted(b)?;
            call.released(b)
        }),
        ("interrupted, another attempt", |call, _, b| {
            call.granted(b)?;
            call.interrupted(b)
        }),
        ("done by itself", |call, a, _| {
            let grant = call.granted(a)?;
            call.completed(a, grant)
        }),
        ("done by another", |call, _, b| {
            let grant = call.granted(b)?;
            call.completed(b, grant)
        }),
        ("taken over", |call, a, b| {
            call.granted_with(a, |claim| claim.lease = call.unit)?;
            call.lease_over()?;
            call.granted(b).map(drop)
        }),
    ];
    let calls = bench.calls(ways.len());
    ways.into_iter()
        .zip(calls)
        .map(|((state, way), call)| {
            let [b] = attempts();
            way(&call, a, b)?;
            Ok((state, call))
        })
        .collect()
}

fn release_running(bench: &Bench) -> Outcome {
    for policy in [OnInterrupt::Retry, OnInterrupt::Reject] {
        let [a] = attempts();
        let call = bench.call();
        call.granted_with(a, |claim| (claim.lease, claim.on_interrupt) = (call.unit, policy))?;
        call.lease_over()?;
        call.released(a)?;
        let head = call.the_record()?.head;
        ensure!(
            head.state == State::Free && head.attempt == a && !head.tombstone && head.unended == 0,
            "free by this attempt, which ended: {head:?}"
        );
        must_be!(call.ask_in_vain(call.release(a))?, Reply::Released, "`release` again");
        let call = bench.call();
        call.granted_with(a, |claim| (claim.ttl, claim.on_interrupt) = (call.unit, policy))?;
        let sent = Instant::now();
        call.released(a)?;
        call.expires(sent, call.unit, &format!("a record that is free, under {policy:?},"))?;
    }
    Ok(())
}

fn release_nothing(bench: &Bench) -> Outcome {
    let [a, b] = attempts();
    let call = bench.call();
    for _ in 0..2 {
        call.released(a)?;
        let reply = call.ask_in_vain(call.claim(a))?;
        must_be!(reply, Reply::LeaseLost { .. }, "the claim that comes after its `release`");
    }
    must_be!(call.ask_in_vain(call.release(b))?, Reply::Released, "`release` by another");
    let call = bench.call();
    let release = Request::Release { token: call.token, attempt: a, lease: call.unit };
    let sent = Instant::now();
    must_be!(call.ask(release)?, Reply::Released, "`release` of nothing");
    call.expires(sent, call.unit, "a record that is free by a `release` that found nothing")?;
    let grant = call.granted(a)?;
    ensure!(grant.number == 1, "after that lease the claim is an ordinary one: {grant:?}");
    Ok(())
}

fn release_anything_else(bench: &Bench) -> Outcome {
    let [a] = attempts();
    for (state, call) in others(bench, a)?.iter().skip(1) {
        let when = format!("`release`, {state}");
        must_be!(call.ask_in_vain(call.release(a))?, Reply::Released, when);
    }
    let call = bench.call();
    call.granted(a)?;
    call.interrupted(a)?;
    must_be!(call.ask_in_vain(call.release(a))?, Reply::Released, "`release`, interrupted by itself");
    Ok(())
}

fn renew_running(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    // Also after its lease, if nobody took over.
    for over in [false, true] {
        let grant = call.granted_with(a, |claim| claim.lease = call.unit)?;
        if over {
            call.lease_over()?;
        }
        for _ in 0..2 {
            must_be!(call.ask(call.renew(a))?, Reply::Renewed, "`renew`, running, this attempt");
        }
        let reply = call.ask_in_vain(call.claim(b))?;
        let left = must_be!(reply, Reply::Running { lease_left, .. } => lease_left, "after `renew`");
        ensure!(left > LONG / 2 && left <= LONG, "the lease was extended to {LONG:?}: {left:?} left");
        let head = call.the_record()?.head;
        ensure!(head.fence == grant.fence && head.number == 1, "the attempt is the same: {head:?}");
    }
    // A sign of life keeps the record, too: looked at as often as it takes to send it in time.
    loop {
        let call = bench.call();
        let sent = Instant::now();
        call.granted_with(a, |claim| (claim.lease, claim.ttl) = (call.unit, call.unit))?;
        let renew = Request::Renew { token: call.token, attempt: a, lease: call.unit * 3 };
        match call.ask(renew)? {
            Reply::Renewed => {
                let what = "a record that was renewed for three units, with a `ttl` of one,";
                return call.expires(sent, call.unit * 4, what);
            }
            Reply::LeaseLost { .. } if sent.elapsed() >= call.unit * 2 => {}
            other => return Err(format!("`renew`: expected `Renewed`, found {other:?}").into()),
        }
    }
}

fn renew_anything_else(bench: &Bench) -> Outcome {
    let [a] = attempts();
    for (state, call) in others(bench, a)? {
        let when = format!("`renew`, {state}");
        must_be!(call.ask_in_vain(call.renew(a))?, Reply::LeaseLost { .. }, when);
    }
    let call = bench.call();
    call.granted(a)?;
    call.interrupted(a)?;
    let when = "`renew`, interrupted by itself";
    must_be!(call.ask_in_vain(call.renew(a))?, Reply::LeaseLost { .. }, when);
    Ok(())
}

fn interrupt_running(bench: &Bench) -> Outcome {
    for over in [false, true] {
        let [a] = attempts();
        let call = bench.call();
        call.granted_with(a, |claim| claim.lease = if over { call.unit } else { LONG })?;
        if over {
            call.lease_over()?;
        }
        call.interrupted(a)?;
        let head = call.the_record()?.head;
        ensure!(
            head.state == State::Interrupted && head.attempt == a && head.unended == 1,
            "interrupted, this attempt, one that did not end: {head:?}"
        );
        for _ in 0..2 {
            must_be!(call.ask_in_vain(call.interrupt(a))?, Reply::Stopped, "`interrupt` again");
        }
    }
    let [a] = attempts();
    let call = bench.call();
    call.granted_with(a, |claim| claim.ttl = call.unit)?;
    let sent = Instant::now();
    call.interrupted(a)?;
    call.expires(sent, call.unit, "a record that is interrupted, under `retry`,")
}

fn interrupt_anything_else(bench: &Bench) -> Outcome {
    let [a] = attempts();
    for (state, call) in others(bench, a)? {
        let when = format!("`interrupt`, {state}");
        must_be!(call.ask_in_vain(call.interrupt(a))?, Reply::LeaseLost { .. }, when);
    }
    Ok(())
}
