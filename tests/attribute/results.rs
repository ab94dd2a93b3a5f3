//! What a function may return, and what its refusals become.

use std::borrow::Cow;
use std::collections::BTreeMap;

use idem::{Error, idempotent};
use serde::{Deserialize, Serialize};

use crate::bench::Bench;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Receipt {
    Paid { amount: u128, note: Option<Option<String>> },
    Free,
    Parts(BTreeMap<u8, Vec<f64>>),
}

#[idempotent(store = &bench.store, skip(bench))]
async fn receipt(bench: &Bench, kind: u8) -> Result<Receipt, Error> {
    bench.ran();
    Ok(match kind {
        0 => Receipt::Free,
        1 => Receipt::Paid { amount: u128::MAX, note: Some(None) },
        _ => Receipt::Parts(BTreeMap::from([(1, vec![0.0, -0.0, 0.1])])),
    })
}

#[tokio::test]
async fn results_come_back_as_they_were() {
    let bench = Bench::new();
    for kind in 0..3 {
        once!(bench, receipt(&bench, kind).await);
    }
}

type ApiResult<T> = std::result::Result<T, Error>;

#[idempotent(store = &bench.store, skip(bench))]
async fn aliased(bench: &Bench) -> ApiResult<()> {
    bench.ran();
    Ok(())
}

#[idempotent(store = &bench.store, skip(bench))]
fn io_aliased(bench: &Bench) -> std::io::Result<u32> {
    Ok(bench.ran())
}

#[tokio::test]
async fn aliases_of_result() {
    let bench = Bench::new();
    once!(bench, aliased(&bench).await);
    once!(bench, io_aliased(&bench));
}

#[idempotent(store = &bench.store, skip(bench))]
async fn boxed_error(bench: &Bench, text: &str) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    bench.ran();
    Ok(text.parse::<u64>()?)
}

#[tokio::test]
async fn errors_that_are_never_stored_need_nothing() {
    let bench = Bench::new();
    once!(bench, boxed_error(&bench, "7").await);
    assert!(boxed_error(&bench, "x").await.is_err());
    assert!(boxed_error(&bench, "x").await.is_err());
    assert_eq!(bench.runs(), 3);
}

#[derive(Debug, PartialEq)]
enum Status {
    Refused(u16),
    Own,
}

impl Status {
    fn refuse(error: Error) -> Self {
        Status::Refused(error.http_status())
    }
}

#[idempotent(store = &bench.store, skip(bench), on_duplicate = reject, error = Status::refuse)]
async fn foreign_error(bench: &Bench, fail: bool) -> Result<u32, Status> {
    bench.ran();
    if fail { Err(Status::Own) } else { Ok(1) }
}

#[idempotent(
    store = &bench.store, skip(bench), on_duplicate = reject,
    error = |error| { if error.is_retryable() { return Status::Own } Status::Refused(error.http_status()) }
)]
fn foreign_error_plainly(bench: &Bench, fail: bool) -> Result<u32, Status> {
    bench.ran();
    if fail { Err(Status::Own) } else { Ok(1) }
}

#[tokio::test]
async fn error_makes_the_functions_own_error() {
    let bench = Bench::new();
    assert_eq!(foreign_error(&bench, false).await, Ok(1));
    assert_eq!(foreign_error(&bench, false).await, Err(Status::Refused(409)));
    assert_eq!(foreign_error(&bench, true).await, Err(Status::Own));
    assert_eq!(foreign_error_plainly(&bench, false), Ok(1));
    assert_eq!(foreign_error_plainly(&bench, false), Err(Status::Refused(409)));
    assert_eq!(foreign_error_plainly(&bench, true), Err(Status::Own));
}

#[idempotent(store = &bench.store, skip(bench))]
async fn cow<'a>(bench: &Bench, text: &'a str) -> Result<Cow<'a, str>, Error> {
    bench.ran();
    Ok(Cow::Borrowed(text))
}

#[idempotent(store = &bench.store, skip(bench))]
fn cow_plainly<'a>(bench: &Bench, text: &'a str) -> Result<Cow<'a, str>, Error> {
    bench.ran();
    Ok(Cow::Borrowed(text))
}

#[tokio::test]
async fn cow_is_fine() {
    let bench = Bench::new();
    assert_eq!(once!(bench, cow(&bench, "text").await), "text");
    assert_eq!(once!(bench, cow_plainly(&bench, "text")), "text");
}

struct Opaque(u32);

#[idempotent(store = &bench.store, skip(bench), on_duplicate = reject)]
async fn never_stored<'a>(bench: &Bench, text: &'a str) -> Result<(&'a str, Opaque), Error> {
    Ok((text, Opaque(bench.ran())))
}

#[idempotent(store = &bench.store, skip(bench), on_duplicate = reject)]
fn never_stored_plainly<'a>(bench: &Bench, text: &'a str) -> Result<(&'a str, Opaque), Error> {
    Ok((text, Opaque(bench.ran())))
}

#[tokio::test]
async fn on_duplicate_reject_stores_nothing() {
    let bench = Bench::new();
    let (text, Opaque(run)) = never_stored(&bench, "text").await.unwrap();
    assert_eq!((text, run), ("text", 1));
    let again = never_stored(&bench, "text").await;
    assert!(matches!(again, Err(Error::Duplicate { .. })));
    assert!(never_stored_plainly(&bench, "text").is_ok());
    let again = never_stored_plainly(&bench, "text").map(|_| ()).unwrap_err();
    assert!(again.to_string().starts_with("Do not submit repeated requests"));
    assert_eq!(bench.runs(), 2);
}

type Callback = Box<dyn Fn() -> u32 + Send>;

#[idempotent(store = &bench.store, skip(bench), on_duplicate = reject)]
async fn coerced(bench: &Bench, early: bool) -> Result<Callback, Error> {
    bench.ran();
    if early {
        return Ok(Box::new(|| 1));
    }
    tokio::task::yield_now().await;
    Ok(Box::new(|| 2))
}

#[idempotent(store = &bench.store, skip(bench), on_duplicate = reject)]
fn coerced_plainly(bench: &Bench, early: bool) -> Result<Callback, Error> {
    bench.ran();
    if early {
        return Ok(Box::new(|| 1));
    }
    Ok(Box::new(|| 2))
}

#[tokio::test]
async fn coercions_in_the_body() {
    let bench = Bench::new();
    assert_eq!(coerced(&bench, true).await.unwrap()(), 1);
    assert_eq!(coerced(&bench, false).await.unwrap()(), 2);
    assert_eq!(coerced_plainly(&bench, true).unwrap()(), 1);
    assert_eq!(coerced_plainly(&bench, false).unwrap()(), 2);
}

#[idempotent(store = &bench.store, skip(bench))]
async fn inferred(bench: &Bench) -> Result<Vec<u8>, Error> {
    bench.ran();
    Ok("abc".bytes().collect())
}

#[tokio::test]
async fn inference_in_the_body() {
    let bench = Bench::new();
    assert_eq!(once!(bench, inferred(&bench).await), b"abc");
}

#[idempotent(store = &bench.store, skip(bench))]
fn never_ok(bench: &Bench) -> Result<(), String> {
    panic!("run {}", bench.ran())
}

#[test]
fn a_body_that_never_ends() {
    let bench = Bench::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| never_ok(&bench)));
    assert_eq!(panicked.unwrap_err().downcast_ref::<String>().unwrap(), "run 1");
}
