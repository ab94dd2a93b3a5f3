//! The process's store: `install`, `IDEM_STORE`, and neither. Each case is a process of its own.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use idem::{Error, MemoryStore};

const CASE: &str = "IDEM_TEST_CASE";

/// Runs one of the cases below in a new process.
fn process(case: &str, url: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_case", "--nocapture"]).env(CASE, case).env_remove("IDEM_STORE");
    if let Some(url) = url {
        command.env("IDEM_STORE", url);
    }
    command.output().unwrap()
}

fn passes(case: &str, url: Option<&str>) {
    let output = process(case, url);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

static RAN: AtomicU32 = AtomicU32::new(0);

fn call() -> Result<u32, Error> {
    idem::call("case").arg(&1).run_blocking(|| Ok(RAN.fetch_add(1, Ordering::SeqCst)))
}

async fn call_async() -> Result<u32, Error> {
    idem::call("case").arg(&1).run(async { Ok(RAN.fetch_add(1, Ordering::SeqCst)) }).await
}

#[test]
fn a_case() {
    let Ok(case) = std::env::var(CASE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match case.as_str() {
        "installed" => {
            idem::install(MemoryStore::new()).unwrap();
            assert_eq!(call().unwrap(), 0);
            assert_eq!(runtime.block_on(call_async()).unwrap(), 0, "one store for both");
            let twice = idem::install(MemoryStore::new()).unwrap_err();
            assert!(matches!(twice, Error::Misuse { .. }), "{twice}");
        }
        "variable" => {
            assert_eq!(runtime.block_on(call_async()).unwrap(), 0);
            assert_eq!(call().unwrap(), 0);
            let late = idem::install(MemoryStore::new()).unwrap_err();
            assert!(late.to_string().contains("IDEM_STORE"), "{late}");
        }
        "replayed" => assert_eq!(call().unwrap(), 0, "by the process before"),
        "not again" => {
            call().unwrap();
            assert_eq!(RAN.load(Ordering::SeqCst), 0, "the process before ran it");
        }
        "neither" => {
            for error in [call().unwrap_err(), runtime.block_on(call_async()).unwrap_err()] {
                assert!(matches!(error, Error::Misuse { .. }), "{error}");
                let said = error.to_string();
                assert!(
                    said.contains("`case`") && said.contains("idem::install") && said.contains("IDEM_STORE"),
                    "{said}"
                );
            }
            let unprotected = idem::call("case").arg(&1).on_store_error(idem::OnStoreError::Run);
            let error =
                unprotected.run_blocking(|| Ok::<_, Error>(RAN.fetch_add(1, Ordering::SeqCst))).unwrap_err();
            assert!(matches!(error, Error::Misuse { .. }), "nothing runs unprotected by accident: {error}");
            assert_eq!(RAN.load(Ordering::SeqCst), 0);
        }
        "unknown" => {
            for error in [call().unwrap_err(), runtime.block_on(call_async()).unwrap_err()] {
                assert!(matches!(error, Error::Misuse { .. }), "{error}");
                assert!(error.to_string().contains("`mermory:`"), "{error}");
                assert!(error.to_string().contains("IDEM_STORE"), "{error}");
            }
        }
        "not there yet" => {
            // A connection that fails is tried again by the next call.
            let folder = std::path::PathBuf::from(std::env::var("IDEM_TEST_FOLDER").unwrap());
            let error = runtime.block_on(call_async()).unwrap_err();
            assert!(matches!(error, Error::Store { .. }) && error.is_retryable(), "{error}");
            assert!(error.to_string().contains("`case`"), "{error}");
            std::fs::create_dir(&folder).unwrap();
            assert_eq!(call().unwrap(), 0);
        }
        other => panic!("no case {other}"),
    }
}

#[test]
fn install_wins_over_the_variable() {
    passes("installed", None);
    passes("installed", Some("mermory:"));
}

#[test]
fn the_variable_names_a_store() {
    passes("variable", Some("memory:"));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("idem.db").display());
    passes("variable", Some(&url));
    passes("replayed", Some(&url));
    passes("not again", Some(&url));
}

#[test]
fn with_neither_a_call_is_misuse() {
    passes("neither", None);
    passes("neither", Some(""));
}

#[test]
fn a_url_of_no_store_is_misuse() {
    passes("unknown", Some("mermory:"));
}

#[test]
fn a_connection_that_fails_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let url = format!("sqlite:{}", missing.join("idem.db").display());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_case", "--nocapture"])
        .env(CASE, "not there yet")
        .env("IDEM_STORE", url)
        .env("IDEM_TEST_FOLDER", &missing)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn urls_are_checked_when_they_are_connected_to() {
    for (url, says) in [
        ("orders.db", "not a store's URL"),
        ("user:secret@host", "there is no store for `user:`"),
        ("memory:orders", "has no name"),
        ("memory:?max_record=1", "max_records"),
        ("memory:?max_records=many", "whole number"),
        ("sqlite:", ""),
        ("sqlite:x.db?synchronous=of", "synchronous"),
    ] {
        let error = idem::connect_blocking(url).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains("secret"), "{url}: {error}");
    }
    let limited = idem::connect_blocking("memory:?max_records=1").unwrap();
    let call =
        |key: u32| idem::call("limited").arg(&key).store(&limited).run_blocking(|| Ok::<_, Error>(key));
    assert_eq!(call(1).unwrap(), 1);
    let full = call(2).unwrap_err();
    assert!(matches!(full, Error::Store { .. }), "{full}");
    assert_eq!(call(1).unwrap(), 1, "a live record is not evicted");
}
