//! Callers that go away, runtimes that are shut down, bodies that panic and stores that do not answer: what the
//! record says then, and what the next call gets (DESIGN I5 to I8, I11).

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use common::{Fault, Faulty, Gate, Place, blocking, places, record, wait_for_state};
use idem::store::{Handle, State};
use idem::{Error, Happened, OnInterrupt, OnStoreError, Token};
use tokio::sync::Notify;

/// A body that counts how often it began, says so, and ends when it is let.
#[derive(Clone, Default)]
struct Body {
    began: Arc<AtomicU32>,
    is_in: Arc<Notify>,
    may_end: Arc<Notify>,
}

impl Body {
    async fn run(self, value: u64) -> Result<u64, Error> {
        self.began.fetch_add(1, Ordering::SeqCst);
        self.is_in.notify_one();
        self.may_end.notified().await;
        Ok(value)
    }

    fn times(&self) -> u32 {
        self.began.load(Ordering::SeqCst)
    }
}

const NAME: &str = "goes_away";

fn token() -> Token {
    idem::call(NAME).arg("it").token().unwrap()
}

/// A call whose body waits.
fn waiting(store: &Faulty, body: &Body) -> impl Future<Output = Result<u64, Error>> + Send + 'static {
    idem::call(NAME).arg("it").store(store).run(body.clone().run(1))
}

/// The next call, whose body ends at once.
async fn next(store: &Handle) -> (Result<u64, Error>, bool) {
    let (result, seen) =
        idem::observe(idem::call(NAME).arg("it").store(store).run(async { Ok::<_, Error>(2) })).await;
    (result, seen.is_some_and(|seen| seen.happened == Happened::Executed))
}

/// Polls a future once, and leaves it waiting.
fn poll_once<F: Future>(future: Pin<&mut F>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_while_the_claim_is_answered() {
    for Place { name, store, .. } in &places() {
        let (faulty, body, gate) = (Faulty::new(store), Body::default(), Gate::default());
        faulty.plan("claim", Fault::HoldAnswer(gate.clone()));
        let mut call = Box::pin(waiting(&faulty, &body));
        poll_once(call.as_mut());
        drop(call);
        blocking({
            let faulty = faulty.clone();
            move || faulty.wait_for("release", 1)
        })
        .await;
        wait_for_state(store, token(), State::Free);
        gate.open();
        assert_eq!(body.times(), 0, "{name}: the body did not begin");
        let (result, executed) = next(store).await;
        assert_eq!((result.unwrap(), executed), (2, true), "{name}");
        assert_eq!(record(store, token()).unwrap().head.number, 2, "{name}: the claim was an attempt");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_before_the_claim_arrives() {
    for Place { name, store, .. } in &places() {
        let (faulty, body, gate) = (Faulty::new(store), Body::default(), Gate::default());
        faulty.plan("claim", Fault::HoldRequest(gate.clone()));
        let mut call = Box::pin(waiting(&faulty, &body));
        poll_once(call.as_mut());
        drop(call);
        let record = blocking({
            let (faulty, store) = (faulty.clone(), store.clone());
            move || {
                faulty.wait_for("release", 1);
                wait_for_state(&store, token(), State::Free)
            }
        })
        .await;
        assert!(record.head.tombstone, "{name}: the release found nothing");
        // The claim comes late, and is refused, so that nobody waits for a body that never begins.
        gate.open();
        let (result, executed) = next(store).await;
        assert_eq!((result.unwrap(), executed), (2, true), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_in_the_body() {
    for Place { name, store, .. } in &places() {
        let (faulty, body) = (Faulty::new(store), Body::default());
        let mut call = Box::pin(waiting(&faulty, &body));
        tokio::select! {
            _ = &mut call => panic!("{name}: the body waits"),
            () = body.is_in.notified() => {}
        }
        drop(call);
        let found = blocking({
            let store = store.clone();
            move || wait_for_state(&store, token(), State::Interrupted)
        });
        assert_eq!(found.await.head.unended, 1, "{name}");
        let strict = idem::call(NAME)
            .arg("it")
            .store(store)
            .on_interrupt(OnInterrupt::Reject)
            .run(async { Ok::<_, Error>(3) });
        assert!(matches!(strict.await, Err(Error::Interrupted { .. })), "{name}");
        // From then on the record says `reject`, whatever the next call says.
        assert!(matches!(next(store).await.0, Err(Error::Interrupted { .. })), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_in_the_body_and_retried() {
    for Place { name, store, .. } in &places() {
        let (faulty, body) = (Faulty::new(store), Body::default());
        let mut call = Box::pin(waiting(&faulty, &body));
        tokio::select! {
            _ = &mut call => panic!("{name}: the body waits"),
            () = body.is_in.notified() => {}
        }
        let generation = record(store, token()).unwrap().head.generation;
        drop(call);
        let (result, executed) = next(store).await;
        assert_eq!((result.unwrap(), executed), (2, true), "{name}");
        let after = record(store, token()).unwrap().head;
        assert_eq!((after.number, after.generation), (2, generation), "{name}");
        assert!(after.fence > generation, "{name}: fences grow");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_in_the_body_while_the_store_does_not_answer() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.guarded = false);
        let (body, gate) = (Body::default(), Gate::default());
        faulty.plan("interrupt", Fault::HoldFailure(gate.clone()));
        let lease = Duration::from_millis(90);
        let mut call =
            Box::pin(idem::call(NAME).arg("it").store(&faulty).lease(lease).run(body.clone().run(1)));
        tokio::select! {
            _ = &mut call => panic!("{name}: the body waits"),
            () = body.is_in.notified() => {}
        }
        drop(call);
        // Nobody keeps the lease of a body that is gone, whether the store has heard of that or not.
        let second = idem::call(NAME).arg("it").store(store).wait(Duration::from_secs(10));
        let second = second.run(async { Ok::<_, Error>(u64::from(idem::current().unwrap().number())) });
        assert_eq!(second.await.unwrap(), 2, "{name}");
        assert_eq!(faulty.count("interrupt"), 1, "{name}");
        gate.open();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_while_completing() {
    for Place { name, store, .. } in &places() {
        for hold_request in [false, true] {
            let place = if *name == "memory" { common::memory() } else { common::sqlite() };
            let store = if hold_request { store } else { &place.store };
            let (faulty, body, gate) = (Faulty::new(store), Body::default(), Gate::default());
            let fault = if hold_request { Fault::HoldRequest } else { Fault::HoldAnswer };
            faulty.plan("complete", fault(gate.clone()));
            body.may_end.notify_one();
            let mut call = Box::pin(waiting(&faulty, &body));
            tokio::select! {
                _ = &mut call => panic!("{name}: the store holds its answer"),
                () = blocking({ let faulty = faulty.clone(); move || faulty.wait_for("complete", 1) }) => {}
            }
            drop(call);
            gate.open();
            blocking({
                let store = store.clone();
                move || wait_for_state(&store, token(), State::Done)
            })
            .await;
            let (result, executed) = next(store).await;
            assert_eq!((result.unwrap(), executed), (1, false), "{name}: the first call's result");
            assert_eq!(body.times(), 1, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_while_completing_fails() {
    for Place { name, store, .. } in &places() {
        let (faulty, body, gate) = (Faulty::new(store), Body::default(), Gate::default());
        faulty.plan("complete", Fault::HoldFailure(gate.clone()));
        body.may_end.notify_one();
        let mut call = Box::pin(waiting(&faulty, &body));
        tokio::select! {
            _ = &mut call => panic!("{name}: the store holds its answer"),
            () = blocking({ let faulty = faulty.clone(); move || faulty.wait_for("complete", 1) }) => {}
        }
        drop(call);
        gate.open();
        // Nobody hears the answer any more; the store is told again all the same.
        blocking({
            let faulty = faulty.clone();
            move || faulty.wait_for("complete", 2)
        })
        .await;
        blocking({
            let store = store.clone();
            move || wait_for_state(&store, token(), State::Done)
        })
        .await;
        let (result, executed) = next(store).await;
        assert_eq!((result.unwrap(), executed), (1, false), "{name}: the first call's result");
    }
}

/// Shuts a runtime down once a call of its own is as far as `far` says.
fn shut_down(faulty: &Faulty, body: &Body, far: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let call = waiting(faulty, body);
    let thread = std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::spawn(call);
            let _ = stopped.await;
        });
        runtime.shutdown_background();
    });
    far();
    stop.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn the_runtime_is_shut_down_at_each_point() {
    for Place { name, store, .. } in &places() {
        // While claiming.
        let (faulty, body, gate) = (Faulty::new(store), Body::default(), Gate::default());
        faulty.plan("claim", Fault::HoldAnswer(gate.clone()));
        shut_down(&faulty, &body, || faulty.wait_for("claim", 1));
        faulty.wait_for("release", 1);
        wait_for_state(store, token(), State::Free);
        gate.open();
        assert_eq!(body.times(), 0, "{name}");

        // In the body.
        let (faulty, body) = (Faulty::new(store), Body::default());
        shut_down(&faulty, &body, || {
            let is_in = Arc::clone(&body.is_in);
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(is_in.notified());
        });
        wait_for_state(store, token(), State::Interrupted);

        // While completing.
        let (faulty, body, gate) = (Faulty::new(store), Body::default(), Gate::default());
        faulty.plan("complete", Fault::HoldRequest(gate.clone()));
        body.may_end.notify_one();
        shut_down(&faulty, &body, || faulty.wait_for("complete", 1));
        gate.open();
        let done = wait_for_state(store, token(), State::Done);
        assert_eq!(idem::encoding::from_slice::<u64>(&done.result).unwrap(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_that_fails_goes_on_in_the_background() {
    for Place { name, store, .. } in &places() {
        for fault in [|| Fault::Fail, || Fault::Refuse, || Fault::Lose] {
            let place = if *name == "memory" { common::memory() } else { common::sqlite() };
            let (faulty, body) = (Faulty::new(&place.store), Body::default());
            faulty.plan("complete", fault()).plan("complete", fault());
            body.may_end.notify_one();
            let (result, seen) = idem::observe(waiting(&faulty, &body)).await;
            assert_eq!(result.unwrap(), 1, "{name}: the caller gets what the body returned");
            assert!(!seen.unwrap().recorded, "{name}: and can see that it is not recorded yet");
            assert!(idem::shutdown(Duration::from_secs(20)).await, "{name}");
            let (result, executed) = next(&place.store).await;
            assert_eq!((result.unwrap(), executed), (1, false), "{name}");
            assert_eq!(faulty.count("complete"), 3, "{name}");
        }
        let _ = store;
    }
}

#[test]
fn a_plain_function_is_settled_in_the_background_too() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        faulty.plan("complete", Fault::Fail).plan("complete", Fault::Lose);
        let call = || idem::call(NAME).arg("plain").store(&faulty).run_blocking(|| Ok::<_, Error>(5));
        let (result, seen) = idem::observe_blocking(call);
        assert_eq!((result.unwrap(), seen.unwrap().recorded), (5, false), "{name}");
        assert!(idem::shutdown_blocking(Duration::from_secs(20)), "{name}");
        let (result, seen) = idem::observe_blocking(call);
        assert_eq!((result.unwrap(), seen.unwrap().happened), (5, Happened::Replayed), "{name}");
    }
}

#[test]
fn a_plain_function_does_not_wait_for_a_dead_store() {
    for Place { name, store, .. } in &places() {
        let (faulty, gate) = (Faulty::new(store), Gate::default());
        faulty.plan("complete", Fault::HoldFailure(gate.clone()));
        let call = || idem::call(NAME).arg("plain").store(&faulty).run_blocking(|| Ok::<_, Error>(5));
        let (result, seen) = idem::observe_blocking(call);
        assert_eq!((result.unwrap(), seen.unwrap().recorded), (5, false), "{name}");
        gate.open();
        let plain = idem::call(NAME).arg("plain").token().unwrap();
        wait_for_state(store, plain, State::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_passes_after_the_store_was_told() {
    for Place { name, store, .. } in &places() {
        let call = idem::call(NAME).arg("it").store(store).run(async {
            if true {
                std::panic::panic_any(42_u8);
            }
            Ok::<u64, Error>(1)
        });
        let panicked = tokio::spawn(call).await.unwrap_err();
        assert_eq!(panicked.into_panic().downcast_ref::<u8>(), Some(&42), "{name}: the same payload");
        // Told before: no need to wait.
        assert_eq!(record(store, token()).unwrap().head.state, State::Interrupted, "{name}");

        let call = || {
            idem::call(NAME)
                .arg("plain")
                .store(store)
                .run_blocking(|| -> Result<u64, Error> { std::panic::panic_any(43_u8) })
        };
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        assert_eq!(panicked.downcast_ref::<u8>(), Some(&43), "{name}");
        let plain = idem::call(NAME).arg("plain").token().unwrap();
        assert_eq!(record(store, plain).unwrap().head.state, State::Interrupted, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_does_not_wait_for_a_dead_store() {
    for Place { name, store, .. } in &places() {
        let (faulty, gate) = (Faulty::new(store), Gate::default());
        faulty.plan("interrupt", Fault::HoldRequest(gate.clone()));
        let call = idem::call(NAME).arg("it").store(&faulty).run(async {
            if true {
                panic!("in the body");
            }
            Ok::<u64, Error>(1)
        });
        assert!(tokio::spawn(call).await.unwrap_err().is_panic(), "{name}");
        gate.open();
        blocking({
            let store = store.clone();
            move || wait_for_state(&store, token(), State::Interrupted)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_fails_is_asked_again() {
    for Place { name, store, .. } in &places() {
        for fault in [|| Fault::Fail, || Fault::Lose] {
            let place = if *name == "memory" { common::memory() } else { common::sqlite() };
            let (faulty, body) = (Faulty::new(&place.store), Body::default());
            faulty.plan("claim", fault()).plan("claim", fault());
            body.may_end.notify_one();
            assert_eq!(waiting(&faulty, &body).await.unwrap(), 1, "{name}");
            assert_eq!(faulty.count("claim"), 3, "{name}");
            assert_eq!(record(&place.store, token()).unwrap().head.number, 1, "{name}: one attempt");
        }
        let _ = store;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_never_answered_runs_nothing() {
    for Place { name, store, .. } in &places() {
        let (faulty, body) = (Faulty::new(store), Body::default());
        for _ in 0..200 {
            faulty.plan("claim", Fault::Lose);
        }
        let error = waiting(&faulty, &body).await.unwrap_err();
        assert!(matches!(error, Error::Store { .. }) && error.is_retryable(), "{name}: {error}");
        assert_eq!(body.times(), 0, "{name}: nothing runs that could not be recorded");
        // What the lost claim has left is given back.
        blocking({
            let store = store.clone();
            move || wait_for_state(&store, token(), State::Free)
        })
        .await;
        assert_eq!(next(store).await.0.unwrap(), 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unprotected_only_if_the_caller_says_so() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        faulty.plan("claim", Fault::Refuse);
        let call = idem::call(NAME).arg("it").store(&faulty).on_store_error(OnStoreError::Run).run(async {
            assert!(idem::current().is_none(), "there is no attempt");
            Ok::<_, Error>(7_u64)
        });
        let (result, seen) = idem::observe(call).await;
        assert_eq!(result.unwrap(), 7, "{name}");
        assert_eq!(seen.unwrap().happened, Happened::ExecutedUnprotected, "{name}");
        blocking({
            let store = store.clone();
            move || wait_for_state(&store, token(), State::Done)
        })
        .await;
        let (result, executed) = next(store).await;
        assert_eq!(
            (result.unwrap(), executed),
            (7, false),
            "{name}: an `Ok` is recorded once the store answers"
        );
    }
}

mod finish {
    use super::*;
    use idem::on_cancel::Finish;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_runs_on_when_its_caller_goes_away() {
        for Place { name, store, .. } in &places() {
            let body = Body::default();
            let mut call =
                Box::pin(idem::call(NAME).arg("it").store(store).on_cancel(Finish).run(body.clone().run(1)));
            tokio::select! {
                _ = &mut call => panic!("{name}: the body waits"),
                () = body.is_in.notified() => {}
            }
            drop(call);
            body.may_end.notify_one();
            blocking({
                let store = store.clone();
                move || wait_for_state(&store, token(), State::Done)
            })
            .await;
            let (result, executed) = next(store).await;
            assert_eq!((result.unwrap(), executed), (1, false), "{name}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn its_panic_passes() {
        for Place { name, store, .. } in &places() {
            let call = idem::call(NAME).arg("it").store(store).on_cancel(Finish).run(async {
                if true {
                    std::panic::panic_any(44_u8);
                }
                Ok::<u64, Error>(1)
            });
            let panicked = tokio::spawn(call).await.unwrap_err().into_panic();
            assert_eq!(panicked.downcast_ref::<u8>(), Some(&44), "{name}");
            assert_eq!(record(store, token()).unwrap().head.state, State::Interrupted, "{name}");
        }
    }

    #[tokio::test]
    async fn a_duplicate_spawns_nothing() {
        let place = common::memory();
        let call = || {
            idem::call(NAME)
                .arg("it")
                .store(&place.store)
                .on_cancel(Finish)
                .run(async { Ok::<u64, Error>(1) })
        };
        call().await.unwrap();
        let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let mut duplicate = Box::pin(call());
        assert!(duplicate.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), before);
    }

    #[test]
    fn without_a_runtime_it_is_misuse_before_the_claim() {
        let place = common::memory();
        let faulty = Faulty::new(&place.store);
        let mut call = Box::pin(
            idem::call(NAME).arg("it").store(&faulty).on_cancel(Finish).run(async { Ok::<u64, Error>(1) }),
        );
        let std::task::Poll::Ready(refused) = call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        else {
            panic!("it waits for nothing");
        };
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Misuse { .. }), "{error}");
        assert_eq!(faulty.count("claim"), 0);
    }

    #[test]
    fn a_runtime_that_is_shut_down_leaves_it_interrupted() {
        for Place { store, .. } in &places() {
            let body = Body::default();
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let call = idem::call(NAME).arg("it").store(store).on_cancel(Finish).run(body.clone().run(1));
            runtime.spawn(call);
            runtime.block_on(body.is_in.notified());
            runtime.shutdown_background();
            wait_for_state(store, token(), State::Interrupted);
        }
    }
}
