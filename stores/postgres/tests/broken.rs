//! Connections that break, servers that stand still, rows that others hold: what was asked is answered all the same, or
//! told to be lost within the time limit.

mod common;

use std::time::{Duration, Instant};

use common::*;
use idem_postgres::PostgresStore;
use idem_runtime::store::{Asked, Fault, Reply, Request, State, Store};
use idem_servers::Postgres;

/// Breaks every connection to a database.
fn cut(server: &Postgres, url: &str) {
    let sql =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", name_of(url));
    server.psql("postgres", &sql);
}

#[test]
fn a_connection_that_breaks_is_made_again_and_nothing_is_lost() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    for round in 0..30 {
        let claims: Vec<_> = (0..50).map(|number| claim(token(round * 100 + number))).collect();
        let asked: Vec<Asked> = claims.iter().map(|claim| store.ask(asked_claim(claim))).collect();
        cut(server, &url);
        for (claim, asked) in claims.iter().zip(asked) {
            let Reply::Claimed(grant) = wait(asked).unwrap() else { panic!("claimed") };
            let record = get(&store, claim.token).unwrap();
            assert_eq!((record.head.attempt, record.head.fence), (claim.attempt, grant.fence));
            assert_eq!(record.head.number, 1, "asked twice, and one attempt");
        }
    }
}

#[test]
fn a_server_that_stands_still_is_given_up_in_time_and_used_again() {
    const LIMIT: Duration = Duration::from_millis(800);
    let Some(server) = Postgres::start_with(&[("fsync", "off")]) else { return };
    let store = open(&format!("{}?time_limit=800ms", database(&server)));
    call(&store, token(0), b"one");
    server.freeze();
    let asked_at = Instant::now();
    let first = claim(token(1));
    let error = ask_claim(&store, &first).unwrap_err();
    assert!(asked_at.elapsed() >= LIMIT / 2, "{:?}", asked_at.elapsed());
    assert!(asked_at.elapsed() < LIMIT * 3, "{:?}", asked_at.elapsed());
    assert_eq!(error.fault(), Fault::Lost, "{error}");
    let error = ask_claim(&store, &claim(token(2))).unwrap_err();
    assert_ne!(error.fault(), Fault::Refused, "{error}");
    server.thaw();
    // Whatever arrives late of it: the same attempt is granted what it asked for.
    until("it answers", || match ask_claim(&store, &first) {
        Ok(Reply::Claimed(grant)) => grant.number == 1,
        Ok(other) => panic!("{other:?}"),
        Err(_) => false,
    });
    call(&store, token(3), b"two");
}

#[test]
fn a_server_that_is_gone_is_used_again_when_it_is_back() {
    let Some(mut server) = Postgres::start() else { return };
    let store = open(&database(&server));
    call(&store, token(1), b"one");
    for stop in [Postgres::kill, Postgres::stop] {
        stop(&mut server);
        let asked_at = Instant::now();
        let error = ask_claim(&store, &claim(token(1))).unwrap_err();
        assert_ne!(error.fault(), Fault::Refused, "{error}");
        assert!(asked_at.elapsed() < Duration::from_secs(4), "it is said soon: {:?}", asked_at.elapsed());
        server.restart();
        let back = Instant::now();
        until("it is used again", || ask_claim(&store, &claim(token(1))).is_ok());
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        assert_eq!(&*duplicate(&store, token(1)).result, b"one");
    }
}

#[test]
fn a_row_that_somebody_else_holds_holds_up_nobody_but_itself() {
    let Some(server) = server() else { return };
    let url = format!("{}?time_limit=1s", database(server));
    let store = open(&url);
    let held = claim(token(1));
    let grant = claimed(&store, &held);
    let name = name_of(&url).to_owned();
    std::thread::scope(|scope| {
        let hold = format!(
            "BEGIN; SELECT FROM idem_record WHERE token = '\\x{}' FOR UPDATE; SELECT pg_sleep(4); COMMIT",
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
        let complete = Request::Complete(complete(&held, grant, b"one").into());
        let asked_at = Instant::now();
        let pending = store.ask(complete.clone());
        // Others go on, reading and writing; so does a look at the row itself.
        for number in 2..20 {
            call(&store, token(number), b"other");
        }
        assert_eq!(get(&store, token(1)).unwrap().head.state, State::Running);
        let error = wait(pending).unwrap_err();
        assert_eq!(error.fault(), Fault::Unavailable, "{error}");
        assert!(error.to_string().contains("pg_stat_activity"), "{error}");
        assert!(asked_at.elapsed() < Duration::from_secs(3), "{:?}", asked_at.elapsed());
        until("it is let go", || ask(&store, complete.clone()).is_ok_and(|reply| reply == Reply::Completed));
    });
    assert_eq!(&*duplicate(&store, token(1)).result, b"one");
}

#[test]
fn who_waits_is_answered_though_the_connection_that_hears_broke() {
    let Some(server) = server() else { return };
    let url = database(server);
    let (here, there) = (open(&url), open(&url));
    for number in 0..5 {
        let waited = claim(token(number));
        let grant = claimed(&here, &waited);
        let pending = there.ask(Request::Watch { token: token(number), limit: PATIENCE });
        let watched =
            format!("SELECT count(*) FROM idem_record WHERE watched AND token = '\\x{}'", token(number));
        until("it is noted", || server.psql(name_of(&url), &watched) == "1");
        cut(server, &url);
        let asked_at = Instant::now();
        let done = ask(&here, Request::Complete(complete(&waited, grant, b"one").into()));
        assert_eq!(done.unwrap(), Reply::Completed);
        match wait(pending) {
            Ok(Reply::Record(Some(record))) => assert_eq!(record.head.state, State::Done),
            other => panic!("{other:?}"),
        }
        assert!(asked_at.elapsed() < Duration::from_secs(5), "{:?}", asked_at.elapsed());
    }
}

#[test]
fn what_was_asked_is_done_though_nobody_waits_for_it() {
    let Some(server) = server() else { return };
    let url = database(server);
    let store = open(&url);
    let claims: Vec<_> = (0..100).map(|number| claim(token(number))).collect();
    for claim in &claims {
        drop(store.ask(asked_claim(claim)));
        drop(store.ask(Request::Interrupt { token: claim.token, attempt: claim.attempt }));
    }
    // Nor does it matter that the store is gone.
    drop(store);
    let sql = "SELECT count(*) FROM idem_record WHERE state = 'interrupted'";
    until("all are done", || server.psql(name_of(&url), sql) == "100");
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", name_of(&url));
    until("its connections are closed", || server.psql("postgres", &sql) == "0");
}

#[test]
fn requests_of_one_attempt_are_carried_out_in_their_order() {
    let Some(server) = server() else { return };
    let store = open(&format!("{}?connections=8", database(server)));
    for round in 0..200 {
        let claim = claim(token(round));
        let first = store.ask(asked_claim(&claim));
        let released =
            store.ask(Request::Release { token: claim.token, attempt: claim.attempt, lease: LEASE });
        let late = store.ask(asked_claim(&claim));
        assert!(matches!(wait(first), Ok(Reply::Claimed(_))));
        assert_eq!(wait(released).unwrap(), Reply::Released);
        assert_eq!(wait(late).unwrap(), Reply::LeaseLost { winner: None });
    }
}

#[test]
fn a_store_that_cannot_be_reached_when_it_is_opened_is_not_remembered_as_that() {
    let Some(mut server) = Postgres::start_with(&[("fsync", "off")]) else { return };
    let url = database(&server);
    server.kill();
    assert_eq!(PostgresStore::connect_blocking(&url).unwrap_err().fault(), Fault::Unavailable);
    server.restart();
    call(&open(&url), token(1), b"one");
}
