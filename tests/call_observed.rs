//! What can be seen of a call: what `observe` tells, and the running attempt.

mod common;

use std::sync::{Arc, Mutex};

use common::{Place, places};
use idem::{Error, Happened, on_error};

#[tokio::test]
async fn observe_tells_what_happened() {
    for Place { name, store, .. } in &places() {
        let call = || idem::call("observed").arg(&1).store(store).run(async { Ok::<_, Error>(1) });
        let (_, first) = idem::observe(call()).await;
        let first = first.unwrap();
        assert_eq!((first.happened, first.attempt, first.recorded), (Happened::Executed, 1, true), "{name}");
        assert_eq!((first.first_at, first.age()), (None, None));
        let (_, again) = idem::observe(async {
            call().await.unwrap();
            // Only the first call inside is told about.
            idem::call("observed.other").arg(&1).store(store).run(async { Ok::<_, Error>(1) }).await.unwrap();
        })
        .await;
        let again = again.unwrap();
        assert_eq!((again.happened, again.attempt, again.waited), (Happened::Replayed, 0, false), "{name}");
        assert!(again.first_at <= again.completed_at && again.completed_at < again.expires_at, "{name}");
        assert!(again.age().unwrap() < common::PATIENCE, "{name}");
        assert_eq!(again.function.as_str(), "observed");
        let (_, nothing) = idem::observe(async {}).await;
        assert_eq!(nothing, None);
        let bad =
            || idem::call("observed.bad").arg(&Unencodable).store(store).run_blocking(|| Ok::<_, Error>(1));
        let (_, refused) = idem::observe_blocking(bad);
        let refused = refused.unwrap();
        assert_eq!((refused.happened, refused.token), (Happened::Refused, None), "{name}");
    }
}

struct Unencodable;

impl serde::Serialize for Unencodable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

impl<'de> serde::Deserialize<'de> for Unencodable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Unencodable)
    }
}

#[test]
fn an_argument_that_cannot_be_encoded_is_named() {
    for Place { store, .. } in &places() {
        let call = idem::call("unencodable").arg(&1).arg(&Unencodable).store(store);
        let error = call.run_blocking(|| -> Result<(), Error> { panic!("it does not run") }).unwrap_err();
        assert!(matches!(error, Error::Encode { .. }), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("`unencodable`") && said.contains("#2") && said.contains("not today"),
            "{said}"
        );
        let call = idem::call("unencodable").arg(&1).arg(&1).verify("note", &Unencodable).store(store);
        let said = call.run_blocking(|| Ok::<_, Error>(())).unwrap_err().to_string();
        assert!(said.contains("`note`"), "{said}");
    }
}

#[test]
fn a_result_that_is_not_kept_is_done_all_the_same() {
    for Place { name, store, .. } in &places() {
        let too_large = || {
            idem::call("large")
                .arg(&1)
                .store(store)
                .max_result(10)
                .run_blocking(|| Ok::<_, Error>("x".repeat(11)))
        };
        let (result, seen) = idem::observe_blocking(too_large);
        assert_eq!(result.unwrap().len(), 11, "{name}: the caller gets it");
        assert!(!seen.unwrap().recorded, "{name}");
        let error = too_large().unwrap_err();
        assert!(matches!(error, Error::Duplicate { .. }), "{name}: never a second run: {error}");
        assert!(error.to_string().starts_with("Do not submit repeated requests"), "{error}");
        assert!(error.to_string().contains("not kept"), "{error}");

        let unencodable =
            || idem::call("no result").arg(&1).store(store).run_blocking(|| Ok::<_, Error>(Unencodable));
        assert!(unencodable().is_ok());
        assert!(matches!(unencodable(), Err(Error::Duplicate { .. })), "{name}");
    }
}

#[test]
fn a_result_that_no_longer_decodes_stays() {
    for Place { name, store, .. } in &places() {
        let before =
            idem::call("changed").arg(&1).store(store).run_blocking(|| Ok::<_, Error>("seven".to_owned()));
        before.unwrap();
        let after = idem::call("changed").arg(&1).store(store).run_blocking(|| Ok::<_, Error>(7_u64));
        let error = after.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{name}: {error}");
        assert!(error.to_string().contains("`changed`") && error.token().is_some(), "{error}");
        let again = idem::call("changed").arg(&1).store(store).run_blocking(|| Ok::<_, Error>(String::new()));
        assert_eq!(again.unwrap(), "seven", "{name}: the record is there");
    }
}

#[test]
fn nonsense_is_misuse() {
    let place = common::memory();
    let call = || idem::call("nonsense").arg(&1).store(&place.store);
    let run = |call: idem::Call| {
        call.run_blocking(|| -> Result<(), Error> { panic!("it does not run") }).unwrap_err()
    };
    for error in [
        run(call().ttl(std::time::Duration::ZERO)),
        run(call().lease(std::time::Duration::ZERO)),
        run(call().verify("a", &1).verify("a", &2)),
        run(call().verify("key()", &1)),
    ] {
        assert!(matches!(error, Error::Misuse { .. }), "{error}");
        assert!(error.to_string().contains("`nonsense`"), "{error}");
    }
    // The same name with another number of values, at another place.
    idem::call("two places").arg(&1).store(&place.store).run_blocking(|| Ok::<_, Error>(())).unwrap();
    let said = run(idem::call("two places").arg(&1).arg(&2).store(&place.store)).to_string();
    assert_eq!(said.matches("tests/call_observed.rs:").count(), 2, "both places are named: {said}");
}

#[test]
fn digests_are_compared_on_what_both_verify() {
    for Place { name, store, .. } in &places() {
        let call = || idem::call("verifies more").arg(&1).store(store);
        call().verify("a", &1).run_blocking(|| Ok::<_, Error>(1)).unwrap();
        // A later version of the program that verifies more, and one that verifies something else.
        assert_eq!(
            call().verify("a", &1).verify("b", &2).run_blocking(|| Ok::<_, Error>(2)).unwrap(),
            1,
            "{name}"
        );
        assert_eq!(call().verify("c", &3).run_blocking(|| Ok::<_, Error>(3)).unwrap(), 1, "{name}");
        let error = call().verify("a", &2).verify("b", &2).run_blocking(|| Ok::<_, Error>(4)).unwrap_err();
        assert!(matches!(&error, Error::Mismatch { argument, .. } if &**argument == "a"), "{name}: {error}");
    }
}

#[tokio::test]
async fn the_running_attempt() {
    for Place { name, store, .. } in &places() {
        assert!(idem::current().is_none());
        let call = || idem::call("attempt").arg(&1).store(store);
        let keys = Arc::new(Mutex::new(Vec::new()));
        let run = |fails: bool| {
            let keys = Arc::clone(&keys);
            call().run(async move {
                let attempt = idem::current().unwrap();
                tokio::task::yield_now().await;
                assert_eq!(idem::current().unwrap().id(), attempt.id(), "after an await, too");
                attempt.check().await.unwrap();
                assert!(!attempt.is_lost());
                keys.lock().unwrap().push((
                    attempt.idempotency_key("stripe"),
                    attempt.fence(),
                    attempt.number(),
                ));
                if fails { Err("declined".to_owned()) } else { Ok(attempt.idempotency_key("mail")) }
            })
        };
        run(true).await.unwrap_err();
        let mail = run(false).await.unwrap();
        let keys = keys.lock().unwrap().clone();
        assert_eq!(keys[0].0, keys[1].0, "{name}: the same for every attempt");
        assert_ne!(keys[1].0, mail, "{name}: another for each label");
        assert!(keys[0].1 < keys[1].1, "{name}: fences grow");
        assert_eq!((keys[0].2, keys[1].2), (1, 2), "{name}");
        assert!(idem::current().is_none());
    }
}

#[tokio::test]
async fn what_an_error_means() {
    for Place { name, store, .. } in &places() {
        let fails = |key: &'static str| idem::call("errors").arg(key).store(store);
        let body = async || Err::<u32, String>("no".to_owned());

        assert_eq!(fails("release").run(body()).await.unwrap_err(), "no");
        assert_eq!(fails("release").run(async { Ok::<_, String>(1) }).await.unwrap(), 1, "{name}: freed");

        assert_eq!(fails("store").on_error(on_error::Store).run(body()).await.unwrap_err(), "no");
        let kept = fails("store").on_error(on_error::Store).run(async { Ok::<_, String>(1) }).await;
        assert_eq!(kept.unwrap_err(), "no", "{name}: kept and replayed");

        assert_eq!(fails("interrupt").on_error(on_error::Interrupt).run(body()).await.unwrap_err(), "no");
        let strict = fails("interrupt").on_interrupt(idem::OnInterrupt::Reject);
        let refused = strict.run(async { Ok::<u32, Error>(1) }).await.unwrap_err();
        assert!(matches!(refused, Error::Interrupted { .. }), "{name}: outcome unknown");

        let judge = |error: &String| (error == "no").then_some(idem::OnError::Release);
        assert_eq!(fails("or").on_error(on_error::StoreOr(judge)).run(body()).await.unwrap_err(), "no");
        let other = async { Err::<u32, String>("never".to_owned()) };
        assert_eq!(fails("or").on_error(on_error::StoreOr(judge)).run(other).await.unwrap_err(), "never");
        assert_eq!(
            fails("or").on_error(on_error::StoreOr(judge)).run(body()).await.unwrap_err(),
            "never",
            "{name}"
        );
    }
}
