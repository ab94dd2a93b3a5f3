//! A million records in PostgreSQL.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use idem::store::{Reply, Request, Store};
use idem::{PostgresStore, idempotent};
use idem_servers::Postgres;
use tokio::runtime::Runtime;

use crate::measure::Times;
use crate::postgres::{in_turns, per_call, runtime};
use crate::subject::{arguments, receipt};
use crate::table::{Row, time};

const MANY: usize = 1_000_000;
const FEW: usize = 1_000;
const CALLERS: usize = 8;
/// Of the many, so many expire at once.
const EXPIRED: usize = 400_000;

#[idempotent(name = "orders.charge", skip(store), store = store)]
async fn charge(store: &PostgresStore, order: u64, who: &str) -> Result<u64, idem::Error> {
    Ok(receipt(order, who))
}

/// A store of its own with so many records, made by so many calls; and its database.
fn filled(server: &Postgres, runtime: &Runtime, records: usize) -> (PostgresStore, String) {
    let url = server.database();
    let store = PostgresStore::connect_blocking(&format!("{url}?migrate=true")).expect("the store opens");
    let (next, callers) = (Arc::new(AtomicUsize::new(0)), 64.min(records));
    let filling = store.clone();
    per_call(runtime, callers, records.div_ceil(callers), move || {
        let (store, index) = (filling.clone(), next.fetch_add(1, Ordering::Relaxed));
        async move {
            let (order, who) = arguments(index % records);
            charge(&store, order, who).await.expect("charged");
        }
    });
    let database = url.rsplit_once('/').expect("a database").1.to_owned();
    (store, database)
}

pub fn rows() -> Vec<Row> {
    // The disk takes no part in what is compared here.
    let settings = [
        ("shared_buffers", "1GB"),
        ("max_wal_size", "8GB"),
        ("synchronous_commit", "off"),
        ("autovacuum", "off"),
    ];
    let Some(server) = Postgres::start_with(&settings) else { return Vec::new() };
    let runtime = runtime();
    let (few, few_database) = filled(&server, &runtime, FEW);
    let (many, database) = filled(&server, &runtime, MANY);
    let size = |what: &str| -> f64 {
        let bytes = server.psql(&database, &format!("SELECT {what}"));
        bytes.parse::<f64>().expect("a size") / MANY as f64
    };
    let table = size("pg_table_size('idem_record')");
    let indexes = size("pg_indexes_size('idem_record')");
    let hot = server.psql(
        &database,
        "SELECT round(100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1)) FROM pg_stat_user_tables WHERE relname = 'idem_record'",
    );
    for database in [&few_database, &database] {
        server.psql(database, "VACUUM ANALYZE idem_record");
    }
    vec![
        Row::new(
            "bytes per record, 1,000,000 records, PostgreSQL",
            format!("{:.0} bytes", table + indexes),
            format!(
                "{table:.0} in the table, {indexes:.0} in its two indexes; {hot} % of the updates touched none"
            ),
        ),
        duplicates(&runtime, &many, &few),
        purging(&runtime, &server, &database, &many),
    ]
}

fn duplicates(runtime: &Runtime, many: &PostgresStore, few: &PostgresStore) -> Row {
    let measured = |store: &PostgresStore, records: usize| {
        let (store, at) = (store.clone(), Arc::new(AtomicUsize::new(0)));
        move || {
            let (store, at) = (store.clone(), Arc::clone(&at));
            per_call(runtime, CALLERS, 200, move || {
                let store = store.clone();
                // A large prime: all of them, in an order that is none.
                let index = at.fetch_add(7_368_787, Ordering::Relaxed) % records;
                async move {
                    let (order, who) = arguments(index);
                    black_box(charge(&store, order, who).await.expect("charged before"));
                }
            })
        }
    };
    let times = in_turns(21, &[Box::new(measured(many, MANY)), Box::new(measured(few, FEW))]);
    Row::new(
        format!("duplicates of {CALLERS} callers, PostgreSQL, 1,000,000 records"),
        time(times.of(0)),
        format!("1,000 records: {}", time(times.of(1))),
    )
    .ratio(times.ratio(0, 1))
    .at_most(1.3)
}

/// First calls while expired records are removed, as the store does it by itself: in steps, and most of the time is
/// left to others.
fn purging(runtime: &Runtime, server: &Postgres, database: &str, store: &PostgresStore) -> Row {
    let expire = format!(
        "UPDATE idem_record SET expires = now() - interval '1 hour', purge_at = now() - interval '1 hour' \
         WHERE ctid IN (SELECT ctid FROM idem_record LIMIT {EXPIRED})"
    );
    server.psql(database, &expire);
    server.psql(database, "VACUUM idem_record");
    let next = Arc::new(AtomicUsize::new(MANY));
    let first = move |store: PostgresStore| {
        let next = Arc::clone(&next);
        per_call(runtime, CALLERS, 300, move || {
            let (store, index) = (store.clone(), next.fetch_add(1, Ordering::Relaxed));
            async move {
                let (order, who) = arguments(index);
                black_box(charge(&store, order, who).await.expect("charged"));
            }
        })
    };
    let removed = Arc::new(AtomicUsize::new(0));
    let mut rounds = Vec::new();
    for round in 0..31 {
        let alone = |rounds: &mut Vec<f64>| rounds.push(first(store.clone()));
        let beside = |rounds: &mut Vec<f64>| {
            let over = Arc::new(AtomicBool::new(false));
            let task = runtime.spawn(purge(store.clone(), Arc::clone(&over), Arc::clone(&removed)));
            rounds.push(first(store.clone()));
            over.store(true, Ordering::Relaxed);
            runtime.block_on(task).expect("no panic");
        };
        let mut times = Vec::new();
        if round % 2 == 0 {
            beside(&mut times);
            alone(&mut times);
        } else {
            alone(&mut times);
            beside(&mut times);
            times.reverse();
        }
        rounds.push(times);
    }
    let times = Times::from_rounds(rounds);
    Row::new(
        format!("first calls of {CALLERS} callers, PostgreSQL, while records are purged"),
        format!("{:.0} calls per second", 1e9 / times.of(0)),
        format!(
            "without: {:.0} calls per second; {} records removed meanwhile",
            1e9 / times.of(1),
            removed.load(Ordering::Relaxed)
        ),
    )
    .ratio(times.ratio(1, 0))
    .at_least(0.7)
}

async fn purge(store: PostgresStore, over: Arc<AtomicBool>, removed: Arc<AtomicUsize>) {
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        match store.ask(Request::Purge { limit: 500 }).await {
            Ok(Reply::Purged(count)) => removed.fetch_add(count, Ordering::Relaxed),
            other => panic!("{other:?}"),
        };
        tokio::time::sleep((began.elapsed() * 4).max(Duration::from_millis(1))).await;
    }
}
