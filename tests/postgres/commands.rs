//! What calls cost, counted on the server. Each statement is a round trip, once it has been prepared: each connection
//! prepares it before it uses it for the first time.

use std::collections::BTreeMap;
use std::sync::Arc;

use idem::{PostgresStore, idempotent};
use idem_servers::Postgres;
use tokio::sync::{Notify, Semaphore};

use crate::{database, until};

#[idempotent(name = "commands.charge", skip(store), store = store)]
async fn charge(store: &PostgresStore, order: u64) -> Result<u64, idem::Error> {
    Ok(order * 100)
}

#[idempotent(name = "commands.slow", key(order), skip(store, gate), store = store)]
async fn slow(store: &PostgresStore, order: u64, gate: Arc<Notify>) -> Result<u64, idem::Error> {
    gate.notified().await;
    Ok(order)
}

#[idempotent(name = "commands.long", lease = "600ms", key(order), skip(store, gate), store = store)]
async fn long(store: &PostgresStore, order: u64, gate: Arc<Semaphore>) -> Result<u64, idem::Error> {
    let _open = gate.acquire().await;
    Ok(order)
}

struct Counted {
    server: Postgres,
    store: PostgresStore,
    database: String,
}

/// How often a kind of statement was carried out, and how many bytes of the write-ahead log it made.
type Counts = BTreeMap<&'static str, (u64, u64)>;

impl Counted {
    async fn start() -> Option<Counted> {
        let settings = [
            ("shared_preload_libraries", "pg_stat_statements"),
            ("fsync", "off"),
            ("autovacuum", "off"),
            ("full_page_writes", "off"),
        ];
        let server = Postgres::start_with(&settings)?;
        let url = database(&server).await;
        let database = url.rsplit_once('/').unwrap().1.to_owned();
        server.psql(&database, "CREATE EXTENSION pg_stat_statements");
        // What removes expired records is not there in the first seconds.
        let store = PostgresStore::connect(&url).await.unwrap();
        let counted = Counted { server, store, database };
        counted.counts();
        Some(counted)
    }

    /// What there was since it was asked last.
    fn counts(&self) -> Counts {
        let said = self.server.psql(
            &self.database,
            "SELECT calls, wal_bytes, replace(query, chr(10), ' ') FROM pg_stat_statements WHERE query LIKE '%idem_record%' \
             AND query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%to_regclass%' AND query NOT LIKE 'SELECT count(*) FROM idem_record%'",
        );
        self.server.psql(&self.database, "SELECT pg_stat_statements_reset()");
        let kinds = [
            ("claim", "LEFT JOIN made"),
            ("claim", "FROM made"),
            ("complete", "SET state = 'done'"),
            ("complete", "SET state = $"),
            ("mark", "SET watched"),
            ("look", "LEFT JOIN idem_record"),
        ];
        let mut counts = Counts::new();
        for line in said.lines() {
            let mut parts = line.splitn(3, '|');
            let number = |part: Option<&str>| part.unwrap().parse::<u64>().unwrap();
            let (calls, wal, query) = (number(parts.next()), number(parts.next()), parts.next().unwrap());
            let kind = kinds.iter().find(|(_, part)| query.contains(part)).map_or("other", |(kind, _)| kind);
            let count = counts.entry(kind).or_default();
            (count.0, count.1) = (count.0 + calls, count.1 + wal);
        }
        counts
    }
}

fn calls(counts: &Counts) -> Vec<(&'static str, u64)> {
    counts.iter().map(|(kind, (calls, _))| (*kind, *calls)).collect()
}

#[tokio::test]
async fn a_first_call_is_two_round_trips_and_a_duplicate_is_one_that_writes_nothing() {
    let Some(counted) = Counted::start().await else { return };
    for order in 1..=10 {
        charge(&counted.store, order).await.unwrap();
    }
    let first = counted.counts();
    assert_eq!(calls(&first), [("claim", 10), ("complete", 10)], "of ten first calls: {first:?}");
    assert!(first.values().all(|(_, wal)| *wal > 0), "first calls write: {first:?}");

    for order in 1..=10 {
        assert_eq!(charge(&counted.store, order).await.unwrap(), order * 100);
    }
    assert_eq!(counted.counts(), Counts::from([("claim", (10, 0))]), "of ten duplicates");
    eprintln!("bytes of WAL of ten first calls: {first:?}");
}

#[tokio::test]
async fn those_who_wait_in_one_process_share_what_waiting_costs() {
    let Some(counted) = Counted::start().await else { return };
    for (round, waiters) in [1, 1, 20].into_iter().enumerate() {
        let order = round as u64;
        let gate = Arc::new(Notify::new());
        let call = || {
            let (store, gate) = (counted.store.clone(), Arc::clone(&gate));
            tokio::spawn(async move { slow(&store, order, gate).await })
        };
        let rows = async |condition: &str| {
            let sql = format!("SELECT count(*) FROM idem_record WHERE state = 'running' AND {condition}");
            counted.server.psql(&counted.database, &sql) == "1"
        };
        let first = call();
        until("it runs", async || rows("true").await).await;
        counted.counts();
        let duplicates: Vec<_> = (0..waiters).map(|_| call()).collect();
        until("somebody waits", async || rows("watched").await).await;
        // The others, too: as many claims as there are waiters, in however many statements.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        gate.notify_one();
        first.await.unwrap().unwrap();
        for duplicate in duplicates {
            assert_eq!(duplicate.await.unwrap().unwrap(), order);
        }
        let counts = counted.counts();
        eprintln!("{waiters} waiting: {counts:?}");
        // The connection that hears of it is opened for the first waiter, who looks once more then.
        if round == 1 {
            // Claimed, noted, looked at when told, claimed again; one of them writes. The rest is the first call's.
            assert_eq!(calls(&counts), [("claim", 2), ("complete", 1), ("mark", 2)], "{counts:?}");
            assert_eq!(counts["claim"].1, 0, "{counts:?}");
        }
        if round == 2 {
            // Together they look no more often than a few times, and their claims share statements.
            assert!(counts["mark"].0 <= 1 + 20 && counts["complete"].0 == 1, "{counts:?}");
            assert_eq!(counts.get("other"), None, "{counts:?}");
        }
    }
}

#[tokio::test]
async fn renewals_at_the_same_time_share_statements() {
    let Some(counted) = Counted::start().await else { return };
    let gate = Arc::new(Semaphore::new(0));
    let call = |order| {
        let (store, gate) = (counted.store.clone(), Arc::clone(&gate));
        tokio::spawn(async move { long(&store, order, gate).await })
    };
    let calls: Vec<_> = (0..40).map(call).collect();
    let renewed = || {
        let sql = "SELECT coalesce(sum(calls), 0), coalesce(sum(rows), 0) FROM pg_stat_statements \
                   WHERE query LIKE '%idem_record%SET lease%'";
        let said = counted.server.psql(&counted.database, sql);
        let (statements, leases) = said.split_once('|').unwrap();
        (statements.parse::<u64>().unwrap(), leases.parse::<u64>().unwrap())
    };
    until("each was renewed a few times", async || renewed().1 >= 120).await;
    let (statements, leases) = renewed();
    assert!(statements <= leases / 2, "{statements} statements for {leases} renewals");
    gate.add_permits(40);
    for (order, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), order);
    }
}
