//! What an `Err` of the body means: every value of `on_error`.

use idem::{Error, OnError, idempotent};

use crate::bench::Bench;

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
enum Failure {
    Declined,
    Unknown,
    Refused(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = format!("{error:?}");
        Failure::Refused(text.split(' ').next().unwrap_or_default().to_owned())
    }
}

impl Failure {
    fn judge(&self) -> OnError {
        match self {
            Failure::Unknown => OnError::Interrupt,
            _ => OnError::Release,
        }
    }
}

fn keep_declined(failure: &Failure) -> Option<OnError> {
    match failure {
        Failure::Declined => None,
        other => Some(other.judge()),
    }
}

fn refused(by: &str) -> Failure {
    Failure::Refused(by.to_owned())
}

/// The same function for each value, `async` and plain, as a method of a service.
macro_rules! service {
    ($name:ident: $($option:tt)*) => {
        struct $name(Bench);

        impl $name {
            #[idempotent(store = &self.0.store, skip(self, failure), $($option)*)]
            async fn charge(&self, order: u64, failure: Option<Failure>) -> Result<u64, Failure> {
                self.0.ran();
                tokio::task::yield_now().await;
                failure.map_or(Ok(order), Err)
            }

            #[idempotent(store = &self.0.store, skip(self, failure), $($option)*)]
            fn charge_plainly(&self, order: u64, failure: Option<Failure>) -> Result<u64, Failure> {
                self.0.ran();
                failure.map_or(Ok(order), Err)
            }
        }
    };
}

service!(ByDefault: ttl = "1h");
service!(Release: on_error = release);
service!(Store: on_error = store);
service!(Interrupt: on_error = interrupt, on_interrupt = reject);
service!(InterruptRetry: on_error = interrupt, on_interrupt = retry);
service!(With: on_error = with(Failure::judge), on_interrupt = reject);
service!(StoreOr: on_error = store_or(keep_declined), on_interrupt = reject);
service!(Closure: on_error = with(|failure: &Failure| failure.judge()), on_interrupt = reject);

/// Fails, then is asked again and would succeed: what the second caller gets, from both functions.
macro_rules! after {
    ($service:ident, $failure:expr) => {{
        let service = $service(Bench::new());
        let failure = $failure;
        let first = service.charge(1, Some(failure.clone())).await;
        assert_eq!(first, Err(failure.clone()));
        let second = service.charge(1, None).await;
        let first = service.charge_plainly(1, Some(failure.clone()));
        assert_eq!(first, Err(failure));
        assert_eq!(service.charge_plainly(1, None), second);
        second
    }};
}

#[tokio::test]
async fn release_is_the_default() {
    assert_eq!(after!(ByDefault, Failure::Declined), Ok(1));
    assert_eq!(after!(Release, Failure::Unknown), Ok(1));
}

#[tokio::test]
async fn store_replays_the_error() {
    assert_eq!(after!(Store, Failure::Declined), Err(Failure::Declined));
    assert_eq!(after!(Store, refused("x")), Err(refused("x")));
}

#[tokio::test]
async fn interrupt_means_that_the_outcome_is_unknown() {
    assert_eq!(after!(Interrupt, Failure::Declined), Err(refused("Interrupted")));
    assert_eq!(after!(InterruptRetry, Failure::Declined), Ok(1));
}

#[tokio::test]
async fn with_decides_for_each_error() {
    assert_eq!(after!(With, Failure::Declined), Ok(1));
    assert_eq!(after!(With, Failure::Unknown), Err(refused("Interrupted")));
    assert_eq!(after!(Closure, Failure::Declined), Ok(1));
    assert_eq!(after!(Closure, Failure::Unknown), Err(refused("Interrupted")));
}

#[tokio::test]
async fn store_or_keeps_or_decides() {
    assert_eq!(after!(StoreOr, Failure::Declined), Err(Failure::Declined));
    assert_eq!(after!(StoreOr, Failure::Unknown), Err(refused("Interrupted")));
    assert_eq!(after!(StoreOr, refused("x")), Ok(1));
}
