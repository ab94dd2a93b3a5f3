//! What tasks ask goes over a connection of their own runtime: whatever becomes of that, they are answered.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use idem_redis::RedisStore;
use idem_runtime::store::{Asked, Claim, Fault, Reply, Request, State, Store};
use idem_servers::Redis;
use redis::{Client, Connection, TlsCertificates};
use tokio::runtime::{Builder, Runtime};

/// A runtime whose only thread is easily held up.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// How many connections the server has, beside this one and those for messages.
fn connections(beside: &mut Connection) -> usize {
    let mut list = redis::cmd("CLIENT");
    let list: String = list.arg("LIST").arg("TYPE").arg("normal").query(beside).unwrap();
    list.lines().count() - 1
}

/// Asks on a thread of the runtime; does not wait for the answers.
fn ask_there(runtime: &Runtime, store: &RedisStore, claims: &[Claim]) -> Vec<Asked> {
    let (store, claims) = (store.clone(), claims.to_vec());
    let ask = async move { claims.iter().map(|claim| store.ask(asked_claim(claim))).collect() };
    runtime.block_on(runtime.spawn(ask)).unwrap()
}

fn claims(from: u64) -> Vec<Claim> {
    (from..from + 20).map(|number| claim(token(number))).collect()
}

/// Asks until the runtime has a connection of its own.
fn with_own_connection(runtime: &Runtime, store: &RedisStore, beside: &mut Connection) {
    until("the store has its one, and an earlier store none any more", || connections(beside) == 1);
    until("the runtime has one, too", || {
        let claims = claims(u64::MAX - 20);
        ask_there(runtime, store, &claims).into_iter().for_each(|asked| drop(wait(asked)));
        connections(beside) == 2
    });
    // The server has it; the runtime is told in a moment.
    let settle = [claim(token(u64::MAX))];
    ask_there(runtime, store, &settle).into_iter().for_each(|asked| drop(wait(asked)));
}

/// A server, a connection to it beside, and a store that has one on the runtime, too.
fn begin(parameters: &str) -> Option<(Redis, Connection, RedisStore, Runtime)> {
    let server = Redis::start()?;
    let mut beside = server.connection();
    let store = open(&format!("{}{parameters}", server.url()));
    let runtime = runtime();
    with_own_connection(&runtime, &store, &mut beside);
    Some((server, beside, store, runtime))
}

/// Each was granted once.
fn granted(store: &RedisStore, claims: &[Claim], asked: Vec<Asked>) {
    for (claim, asked) in claims.iter().zip(asked) {
        let Ok(Reply::Claimed(grant)) = wait(asked) else { panic!("claimed") };
        let record = get(store, claim.token).unwrap();
        assert_eq!((record.head.attempt, record.head.fence), (claim.attempt, grant.fence));
        assert_eq!((record.head.number, record.head.state), (1, State::Running), "one attempt");
    }
}

#[test]
fn a_runtime_that_asks_often_has_a_connection_until_the_store_is_gone() {
    let Some(server) = Redis::start() else { return };
    let mut beside = server.connection();
    let store = open(&server.url());
    let often = |from: u64| {
        let store = store.clone();
        async move {
            for number in from..from + 100 {
                assert!(matches!(store.ask(asked_claim(&claim(token(number)))).await, Ok(Reply::Claimed(_))));
            }
        }
    };
    let single = Builder::new_current_thread().enable_all().build().unwrap();
    single.block_on(often(1_000));
    single.block_on(single.spawn(often(2_000))).unwrap();
    assert_eq!(connections(&mut beside), 1, "a runtime of one thread has none of its own");
    assert_eq!(single.metrics().num_alive_tasks(), 0, "and makes none");
    let runtime = runtime();
    let no_tasks = || runtime.metrics().num_alive_tasks() == 0;
    ask_there(&runtime, &store, &claims(4_000)[..1]).into_iter().for_each(|asked| drop(wait(asked)));
    until("one that asks once makes none", no_tasks);
    let main = self::runtime();
    main.block_on(often(3_000));
    until("one whose main function asks has one", || connections(&mut beside) == 2);
    main.block_on(often(5_000));
    drop(main);
    with_own_connection(&runtime, &store, &mut beside);
    let claims = claims(100);
    granted(&store, &claims, ask_there(&runtime, &store, &claims));
    assert_eq!(connections(&mut beside), 2);
    drop(store);
    until("the connections are closed", || connections(&mut beside) == 0);
}

#[test]
fn a_runtime_has_a_connection_over_a_unix_socket_and_with_tls_too() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key] = [("certificate", made.cert.pem()), ("key", made.signing_key.serialize_pem())]
        .map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        });
    let settings =
        [("tls-cert-file", &*certificate), ("tls-key-file", &key), ("tls-ca-cert-file", &certificate)];
    let Some(server) = Redis::start_with(&settings) else { return };
    let mut beside = server.connection();
    let trusted = TlsCertificates { client_tls: None, root_cert: Some(made.cert.pem().into_bytes()) };
    let with_tls = Client::build_with_tls(server.tls_url(), trusted).unwrap();
    let mut is_answered = |store: RedisStore, from| {
        let runtime = runtime();
        with_own_connection(&runtime, &store, &mut beside);
        let claims = claims(from);
        granted(&store, &claims, ask_there(&runtime, &store, &claims));
    };
    is_answered(open(&format!("redis+unix://{}", server.socket().display())), 100);
    is_answered(RedisStore::builder(with_tls).connect_blocking().unwrap(), 200);
}

#[test]
fn of_many_runtimes_few_have_a_connection() {
    let Some(server) = Redis::start() else { return };
    let mut beside = server.connection();
    let store = open(&server.url());
    let runtimes: Vec<_> = (0..6).map(|_| runtime()).collect();
    let all_ask = || {
        let asked = runtimes.iter().flat_map(|runtime| ask_there(runtime, &store, &claims(100)));
        asked.for_each(|asked| drop(wait(asked)));
    };
    until("four have one", || {
        all_ask();
        connections(&mut beside) == 5
    });
    for _ in 0..5 {
        all_ask();
    }
    // One that was given up may still be there for a moment.
    until("and no more", || connections(&mut beside) <= 5);
}

#[test]
fn a_connection_of_a_runtime_that_breaks_loses_nothing() {
    let Some(server) = Redis::start() else { return };
    let mut beside = server.connection();
    let runtime = runtime();
    for round in 1..6 {
        let store = open(&server.url());
        with_own_connection(&runtime, &store, &mut beside);
        let claims = claims(round * 100);
        let asked = ask_there(&runtime, &store, &claims);
        redis::cmd("CLIENT").arg("KILL").arg("SKIPME").arg("yes").exec(&mut beside).unwrap();
        granted(&store, &claims, asked);
    }
}

#[test]
fn a_runtime_that_stands_still_holds_no_request_up() {
    let Some((_server, _, store, runtime)) = begin("") else { return };
    for round in 1..4 {
        let (store, claims) = (store.clone(), claims(round * 100));
        // Blocks the thread that the connection needs.
        let blocks = async move {
            let asked = claims.iter().map(|claim| store.ask(asked_claim(claim))).collect();
            granted(&store, &claims, asked);
        };
        runtime.block_on(runtime.spawn(blocks)).unwrap();
    }
}

#[test]
fn a_runtime_that_ends_leaves_what_it_asked_to_the_store() {
    let Some(server) = Redis::start() else { return };
    let mut beside = server.connection();
    for round in 1..6 {
        let store = open(&server.url());
        let runtime = runtime();
        with_own_connection(&runtime, &store, &mut beside);
        let claims = claims(round * 100);
        server.freeze();
        let asked = ask_there(&runtime, &store, &claims);
        drop(runtime);
        server.thaw();
        granted(&store, &claims, asked);
    }
}

#[test]
fn a_runtime_that_stands_still_holds_no_request_up_beyond_a_short_limit() {
    let Some((_server, _, store, runtime)) = begin("?time_limit=400ms") else { return };
    let (other, claims) = (store.clone(), claims(100));
    let blocks = async move {
        let asked = claims.iter().map(|claim| other.ask(asked_claim(claim))).collect();
        granted(&other, &claims, asked);
    };
    runtime.block_on(runtime.spawn(blocks)).unwrap();
}

#[test]
fn a_runtime_that_was_refused_a_connection_gets_one_later() {
    let Some(server) = Redis::start() else { return };
    let mut beside = server.connection();
    let store = open(&server.url());
    let runtime = runtime();
    let all: String = redis::cmd("CLIENT").arg("LIST").query(&mut beside).unwrap();
    let allow = |beside: &mut Connection, clients: usize| {
        redis::cmd("CONFIG").arg("SET").arg("maxclients").arg(clients).exec(beside).unwrap();
    };
    allow(&mut beside, all.lines().count());
    until("it is refused one", || {
        ask_there(&runtime, &store, &claims(100)).into_iter().for_each(|asked| drop(wait(asked)));
        let stats: String = redis::cmd("INFO").arg("stats").query(&mut beside).unwrap();
        !stats.contains("rejected_connections:0\r\n")
    });
    allow(&mut beside, 1_000);
    with_own_connection(&runtime, &store, &mut beside);
}

#[test]
fn a_runtime_that_can_do_no_io_is_answered_all_the_same() {
    let Some(server) = Redis::start() else { return };
    let mut beside = server.connection();
    let store = open(&server.url());
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for round in 1..6 {
        let claims = claims(round * 100);
        granted(&store, &claims, ask_there(&runtime, &store, &claims));
    }
    assert_eq!(connections(&mut beside), 1);
}

#[test]
fn a_connection_that_was_given_up_leaves_nothing_on_its_runtime() {
    let Some((server, _, store, runtime)) = begin("?time_limit=400ms") else { return };
    server.freeze();
    ask_there(&runtime, &store, &claims(100)).into_iter().for_each(|asked| drop(wait(asked)));
    until("its tasks have ended", || runtime.metrics().num_alive_tasks() == 0);
}

#[test]
fn a_runtimes_connection_survives_a_server_that_forgets_its_scripts() {
    let Some((_server, mut beside, store, runtime)) = begin("") else { return };
    for round in 1..6 {
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut beside).unwrap();
        let claims = claims(round * 100);
        granted(&store, &claims, ask_there(&runtime, &store, &claims));
    }
    assert_eq!(connections(&mut beside), 2);
}

#[test]
fn a_server_that_stands_still_is_given_up_in_time_by_a_runtimes_connection_too() {
    const LIMIT: Duration = Duration::from_millis(400);
    let Some((server, _, store, runtime)) = begin("?time_limit=400ms") else { return };
    let claims = claims(100);
    server.freeze();
    let asked_at = Instant::now();
    for asked in ask_there(&runtime, &store, &claims) {
        let error = wait(asked).unwrap_err();
        assert_ne!(error.fault(), Fault::Refused, "{error}");
    }
    assert!(asked_at.elapsed() >= LIMIT);
    server.thaw();
    let asked = ask_there(&runtime, &store, &claims);
    granted(&store, &claims, asked);
}

#[test]
fn what_a_runtime_asked_is_done_though_the_store_is_dropped() {
    let Some(server) = Redis::start() else { return };
    let mut beside = server.connection();
    let runtime = runtime();
    let store = open(&server.url());
    with_own_connection(&runtime, &store, &mut beside);
    let claims = claims(100);
    for (claim, asked) in claims.iter().zip(ask_there(&runtime, &store, &claims)) {
        let Ok(Reply::Claimed(grant)) = wait(asked) else { panic!("claimed") };
        let (store, complete) = (store.clone(), Arc::new(complete(claim, grant, b"one")));
        let ask = async move { drop(store.ask(Request::Complete(complete))) };
        runtime.block_on(runtime.spawn(ask)).unwrap();
    }
    drop((store, runtime));
    let store = open(&server.url());
    for claim in &claims {
        until("it is done", || get(&store, claim.token).unwrap().head.state == State::Done);
    }
}
