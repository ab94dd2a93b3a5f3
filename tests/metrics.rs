//! The counters of the feature `metrics`.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use common::{Fault, Faulty, Place, places};
use idem::Error;
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Keeps the counters of one test.
#[derive(Clone, Default)]
struct Counted(Arc<Mutex<BTreeMap<String, u64>>>);

struct One(Counted, String);

impl CounterFn for One {
    fn increment(&self, value: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Counter::from_arc(Arc::new(One(self.clone(), format!("{}{{{}}}", key.name(), labels.join(",")))))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn calls_and_what_goes_wrong_after_a_body_are_counted() {
    for Place { name, store, .. } in &places() {
        let counted = Counted::default();
        metrics::with_local_recorder(&counted, || {
            let call = |key: u32| idem::call("counted").arg(&key).store(store);
            call(1).run_blocking(|| Ok::<_, Error>(1)).unwrap();
            call(1).run_blocking(|| Ok::<_, Error>(1)).unwrap();
            call(2).max_result(0).run_blocking(|| Ok::<_, Error>(1)).unwrap();
            call(2).run_blocking(|| Ok::<_, Error>(1)).unwrap_err();
            let faulty = Faulty::new(store);
            faulty.plan("complete", Fault::Fail);
            idem::call("counted").arg(&3).store(&faulty).run_blocking(|| Ok::<_, Error>(1)).unwrap();
        });
        let counted = counted.0.lock().unwrap().clone();
        let count = |key: &str| counted.get(key).copied().unwrap_or_default();
        assert_eq!(count("idem_calls{function=counted,outcome=executed}"), 3, "{name}: {counted:?}");
        assert_eq!(count("idem_calls{function=counted,outcome=replayed}"), 1, "{name}: {counted:?}");
        assert_eq!(count("idem_calls{function=counted,outcome=duplicate}"), 1, "{name}: {counted:?}");
        assert_eq!(count("idem_results_not_kept{function=counted}"), 1, "{name}: {counted:?}");
        assert_eq!(count("idem_unrecorded{function=counted}"), 1, "{name}: {counted:?}");
    }
}
