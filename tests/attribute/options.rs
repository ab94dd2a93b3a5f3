//! Every other option, on `async` functions, plain ones, methods and under `#[async_trait]` where it matters.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use idem::store::{Asked, Kind, Reply, Request, Store};
use idem::{Error, Happened, idempotent, observe, observe_blocking};
use tokio::sync::Notify;

use crate::bench::Bench;

const HOUR: Duration = Duration::from_secs(3600);

/// How long a result that was given again answers duplicates in all.
fn kept_for(observed: Option<idem::Observed>) -> Duration {
    let observed = observed.expect("a call");
    assert_eq!(observed.happened, Happened::Replayed);
    let (from, until) = (observed.completed_at, observed.expires_at);
    let from = from.expect("a moment").system_time();
    until.expect("a moment").system_time().duration_since(from).expect("later")
}

struct Service {
    bench: Bench,
    ttl: Duration,
    gate: Notify,
}

impl Service {
    fn new() -> Self {
        Service { bench: Bench::new(), ttl: 2 * HOUR, gate: Notify::new() }
    }

    #[idempotent(store = &self.bench.store, skip(self), ttl = "1h")]
    async fn literal_ttl(&self) -> Result<u32, Error> {
        Ok(self.bench.ran())
    }

    #[idempotent(store = &self.bench.store, skip(self), ttl = self.ttl)]
    async fn computed_ttl(&self) -> Result<u32, Error> {
        Ok(self.bench.ran())
    }

    #[idempotent(store = &self.bench.store, skip(self), ttl = 3 * HOUR)]
    fn constant_ttl(&self) -> Result<u32, Error> {
        Ok(self.bench.ran())
    }

    #[idempotent(store = &self.bench.store, skip(self), lease = "1h", on_running = reject)]
    async fn runs_long(&self, until_told: bool) -> Result<u32, Error> {
        let run = self.bench.ran();
        if until_told {
            self.gate.notified().await;
        }
        Ok(run)
    }

    #[idempotent(store = &self.bench.store, skip(self), wait = Duration::from_millis(1))]
    async fn waits_shortly(&self) -> Result<u32, Error> {
        let run = self.bench.ran();
        self.gate.notified().await;
        Ok(run)
    }

    #[idempotent(store = &self.bench.store, skip(self), lease = HOUR)]
    async fn waits(&self) -> Result<u32, Error> {
        let run = self.bench.ran();
        self.gate.notified().await;
        Ok(run)
    }

    #[idempotent(store = &self.bench.store, skip(self), on_duplicate = reject)]
    async fn rejects(&self) -> Result<u32, Error> {
        let run = self.bench.ran();
        self.gate.notified().await;
        Ok(run)
    }
}

#[tokio::test]
async fn ttl() {
    let service = Service::new();
    service.literal_ttl().await.unwrap();
    let (_, seen) = observe(service.literal_ttl()).await;
    assert_eq!(kept_for(seen), HOUR);
    service.computed_ttl().await.unwrap();
    let (_, seen) = observe(service.computed_ttl()).await;
    assert_eq!(kept_for(seen), 2 * HOUR);
    service.constant_ttl().unwrap();
    let (_, seen) = observe_blocking(|| service.constant_ttl());
    assert_eq!(kept_for(seen), 3 * HOUR);
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Future::poll(std::pin::Pin::new(future), &mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn lease_and_on_running_reject() {
    let service = Service::new();
    let mut first = Box::pin(service.runs_long(true));
    assert!(poll(&mut first).is_pending());
    match service.runs_long(true).await {
        Err(Error::Running { lease_left, .. }) => {
            assert!(lease_left > HOUR / 2 && lease_left <= HOUR, "{lease_left:?}");
        }
        other => panic!("{other:?}"),
    }
    service.gate.notify_one();
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(service.runs_long(true).await.unwrap(), 1);
}

#[tokio::test]
async fn wait_has_a_limit() {
    let service = Service::new();
    let mut first = Box::pin(service.waits_shortly());
    assert!(poll(&mut first).is_pending());
    assert!(matches!(service.waits_shortly().await, Err(Error::Running { .. })));
    service.gate.notify_one();
    assert_eq!(first.await.unwrap(), 1);
}

#[tokio::test]
async fn on_running_wait_is_the_default() {
    let service = Service::new();
    let (mut first, mut second) = (Box::pin(service.waits()), Box::pin(service.waits()));
    assert!(poll(&mut first).is_pending());
    assert!(poll(&mut second).is_pending());
    service.gate.notify_one();
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(second.await.unwrap(), 1);
}

#[tokio::test]
async fn on_duplicate_reject_does_not_wait() {
    let service = Service::new();
    let mut first = Box::pin(observe(service.rejects()));
    assert!(poll(&mut first).is_pending());
    assert!(matches!(service.rejects().await, Err(Error::Running { .. })));
    service.gate.notify_one();
    let (first, seen) = first.await;
    assert_eq!(first.unwrap(), 1);
    assert!(seen.expect("a call").recorded);
    let (refused, seen) = observe(service.rejects()).await;
    assert!(matches!(refused, Err(Error::Duplicate { .. })));
    // Nothing of the result is kept, and the record says so: another policy does not take it for one.
    let token = seen.expect("a call").token.expect("made before the claim");
    match service.bench.store.ask(Request::Get { token }) {
        Asked::Now(Ok(Reply::Record(Some(record)))) => {
            assert_eq!(record.head.kind, Kind::None);
            assert!(record.result.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

/// A plain function whose first call is inside while `during` runs.
fn while_running<T: Send>(call: impl Fn(&dyn Fn()) -> T + Sync, during: impl FnOnce()) -> T {
    let (inside, gate) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            call(&|| {
                inside.wait();
                gate.wait();
            })
        });
        inside.wait();
        during();
        gate.wait();
        first.join().expect("the first call")
    })
}

#[idempotent(store = &bench.store, skip(bench, inside))]
fn plainly(bench: &Bench, inside: &dyn Fn()) -> Result<u32, Error> {
    inside();
    Ok(bench.ran())
}

#[idempotent(store = &bench.store, skip(bench, inside), wait = "1ms")]
fn plainly_waiting(bench: &Bench, inside: &dyn Fn()) -> Result<u32, Error> {
    inside();
    Ok(bench.ran())
}

#[idempotent(store = &bench.store, skip(bench, inside), on_running = wait)]
fn plainly_waiting_long(bench: &Bench, inside: &dyn Fn()) -> Result<u32, Error> {
    inside();
    Ok(bench.ran())
}

#[test]
fn a_plain_function_does_not_wait_unless_told() {
    let bench = Bench::new();
    let running = |result| assert!(matches!(result, Err(Error::Running { .. })));
    let never = || panic!("the body ran twice");
    while_running(|inside| plainly(&bench, inside), || running(plainly(&bench, &never))).unwrap();
    while_running(|inside| plainly_waiting(&bench, inside), || running(plainly_waiting(&bench, &never)))
        .unwrap();
    assert_eq!(bench.runs(), 2);
}

#[idempotent(store = &bench.store, skip(bench, inside), wait = "1h")]
fn plainly_waiting_an_hour(bench: &Bench, inside: &dyn Fn()) -> Result<u32, Error> {
    inside();
    Ok(bench.ran())
}

#[test]
fn a_plain_function_waits_when_told() {
    for call in [plainly_waiting_long, plainly_waiting_an_hour] {
        let bench = Bench::new();
        std::thread::scope(|scope| {
            let mut second = None;
            let first = while_running(
                |inside| call(&bench, inside),
                || {
                    let bench = &bench;
                    second = Some(scope.spawn(move || call(bench, &|| panic!("the body ran twice"))));
                    // Time to be refused, for a call that does not wait.
                    std::thread::sleep(Duration::from_millis(100));
                },
            );
            assert_eq!(first.unwrap(), 1);
            let second = second.expect("a thread").join().expect("no panic");
            assert_eq!(second.unwrap(), 1);
        });
    }
}

#[idempotent(store = &bench.store, skip(bench, fail), on_interrupt = reject)]
async fn at_most_once(bench: &Bench, fail: bool) -> Result<u32, Error> {
    let run = bench.ran();
    assert!(!fail, "as the test wants it");
    Ok(run)
}

#[idempotent(store = &bench.store, skip(bench, fail), on_interrupt = retry)]
async fn at_least_once(bench: &Bench, fail: bool) -> Result<u32, Error> {
    let run = bench.ran();
    assert!(!fail, "as the test wants it");
    Ok(run)
}

#[idempotent(store = &bench.store, skip(bench, fail), on_interrupt = reject)]
fn at_most_once_plainly(bench: &Bench, fail: bool) -> Result<u32, Error> {
    let run = bench.ran();
    assert!(!fail, "as the test wants it");
    Ok(run)
}

#[idempotent(store = &bench.store, skip(bench, fail), max_attempts = 2)]
fn at_most_twice(bench: &Bench, fail: bool) -> Result<u32, Error> {
    let run = bench.ran();
    assert!(!fail, "as the test wants it");
    Ok(run)
}

#[idempotent(store = &bench.store, skip(bench, fail), max_attempts = limit, key(limit))]
fn at_most(bench: &Bench, fail: bool, limit: u32) -> Result<u32, Error> {
    let run = bench.ran();
    assert!(!fail, "as the test wants it");
    Ok(run)
}

fn panics<T>(call: impl FnOnce() -> T) {
    let call = std::panic::AssertUnwindSafe(call);
    assert!(std::panic::catch_unwind(call).is_err());
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn on_interrupt() {
    let bench = Bench::new();
    panics(|| block_on(at_most_once(&bench, true)));
    let again = block_on(at_most_once(&bench, false));
    assert!(matches!(again, Err(Error::Interrupted { .. })));
    panics(|| at_most_once_plainly(&bench, true));
    let again = at_most_once_plainly(&bench, false);
    assert!(matches!(again, Err(Error::Interrupted { .. })));
    panics(|| block_on(at_least_once(&bench, true)));
    assert_eq!(block_on(at_least_once(&bench, false)).unwrap(), 4);
}

#[test]
fn max_attempts() {
    let bench = Bench::new();
    panics(|| at_most_twice(&bench, true));
    panics(|| at_most_twice(&bench, true));
    let again = at_most_twice(&bench, false);
    assert!(matches!(again, Err(Error::Interrupted { .. })));
    panics(|| at_most(&bench, true, 1));
    let again = at_most(&bench, false, 1);
    assert!(matches!(again, Err(Error::Interrupted { .. })));
}

#[idempotent(store = &bench.store, skip(bench), max_result = "10 B")]
async fn small_results(bench: &Bench, length: usize) -> Result<String, Error> {
    bench.ran();
    Ok("x".repeat(length))
}

#[idempotent(store = &bench.store, skip(bench), max_result = 5 * 2)]
fn small_results_plainly(bench: &Bench, length: usize) -> Result<String, Error> {
    bench.ran();
    Ok("x".repeat(length))
}

#[tokio::test]
async fn max_result() {
    let bench = Bench::new();
    once!(bench, small_results(&bench, 9).await);
    once!(bench, small_results_plainly(&bench, 9));
    small_results(&bench, 10).await.unwrap();
    let again = small_results(&bench, 10).await;
    assert!(matches!(again, Err(Error::Duplicate { not_kept: true, .. })));
    small_results_plainly(&bench, 10).unwrap();
    let again = small_results_plainly(&bench, 10);
    assert!(matches!(again, Err(Error::Duplicate { not_kept: true, .. })));
    assert_eq!(bench.runs(), 4);
}

#[idempotent(store = &bench.store, skip(bench), max_run = "5m")]
async fn limited(bench: &Bench, a: u8) -> Result<u32, Error> {
    Ok(bench.ran() + u32::from(a))
}

#[idempotent(store = &bench.store, skip(bench), max_run = 5 * HOUR)]
fn limited_plainly(bench: &Bench, a: u8) -> Result<u32, Error> {
    Ok(bench.ran() + u32::from(a))
}

#[tokio::test]
async fn max_run() {
    let bench = Bench::new();
    assert_eq!(once!(bench, limited(&bench, 1).await), 2);
    assert_eq!(once!(bench, limited_plainly(&bench, 1)), 3);
}

struct Finishing {
    bench: Bench,
    gate: Notify,
    ended: Notify,
}

impl Finishing {
    #[idempotent(store = &self.bench.store, skip(self), on_cancel = finish)]
    async fn finishes(self: Arc<Self>, order: u64) -> Result<u64, Error> {
        let run = self.bench.ran();
        self.gate.notified().await;
        self.ended.notify_one();
        Ok(order + u64::from(run))
    }

    #[idempotent(store = &self.bench.store, skip(self), on_cancel = interrupt, on_interrupt = reject)]
    async fn is_interrupted(&self, order: u64) -> Result<u64, Error> {
        let run = self.bench.ran();
        self.gate.notified().await;
        Ok(order + u64::from(run))
    }
}

#[tokio::test]
async fn on_cancel() {
    let service = Arc::new(Finishing { bench: Bench::new(), gate: Notify::new(), ended: Notify::new() });
    let mut first = Box::pin(service.clone().finishes(1));
    while service.bench.runs() == 0 {
        assert!(poll(&mut first).is_pending());
        tokio::task::yield_now().await;
    }
    drop(first);
    service.gate.notify_one();
    service.ended.notified().await;
    assert_eq!(service.clone().finishes(1).await.unwrap(), 2);

    let mut first = Box::pin(service.is_interrupted(1));
    assert!(poll(&mut first).is_pending());
    drop(first);
    let again = service.is_interrupted(1).await;
    assert!(matches!(again, Err(Error::Interrupted { .. })));
    assert_eq!(service.bench.runs(), 2);
}

#[idempotent(store = &bench.store, skip(bench), key(a), record_arguments)]
async fn recorded(bench: &Bench, a: u64, b: &str) -> Result<u32, Error> {
    let _ = (a, b);
    Ok(bench.ran())
}

#[idempotent(store = &bench.store, skip(bench))]
async fn not_recorded(bench: &Bench, a: u64, b: &str) -> Result<u32, Error> {
    let _ = (a, b);
    Ok(bench.ran())
}

fn arguments_of(bench: &Bench, function: &str) -> Option<String> {
    use idem::store::{Query, Reply};
    let query = Query::default();
    let Asked::Now(Ok(Reply::Page(page))) = bench.store.ask(Request::List(Arc::new(query))) else {
        panic!("no page");
    };
    let listed = page.records.into_iter().find(|listed| {
        let text = &*listed.record.function;
        text.contains(function)
    });
    let arguments = listed.expect("a record").record.arguments;
    arguments.map(|arguments| format!("{arguments:?}"))
}

#[tokio::test]
async fn record_arguments() {
    let bench = Bench::new();
    recorded(&bench, 7, "note").await.unwrap();
    not_recorded(&bench, 7, "note").await.unwrap();
    let kept = arguments_of(&bench, "::recorded").expect("arguments");
    assert!(kept.contains(format!("{:?}", b"note").trim_matches(['[', ']'])));
    assert_eq!(arguments_of(&bench, "::not_recorded"), None);
}
