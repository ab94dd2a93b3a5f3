//! Who waits is answered, and the thread that waits for others is there only as long as somebody does. One test, so
//! that nobody else's threads are counted.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use idem_runtime::store::{Asked, Pending, Record, Reply, Request, State, Store};
use idem_sqlite::SqliteStore;

fn watch(store: &SqliteStore, number: u64, limit: Duration) -> Pending {
    match store.ask(Request::Watch { token: token(number), limit }) {
        Asked::Later(pending) => pending,
        Asked::Now(answer) => panic!("{answer:?}"),
    }
}

fn record(answer: Result<idem_runtime::store::Answer, Pending>) -> Option<Arc<Record>> {
    match answer.expect("an answer") {
        Ok(Reply::Record(record)) => record,
        other => panic!("{other:?}"),
    }
}

/// How many threads of this process have a name.
#[cfg(target_os = "linux")]
fn threads(name: &str) -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok())
        .filter(|found| found.trim() == name)
        .count()
}

#[cfg(not(target_os = "linux"))]
fn threads(_: &str) -> usize {
    0
}

/// Linux keeps 15 letters of a name.
const LOOKS: &str = "idem-sqlite-wat";
const WRITES: &str = "idem-sqlite";

#[test]
fn waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    answered_at_once(&store);
    woken_by_whatever_ends_it(&store);
    other_namespaces_do_not_wake(&store);
    at_the_deadline(&store);
    another_store_completes(&path, &store);
    nobody_waits_any_more(&store);
    file_is_gone(&path, &store);
    drop(store);
    until("the writer has ended", || threads(WRITES) == 0);
}

fn answered_at_once(store: &SqliteStore) {
    let now = |number, limit| match store.ask(Request::Watch { token: token(number), limit }) {
        Asked::Now(Ok(Reply::Record(record))) => record.map(|record| record.head.state),
        other => panic!("{other:?}"),
    };
    assert_eq!(now(100, PATIENCE), None);
    call(store, token(101), b"one");
    assert_eq!(now(101, PATIENCE), Some(State::Done));
    claimed(store, &claim(token(102)));
    assert_eq!(now(102, Duration::ZERO), Some(State::Running));
    assert_eq!(threads(LOOKS), 0);
}

fn woken_by_whatever_ends_it(store: &SqliteStore) {
    // All wait at once, several for each.
    let claims: Vec<_> = (200..204).map(|number| claim(token(number))).collect();
    let grants: Vec<_> = claims.iter().map(|claim| claimed(store, claim)).collect();
    let pending: Vec<_> =
        (200..204).map(|number| [watch(store, number, LEASE), watch(store, number, LEASE)]).collect();
    if cfg!(target_os = "linux") {
        until("somebody looks", || threads(LOOKS) == 1);
    }
    let (token, attempt) = (|at: usize| claims[at].token, |at: usize| claims[at].attempt);
    let complete = Request::Complete(Arc::new(complete(&claims[0], grants[0], b"one")));
    let release = Request::Release { token: token(1), attempt: attempt(1), lease: LEASE };
    let interrupt = Request::Interrupt { token: token(2), attempt: attempt(2) };
    let resolved = Request::Release { token: token(3), attempt: attempt(3), lease: LEASE };
    let states = [State::Done, State::Free, State::Interrupted, State::Free];
    for ((request, pending), state) in
        [complete, release, interrupt, resolved].into_iter().zip(pending).zip(states)
    {
        ask(store, request).unwrap();
        for pending in pending {
            assert_eq!(record(pending.wait(Some(PATIENCE))).unwrap().head.state, state);
        }
    }
}

fn other_namespaces_do_not_wake(store: &SqliteStore) {
    let other = store.with_namespace("other");
    let (here, there) = (claim(token(300)), claim(token(300)));
    let (grant_here, grant_there) = (claimed(store, &here), claimed(&other, &there));
    let pending = watch(store, 300, LEASE);
    ask(&other, Request::Complete(Arc::new(complete(&there, grant_there, b"there")))).unwrap();
    ask(store, Request::Complete(Arc::new(complete(&here, grant_here, b"here")))).unwrap();
    assert_eq!(&*record(pending.wait(Some(PATIENCE))).unwrap().result, b"here");
}

fn at_the_deadline(store: &SqliteStore) {
    claimed(store, &claim(token(400)));
    let (began, limit) = (Instant::now(), Duration::from_millis(30));
    let pending = watch(store, 400, limit);
    let record = record(pending.wait(Some(PATIENCE))).unwrap();
    assert!(began.elapsed() >= limit);
    assert_eq!(record.head.state, State::Running);
}

fn another_store_completes(path: &std::path::Path, store: &SqliteStore) {
    let other = open(path);
    let claim = claim(token(500));
    let grant = claimed(&other, &claim);
    let pending: Vec<_> = (0..10).map(|_| watch(store, 500, LEASE)).collect();
    ask(&other, Request::Complete(Arc::new(complete(&claim, grant, b"one")))).unwrap();
    for pending in pending {
        assert_eq!(&*record(pending.wait(Some(PATIENCE))).unwrap().result, b"one");
    }
}

fn nobody_waits_any_more(store: &SqliteStore) {
    claimed(store, &claim(token(600)));
    let pending = watch(store, 600, LEASE);
    until("nobody looks", || threads(LOOKS) <= 1);
    drop(pending);
    until("nobody looks", || threads(LOOKS) == 0);
    // And it begins anew.
    let pending = watch(store, 600, Duration::from_millis(1));
    assert_eq!(record(pending.wait(Some(PATIENCE))).unwrap().head.state, State::Running);
    until("nobody looks", || threads(LOOKS) == 0);
}

fn file_is_gone(path: &std::path::Path, store: &SqliteStore) {
    claimed(store, &claim(token(700)));
    let pending = watch(store, 700, LEASE);
    std::fs::rename(path, path.with_extension("away")).unwrap();
    let answer = pending.wait(Some(PATIENCE)).expect("an answer");
    assert!(answer.unwrap_err().to_string().contains("deleted, moved or replaced"));
    std::fs::rename(path.with_extension("away"), path).unwrap();
}
