//! What a file must be to be opened, and what is said of one that is not.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::*;
use idem_runtime::store::{Durability, Fault, Store, StoreError};
use idem_sqlite::{SqliteStore, Synchronous};
use rusqlite::Connection;

fn refused(path: &Path) -> StoreError {
    let error = SqliteStore::builder(path).open().unwrap_err();
    assert_eq!(error.fault(), Fault::Refused, "{error}");
    assert!(error.to_string().starts_with(&format!("the store sqlite:{} ", path.display())), "{error}");
    error
}

#[test]
fn a_new_file_is_made_and_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    assert_eq!(store.profile().durability, Durability::Synced);
    assert_eq!(store.profile().name.as_str(), format!("sqlite:{}", path.display()));
    assert!(!store.profile().guarded && !store.profile().wants_arguments);
    call(&store, token(1), b"one");
    drop(store);

    let url = format!("sqlite://{}?synchronous=normal&time_limit=3s", path.display());
    let store = SqliteStore::open(&url).unwrap();
    assert_eq!(store.profile().durability, Durability::Machine);
    assert_eq!(store.profile().time_limit, Duration::from_secs(3));
    assert_eq!(&*duplicate(&store, token(1)).result, b"one");
}

#[test]
fn what_was_asked_for_is_what_sqlite_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let _store = SqliteStore::builder(&path).synchronous(Synchronous::Full).open().unwrap();
    let beside = beside(&path);
    let journal: String = beside.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    let application: i64 = beside.pragma_query_value(None, "application_id", |row| row.get(0)).unwrap();
    assert_eq!((journal.as_str(), application), ("wal", 0x6964_656d));
}

#[test]
fn an_empty_file_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    std::fs::write(&path, "").unwrap();
    call(&open(&path), token(1), b"one");
}

#[test]
fn many_make_the_same_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = &folder.path().join(format!("{round}.db"));
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || call(&open(path), token(number), b"one"));
            }
        });
        let store = open(path);
        for number in 0..8 {
            assert_eq!(&*duplicate(&store, token(number)).result, b"one");
        }
    }
}

#[test]
fn two_stores_on_one_path_work_like_two_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let (one, two) = (open(&path), open(&path));
    let first = call(&one, token(1), b"one");
    assert_eq!(&*duplicate(&two, token(1)).result, b"one");
    let second = call(&two, token(2), b"two");
    assert!(second.fence > first.fence, "fences grow, whoever gives them");
    let third = call(&one, token(3), b"three");
    assert!(third.fence > second.fence);
}

#[test]
fn not_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.csv");
    let text = "order,amount\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = refused(&path);
    assert!(error.to_string().contains("is not an SQLite database: give another path"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "it is left as it is");
}

#[test]
fn another_programs_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE orders (id INTEGER)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert!(error.to_string().contains("is another program's SQLite database"), "{error}");
    assert!(fs::read(&path).unwrap() == before, "it is left as it is");
}

#[test]
fn a_newer_version_is_refused_at_open_and_while_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = open(&path);
    call(&store, token(1), b"one");
    // A newer program migrates the file under the older one.
    beside(&path).pragma_update(None, "user_version", 99).unwrap();

    let error = ask_claim(&store, &claim(token(2))).unwrap_err();
    assert_eq!(error.fault(), Fault::Refused);
    assert!(error.to_string().contains("has version 99 of the tables"), "{error}");
    assert!(error.to_string().contains("update this program"), "{error}");

    let error = refused(&path);
    assert!(error.to_string().contains("has version 99 of the tables"), "{error}");
    let kept: i64 = beside(&path).query_row("SELECT count(*) FROM record", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1);
}

#[test]
fn a_folder_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(&folder.path().join("data").join("orders.db"));
    assert!(error.to_string().contains("there is no folder "), "{error}");
    assert!(error.to_string().contains("make it first"), "{error}");

    let error = refused(folder.path());
    assert!(error.to_string().contains("is a folder"), "{error}");
}

#[test]
fn a_url_without_a_file() {
    let error = SqliteStore::open("sqlite::memory:").unwrap_err();
    assert!(error.to_string().contains("use the memory store, `memory:`"), "{error}");
    let error = SqliteStore::builder(":memory:").open().unwrap_err();
    assert!(error.to_string().contains("use the memory store, `memory:`"), "{error}");
}

/// The permissions of a file say nothing to root, so a child gives up being root.
#[cfg(unix)]
#[test]
fn a_read_only_file() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    if let Some(path) = role() {
        let error = SqliteStore::open(&path).unwrap_err();
        assert_eq!(error.fault(), Fault::Refused);
        return say(error);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    call(&open(&path), token(1), b"one");
    until("the writer has closed the file", || !folder.path().join("orders.db-wal").exists());
    // Where whoever the child is can read it.
    let program = folder.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&program, 0o755);
    allow(&path, 0o444);
    allow(folder.path(), 0o555);

    let mut command = command(&program, "a_read_only_file", path.to_str().unwrap());
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let said = start(command).finish();
    allow(folder.path(), 0o755);
    assert!(said[0].contains("give this process permission to"), "{said:?}");
}
