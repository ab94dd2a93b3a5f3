//! The store whose clock a test moves, and calls that are put under a store.

use std::time::Duration;

use idem::store::{Asked, IntoStore, Query, Reply, Request, State, Store};
use idem::testing::{TestStore, seen, seen_blocking, under, under_blocking};
use idem::{Error, MemoryStore, OnInterrupt, Timestamp, idempotent};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[idempotent(name = "testing.charge")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

/// A call that is dropped in its body, so that its process seems dead: its store hears nothing of it.
async fn left_running(store: &TestStore) {
    let call = under(store, idem::call("testing.slow").run(std::future::pending::<Result<u64, Error>>()));
    let mut call = Box::pin(call);
    assert!(futures_poll(&mut call).await, "it runs until it is dropped");
    std::mem::forget(call);
}

/// Whether a future is pending after one look.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending()))
        .await
}

async fn slow(store: &TestStore) -> Result<u64, Error> {
    under(store, idem::call("testing.slow").wait(DAY).run(async { Ok(7) })).await
}

#[tokio::test]
async fn a_waiter_is_told_when_the_test_lets_the_lease_end() {
    let store = TestStore::new();
    left_running(&store).await;
    let mut waits = Box::pin(seen(slow(&store)));
    assert!(futures_poll(&mut waits).await, "the lease lasts as long as the clock stands still");
    store.advance(Duration::from_secs(9));
    assert!(futures_poll(&mut waits).await, "not yet");
    store.advance(Duration::from_secs(2));
    let seen = waits.await;
    assert_eq!(seen.output.as_ref().unwrap(), &7);
    assert_eq!(seen.assert_executed().assert_waited().assert_recorded().observed.attempt, 2);
}

#[tokio::test]
async fn only_the_wall_clock_is_set() {
    let store = TestStore::new();
    let seven = || seen(under(&store, charge(7)));
    seven().await.assert_executed();
    left_running(&store).await;

    store.set_wall_clock(store.wall_clock().after(23 * HOUR));
    seven().await.assert_replayed();
    let mut waits = Box::pin(slow(&store));
    assert!(futures_poll(&mut waits).await, "leases do not follow the wall clock");

    store.set_wall_clock(store.wall_clock().after(HOUR));
    seven().await.assert_executed();
    drop(waits);
}

#[tokio::test]
async fn faults_are_asked_again() {
    for operation in ["claim", "complete"] {
        for lost in [false, true] {
            let store = TestStore::new();
            if lost {
                store.lose_next_answer(operation)
            } else {
                store.fail_next(operation)
            }
            seen(under(&store, charge(7))).await.assert_executed();
            assert_eq!(
                store.asked().iter().filter(|asked| **asked == operation).count(),
                2,
                "{:?}",
                store.asked()
            );
            let token = store.requests()[0].token().unwrap();
            assert_eq!(store.record(token).unwrap().head.state, State::Done);
            seen(under(&store, charge(7))).await.assert_replayed();
        }
    }
}

#[test]
fn it_lists_and_purges() {
    let store = TestStore::new();
    for order in 0..5_u64 {
        let call = || idem::call("testing.order").arg(&order).run_blocking(|| Ok::<_, Error>(order));
        under_blocking(&store, call).unwrap();
    }
    let answer = |request| match store.ask(request) {
        Asked::Now(Ok(reply)) => reply,
        other => panic!("{other:?}"),
    };
    let mut query = Query::default();
    query.limit = 3;
    let Reply::Page(first) = answer(Request::List(query.clone().into())) else { panic!() };
    query.cursor = first.next;
    let Reply::Page(second) = answer(Request::List(query.clone().into())) else { panic!() };
    assert_eq!((first.records.len(), second.records.len(), second.next), (3, 2, None));
    query = Query::default();
    query.state = Some(State::Running);
    assert!(matches!(answer(Request::List(query.into())), Reply::Page(page) if page.records.is_empty()));

    assert_eq!(answer(Request::Purge { limit: 10 }), Reply::Purged(0));
    store.advance(DAY);
    assert_eq!(answer(Request::Purge { limit: 3 }), Reply::Purged(3));
    assert_eq!(answer(Request::Purge { limit: 3 }), Reply::Purged(2));
}

/// A call that has a store of its own is under the test's all the same.
#[tokio::test]
async fn a_store_of_the_calls_own_is_not_used() {
    let own = MemoryStore::new();
    let store = TestStore::new();
    let call = || async { idem::call("testing.own").store(&own).run(async { Ok::<_, Error>(1) }).await };
    seen(under(&store, call())).await.assert_executed();
    seen(call()).await.assert_executed();
    seen(under(&store, call())).await.assert_replayed();
    assert_eq!((own.records(), store.asked().len()), (1, 3));
}

/// Of two that are around a call, the inner one counts, and after it the outer one again.
#[test]
fn one_in_another() {
    let (outer, inner) = (MemoryStore::new(), MemoryStore::new());
    let call = || idem::call("testing.inner").run_blocking(|| Ok::<_, Error>(1));
    under_blocking(&outer, || {
        seen_blocking(|| under_blocking(&inner, call)).assert_executed();
        seen_blocking(call).assert_executed();
        seen_blocking(call).assert_replayed();
    });
    assert!(matches!(call(), Err(Error::Misuse { .. })), "it is over");
    assert_eq!((outer.records(), inner.records()), (1, 1));
}

/// What runs on in a task of its own stays under the store, with the calls that it makes.
#[tokio::test]
async fn a_body_in_a_task_of_its_own() {
    let store = TestStore::new().into_store();
    let call = idem::call("testing.task").on_cancel(idem::on_cancel::Finish);
    let body = async {
        tokio::task::yield_now().await;
        charge(7).await
    };
    assert_eq!(under(store.clone(), call.run(body)).await.unwrap(), 7);
    seen(under(store, charge(7))).await.assert_replayed();
}

#[test]
#[should_panic(expected = "the call of testing.refused was to get a stored result")]
fn an_assertion_that_fails_says_what_happened() {
    let store = TestStore::new();
    let call = || {
        let call = idem::call("testing.refused").on_interrupt(OnInterrupt::Reject);
        call.on_duplicate(idem::on_duplicate::Reject).run_blocking(|| Ok::<_, Error>(1))
    };
    seen_blocking(|| under_blocking(&store, call)).assert_executed();
    seen_blocking(|| under_blocking(&store, call)).assert_refused().assert_replayed();
}

/// Its clock begins where nothing of a test has happened yet.
#[test]
fn its_clock() {
    let store = TestStore::new();
    assert!(store.wall_clock() > Timestamp::now());
    let before = store.wall_clock();
    store.advance(HOUR);
    assert_eq!(store.wall_clock().since(before), HOUR);
}
