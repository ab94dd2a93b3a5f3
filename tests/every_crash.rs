//! Functions that die at every point at which they can.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use idem::testing::{Crashes, Got, Point, every_crash, every_crash_blocking};
use idem::{Error, idempotent};

#[allow(dead_code, reason = "the example uses all of it")]
#[path = "../examples/checkout/ledger.rs"]
mod ledger;
#[allow(dead_code, reason = "the example uses all of it")]
#[path = "../examples/checkout/shop.rs"]
mod shop;

/// The function of the example `checkout`: whatever dies, its effect happens at most once, and where nobody knows whether
/// it did, the next call is refused.
#[tokio::test(start_paused = true)]
async fn checkout() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger::Ledger::open(folder.path(), "memory:", true).unwrap();
    let shop = shop::Shop::new(ledger);
    // Its first line says whose it is.
    let charges = || std::fs::read_to_string(shop.ledger().path()).unwrap().lines().count() - 1;

    let crashes = every_crash(|| shop.charge("evt_1", "order_7", 1250, 0)).counting(charges).await;

    println!("{crashes}");
    crashes.assert_at_most(1);
    assert_eq!(crashes.to_string(), CHECKOUT);
}

const CHECKOUT: &str = "\
checkout.charge
| the first call                          | it got       | the next call got    | bodies begun | effects | record      |
| --------------------------------------- | ------------ | -------------------- | ------------ | ------- | ----------- |
| dies before the claim                   | died         | executed: Ok         | 1            | 1       | done        |
| dies with the claim made, unanswered    | died         | refused: interrupted | 0            | 0       | running     |
| the claim's answer is lost              | executed: Ok | replayed             | 1            | 1       | done        |
| dies as the body begins                 | died         | refused: interrupted | 1            | 0       | running     |
| dies in the body, at .await 1           | died         | refused: interrupted | 1            | 0       | running     |
| dies in the body, at .await 2           | died         | refused: interrupted | 1            | 1       | running     |
| the caller goes away at .await 1        | went away    | refused: interrupted | 1            | 0       | interrupted |
| the caller goes away at .await 2        | went away    | refused: interrupted | 1            | 1       | interrupted |
| stands still at .await 1, is taken over | executed: Ok | refused: interrupted | 1            | 1       | done        |
| stands still at .await 2, is taken over | executed: Ok | refused: interrupted | 1            | 1       | done        |
| dies after the body, not recorded       | died         | refused: interrupted | 1            | 1       | running     |
| dies after the body, recorded           | died         | replayed             | 1            | 1       | done        |
| the recording's answer is lost          | executed: Ok | replayed             | 1            | 1       | done        |
| dies after the call                     | executed: Ok | replayed             | 1            | 1       | done        |
";

fn effects() -> (Arc<AtomicUsize>, impl Fn() -> usize) {
    let effects = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&effects);
    (effects, move || counted.load(Ordering::SeqCst))
}

/// A function that must not repeat what it does, and has forgotten to say so.
#[idempotent(name = "parcels.send", skip(sent))]
async fn send(parcel: u64, sent: &AtomicUsize) -> Result<u64, Error> {
    tokio::task::yield_now().await;
    sent.fetch_add(1, Ordering::SeqCst);
    tokio::task::yield_now().await;
    Ok(parcel)
}

#[tokio::test]
async fn an_effect_that_is_not_repeatable_is_caught() {
    let (sent, counted) = effects();
    let crashes = every_crash(|| send(7, &sent)).counting(counted).await;
    println!("{crashes}");

    let caught = catch_unwind(AssertUnwindSafe(|| crashes.assert_at_most(1)));
    let message = *caught.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("parcels.send does more than 1 time(s) what it does"), "{message}");
    for at in [Point::Suspended(2), Point::GoneAway(2), Point::Overtaken(2), Point::BeforeComplete] {
        assert_eq!(row(&crashes, at).effects, Some(2), "{at}");
        assert!(message.contains(&at.to_string()), "{message}");
    }
    // Before its effect it may die and run again.
    for at in [Point::Claimed, Point::BodyBegun, Point::Suspended(1), Point::GoneAway(1)] {
        assert_eq!(row(&crashes, at).effects, Some(1), "{at}");
    }
    // It never has to wait for a person.
    crashes.assert_never_refused();
}

/// The same, once it says so.
#[idempotent(name = "parcels.send_once", skip(sent), on_interrupt = reject)]
async fn send_once(parcel: u64, sent: &AtomicUsize) -> Result<u64, Error> {
    tokio::task::yield_now().await;
    sent.fetch_add(1, Ordering::SeqCst);
    tokio::task::yield_now().await;
    Ok(parcel)
}

#[tokio::test]
async fn with_reject_it_is_not_repeated_and_a_person_has_to_look() {
    let (sent, counted) = effects();
    let crashes = every_crash(|| send_once(7, &sent)).counting(counted).await;
    crashes.assert_at_most(1);
    let refused = catch_unwind(AssertUnwindSafe(|| crashes.assert_never_refused()));
    let message = *refused.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("the next call of parcels.send_once is refused"), "{message}");
    assert_eq!(row(&crashes, Point::Suspended(1)).next, Got::Refused("interrupted"));
    // What was overtaken ends all the same, and is recorded.
    let overtaken = row(&crashes, Point::Overtaken(2));
    assert_eq!((overtaken.first, overtaken.next), (Got::Executed, Got::Refused("interrupted")));
    assert_eq!(overtaken.record, Some(idem::store::State::Done));
}

/// A body that goes on when its caller goes away.
#[idempotent(name = "parcels.finish", skip(sent), on_interrupt = reject, on_cancel = finish)]
async fn finish(parcel: u64, sent: Arc<AtomicUsize>) -> Result<u64, Error> {
    tokio::task::yield_now().await;
    sent.fetch_add(1, Ordering::SeqCst);
    tokio::task::yield_now().await;
    Ok(parcel)
}

async fn finishing() {
    let (sent, counted) = effects();
    let crashes = every_crash(|| finish(7, Arc::clone(&sent))).counting(counted).await;
    println!("{crashes}");
    crashes.assert_at_most(1);
    for at in 1..=2 {
        let gone = row(&crashes, Point::GoneAway(at));
        assert_eq!((gone.next, gone.effects), (Got::Replayed, Some(1)), "the body ran on");
        assert_eq!(row(&crashes, Point::Suspended(at)).next, Got::Refused("interrupted"));
    }
}

#[tokio::test]
async fn a_body_that_finishes() {
    finishing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_finishes_on_another_thread() {
    finishing().await;
}

/// An `Err` that frees the token: the next call runs the body.
#[tokio::test]
async fn a_body_that_fails() {
    let run = || async {
        idem::call("parcels.fail").run(async { Err::<(), _>("nobody at home".to_owned()) }).await
    };
    let crashes = every_crash(run).await;
    println!("{crashes}");
    let after = row(&crashes, Point::Over);
    assert_eq!((after.first, after.next, after.bodies), (Got::Failed, Got::Failed, 2));
    assert_eq!(after.effects, None);
    assert!(crashes.crashes().iter().all(|crash| !matches!(crash.point, Point::Suspended(_))));
}

#[test]
fn plain_functions() {
    let sent = Cell::new(0);
    let prepared = Cell::new(0);
    let send = || {
        let call = idem::call("parcels.plain").on_interrupt(idem::OnInterrupt::Reject);
        call.run_blocking(|| {
            sent.set(sent.get() + 1);
            Ok::<_, Error>(())
        })
    };
    let crashes = every_crash_blocking(send).counting(|| sent.get());
    let crashes = crashes.before_each(|| prepared.set(prepared.get() + 1)).run();
    println!("{crashes}");
    crashes.assert_at_most(1);
    let points: Vec<_> = crashes.crashes().iter().map(|crash| crash.point).collect();
    assert_eq!(
        points,
        [
            Point::BeforeClaim,
            Point::Claimed,
            Point::ClaimAnswerLost,
            Point::BodyBegun,
            Point::BeforeComplete,
            Point::Completed,
            Point::CompleteAnswerLost,
            Point::Over
        ]
    );
    assert_eq!(prepared.get(), points.len() + 1);
    assert_eq!(row(&crashes, Point::Completed).next, Got::Replayed);
}

/// A function that calls another one: the first call is looked at, and the other one is under the same store.
#[tokio::test]
async fn calls_in_bodies() {
    #[idempotent(name = "parcels.label")]
    async fn label(parcel: u64) -> Result<u64, Error> {
        tokio::task::yield_now().await;
        Ok(parcel)
    }
    #[idempotent(name = "parcels.pack")]
    async fn pack(parcel: u64) -> Result<u64, Error> {
        label(parcel).await
    }
    let crashes = every_crash(|| pack(7)).await;
    println!("{crashes}");
    assert_eq!(row(&crashes, Point::Over).bodies, 1);
    assert_eq!(row(&crashes, Point::Suspended(1)).bodies, 2);
}

#[tokio::test]
#[should_panic(expected = "a call of a function that carries `#[idempotent]` is made inside")]
async fn without_a_call() {
    let _ = every_crash(|| async {
        tokio::time::sleep(Duration::ZERO).await;
        Ok::<_, Error>(())
    })
    .await;
}

fn row(crashes: &Crashes, point: Point) -> &idem::testing::Crash {
    let found = crashes.crashes().iter().find(|crash| crash.point == point);
    found.unwrap_or_else(|| panic!("{point} is not looked at:\n{crashes}"))
}
