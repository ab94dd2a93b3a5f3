//! The future of an annotated function: `Send` where the body's is, and not much larger.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use idem::{Error, idempotent};

use crate::bench::Bench;

fn send<T: Send>(future: T) -> T {
    future
}

trait Greets: Sync {
    fn greet(&self) -> impl Future<Output = Result<String, Error>> + Send;
}

impl Greets for Bench {
    #[idempotent(store = &self.store, skip(self))]
    async fn greet(&self) -> Result<String, Error> {
        tokio::task::yield_now().await;
        Ok(format!("hello {}", self.ran()))
    }
}

#[idempotent(store = &bench.store, skip(bench))]
async fn cells(bench: &Bench, cell: Cell<u8>, own: Box<str>) -> Result<u8, Error> {
    bench.ran();
    tokio::task::yield_now().await;
    cell.set(cell.get() + own.len() as u8);
    Ok(cell.get())
}

#[idempotent(store = &bench.store, key(cell.get(), own), skip(bench, cell))]
async fn cells_by_key(bench: &Bench, cell: Cell<u8>, own: Box<str>) -> Result<u8, Error> {
    bench.ran();
    tokio::task::yield_now().await;
    cell.set(cell.get() + own.len() as u8);
    Ok(cell.get())
}

#[idempotent(store = &bench.store, skip(bench), on_cancel = finish)]
async fn finishes(bench: Arc<Bench>, own: Box<str>) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    Ok(bench.ran() + own.len() as u32)
}

#[tokio::test]
async fn send_where_the_body_is() {
    let bench = Arc::new(Bench::new());
    assert_eq!(once!(bench, send(bench.greet()).await), "hello 1");
    // What can be sent but not shared may be an argument: it is encoded before the first await.
    let call = || send(cells(&bench, Cell::new(1), "abc".into()));
    assert_eq!(once!(bench, call().await), 4);
    let call = || send(cells_by_key(&bench, Cell::new(1), "abc".into()));
    assert_eq!(once!(bench, call().await), 4);
    let call = || send(finishes(bench.clone(), "abc".into()));
    assert_eq!(once!(bench, call().await), 7);
    let task = tokio::spawn({
        let bench = bench.clone();
        async move { cells(&bench, Cell::new(2), "abc".into()).await }
    });
    assert_eq!(task.await.unwrap().unwrap(), 5);
}

#[idempotent(store = &bench.store, skip(bench))]
async fn not_send(bench: &Bench, a: u8) -> Result<u8, Error> {
    let shared = Rc::new(a);
    bench.ran();
    tokio::task::yield_now().await;
    Ok(*shared)
}

struct Probe<T>(PhantomData<T>);

impl<T: Send> Probe<T> {
    fn is_send(&self) -> bool {
        true
    }
}

/// Found only where the method of the type itself is not.
trait NotSend {
    fn is_send(&self) -> bool {
        false
    }
}

impl<T> NotSend for Probe<T> {}

fn probe<T>(_: &T) -> Probe<T> {
    Probe(PhantomData)
}

#[tokio::test]
async fn not_send_where_the_body_is_not() {
    let bench = Bench::new();
    assert!(probe(&bench.greet()).is_send());
    assert!(!probe(&not_send(&bench, 1)).is_send());
    assert_eq!(once!(bench, not_send(&bench, 1).await), 1);
}

#[tokio::test]
async fn a_future_runs_nothing_before_it_is_polled() {
    let bench = Bench::new();
    drop(bench.greet());
    assert_eq!(bench.runs(), 0);
    assert_eq!(bench.greet().await.unwrap(), "hello 1");
}

mod plain {
    use super::*;

    pub async fn held<const N: usize>(bench: &Bench, bytes: [u8; N]) -> Result<usize, Error> {
        bench.ran();
        tokio::task::yield_now().await;
        Ok(bytes.len())
    }

    pub async fn not_held<const N: usize>(bench: &Bench, bytes: [u8; N]) -> Result<usize, Error> {
        let length = { bytes }.len();
        tokio::task::yield_now().await;
        bench.ran();
        Ok(length)
    }
}

#[idempotent(store = &bench.store, skip(bench, bytes))]
async fn held<const N: usize>(bench: &Bench, bytes: [u8; N]) -> Result<usize, Error> {
    bench.ran();
    tokio::task::yield_now().await;
    Ok(bytes.len())
}

#[idempotent(store = &bench.store, skip(bench), key(bytes.to_vec()))]
async fn held_and_verified<const N: usize>(bench: &Bench, bytes: [u8; N]) -> Result<usize, Error>
where
    [u8; N]: serde::Serialize,
{
    bench.ran();
    tokio::task::yield_now().await;
    Ok(bytes.len())
}

#[idempotent(store = &bench.store, skip(bench, bytes))]
async fn not_held<const N: usize>(bench: &Bench, bytes: [u8; N]) -> Result<usize, Error> {
    let length = { bytes }.len();
    tokio::task::yield_now().await;
    bench.ran();
    Ok(length)
}

#[test]
fn size_of_the_future() {
    fn check<const N: usize>() {
        let bench = &Bench::new();
        let plainly = size_of_val(&plain::held(bench, [0; N]));
        let annotated = size_of_val(&held(bench, [0; N]));
        assert!(annotated <= plainly + 256, "{N}: {annotated}, {plainly}");
        let plainly = size_of_val(&plain::not_held(bench, [0; N]));
        let annotated = size_of_val(&not_held(bench, [0; N]));
        assert!(annotated <= plainly + N + 256, "{N}: {annotated}, {plainly}");
    }
    check::<8>();
    check::<256>();
    check::<4096>();
    let bench = &Bench::new();
    let plainly = size_of_val(&plain::held(bench, [0; 32]));
    let annotated = size_of_val(&held_and_verified(bench, [0; 32]));
    assert!(annotated <= plainly + 256, "{annotated}, {plainly}");
}
