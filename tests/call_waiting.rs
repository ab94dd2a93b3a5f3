//! Duplicates of a running call: they wait, are refused, or become the next attempt; no wait goes on for ever.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Faulty, Place, blocking, places};
use idem::store::{Claim, Complete, Handle, IntoStore, Kind, Reply, Request};
use idem::{Error, Happened, OnRunning, on_duplicate};
use tokio::sync::Notify;

const LONG: Duration = Duration::from_secs(60);

fn answer(store: &Handle, request: Request) -> idem::store::Answer {
    store.ask(request).wait(Some(common::PATIENCE)).expect("an answer in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_gets_the_result() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        let (is_in, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = tokio::spawn({
            let (faulty, is_in, may_end) = (faulty.clone(), Arc::clone(&is_in), Arc::clone(&may_end));
            async move {
                idem::call("waits")
                    .arg(&1)
                    .store(&faulty)
                    .run(async move {
                        is_in.notify_one();
                        may_end.notified().await;
                        Ok::<_, Error>("first".to_owned())
                    })
                    .await
            }
        });
        is_in.notified().await;
        let second = tokio::spawn({
            let faulty = faulty.clone();
            idem::observe(async move {
                idem::call("waits")
                    .arg(&1)
                    .store(&faulty)
                    .wait(LONG)
                    .run(async { Ok::<_, Error>("second".to_owned()) })
                    .await
            })
        });
        blocking({
            let faulty = faulty.clone();
            move || faulty.wait_for("watch", 1)
        })
        .await;
        may_end.notify_one();
        assert_eq!(first.await.unwrap().unwrap(), "first");
        let (result, seen) = second.await.unwrap();
        assert_eq!(result.unwrap(), "first", "{name}");
        let seen = seen.unwrap();
        assert_eq!((seen.happened, seen.waited), (Happened::Replayed, true), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_waiters_becomes_the_next_attempt() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        let (is_in, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = tokio::spawn({
            let (faulty, is_in, may_end) = (faulty.clone(), Arc::clone(&is_in), Arc::clone(&may_end));
            async move {
                idem::call("next")
                    .arg(&1)
                    .store(&faulty)
                    .run(async move {
                        is_in.notify_one();
                        may_end.notified().await;
                        Err::<u32, String>("declined".to_owned())
                    })
                    .await
            }
        });
        is_in.notified().await;
        let ran = Arc::new(AtomicU32::new(0));
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let (faulty, ran) = (faulty.clone(), Arc::clone(&ran));
                tokio::spawn(async move {
                    idem::call("next")
                        .arg(&1)
                        .store(&faulty)
                        .wait(LONG)
                        .run(async move {
                            ran.fetch_add(1, Ordering::SeqCst);
                            Ok::<_, String>(idem::current().unwrap().number())
                        })
                        .await
                })
            })
            .collect();
        blocking({
            let faulty = faulty.clone();
            move || faulty.wait_for("watch", 5)
        })
        .await;
        may_end.notify_one();
        assert_eq!(first.await.unwrap().unwrap_err(), "declined");
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap().unwrap(), 2, "{name}: the second attempt's result");
        }
        assert_eq!(ran.load(Ordering::SeqCst), 1, "{name}");
    }
}

#[tokio::test]
async fn who_rejects_does_not_wait() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        let inner = || idem::call("rejects").arg(&1).store(&faulty);
        let mut refused = Vec::new();
        inner()
            .run(async {
                // Another task's duplicates, which are not within this call.
                let (a, b, c) = (inner(), inner(), inner());
                let tasks = tokio::spawn(async move {
                    let by_option = a.on_running(OnRunning::Reject).run(async { Ok::<_, Error>(()) }).await;
                    let by_duplicate =
                        b.on_duplicate(on_duplicate::Reject).run(async { Ok::<_, Error>(()) }).await;
                    let plain = tokio::task::spawn_blocking(move || c.run_blocking(|| Ok::<_, Error>(())))
                        .await
                        .unwrap();
                    [by_option, by_duplicate, plain]
                });
                refused = tasks.await.unwrap().into();
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        assert_eq!(faulty.count("watch"), 0, "{name}");
        for error in refused.into_iter().map(Result::unwrap_err) {
            let Error::Running { lease_left, .. } = &error else { panic!("{name}: {error}") };
            assert!(*lease_left <= Duration::from_secs(10), "{name}: {error}");
            assert!(error.retry_after().is_some() && error.is_retryable());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_by_its_limit() {
    for Place { name, store, .. } in &places() {
        let token = idem::call("limit").arg(&1).token().unwrap();
        let mut claim = Claim::default();
        claim.token = token;
        claim.attempt = 1.into();
        (claim.lease, claim.ttl) = (LONG, LONG);
        assert!(matches!(answer(store, Request::Claim(Arc::new(claim))), Ok(Reply::Claimed(_))));
        let started = std::time::Instant::now();
        let waiter = idem::call("limit").arg(&1).store(store).wait(Duration::from_millis(60));
        let error = waiter.run(async { Ok::<_, Error>(()) }).await.unwrap_err();
        assert!(matches!(error, Error::Running { .. }), "{name}: {error}");
        assert!(started.elapsed() >= Duration::from_millis(60), "{name}: not before");
        let waiter = idem::call("limit").arg(&1).store(store).wait(Duration::from_millis(60));
        let error = waiter.run_blocking(|| Ok::<_, Error>(())).unwrap_err();
        assert!(matches!(error, Error::Running { .. }), "{name}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_takes_over_at_the_end_of_the_lease() {
    for Place { name, store, .. } in &places() {
        let token = idem::call("over").arg(&1).token().unwrap();
        let mut claim = Claim::default();
        claim.token = token;
        claim.attempt = 1.into();
        (claim.lease, claim.ttl) = (Duration::from_millis(60), LONG);
        assert!(matches!(answer(store, Request::Claim(Arc::new(claim))), Ok(Reply::Claimed(_))));
        let waiter = idem::call("over")
            .arg(&1)
            .store(store)
            .wait(LONG)
            .run(async { Ok::<_, Error>(idem::current().unwrap().number()) });
        assert_eq!(waiter.await.unwrap(), 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_of_the_callers_changes_nothing() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        let first = tokio::spawn({
            let faulty = faulty.clone();
            async move {
                idem::call("paused")
                    .arg(&1)
                    .store(&faulty)
                    .run(async {
                        tokio::time::sleep(LONG).await;
                        Ok::<_, Error>(1)
                    })
                    .await
            }
        });
        tokio::task::yield_now().await;
        let second = idem::call("paused").arg(&1).store(store).wait(LONG).run(async { Ok::<_, Error>(2) });
        assert_eq!(second.await.unwrap(), 1, "{name}");
        first.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_would_wait_for_itself_is_refused_at_once() {
    for Place { name, store, .. } in &places() {
        let again = |depth: u32| {
            let store = store.clone();
            async move {
                idem::call("itself")
                    .arg(&1)
                    .store(&store)
                    .wait(LONG)
                    .run(async move {
                        assert!(depth == 0, "the body does not begin twice");
                        // By way of another function.
                        idem::call("between")
                            .arg(&1)
                            .store(&store)
                            .wait(LONG)
                            .run(async {
                                let itself = idem::call("itself").arg(&1).store(&store).wait(LONG);
                                Ok::<_, Error>(matches!(
                                    itself.run(async { Ok::<bool, Error>(false) }).await,
                                    Err(Error::Running { .. })
                                ))
                            })
                            .await
                    })
                    .await
            }
        };
        assert!(again(0).await.unwrap(), "{name}");
        let plain = || {
            idem::call("itself.plain").arg(&1).store(store).wait(LONG).run_blocking(|| {
                let itself = idem::call("itself.plain").arg(&1).store(store).wait(LONG);
                Ok::<_, Error>(matches!(
                    itself.run_blocking(|| Ok::<_, Error>(())),
                    Err(Error::Running { .. })
                ))
            })
        };
        assert!(plain().unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_keeps_its_lease() {
    // On the memory store the guard is the sign of life; elsewhere the lease is renewed, also of a body that blocks.
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::new(store);
        let lease = Duration::from_millis(90);
        let (is_in, may_end) = (Arc::new(Notify::new()), Arc::new(std::sync::Barrier::new(2)));
        let first = tokio::spawn({
            let (faulty, is_in, may_end) = (faulty.clone(), Arc::clone(&is_in), Arc::clone(&may_end));
            async move {
                idem::call("slow")
                    .arg(&1)
                    .store(&faulty)
                    .lease(lease)
                    .run(
                        async move {
                            is_in.notify_one();
                            may_end.wait();
                            Ok::<_, Error>("kept")
                        }
                        .then_owned(),
                    )
                    .await
            }
        });
        is_in.notified().await;
        let second = tokio::spawn({
            let faulty = faulty.clone();
            async move {
                idem::call("slow")
                    .arg(&1)
                    .store(&faulty)
                    .lease(lease)
                    .wait(LONG)
                    .run(async { Ok::<_, Error>("taken over".to_owned()) })
                    .await
            }
        });
        if name == &"memory" {
            blocking({
                let faulty = faulty.clone();
                move || faulty.wait_for("watch", 1)
            })
            .await;
        } else {
            blocking({
                let faulty = faulty.clone();
                move || faulty.wait_for("renew", 8)
            })
            .await;
        }
        blocking(move || may_end.wait()).await;
        assert_eq!(first.await.unwrap().unwrap(), "kept", "{name}");
        assert_eq!(second.await.unwrap().unwrap(), "kept", "{name}");
    }
}

trait ThenOwned {
    fn then_owned(self) -> impl Future<Output = Result<String, Error>> + Send;
}

impl<F: Future<Output = Result<&'static str, Error>> + Send> ThenOwned for F {
    async fn then_owned(self) -> Result<String, Error> {
        self.await.map(str::to_owned)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_is_seen_in_the_body_and_the_winner_is_returned() {
    for Place { name, store, .. } in &places() {
        // Its renewals are lost, so that another attempt can take over.
        let faulty = Faulty::with(store, |profile| profile.guarded = false);
        for _ in 0..1_000 {
            faulty.plan("renew", common::Fault::Fail);
        }
        let token = idem::call("lost").arg(&1).token().unwrap();
        let lease = Duration::from_millis(50);
        let call = idem::call("lost").arg(&1).store(&faulty).lease(lease).run({
            let (store, faulty) = (store.clone(), faulty.clone());
            async move {
                let attempt = idem::current().unwrap();
                attempt.check().await.unwrap_err();
                let other = blocking(move || {
                    let mut claim = Claim::default();
                    claim.token = token;
                    claim.attempt = 7.into();
                    (claim.lease, claim.ttl) = (LONG, LONG);
                    let claim = Arc::new(claim);
                    let grant = loop {
                        match answer(&store, Request::Claim(Arc::clone(&claim))) {
                            Ok(Reply::Claimed(grant)) => break grant,
                            Ok(Reply::Running { lease_left, .. }) => {
                                let _ = answer(&store, Request::Watch { token, limit: lease_left });
                            }
                            other => panic!("{other:?}"),
                        }
                    };
                    let mut complete = Complete::default();
                    complete.token = token;
                    complete.attempt = 7.into();
                    (complete.fence, complete.generation) = (grant.fence, grant.generation);
                    complete.kind = Kind::Value;
                    complete.result = idem::encoding::to_vec("the winner's").unwrap().into();
                    complete.ttl = LONG;
                    assert!(matches!(
                        answer(&store, Request::Complete(Arc::new(complete))),
                        Ok(Reply::Completed)
                    ));
                    grant
                })
                .await;
                assert!(other.fence > attempt.fence(), "fences grow");
                assert_eq!(other.generation, attempt.generation());
                // From here on the store is asked again.
                let handle: Handle = (&faulty).into_store();
                drop(handle);
                Ok::<_, Error>("my own".to_owned())
            }
        });
        let (result, seen) = idem::observe(call).await;
        assert_eq!(result.unwrap(), "the winner's", "{name}");
        assert!(!seen.unwrap().recorded, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_on_another_store_is_not_itself() {
    for Place { name, store, .. } in &places() {
        let other = common::memory().store;
        let faulty = Faulty::new(&other);
        let call = |store: &Handle| idem::call("elsewhere").arg(&1).store(store).wait(LONG);
        let (is_in, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let beside = tokio::spawn(call(&other).run({
            let (is_in, may_end) = (Arc::clone(&is_in), Arc::clone(&may_end));
            async move {
                is_in.notify_one();
                may_end.notified().await;
                Ok::<_, Error>(1)
            }
        }));
        is_in.notified().await;
        let end = tokio::spawn({
            let faulty = faulty.clone();
            async move {
                blocking(move || faulty.wait_for("watch", 1)).await;
                may_end.notify_one();
            }
        });
        let outer = call(store).run(async {
            idem::call("elsewhere").arg(&1).store(&faulty).wait(LONG).run(async { Ok::<_, Error>(2) }).await
        });
        assert_eq!(outer.await.unwrap(), 1, "{name}: it waits for the other store's attempt");
        end.await.unwrap();
        assert_eq!(beside.await.unwrap().unwrap(), 1, "{name}");
    }
}
