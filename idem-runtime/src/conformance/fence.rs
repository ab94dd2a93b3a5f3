//! Fences and generations: what grows, and what outlives what.

use super::Check;
use super::driver::{Bench, Call, Outcome, attempts, ensure, must_be};
use crate::store::{AttemptId, Grant, Reply};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "fence-grows",
        rule: "fences grow with every attempt of a token, also over release, expiry and `forget`",
        run: grows,
    },
    Check {
        name: "generation",
        rule: "the generation outlives retries; it is new after expiry, `forget`, and a retry of a freed call \
               with other verified arguments",
        run: generation,
    },
];

/// A way from one attempt to where the next can begin, and whether a new generation begins with it.
type Way = (&'static str, bool, fn(&Call, AttemptId, Grant) -> Outcome);

const WAYS: [Way; 7] = [
    ("release", false, |call, attempt, _| call.released(attempt)),
    ("interrupt", false, |call, attempt, _| call.interrupted(attempt)),
    ("the end of its lease", false, |call, _, _| call.lease_over()),
    ("reopen", false, |call, attempt, grant| {
        call.interrupted(attempt)?;
        must_be!(call.ask(call.reopen(grant.fence))?, Reply::Reopened, "`reopen`");
        Ok(())
    }),
    ("forget", true, |call, attempt, _| {
        call.released(attempt)?;
        must_be!(call.ask(call.forget())?, Reply::Forgotten, "`forget`");
        Ok(())
    }),
    ("expiry", true, |call, attempt, grant| {
        let complete = call.complete_with(attempt, grant, |complete| complete.ttl = call.unit);
        must_be!(call.ask(complete)?, Reply::Completed, "`complete`");
        call.until("the expiry", || Ok(call.record()?.is_none().then_some(())))
    }),
    ("`forget` of what was done", true, |call, attempt, grant| {
        call.completed(attempt, grant)?;
        must_be!(call.ask(call.forget())?, Reply::Forgotten, "`forget`");
        Ok(())
    }),
];

fn grows(bench: &Bench) -> Outcome {
    let call = bench.call();
    let mut last = 0;
    // Twice around, so that each way follows on another.
    for (way, _, go) in WAYS.iter().chain(&WAYS) {
        let [attempt] = attempts();
        let grant = call.granted_with(attempt, |claim| claim.lease = call.unit)?;
        ensure!(grant.fence > last, "before {way}: the fence is {}, and there was {last}", grant.fence);
        last = grant.fence;
        go(&call, attempt, grant)?;
    }
    let [attempt] = attempts();
    let grant = call.granted(attempt)?;
    ensure!(grant.fence > last, "in the end the fence is {}, and there was {last}", grant.fence);
    Ok(())
}

fn generation(bench: &Bench) -> Outcome {
    for (way, new, go) in WAYS {
        let call = bench.call();
        let [a, b] = attempts();
        let first = call.granted_with(a, |claim| claim.lease = call.unit)?;
        go(&call, a, first)?;
        let second = call.granted(b)?;
        if new {
            ensure!(second.generation == second.fence, "after {way}: a new generation, not {second:?}");
        } else {
            ensure!(
                second.generation == first.generation,
                "after {way}: the same generation {}, not {second:?}",
                first.generation
            );
        }
    }
    let call = bench.call();
    let [a, b, c] = attempts();
    let first = call.granted(a)?;
    call.released(a)?;
    let second = call.granted_with(b, |claim| call.differ(claim))?;
    ensure!(second.generation == second.fence, "freed, other arguments: {second:?}");
    call.released(b)?;
    let third = call.granted(c)?;
    ensure!(
        third.generation == third.fence && third.generation > first.generation,
        "freed, the first arguments again: {third:?}"
    );
    Ok(())
}
