//! Where records go: `store`, what becomes of a call without its store, and `crate`.

use std::sync::Arc;

use idem::store::{Asked, Durability, Profile, Request, Store, StoreError};
use idem::{Error, MemoryStore, idempotent};

use crate::bench::Bench;

/// A store that never answers anything good.
struct Broken(Profile);

impl Broken {
    fn new() -> Arc<Self> {
        Arc::new(Broken(Profile::new("broken:", Durability::Process)))
    }
}

impl Store for Broken {
    fn ask(&self, _: Request) -> Asked {
        Asked::Now(Err(StoreError::refused("broken:", "it is broken")))
    }

    fn profile(&self) -> &Profile {
        &self.0
    }
}

#[idempotent(store = broken, skip(bench, broken))]
async fn fails_without(bench: &Bench, broken: &Arc<Broken>) -> Result<u32, Error> {
    Ok(bench.ran())
}

#[idempotent(store = broken, skip(bench, broken), on_store_error = fail)]
fn fails_without_plainly(bench: &Bench, broken: &Arc<Broken>) -> Result<u32, Error> {
    Ok(bench.ran())
}

#[idempotent(store = broken, skip(bench, broken), on_store_error = run)]
async fn runs_without(bench: &Bench, broken: Arc<Broken>) -> Result<u32, Error> {
    Ok(bench.ran())
}

#[idempotent(store = &broken, skip(bench, broken), on_store_error = run)]
fn runs_without_plainly(bench: &Bench, broken: Arc<Broken>) -> Result<u32, Error> {
    Ok(bench.ran())
}

#[tokio::test]
async fn on_store_error() {
    let bench = Bench::new();
    let broken = Broken::new();
    let failed = fails_without(&bench, &broken).await;
    assert!(matches!(failed, Err(Error::Store { .. })));
    let failed = fails_without_plainly(&bench, &broken);
    assert!(matches!(failed, Err(Error::Store { .. })));
    assert_eq!(bench.runs(), 0);
    assert_eq!(runs_without(&bench, broken.clone()).await.unwrap(), 1);
    assert_eq!(runs_without_plainly(&bench, broken).unwrap(), 2);
}

mod facade {
    pub mod library {
        pub use idem::*;
    }
}

#[idempotent(store = &bench.store, skip(bench), crate = crate::stores::facade::library)]
async fn through_another_crate(bench: &Bench, a: u8) -> Result<u32, Error> {
    Ok(bench.ran() + u32::from(a))
}

#[tokio::test]
async fn crate_option() {
    let bench = Bench::new();
    assert_eq!(once!(bench, through_another_crate(&bench, 1).await), 2);
}

#[idempotent(store = store, skip(store))]
async fn store_as_argument(store: &MemoryStore, a: u64) -> Result<std::time::SystemTime, Error> {
    let _ = a;
    Ok(std::time::SystemTime::now())
}

#[idempotent(store = store.clone(), skip(store))]
fn store_as_arc(store: &Arc<dyn Store>, a: u64) -> Result<std::time::SystemTime, Error> {
    let _ = a;
    Ok(std::time::SystemTime::now())
}

struct Holder {
    store: Arc<MemoryStore>,
}

impl Holder {
    #[idempotent(store = self.store.clone(), skip(self))]
    async fn taken(&mut self, a: u64) -> Result<std::time::SystemTime, Error> {
        let _ = a;
        Ok(std::time::SystemTime::now())
    }
}

#[tokio::test]
async fn store_option() {
    let store = MemoryStore::new();
    let first = store_as_argument(&store, 1).await.unwrap();
    assert_eq!(store_as_argument(&store, 1).await.unwrap(), first);
    let shared: Arc<dyn Store> = Arc::new(store);
    let first = store_as_arc(&shared, 1).unwrap();
    assert_eq!(store_as_arc(&shared, 1).unwrap(), first);
    let mut holder = Holder { store: Arc::new(MemoryStore::new()) };
    let first = holder.taken(1).await.unwrap();
    assert_eq!(holder.taken(1).await.unwrap(), first);
}
