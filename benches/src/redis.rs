//! The Redis store beside what one would write by hand with the same client: `SET … NX GET` and `SET` for a first call,
//! `GET` for a duplicate.

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use idem::{RedisStore, idempotent};
use idem_servers::Redis;
use redis::aio::MultiplexedConnection;
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Runtime};

use crate::beside::encode;
use crate::measure::{Clock, Subject, in_turns};
use crate::subject::{arguments, receipt};
use crate::table::{Row, time};
use crate::{redis_others, redis_space, waiting};

/// How many records there are for duplicates.
const RECORDS: usize = 1_000;
/// How many callers there are at once, beside one.
const CALLERS: usize = 50;
const DAY: u64 = 86_400_000;

static STORE: OnceLock<RedisStore> = OnceLock::new();
static BY_HAND: OnceLock<MultiplexedConnection> = OnceLock::new();
/// Calls that nobody has made before.
static NEXT: AtomicU64 = AtomicU64::new(1 << 20);

fn store() -> &'static RedisStore {
    STORE.get().expect("connected before the first call")
}

pub fn connect(url: &str) {
    STORE.set(RedisStore::connect_blocking(url).expect("connected")).expect("once");
}

#[idempotent(name = "orders.charge", store = store())]
async fn charge(order: u64, who: &str) -> Result<u64, idem::Error> {
    Ok(receipt(order, who))
}

pub async fn call(index: usize) {
    let (order, who) = arguments(index);
    black_box(charge(order, who).await.expect("charged"));
}

pub fn key(order: u64, who: &str) -> [u8; 32] {
    let mut buffer = Vec::new();
    encode(order, who, &mut buffer);
    Sha256::digest(&buffer).into()
}

/// The first call by hand: a mark, then the result in its place.
async fn first_by_hand(connection: &mut MultiplexedConnection, index: usize) {
    let (order, who) = arguments(index);
    let key = key(order, who);
    let mut claim = redis::cmd("SET");
    claim.arg(&key).arg("running").arg("NX").arg("GET").arg("PX").arg(DAY);
    let found: Option<Vec<u8>> = claim.query_async(connection).await.expect("claimed");
    assert!(found.is_none(), "nobody made this call before");
    let result = idem::encoding::to_vec(&receipt(order, who)).expect("a number can be encoded");
    redis::cmd("SET")
        .arg(&key)
        .arg(result)
        .arg("PX")
        .arg(DAY)
        .exec_async(connection)
        .await
        .expect("completed");
}

/// A duplicate by hand.
async fn duplicate_by_hand(connection: &mut MultiplexedConnection, index: usize) {
    let (order, who) = arguments(index);
    let found: Vec<u8> =
        redis::cmd("GET").arg(&key(order, who)).query_async(connection).await.expect("the record is read");
    black_box(idem::encoding::from_slice::<u64>(&found).expect("what was encoded"));
}

fn by_hand() -> MultiplexedConnection {
    BY_HAND.get().expect("connected before the first call").clone()
}

/// What is measured.
#[derive(Clone, Copy)]
enum Work {
    First,
    FirstByHand,
    Duplicate,
    DuplicateByHand,
}

/// Who calls.
#[derive(Clone, Copy)]
pub enum Callers {
    /// The program's main function, as with `#[tokio::main]`: whatever is spawned runs on another thread.
    Main,
    /// So many tasks.
    Tasks(usize),
}

impl Work {
    async fn run(self, caller: usize, times: usize) {
        let mut connection = by_hand();
        for number in 0..times {
            let index = (caller * 31 + number * 7) % RECORDS;
            match self {
                Work::First => call(next()).await,
                Work::FirstByHand => first_by_hand(&mut connection, next()).await,
                Work::Duplicate => call(index).await,
                Work::DuplicateByHand => duplicate_by_hand(&mut connection, index).await,
            }
        }
    }
}

/// Makes so many operations with so many tasks at once.
pub fn tasks<F>(runtime: &Runtime, callers: usize, operations: usize, caller: impl Fn(usize, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<_> =
        (0..callers).map(|number| runtime.spawn(caller(number, (operations + number) / callers))).collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("no panic");
        }
    });
}

impl Callers {
    /// Makes so many operations.
    fn make(self, runtime: &Runtime, work: Work, operations: usize) {
        match self {
            Callers::Main => runtime.block_on(work.run(0, operations)),
            Callers::Tasks(count) => {
                tasks(runtime, count, operations, |caller, times| work.run(caller, times));
            }
        }
    }
}

fn next() -> usize {
    NEXT.fetch_add(1, Ordering::Relaxed) as usize
}

pub fn rows() -> Vec<Row> {
    let Some(server) = Redis::start() else { return Vec::new() };
    // As `#[tokio::main]` makes it.
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    connect(&server.url());
    let client = redis::Client::open(server.url()).expect("a URL");
    let connection = runtime.block_on(client.get_multiplexed_async_connection()).expect("connected");
    BY_HAND.set(connection).expect("once");
    tasks(&runtime, CALLERS, RECORDS, |caller, _| async move {
        for index in (caller..RECORDS).step_by(CALLERS) {
            call(index).await;
            let mut connection = by_hand();
            let (order, who) = arguments(index);
            let result = idem::encoding::to_vec(&receipt(order, who)).expect("a number can be encoded");
            redis::cmd("SET")
                .arg(&key(order, who))
                .arg(result)
                .exec_async(&mut connection)
                .await
                .expect("set");
        }
    });

    let subject = |work: Work, callers: Callers| {
        let runtime = &runtime;
        Subject::new(move |operations| callers.make(runtime, work, operations))
    };
    let mut rows = Vec::new();
    // One task is quick or slow by where the system puts it and the server: its rows have no target.
    for (what, callers, targets) in [
        ("one caller, the main function", Callers::Main, [Some(1.6), Some(1.5)]),
        ("one caller, a task of the runtime that drives the client by hand", Callers::Tasks(1), [None, None]),
    ] {
        for (name, idem, by_hand, target) in [
            ("first call", Work::First, Work::FirstByHand, targets[0]),
            ("duplicate", Work::Duplicate, Work::DuplicateByHand, targets[1]),
        ] {
            let mut subjects = [subject(idem, callers), subject(by_hand, callers)];
            let times = in_turns(Clock::Wall, 31, 500, &mut subjects);
            let beside = format!("by hand: {}", time(times.of(1)));
            let row = Row::new(format!("{name}, Redis, {what}"), time(times.of(0)), beside)
                .ratio(times.ratio(0, 1));
            rows.push(match target {
                Some(target) => row.at_most(target),
                None => row,
            });
        }
    }
    for (name, idem, by_hand) in [
        ("first calls", Work::First, Work::FirstByHand),
        ("duplicates", Work::Duplicate, Work::DuplicateByHand),
    ] {
        let callers = Callers::Tasks(CALLERS);
        let times =
            in_turns(Clock::Wall, 21, 20_000, &mut [subject(idem, callers), subject(by_hand, callers)]);
        let per_second = |nanos: f64| format!("{:.0} calls per second", 1e9 / nanos);
        let beside = format!("by hand: {}", per_second(times.of(1)));
        let row = Row::new(format!("{name} of {CALLERS} callers, Redis"), per_second(times.of(0)), beside);
        // Calls per second: the inverse of the times.
        rows.push(row.ratio(times.ratio(1, 0)).at_least(0.5));
    }
    rows.extend(redis_others::rows(&server.url()));
    rows.push(waiting::row("Redis", &format!("{}?namespace=waiting", server.url())));
    rows.extend(redis_space::rows(&runtime));
    rows
}
