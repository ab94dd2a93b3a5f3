//! A call that would wait for itself is refused at once, wherever in its own run it is made.

mod common;

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Fault, Faulty, Place, places};
use idem::store::{Handle, Store as _};
use idem::{Error, Happened, OnStoreError};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};

const LONG: Duration = Duration::from_secs(60);

/// Whether the call is refused as running, without waiting.
fn refused_at_once(name: &'static str, store: &Handle) -> bool {
    let call = idem::call(name).arg(&1).store(store).wait(LONG);
    let (result, observed) = idem::observe_blocking(|| call.run_blocking(|| Ok::<_, Error>(0_u8)));
    let observed = observed.expect("there was a call");
    let error = result.expect_err("it is refused");
    assert!(error.to_string().contains("in its own body"), "{error}");
    assert!(!error.is_retryable() && error.retry_after().is_none(), "asking again does not help");
    matches!(error, Error::Running { .. }) && !observed.waited && observed.happened == Happened::Refused
}

#[tokio::test(flavor = "multi_thread")]
async fn by_way_of_a_body_that_runs_unprotected() {
    for Place { name, store, .. } in &places() {
        let faulty: Handle = Faulty::new(store).plan("claim", Fault::Refuse).to_handle();
        let between = || {
            idem::call("between").arg(&1).store(&faulty).on_store_error(OnStoreError::Run).run_blocking(
                || {
                    assert!(idem::current().is_none(), "{name}: it runs unprotected");
                    Ok::<_, Error>(refused_at_once("around", store))
                },
            )
        };
        let around = idem::call("around").arg(&1).store(store);
        assert!(around.run(async { between() }).await.unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_claim_of_an_unprotected_body_was_made_without_its_knowing() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.time_limit = Duration::from_millis(1));
        let faulty: Handle = faulty.plan("claim", Fault::Lose).to_handle();
        let call = idem::call("unknown").arg(&1).store(&faulty).on_store_error(OnStoreError::Run);
        let again = call.run(async {
            assert!(idem::current().is_none(), "{name}: it runs unprotected");
            Ok::<_, Error>(refused_at_once("unknown", &faulty))
        });
        assert!(again.await.unwrap(), "{name}");
    }
}

thread_local!(static STORE: RefCell<Option<Handle>> = const { RefCell::new(None) });

/// A result that makes the call again while it is encoded, and says what came of that.
struct Again;

impl Serialize for Again {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let store = STORE.with(|store| store.borrow().clone()).expect("a store");
        refused_at_once("encoded", &store).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Again {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(|refused| {
            assert!(refused);
            Again
        })
    }
}

#[test]
fn from_the_encoding_of_a_result() {
    for Place { name, store, .. } in &places() {
        STORE.with(|here| *here.borrow_mut() = Some(store.clone()));
        let call = || idem::call("encoded").arg(&1).store(store);
        call().run_blocking(|| Ok::<_, Error>(Again)).unwrap();
        // The replay says what was encoded: with an attempt's own call refused.
        let kept = call().run_blocking(|| Ok::<_, Error>(false));
        assert!(kept.unwrap(), "{name}");
    }
}

/// Makes the call again when it is dropped.
struct AgainOnDrop(Handle, Arc<Mutex<Option<bool>>>);

impl Drop for AgainOnDrop {
    fn drop(&mut self) {
        *self.1.lock().unwrap() = Some(refused_at_once("dropped", &self.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_what_a_body_drops_when_its_caller_goes_away() {
    for Place { name, store, .. } in &places() {
        let refused = Arc::new(Mutex::new(None));
        let held = AgainOnDrop(store.clone(), Arc::clone(&refused));
        let call = idem::call("dropped").arg(&1).store(store).run(async move {
            let _held = held;
            std::future::pending::<Result<u8, Error>>().await
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), call).await.is_err());
        assert_eq!(*refused.lock().unwrap(), Some(true), "{name}");
    }
}
