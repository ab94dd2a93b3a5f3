//! What stands in the table, and what goes over many records.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use idem_runtime::store::{Kind, OnInterrupt, Page, Query, Reply, Request, State, Store};

#[test]
fn a_person_can_read_what_stands_there() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    let mut claim = claim(token(1));
    claim.scope = "tenant 'ß'".into();
    claim.on_interrupt = OnInterrupt::Reject;
    let grant = claimed(&store, &claim);
    let look = |columns: &str| server.psql(name_of(&url), &format!("SELECT {columns} FROM idem_record"));
    assert_eq!(
        look(
            "state, kind, on_interrupt, number, unended, fence = generation, expires, ended_at IS NULL, scope, function"
        ),
        "running|none|reject|1|0|t|infinity|t|tenant 'ß'|shop::charge(order: u64)"
    );
    assert_eq!(look("lease - first_at, ttl"), "01:00:00|86400000000");
    assert_eq!(look("token"), format!("\\x{}", token(1)));
    let done = ask(&store, Request::Complete(complete(&claim, grant, b"one").into()));
    assert_eq!(done.unwrap(), Reply::Completed);
    assert_eq!(look("state, kind, convert_from(result, 'UTF8'), ended_at >= first_at"), "done|value|one|t");
    // Within a moment: each of the two has looked at the clock.
    assert_eq!(look("date_trunc('second', expires - ended_at)"), "1 day");
}

/// Claims and completes so that the record is gone a moment later.
fn short_lived(store: &impl Store, numbers: std::ops::Range<u64>, ttl: Duration) {
    let claims: Vec<_> = numbers
        .map(|number| {
            let mut claim = claim(token(number));
            (claim.ttl, claim.lease) = (ttl, Duration::from_secs(600));
            claim
        })
        .collect();
    let asked: Vec<_> = claims.iter().map(|claim| store.ask(asked_claim(claim))).collect();
    let granted: Vec<_> = asked
        .into_iter()
        .map(|asked| match wait(asked) {
            Ok(Reply::Claimed(grant)) => grant,
            other => panic!("{other:?}"),
        })
        .collect();
    let completes = claims.iter().zip(granted).map(|(claim, grant)| complete(claim, grant, b"x"));
    let asked: Vec<_> = completes.map(|complete| store.ask(Request::Complete(complete.into()))).collect();
    asked.into_iter().for_each(|asked| assert_eq!(wait(asked).unwrap(), Reply::Completed));
}

#[test]
fn what_has_expired_is_removed_and_nothing_else() {
    let Some(server) = server() else { return };
    let url = database(server);
    let (store, other) = (open(&url), open(&format!("{url}?namespace=other")));
    short_lived(&store, 0..1_500, Duration::from_millis(1));
    short_lived(&store, 2_000..2_100, TTL);
    short_lived(&other, 0..10, Duration::from_millis(1));
    // Running with a lease, whatever its time to live.
    let mut running = claim(token(5_000));
    running.ttl = Duration::from_millis(1);
    claimed(&store, &running);
    std::thread::sleep(Duration::from_millis(20));

    let purge = |limit| match ask(&store, Request::Purge { limit }) {
        Ok(Reply::Purged(count)) => count,
        other => panic!("{other:?}"),
    };
    assert_eq!(purge(0), 0);
    assert_eq!(purge(7), 7);
    // However many are asked for, a thousand at once.
    assert_eq!(purge(usize::MAX), 1_000);
    assert_eq!(purge(usize::MAX), 493);
    assert_eq!(purge(usize::MAX), 0);
    let count = |condition: &str| {
        server.psql(name_of(&url), &format!("SELECT count(*) FROM idem_record WHERE {condition}"))
    };
    assert_eq!(count("namespace = ''"), "101");
    assert_eq!(count("namespace = 'other'"), "10");
    assert_eq!(get(&store, token(5_000)).unwrap().head.state, State::Running);
}

#[test]
fn what_has_expired_is_removed_in_the_background_while_the_store_is_used() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    short_lived(&store, 0..2_000, Duration::from_millis(1));
    let sql = "SELECT count(*) FROM idem_record";
    until("they are gone", || server.psql(name_of(&url), sql) == "0");
}

/// A row is looked at when its life was to end when it was claimed; a longer body's lives longer.
#[test]
fn a_row_that_is_looked_at_too_early_is_left_and_looked_at_again() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    call(&store, token(1), b"one");
    let look = "SELECT purge_at >= expires FROM idem_record";
    assert_eq!(server.psql(name_of(&url), look), "t", "the index is not touched, and it is not too early");
    server.psql(name_of(&url), "UPDATE idem_record SET purge_at = now() - interval '1 hour'");
    assert_eq!(ask(&store, Request::Purge { limit: 10 }).unwrap(), Reply::Purged(0));
    assert_eq!(server.psql(name_of(&url), "SELECT purge_at = expires FROM idem_record"), "t");
    assert_eq!(&*duplicate(&store, token(1)).result, b"one");
}

#[test]
fn purging_does_not_wait_for_rows_that_others_hold() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    short_lived(&store, 0..20, Duration::from_millis(1));
    std::thread::sleep(Duration::from_millis(20));
    let name = name_of(&url).to_owned();
    std::thread::scope(|scope| {
        let hold = format!(
            "BEGIN; SELECT FROM idem_record WHERE token = '\\x{}' FOR UPDATE; SELECT pg_sleep(2); COMMIT",
            token(1)
        );
        let other = name.clone();
        scope.spawn(move || server.psql(&other, &hold));
        until("it is held", || {
            let sql = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event = 'PgSleep'"
            );
            server.psql("postgres", &sql) == "1"
        });
        assert_eq!(ask(&store, Request::Purge { limit: 100 }).unwrap(), Reply::Purged(19));
    });
    assert_eq!(ask(&store, Request::Purge { limit: 100 }).unwrap(), Reply::Purged(1));
}

#[test]
fn a_list_goes_over_more_records_than_it_looks_at_for_a_page() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    call(&store, token(0), b"one");
    // As many as make it look thrice, and one that is interrupted among the last.
    server.psql(
        name_of(&url),
        "CREATE TEMP TABLE one AS SELECT * FROM idem_record; \
         INSERT INTO idem_record SELECT o.fence, o.generation, o.lease, o.ttl, o.first_at, o.began_at, o.ended_at, \
         o.expires, o.purge_at, o.number, o.unended, o.tombstone, o.watched, \
         CASE i WHEN 24990 THEN 'interrupted' ELSE o.state END, o.kind, o.on_interrupt, o.namespace, \
         decode(lpad(to_hex(i + 1000000), 64, 'f'), 'hex'), o.attempt, o.digest, o.scope, o.function, o.result, \
         o.key_arguments, o.verified_arguments, o.decided_by FROM one o, generate_series(1, 25000) i",
    );
    let (mut query, mut pages, mut found) = (Query::default(), 0, Vec::new());
    query.state = Some(State::Interrupted);
    loop {
        let page: Page = match ask(&store, Request::List(Arc::new(query.clone()))) {
            Ok(Reply::Page(page)) => page,
            other => panic!("{other:?}"),
        };
        pages += 1;
        found.extend(page.records);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!((found.len(), pages), (1, 3));
    assert_eq!(found[0].record.head.kind, Kind::Value);
    assert_eq!(found[0].record.head.state, State::Interrupted);
}

/// Whatever the planner believes of the tables, and it believes that they are empty.
#[test]
fn no_statement_of_a_call_reads_all_of_the_table() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    server.psql(name_of(&url), "VACUUM ANALYZE idem_record");
    // The statements are prepared, one by one and for many.
    for round in 0..3 {
        short_lived(&store, round * 100..round * 100 + 60, TTL);
        call(&store, token(9_000 + round), b"one");
    }
    server.psql(name_of(&url), "SELECT pg_stat_force_next_flush()");
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'idem_record'";
    let before = server.psql(name_of(&url), scans);
    for round in 3..6 {
        short_lived(&store, round * 100..round * 100 + 60, TTL);
        call(&store, token(9_000 + round), b"one");
        duplicate(&store, token(9_000 + round));
    }
    drop(store);
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", name_of(&url));
    until("what it did is counted", || server.psql("postgres", &sessions) == "0");
    assert_eq!(server.psql(name_of(&url), scans), before);
}
