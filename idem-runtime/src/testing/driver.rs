//! Drives two calls: one to which something happens, and the next one.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::crash::Options;
use super::process::{Died, Process};
use super::report::{Crash, Got, Point};
use super::store::TestStore;
use crate::call::Outcome;
use crate::call::under::{UnderFuture, within};

/// A call to which nothing happens.
pub(super) struct Whole {
    pub(super) function: String,
    pub(super) suspensions: usize,
}

enum Ran<R> {
    Ended(R),
    Died,
    StandsStill,
}

type Driven<F> = Pin<Box<UnderFuture<F>>>;

fn started<F: Future>(process: &Process, call: F) -> Driven<F> {
    Box::pin(UnderFuture::new(Some(process.under()), call))
}

/// Drives a call until it ends, or its process dies or stands still.
async fn drive<F: Future>(process: &Process, call: &mut Driven<F>) -> Ran<F::Output> {
    poll_fn(|cx| {
        // Honest: whoever has died is dropped, and not looked at any more.
        let poll = |cx: &mut Context<'_>| catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx)));
        match process.drive(cx, poll) {
            (Ok(Poll::Ready(output)), _) => Poll::Ready(Ran::Ended(output)),
            (Ok(Poll::Pending), true) => Poll::Ready(Ran::StandsStill),
            (Ok(Poll::Pending), false) => Poll::Pending,
            (Err(payload), _) if payload.is::<Died>() => Poll::Ready(Ran::Died),
            (Err(payload), _) => resume_unwind(payload),
        }
    })
    .await
}

fn blocking<R>(process: &Process, call: impl FnOnce() -> R) -> Ran<R> {
    match catch_unwind(AssertUnwindSafe(|| within(&process.under(), call))) {
        Ok(output) => Ran::Ended(output),
        Err(payload) if payload.is::<Died>() => Ran::Died,
        Err(payload) => resume_unwind(payload),
    }
}

/// What a call got that has ended.
fn got<R: Outcome>(process: &Process, output: R) -> Got {
    let ok = output.split().is_ok();
    match process.outcome().expect(NONE) {
        "executed" if ok => Got::Executed,
        "executed" => Got::Failed,
        "replayed" => Got::Replayed,
        "interrupted_before" => Got::Refused("interrupted"),
        "store_error" => Got::Refused("store"),
        other => Got::Refused(other),
    }
}

const NONE: &str = "a call of a function that carries `#[idempotent]` is made inside";

fn named(process: &Process) -> Whole {
    let function = process.function().expect(NONE).to_string();
    Whole { function, suspensions: process.suspensions() }
}

/// Once a process is dead, the next call is made when its lease is over.
fn let_lease_end(store: &TestStore, process: &Process) {
    store.advance(process.lease().saturating_add(Duration::from_millis(1)));
}

fn told(
    point: Point,
    store: &TestStore,
    first: (&Process, Got),
    next: (&Process, Got),
    effects: Option<usize>,
) -> Crash {
    let record = next.0.token().and_then(|token| store.record(token));
    Crash {
        point,
        first: first.1,
        next: next.1,
        bodies: first.0.bodies() + next.0.bodies(),
        effects,
        record: record.map(|record| record.head.state),
    }
}

pub(super) async fn whole<F, Fut>(options: &mut Options<'_, F>) -> Whole
where
    F: FnMut() -> Fut,
    Fut: Future,
    Fut::Output: Outcome,
{
    options.before();
    let process = Process::new(&TestStore::new(), None);
    let mut call = started(&process, (options.call)());
    let _ = drive(&process, &mut call).await;
    named(&process)
}

pub(super) fn whole_blocking<F, R>(options: &mut Options<'_, F>) -> Whole
where
    F: FnMut() -> R,
{
    options.before();
    let process = Process::new(&TestStore::new(), None);
    let _ = blocking(&process, &mut options.call);
    named(&process)
}

/// What comes of one crash; nothing if its point was not reached.
pub(super) async fn crash<F, Fut>(options: &mut Options<'_, F>, point: Point) -> Option<Crash>
where
    F: FnMut() -> Fut,
    Fut: Future,
    Fut::Output: Outcome,
{
    options.before();
    let before = options.effects();
    let store = TestStore::new();
    let (one, two) = (Process::new(&store, Some(point)), Process::new(&store, None));
    let mut first = started(&one, (options.call)());
    let stood_still = match (point, point == Point::BeforeClaim) {
        (_, true) => None,
        _ => Some(drive(&one, &mut first).await),
    };
    let mut next = started(&two, (options.call)());
    let (first_got, next_got) = match (stood_still, point) {
        (Some(Ran::StandsStill), Point::Overtaken(_)) => {
            let_lease_end(&store, &one);
            let next_got = ended(&two, &mut next).await;
            one.go_on();
            (ended(&one, &mut first).await, next_got)
        }
        (Some(Ran::StandsStill), Point::GoneAway(_)) => {
            drop(first);
            // With `on_cancel = finish` the body runs on.
            one.go_on();
            (Got::WentAway, ended(&two, &mut next).await)
        }
        (None | Some(Ran::Died | Ran::StandsStill), _) => {
            one.die();
            drop(first);
            let_lease_end(&store, &one);
            (Got::Died, ended(&two, &mut next).await)
        }
        // It ended before it was suspended so often.
        (Some(Ran::Ended(_)), Point::Suspended(_) | Point::GoneAway(_) | Point::Overtaken(_)) => return None,
        (Some(Ran::Ended(output)), _) => {
            drop(first);
            let first_got = got(&one, output);
            (first_got, ended(&two, &mut next).await)
        }
    };
    let effects = options.effects().zip(before).map(|(after, before)| after.saturating_sub(before));
    Some(told(point, &store, (&one, first_got), (&two, next_got), effects))
}

async fn ended<F: Future>(process: &Process, call: &mut Driven<F>) -> Got
where
    F::Output: Outcome,
{
    match drive(process, call).await {
        Ran::Ended(output) => got(process, output),
        Ran::Died | Ran::StandsStill => unreachable!("nothing is to happen to this call any more"),
    }
}

/// As [`crash`], for a plain function.
pub(super) fn crash_blocking<F, R>(options: &mut Options<'_, F>, point: Point) -> Option<Crash>
where
    F: FnMut() -> R,
    R: Outcome,
{
    options.before();
    let before = options.effects();
    let store = TestStore::new();
    let (one, two) = (Process::new(&store, Some(point)), Process::new(&store, None));
    let ran = match point {
        Point::BeforeClaim => Ran::Died,
        _ => blocking(&one, &mut options.call),
    };
    let first_got = match ran {
        Ran::Ended(output) => got(&one, output),
        Ran::Died | Ran::StandsStill => {
            one.die();
            let_lease_end(&store, &one);
            Got::Died
        }
    };
    let next_got = match blocking(&two, &mut options.call) {
        Ran::Ended(output) => got(&two, output),
        Ran::Died | Ran::StandsStill => unreachable!("nothing is to happen to this call any more"),
    };
    let effects = options.effects().zip(before).map(|(after, before)| after.saturating_sub(before));
    Some(told(point, &store, (&one, first_got), (&two, next_got), effects))
}
