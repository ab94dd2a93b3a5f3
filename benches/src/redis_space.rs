//! A million records on a Redis server: what they take, and whether a duplicate is as quick as among a thousand.

use std::hint::black_box;

use idem::RedisStore;
use idem_servers::Redis;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;

use crate::measure::{Clock, Subject, in_turns};
use crate::redis::{key, tasks};
use crate::subject::{arguments, receipt, shuffled};
use crate::table::{Row, time};

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
const CALLERS: usize = 64;

async fn call(store: &RedisStore, index: usize) {
    let (order, who) = arguments(index);
    let body = async { Ok::<_, idem::Error>(receipt(order, who)) };
    black_box(
        idem::call("orders.charge").arg(&order).arg(who).store(store).run(body).await.expect("charged"),
    );
}

/// How much memory the server takes.
fn used(server: &Redis) -> u64 {
    let info: String =
        redis::cmd("INFO").arg("memory").query(&mut server.connection()).expect("the server tells");
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|used| used.trim().parse().ok()).expect("the server tells")
}

/// A server with so many records.
fn filled(runtime: &Runtime, count: usize) -> Option<(Redis, RedisStore, u64)> {
    let server = Redis::start()?;
    let store = RedisStore::connect_blocking(&server.url()).expect("connected");
    runtime.block_on(call(&store, count));
    let before = used(&server);
    tasks(runtime, CALLERS, count, |caller, _| {
        let store = store.clone();
        async move {
            for index in (caller..count).step_by(CALLERS) {
                call(&store, index).await;
            }
        }
    });
    let bytes = used(&server) - before;
    Some((server, store, bytes))
}

/// The same by hand: what is kept is the result under the hash of the call.
fn by_hand(runtime: &Runtime) -> Option<u64> {
    let server = Redis::start()?;
    let client = redis::Client::open(server.url()).expect("a URL");
    let connection = runtime.block_on(client.get_multiplexed_async_connection()).expect("connected");
    let before = used(&server);
    tasks(runtime, CALLERS, MANY, |caller, _| {
        let mut connection: MultiplexedConnection = connection.clone();
        async move {
            for index in (caller..MANY).step_by(CALLERS) {
                let (order, who) = arguments(index);
                let result = idem::encoding::to_vec(&receipt(order, who)).expect("a number can be encoded");
                let mut set = redis::cmd("SET");
                set.arg(&key(order, who)).arg(result).arg("PX").arg(86_400_000);
                set.exec_async(&mut connection).await.expect("set");
            }
        }
    });
    Some(used(&server) - before)
}

pub fn rows(runtime: &Runtime) -> Vec<Row> {
    let Some(by_hand) = by_hand(runtime) else { return Vec::new() };
    let Some((_few, among_few, _)) = filled(runtime, FEW) else { return Vec::new() };
    let Some((_many, among_many, bytes)) = filled(runtime, MANY) else { return Vec::new() };
    let per_record = |bytes: u64| format!("{:.0} bytes", bytes as f64 / MANY as f64);
    let order = shuffled(MANY);
    let walk = |store: RedisStore, count: usize| {
        let (order, mut at) = (&order, 0);
        Subject::new(move |operations| {
            runtime.block_on(async {
                for _ in 0..operations {
                    at = (at + 1) % MANY;
                    call(&store, order[at] as usize % count).await;
                }
            });
        })
    };
    let mut subjects = [walk(among_many, MANY), walk(among_few, FEW)];
    let times = in_turns(Clock::Wall, 31, 1_000, &mut subjects);
    vec![
        Row::new(
            "memory of the server for each of 1,000,000 records, Redis",
            per_record(bytes),
            format!("by hand, the result under the hash: {}", per_record(by_hand)),
        )
        .ratio(bytes as f64 / by_hand as f64),
        Row::new(
            "duplicate among 1,000,000 records, Redis",
            time(times.of(0)),
            format!("among 1,000: {}", time(times.of(1))),
        )
        .ratio(times.ratio(0, 1))
        .at_most(1.3),
    ]
}
