//! What calls cost, counted on the server: each `EVALSHA` is a round trip, and what stands beside it in the statistics
//! was done inside of it, but for a `GET` of what has ended as far as the process knows, which is one by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use idem::store::{Asked, Reply, Request, Store as _};
use idem::{RedisStore, idempotent};
use idem_servers::Redis;
use redis::Connection;
use tokio::sync::Notify;

use crate::{together, until};

#[idempotent(name = "commands.charge", skip(store), store = store)]
async fn charge(store: &RedisStore, order: u64) -> Result<u64, idem::Error> {
    Ok(order * 100)
}

#[idempotent(name = "commands.slow", key(order), skip(store, gate), store = store)]
async fn slow(store: &RedisStore, order: u64, gate: Arc<Notify>) -> Result<u64, idem::Error> {
    gate.notified().await;
    Ok(order)
}

/// How often the server carried out what since it was asked last, but for what the asking costs.
fn commands(beside: &mut Connection) -> BTreeMap<String, u64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query(beside).unwrap();
    redis::cmd("CONFIG").arg("RESETSTAT").exec(beside).unwrap();
    let line = |line: &str| {
        let (name, counts) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), counts.split(',').next()?.parse().ok()?))
    };
    let mut counts: BTreeMap<_, _> = info.lines().filter_map(line).collect();
    counts.retain(|name, _| {
        !name.starts_with("config") && !name.starts_with("info") && name != "pubsub|numsub"
    });
    counts
}

/// A server that has learnt the scripts, and has counted nothing yet.
async fn start() -> Option<(Redis, RedisStore, Connection)> {
    let server = Redis::start()?;
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut beside = server.connection();
    charge(&store, 0).await.unwrap();
    commands(&mut beside);
    Some((server, store, beside))
}

fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

async fn waits_for(beside: &mut Connection, token: idem::Token) {
    until("somebody is subscribed", async || {
        let mut subscribers = redis::cmd("PUBSUB");
        let key = format!("idem::{token}");
        subscribers.arg("NUMSUB").arg(key).query::<(String, u64)>(beside).unwrap().1 > 0
    })
    .await;
}

#[tokio::test]
async fn a_first_call_is_two_round_trips_and_a_duplicate_is_one_that_writes_nothing() {
    let Some((server, store, mut beside)) = start().await else { return };

    for order in 1..=10 {
        charge(&store, order).await.unwrap();
    }
    let expected = [("evalsha", 20), ("get", 20), ("time", 20), ("set", 20), ("publish", 10)];
    assert_eq!(commands(&mut beside), counts(expected), "of ten first calls");

    let duplicates = async |store| {
        for order in 1..=10 {
            assert_eq!(charge(store, order).await.unwrap(), order * 100);
        }
    };
    duplicates(&store).await;
    assert_eq!(commands(&mut beside), counts([("get", 10)]), "of ten duplicates where the first calls were");

    let other = RedisStore::connect(&server.url()).await.unwrap();
    commands(&mut beside);
    duplicates(&other).await;
    assert_eq!(commands(&mut beside), counts([("evalsha", 10), ("get", 10)]), "of ten elsewhere");
    duplicates(&other).await;
    assert_eq!(commands(&mut beside), counts([("get", 10)]), "of ten more there");
}

#[tokio::test]
async fn what_was_forgotten_is_a_first_call_also_where_its_end_is_known() {
    let Some((server, store, mut beside)) = start().await else { return };
    let other = RedisStore::connect(&server.url()).await.unwrap();
    charge(&store, 1).await.unwrap();
    charge(&other, 1).await.unwrap();
    let token = idem::call("commands.charge").arg(&1_u64).token().unwrap();
    let forget = async |store: &RedisStore| {
        let Asked::Later(answer) = store.ask(Request::Forget { token }) else { panic!("it was not asked") };
        assert_eq!(answer.await.unwrap(), Reply::Forgotten);
    };
    forget(&store).await;
    commands(&mut beside);
    charge(&other, 1).await.unwrap();
    let found = commands(&mut beside);
    assert_eq!((found["evalsha"], found["get"], found["set"]), (2, 3, 2), "one read more");
    forget(&other).await;
    commands(&mut beside);
    charge(&other, 1).await.unwrap();
    let found = commands(&mut beside);
    assert_eq!((found["evalsha"], found["get"]), (2, 2), "who forgets it knows");
}

#[tokio::test]
async fn those_who_wait_in_one_process_share_what_waiting_costs() {
    let Some((_server, store, mut beside)) = start().await else { return };
    for (round, waiters) in [1, 1, 20].into_iter().enumerate() {
        let order = round as u64;
        let gate = Arc::new(Notify::new());
        let call = || {
            let (store, gate) = (store.clone(), Arc::clone(&gate));
            tokio::spawn(async move { slow(&store, order, gate).await })
        };
        let first = call();
        let token = idem::call("commands.slow").arg(&order).token().unwrap();
        until("it runs", async || {
            redis::cmd("EXISTS").arg(format!("idem::{token}")).query::<bool>(&mut beside).unwrap()
        })
        .await;
        commands(&mut beside);
        let duplicates: Vec<_> = (0..waiters).map(|_| call()).collect();
        waits_for(&mut beside, token).await;
        until("all have asked", async || {
            let info: String = redis::cmd("INFO").arg("commandstats").query(&mut beside).unwrap();
            info.contains(&format!("cmdstat_evalsha:calls={}", waiters + 1))
        })
        .await;
        gate.notify_one();
        first.await.unwrap().unwrap();
        for duplicate in duplicates {
            assert_eq!(duplicate.await.unwrap().unwrap(), order);
        }
        until("nobody is subscribed any more", async || {
            let channels: Vec<String> = redis::cmd("PUBSUB").arg("CHANNELS").query(&mut beside).unwrap();
            channels.is_empty()
        })
        .await;
        let mut found = commands(&mut beside);
        found.remove("pubsub|channels");
        // The first time a connection for messages is made, and the server learns to look.
        if round > 0 {
            // Each claims, and reads what has ended when it is woken; together they subscribe, look, and look when they
            // are told. One more is the completion.
            let expected = [
                ("evalsha", waiters + 2 + 1),
                ("get", 2 * waiters + 2 + 1),
                // A claim that finds a result needs no time.
                ("time", waiters + 2 + 1),
                ("set", 1),
                ("publish", 1),
                ("subscribe", 1),
                ("unsubscribe", 1),
            ];
            assert_eq!(found, counts(expected), "{waiters} duplicates that waited");
        }
    }
}

#[tokio::test]
async fn what_many_ask_at_once_is_a_few_commands() {
    let Some((server, store, mut beside)) = start().await else { return };
    let calls = (1..=200).map(|order| charge(&store, order));
    let charged = together(&server, calls.collect()).await;
    let charged: Vec<_> = charged.into_iter().map(Result::unwrap).collect();
    assert!(charged.into_iter().eq((1..=200).map(|order| order * 100)));
    let found = commands(&mut beside);
    // A few go out before it is noticed that the server does not answer, and the rest by many.
    assert_eq!(found["set"], 400);
    assert!(found["evalsha"] <= 100, "{} scripts", found["evalsha"]);
    assert!(found.get("publish").is_none_or(|told| *told < 150), "nobody waits: {found:?}");
}

/// What fails for one fails for nobody else.
#[tokio::test]
async fn a_key_of_somebody_else_fails_by_itself() {
    let Some((server, store, mut beside)) = start().await else { return };
    let token = idem::call("commands.charge").arg(&77_u64).token().unwrap();
    redis::cmd("LPUSH").arg(format!("idem::{token}")).arg("mine").exec(&mut beside).unwrap();
    let charged = together(&server, (1..=200).map(|order| charge(&store, order)).collect()).await;
    for (order, charged) in (1..=200).zip(charged) {
        match charged {
            Err(error) if order == 77 => {
                assert!(error.to_string().contains("is not one of idem's records"), "{error}");
            }
            charged => assert_eq!(charged.unwrap(), order * 100),
        }
    }
    assert_eq!(redis::cmd("LLEN").arg(format!("idem::{token}")).query(&mut beside), Ok(1));
}
