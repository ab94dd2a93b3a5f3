//! Free functions, associated functions, and what may stand in a body.

use crate::bench::Bench;
use idem::{Error, idempotent};

#[idempotent(store = &bench.store, skip(bench))]
async fn charge(bench: &Bench, order: u64, amount: u64) -> Result<String, Error> {
    tokio::task::yield_now().await;
    Ok(format!("{order}: {amount} by run {}", bench.ran()))
}

#[tokio::test]
async fn async_function() {
    let bench = Bench::new();
    assert_eq!(once!(bench, charge(&bench, 1, 10).await), "1: 10 by run 1");
    assert_eq!(once!(bench, charge(&bench, 1, 11).await), "1: 11 by run 2");
    assert_eq!(once!(bench, charge(&bench, 2, 10).await), "2: 10 by run 3");
}

#[idempotent(store = &bench.store, skip(bench))]
fn charge_plainly(bench: &Bench, order: u64, amount: u64) -> Result<String, Error> {
    Ok(format!("{order}: {amount} by run {}", bench.ran()))
}

#[test]
fn plain_function() {
    let bench = Bench::new();
    assert_eq!(once!(bench, charge_plainly(&bench, 1, 10)), "1: 10 by run 1");
    assert_eq!(once!(bench, charge_plainly(&bench, 2, 10)), "2: 10 by run 2");
}

#[tokio::test]
async fn plain_function_on_a_runtime() {
    let bench = Bench::new();
    once!(bench, charge_plainly(&bench, 1, 10));
}

#[tokio::test]
async fn several_functions_in_one_module_do_not_meet() {
    let bench = Bench::new();
    once!(bench, charge(&bench, 1, 10).await);
    once!(bench, charge_plainly(&bench, 1, 10));
    assert_eq!(bench.runs(), 2);
}

struct Shop;

impl Shop {
    #[idempotent(store = &bench.store, skip(bench))]
    async fn opened(bench: &Bench, name: &str) -> Result<u32, Error> {
        assert_eq!(name, "corner");
        Ok(bench.ran())
    }

    #[idempotent(store = &bench.store, skip(bench))]
    fn closed(bench: &Bench, name: &str) -> Result<u32, Error> {
        assert_eq!(name, "corner");
        Ok(bench.ran())
    }
}

struct Stall;

impl Stall {
    #[idempotent(store = &bench.store, skip(bench))]
    async fn opened(bench: &Bench, name: &str) -> Result<u32, Error> {
        assert_eq!(name, "corner");
        Ok(bench.ran())
    }
}

#[tokio::test]
async fn associated_function() {
    let bench = Bench::new();
    assert_eq!(once!(bench, Shop::opened(&bench, "corner").await), 1);
    assert_eq!(once!(bench, Shop::closed(&bench, "corner")), 2);
}

#[tokio::test]
async fn functions_of_one_name_in_two_impls_do_not_meet() {
    let bench = Bench::new();
    assert_eq!(once!(bench, Shop::opened(&bench, "corner").await), 1);
    assert_eq!(once!(bench, Stall::opened(&bench, "corner").await), 2);
}

#[test]
fn function_in_a_function() {
    #[idempotent(store = &bench.store, skip(bench))]
    fn inner(bench: &Bench, a: u8) -> Result<u32, Error> {
        Ok(bench.ran() + u32::from(a))
    }
    let bench = Bench::new();
    assert_eq!(once!(bench, inner(&bench, 1)), 2);
}

#[idempotent(store = &bench.store, skip(bench))]
async fn everything_skipped(bench: &Bench) -> Result<u32, Error> {
    Ok(bench.ran())
}

#[tokio::test]
async fn all_arguments_may_be_skipped() {
    let bench = Bench::new();
    assert_eq!(once!(bench, everything_skipped(&bench).await), 1);
}

mod one_store {
    use idem::MemoryStore;
    use std::sync::LazyLock;

    pub static STORE: LazyLock<MemoryStore> = LazyLock::new(MemoryStore::new);
}

#[idempotent(store = &*one_store::STORE)]
fn no_arguments() -> Result<std::time::SystemTime, Error> {
    Ok(std::time::SystemTime::now())
}

#[test]
fn function_without_arguments() {
    assert_eq!(no_arguments().unwrap(), no_arguments().unwrap());
}

#[idempotent(store = &bench.store, skip(bench))]
async fn returns_early(bench: &Bench, text: &str) -> Result<u64, String> {
    bench.ran();
    if text.is_empty() {
        return Ok(0);
    }
    let number: u64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if number > 100 {
        return Err("too many".to_owned());
    }
    Ok(number)
}

#[idempotent(store = &bench.store, skip(bench))]
fn returns_early_plainly(bench: &Bench, text: &str) -> Result<u64, String> {
    bench.ran();
    if text.is_empty() {
        return Ok(0);
    }
    let number: u64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if number > 100 {
        return Err("too many".to_owned());
    }
    Ok(number)
}

#[tokio::test]
async fn question_mark_in_the_body() {
    let bench = Bench::new();
    assert_eq!(once!(bench, returns_early(&bench, "7").await), 7);
    assert_eq!(once!(bench, returns_early_plainly(&bench, "7")), 7);
    let refused = Err("x is no number".to_owned());
    assert_eq!(returns_early(&bench, "x").await, refused);
    assert_eq!(returns_early_plainly(&bench, "x"), refused);
}

#[tokio::test]
async fn return_in_the_body() {
    let bench = Bench::new();
    assert_eq!(once!(bench, returns_early(&bench, "").await), 0);
    assert_eq!(once!(bench, returns_early_plainly(&bench, "")), 0);
    let refused = Err("too many".to_owned());
    assert_eq!(returns_early(&bench, "101").await, refused);
    assert_eq!(returns_early_plainly(&bench, "101"), refused);
}

#[idempotent(store = &bench.store, skip(bench))]
async fn factorial(bench: &Bench, n: u64) -> Result<u64, Error> {
    bench.ran();
    if n == 0 {
        return Ok(1);
    }
    Ok(n * Box::pin(factorial(bench, n - 1)).await?)
}

#[idempotent(store = &bench.store, skip(bench))]
fn factorial_plainly(bench: &Bench, n: u64) -> Result<u64, Error> {
    bench.ran();
    if n == 0 {
        return Ok(1);
    }
    Ok(n * factorial_plainly(bench, n - 1)?)
}

#[tokio::test]
async fn recursion() {
    let bench = Bench::new();
    assert_eq!(factorial(&bench, 5).await.unwrap(), 120);
    assert_eq!(bench.runs(), 6);
    assert_eq!(factorial(&bench, 6).await.unwrap(), 720);
    assert_eq!(bench.runs(), 7);
    assert_eq!(factorial_plainly(&bench, 5).unwrap(), 120);
    assert_eq!(bench.runs(), 13);
}

/// # Safety
/// None is needed.
#[idempotent(store = &bench.store, skip(bench))]
#[allow(unsafe_code)]
async unsafe fn unsafe_charge(bench: &Bench, a: u8) -> Result<u32, Error> {
    Ok(bench.ran() + u32::from(a))
}

/// # Safety
/// None is needed.
#[idempotent(store = &bench.store, skip(bench))]
#[allow(unsafe_code)]
unsafe fn unsafe_charge_plainly(bench: &Bench, a: u8) -> Result<u32, Error> {
    Ok(bench.ran() + u32::from(a))
}

#[tokio::test]
#[allow(unsafe_code)]
async fn unsafe_function() {
    let bench = Bench::new();
    // SAFETY: the function needs none.
    assert_eq!(once!(bench, unsafe { unsafe_charge(&bench, 1).await }), 2);
    // SAFETY: the function needs none.
    assert_eq!(once!(bench, unsafe { unsafe_charge_plainly(&bench, 1) }), 3);
}

/// What is said here is still said.
#[idempotent(store = &bench.store, skip(bench))]
#[deprecated = "take the other one"]
#[inline]
pub(crate) fn with_attributes(bench: &Bench, #[allow(unused)] a: u8) -> Result<u32, Error> {
    #![allow(unused_variables)]
    let unused = 1;
    Ok(bench.ran())
}

#[test]
fn attributes_are_kept() {
    let bench = Bench::new();
    #[expect(deprecated)]
    let call = || with_attributes(&bench, 1);
    assert_eq!(once!(bench, call()), 1);
}

#[idempotent(store = &bench.store, skip(bench))]
fn body_with_items(bench: &Bench, a: u8) -> Result<u32, Error> {
    use std::convert::From as Into;
    const STEP: u32 = 10;
    fn wide(a: u8) -> u32 {
        <u32 as Into<u8>>::from(a)
    }
    Ok(bench.ran() * STEP + wide(a))
}

#[test]
fn items_in_the_body() {
    let bench = Bench::new();
    assert_eq!(once!(bench, body_with_items(&bench, 1)), 11);
}
