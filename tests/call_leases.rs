//! Leases: who is believed alive, how long, and who learns that he is not.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Fault, Faulty, Gate, PATIENCE, Place, blocking, places};
use idem::Error;
use idem::store::{Claim, Complete, Handle, Kind, Reply, Request};
use tokio::sync::Notify;

const LONG: Duration = Duration::from_secs(60);

fn answer(store: &Handle, request: Request) -> idem::store::Answer {
    store.ask(request).wait(Some(PATIENCE)).expect("an answer in time")
}

/// A claim of somebody else's, for a call whose own claim was sent too long ago.
fn somebody_else_wins(store: &Handle, token: idem::Token) {
    let mut claim = Claim::default();
    claim.token = token;
    claim.attempt = 7.into();
    (claim.lease, claim.ttl) = (LONG, LONG);
    let claim = Arc::new(claim);
    let grant = loop {
        match answer(store, Request::Claim(Arc::clone(&claim))) {
            Ok(Reply::Claimed(grant)) => break grant,
            Ok(Reply::Running { lease_left, .. }) => {
                let _ = answer(store, Request::Watch { token, limit: lease_left });
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
    assert!(matches!(answer(store, Request::Complete(Arc::new(complete))), Ok(Reply::Completed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_answered_after_its_lease_begins_no_body() {
    for Place { name, store, .. } in &places() {
        for plain in [false, true] {
            let faulty = Faulty::with(store, |profile| {
                profile.guarded = false;
                profile.time_limit = PATIENCE;
            });
            let gate = Gate::default();
            faulty.plan("claim", Fault::HoldAnswer(gate.clone()));
            let call = idem::call("too late").arg(&plain).store(&faulty).lease(Duration::from_millis(50));
            let token = idem::call("too late").arg(&plain).token().unwrap();
            let began = Arc::new(AtomicU32::new(0));
            let body = {
                let began = Arc::clone(&began);
                move || {
                    began.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Error>("too late".to_owned())
                }
            };
            let first = if plain {
                tokio::task::spawn_blocking(move || call.run_blocking(body))
            } else {
                tokio::spawn(call.run(async move { body() }))
            };
            blocking({
                let (faulty, store) = (faulty.clone(), store.clone());
                move || {
                    faulty.wait_for("claim", 1);
                    somebody_else_wins(&store, token);
                }
            })
            .await;
            gate.open();
            assert_eq!(first.await.unwrap().unwrap(), "the winner's", "{name}");
            assert_eq!(began.load(Ordering::SeqCst), 0, "{name}: another attempt's body has run meanwhile");
            assert_eq!(faulty.count("claim"), 2, "{name}: it was asked again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keeper_tells_the_body_that_its_lease_is_lost() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.guarded = false);
        let call = idem::call("told").arg(&1).store(&faulty).lease(Duration::from_millis(90));
        let store = store.clone();
        let told = call.run(async move {
            let attempt = idem::current().unwrap();
            let (token, id) = (attempt.token(), attempt.id());
            let release = Request::Release { token, attempt: id, lease: LONG };
            assert!(matches!(blocking(move || answer(&store, release)).await, Ok(Reply::Released)));
            let told = tokio::time::timeout(PATIENCE, attempt.lost()).await.is_ok();
            Ok::<_, Error>(told && attempt.is_lost())
        });
        assert!(told.await.unwrap(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_fails_is_asked_again() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.guarded = false);
        faulty.plan("renew", Fault::Fail).plan("renew", Fault::Fail);
        let call = idem::call("renewed").arg(&1).store(&faulty).lease(Duration::from_millis(300));
        let seen = faulty.clone();
        let (result, observed) = idem::observe(call.run(async move {
            blocking(move || seen.wait_for("renew", 4)).await;
            Ok::<_, Error>(idem::current().unwrap().is_lost())
        }))
        .await;
        assert!(!result.unwrap(), "{name}");
        assert!(observed.unwrap().recorded, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_max_run_another_attempt_may_begin() {
    for Place { name, store, .. } in &places() {
        let call = || {
            let millis = Duration::from_millis;
            idem::call("max run").arg(&1).store(store).lease(millis(60)).max_run(millis(90)).wait(LONG)
        };
        let (is_in, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = tokio::spawn(call().run({
            let (is_in, may_end) = (Arc::clone(&is_in), Arc::clone(&may_end));
            async move {
                is_in.notify_one();
                may_end.notified().await;
                Ok::<_, Error>(1)
            }
        }));
        is_in.notified().await;
        let second = call().run(async { Ok::<_, Error>(idem::current().unwrap().number()) });
        let second = tokio::time::timeout(PATIENCE, second).await.expect("the first is given up");
        assert_eq!(second.unwrap(), 2, "{name}");
        may_end.notify_one();
        assert_eq!(first.await.unwrap().unwrap(), 2, "{name}: the winner's");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_given_back_meanwhile_is_made_again() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| {
            profile.guarded = false;
            profile.time_limit = PATIENCE;
        });
        let (gate, lease) = (Gate::default(), Duration::from_millis(200));
        faulty.plan("claim", Fault::HoldAnswer(gate.clone()));
        let token = idem::call("given back").arg(&1).token().unwrap();
        let call = idem::call("given back").arg(&1).store(&faulty).lease(lease);
        let call = tokio::spawn(call.run(async { Ok::<_, Error>(idem::current().unwrap().number()) }));
        blocking({
            let (faulty, store) = (faulty.clone(), store.clone());
            move || {
                faulty.wait_for("claim", 1);
                let attempt = common::record(&store, token).unwrap().head.attempt;
                let release = Request::Release { token, attempt, lease: LONG };
                assert!(matches!(answer(&store, release), Ok(Reply::Released)));
                std::thread::sleep(lease);
            }
        })
        .await;
        gate.open();
        assert_eq!(call.await.unwrap().unwrap(), 2, "{name}: as another attempt");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_result_is_not_recorded_its_lease_is_kept() {
    for Place { name, store, .. } in &places() {
        let faulty = Faulty::with(store, |profile| profile.guarded = false);
        // About 1.2 s in all: the lease of 0.3 s would be long over.
        for _ in 0..6 {
            faulty.plan("complete", Fault::Fail);
        }
        let call = |value: u64| {
            let call = idem::call("recorded late").arg(&1).store(&faulty).lease(Duration::from_millis(300));
            call.wait(PATIENCE).run(async move { Ok::<_, Error>(value) })
        };
        let (result, seen) = idem::observe(call(1)).await;
        assert_eq!((result.unwrap(), seen.unwrap().recorded), (1, false), "{name}");
        assert_eq!(call(2).await.unwrap(), 1, "{name}: what ended well is not run again");
    }
}
