//! What can be seen of a call: its span, what `observe` tells, and the running attempt.

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use common::{Place, places};
use idem::store::Handle;
use idem::{Error, Happened, idempotent, on_error};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Collects the fields of every span, and the events.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<(Spans, Vec<String>)>>);

type Spans = BTreeMap<u64, BTreeMap<String, String>>;

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Collected {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        fields.insert("span".into(), attributes.metadata().name().to_owned());
        self.0.lock().unwrap().0.insert(id.into_u64(), fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut collected = self.0.lock().unwrap();
        values.record(&mut Fields(collected.0.get_mut(&id.into_u64()).unwrap()));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        self.0.lock().unwrap().1.push(format!("{fields:?}"));
    }
}

#[test]
fn every_call_is_a_span() {
    for Place { name, store, .. } in &places() {
        let collected = Collected::default();
        let subscriber = tracing_subscriber::registry().with(collected.clone());
        tracing::subscriber::with_default(subscriber, || {
            let call = || {
                idem::call("spans").arg(&1).verify("secret", "hunter2").store(store).run_blocking(|| {
                    tracing::info!("in the body");
                    Ok::<_, Error>(1)
                })
            };
            call().unwrap();
            call().unwrap();
            let other = idem::call("spans").arg(&1).verify("secret", "hunter3").store(store);
            other.run_blocking(|| Ok::<_, Error>(1)).unwrap_err();
        });
        let (spans, events) = Arc::try_unwrap(collected.0).map_err(|_| ()).unwrap().into_inner().unwrap();
        let spans: Vec<_> = spans.into_values().filter(|span| span["span"] == "idempotent").collect();
        assert_eq!(spans.len(), 3, "{name}: {spans:?}");
        let token = idem::call("spans").arg(&1).token().unwrap().to_string();
        assert!(spans.iter().all(|span| span["function"] == "spans" && span["token"] == token), "{spans:?}");
        assert_eq!((&*spans[0]["outcome"], &*spans[0]["attempt"]), ("executed", "1"), "{name}");
        assert_eq!(spans[1]["outcome"], "replayed", "{name}: a replay is visible");
        assert!(spans[1]["age_ms"].parse::<u64>().is_ok(), "{name}: with its age");
        assert_eq!(spans[2]["outcome"], "mismatch", "{name}");
        assert!(
            !format!("{spans:?}{events:?}").contains("hunter"),
            "{name}: no value of an argument is logged"
        );
    }
}

/// What is logged while something runs.
fn events(run: impl FnOnce()) -> Vec<String> {
    let collected = Collected::default();
    let subscriber = tracing_subscriber::registry().with(collected.clone());
    tracing::subscriber::with_default(subscriber, run);
    let events = &collected.0.lock().unwrap().1;
    events.clone()
}

#[idempotent(store = store, skip(store))]
fn without_a_name(store: &Handle, id: u64) -> Result<u64, Error> {
    Ok(id)
}

#[test]
fn a_text_that_may_change_is_warned_about_once() {
    let said = |store: &Handle| {
        let events = events(|| {
            for id in 0..3 {
                without_a_name(store, id).unwrap();
            }
        });
        events
            .iter()
            .filter(|event| event.contains("signature text") && event.contains("without_a_name"))
            .count()
    };
    assert_eq!(said(&common::memory().store), 0, "nothing outlives the process");
    let place = common::sqlite();
    assert_eq!(said(&place.store), 1);
    assert_eq!(said(&place.store), 0, "once for each function");
}

/// Writes something else than it reads.
#[derive(serde::Deserialize)]
struct Lopsided(u64);

impl serde::Serialize for Lopsided {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 + 1)
    }
}

#[idempotent(name = "lopsided", store = store, skip(store))]
fn lopsided(store: &Handle, id: u64) -> Result<Lopsided, Error> {
    Ok(Lopsided(id))
}

#[test]
#[cfg(debug_assertions)]
fn a_result_that_comes_back_as_another_is_warned_about_in_debug_builds() {
    let place = common::memory();
    let events = events(|| {
        for id in 0..3 {
            lopsided(&place.store, id).unwrap();
        }
    });
    let warned = events.iter().filter(|event| event.contains("comes back as another value")).count();
    assert_eq!(warned, 1, "the first result of each function: {events:?}");
}

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
    let (one, two) =
        (idem::call("two places").arg(&1).token(), idem::call("two places").arg(&1).arg(&2).token());
    one.unwrap();
    let said = two.unwrap_err().to_string();
    assert_eq!(said.matches("tests/call_observed.rs:").count(), 2, "both places are named: {said}");
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
