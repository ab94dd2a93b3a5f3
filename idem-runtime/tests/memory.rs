//! What only the memory store does: limits, dropping what has expired without being asked, waking directly.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use idem_runtime::Token;
use idem_runtime::store::{
    Answer, Asked, AttemptId, Claim, Complete, Durability, Fault, Grant, Handle, Kind, MemoryStore, Page,
    Pending, Query, Reply, Request, State, Store,
};

const LONG: Duration = Duration::from_secs(600);

/// Tokens that are as uniform as real ones.
fn token(number: u64) -> Token {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_mut(8) {
        state = (state ^ (state >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(1);
        chunk.copy_from_slice(&(state ^ (state >> 29)).to_be_bytes());
    }
    Token::from_bytes(bytes)
}

fn ask(store: &dyn Store, request: Request) -> Answer {
    match store.ask(request) {
        Asked::Now(answer) => answer,
        Asked::Later(_) => panic!("everything but a watch is answered at once"),
    }
}

fn claim(token: Token, attempt: AttemptId, ttl: Duration) -> Request {
    let mut claim = Claim::default();
    (claim.token, claim.attempt, claim.lease, claim.ttl) = (token, attempt, LONG, ttl);
    claim.function = "shop::charge".into();
    Request::Claim(Arc::new(claim))
}

fn granted(store: &dyn Store, token: Token, attempt: AttemptId, ttl: Duration) -> Grant {
    match ask(store, claim(token, attempt, ttl)) {
        Ok(Reply::Claimed(grant)) => grant,
        other => panic!("{other:?}"),
    }
}

fn complete(store: &dyn Store, token: Token, attempt: AttemptId, result: Vec<u8>, ttl: Duration) {
    let mut complete = Complete::default();
    (complete.token, complete.attempt, complete.ttl) = (token, attempt, ttl);
    (complete.result, complete.kind, complete.number) = (result.into(), Kind::Value, 1);
    assert_eq!(ask(store, Request::Complete(Arc::new(complete))).unwrap(), Reply::Completed);
}

fn release(store: &dyn Store, token: Token, attempt: AttemptId) {
    let reply = ask(store, Request::Release { token, attempt, lease: LONG }).unwrap();
    assert_eq!(reply, Reply::Released);
}

fn is_gone(store: &dyn Store, token: Token) -> bool {
    ask(store, Request::Get { token }).unwrap() == Reply::Record(None)
}

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let began = Instant::now();
    while !look() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn clones_and_handles_are_one_store() {
    let store = MemoryStore::new();
    let handle = store.to_handle();
    let attempt = AttemptId::random();
    granted(&*handle, token(1), attempt, LONG);
    assert_eq!(store.clone().records(), 1);
    assert!(handle.same(&store.clone().to_handle()) && handle.same(&handle.clone().into_static()));
    assert!(!handle.same(&MemoryStore::new().to_handle()));
    assert_eq!(format!("{store:?}"), "MemoryStore { records: 1, .. }");
}

#[test]
fn its_profile() {
    let store = MemoryStore::default();
    let profile = store.profile();
    assert_eq!((&*profile.name, profile.durability), ("memory:", Durability::Process));
    assert!(profile.guarded && !profile.wants_arguments);
}

#[test]
fn a_limit_on_records_refuses_a_claim_and_nothing_else() {
    let store = MemoryStore::builder().max_records(2).build();
    let [a, b] = [AttemptId::random(), AttemptId::random()];
    for number in 0..2 {
        granted(&store, token(number), a, LONG);
    }
    let refused = ask(&store, claim(token(2), a, LONG)).unwrap_err();
    assert_eq!(refused.fault(), Fault::Refused);
    let text = refused.to_string();
    assert!(
        text.contains("memory:") && text.contains("full") && text.contains("`max_records` is 2"),
        "{text}"
    );
    // What is there goes on: the same claim, a duplicate, the next attempt, the end.
    granted(&store, token(0), a, LONG);
    assert!(matches!(ask(&store, claim(token(0), b, LONG)), Ok(Reply::Running { .. })));
    release(&store, token(0), a);
    granted(&store, token(0), b, LONG);
    complete(&store, token(0), b, vec![1; 1000], LONG);
    // What must not be lost is kept beyond the limit.
    complete(&store, token(3), a, vec![1], LONG);
    release(&store, token(4), a);
    assert_eq!(store.records(), 4);
    assert!(ask(&store, claim(token(2), a, LONG)).is_err());
    for number in [0, 3, 4] {
        assert_eq!(ask(&store, Request::Forget { token: token(number) }).unwrap(), Reply::Forgotten);
    }
    granted(&store, token(2), a, LONG);
    assert!(ask(&store, claim(token(5), a, LONG)).is_err());
}

#[test]
fn a_limit_on_bytes_refuses_a_claim_and_nothing_else() {
    let store = MemoryStore::builder().max_bytes(10_000).build();
    let attempt = AttemptId::random();
    granted(&store, token(0), attempt, LONG);
    granted(&store, token(1), attempt, LONG);
    complete(&store, token(0), attempt, vec![1; 10_000], LONG);
    let refused = ask(&store, claim(token(2), attempt, LONG)).unwrap_err();
    assert!(refused.to_string().contains("`max_bytes` is 10000"), "{refused}");
    complete(&store, token(1), attempt, vec![1; 10_000], LONG);
    ask(&store, Request::Forget { token: token(0) }).unwrap();
    ask(&store, Request::Forget { token: token(1) }).unwrap();
    // Every byte has been given back: about as many fit as the limit says.
    let fit = (0..).take_while(|number| ask(&store, claim(token(*number), attempt, LONG)).is_ok()).count();
    assert!((30..80).contains(&fit), "{fit}");
}

#[test]
fn a_full_store_drops_what_has_expired_and_never_what_has_not() {
    let store = MemoryStore::builder().max_records(1000).build();
    let attempt = AttemptId::random();
    let short = Duration::from_millis(30);
    for number in 0..1000 {
        let ttl = if number % 2 == 0 { short } else { LONG };
        granted(&store, token(number), attempt, ttl);
        complete(&store, token(number), attempt, vec![number as u8], ttl);
    }
    until("expiry", || (0..1000).step_by(2).all(|number| is_gone(&store, token(number))));
    until("room", || ask(&store, claim(token(1000), attempt, LONG)).is_ok());
    assert_eq!(store.records(), 501, "everything expired was dropped");
    let mut more = 1001;
    while ask(&store, claim(token(more), attempt, LONG)).is_ok() {
        more += 1;
    }
    assert_eq!((more, store.records()), (1500, 1000));
    for number in (1..1000).step_by(2) {
        let reply = ask(&store, claim(token(number), AttemptId::random(), LONG)).unwrap();
        assert!(matches!(&reply, Reply::Done(done) if *done.result == [number as u8]), "{number}: {reply:?}");
    }
}

#[test]
fn limits_hold_for_many_threads() {
    let store = MemoryStore::builder().max_records(500).build();
    let granted: usize = std::thread::scope(|threads| {
        let work = |thread: u64| {
            let store = &store;
            let claims = move || {
                let attempt = AttemptId::random();
                let claims = (0..400).map(|number| claim(token(thread * 1000 + number), attempt, LONG));
                claims.filter(|claim| ask(store, claim.clone()).is_ok()).count()
            };
            threads.spawn(claims)
        };
        let threads: Vec<_> = (0..4).map(work).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((granted, store.records()), (500, 500));
}

#[test]
fn it_does_not_grow_though_nobody_purges() {
    let store = MemoryStore::new();
    let attempt = AttemptId::random();
    // Ever new tokens, each of which expires at once.
    for number in 0..50_000 {
        complete(&store, token(number), attempt, vec![1], Duration::ZERO);
    }
    assert!(store.records() < 2_000, "{}", store.records());
}

#[test]
fn purge_takes_what_has_expired_in_steps() {
    let store = MemoryStore::new();
    let attempt = AttemptId::random();
    for number in 0..3_000 {
        complete(
            &store,
            token(number),
            attempt,
            vec![1],
            if number % 3 == 0 { LONG } else { Duration::from_millis(20) },
        );
    }
    until("expiry", || {
        (0..3_000).filter(|number| number % 3 != 0).all(|number| is_gone(&store, token(number)))
    });
    let mut purged = 0;
    loop {
        let before = store.records();
        let Ok(Reply::Purged(count)) = ask(&store, Request::Purge { limit: 300 }) else { panic!() };
        assert!(count <= 300 && before - store.records() == count);
        purged += count;
        if count == 0 {
            break;
        }
    }
    assert!(purged <= 2_000);
    assert_eq!(store.records(), 1_000);
}

#[test]
fn every_record_is_listed_once() {
    let store = MemoryStore::new();
    let attempt = AttemptId::random();
    let mut tokens: Vec<Token> = (0..5_000).map(token).collect();
    for token in &tokens {
        granted(&store, *token, attempt, LONG);
    }
    tokens.sort();
    for limit in [61, 100, 4_999, 5_000, 1_000_000] {
        let mut found = Vec::new();
        let mut query = Query::default();
        query.limit = limit;
        loop {
            let Ok(Reply::Page(Page { records, next, .. })) =
                ask(&store, Request::List(Arc::new(query.clone())))
            else {
                panic!()
            };
            assert!(records.len() <= limit);
            found.extend(records.iter().map(|listed| listed.token));
            query.cursor = next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(found, tokens, "in pages of {limit}");
    }
}

/// A table against what it is to be, over many insertions and removals.
#[test]
fn records_are_found_until_they_are_removed() {
    let store = MemoryStore::new();
    let attempt = AttemptId::random();
    let mut there = std::collections::BTreeMap::new();
    let mut dice = 1_u64;
    for step in 0..20_000_u64 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (dice >> 33) % 3_000;
        // Crowded in few shards and at few places, so that records move when one is removed.
        let mut bytes = *token(number).as_bytes();
        bytes[0] = (number % 3) as u8;
        bytes[8..16].copy_from_slice(&(number / 7 * 24).to_le_bytes());
        let token = Token::from_bytes(bytes);
        if (dice >> 20) % 5 < 2 {
            let _ = ask(&store, Request::Forget { token });
            there.remove(&token);
        } else if there.insert(token, step).is_none() {
            complete(&store, token, attempt, step.to_be_bytes().to_vec(), LONG);
        } else {
            let _ = ask(&store, Request::Forget { token });
            complete(&store, token, attempt, step.to_be_bytes().to_vec(), LONG);
        }
        if step % 2_000 == 0 {
            assert_eq!(store.records(), there.len());
            for (token, step) in &there {
                let reply = ask(&store, claim(*token, attempt, LONG)).unwrap();
                assert!(
                    matches!(&reply, Reply::Done(done) if *done.result == step.to_be_bytes()),
                    "{reply:?}"
                );
            }
        }
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn watch(store: &MemoryStore, token: Token, limit: Duration) -> Pending {
    match store.ask(Request::Watch { token, limit }) {
        Asked::Later(pending) => pending,
        Asked::Now(answer) => panic!("{answer:?}"),
    }
}

#[test]
fn a_waiter_is_woken_once_by_what_it_waits_for_and_by_nothing_else() {
    let store = MemoryStore::new();
    let [a, other] = [AttemptId::random(), AttemptId::random()];
    granted(&store, token(1), a, LONG);
    let mut pending = pin!(watch(&store, token(1), LONG));
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut context = Context::from_waker(&waker);
    assert!(pending.as_mut().poll(&mut context).is_pending());
    // Neither other records, nor a sign of life, nor those who ask.
    granted(&store, token(2), other, LONG);
    release(&store, token(2), other);
    granted(&store, token(1), a, LONG);
    ask(&store, Request::Renew { token: token(1), attempt: a, lease: LONG }).unwrap();
    ask(&store, claim(token(1), other, LONG)).unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    complete(&store, token(1), a, vec![7], LONG);
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "woken by the change itself");
    let Poll::Ready(Ok(Reply::Record(Some(record)))) = pending.as_mut().poll(&mut context) else { panic!() };
    assert_eq!((record.head.state, &*record.result), (State::Done, &[7][..]));
}

#[test]
fn a_waiter_is_answered_when_its_record_is_taken_over_purged_or_expires_in_silence() {
    let store = MemoryStore::new();
    let [a, b] = [AttemptId::random(), AttemptId::random()];
    let short = |token, ttl| {
        let mut claim = Claim::default();
        (claim.token, claim.attempt, claim.ttl) = (token, a, ttl);
        claim.lease = Duration::from_millis(20);
        assert!(matches!(ask(&store, Request::Claim(Arc::new(claim))), Ok(Reply::Claimed(_))));
    };
    short(token(1), LONG);
    let pending = watch(&store, token(1), LONG);
    until("the takeover", || matches!(ask(&store, claim(token(1), b, LONG)), Ok(Reply::Claimed(_))));
    let Ok(Ok(Reply::Record(Some(record)))) = pending.wait(Some(LONG)) else { panic!() };
    assert_eq!((record.head.state, record.head.attempt), (State::Running, b));

    short(token(2), Duration::from_millis(20));
    let pending = watch(&store, token(2), LONG);
    until("the expiry", || is_gone(&store, token(2)));
    assert_eq!(ask(&store, Request::Purge { limit: 10 }).unwrap(), Reply::Purged(1));
    assert!(matches!(pending.wait(Some(LONG)), Ok(Ok(Reply::Record(None)))));

    short(token(3), Duration::from_millis(20));
    let pending = watch(&store, token(3), Duration::from_millis(100));
    assert!(matches!(pending.wait(Some(LONG)), Ok(Ok(Reply::Record(None)))));
}

#[test]
fn a_watch_outlives_neither_its_waiter_nor_the_store() {
    let store = MemoryStore::new();
    let a = AttemptId::random();
    granted(&store, token(1), a, LONG);
    for _ in 0..1_000 {
        drop(watch(&store, token(1), LONG));
    }
    let pending = watch(&store, token(1), LONG);
    drop(store);
    let lost = pending.wait(Some(LONG)).unwrap().unwrap_err();
    assert_eq!(lost.fault(), Fault::Lost);
}

#[test]
fn a_waker_may_ask_the_store() {
    struct Asks(Handle, AtomicUsize);
    impl Wake for Asks {
        fn wake(self: Arc<Self>) {
            let reply = ask(&*self.0, claim(token(1), AttemptId::random(), LONG));
            assert!(matches!(reply, Ok(Reply::Done(_))), "{reply:?}");
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let store = MemoryStore::new();
    let a = AttemptId::random();
    granted(&store, token(1), a, LONG);
    let mut pending = pin!(watch(&store, token(1), LONG));
    let asks = Arc::new(Asks(store.to_handle(), AtomicUsize::new(0)));
    let waker = Waker::from(asks.clone());
    assert!(pending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    complete(&store, token(1), a, vec![7], LONG);
    assert_eq!(asks.1.load(Ordering::SeqCst), 1);
}

#[test]
fn results_of_every_length_come_back_and_outlive_their_record() {
    let store = MemoryStore::new();
    let attempt = AttemptId::random();
    let mut kept = Vec::new();
    for length in (0..100).chain([1_000, 100_000]) {
        let result: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        complete(&store, token(1), attempt, result.clone(), LONG);
        let Ok(Reply::Done(done)) = ask(&store, claim(token(1), AttemptId::random(), LONG)) else { panic!() };
        assert_eq!(*done.result, *result);
        kept.push((done.result.clone(), result));
        ask(&store, Request::Forget { token: token(1) }).unwrap();
    }
    drop(store);
    assert!(kept.iter().all(|(kept, result)| **kept == **result));
}
