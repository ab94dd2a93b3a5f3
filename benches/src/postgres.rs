//! The PostgreSQL store beside two statements by hand, on a pool of as many connections of the same client.

use std::future::Future;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use idem::store::{AttemptId, Claim, Complete, Kind, Reply, Request, Store};
use idem::{PostgresStore, idempotent};
use idem_servers::Postgres;
use rustix::time::{ClockId, clock_gettime};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::runtime::Runtime;

use crate::measure::{Times, quantile};
use crate::subject::{arguments, receipt};
use crate::table::{Row, time};

/// How many connections both have.
const CONNECTIONS: u32 = 4;
/// How many callers are compared with one.
const CALLERS: usize = 32;
const RECORDS: usize = 10_000;
const ROUNDS: usize = 21;

const INSERT: &str =
    "INSERT INTO hand (token, state) VALUES ($1, 1) ON CONFLICT (token) DO NOTHING RETURNING state";
const UPDATE: &str = "UPDATE hand SET state = 2, result = $2 WHERE token = $1";
const SELECT: &str = "SELECT result FROM hand WHERE token = $1 AND state = 2";

static STORE: OnceLock<PostgresStore> = OnceLock::new();

fn store() -> &'static PostgresStore {
    STORE.get().expect("opened before the first call")
}

#[idempotent(name = "orders.charge", store = store())]
async fn charge(order: u64, who: &str) -> Result<u64, idem::Error> {
    Ok(receipt(order, who))
}

/// Which call is the next that nobody has made.
static NEXT: AtomicUsize = AtomicUsize::new(RECORDS);

async fn first() {
    let (order, who) = arguments(NEXT.fetch_add(1, Ordering::Relaxed));
    black_box(charge(order, who).await.expect("charged"));
}

async fn duplicate() {
    let (order, who) = arguments(any());
    black_box(charge(order, who).await.expect("charged before"));
}

/// One of the records that are there.
fn any() -> usize {
    static AT: AtomicUsize = AtomicUsize::new(0);
    // A large odd number: all of them, in an order that is none.
    AT.fetch_add(7_919, Ordering::Relaxed) % RECORDS
}

fn token(index: usize) -> [u8; 32] {
    let (order, who) = arguments(index);
    *idem::call("orders.charge").arg(&order).arg(who).token().expect("a token").as_bytes()
}

async fn first_by_hand(pool: &PgPool, state: bool) {
    let token = token(NEXT.fetch_add(1, Ordering::Relaxed));
    let made = sqlx::query(INSERT).bind(&token[..]).fetch_optional(pool).await.expect("inserted");
    assert_eq!(made.is_some(), state);
    sqlx::query(UPDATE).bind(&token[..]).bind(&[24_u8, 42][..]).execute(pool).await.expect("updated");
}

async fn read_by_hand(pool: &PgPool) {
    let token = token(any());
    black_box(sqlx::query(SELECT).bind(&token[..]).fetch_one(pool).await.expect("read"));
}

async fn duplicate_by_hand(pool: &PgPool) {
    let token = token(any());
    let made = sqlx::query(INSERT).bind(&token[..]).fetch_optional(pool).await.expect("asked");
    assert!(made.is_none());
    black_box(sqlx::query(SELECT).bind(&token[..]).fetch_one(pool).await.expect("read"));
}

/// Nanoseconds per call when so many callers make so many calls each.
pub fn per_call<F: Future<Output = ()> + Send>(
    runtime: &Runtime,
    callers: usize,
    calls: usize,
    call: impl Fn() -> F + Send + Sync + 'static,
) -> f64 {
    let call = Arc::new(call);
    runtime.block_on(async {
        let began = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let call = Arc::clone(&call);
                tokio::spawn(async move {
                    for _ in 0..calls {
                        call().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        began.elapsed().as_nanos() as f64 / (callers * calls) as f64
    })
}

type Measured<'a> = Box<dyn Fn() -> f64 + 'a>;

/// All of them in each round, every second round the other way round.
pub fn in_turns(rounds: usize, measured: &[Measured<'_>]) -> Times {
    for measure in measured {
        measure();
    }
    let rounds = (0..rounds).map(|round| {
        let mut times = vec![0.0; measured.len()];
        for turn in 0..measured.len() {
            let turn = if round % 2 == 0 { turn } else { measured.len() - 1 - turn };
            times[turn] = measured[turn]();
        }
        times
    });
    Times::from_rounds(rounds.collect())
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

pub fn rows() -> Vec<Row> {
    let Some(server) = Postgres::start_with(&[("shared_buffers", "256MB"), ("max_wal_size", "4GB")]) else {
        return Vec::new();
    };
    let url = server.database();
    PostgresStore::migrate_blocking(&url).expect("the tables are made");
    let opened = PostgresStore::connect_blocking(&format!("{url}?connections={CONNECTIONS}"));
    STORE.set(opened.expect("the store opens")).expect("opened once");
    let runtime = runtime();
    let pool = runtime.block_on(async {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .min_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect(&url)
            .await
            .expect("a pool");
        let table = "CREATE TABLE hand (token bytea PRIMARY KEY, state smallint NOT NULL, result bytea)";
        sqlx::raw_sql(table).execute(&pool).await.expect("a table");
        pool
    });
    let next = Arc::new(AtomicUsize::new(0));
    let fill = {
        let pool = pool.clone();
        move || {
            let (index, pool) = (next.fetch_add(1, Ordering::Relaxed), pool.clone());
            async move {
                let (order, who) = arguments(index % RECORDS);
                charge(order, who).await.expect("charged");
                let token = token(index % RECORDS);
                sqlx::query(INSERT).bind(&token[..]).execute(&pool).await.expect("inserted");
                sqlx::query(UPDATE)
                    .bind(&token[..])
                    .bind(&[24_u8, 42][..])
                    .execute(&pool)
                    .await
                    .expect("updated");
            }
        }
    };
    per_call(&runtime, 50, RECORDS / 50, fill);
    let name = url.rsplit_once('/').expect("a database").1;
    server.psql(name, "VACUUM ANALYZE");

    let mut rows = Vec::new();
    rows.extend(firsts(&runtime, &pool, &server, name, "", 1));
    rows.extend(firsts(&runtime, &pool, &server, name, "", CALLERS));
    rows.extend(duplicates(&runtime, &pool, &server, name, 1));
    rows.extend(duplicates(&runtime, &pool, &server, name, CALLERS));
    rows.extend(others(&runtime, &server));
    rows.push(waiting(&url));
    // The same without waiting for the disk, as on a disk that takes no time.
    server.psql(name, "ALTER SYSTEM SET synchronous_commit = off");
    server.psql(name, "SELECT pg_reload_conf()");
    std::thread::sleep(Duration::from_millis(200));
    let without = ", synchronous_commit=off";
    rows.extend(firsts(&runtime, &pool, &server, name, without, 1));
    rows.extend(firsts(&runtime, &pool, &server, name, without, CALLERS));
    rows
}

fn shown(callers: usize, nanos: f64) -> String {
    if callers == 1 { time(nanos) } else { format!("{:.0} calls per second", 1e9 / nanos) }
}

fn callers_of(callers: usize) -> String {
    if callers == 1 { String::new() } else { format!(" of {callers} callers") }
}

fn firsts(
    runtime: &Runtime,
    pool: &PgPool,
    server: &Postgres,
    database: &str,
    setting: &str,
    callers: usize,
) -> Vec<Row> {
    let calls = if callers == 1 { 60 } else { 20 };
    let times = in_turns(
        ROUNDS,
        &[
            Box::new(|| per_call(runtime, callers, calls, first)),
            Box::new(|| {
                let pool = pool.clone();
                per_call(runtime, callers, calls, move || {
                    let pool = pool.clone();
                    async move { first_by_hand(&pool, true).await }
                })
            }),
        ],
    );
    let script = "\\set a random(1, 9223372036854775806)\n\
                  insert into hand (token, state) values (int8send(:a) || int8send(:a) || int8send(:a) || int8send(:a), 1) \
                  on conflict (token) do nothing returning state;\n\
                  update hand set state = 2, result = '\\\\x182a' \
                  where token = int8send(:a) || int8send(:a) || int8send(:a) || int8send(:a);\n";
    let bench = pgbench(server, database, callers, script);
    vec![compared(
        &format!("first calls{}, PostgreSQL{setting}", callers_of(callers)),
        "two statements by hand",
        &times,
        callers,
        bench,
        (1.3, 0.6),
    )]
}

fn duplicates(
    runtime: &Runtime,
    pool: &PgPool,
    server: &Postgres,
    database: &str,
    callers: usize,
) -> Vec<Row> {
    let calls = if callers == 1 { 400 } else { 100 };
    let times = in_turns(
        ROUNDS,
        &[
            Box::new(|| per_call(runtime, callers, calls, duplicate)),
            Box::new(|| {
                let pool = pool.clone();
                per_call(runtime, callers, calls, move || {
                    let pool = pool.clone();
                    async move { duplicate_by_hand(&pool).await }
                })
            }),
        ],
    );
    let alone = in_turns(
        ROUNDS,
        &[
            Box::new(|| per_call(runtime, callers, calls, duplicate)),
            Box::new(|| {
                let pool = pool.clone();
                per_call(runtime, callers, calls, move || {
                    let pool = pool.clone();
                    async move { read_by_hand(&pool).await }
                })
            }),
        ],
    );
    let script = "\\set a random(1, 10000)\n\
                  select result from hand where token = int8send(:a) and state = 2;\n";
    let bench = pgbench(server, database, callers, script);
    let what = format!("duplicates{}, PostgreSQL", callers_of(callers));
    vec![
        compared(
            &what,
            "two statements by hand (`INSERT … ON CONFLICT DO NOTHING`, `SELECT`)",
            &times,
            callers,
            None,
            (1.3, 0.7),
        ),
        compared(&what, "the `SELECT` alone", &alone, callers, bench, (1.3, 0.7)),
    ]
}

/// One caller: at most so many times the time. Many: at least such a share of the calls per second.
fn compared(
    what: &str,
    beside: &str,
    times: &Times,
    callers: usize,
    bench: Option<f64>,
    targets: (f64, f64),
) -> Row {
    let bench = bench.map_or(String::new(), |nanos| format!(" (`pgbench`: {})", shown(callers, nanos)));
    let beside = format!("{beside}: {}{bench}", shown(callers, times.of(1)));
    let row = Row::new(what, shown(callers, times.of(0)), beside);
    if callers == 1 {
        row.ratio(times.ratio(0, 1)).at_most(targets.0)
    } else {
        row.ratio(times.ratio(1, 0)).at_least(targets.1)
    }
}

/// Nanoseconds per transaction of PostgreSQL's own program with so many clients.
fn pgbench(server: &Postgres, database: &str, clients: usize, script: &str) -> Option<f64> {
    let file = tempfile::NamedTempFile::new().ok()?;
    std::fs::write(file.path(), script).ok()?;
    let said = Command::new(server.program("pgbench"))
        .args(["-n", "-M", "prepared", "-T", "2", "-j", "1", "-c", &clients.to_string(), "-f"])
        .arg(file.path())
        .arg(server.url_of(database))
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("tps"))?;
    let tps: f64 = line.split_whitespace().nth(2)?.parse().ok()?;
    Some(1e9 / tps)
}

/// DBOS, if the Python that `IDEM_DBOS_PYTHON` names has it: one workflow with one step, as its documentation writes it.
fn others(runtime: &Runtime, server: &Postgres) -> Vec<Row> {
    let Some(python) = std::env::var_os("IDEM_DBOS_PYTHON") else {
        eprintln!("DBOS is left out: set IDEM_DBOS_PYTHON to a Python that has it (pip install dbos)");
        return Vec::new();
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/others/dbos_calls.py");
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let said = Command::new(&python).arg(script).arg(server.database()).output().expect("Python runs");
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let mut theirs =
            text.lines().filter_map(|line| Some(line.split_once(' ')?.1.parse::<f64>().ok()? * 1e9));
        let (Some(first_of_theirs), Some(duplicate_of_theirs)) = (theirs.next(), theirs.next()) else {
            panic!("{text}{}", String::from_utf8_lossy(&said.stderr));
        };
        rounds.push(vec![
            per_call(runtime, 1, 200, first),
            first_of_theirs,
            per_call(runtime, 1, 400, duplicate),
            duplicate_of_theirs,
        ]);
    }
    let times = Times::from_rounds(rounds);
    let row = |what: &str, ours: usize| {
        Row::new(what, time(times.of(ours)), format!("DBOS (Python): {}", time(times.of(ours + 1))))
            .ratio(times.ratio(ours + 1, ours))
            .at_least(5.0)
    };
    vec![row("first call, PostgreSQL", 0), row("duplicate, PostgreSQL", 2)]
}

/// What this program is started with to be the other process.
pub const CHILD: &str = "--postgres-child";

/// From the moment at which a body ends in one process to the answer of the duplicate that waits in another.
fn waiting(url: &str) -> Row {
    let mut child = Command::new(std::env::current_exe().expect("a program"))
        .args([CHILD, url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the other process");
    let mut input = child.stdin.take().expect("a way to it");
    let mut output = BufReader::new(child.stdout.take().expect("a way from it"));
    let mut hear = || {
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        line.trim().parse::<u64>().expect("a number")
    };
    let mut took = Vec::new();
    for number in 0..100 {
        writeln!(input, "{number}").expect("heard");
        hear();
        let waits = store().ask(Request::Watch { token: waited(number), limit: Duration::from_secs(60) });
        // It notes that it waits.
        std::thread::sleep(Duration::from_millis(20));
        writeln!(input, "go").expect("heard");
        let began = hear();
        let answer = waits.wait(Some(Duration::from_secs(60))).expect("in time").expect("an answer");
        let now = monotonic();
        assert!(matches!(answer, Reply::Record(Some(_))));
        took.push(now.saturating_sub(began) as f64);
    }
    drop(input);
    let _ = child.wait();
    let median = quantile(&took, 0.5);
    let far = quantile(&took, 0.95);
    Row::new(
        "from the end of a body to its waiter's answer in another process, PostgreSQL",
        time(median),
        format!("the completion itself is in it; 95 of 100 within {}", time(far)),
    )
    .ratio(median / 20e6)
    .at_most(1.0)
}

fn waited(number: u64) -> idem::Token {
    idem::call("waited").arg(&number).token().expect("a token")
}

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// The other process: claims, waits to be told, and completes.
pub fn child(url: &str) {
    let store = PostgresStore::connect_blocking(url).expect("the store opens");
    let ask = |request| store.ask(request).wait(None).expect("an answer").expect("an answer");
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|count| count > 0) {
        let token = waited(line.trim().parse().expect("a number"));
        let mut claim = Claim::default();
        (claim.token, claim.attempt, claim.function) = (token, AttemptId::random(), "waited".into());
        (claim.lease, claim.ttl) = (Duration::from_secs(600), Duration::from_secs(600));
        let Reply::Claimed(grant) = ask(Request::Claim(Arc::new(claim.clone()))) else {
            panic!("not granted")
        };
        println!("0");
        line.clear();
        std::io::stdin().read_line(&mut line).expect("told");
        let mut complete = Complete::default();
        (complete.token, complete.attempt, complete.function) =
            (token, claim.attempt, claim.function.clone());
        (complete.fence, complete.generation, complete.number) =
            (grant.fence, grant.generation, grant.number);
        (complete.kind, complete.ttl, complete.result) = (Kind::Value, claim.ttl, vec![24, 42].into());
        let began = monotonic();
        assert_eq!(ask(Request::Complete(Arc::new(complete))), Reply::Completed);
        println!("{began}");
        line.clear();
    }
}
