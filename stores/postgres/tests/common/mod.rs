//! What the tests share: a server for each test binary, and short ways to ask a store.
#![allow(dead_code, reason = "each test uses some of it")]

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use idem_postgres::PostgresStore;
use idem_runtime::Token;
use idem_runtime::store::{
    Answer, Asked, AttemptId, Claim, Complete, Finished, Grant, Kind, OnInterrupt, Payload, Record, Reply,
    Request, Store,
};
use idem_servers::Postgres;

pub const LEASE: Duration = Duration::from_secs(3_600);
pub const TTL: Duration = Duration::from_secs(24 * 3_600);
/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The server that the tests of one binary share; none if PostgreSQL is not installed.
pub fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start_with(&[("fsync", "off"), ("max_connections", "300")])).as_ref()
}

/// The URL of a database of its own, with the tables in it.
pub fn database(server: &Postgres) -> String {
    let url = server.database();
    PostgresStore::migrate_blocking(&url).unwrap();
    url
}

/// The name of the database of a URL.
pub fn name_of(url: &str) -> &str {
    let (_, name) = url.rsplit_once('/').unwrap();
    name.split('?').next().unwrap()
}

pub fn open(url: &str) -> PostgresStore {
    PostgresStore::connect_blocking(url).unwrap()
}

pub fn token(number: u64) -> Token {
    let mut bytes = [0; 32];
    // Spread like a hash, and still different for different numbers.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    Token::from_bytes(bytes)
}

pub fn claim(token: Token) -> Claim {
    let mut claim = Claim::default();
    claim.token = token;
    claim.attempt = AttemptId::random();
    claim.digest = b"digest".to_vec();
    claim.lease = LEASE;
    claim.ttl = TTL;
    claim.on_interrupt = OnInterrupt::Retry;
    claim.function = "shop::charge(order: u64)".into();
    claim
}

pub fn complete(claim: &Claim, grant: Grant, result: &[u8]) -> Complete {
    let mut complete = Complete::default();
    complete.token = claim.token;
    complete.attempt = claim.attempt;
    complete.fence = grant.fence;
    complete.generation = grant.generation;
    complete.number = grant.number;
    complete.function = claim.function.clone();
    complete.digest = claim.digest.clone();
    complete.result = Payload::from(result);
    complete.kind = Kind::Value;
    complete.ttl = claim.ttl;
    complete
}

/// Asks, and waits for the answer.
pub fn ask(store: &impl Store, request: Request) -> Answer {
    wait(store.ask(request))
}

pub fn wait(asked: Asked) -> Answer {
    asked.wait(Some(PATIENCE)).expect("an answer")
}

pub fn asked_claim(claim: &Claim) -> Request {
    Request::Claim(Arc::new(claim.clone()))
}

pub fn ask_claim(store: &impl Store, claim: &Claim) -> Answer {
    ask(store, asked_claim(claim))
}

/// Claims, and must get it.
pub fn claimed(store: &impl Store, claim: &Claim) -> Grant {
    match ask_claim(store, claim) {
        Ok(Reply::Claimed(grant)) => grant,
        other => panic!("{other:?}"),
    }
}

/// Claims and completes.
pub fn call(store: &impl Store, token: Token, result: &[u8]) -> Grant {
    let claim = claim(token);
    let grant = claimed(store, &claim);
    let answer = ask(store, Request::Complete(Arc::new(complete(&claim, grant, result))));
    assert_eq!(answer.unwrap(), Reply::Completed);
    grant
}

/// What a duplicate gets.
pub fn duplicate(store: &impl Store, token: Token) -> Finished {
    match ask_claim(store, &claim(token)) {
        Ok(Reply::Done(finished)) => finished,
        other => panic!("{other:?}"),
    }
}

pub fn get(store: &impl Store, token: Token) -> Option<Arc<Record>> {
    match ask(store, Request::Get { token }) {
        Ok(Reply::Record(record)) => record,
        other => panic!("{other:?}"),
    }
}

/// Looks again until it is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
