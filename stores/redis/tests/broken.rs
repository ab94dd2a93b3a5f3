//! Connections that break, servers that stand still or forget: what was asked is answered all the same, or told to be
//! lost within the time limit.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use idem_runtime::store::{Asked, Fault, Reply, Request, State, Store};
use idem_servers::{Redis, RedisCluster};
use redis::Connection;

/// Breaks every connection but this one; how many.
fn cut(beside: &mut Connection) -> u64 {
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("SKIPME").arg("yes").query(beside).unwrap()
}

#[test]
fn a_connection_that_breaks_is_made_again_and_nothing_is_lost() {
    let Some(server) = Redis::start() else { return };
    let store = open(&server.url());
    let mut beside = server.connection();
    for round in 0..50 {
        let claims: Vec<_> = (0..20).map(|number| claim(token(round * 100 + number))).collect();
        let asked: Vec<Asked> = claims.iter().map(|claim| store.ask(asked_claim(claim))).collect();
        cut(&mut beside);
        for (claim, asked) in claims.iter().zip(asked) {
            let Reply::Claimed(grant) = wait(asked).unwrap() else { panic!("claimed") };
            let record = get(&store, claim.token).unwrap();
            assert_eq!((record.head.attempt, record.head.fence), (claim.attempt, grant.fence));
            assert_eq!(record.head.number, 1, "asked twice, and one attempt");
        }
    }
}

#[test]
fn a_server_that_forgets_its_scripts_is_told_them_again() {
    let Some(server) = Redis::start() else { return };
    let store = open(&server.url());
    let mut beside = server.connection();
    for number in 0..5 {
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut beside).unwrap();
        let claims: Vec<_> = (0..30).map(|more| claim(token(number * 100 + more))).collect();
        let asked: Vec<Asked> = claims.iter().map(|claim| store.ask(asked_claim(claim))).collect();
        for asked in asked {
            assert!(matches!(wait(asked), Ok(Reply::Claimed(_))));
        }
    }
}

#[test]
fn a_server_that_stands_still_is_given_up_in_time_and_used_again() {
    const LIMIT: Duration = Duration::from_millis(400);
    let Some(server) = Redis::start() else { return };
    let store = open(&format!("{}?time_limit=400ms", server.url()));
    call(&store, token(0), b"one");
    server.freeze();
    let asked_at = Instant::now();
    let first = claim(token(1));
    let error = ask_claim(&store, &first).unwrap_err();
    assert!(asked_at.elapsed() >= LIMIT);
    assert_eq!(error.fault(), Fault::Lost, "{error}");
    let error = ask_claim(&store, &claim(token(2))).unwrap_err();
    assert_ne!(error.fault(), Fault::Refused, "{error}");
    server.thaw();
    // Whatever arrives late of it: the same attempt is granted what it asked for.
    let grant = claimed(&store, &first);
    assert_eq!(grant.number, 1);
    call(&store, token(3), b"two");
}

#[test]
fn a_server_that_is_gone_is_used_again_when_it_is_back() {
    let Some(mut server) = Redis::start_with(&[("appendonly", "yes"), ("appendfsync", "always")]) else {
        return;
    };
    let store = open(&server.url());
    call(&store, token(0), b"one");
    server.kill();
    let asked = store.ask(asked_claim(&claim(token(1))));
    server.restart();
    assert!(matches!(wait(asked), Ok(Reply::Claimed(_))), "it waited for the server");
    assert_eq!(&*duplicate(&store, token(0)).result, b"one");
    server.kill();
    let short = open_later(&server);
    assert_eq!(short.fault(), Fault::Unavailable, "{short}");
    server.restart();
    call(&store, token(2), b"two");
}

fn open_later(server: &Redis) -> idem_runtime::store::StoreError {
    idem_redis::RedisStore::connect_blocking(&format!("{}?time_limit=100ms", server.url())).unwrap_err()
}

#[test]
fn what_was_asked_is_done_though_nobody_waits_for_it() {
    let Some(server) = Redis::start() else { return };
    let store = open(&server.url());
    let claims: Vec<_> = (0..100).map(|number| claim(token(number))).collect();
    for claim in &claims {
        let grant = claimed(&store, claim);
        drop(store.ask(Request::Complete(Arc::new(complete(claim, grant, b"one")))));
    }
    drop(store);
    let store = open(&server.url());
    for claim in &claims {
        until("it is done", || get(&store, claim.token).unwrap().head.state == State::Done);
    }
}

#[test]
fn who_waits_is_told_though_the_connection_for_messages_broke() {
    let Some(server) = Redis::start() else { return };
    let store = open(&server.url());
    let mut beside = server.connection();
    for round in 0..10 {
        let claim = claim(token(round));
        let grant = claimed(&store, &claim);
        let pending = store.ask(Request::Watch { token: claim.token, limit: LEASE });
        let subscribed = |connection: &mut Connection| {
            let mut channels = redis::cmd("PUBSUB");
            channels.arg("NUMSUB").arg(key("", claim.token));
            channels.query::<(String, u64)>(connection).unwrap().1 == 1
        };
        until("it is subscribed", || subscribed(&mut beside));
        if round % 2 == 0 {
            cut(&mut beside);
        }
        if round % 3 == 0 {
            until("it is subscribed again", || subscribed(&mut beside));
        }
        ask(&store, Request::Complete(Arc::new(complete(&claim, grant, b"one")))).unwrap();
        match wait(pending).unwrap() {
            Reply::Record(Some(record)) => assert_eq!(record.head.state, State::Done),
            other => panic!("{other:?}"),
        }
        until("nobody is subscribed any more", || !subscribed(&mut beside));
    }
}

#[test]
fn a_store_that_nobody_has_any_more_leaves_no_connection() {
    let Some(server) = Redis::start() else { return };
    let store = open(&server.url());
    call(&store, token(0), b"one");
    let mut beside = server.connection();
    let mut connected = || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(&mut beside).unwrap();
        clients.lines().count() - 1
    };
    assert_eq!(connected(), 1);
    drop(store);
    until("nobody is connected but the test", || connected() == 0);
}

#[test]
fn a_master_that_has_become_a_replica_is_left_for_its_heir() {
    let Some(cluster) = RedisCluster::start() else { return };
    let url = cluster.urls()[0].replace("redis:", "redis-cluster:");
    let store = open(&format!("{url}?wait_replicas=1"));
    for number in 0..20 {
        call(&store, token(number), b"one");
    }
    // Both go on, with their parts exchanged.
    let mut heir = cluster.nodes()[3].connection();
    redis::cmd("CLUSTER").arg("FAILOVER").exec(&mut heir).unwrap();
    until("the heir has a replica", || {
        let info: String = redis::cmd("INFO").arg("replication").query(&mut heir).unwrap();
        info.contains("role:master") && info.contains("state=online")
    });
    for number in 0..20 {
        assert_eq!(&*duplicate(&store, token(number)).result, b"one");
        call(&store, token(100 + number), b"two");
    }
}

#[test]
fn a_key_that_moves_to_another_master_is_followed() {
    let Some(cluster) = RedisCluster::start() else { return };
    let url = cluster.urls()[0].replace("redis:", "redis-cluster:");
    let store = open(&format!("{url}?wait_replicas=1"));
    let mut masters: Vec<Connection> = cluster.nodes()[..3].iter().map(Redis::connection).collect();
    let mut slot = |token| -> u16 {
        redis::cmd("CLUSTER").arg("KEYSLOT").arg(key("", token)).query(&mut masters[0]).unwrap()
    };
    let of_the_first = (0..).map(token).map(|token| (token, slot(token)));
    let (token, slot) = of_the_first.take(100).find(|(_, slot)| *slot < 5_000).unwrap();
    call(&store, token, b"one");
    assert_eq!(ask(&store, Request::Forget { token }).unwrap(), Reply::Forgotten);
    let heir: String = redis::cmd("CLUSTER").arg("MYID").query(&mut masters[1]).unwrap();
    for master in [1, 0, 2] {
        let mut give = redis::cmd("CLUSTER");
        give.arg("SETSLOT").arg(slot).arg("NODE").arg(&heir).exec(&mut masters[master]).unwrap();
    }
    call(&store, token, b"two");
    assert_eq!(cluster.master_of(slot), 1);
}
