//! Several processes, one file; and processes that die.

mod common;

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use common::*;
use idem_runtime::store::{Asked, Reply, Request, State, Store};
use idem_sqlite::SqliteStore;

const ROUNDS: u64 = 50;

/// One call as the library makes it: claims, runs the body or waits for whoever does, and gives the result.
fn call_once(store: &SqliteStore, number: u64, body: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let claim = claim(token(number));
    loop {
        match ask_claim(store, &claim).unwrap() {
            Reply::Claimed(grant) => {
                let result = body();
                let complete = Arc::new(complete(&claim, grant, &result));
                assert_eq!(ask(store, Request::Complete(complete)).unwrap(), Reply::Completed);
                return result;
            }
            Reply::Done(finished) => return finished.result.to_vec(),
            Reply::Running { lease_left, .. } => {
                let watched = ask(store, Request::Watch { token: token(number), limit: lease_left });
                match watched.unwrap() {
                    Reply::Record(Some(record)) => assert_eq!(record.head.state, State::Done),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_another_process_changes_is_known_at_once() {
    const TEST: &str = "what_another_process_changes_is_known_at_once";
    if let Some(path) = role() {
        let store = open(Path::new(&path));
        for round in 1..=ROUNDS {
            listen();
            assert_eq!(ask(&store, Request::Forget { token: token(1) }).unwrap(), Reply::Forgotten);
            call(&store, token(1), &round.to_be_bytes());
            say(round);
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    call(&store, token(1), &0_u64.to_be_bytes());
    let mut other = start_here(TEST, path.to_str().unwrap());
    for round in 1..=ROUNDS {
        for _ in 0..2 {
            assert_eq!(*duplicate(&store, token(1)).result, (round - 1).to_be_bytes());
        }
        other.go();
        assert_eq!(other.hear().unwrap(), round.to_string());
        assert_eq!(*duplicate(&store, token(1)).result, round.to_be_bytes());
    }
    other.finish();
}

#[test]
fn four_processes_with_threads_run_a_token_once() {
    const TEST: &str = "four_processes_with_threads_run_a_token_once";
    if let Some(folder) = role() {
        let folder = Path::new(&folder);
        let store = open(&folder.join("orders.db"));
        say("ready");
        listen();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let result = call_once(store, round, || {
                            let mine = format!("{} {thread} {round}", std::process::id());
                            let mut ledger =
                                OpenOptions::new().append(true).open(folder.join("ledger")).unwrap();
                            ledger.write_all(format!("{round}\n").as_bytes()).unwrap();
                            mine.into_bytes()
                        });
                        say(format!("{round}={}", String::from_utf8(result).unwrap()));
                    }
                });
            }
        });
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ledger"), "").unwrap();
    let role = folder.path().to_str().unwrap();
    let mut children: Vec<_> = (0..4).map(|_| start_here(TEST, role)).collect();
    for child in &mut children {
        assert_eq!(child.hear().as_deref(), Some("ready"));
    }
    children.iter_mut().for_each(Process::go);

    let mut results: HashMap<String, Vec<String>> = HashMap::new();
    for child in children {
        for line in child.finish() {
            let (round, result) = line.split_once('=').unwrap();
            results.entry(round.to_owned()).or_default().push(result.to_owned());
        }
    }
    assert_eq!(results.len() as u64, ROUNDS);
    for (round, results) in results {
        assert_eq!(results.len(), 16, "{round}");
        assert!(results.iter().all(|result| *result == results[0]), "{round}: {results:?}");
    }
    let mut ledger: Vec<u64> = std::fs::read_to_string(folder.path().join("ledger"))
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    ledger.sort_unstable();
    assert_eq!(ledger, (0..ROUNDS).collect::<Vec<_>>(), "each body ran once");
}

#[test]
fn a_waiter_is_answered_when_another_process_completes() {
    if let Some(path) = role() {
        let store = open(Path::new(&path));
        let claim = claim(token(1));
        let grant = claimed(&store, &claim);
        say("claimed");
        listen();
        let answer = ask(&store, Request::Complete(Arc::new(complete(&claim, grant, b"one"))));
        return say(format!("{:?}", answer.unwrap()));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let mut child = start_here("a_waiter_is_answered_when_another_process_completes", path.to_str().unwrap());
    assert_eq!(child.hear().as_deref(), Some("claimed"));
    let store = open(&path);
    let Reply::Running { .. } = ask_claim(&store, &claim(token(1))).unwrap() else { panic!("not running") };
    let Asked::Later(pending) = store.ask(Request::Watch { token: token(1), limit: LEASE }) else {
        panic!("nothing to wait for")
    };
    child.go();
    match pending.wait(Some(PATIENCE)).expect("an answer") {
        Ok(Reply::Record(Some(record))) => assert_eq!(&*record.result, b"one"),
        other => panic!("{other:?}"),
    }
    assert_eq!(child.finish(), ["Completed"]);
}

/// What was answered is there, whenever the process is killed; and the file is whole.
#[test]
fn a_killed_process_loses_nothing_that_was_answered() {
    const TEST: &str = "a_killed_process_loses_nothing_that_was_answered";
    const KILLS: u64 = 5;
    if let Some(role) = role() {
        let (first, path) = role.split_once(' ').unwrap();
        let (first, store): (u64, _) = (first.parse().unwrap(), open(Path::new(path)));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for number in (first + thread..).step_by(4) {
                        call(store, token(number), &number.to_be_bytes());
                        say(number);
                    }
                });
            }
        });
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let mut answered = Vec::new();
    for kill in 0..KILLS {
        let mut child = start_here(TEST, &format!("{} {}", kill * 1_000_000, path.display()));
        for _ in 0..100 + 37 * kill {
            answered.push(child.hear().expect("it runs until it is killed").parse::<u64>().unwrap());
        }
        child.child.kill().unwrap();
        while let Some(line) = child.hear() {
            answered.push(line.parse().unwrap());
        }
    }
    let store = open(&path);
    for number in &answered {
        assert_eq!(&*duplicate(&store, token(*number)).result, number.to_be_bytes());
    }
    let whole: String = beside(&path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
}
