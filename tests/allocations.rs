//! A duplicate on the memory store allocates nothing but the value that it gives.
#![allow(unsafe_code, reason = "only an allocator of our own can count, and it can only be written with it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Once;
use std::task::{Context, Poll, Waker};

use idem::{Error, MemoryStore, idempotent};
use serde::{Deserialize, Serialize};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// Each thread counts its own, so that tests which run beside each other do not count each other's.
thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });

fn count() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(piece, layout) }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(piece, layout, size) }
    }
}

/// With the feature `metrics` a call makes the labels of its counter, which takes two allocations.
const LABELS: u64 = if cfg!(feature = "metrics") { 2 } else { 0 };

/// How often a duplicate of `call` allocates. The first call runs the body; a few duplicates make what a thread
/// makes once.
fn of_a_duplicate<T>(mut call: impl FnMut() -> T) -> u64 {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| idem::install(MemoryStore::new()).unwrap());
    for _ in 0..3 {
        call();
    }
    let before = COUNT.get();
    let value = call();
    let after = COUNT.get();
    drop(value);
    after - before
}

/// The value of a future that never waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a call on the memory store is over in one poll"),
    }
}

#[derive(Serialize)]
struct Flat {
    id: u64,
    amount_cents: i64,
    currency: &'static str,
    rate: f64,
    paid: bool,
    coupon: Option<&'static str>,
}

const FLAT: Flat =
    Flat { id: 7, amount_cents: -1_250, currency: "EUR", rate: 0.19, paid: false, coupon: Some("X") };

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    id: u64,
    note: Option<String>,
}

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(of_a_duplicate(|| Box::new(7_u64)), 1);
}

#[test]
fn a_number() {
    #[idempotent(name = "allocations.number")]
    async fn charge(order: u64, who: &str) -> Result<u64, Error> {
        Ok(order + who.len() as u64)
    }
    assert_eq!(of_a_duplicate(|| now(charge(7, "ann")).unwrap()), LABELS);
}

#[test]
fn a_text_is_one() {
    #[idempotent(name = "allocations.text")]
    async fn charge(order: u64) -> Result<String, Error> {
        Ok(format!("receipt of order {order}"))
    }
    assert_eq!(of_a_duplicate(|| now(charge(7)).unwrap()), 1 + LABELS);
}

#[test]
fn a_struct_is_what_its_fields_are() {
    #[idempotent(name = "allocations.struct")]
    async fn charge(order: u64) -> Result<Receipt, Error> {
        Ok(Receipt {
            id: order,
            note: Some("a note that is longer than a few bytes, and than a few words".into()),
        })
    }
    assert_eq!(of_a_duplicate(|| now(charge(7)).unwrap()), 1 + LABELS);
}

#[test]
fn a_flat_struct_as_argument() {
    #[idempotent(name = "allocations.flat")]
    async fn charge(order: &Flat) -> Result<u64, Error> {
        Ok(order.id)
    }
    assert_eq!(of_a_duplicate(|| now(charge(&FLAT)).unwrap()), LABELS);
}

#[test]
fn verified_arguments() {
    #[idempotent(name = "allocations.verified", key(order))]
    async fn charge(order: u64, amount_cents: u64, flat: &Flat) -> Result<u64, Error> {
        Ok(order + amount_cents + flat.id)
    }
    assert_eq!(of_a_duplicate(|| now(charge(7, 1_250, &FLAT)).unwrap()), LABELS);
}

#[test]
fn a_text_that_the_compiler_made() {
    #[idempotent]
    async fn charge(order: u64) -> Result<u64, Error> {
        Ok(order)
    }
    assert_eq!(of_a_duplicate(|| now(charge(7)).unwrap()), LABELS);
}

#[test]
fn a_store_of_its_own() {
    #[idempotent(name = "allocations.store", store = store, skip(store))]
    async fn charge(store: &MemoryStore, order: u64) -> Result<u64, Error> {
        Ok(order)
    }
    let store = MemoryStore::new();
    assert_eq!(of_a_duplicate(|| now(charge(&store, 7)).unwrap()), LABELS);
}

#[test]
fn the_builder() {
    let call =
        || idem::call("allocations.builder").arg(&7_u64).arg("ann").run(async { Ok::<_, Error>(1_u64) });
    assert_eq!(of_a_duplicate(|| now(call()).unwrap()), LABELS);
}

#[test]
fn a_plain_function() {
    #[idempotent(name = "allocations.plain")]
    fn charge(order: u64, who: &str) -> Result<u64, Error> {
        Ok(order + who.len() as u64)
    }
    assert_eq!(of_a_duplicate(|| charge(7, "ann").unwrap()), LABELS);
}

#[test]
fn only_the_token() {
    assert_eq!(of_a_duplicate(|| idem::call("allocations.token").arg(&FLAT).arg("ann").token().unwrap()), 0);
}
