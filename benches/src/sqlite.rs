//! The SQLite store, with `synchronous=FULL`, beside the bare statements.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::Instant;

use idem::{SqliteStore, idempotent};
use rusqlite::{Connection, OpenFlags, params};

use crate::measure::{Clock, Subject, Times, in_turns};
use crate::memory::walk;
use crate::subject::{arguments, block_on, now, receipt, shuffled};
use crate::table::{Row, time};

const RECORDS: usize = 10_000;

/// How many callers are compared with one.
const CALLERS: usize = 8;

static STORE: OnceLock<SqliteStore> = OnceLock::new();

fn store() -> &'static SqliteStore {
    STORE.get().expect("opened before the first call")
}

#[idempotent(name = "orders.charge", store = store())]
async fn charge(order: u64, who: &str) -> Result<u64, idem::Error> {
    Ok(receipt(order, who))
}

/// A call that nobody has made before.
fn first_call() {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (order, who) = arguments(RECORDS + NEXT.fetch_add(1, Ordering::Relaxed) as usize);
    black_box(block_on(charge(order, who)).expect("charged"));
}

pub fn rows(folder: &Path) -> Vec<Row> {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let folder = tempfile::tempdir_in(folder).expect("a folder for the files");
    let file = folder.path().join("idem.db");
    STORE.set(SqliteStore::builder(&file).open().expect("the store opens")).expect("opened once");
    thread::scope(|scope| {
        for caller in 0..CALLERS * 4 {
            scope.spawn(move || {
                for index in (caller..RECORDS).step_by(CALLERS * 4) {
                    let (order, who) = arguments(index);
                    black_box(block_on(charge(order, who)).expect("charged"));
                }
            });
        }
    });
    vec![duplicates(&file), first_calls(folder.path(), &file), callers()]
}

/// A duplicate beside the prepared statement that reads the same row by its key.
fn duplicates(file: &Path) -> Row {
    let bare =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .expect("the file opens");
    let mut read = bare
        .prepare("SELECT data FROM record WHERE namespace = ?1 AND token = ?2")
        .expect("the statement is right");
    let tokens: Vec<[u8; 32]> = (0..RECORDS)
        .map(|index| {
            let (order, who) = arguments(index);
            *idem::call("orders.charge").arg(&order).arg(who).token().expect("a token").as_bytes()
        })
        .collect();
    let order = shuffled(RECORDS);
    let mut at = 0;
    let times = in_turns(
        Clock::Thread,
        101,
        1_000,
        &mut [
            walk(&order, |order, who| now(charge(order, who)).expect("charged")),
            Subject::each(|| {
                let token = &tokens[order[at] as usize];
                at = (at + 1) % order.len();
                let mut rows = read.query(params!["", token]).expect("the row is read");
                let row = rows.next().expect("the row is read").expect("there is one");
                black_box(row.get_ref(0).expect("a column").as_blob().expect("bytes").len());
            }),
        ],
    );
    Row::new("duplicate, SQLite", time(times.of(0)), format!("bare prepared read: {}", time(times.of(1))))
        .ratio(times.ratio(0, 1))
        .at_most(3.0)
}

/// A first call beside two commits of a row of the same size: one that adds it, one that changes it.
fn first_calls(folder: &Path, file: &Path) -> Row {
    let length: i64 = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|file| file.query_row("SELECT max(length(data)) FROM record", [], |row| row.get(0)))
        .expect("the records are read");
    let bare = Connection::open(folder.join("bare.db")).expect("the file opens");
    bare.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE record (token BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;",
    )
    .expect("the table is made");
    let [mut begin, mut insert, mut update, mut commit] = [
        "BEGIN IMMEDIATE",
        "INSERT INTO record VALUES (?1, ?2)",
        "UPDATE record SET data = ?2 WHERE token = ?1",
        "COMMIT",
    ]
    .map(|sql| bare.prepare(sql).expect("the statement is right"));
    let data = vec![7_u8; usize::try_from(length).expect("a length")];
    // Something else: what does not change is not written.
    let changed = vec![8_u8; data.len()];
    let mut next = 0_u64;
    let mut token = || {
        next += 1;
        let hash: [u8; 32] =
            sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), next.to_be_bytes()))
                .into();
        hash
    };
    for _ in 0..RECORDS / 100 {
        begin.execute([]).expect("begun");
        for _ in 0..100 {
            insert.execute(params![token(), data]).expect("added");
        }
        commit.execute([]).expect("committed");
    }
    let times = in_turns(
        Clock::Wall,
        101,
        10,
        &mut [
            Subject::each(first_call),
            Subject::each(|| {
                let token = token();
                begin.execute([]).expect("begun");
                insert.execute(params![token, data]).expect("added");
                commit.execute([]).expect("committed");
                begin.execute([]).expect("begun");
                update.execute(params![token, changed]).expect("changed");
                commit.execute([]).expect("committed");
            }),
        ],
    );
    let beside = format!("two bare commits: {} (one: {})", time(times.of(1)), time(times.of(1) / 2.0));
    Row::new("first call, SQLite, synchronous=FULL", time(times.of(0)), beside)
        .ratio(times.ratio(0, 1))
        .at_most(1.5)
}

/// Many callers at once, who share commits, beside one.
fn callers() -> Row {
    let rounds = (0..41).map(|round| {
        if round % 2 == 0 {
            [per_call(1), per_call(CALLERS)]
        } else {
            let many = per_call(CALLERS);
            [per_call(1), many]
        }
        .to_vec()
    });
    let times = Times::from_rounds(rounds.collect());
    let per_second = |nanos: f64| format!("{:.0} calls per second", 1e9 / nanos);
    Row::new(
        format!("first calls of {CALLERS} callers, SQLite, synchronous=FULL"),
        per_second(times.of(1)),
        format!("one caller: {}", per_second(times.of(0))),
    )
    .ratio(times.ratio(0, 1))
    .at_least(3.0)
}

/// Nanoseconds per first call when so many callers make them at once.
fn per_call(callers: usize) -> f64 {
    const CALLS: usize = 50;
    let barrier = Barrier::new(callers);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let caller = || {
            first_call();
            barrier.wait();
            let began = Instant::now();
            (0..CALLS).for_each(|_| first_call());
            (began, Instant::now())
        };
        let handles: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    let began = spans.iter().map(|span| span.0).min().expect("a caller");
    let ended = spans.iter().map(|span| span.1).max().expect("a caller");
    (ended - began).as_nanos() as f64 / (callers * CALLS) as f64
}
