//! Every point at which a call can die.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use super::driver;
use super::report::{Crashes, Point};
use crate::call::Outcome;

/// Makes the call again and again, lets it die at another point each time, and tells how often the body ran and what the
/// next call got.
///
/// `call` makes the call, always the same one. Each time there is a new, empty store, and the call is put under it whatever
/// store it has of its own. The first call of an annotated function inside is looked at.
///
/// | the first call | how |
/// | --- | --- |
/// | dies before the claim, with the claim made, as the body begins, at each `.await` at which the body is suspended, after the body and before or after it is recorded, after the call | as a killed process: the store hears nothing more; the next call is made once the lease is over |
/// | loses the answer to its claim, or to what it tells the store at its end | it asks again |
/// | goes away at each `.await` | its future is dropped, as when a client hangs up |
/// | stands still at each `.await` until it is taken over | its lease is over, the next call is made, and then it goes on |
///
/// A process that dies runs no destructors; here the body's are run, for what it holds is needed again. At most 50
/// suspensions of a body are looked at. The body runs some times for each of them, on the real clock: let it not sleep long.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
/// use idem::testing::every_crash;
///
/// static CHARGED: AtomicUsize = AtomicUsize::new(0);
///
/// #[idem::idempotent(name = "orders.charge", on_interrupt = reject)]
/// async fn charge(order_id: u64) -> Result<u64, idem::Error> {
///     CHARGED.fetch_add(1, Relaxed); // the card is charged
///     tokio::task::yield_now().await;
///     Ok(order_id)
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let crashes = every_crash(|| charge(7)).counting(|| CHARGED.load(Relaxed)).await;
/// println!("{crashes}");
/// crashes.assert_at_most(1); // with `on_interrupt = retry` this fails: what died in its body runs again
/// # }
/// ```
pub fn every_crash<'a, F, Fut>(call: F) -> EveryCrash<'a, F>
where
    F: FnMut() -> Fut,
    Fut: Future,
    Fut::Output: Outcome,
{
    EveryCrash(Options { call, effects: None, before: None })
}

/// As [`every_crash`], for plain functions, whose bodies cannot be stopped in their middle: they die as they begin and
/// after they have ended.
///
/// ```
/// use idem::testing::every_crash_blocking;
///
/// let charge = || {
///     let call = idem::call("orders.charge").arg(&7_u64);
///     call.on_interrupt(idem::OnInterrupt::Reject).run_blocking(|| Ok::<_, idem::Error>(1250))
/// };
/// every_crash_blocking(charge).run().assert_at_most(1);
/// ```
pub fn every_crash_blocking<'a, F, R>(call: F) -> EveryCrashBlocking<'a, F>
where
    F: FnMut() -> R,
    R: Outcome,
{
    EveryCrashBlocking(Options { call, effects: None, before: None })
}

/// The crashes of an async function, before they happen: await it.
#[must_use = "nothing crashes unless it is awaited"]
pub struct EveryCrash<'a, F>(Options<'a, F>);

/// The crashes of a plain function, before they happen: see [`EveryCrashBlocking::run`].
#[must_use = "nothing crashes unless it is run"]
pub struct EveryCrashBlocking<'a, F>(Options<'a, F>);

pub(super) struct Options<'a, F> {
    pub(super) call: F,
    pub(super) effects: Option<Box<dyn FnMut() -> usize + 'a>>,
    pub(super) before: Option<Box<dyn FnMut() + 'a>>,
}

impl<F> Options<'_, F> {
    pub(super) fn effects(&mut self) -> Option<usize> {
        self.effects.as_mut().map(|effects| effects())
    }

    pub(super) fn before(&mut self) {
        if let Some(before) = &mut self.before {
            before();
        }
    }
}

macro_rules! options {
    ($($name:ident)*) => {
        $(impl<'a, F> $name<'a, F> {
            /// Counts the effects: `effects` gives how many there have been so far (rows in a ledger, charges at a simulated
            /// provider). The table and [`Crashes::assert_at_most`] then tell of effects and not only of bodies.
            pub fn counting(mut self, effects: impl FnMut() -> usize + 'a) -> Self {
                self.0.effects = Some(Box::new(effects));
                self
            }

            /// Runs this before each pair of calls: for what the function finds done from the pair before.
            pub fn before_each(mut self, before: impl FnMut() + 'a) -> Self {
                self.0.before = Some(Box::new(before));
                self
            }
        }

        impl<F> fmt::Debug for $name<'_, F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}

options! { EveryCrash EveryCrashBlocking }

impl<'a, F, Fut> IntoFuture for EveryCrash<'a, F>
where
    F: FnMut() -> Fut + 'a,
    Fut: Future + 'a,
    Fut::Output: Outcome,
{
    type Output = Crashes;
    type IntoFuture = Pin<Box<dyn Future<Output = Crashes> + 'a>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let whole = driver::whole(&mut self.0).await;
            let mut crashes = Vec::new();
            for point in points(whole.suspensions.min(MOST)) {
                crashes.extend(driver::crash(&mut self.0, point).await);
            }
            Crashes { function: whole.function, crashes }
        })
    }
}

/// So many suspensions of a body are looked at.
const MOST: usize = 50;

fn points(suspensions: usize) -> impl Iterator<Item = Point> {
    let at_each = |point: fn(usize) -> Point| (1..=suspensions).map(point);
    let before = [Point::BeforeClaim, Point::Claimed, Point::ClaimAnswerLost, Point::BodyBegun];
    let after = [Point::BeforeComplete, Point::Completed, Point::CompleteAnswerLost, Point::Over];
    let within = at_each(Point::Suspended).chain(at_each(Point::GoneAway)).chain(at_each(Point::Overtaken));
    before.into_iter().chain(within).chain(after)
}

impl<F, R> EveryCrashBlocking<'_, F>
where
    F: FnMut() -> R,
    R: Outcome,
{
    /// Lets it crash everywhere.
    ///
    /// # Panics
    /// As the function does; if it makes no call; and where the program was compiled with `panic = "abort"`.
    pub fn run(mut self) -> Crashes {
        let whole = driver::whole_blocking(&mut self.0);
        let crashes = points(0).filter_map(|point| driver::crash_blocking(&mut self.0, point)).collect();
        Crashes { function: whole.function, crashes }
    }
}
