//! Several ways to one store: other processes see the same records, other namespaces none of them.

use std::sync::Arc;

use super::Check;
use super::driver::{Bench, Call, LONG, Outcome, attempts, ensure, must_be, result_of};
use super::watch::watched;
use crate::store::{AttemptId, Query, Reply, Request, State};

pub(super) const SHARED: &str = "shared-";
pub(super) const NAMESPACE: &str = "namespace-";

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "shared-records",
        rule: "what one process claims and completes, another sees",
        run: records,
    },
    Check { name: "shared-watch", rule: "who waits in one process is woken by another", run: watch },
    Check {
        name: "shared-race",
        rule: "of many claims of one token at once, from several processes, one is granted",
        run: race,
    },
    Check { name: "namespace-apart", rule: "records of two namespaces of one store never meet", run: apart },
];

/// The same call through the other handle. The checks run only where there is one.
fn there(call: &Call, handle: Option<&crate::store::Handle>) -> Outcome<Call> {
    let handle = handle.ok_or_else(|| "there is no other handle".to_owned())?;
    Ok(call.through(handle))
}

fn records(bench: &Bench) -> Outcome {
    let here = bench.call();
    let there = there(&here, bench.second.as_ref())?;
    let [a, b] = attempts();
    let grant = here.granted(a)?;
    must_be!(there.ask(there.claim(b))?, Reply::Running { .. }, "claimed here, then there");
    must_be!(there.ask(there.renew(a))?, Reply::Renewed, "claimed here, renewed there");
    there.completed(a, grant)?;
    for call in [&here, &there] {
        let finished = call.duplicate("claimed here, completed there")?;
        ensure!(finished.result == result_of(a), "claimed here, completed there: {finished:?}");
    }
    must_be!(here.ask(here.forget())?, Reply::Forgotten, "`forget` here");
    ensure!(there.record()?.is_none(), "forgotten here, and still there");
    let next = there.granted(b)?;
    ensure!(next.fence > grant.fence, "fences grow across processes: {grant:?}, {next:?}");
    Ok(())
}

fn watch(bench: &Bench) -> Outcome {
    for _ in 0..3 {
        let here = bench.call();
        let there = there(&here, bench.second.as_ref())?;
        let [a] = attempts();
        let grant = here.granted(a)?;
        let pending = there.start(there.watch(LONG));
        here.completed(a, grant)?;
        let found = watched(&there, pending, "completed in another process")?;
        ensure!(
            found.as_ref().is_some_and(|record| record.head.state == State::Done),
            "completed in another process: {found:?}"
        );
    }
    Ok(())
}

fn race(bench: &Bench) -> Outcome {
    for _ in 0..bench.rounds {
        let here = bench.call();
        let there = there(&here, bench.second.as_ref())?;
        let start = std::sync::Barrier::new(bench.threads);
        let claim = |call: &Call| -> Outcome<bool> {
            start.wait();
            match call.ask(call.claim(AttemptId::random()))? {
                Reply::Claimed(_) => Ok(true),
                Reply::Running { .. } => Ok(false),
                other => Err(format!("expected `Claimed` or `Running`, found {other:?}").into()),
            }
        };
        let granted = std::thread::scope(|threads| {
            let claims: Vec<_> = (0..bench.threads)
                .map(|number| if number % 2 == 0 { &here } else { &there })
                .map(|call| threads.spawn(|| claim(call)))
                .collect();
            claims.into_iter().try_fold(0, |granted, thread| {
                let one = thread.join().unwrap_or_else(|_| Err("the store panicked".to_owned().into()))?;
                Ok::<_, super::driver::Failure>(granted + usize::from(one))
            })
        })?;
        ensure!(granted == 1, "{} claims at once from two sides: {granted} were granted", bench.threads);
    }
    Ok(())
}

fn apart(bench: &Bench) -> Outcome {
    let here = bench.call();
    let there = there(&here, bench.elsewhere.as_ref())?;
    let [a, b] = attempts();
    let grant = here.granted(a)?;
    ensure!(there.record()?.is_none(), "`get` sees another namespace's record");
    let other = there.granted(b)?;
    ensure!(other.number == 1, "the first attempt in its namespace: {other:?}");
    here.completed(a, grant)?;
    there.is(State::Running, "completed in another namespace")?;
    let query = Query { function: Some(here.function.clone()), state: Some(State::Done), ..Query::default() };
    let reply = there.ask(Request::List(Arc::new(query)))?;
    let page = must_be!(reply, Reply::Page(page) => page, "`list`");
    ensure!(page.records.is_empty(), "`list` sees another namespace's record: {page:?}");
    there.released(b)?;
    must_be!(there.ask(there.forget())?, Reply::Forgotten, "`forget` in one namespace");
    let finished = here.duplicate("forgotten in another namespace")?;
    ensure!(finished.attempt == a, "forgotten in another namespace: {finished:?}");
    Ok(())
}
