//! `get`, `list` and `purge`.

use std::sync::Arc;
use std::time::Instant;

use super::Check;
use super::driver::{Bench, Call, LONG, Outcome, attempts, ensure, must_be, not_before};
use crate::Token;
use crate::store::{Listed, Query, Reply, Request, State};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "get", rule: "`get`: the record as it is, or nothing; it changes nothing", run: get },
    Check {
        name: "list-pages",
        rule: "`list`: every record once, in the order of their tokens, a page at a time",
        run: list_pages,
    },
    Check {
        name: "list-by",
        rule: "`list` by state, function, age and lease: those and no others",
        run: list_by,
    },
    Check { name: "list-not-expired", rule: "`list`: an expired record is gone", run: list_not_expired },
    Check { name: "purge", rule: "`purge` removes expired records only, and at most so many", run: purge },
];

fn get(bench: &Bench) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    ensure!(call.record()?.is_none(), "`get` finds what nobody made");
    let grant = call.granted(a)?;
    for _ in 0..2 {
        call.is(State::Running, "`get` after `claim`")?;
    }
    call.completed(a, grant)?;
    let record = call.the_record()?;
    ensure!(
        record.head.state == State::Done && *record.result == *super::driver::result_of(a),
        "`get` after `complete`: {record:?}"
    );
    ensure!(call.the_record()? == record, "`get` twice gives the same");
    Ok(())
}

/// All records that a query finds, page by page.
fn all(call: &Call, query: &Query) -> Outcome<Vec<Listed>> {
    let mut found: Vec<Listed> = Vec::new();
    let mut query = query.clone();
    loop {
        let reply = call.ask(Request::List(Arc::new(query.clone())))?;
        let page = must_be!(reply, Reply::Page(page) => page, "`list`");
        let most = if query.limit == 0 { 100 } else { query.limit };
        ensure!(page.records.len() <= most, "a page of at most {most} has {} records", page.records.len());
        for listed in page.records {
            ensure!(
                found.last().is_none_or(|last| last.token < listed.token),
                "{} comes after {:?}",
                listed.token,
                found.last().map(|last| last.token)
            );
            found.push(listed);
        }
        let Some(next) = page.next else { return Ok(found) };
        ensure!(query.cursor.is_none_or(|cursor| cursor < next), "the cursor does not advance from {next}");
        query.cursor = Some(next);
    }
}

fn of(call: &Call) -> Query {
    Query { function: Some(call.function.clone()), ..Query::default() }
}

fn tokens(listed: &[Listed]) -> Vec<Token> {
    listed.iter().map(|listed| listed.token).collect()
}

fn sorted<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Vec<Token> {
    let mut tokens: Vec<_> = calls.into_iter().map(|call| call.token).collect();
    tokens.sort();
    tokens
}

fn list_pages(bench: &Bench) -> Outcome {
    let calls = bench.calls(23);
    for call in &calls {
        let [a] = attempts();
        call.granted(a)?;
    }
    for limit in [1, 5, 22, 23, 24, 0] {
        let found = all(&calls[0], &Query { limit, ..of(&calls[0]) })?;
        let expected = sorted(&calls);
        ensure!(
            tokens(&found) == expected,
            "in pages of {limit}: {} of {} records: {:?} instead of {expected:?}",
            found.len(),
            expected.len(),
            tokens(&found)
        );
    }
    let found = all(&calls[0], &of(&calls[0]))?;
    for listed in found {
        let call = calls.iter().find(|call| call.token == listed.token);
        let record = call.map(Call::the_record).transpose()?;
        ensure!(
            record.as_deref() == Some(&listed.record),
            "`list` has {:?}, `get` has {record:?}",
            listed.record
        );
    }
    let last = calls.iter().map(|call| call.token).max();
    let found = all(&calls[0], &Query { cursor: last, ..of(&calls[0]) })?;
    ensure!(found.is_empty(), "after the last token there is nothing: {:?}", tokens(&found));
    Ok(())
}

fn list_by(bench: &Bench) -> Outcome {
    let sent = Instant::now();
    let calls = bench.calls(5);
    let [a] = attempts();
    let grants = calls
        .iter()
        .enumerate()
        .map(|(number, call)| {
            call.granted_with(a, |claim| claim.lease = if number == 4 { call.unit } else { LONG })
        })
        .collect::<Outcome<Vec<_>>>()?;
    calls[1].released(a)?;
    calls[2].interrupted(a)?;
    calls[3].completed(a, grants[3])?;
    let other = bench.call();
    other.granted(a)?;
    let look = &calls[0];
    let by = |query: Query, expected: &[&Call], what: &str| -> Outcome {
        let found = tokens(&all(look, &query)?);
        let expected = sorted(expected.iter().copied());
        ensure!(found == expected, "`list` by {what}: {found:?} instead of {expected:?}");
        Ok(())
    };
    by(of(look), &[&calls[0], &calls[1], &calls[2], &calls[3], &calls[4]], "function")?;
    by(of(&other), &[&other], "another function")?;
    let states = [
        (State::Running, vec![&calls[0], &calls[4]]),
        (State::Free, vec![&calls[1]]),
        (State::Interrupted, vec![&calls[2]]),
        (State::Done, vec![&calls[3]]),
    ];
    for (state, expected) in states {
        by(Query { state: Some(state), ..of(look) }, &expected, &state.to_string())?;
    }
    calls[4].lease_over()?;
    by(Query { lease_over: true, ..of(look) }, &[&calls[4]], "a lease that is over")?;
    let running = Query { lease_over: true, state: Some(State::Running), ..of(look) };
    by(running, &[&calls[4]], "running with a lease that is over")?;
    by(Query { age: Some(LONG), ..of(look) }, &[], "an age that none has")?;
    let aged = Query { age: Some(bench.unit * 2), ..of(look) };
    look.until("the age asked for", || Ok((all(look, &aged)?.len() == calls.len()).then_some(())))?;
    not_before(sent, bench.unit * 2, "all records were of an age")
}

fn list_not_expired(bench: &Bench) -> Outcome {
    let calls = bench.calls(2);
    let [a] = attempts();
    calls[0].granted(a)?;
    calls[1].granted_with(a, |claim| claim.ttl = bench.unit)?;
    let sent = Instant::now();
    calls[1].released(a)?;
    calls[1].expires(sent, bench.unit, "a free record")?;
    let found = tokens(&all(&calls[0], &of(&calls[0]))?);
    ensure!(found == [calls[0].token], "`list` has what is expired: {found:?}");
    Ok(())
}

fn purge(bench: &Bench) -> Outcome {
    let calls = bench.calls(8);
    let [a, b] = attempts();
    // One of each kind that may not be purged, and five that may.
    let done = calls[0].granted(a)?;
    calls[0].completed(a, done)?;
    calls[1].granted_with(a, |claim| claim.ttl = bench.unit)?;
    calls[2].granted_with(a, |claim| {
        claim.ttl = bench.unit;
        claim.on_interrupt = crate::store::OnInterrupt::Reject;
    })?;
    calls[2].interrupted(a)?;
    for call in &calls[3..] {
        call.granted_with(a, |claim| claim.ttl = bench.unit)?;
        call.released(a)?;
    }
    for call in &calls[3..] {
        call.until("the expiry of a free record", || Ok(call.record()?.is_none().then_some(())))?;
    }
    calls[0].until("a purge that finds nothing more", || {
        let reply = calls[0].ask(Request::Purge { limit: 2 })?;
        let count = must_be!(reply, Reply::Purged(count) => count, "`purge`");
        ensure!(count <= 2, "{count} records were purged, and at most 2 were to be");
        Ok((count == 0).then_some(()))
    })?;
    calls[0].duplicate("done, and not expired, after `purge`")?;
    let reply = calls[1].ask(calls[1].claim(b))?;
    must_be!(reply, Reply::Running { .. }, "running with a lease, after `purge`");
    calls[2].is(State::Interrupted, "interrupted, under `reject`, after `purge`")?;
    for call in &calls[3..] {
        ensure!(call.record()?.is_none(), "an expired record came back");
    }
    Ok(())
}
