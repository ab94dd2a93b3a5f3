//! What is said of a server that cannot be used, or not any more; and that it is used again once it can.

mod common;

use std::time::{Duration, Instant};

use common::*;
use idem_redis::RedisStore;
use idem_runtime::store::{Durability, Fault, Query, Reply, Request, Store, StoreError};
use idem_servers::{Redis, RedisCluster};
use redis::Connection;

/// What connecting says.
fn refusal(url: &str) -> StoreError {
    let error = RedisStore::connect_blocking(url).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    error
}

fn says(error: &StoreError, fault: Fault, words: &str) {
    assert_eq!(error.fault(), fault, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

fn set(connection: &mut Connection, name: &str, value: &str) {
    redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(connection).unwrap();
}

#[test]
fn a_wrong_password() {
    let Some(server) = Redis::start_with(&[("requirepass", "right")]) else { return };
    let url = server.url().replace("//", "//:secret@");
    says(&refusal(&url), Fault::Refused, "does not accept the user or the password");
    assert!(refusal(&url).to_string().starts_with(&format!("the store {} ", server.url())));
    says(&refusal(&server.url()), Fault::Refused, "user or the password");
    call(&open(&url.replace("secret", "right")), token(1), b"one");
}

#[test]
fn a_user_who_may_too_little_and_one_who_may_what_the_page_says() {
    let Some(server) = Redis::start() else { return };
    let mut beside = server.connection();
    let user = |connection: &mut Connection, rules: &[&str]| {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("shop").arg("reset").arg("on").arg(">right").arg(rules);
        command.exec(connection).unwrap();
    };
    user(&mut beside, &["~orders:*", "+@all"]);
    let url = server.url().replace("//", "//shop:right@");
    says(
        &refusal(&url),
        Fault::Refused,
        "does not allow this user what idem needs: `ACL SETUSER NAME ~idem:*",
    );

    let refusal = refusal(&url).to_string();
    let (_, rules) = refusal.split_once("SETUSER NAME ").unwrap();
    let (rules, _) = rules.split_once('`').unwrap();
    user(&mut beside, &rules.split(' ').collect::<Vec<_>>());
    let store = open(&url);
    assert_eq!(store.profile().durability, Durability::Process);
    call(&store, token(1), b"one");
    let waited = claim(token(2));
    let grant = claimed(&store, &waited);
    let pending = store.ask(Request::Watch { token: token(2), limit: PATIENCE });
    ask(&store, Request::Complete(complete(&waited, grant, b"two").into())).unwrap();
    wait(pending).unwrap();
    assert_eq!(ask(&store, Request::Forget { token: token(1) }).unwrap(), Reply::Forgotten);
    match ask(&store, Request::List(Query::default().into())).unwrap() {
        Reply::Page(page) => assert_eq!(page.records.len(), 1),
        other => panic!("{other:?}"),
    }
    // Nothing else was tried but what may be forbidden.
    let log: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query(&mut beside).unwrap();
    for entry in log {
        let entry = format!("{entry:?}");
        assert!(entry.contains("config") || entry.contains("idem::"), "{entry}");
    }
}

#[test]
fn nobody_there() {
    let Some(mut server) = Redis::start() else { return };
    let url = server.url();
    server.kill();
    let began = Instant::now();
    says(&refusal(&url), Fault::Unavailable, "cannot be reached: check that the server runs");
    says(&refusal("redis://no.such.host.invalid"), Fault::Unavailable, "cannot be reached");
    says(&refusal(&url.replace("redis:", "redis-cluster:")), Fault::Unavailable, "cannot be reached");
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn tls_where_there_is_none() {
    let Some(server) = Redis::start() else { return };
    let error = refusal(&format!("{}?time_limit=1s", server.url().replace("redis:", "rediss:")));
    assert_eq!(error.fault(), Fault::Unavailable, "{error}");
}

#[test]
fn the_other_kind_of_server() {
    let Some(server) = Redis::start() else { return };
    let url = server.url().replace("redis:", "redis-cluster:");
    says(&refusal(&url), Fault::Refused, "write `redis://` instead of `redis-cluster://`");
    let Some(node) = Redis::start_with(&[("cluster-enabled", "yes")]) else { return };
    says(&refusal(&node.url()), Fault::Refused, "write `redis-cluster://` instead of `redis://`");
}

#[test]
fn a_replica() {
    let Some(master) = Redis::start() else { return };
    let Some(replica) = Redis::start() else { return };
    let store = open(&format!("{}?time_limit=1s", replica.url()));
    call(&store, token(1), b"one");
    let mut beside = replica.connection();
    let follow = |connection: &mut Connection, host: &str, port: &str| {
        redis::cmd("REPLICAOF").arg(host).arg(port).exec(connection).unwrap();
    };
    follow(&mut beside, "127.0.0.1", &master.port().to_string());
    says(&refusal(&replica.url()), Fault::Refused, "is a read-only replica: give the address of the master");
    until("it has become an empty replica", || get(&store, token(1)).is_none());
    let error = ask_claim(&store, &claim(token(2))).unwrap_err();
    assert!(error.to_string().contains("is a read-only replica"), "{error}");
    // A failover the other way round, while somebody asks.
    let asked = store.ask(asked_claim(&claim(token(3))));
    follow(&mut beside, "NO", "ONE");
    assert!(matches!(wait(asked), Ok(Reply::Claimed(_))));
}

#[test]
fn keys_that_are_not_ours() {
    let Some(server) = Redis::start() else { return };
    let store = open(&server.url());
    let mut beside = server.connection();
    redis::cmd("RPUSH").arg(key("", token(1))).arg("a").exec(&mut beside).unwrap();
    redis::cmd("SET").arg(key("", token(2))).arg("12").exec(&mut beside).unwrap();
    // Just long enough, and of one of our states.
    redis::cmd("SET").arg(key("", token(3))).arg(vec![1_u8, 3]).exec(&mut beside).unwrap();
    redis::cmd("SET").arg(key("", token(4))).arg(vec![2_u8; 200]).exec(&mut beside).unwrap();
    for number in 1..=4 {
        let claim = claim(token(number));
        let grant = idem_runtime::store::Grant::new(1, 1, 1);
        let words = match number {
            1 => "not one of idem's records (a list, a hash or the like)",
            4 => "update every service",
            _ => "not one of idem's records under the key `idem::",
        };
        for request in [
            asked_claim(&claim),
            Request::Complete(complete(&claim, grant, b"one").into()),
            Request::Release { token: claim.token, attempt: claim.attempt, lease: LEASE },
            Request::Renew { token: claim.token, attempt: claim.attempt, lease: LEASE },
            Request::Interrupt { token: claim.token, attempt: claim.attempt },
            Request::Get { token: claim.token },
            Request::Watch { token: claim.token, limit: Duration::from_millis(1) },
            Request::Forget { token: claim.token },
        ] {
            says(&ask(&store, request).unwrap_err(), Fault::Refused, words);
        }
    }
    let kept: u64 = redis::cmd("DBSIZE").query(&mut beside).unwrap();
    assert_eq!(kept, 4, "they are left as they are");
    says(
        &ask(&store, Request::List(Query::default().into())).unwrap_err(),
        Fault::Refused,
        "not one of idem's",
    );
}

#[test]
fn a_full_server() {
    let Some(server) = Redis::start() else { return };
    let store = open(&server.url());
    call(&store, token(0), b"one");
    let running = claim(token(1));
    let grant = claimed(&store, &running);
    let mut beside = server.connection();
    set(&mut beside, "maxmemory", "1mb");
    says(&ask_claim(&store, &claim(token(2))).unwrap_err(), Fault::Refused, "is full: raise its `maxmemory`");
    assert_eq!(&*duplicate(&store, token(0)).result, b"one", "what is there is read");
    let complete = Request::Complete(complete(&running, grant, b"two").into());
    says(&ask(&store, complete.clone()).unwrap_err(), Fault::Refused, "is full");
    set(&mut beside, "maxmemory", "0");
    assert_eq!(ask(&store, complete).unwrap(), Reply::Completed);
    call(&store, token(2), b"three");
}

#[test]
fn what_is_larger_than_the_server_takes() {
    let Some(server) = Redis::start_with(&[("proto-max-bulk-len", "1mb")]) else { return };
    let store = open(&server.url());
    let large = claim(token(1));
    let grant = claimed(&store, &large);
    let complete = |size: usize| Request::Complete(complete(&large, grant, &vec![7; size]).into());
    says(
        &ask(&store, complete(2 << 20)).unwrap_err(),
        Fault::TooLarge,
        "no more than 1048576 bytes in one piece",
    );
    assert_eq!(ask(&store, complete(1_000_000)).unwrap(), Reply::Completed);
    assert_eq!(duplicate(&store, token(1)).result.len(), 1_000_000);
}

#[test]
fn a_disk_that_cannot_be_written() {
    let Some(server) = Redis::start_with(&[("save", "3600 1000")]) else { return };
    let store = open(&server.url());
    let mut beside = server.connection();
    let place: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("dir").query(&mut beside).unwrap();
    // A folder where the snapshot would be.
    std::fs::create_dir(std::path::Path::new(&place[1]).join("dump.rdb")).unwrap();
    assert!(redis::cmd("SAVE").exec(&mut beside).is_err());
    redis::cmd("BGSAVE").exec(&mut beside).unwrap();
    let mut numbers = 10..;
    let mut refused = None;
    until("it refuses to write", || {
        refused = ask_claim(&store, &claim(token(numbers.next().unwrap()))).err();
        refused.is_some()
    });
    says(&refused.unwrap(), Fault::Refused, "cannot save to its disk");
    set(&mut beside, "stop-writes-on-bgsave-error", "no");
    call(&store, token(3), b"one");
}

#[test]
fn too_few_replicas() {
    let Some(server) = Redis::start() else { return };
    let url = format!("{}?time_limit=500ms", server.url());
    let store = open(&format!("{url}&wait_replicas=1"));
    let first = claim(token(1));
    let error = ask_claim(&store, &first).unwrap_err();
    says(&error, Fault::Lost, "0 replicas of the 1 that `wait_replicas` asks for");
    let record = get(&store, token(1)).expect("it was written all the same");
    assert_eq!(record.head.attempt, first.attempt);

    // Asking again makes it no better, until there is one that has it.
    assert_eq!(ask_claim(&store, &first).unwrap_err().fault(), Fault::Lost);
    let completed = Request::Complete(complete(&first, Default::default(), b"one").into());
    assert_eq!(ask(&store, completed.clone()).unwrap_err().fault(), Fault::Lost);
    assert_eq!(ask(&store, completed.clone()).unwrap_err().fault(), Fault::Lost, "it is done already");
    assert_eq!(&*duplicate(&store, token(1)).result, b"one");
    let Some(replica) = Redis::start_with(&[("replicaof", &format!("127.0.0.1 {}", server.port()))]) else {
        return;
    };
    until("the replica has it", || ask(&store, completed.clone()).is_ok());
    replica.freeze();
    assert_eq!(ask_claim(&store, &claim(token(3))).unwrap_err().fault(), Fault::Lost);
    drop(replica);

    set(&mut server.connection(), "min-replicas-to-write", "1");
    says(&ask_claim(&open(&url), &claim(token(2))).unwrap_err(), Fault::Unavailable, "min-replicas-to-write");
}

#[test]
fn too_few_replicas_in_a_cluster() {
    let Some(cluster) = RedisCluster::start() else { return };
    let url = cluster.urls()[0].replace("redis:", "redis-cluster:");
    let store = open(&format!("{url}?wait_replicas=2"));
    let first = claim(token(1));
    let error = ask_claim(&store, &first).unwrap_err();
    says(&error, Fault::Lost, "1 replicas of the 2 that `wait_replicas` asks for");
    let record = get(&store, token(1)).expect("it was written all the same");
    assert_eq!(record.head.attempt, first.attempt);
}

#[test]
fn a_cluster_is_as_durable_as_its_masters_say() {
    let settings = [("appendonly", "yes"), ("appendfsync", "always")];
    let Some(cluster) = RedisCluster::start_with(&settings) else { return };
    let url = cluster.urls()[0].replace("redis:", "redis-cluster:");
    // The masters answer in no order.
    for _ in 0..20 {
        assert_eq!(open(&url).profile().durability, Durability::Synced);
    }
}

#[test]
fn a_cluster_without_a_master_for_a_key() {
    let Some(mut cluster) = RedisCluster::start() else { return };
    let url = format!("{}?time_limit=2s", cluster.urls()[0].replace("redis:", "redis-cluster:"));
    let store = open(&url);
    // Tokens of every slot range.
    for number in 0..20 {
        call(&store, token(number), b"one");
    }
    for node in [1, 4] {
        cluster.nodes_mut()[node].kill();
    }
    let mut failed = 0;
    for number in 100..110 {
        match ask_claim(&store, &claim(token(number))) {
            Ok(Reply::Claimed(_)) => {}
            Err(error) => {
                assert_ne!(error.fault(), Fault::Refused, "{error}");
                failed += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(failed > 0);
    for node in [1, 4] {
        cluster.nodes_mut()[node].restart();
    }
    let worked = || (200..210).all(|number| ask_claim(&store, &claim(token(number))).is_ok());
    until("every key has a master again", worked);
}

#[test]
fn urls_that_are_wrong() {
    for (url, words) in [
        (
            "redis://:secret@localhost?name=shop",
            "has the unknown parameter `name` in its URL: known are `namespace`",
        ),
        ("redis://localhost?time_limit=soon", "which is not a duration such as `5s`"),
        ("redis://localhost?time_limit=0s", "the default is `5s`"),
        ("redis://localhost?wait_replicas=all", "write a whole number"),
        ("redis://:secret@localhost/shop", "cannot be used"),
        ("redis://localhost?node=other:1", "unknown parameter `node`"),
        ("redis-cluster://localhost?node=other:x", "write `HOST:PORT`"),
        ("redis-cluster://localhost/3", "has database 0 only"),
        ("redis+unix:///tmp/no.sock?pass=secret&shop=1", "unknown parameter `shop`"),
        ("localhost:6379", "has the scheme `localhost:`"),
        ("redis", "is not a URL"),
    ] {
        says(&refusal(url), Fault::Refused, words);
    }
}
