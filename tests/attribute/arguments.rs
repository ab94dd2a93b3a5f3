//! Arguments of every shape: patterns, `mut`, borrowed.

use idem::{Error, idempotent};
use serde::{Deserialize, Serialize};

use crate::bench::Bench;

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Point {
    x: u64,
    y: u64,
}

#[derive(Serialize)]
struct Wrapped<T>(T);

#[idempotent(store = &bench.store, skip(bench))]
async fn patterns(
    bench: &Bench,
    (a, mut b): (u64, u64),
    Point { x, y: _ }: Point,
    [first, .., last]: [u64; 3],
    Wrapped(Wrapped(inner)): Wrapped<Wrapped<String>>,
    &by_reference: &u64,
) -> Result<String, Error> {
    b += u64::from(bench.ran());
    tokio::task::yield_now().await;
    Ok(format!("{a} {b} {x} {first} {last} {inner} {by_reference}"))
}

#[idempotent(store = &bench.store, skip(bench))]
fn patterns_plainly(
    bench: &Bench,
    (a, mut b): (u64, u64),
    Point { x, .. }: Point,
    whole @ (_, second): (u8, u8),
) -> Result<String, Error> {
    b += u64::from(bench.ran());
    Ok(format!("{a} {b} {x} {whole:?} {second}"))
}

#[tokio::test]
async fn destructuring_patterns() {
    let bench = Bench::new();
    let point = Point { x: 3, y: 4 };
    let wrapped = || Wrapped(Wrapped("w".to_owned()));
    assert_eq!(
        once!(bench, patterns(&bench, (1, 2), point, [5, 6, 7], wrapped(), &8).await),
        "1 3 3 5 7 w 8"
    );
    // What the pattern throws away counts all the same: the caller asked with it.
    let elsewhere = Point { x: 3, y: 5 };
    once!(bench, patterns(&bench, (1, 2), elsewhere, [5, 6, 7], wrapped(), &8).await);
    assert_eq!(once!(bench, patterns_plainly(&bench, (1, 2), point, (5, 6))), "1 5 3 (5, 6) 6");
}

#[idempotent(store = &bench.store, skip(bench))]
async fn nameless(bench: &Bench, _: u64, _unused: u64) -> Result<u32, Error> {
    Ok(bench.ran())
}

#[tokio::test]
async fn arguments_that_the_body_does_not_use() {
    let bench = Bench::new();
    assert_eq!(once!(bench, nameless(&bench, 1, 1).await), 1);
    assert_eq!(once!(bench, nameless(&bench, 1, 2).await), 2);
    assert_eq!(once!(bench, nameless(&bench, 2, 1).await), 3);
}

#[idempotent(store = &bench.store, skip(bench))]
async fn mutable(bench: &Bench, mut amount: u64, mut notes: Vec<String>) -> Result<String, Error> {
    amount += u64::from(bench.ran());
    notes.push(amount.to_string());
    tokio::task::yield_now().await;
    amount += 1;
    Ok(format!("{amount} {notes:?}"))
}

#[idempotent(store = &bench.store, skip(bench))]
fn mutable_plainly(bench: &Bench, mut amount: u64, mut notes: Vec<String>) -> Result<String, Error> {
    amount += u64::from(bench.ran());
    notes.push(amount.to_string());
    Ok(format!("{amount} {notes:?}"))
}

#[tokio::test]
async fn mutable_arguments() {
    let bench = Bench::new();
    let notes = || vec!["n".to_owned()];
    assert_eq!(once!(bench, mutable(&bench, 1, notes()).await), r#"3 ["n", "2"]"#);
    assert_eq!(once!(bench, mutable_plainly(&bench, 1, notes())), r#"3 ["n", "3"]"#);
}

#[idempotent(store = &bench.store, skip(bench, log))]
async fn borrowed(
    bench: &Bench,
    name: &str,
    bytes: &[u8],
    point: &Point,
    maybe: Option<&str>,
    log: &mut Vec<String>,
) -> Result<u64, Error> {
    bench.ran();
    log.push(name.to_owned());
    tokio::task::yield_now().await;
    log.push(maybe.unwrap_or("none").to_owned());
    Ok(point.x + bytes.len() as u64)
}

#[idempotent(store = &bench.store, skip(bench, log))]
fn borrowed_plainly(bench: &Bench, name: &str, log: &mut Vec<String>) -> Result<u64, Error> {
    bench.ran();
    log.push(name.to_owned());
    Ok(log.len() as u64)
}

#[tokio::test]
async fn borrowed_arguments() {
    let bench = Bench::new();
    let mut log = Vec::new();
    let point = Point { x: 1, y: 2 };
    let call = once!(bench, borrowed(&bench, "ann", b"abc", &point, Some("x"), &mut log).await);
    assert_eq!(call, 4);
    assert_eq!(log, ["ann", "x"]);
    assert_eq!(once!(bench, borrowed_plainly(&bench, "ann", &mut log)), 3);
}

#[idempotent(store = &bench.store, skip(bench), key(count))]
async fn mutable_reference_in_key(bench: &Bench, count: &mut u64) -> Result<u64, Error> {
    bench.ran();
    *count += 1;
    Ok(*count)
}

#[tokio::test]
async fn the_key_is_taken_before_the_body_changes_it() {
    let bench = Bench::new();
    assert_eq!(mutable_reference_in_key(&bench, &mut 1).await.unwrap(), 2);
    assert_eq!(mutable_reference_in_key(&bench, &mut 1).await.unwrap(), 2);
    assert_eq!(bench.runs(), 1);
}

#[idempotent(store = &bench.store, skip(bench))]
fn by_ref(bench: &Bench, ref name: String, ref mut count: u64) -> Result<u64, Error> {
    *count += u64::from(bench.ran());
    Ok(*count + name.len() as u64)
}

#[idempotent(store = &bench.store, skip(bench))]
async fn by_ref_async(bench: &Bench, ref name: String, ref mut count: u64) -> Result<u64, Error> {
    *count += u64::from(bench.ran());
    tokio::task::yield_now().await;
    Ok(*count + name.len() as u64)
}

#[tokio::test]
async fn ref_arguments() {
    let bench = Bench::new();
    assert_eq!(once!(bench, by_ref(&bench, "abc".to_owned(), 1)), 5);
    assert_eq!(once!(bench, by_ref_async(&bench, "abc".to_owned(), 1).await), 6);
}

struct Held(std::sync::Arc<std::sync::Mutex<Vec<&'static str>>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("dropped");
    }
}

#[idempotent(store = &bench.store, skip(bench, _permit, order))]
async fn holds(
    bench: std::sync::Arc<Bench>,
    _permit: Held,
    order: std::sync::Arc<std::sync::Mutex<Vec<&'static str>>>,
) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    order.lock().unwrap().push("body");
    Ok(bench.ran())
}

#[idempotent(store = &bench.store, skip(bench, _permit, order), on_cancel = finish)]
async fn holds_to_the_end(
    bench: std::sync::Arc<Bench>,
    _permit: Held,
    order: std::sync::Arc<std::sync::Mutex<Vec<&'static str>>>,
) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    order.lock().unwrap().push("body");
    Ok(bench.ran())
}

#[tokio::test]
async fn arguments_live_as_long_as_the_body() {
    for finish in [false, true] {
        let bench = std::sync::Arc::new(Bench::new());
        let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let permit = Held(order.clone());
        let call = || order.clone();
        if finish {
            holds_to_the_end(bench, permit, call()).await.unwrap();
        } else {
            holds(bench, permit, call()).await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["body", "dropped"]);
    }
    // Also where the caller has gone.
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let bench = std::sync::Arc::new(Bench::new());
    let mut call = Box::pin(holds_to_the_end(bench, Held(order.clone()), order.clone()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    drop(call);
    while order.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*order.lock().unwrap(), ["body", "dropped"]);
}
