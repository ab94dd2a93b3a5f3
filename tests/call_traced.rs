//! What a subscriber sees of calls. Every test here has one subscriber, set before the first call: `tracing` may
//! forget a scoped one where another thread without a subscriber comes upon a span first.

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use common::{Fault, Faulty, PATIENCE, Place, places};
use idem::store::{Handle, Reply, Request};
use idem::{Error, idempotent};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

type Span = BTreeMap<String, String>;

/// Collects the fields of every span, and the events.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<(Vec<Span>, Vec<String>)>>);

/// Where a span's fields stand: a subscriber gives the ids of closed spans again.
struct At(usize);

struct Fields<'a>(&'a mut Span);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collected {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        fields.insert("span".into(), attributes.metadata().name().to_owned());
        let spans = &mut self.0.lock().unwrap().0;
        context.span(id).unwrap().extensions_mut().insert(At(spans.len()));
        spans.push(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let at = context.span(id).unwrap().extensions().get::<At>().unwrap().0;
        values.record(&mut Fields(&mut self.0.lock().unwrap().0[at]));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        self.0.lock().unwrap().1.push(format!("{fields:?}"));
    }
}

static COLLECTED: LazyLock<Collected> = LazyLock::new(|| {
    let collected = Collected::default();
    let subscriber = tracing_subscriber::registry().with(collected.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    collected
});

/// The spans of a function's calls, in their order.
fn spans(function: &str) -> Vec<Span> {
    let collected = COLLECTED.0.lock().unwrap();
    let spans =
        collected.0.iter().filter(|span| span["span"] == "idempotent" && span["function"] == function);
    spans.cloned().collect()
}

#[test]
fn every_call_is_a_span() {
    LazyLock::force(&COLLECTED);
    for Place { name, store, .. } in &places() {
        let function = format!("spans.{name}");
        let verified =
            |secret: &str| idem::call(function.clone()).arg(&1).verify("secret", secret).store(store);
        let call = || {
            verified("hunter2").run_blocking(|| {
                tracing::info!("in the body");
                Ok::<_, Error>(1)
            })
        };
        call().unwrap();
        call().unwrap();
        verified("hunter3").run_blocking(|| Ok::<_, Error>(1)).unwrap_err();
        let spans = spans(&function);
        assert_eq!(spans.len(), 3, "{name}: {spans:?}");
        let token = idem::call(function.clone()).arg(&1).token().unwrap().to_string();
        assert!(spans.iter().all(|span| span["token"] == token), "{spans:?}");
        assert_eq!((&*spans[0]["outcome"], &*spans[0]["attempt"]), ("executed", "1"), "{name}");
        assert_eq!(spans[1]["outcome"], "replayed", "{name}: a replay is visible");
        assert!(spans[1]["age_ms"].parse::<u64>().is_ok(), "{name}: with its age");
        assert_eq!(spans[2]["outcome"], "mismatch", "{name}");
    }
    let collected = COLLECTED.0.lock().unwrap();
    assert!(!format!("{collected:?}").contains("hunter"), "no value of an argument is logged");
}

#[test]
fn a_claim_that_is_never_answered_is_the_stores_error() {
    LazyLock::force(&COLLECTED);
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        for _ in 0..200 {
            faulty.plan("claim", Fault::Lose);
        }
        let function = format!("unanswered.{name}");
        let call = idem::call(function.clone()).arg(&1).store(&faulty);
        call.run_blocking(|| Ok::<_, Error>(1)).unwrap_err();
        assert_eq!(spans(&function)[0]["outcome"], "store_error", "{name}");
    }
}

/// The first event of a function's that holds a text, once it is there.
fn event(function: &str, holds: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_it = |event: &&String| event.contains(function) && event.contains(holds);
        let found = COLLECTED.0.lock().unwrap().1.iter().find(is_it).cloned();
        match found {
            Some(event) => return event,
            None => assert!(Instant::now() < deadline, "{function}: no event with `{holds}`"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_result_that_is_not_recorded_is_told_with_the_reason() {
    LazyLock::force(&COLLECTED);
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        faulty.plan("complete", Fault::Refuse);
        let function = format!("unrecorded.{name}");
        let call = idem::call(function.clone()).arg(&1).store(&faulty);
        assert_eq!(call.run_blocking(|| Ok::<_, Error>(1)).unwrap(), 1, "{name}");
        assert!(event(&function, "has not recorded it").contains("complete"), "{name}");
    }
}

#[test]
fn a_result_that_is_worth_nothing_any_more_is_given_up() {
    LazyLock::force(&COLLECTED);
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        for _ in 0..1_000 {
            faulty.plan("complete", Fault::Refuse);
        }
        let function = format!("given_up.{name}");
        let call = idem::call(function.clone()).arg(&1).store(&faulty).ttl(Duration::from_millis(50));
        assert_eq!(call.run_blocking(|| Ok::<_, Error>(1)).unwrap(), 1, "{name}");
        event(&function, "given up");
    }
}

#[test]
fn a_result_over_the_limit_is_told() {
    LazyLock::force(&COLLECTED);
    for Place { name, store, .. } in &places() {
        let function = format!("large.{name}");
        let call = idem::call(function.clone()).arg(&1).store(store).max_result(3);
        assert_eq!(call.run_blocking(|| Ok::<_, Error>("large".to_owned())).unwrap(), "large", "{name}");
        assert!(event(&function, "is not kept").contains("max_result is 3"), "{name}");
    }
}

/// What a call gets whose attempt is replaced in its body by another one, which ends with a text.
fn replaced(store: &Handle, function: &str, max_result: usize) -> i32 {
    let call = || idem::call(function.to_owned()).arg(&1).store(store).max_result(max_result);
    let own = call().run_blocking(|| {
        let attempt = idem::current().unwrap();
        let (token, attempt) = (attempt.token(), attempt.id());
        let release = Request::Release { token, attempt, lease: PATIENCE };
        let released = store.ask(release).wait(Some(PATIENCE)).expect("an answer in time");
        assert!(matches!(released, Ok(Reply::Released)), "{function}");
        std::thread::scope(|scope| {
            let winner = || call().run_blocking(|| Ok::<_, Error>("a text".to_owned()));
            scope.spawn(winner).join().unwrap().unwrap()
        });
        Ok::<_, Error>(1)
    });
    own.unwrap()
}

#[test]
fn a_winner_that_does_not_decode_is_told_with_the_reason() {
    LazyLock::force(&COLLECTED);
    for Place { name, store, .. } in &places() {
        let function = format!("another_type.{name}");
        assert_eq!(replaced(store, &function, 100), 1, "{name}: what the body did is not lost");
        assert!(event(&function, "does not decode").contains("i32"), "{name}");
    }
}

#[test]
fn a_winner_whose_result_is_not_kept_is_no_fault() {
    LazyLock::force(&COLLECTED);
    for Place { name, store, .. } in &places() {
        let function = format!("winner_not_kept.{name}");
        assert_eq!(replaced(store, &function, 1), 1, "{name}");
        event(&function, "was replaced while its body ran");
        let events = &COLLECTED.0.lock().unwrap().1;
        let mut others = events.iter().filter(|event| event.contains(&function));
        assert!(!others.any(|event| event.contains("does not decode")), "{name}");
    }
}

#[idempotent(store = store, skip(store))]
fn without_a_name(store: &Handle, id: u64) -> Result<u64, Error> {
    Ok(id)
}

#[idempotent(store = store, skip(store), name = "traced.named")]
fn with_a_name(store: &Handle, id: u64) -> Result<u64, Error> {
    Ok(id)
}

#[test]
fn a_text_that_may_change_is_warned_about_once() {
    LazyLock::force(&COLLECTED);
    let warned = || {
        let collected = COLLECTED.0.lock().unwrap();
        let events = collected.1.iter().filter(|event| event.contains("give it a name"));
        events.cloned().collect::<Vec<_>>()
    };
    let [memory, sqlite] = places();
    without_a_name(&memory.store, 1).unwrap();
    assert!(warned().is_empty(), "nothing there outlives the process");
    with_a_name(&sqlite.store, 1).unwrap();
    for id in [1, 1, 2] {
        without_a_name(&sqlite.store, id).unwrap();
    }
    let warned = warned();
    assert!(warned.len() == 1 && warned[0].contains("without_a_name"), "{warned:?}");
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
    LazyLock::force(&COLLECTED);
    let place = common::memory();
    for id in 0..3 {
        lopsided(&place.store, id).unwrap();
    }
    let collected = COLLECTED.0.lock().unwrap();
    let warned = collected.1.iter().filter(|event| event.contains("comes back as another value")).count();
    assert_eq!(warned, 1, "the first result of each function");
}
