//! A disk that is full, a record that is damaged, a file that is not there any more: what is said, and what is kept.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::*;
use idem_runtime::store::{Fault, Query, Reply, Request, Store, StoreError};
use idem_sqlite::SqliteStore;

/// Completes until the disk takes no more; says what was answered well, and gives the error.
fn fill(store: &SqliteStore) -> StoreError {
    for number in 0.. {
        let claim = claim(token(number));
        let grant = match ask_claim(store, &claim) {
            Ok(Reply::Claimed(grant)) => grant,
            Err(error) => return error,
            other => panic!("{other:?}"),
        };
        let complete = complete(&claim, grant, &number.to_be_bytes().repeat(1_000));
        match ask(store, Request::Complete(Arc::new(complete))) {
            Ok(Reply::Completed) => say(number),
            Err(error) => return error,
            other => panic!("{other:?}"),
        }
    }
    unreachable!("no disk takes them all")
}

/// In the child: everything that was answered stays, and what is asked is refused in words.
fn fill_and_look(path: &str, fault: Fault, words: &str) {
    let store = open(Path::new(path));
    let error = fill(&store);
    assert_eq!(error.fault(), fault, "{error}");
    assert!(error.to_string().contains(words), "{error}");
    // Again, and with others at the same time: each is told.
    let claims: Vec<_> = (1_000_000..1_000_020).map(|number| claim(token(number))).collect();
    let asked: Vec<_> = claims.iter().map(|claim| store.ask(asked_claim(claim))).collect();
    for asked in asked {
        match wait(asked) {
            // A small one may still have found room.
            Ok(Reply::Claimed(_)) => {}
            Err(error) => assert_eq!(error.fault(), fault, "{error}"),
            other => panic!("{other:?}"),
        }
    }
    duplicate(&store, token(0));
    say("end");
}

/// What the child was answered is there, and the file works again where there is room.
fn look_after(mut child: Process, path: &Path) {
    let mut answered: Vec<u64> = Vec::new();
    loop {
        match child.hear().as_deref() {
            Some("end") => break,
            Some(number) => answered.push(number.parse().unwrap()),
            None => panic!("the child failed"),
        }
    }
    child.finish();
    assert!(!answered.is_empty());
    let store = open(path);
    for number in &answered {
        assert_eq!(&*duplicate(&store, token(*number)).result, number.to_be_bytes().repeat(1_000));
    }
    call(&store, token(2_000_000), b"there is room again");
    let whole: String = beside(path).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
}

/// A file that must not grow, as a quota would have it: a limit of the process.
#[cfg(unix)]
#[test]
fn no_more_may_be_written() {
    const TEST: &str = "no_more_may_be_written";
    if let Some(path) = role() {
        return fill_and_look(&path, Fault::Unavailable, "check the disk, its room and the limits");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let program = std::env::current_exe().unwrap();
    let inner = command(&program, TEST, path.to_str().unwrap());
    // The shell sets the limit, and sees to it that reaching it is an error and no signal.
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""]);
    limited.arg(inner.get_program()).args(inner.get_args());
    limited.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    look_after(start(limited), &path);
}

/// A disk that is really full, and then is not: in a name space of the child's own, where Linux allows that.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    const TEST: &str = "a_full_disk";
    if let Some(folder) = role() {
        let path = Path::new(&folder).join("orders.db");
        let filler = Path::new(&folder).join("filler");
        fs::write(&filler, vec![1; 500_000]).unwrap();
        fill_and_look(path.to_str().unwrap(), Fault::Refused, "has no room left on its disk: free some");
        fs::remove_file(&filler).unwrap();
        // The same as before goes on, once there is room.
        let store = open(&path);
        until("there is room", || {
            matches!(ask_claim(&store, &claim(token(3_000_000))), Ok(Reply::Claimed(_)))
        });
        return say("room");
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let unshared = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{place}'");
    if !unshared(&mount).status().is_ok_and(|status| status.success()) {
        return println!("skipped: this machine allows no disk of the test's own");
    }
    let mut command = unshared(&format!("{mount} && exec \"$0\" \"$@\""));
    let inner = self::command(&std::env::current_exe().unwrap(), TEST, place);
    command.arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = start(command).finish();
    assert!(said.len() > 2, "{said:?}");
    assert_eq!(said[said.len() - 2..], ["end", "room"]);
}

#[test]
fn a_damaged_record_is_named_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    call(&store, token(1), b"one");
    call(&store, token(2), b"two");
    let beside = beside(&path);
    let damage = "UPDATE record SET data = substr(data, 1, length(data) - 1) WHERE token = ?1";
    beside.execute(damage, [token(1).as_bytes()]).unwrap();

    let requests = [
        asked_claim(&claim(token(1))),
        Request::Get { token: token(1) },
        Request::Forget { token: token(1) },
        Request::Watch { token: token(1), limit: PATIENCE },
        Request::List(Arc::new(Query::default())),
    ];
    for request in requests {
        let error = ask(&store, request.clone()).expect_err(request.operation());
        assert_eq!(error.fault(), Fault::Refused);
        let said = error.to_string();
        assert!(said.contains("damaged record") && said.contains(&token(1).to_string()), "{said}");
        assert!(said.contains(&format!("DELETE FROM record WHERE token = x'{}'", token(1))), "{said}");
    }
    let rows: i64 = beside.query_row("SELECT count(*) FROM record", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2, "no record is lost");
    assert_eq!(&*duplicate(&store, token(2)).result, b"two");

    // A record of a program that is newer than this one.
    beside.execute("UPDATE record SET data = x'63' WHERE token = ?1", [token(1).as_bytes()]).unwrap();
    let error = ask_claim(&store, &claim(token(1))).unwrap_err();
    assert!(error.to_string().contains("is of format 99"), "{error}");
    assert!(!error.to_string().contains("DELETE"), "{error}");
}

#[test]
fn tables_that_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    beside(&path).execute_batch("DROP TABLE record").unwrap();
    let error = ask_claim(&store, &claim(token(1))).unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
    assert!(error.to_string().contains("restore it from a copy"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_is_moved_or_replaced_while_it_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    call(&store, token(1), b"one");
    let refused = || {
        let error = ask_claim(&store, &claim(token(2))).unwrap_err();
        assert_eq!(error.fault(), Fault::Refused);
        assert!(error.to_string().contains("open the store again"), "{error}");
    };
    let away = folder.path().join("away.db");
    fs::rename(&path, &away).unwrap();
    refused();
    fs::write(&path, "").unwrap();
    refused();
    fs::rename(&away, &path).unwrap();
    call(&store, token(2), b"two");
    assert_eq!(&*duplicate(&store, token(1)).result, b"one");
}
