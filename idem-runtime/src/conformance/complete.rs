//! `complete`: the body ended.

use std::time::Instant;

use super::Check;
use super::driver::{Bench, Call, LONG, Outcome, attempts, ensure, must_be, result_of};
use crate::store::{Arguments, AttemptId, Grant, Reply, State};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "complete-running",
        rule: "running, this attempt: done, expires `ttl` from now; completed",
        run: running,
    },
    Check {
        name: "complete-after-the-lease",
        rule: "a lease that has run out while nobody took over does not stop its owner from completing",
        run: after_the_lease,
    },
    Check {
        name: "complete-nothing",
        rule: "nothing: done, with all that the request carries",
        run: nothing,
    },
    Check {
        name: "complete-free-or-interrupted",
        rule: "free or interrupted, whoever's: done, with all that the request carries",
        run: free_or_interrupted,
    },
    Check {
        name: "complete-after-other-arguments",
        rule: "free, of other arguments since: done, with all that the request carries and nothing else",
        run: after_other_arguments,
    },
    Check { name: "complete-again", rule: "done, by this attempt: nothing; completed", run: again },
    Check {
        name: "complete-taken-over",
        rule: "running, another attempt: nothing; lease lost",
        run: taken_over,
    },
    Check {
        name: "complete-done-by-another",
        rule: "done, another attempt: nothing; lease lost, with the winner's result",
        run: done_by_another,
    },
    Check {
        name: "complete-expires",
        rule: "done: it expires after the `ttl` of `complete`, not before",
        run: expires,
    },
];

/// Done, with what this attempt returned.
fn is_done_by(call: &Call, attempt: AttemptId, generation: u64, when: &str) -> Outcome {
    let finished = call.duplicate(when)?;
    ensure!(finished.result == result_of(attempt), "{when}: the result is another one: {finished:?}");
    ensure!(finished.attempt == attempt, "{when}: done by {attempt}, not {finished:?}");
    ensure!(finished.generation == generation, "{when}: in generation {generation}, not {finished:?}");
    Ok(())
}

fn running(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    let grant = call.granted(a)?;
    call.completed(a, grant)?;
    let head = call.the_record()?.head;
    ensure!(head.state == State::Done && head.attempt == a, "done, by this attempt: {head:?}");
    ensure!(
        (head.fence, head.generation, head.number) == (grant.fence, grant.generation, grant.number),
        "with the fence, generation and number of {grant:?}: {head:?}"
    );
    ensure!(head.began_at <= head.ended_at, "it ended after it began: {head:?}");
    is_done_by(&call, a, grant.generation, "completed")
}

fn after_the_lease(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    let grant = call.granted_with(a, |claim| claim.lease = call.unit)?;
    call.lease_over()?;
    call.completed(a, grant)?;
    is_done_by(&call, a, grant.generation, "completed after the lease")
}

fn nothing(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let grant = Grant::new(42, 40, 3);
    call.completed(a, grant)?;
    let record = call.the_record()?;
    ensure!(
        (record.head.fence, record.head.generation, record.head.number) == (42, 40, 3),
        "with the request's fence, generation and number: {:?}",
        record.head
    );
    ensure!(record.function == call.function, "with the request's function, not {:?}", record.function);
    is_done_by(&call, a, 40, "completed, and there was no record")?;
    let reply = call.ask_in_vain(call.claim_with(b, |claim| call.differ(claim)))?;
    let digest =
        must_be!(reply, Reply::Mismatch { digest } => digest, "other arguments than those completed with");
    ensure!(digest == call.digest, "with the request's digest, not {digest:?}");
    Ok(())
}

fn free_or_interrupted(bench: &Bench) -> Outcome {
    /// A state, and how to get there.
    type Way = (&'static str, fn(&Call, AttemptId) -> Outcome);
    let ways: [Way; 6] = [
        ("free by itself", |call, a| call.released(a)),
        ("interrupted by itself", |call, a| call.interrupted(a)),
        ("free by another", |call, _| {
            let [b] = attempts();
            call.lease_over()?;
            call.granted(b)?;
            call.released(b)
        }),
        ("interrupted by another", |call, _| {
            let [b] = attempts();
            call.lease_over()?;
            call.granted(b)?;
            call.interrupted(b)
        }),
        ("reopened", |call, _| {
            call.lease_over()?;
            let fence = call.the_record()?.head.fence;
            must_be!(call.ask(call.reopen(fence))?, Reply::Reopened, "`reopen`");
            Ok(())
        }),
        ("forgotten, then free by a `release` that found nothing", |call, a| {
            let [b] = attempts();
            call.released(a)?;
            must_be!(call.ask(call.forget())?, Reply::Forgotten, "`forget`");
            call.released(b)
        }),
    ];
    let calls = bench.calls(ways.len());
    for (call, (state, way)) in calls.iter().zip(ways) {
        let [a] = attempts();
        let grant = call.granted_with(a, |claim| claim.lease = call.unit)?;
        way(call, a)?;
        let fence = call.the_record()?.head.fence;
        call.completed(a, grant)?;
        is_done_by(call, a, grant.generation, &format!("{state}, then completed"))?;
        let head = call.the_record()?.head;
        ensure!(
            !head.tombstone && head.fence >= fence,
            "{state}, then completed: {head:?}, fence was {fence}"
        );
    }
    Ok(())
}

fn after_other_arguments(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let grant = call.granted(a)?;
    call.released(a)?;
    call.granted_with(b, |claim| {
        call.differ(claim);
        claim.record_arguments = true;
    })?;
    call.released(b)?;
    call.completed(a, grant)?;
    is_done_by(&call, a, grant.generation, "completed after others were tried")?;
    let record = call.the_record()?;
    let theirs: Option<&Arguments> = record.arguments.as_ref();
    ensure!(
        record.digest == call.digest && theirs.is_none_or(|theirs| *theirs == call.arguments),
        "with the digest of this attempt and not with the arguments of the other: {record:?}"
    );
    Ok(())
}

fn again(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    let grant = call.granted(a)?;
    call.completed(a, grant)?;
    for _ in 0..2 {
        let again = call.complete_with(a, grant, |complete| {
            complete.result = vec![0x01].into();
            complete.ttl = LONG * 2;
        });
        must_be!(call.ask_in_vain(again)?, Reply::Completed, "the same attempt completes again");
    }
    is_done_by(&call, a, grant.generation, "completed twice")
}

fn taken_over(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let first = call.granted_with(a, |claim| claim.lease = call.unit)?;
    call.lease_over()?;
    let second = call.granted_with(b, |claim| claim.lease = call.unit)?;
    let when = "an attempt completes that was taken over by one that runs";
    must_be!(call.ask_in_vain(call.complete(a, first))?, Reply::LeaseLost { winner: None }, when);
    call.lease_over()?;
    must_be!(call.ask_in_vain(call.complete(a, first))?, Reply::LeaseLost { winner: None }, when);
    call.completed(b, second)?;
    is_done_by(&call, b, second.generation, "completed by the attempt that took over")
}

fn done_by_another(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    let first = call.granted_with(a, |claim| claim.lease = call.unit)?;
    call.lease_over()?;
    let second = call.granted(b)?;
    call.completed(b, second)?;
    for _ in 0..2 {
        let when = "an attempt completes after the one that took over has";
        let reply = call.ask_in_vain(call.complete(a, first))?;
        let winner = must_be!(reply, Reply::LeaseLost { winner: Some(winner) } => winner, when);
        ensure!(winner.result == result_of(b) && winner.attempt == b, "{when}: the winner is {winner:?}");
    }
    is_done_by(&call, b, second.generation, "completed twice, by two attempts")
}

fn expires(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a, b] = attempts();
    // Neither the claim's `ttl` nor its policy decides.
    let grant = call.granted_with(a, |claim| claim.on_interrupt = crate::store::OnInterrupt::Reject)?;
    let sent = Instant::now();
    let complete = call.complete_with(a, grant, |complete| complete.ttl = call.unit * 2);
    must_be!(call.ask(complete)?, Reply::Completed, "`complete`");
    call.expires(sent, call.unit * 2, "a record that is done")?;
    call.granted(b)?;
    Ok(())
}
