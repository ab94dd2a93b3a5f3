//! `reopen`, `resolve` and `forget`: what a person says.

use std::sync::Arc;
use std::time::Instant;

use super::Check;
use super::driver::{Bench, Call, LONG, Outcome, attempts, ensure, must_be};
use crate::store::{AttemptId, Kind, OnInterrupt, Reply, Request, Resolve, State};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "reopen",
        rule: "interrupted, or running with its lease over, this fence: free, same generation, no attempts counted",
        run: reopen,
    },
    Check {
        name: "reopen-anything-else",
        rule: "another fence, or anything else: nothing; the record",
        run: reopen_anything_else,
    },
    Check {
        name: "resolve",
        rule: "interrupted, or running with its lease over, this fence: done, by nobody's attempt",
        run: resolve,
    },
    Check {
        name: "resolve-anything-else",
        rule: "another fence, or anything else: nothing; the record",
        run: resolve_anything_else,
    },
    Check {
        name: "resolve-expires",
        rule: "done by a person: expires `ttl` after that; without a result it is done all the same",
        run: resolve_expires,
    },
    Check {
        name: "forget",
        rule: "anything but a running record with a lease: record gone; forgotten",
        run: forget,
    },
    Check {
        name: "forget-running",
        rule: "a running record with a lease is not forgotten",
        run: forget_running,
    },
];

/// Records of whose last attempt nobody knows what it did, with that attempt.
fn undecided(bench: &Bench) -> Outcome<Vec<(&'static str, Call, AttemptId)>> {
    let mut made = Vec::new();
    for state in ["interrupted", "running, lease over"] {
        let call = bench.call();
        let [a] = attempts();
        call.granted_with(a, |claim| {
            claim.on_interrupt = OnInterrupt::Reject;
            claim.lease = call.unit;
        })?;
        if state == "interrupted" {
            call.interrupted(a)?;
        } else {
            call.lease_over()?;
        }
        made.push((state, call, a));
    }
    Ok(made)
}

/// Records about which a person has nothing to decide.
fn decided(bench: &Bench) -> Outcome<Vec<(&'static str, Call)>> {
    let states = ["nothing", "running", "free", "free by a `release` that found nothing", "done"];
    let calls = bench.calls(states.len());
    for (state, call) in states.iter().zip(&calls) {
        let [a] = attempts();
        match *state {
            "running" => drop(call.granted(a)?),
            "free" => {
                call.granted(a)?;
                call.released(a)?;
            }
            "done" => {
                let grant = call.granted(a)?;
                call.completed(a, grant)?;
            }
            "nothing" => {}
            _ => call.released(a)?,
        }
    }
    Ok(states.into_iter().zip(calls).collect())
}

/// Asks in vain, and is answered with the record.
fn gets_the_record(call: &Call, request: Request, when: &str) -> Outcome {
    let reply = call.ask_in_vain(request)?;
    let found = must_be!(reply, Reply::Record(record) => record, when);
    let record = call.record()?;
    ensure!(found == record, "{when}: the record is {record:?}, the answer was {found:?}");
    Ok(())
}

fn reopen(bench: &Bench) -> Outcome {
    for (state, call, a) in undecided(bench)? {
        let before = call.the_record()?.head;
        for time in ["at first", "again"] {
            let when = format!("`reopen`, {state}, {time}");
            must_be!(call.ask(call.reopen(before.fence))?, Reply::Reopened, when);
            let record = call.the_record()?;
            ensure!(
                record.head.state == State::Free && record.head.unended == 0,
                "{when}: free, and no attempts counted: {record:?}"
            );
            ensure!(&*record.by == "ann", "{when}: who did it is kept: {record:?}");
        }
        // What the stopped attempt still says changes nothing.
        must_be!(call.ask_in_vain(call.claim(a))?, Reply::LeaseLost { .. }, "a claim by the stopped attempt");
        must_be!(call.ask_in_vain(call.renew(a))?, Reply::LeaseLost { .. }, "`renew` by the stopped attempt");
        let [b] = attempts();
        let grant = call.granted_with(b, |claim| claim.max_attempts = Some(1))?;
        ensure!(
            grant.number == 2 && grant.generation == before.generation && grant.fence > before.fence,
            "{state}, reopened: attempt 2 of the same generation: {grant:?} after {before:?}"
        );
        gets_the_record(&call, call.reopen(before.fence), &format!("{state}, reopened, then claimed"))?;
    }
    Ok(())
}

fn reopen_anything_else(bench: &Bench) -> Outcome {
    for (state, call, _) in undecided(bench)? {
        let fence = call.the_record()?.head.fence;
        for other in [fence + 1, fence - 1] {
            gets_the_record(&call, call.reopen(other), &format!("`reopen`, {state}, another fence"))?;
        }
    }
    for (state, call) in decided(bench)? {
        let fence = call.record()?.map_or(1, |record| record.head.fence);
        gets_the_record(&call, call.reopen(fence), &format!("`reopen`, {state}"))?;
    }
    Ok(())
}

fn resolve(bench: &Bench) -> Outcome {
    for (state, call, a) in undecided(bench)? {
        let before = call.the_record()?.head;
        for time in ["at first", "again"] {
            let when = format!("`resolve`, {state}, {time}");
            must_be!(call.ask(call.resolve(before.fence, b"\x01"))?, Reply::Resolved, when);
        }
        let when = format!("{state}, resolved");
        let record = call.the_record()?;
        ensure!(&*record.by == "ann", "{when}: who did it is kept: {record:?}");
        let finished = call.duplicate(&when)?;
        ensure!(
            *finished.result == *b"\x01" && finished.kind == Kind::Value,
            "{when}: the result is the person's: {finished:?}"
        );
        ensure!(finished.attempt == AttemptId::NOBODY, "{when}: by nobody's attempt: {finished:?}");
        ensure!(finished.generation == before.generation, "{when}: in the same generation: {finished:?}");
        let again = call.resolve(before.fence, b"\x02");
        gets_the_record(&call, again, &format!("{when}, then with another result"))?;
        // The owner comes too late, and is told so.
        let grant = crate::store::Grant::new(before.fence, before.generation, before.number);
        let reply = call.ask_in_vain(call.complete(a, grant))?;
        let winner = must_be!(reply, Reply::LeaseLost { winner: Some(winner) } => winner, when);
        ensure!(*winner.result == *b"\x01", "{when}: the winner is {winner:?}");
    }
    Ok(())
}

fn resolve_anything_else(bench: &Bench) -> Outcome {
    for (state, call, _) in undecided(bench)? {
        let fence = call.the_record()?.head.fence;
        for other in [fence + 1, fence - 1] {
            gets_the_record(
                &call,
                call.resolve(other, b"\x01"),
                &format!("`resolve`, {state}, another fence"),
            )?;
        }
    }
    for (state, call) in decided(bench)? {
        let fence = call.record()?.map_or(1, |record| record.head.fence);
        gets_the_record(&call, call.resolve(fence, b"\x01"), &format!("`resolve`, {state}"))?;
    }
    Ok(())
}

fn resolve_expires(bench: &Bench) -> Outcome {
    for (_, call, _) in undecided(bench)? {
        let fence = call.the_record()?.head.fence;
        let resolve = Resolve::new(call.token, fence, "ann", LONG);
        must_be!(
            call.ask(Request::Resolve(Arc::new(resolve)))?,
            Reply::Resolved,
            "`resolve` without a result"
        );
        let finished = call.duplicate("resolved without a result")?;
        ensure!(
            finished.kind == Kind::None && finished.result.is_empty(),
            "resolved without a result: {finished:?}"
        );
    }
    for (_, call, _) in undecided(bench)? {
        let fence = call.the_record()?.head.fence;
        let resolve = Resolve::new(call.token, fence, "ann", call.unit);
        let sent = Instant::now();
        must_be!(call.ask(Request::Resolve(Arc::new(resolve)))?, Reply::Resolved, "`resolve`");
        call.expires(sent, call.unit, "a record that a person resolved")?;
    }
    Ok(())
}

fn forget(bench: &Bench) -> Outcome {
    let mut all: Vec<_> = undecided(bench)?.into_iter().map(|(state, call, _)| (state, call)).collect();
    all.extend(decided(bench)?.into_iter().filter(|(state, _)| *state != "running"));
    for (state, call) in all {
        for time in ["at first", "again"] {
            must_be!(call.ask(call.forget())?, Reply::Forgotten, format!("`forget`, {state}, {time}"));
            ensure!(call.record()?.is_none(), "`forget`, {state}: the record is gone");
        }
        let [b] = attempts();
        let grant = call.granted(b)?;
        ensure!(
            grant.number == 1 && grant.generation == grant.fence,
            "{state}, forgotten: the next claim finds nothing: {grant:?}"
        );
    }
    Ok(())
}

fn forget_running(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let grant = call.granted(a)?;
    let reply = call.ask_in_vain(call.forget())?;
    must_be!(reply, Reply::Running { .. }, "`forget` of a running record with a lease");
    must_be!(call.ask_in_vain(call.claim(b))?, Reply::Running { .. }, "it runs on");
    call.completed(a, grant)
}
