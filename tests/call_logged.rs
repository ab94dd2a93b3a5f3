//! What a logger sees of calls where a crate of the program has turned `tracing`'s feature `log` on, as here, and no
//! subscriber is set.

mod common;

use std::sync::Mutex;

use idem::store::Handle;
use idem::{Error, idempotent};
use log::{LevelFilter, Log, Metadata, Record};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collects;

impl Log for Collects {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LINES.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

#[idempotent(name = "logged.charge", store = store, skip(store))]
fn charge(store: &Handle, order: u64) -> Result<u64, Error> {
    Ok(order)
}

/// One test, because there is one logger in a process.
#[test]
fn a_logger_sees_calls_if_it_listens_to_them() {
    log::set_logger(&Collects).unwrap();
    let place = common::memory();
    let lines_of_two_calls_with = |level, order| {
        log::set_max_level(level);
        charge(&place.store, order).unwrap();
        charge(&place.store, order).unwrap();
        std::mem::take(&mut *LINES.lock().unwrap())
    };
    assert_eq!(lines_of_two_calls_with(LevelFilter::Warn, 1), [""; 0]);

    let lines = lines_of_two_calls_with(LevelFilter::Info, 2);
    let with = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(with("function=logged.charge"), 2, "{lines:#?}");
    assert_eq!(with("outcome=\"replayed\""), 1, "{lines:#?}");
    assert_eq!(with("replayed age_ms="), 1, "{lines:#?}");
}
