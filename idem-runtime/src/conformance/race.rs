//! Many at once: what is atomic per token.

use std::collections::BTreeSet;
use std::sync::Barrier;

use super::Check;
use super::driver::{Bench, Call, Outcome, attempts, ensure, must_be, result_of};
use crate::store::{AttemptId, Grant, Reply, Request};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "race-claim", rule: "of many claims of one token at once, one is granted", run: claim },
    Check {
        name: "race-retry",
        rule: "of many claims at once of what is free or interrupted, one is granted",
        run: retry,
    },
    Check {
        name: "race-takeover",
        rule: "of many claims at once of what runs with its lease over, one is granted",
        run: takeover,
    },
    Check {
        name: "race-same-attempt",
        rule: "one claim sent many times at once is answered with one fence",
        run: same_attempt,
    },
    Check {
        name: "race-complete-takeover",
        rule: "an owner completes while others take over: one of them has it, and a result once stored stays",
        run: complete_takeover,
    },
    Check {
        name: "race-complete-duplicate",
        rule: "duplicates while the owner completes: running or done, with the whole result",
        run: complete_duplicate,
    },
    Check {
        name: "race-release-late-claim",
        rule: "a claim and its own `release` at once: in no order does it run on with nobody behind it",
        run: release_late_claim,
    },
    Check {
        name: "race-many-tokens",
        rule: "claims of different tokens at once do not disturb each other",
        run: many_tokens,
    },
];

/// Sends these requests at one moment from as many threads; the answers in their order.
fn at_once(call: &Call, requests: &[Request]) -> Outcome<Vec<Reply>> {
    let start = Barrier::new(requests.len());
    std::thread::scope(|threads| {
        let send = |request: &Request| {
            let (request, start) = (request.clone(), &start);
            threads.spawn(move || {
                start.wait();
                call.ask(request)
            })
        };
        let sent: Vec<_> = requests.iter().map(send).collect();
        sent.into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("the store panicked".to_owned().into())))
            .collect()
    })
}

/// Many claims at once, of which one is granted; that one.
fn one_granted(bench: &Bench, call: &Call, when: &str) -> Outcome<(AttemptId, Grant)> {
    let them: Vec<AttemptId> = (0..bench.threads).map(|_| AttemptId::random()).collect();
    let requests: Vec<_> = them.iter().map(|attempt| call.claim(*attempt)).collect();
    let mut granted = Vec::new();
    for (attempt, reply) in them.iter().zip(at_once(call, &requests)?) {
        match reply {
            Reply::Claimed(grant) => granted.push((*attempt, grant)),
            Reply::Running { .. } => {}
            other => return Err(format!("{when}: expected `Claimed` or `Running`, found {other:?}").into()),
        }
    }
    ensure!(granted.len() == 1, "{when}: {} claims at once, granted: {granted:?}", them.len());
    Ok(granted.remove(0))
}

fn claim(bench: &Bench) -> Outcome {
    for _ in 0..bench.rounds {
        let call = bench.call();
        let (attempt, grant) = one_granted(bench, &call, "nothing")?;
        call.completed(attempt, grant)?;
        let finished = call.duplicate("completed by the one that was granted")?;
        ensure!(finished.attempt == attempt, "{attempt} completed, and it is {finished:?}");
    }
    Ok(())
}

fn retry(bench: &Bench) -> Outcome {
    let call = bench.call();
    let (mut attempt, mut last) = one_granted(bench, &call, "nothing")?;
    for round in 0..bench.rounds {
        let when = if round % 2 == 0 { "free" } else { "interrupted" };
        if round % 2 == 0 {
            call.released(attempt)?;
        } else {
            call.interrupted(attempt)?;
        }
        let (next, grant) = one_granted(bench, &call, when)?;
        ensure!(
            grant.fence > last.fence
                && grant.number == last.number + 1
                && grant.generation == last.generation,
            "{when}: after {last:?} comes {grant:?}"
        );
        (attempt, last) = (next, grant);
    }
    Ok(())
}

fn takeover(bench: &Bench) -> Outcome {
    for _ in 0..5 {
        let call = bench.call();
        let [a] = attempts();
        call.granted_with(a, |claim| claim.lease = call.unit)?;
        call.lease_over()?;
        let (_, grant) = one_granted(bench, &call, "lease over")?;
        ensure!(grant.number == 2, "lease over: attempt 2, not {grant:?}");
    }
    Ok(())
}

fn same_attempt(bench: &Bench) -> Outcome {
    for _ in 0..bench.rounds {
        let call = bench.call();
        let [a] = attempts();
        let replies = at_once(&call, &vec![call.claim(a); bench.threads])?;
        let first = must_be!(&replies[0], Reply::Claimed(grant) => *grant, "one claim, sent many times");
        ensure!(
            replies.iter().all(|reply| *reply == Reply::Claimed(first)),
            "one claim, sent many times at once: {replies:?}"
        );
    }
    Ok(())
}

fn complete_takeover(bench: &Bench) -> Outcome {
    for _ in 0..5 {
        let call = bench.call();
        let [a] = attempts();
        let grant = call.granted_with(a, |claim| claim.lease = call.unit)?;
        call.lease_over()?;
        let them: Vec<AttemptId> = (1..bench.threads).map(|_| AttemptId::random()).collect();
        let mut requests = vec![call.complete(a, grant)];
        requests.extend(them.iter().map(|attempt| call.claim(*attempt)));
        let mut replies = at_once(&call, &requests)?;
        let owner = replies.remove(0);
        let granted = replies.iter().filter(|reply| matches!(reply, Reply::Claimed(_))).count();
        match owner {
            Reply::Completed => {
                ensure!(granted == 0, "completed, and taken over all the same: {replies:?}");
                let finished = call.duplicate("completed")?;
                ensure!(finished.result == result_of(a), "completed, and it is {finished:?}");
            }
            Reply::LeaseLost { winner: None } => {
                ensure!(granted == 1, "the owner lost its lease, and granted were {granted}: {replies:?}");
            }
            other => return Err(format!("`complete` beside claims: {other:?}").into()),
        }
    }
    Ok(())
}

fn complete_duplicate(bench: &Bench) -> Outcome {
    for _ in 0..bench.rounds {
        let call = bench.call();
        let [a] = attempts();
        let grant = call.granted(a)?;
        let mut requests = vec![call.complete(a, grant)];
        requests.extend((1..bench.threads).map(|_| call.claim(AttemptId::random())));
        let replies = at_once(&call, &requests)?;
        must_be!(&replies[0], Reply::Completed, "`complete` beside duplicates");
        for reply in &replies[1..] {
            match reply {
                Reply::Running { .. } => {}
                Reply::Done(finished) if finished.result == result_of(a) && finished.attempt == a => {}
                other => return Err(format!("a duplicate beside `complete`: {other:?}").into()),
            }
        }
    }
    Ok(())
}

fn release_late_claim(bench: &Bench) -> Outcome {
    for _ in 0..bench.rounds {
        let call = bench.call();
        let [a, b] = attempts();
        let replies = at_once(&call, &[call.claim(a), call.release(a)])?;
        must_be!(&replies[1], Reply::Released, "`release` beside its claim");
        must_be!(&replies[0], Reply::Claimed(_) | Reply::LeaseLost { .. }, "a claim beside its `release`");
        // Whichever came first, nobody runs.
        let grant = call.granted(b)?;
        ensure!(grant.number <= 2, "a claim and its `release`, then another: {grant:?}");
    }
    Ok(())
}

fn many_tokens(bench: &Bench) -> Outcome {
    let calls = bench.calls(bench.threads);
    let start = Barrier::new(calls.len());
    let rounds = bench.rounds;
    let work = |call: &Call| -> Outcome<BTreeSet<u64>> {
        start.wait();
        let mut fences = BTreeSet::new();
        for _ in 0..rounds {
            let [a] = attempts();
            let grant = call.granted(a)?;
            ensure!(
                fences.last().is_none_or(|last| *last < grant.fence),
                "{grant:?} after {:?}",
                fences.last()
            );
            fences.insert(grant.fence);
            call.released(a)?;
        }
        Ok(fences)
    };
    std::thread::scope(|threads| {
        let running: Vec<_> = calls.iter().map(|call| threads.spawn(|| work(call))).collect();
        for thread in running {
            thread.join().unwrap_or_else(|_| Err("the store panicked".to_owned().into()))?;
        }
        Ok(())
    })
}
