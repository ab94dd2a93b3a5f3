//! What has a limit ends at it: claims that are asked again, leases that are too short, runtimes that are gone.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Fault, Faulty, Gate, Place, blocking, places, wait_for_state};
use idem::store::{Kind, Reply, Request, State, Store as _};
use idem::{Error, OnInterrupt, on_cancel};
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_over_before_the_claim_is_answered_is_misuse() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.guarded = false);
        let call =
            |key: u32| idem::call("short lease").arg(&key).store(&faulty).lease(Duration::from_nanos(1));
        let refused = [
            call(1).run(async { Ok::<_, Error>(1) }).await,
            blocking({
                let call = call(2);
                move || call.run_blocking(|| Ok::<_, Error>(1))
            })
            .await,
        ];
        for error in refused.map(Result::unwrap_err) {
            assert!(matches!(error, Error::Misuse { .. }), "{name}: {error}");
            assert!(error.to_string().contains("`lease`"), "{name}: {error}");
        }
        let token = idem::call("short lease").arg(&1_u32).token().unwrap();
        wait_for_state(store, token, State::Free);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_a_time_limit_of_its_own() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.time_limit = Duration::from_millis(40));
        let (is_in, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = tokio::spawn({
            let (store, is_in, may_end) = (store.clone(), Arc::clone(&is_in), Arc::clone(&may_end));
            async move {
                let body = async move {
                    is_in.notify_one();
                    may_end.notified().await;
                    Ok::<_, Error>("first")
                };
                idem::call("own limit")
                    .arg(&1)
                    .store(&store)
                    .run(async { body.await.map(str::to_owned) })
                    .await
            }
        });
        is_in.notified().await;
        // It fails at first, then waits for longer than the limit, and fails once more when it is woken.
        faulty.plan("claim", Fault::Fail);
        let second = tokio::spawn({
            let faulty = faulty.clone();
            async move {
                let call = idem::call("own limit").arg(&1).store(&faulty).wait(common::PATIENCE);
                call.run(async { Ok::<_, Error>("second".to_owned()) }).await
            }
        });
        blocking({
            let faulty = faulty.clone();
            move || {
                faulty.wait_for("watch", 1);
                let waited = std::time::Instant::now();
                while waited.elapsed() < Duration::from_millis(60) {
                    std::thread::yield_now();
                }
            }
        })
        .await;
        faulty.plan("claim", Fault::Fail);
        may_end.notify_one();
        assert_eq!(second.await.unwrap().unwrap(), "first", "{name}");
        first.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_itself_takes_is_part_of_the_time_limit() {
    const LIMIT: Duration = Duration::from_millis(40);
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.time_limit = LIMIT);
        for key in 1..=2 {
            let gate = Gate::default();
            faulty.plan("claim", Fault::HoldFailure(gate.clone()));
            let call = idem::call("late").arg(&key).store(&faulty);
            let called = match key {
                1 => tokio::spawn(call.run(async { Ok::<_, Error>(1) })),
                _ => tokio::task::spawn_blocking(move || call.run_blocking(|| Ok(1))),
            };
            let opened = faulty.clone();
            blocking(move || {
                opened.wait_for("claim", key);
                let asked = std::time::Instant::now();
                while asked.elapsed() <= LIMIT {
                    std::thread::yield_now();
                }
                gate.open();
            })
            .await;
            assert!(matches!(called.await.unwrap(), Err(Error::Store { .. })), "{name}");
            assert_eq!(faulty.count("claim"), key, "{name}: it was not asked again");
        }
    }
}

#[test]
fn the_longest_time_limit_is_none() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.time_limit = Duration::MAX);
        faulty.plan("claim", Fault::Fail);
        let call = idem::call("no limit").arg(&1).store(&faulty).run_blocking(|| Ok::<_, Error>(1));
        assert_eq!(call.unwrap(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_given_back_however_long_it_takes() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.time_limit = Duration::from_millis(20));
        for _ in 0..200 {
            faulty.plan("claim", Fault::Lose);
        }
        for _ in 0..4 {
            faulty.plan("release", Fault::Fail);
        }
        let call = idem::call("given back").arg(&1).store(&faulty).ttl(Duration::from_millis(30));
        let call = call.on_interrupt(OnInterrupt::Reject).run(async { Ok::<_, Error>(1) });
        assert!(matches!(call.await, Err(Error::Store { .. })), "{name}");
        blocking(move || faulty.wait_for("release", 5)).await;
    }
}

#[test]
fn a_runtime_that_is_gone_is_answered() {
    for Place { name, store, .. } in &places() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (handle, is_in) = (runtime.handle().clone(), Arc::new(Notify::new()));
        let caller = std::thread::spawn({
            let (store, is_in) = (store.clone(), Arc::clone(&is_in));
            move || {
                let body = async move {
                    is_in.notify_one();
                    std::future::pending::<Result<u32, Error>>().await
                };
                handle
                    .block_on(idem::call("gone").arg(&1).store(&store).on_cancel(on_cancel::Finish).run(body))
            }
        });
        runtime.block_on(is_in.notified());
        runtime.shutdown_background();
        let error = caller.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{name}: {error}");
        wait_for_state(store, idem::call("gone").arg(&1).token().unwrap(), State::Interrupted);
    }
}

/// Its encoding is read with a panic.
#[derive(serde::Serialize)]
struct Panics(u32);

impl<'de> serde::Deserialize<'de> for Panics {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("it does not like to be read")
    }
}

#[test]
fn a_look_at_a_token_registers_nothing() {
    let place = common::memory();
    let ran = AtomicU32::new(0);
    idem::call("a look").token().unwrap();
    let call = idem::call("a look").arg(&1).store(&place.store);
    call.run_blocking(|| Ok::<_, Error>(ran.fetch_add(1, Ordering::SeqCst))).unwrap();
    let result = idem::call("panics").arg(&1).store(&place.store).run_blocking(|| Ok::<_, Error>(Panics(7)));
    assert_eq!(result.unwrap().0, 7, "what a result does when it is read changes nothing for its own caller");
}

#[test]
fn a_result_that_is_too_large_for_the_store_is_done_and_not_kept() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        // At once, and once it is recorded in the background.
        for (key, faults) in [(1, &[Fault::TooLarge][..]), (2, &[Fault::Fail, Fault::TooLarge])] {
            for fault in faults {
                faulty.plan("complete", fault.clone());
            }
            let call = || idem::call("too large").arg(&key).store(&faulty);
            let first = call().run_blocking(|| Ok::<_, Error>("large".to_owned()));
            assert_eq!(first.unwrap(), "large", "{name}: the body ended well");
            let record = wait_for_state(store, call().token().unwrap(), State::Done);
            assert_eq!((record.head.kind, record.result.len()), (Kind::None, 0), "{name}");
            let duplicate = call().run_blocking(|| Ok::<_, Error>(String::new())).unwrap_err();
            assert!(matches!(duplicate, Error::Duplicate { not_kept: true, .. }), "{name}: {duplicate}");
        }
        assert_eq!(faulty.count("complete"), 2 + 3, "{name}: it is asked without the result, once");

        faulty.plan("claim", Fault::TooLarge);
        let refused = idem::call("too large").arg(&3).store(&faulty).run_blocking(|| Ok::<_, Error>(()));
        assert!(matches!(refused, Err(Error::Store { .. })), "{name}: no body without a record");
        assert!(
            store
                .ask(Request::Get { token: idem::call("too large").arg(&3).token().unwrap() })
                .wait(None)
                .unwrap()
                .is_ok_and(|reply| reply == Reply::Record(None))
        );
    }
}
