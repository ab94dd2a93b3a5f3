//! Commits are shared, and one request that fails does not take the others with it.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use idem_runtime::Token;
use idem_runtime::store::{Asked, Fault, Pending, Reply, Request, Store};
use idem_sqlite::SqliteStore;

/// How many commits the log beside the file holds.
fn commits(path: &Path) -> usize {
    let log = fs::read(format!("{}-wal", path.display())).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let (page, salts) = (number(8) as usize, &log[16..24]);
    let frames = (32..log.len()).step_by(24 + page);
    // The last frame of a commit has the file's size, the others have 0. Older frames have other salts.
    frames.take_while(|&at| &log[at + 8..at + 16] == salts).filter(|&at| number(at + 4) != 0).count()
}

fn later(asked: Asked) -> Pending {
    match asked {
        Asked::Later(pending) => pending,
        Asked::Now(answer) => panic!("{answer:?}"),
    }
}

#[test]
fn what_is_asked_at_the_same_time_shares_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    call(&store, token(0), b"zero");
    let before = commits(&path);

    // While somebody else writes, everybody's requests gather.
    let beside = beside(&path);
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let claims: Vec<_> = (1..=100).map(|number| claim(token(number))).collect();
    let pending: Vec<_> = claims.iter().map(|claim| later(store.ask(asked_claim(claim)))).collect();
    beside.execute_batch("ROLLBACK").unwrap();

    let mut fences = Vec::new();
    for pending in pending {
        match pending.wait(Some(PATIENCE)).unwrap() {
            Ok(Reply::Claimed(grant)) => fences.push(grant.fence),
            other => panic!("{other:?}"),
        }
    }
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
    // The first may have been taken alone, before the others were there.
    let shared = commits(&path) - before;
    assert!((1..=2).contains(&shared), "100 claims took {shared} commits");
}

#[test]
fn what_changes_nothing_commits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    let claim = claim(token(1));
    let grant = claimed(&store, &claim);
    let complete = Arc::new(complete(&claim, grant, b"one"));
    ask(&store, Request::Complete(complete.clone())).unwrap();
    let before = commits(&path);
    for _ in 0..10 {
        duplicate(&store, token(1));
        assert_eq!(ask(&store, Request::Complete(complete.clone())).unwrap(), Reply::Completed);
        assert_eq!(ask(&store, Request::Forget { token: token(2) }).unwrap(), Reply::Forgotten);
    }
    assert_eq!(commits(&path), before);
}

#[test]
fn a_request_that_fails_does_not_take_the_others_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    call(&store, token(5), b"five");
    let beside = beside(&path);
    beside.execute("UPDATE record SET data = x'01'", []).unwrap();

    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let claims: Vec<_> = (0..10).map(|number| claim(token(number))).collect();
    let pending: Vec<_> = claims.iter().map(|claim| later(store.ask(asked_claim(claim)))).collect();
    beside.execute_batch("ROLLBACK").unwrap();
    for (number, pending) in pending.into_iter().enumerate() {
        let answer = pending.wait(Some(PATIENCE)).unwrap();
        match answer {
            Ok(Reply::Claimed(_)) if number != 5 => {}
            Err(error) if number == 5 => assert_eq!(error.fault(), Fault::Refused),
            other => panic!("{number}: {other:?}"),
        }
    }
}

/// Something in the file makes SQLite give up the whole transaction as soon as this record is written.
fn refuse(beside: &rusqlite::Connection, token: Token) {
    let trigger = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON record WHEN NEW.token = x'{token}' \
         BEGIN SELECT raise(ROLLBACK, 'refused'); END"
    );
    beside.execute_batch(&trigger).unwrap();
}

#[test]
fn a_transaction_that_is_given_up_is_done_again_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    let beside = beside(&path);
    refuse(&beside, token(5));
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let claims: Vec<_> = (0..10).map(|number| claim(token(number))).collect();
    let pending: Vec<_> = claims.iter().map(|claim| later(store.ask(asked_claim(claim)))).collect();
    beside.execute_batch("ROLLBACK").unwrap();
    for (number, pending) in pending.into_iter().enumerate() {
        match pending.wait(Some(PATIENCE)).unwrap() {
            Ok(Reply::Claimed(_)) if number != 5 => {}
            Err(error) if number == 5 => assert_eq!(error.fault(), Fault::Unavailable, "{error}"),
            other => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(get(&store, token(5)), None);
}

#[test]
fn fences_of_a_transaction_that_was_given_up_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let (one, two) = (open(&path), open(&path));
    let beside = beside(&path);
    refuse(&beside, token(1));
    ask_claim(&one, &claim(token(1))).unwrap_err();
    beside.execute_batch("DROP TRIGGER refuse").unwrap();
    let fences: Vec<_> = [&two, &one, &two, &one, &one, &two]
        .into_iter()
        .zip(10..)
        .map(|(store, number)| claimed(store, &claim(token(number))).fence)
        .collect();
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
}

#[test]
fn while_another_process_writes_duplicates_are_answered_and_claims_wait_for_the_time_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::builder(&path).time_limit(Duration::from_millis(50)).open().unwrap();
    call(&store, token(1), b"one");
    let beside = beside(&path);
    beside.execute_batch("BEGIN IMMEDIATE; UPDATE fence SET last = last").unwrap();

    assert_eq!(&*duplicate(&store, token(1)).result, b"one");
    let error = ask_claim(&store, &claim(token(2))).unwrap_err();
    assert_eq!(error.fault(), Fault::Unavailable);
    assert!(error.to_string().contains("raise `time_limit`"), "{error}");

    beside.execute_batch("COMMIT").unwrap();
    assert_eq!(get(&store, token(2)), None, "nothing was done");
    call(&store, token(2), b"two");
}

#[test]
fn what_is_queued_is_done_when_the_last_handle_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    let beside = beside(&path);
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let claims: Vec<_> = (0..10).map(|number| claim(token(number))).collect();
    let mut pending: Vec<_> = claims.iter().map(|claim| later(store.ask(asked_claim(claim)))).collect();
    // Dropping what waits cancels nothing, either.
    pending.truncate(5);
    drop(store);
    beside.execute_batch("ROLLBACK").unwrap();
    for pending in pending {
        assert!(matches!(pending.wait(Some(PATIENCE)).unwrap(), Ok(Reply::Claimed(_))));
    }
    until("the writer has closed the file", || {
        beside.query_row("SELECT count(*) FROM record WHERE state = 0", [], |row| row.get(0)) == Ok(10)
    });
}

#[test]
fn a_handle_is_a_clone_and_no_new_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("orders.db"));
    let handle = store.to_handle();
    assert!(handle.same(&store.clone().to_handle()));
    assert_eq!(format!("{store:?}"), format!("SqliteStore({:?})", store.profile().name));
}
