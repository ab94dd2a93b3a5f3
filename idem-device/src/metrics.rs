//! What is counted, in the text form that Prometheus reads. Nothing of what callers send is in it.

use std::sync::atomic::AtomicU64;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    answers: Family<Labels<2>, Counter>,
    seconds: Family<Labels<1>, Histogram>,
    /// Those that were counted already, by operation and outcome: finding them by their labels costs more than counting.
    counted: RwLock<Vec<(Labels<2>, Counter, Histogram)>>,
    /// Callers that wait for the end of a running attempt.
    pub(crate) waiting: Gauge,
    pub(crate) connections: Gauge,
    /// Connections that were closed at once because there were too many.
    pub(crate) refused: Counter,
}

fn buckets() -> Histogram {
    Histogram::new([0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("idem_device");
        let answers = Family::default();
        registry.register("answers", "Requests, by operation and what was answered", answers.clone());
        let seconds = Family::new_with_constructor(buckets as fn() -> Histogram);
        registry.register("seconds", "How long a request took, with the time it waited", seconds.clone());
        let waiting = Gauge::default();
        registry.register("waiting", "Callers that wait for the end of a running attempt", waiting.clone());
        let connections = Gauge::default();
        registry.register("connections", "Open connections", connections.clone());
        let refused = Counter::<u64, AtomicU64>::default();
        registry.register(
            "connections_refused",
            "Connections closed because there were too many",
            refused.clone(),
        );
        Metrics { registry, answers, seconds, counted: RwLock::default(), waiting, connections, refused }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        let labels = [("operation", operation), ("outcome", outcome)];
        let count = |answers: &Counter, seconds: &Histogram| {
            answers.inc();
            seconds.observe(took.as_secs_f64());
        };
        let counted = self.counted.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answers, seconds)) = counted.iter().find(|(others, ..)| *others == labels) {
            return count(answers, seconds);
        }
        drop(counted);
        let answers = self.answers.get_or_create_owned(&labels);
        let seconds = self.seconds.get_or_create_owned(&[labels[0]]);
        count(&answers, &seconds);
        let mut counted = self.counted.write().unwrap_or_else(PoisonError::into_inner);
        if !counted.iter().any(|(others, ..)| *others == labels) {
            counted.push((labels, answers, seconds));
        }
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to memory does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
