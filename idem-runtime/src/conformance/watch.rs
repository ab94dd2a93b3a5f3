//! `watch`: the record, once it is not running, or at the deadline.

use std::time::{Duration, Instant};

use super::Check;
use super::driver::{Bench, Call, LONG, Outcome, attempts, ensure, must_be, not_before};
use crate::store::{Asked, AttemptId, Grant, Pending, Record, Reply, State};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "watch-not-running",
        rule: "nothing, free, interrupted, done: the record, at once",
        run: not_running,
    },
    Check {
        name: "watch-woken",
        rule: "running: the record, once it is completed, released, interrupted, resolved, reopened or forgotten",
        run: woken,
    },
    Check { name: "watch-woken-all", rule: "everybody who waits is answered", run: woken_all },
    Check {
        name: "watch-deadline",
        rule: "running: the record as it is, at the deadline, not before",
        run: deadline,
    },
    Check { name: "watch-dropped", rule: "who goes away stops waiting, and disturbs nobody", run: dropped },
];

/// What a watch is answered with.
pub(super) fn watched(call: &Call, asked: Asked, when: &str) -> Outcome<Option<std::sync::Arc<Record>>> {
    let reply = match asked {
        Asked::Now(answer) => answer.map_err(|error| format!("{when}: `watch` failed: {error}"))?,
        Asked::Later(pending) => call.answer(&format!("`watch`, {when}"), pending)?,
    };
    Ok(must_be!(reply, Reply::Record(record) => record, when))
}

/// A watch on what is running, which has not been answered yet.
fn waiting(call: &Call, limit: Duration) -> Outcome<Pending> {
    match call.start(call.watch(limit)) {
        Asked::Later(pending) => Ok(pending),
        Asked::Now(answer) => {
            Err(format!("`watch` of a running record was answered at once: {answer:?}").into())
        }
    }
}

fn not_running(bench: &Bench) -> Outcome {
    let states = [None, Some(State::Free), Some(State::Interrupted), Some(State::Done)];
    for state in states {
        let call = bench.call();
        let [a] = attempts();
        if let Some(state) = state {
            let grant = call.granted(a)?;
            match state {
                State::Free => call.released(a)?,
                State::Interrupted => call.interrupted(a)?,
                _ => call.completed(a, grant)?,
            }
        }
        let when = state.map_or_else(|| "nothing".to_owned(), |state| state.to_string());
        let found = watched(&call, call.start(call.watch(LONG)), &when)?.map(|record| record.head.state);
        ensure!(found == state, "{when}: the answer to `watch` has {found:?}");
    }
    Ok(())
}

/// A way out of running, and where it leads to.
type Way = (&'static str, Option<State>, fn(&Call, AttemptId, Grant) -> Outcome);

fn woken(bench: &Bench) -> Outcome {
    let ways: [Way; 6] = [
        ("complete", Some(State::Done), |call, attempt, grant| call.completed(attempt, grant)),
        ("release", Some(State::Free), |call, attempt, _| call.released(attempt)),
        ("interrupt", Some(State::Interrupted), |call, attempt, _| call.interrupted(attempt)),
        ("resolve", Some(State::Done), |call, _, grant| {
            call.lease_over()?;
            must_be!(call.ask(call.resolve(grant.fence, b"\x01"))?, Reply::Resolved, "`resolve`");
            Ok(())
        }),
        ("reopen", Some(State::Free), |call, _, grant| {
            call.lease_over()?;
            must_be!(call.ask(call.reopen(grant.fence))?, Reply::Reopened, "`reopen`");
            Ok(())
        }),
        ("forget", None, |call, _, _| {
            call.lease_over()?;
            must_be!(call.ask(call.forget())?, Reply::Forgotten, "`forget`");
            Ok(())
        }),
    ];
    for (way, state, go) in ways {
        let call = bench.call();
        let [a] = attempts();
        let grant = call.granted_with(a, |claim| claim.lease = call.unit)?;
        let pending = waiting(&call, LONG)?;
        go(&call, a, grant)?;
        let found = watched(&call, Asked::Later(pending), &format!("woken by `{way}`"))?;
        let found = found.map(|record| record.head.state);
        ensure!(found == state, "woken by `{way}`: the record is to be {state:?} and is {found:?}");
    }
    Ok(())
}

fn woken_all(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    let grant = call.granted(a)?;
    // Signs of life wake nobody for good, and leave nobody behind.
    let waiters = (0..20).map(|_| waiting(&call, LONG)).collect::<Outcome<Vec<_>>>()?;
    must_be!(call.ask(call.renew(a))?, Reply::Renewed, "`renew`");
    call.completed(a, grant)?;
    for (number, pending) in waiters.into_iter().enumerate() {
        let found = watched(&call, Asked::Later(pending), &format!("waiter {number} of 20"))?;
        let found = found.map(|record| record.head.state);
        ensure!(found == Some(State::Done), "waiter {number} of 20 is told {found:?}");
    }
    Ok(())
}

fn deadline(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    call.granted(a)?;
    let asked = Instant::now();
    let found = watched(&call, call.start(call.watch(call.unit)), "the deadline")?;
    not_before(asked, call.unit, "a watch of what runs was answered")?;
    ensure!(
        found.as_ref().is_some_and(|record| record.head.state == State::Running),
        "at the deadline the record is still running: {found:?}"
    );
    // No time at all is a look.
    watched(&call, call.start(call.watch(Duration::ZERO)), "a deadline at once")?;
    Ok(())
}

fn dropped(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    let grant = call.granted(a)?;
    for _ in 0..50 {
        drop(waiting(&call, LONG)?);
    }
    let stays = waiting(&call, LONG)?;
    drop(waiting(&call, LONG)?);
    call.is(State::Running, "after those who watched went away")?;
    call.completed(a, grant)?;
    let found = watched(&call, Asked::Later(stays), "the one who stayed")?;
    ensure!(
        found.is_some_and(|record| record.head.state == State::Done),
        "the one who stayed is told that it is done"
    );
    Ok(())
}
