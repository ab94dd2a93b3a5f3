//! Generic functions: types, lifetimes, constants, `impl Trait`, `where`.

use std::borrow::Cow;
use std::fmt::{Debug, Display};

use idem::{Error, idempotent};
use serde::{Serialize, de::DeserializeOwned};

use crate::bench::Bench;

#[idempotent(store = &bench.store, skip(bench))]
async fn echo<T>(bench: &Bench, value: T) -> Result<T, Error>
where
    T: Serialize + DeserializeOwned + Debug,
{
    tokio::task::yield_now().await;
    bench.ran();
    Ok(value)
}

#[idempotent(store = &bench.store, skip(bench))]
fn echo_plainly<T: Serialize + DeserializeOwned + Debug>(bench: &Bench, value: T) -> Result<T, Error> {
    bench.ran();
    Ok(value)
}

#[tokio::test]
async fn type_parameters() {
    let bench = Bench::new();
    assert_eq!(once!(bench, echo(&bench, 7_u64).await), 7);
    assert_eq!(once!(bench, echo_plainly(&bench, 7_u64)), 7);
    let list = vec![Some("a".to_owned()), None];
    assert_eq!(once!(bench, echo(&bench, list.clone()).await), list);
}

#[tokio::test]
async fn two_types_do_not_meet() {
    let bench = Bench::new();
    once!(bench, echo(&bench, 7_u64).await);
    once!(bench, echo(&bench, 7_u32).await);
    once!(bench, echo_plainly(&bench, 7_u64));
    once!(bench, echo_plainly(&bench, 7_u32));
    assert_eq!(bench.runs(), 4);
}

#[idempotent(store = &bench.store, skip(bench))]
async fn sum<const N: usize>(bench: &Bench, numbers: [u64; N]) -> Result<u64, Error>
where
    [u64; N]: Serialize,
{
    bench.ran();
    Ok(numbers.iter().sum())
}

#[idempotent(store = &bench.store, skip(bench))]
fn size<const N: usize>(bench: &Bench) -> Result<usize, Error> {
    bench.ran();
    Ok(N)
}

#[tokio::test]
async fn constant_parameters() {
    let bench = Bench::new();
    assert_eq!(once!(bench, sum(&bench, [1, 2, 3]).await), 6);
    assert_eq!(once!(bench, sum(&bench, [1, 2]).await), 3);
    assert_eq!(once!(bench, size::<3>(&bench)), 3);
    assert_eq!(once!(bench, size::<4>(&bench)), 4);
}

#[idempotent(store = &bench.store, skip(bench))]
async fn longest<'a, 'b: 'a>(bench: &Bench, left: &'a str, right: &'b str) -> Result<Cow<'a, str>, Error> {
    bench.ran();
    Ok(Cow::Borrowed(if left.len() < right.len() { right } else { left }))
}

#[tokio::test]
async fn lifetime_parameters() {
    let bench = Bench::new();
    let right = "longer".to_owned();
    assert_eq!(once!(bench, longest(&bench, "left", &right).await), "longer");
}

#[idempotent(store = &bench.store, skip(bench))]
async fn shown(bench: &Bench, what: impl Display + Serialize) -> Result<String, Error> {
    bench.ran();
    Ok(what.to_string())
}

#[idempotent(store = &bench.as_ref().store, skip(bench), key(what))]
fn shown_plainly(
    bench: impl AsRef<Bench>,
    what: impl Display + Serialize,
    more: impl Serialize,
) -> Result<String, Error> {
    let _ = more;
    bench.as_ref().ran();
    Ok(what.to_string())
}

impl AsRef<Bench> for Bench {
    fn as_ref(&self) -> &Bench {
        self
    }
}

#[tokio::test]
async fn impl_trait_arguments() {
    let bench = Bench::new();
    assert_eq!(once!(bench, shown(&bench, 7_u8).await), "7");
    assert_eq!(once!(bench, shown(&bench, 7_u16).await), "7");
    assert_eq!(bench.runs(), 2);
    assert_eq!(once!(bench, shown_plainly(&bench, "x", 1_u8)), "x");
}

struct Repository<'a, T, const N: usize> {
    bench: &'a Bench,
    items: [T; N],
}

impl<T, const N: usize> Repository<'_, T, N>
where
    T: Serialize + DeserializeOwned + Clone + Default,
{
    #[idempotent(store = &self.bench.store, skip(self))]
    async fn item(&self, at: usize) -> Result<T, Error> {
        self.bench.ran();
        Ok(self.items.get(at).cloned().unwrap_or_default())
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    fn converted<U>(&self, at: usize) -> Result<U, Error>
    where
        U: From<T> + Serialize + DeserializeOwned,
    {
        self.bench.ran();
        Ok(U::from(self.items[at].clone()))
    }
}

#[tokio::test]
async fn generic_impls() {
    let bench = Bench::new();
    let small = Repository { bench: &bench, items: [1_u8, 2] };
    let large = Repository { bench: &bench, items: [10_u16, 20] };
    assert_eq!(once!(bench, small.item(1).await), 2);
    assert_eq!(once!(bench, large.item(1).await), 20);
    assert_eq!(once!(bench, small.converted::<u32>(1)), 2);
    assert_eq!(once!(bench, small.converted::<u64>(1)), 2);
    assert_eq!(once!(bench, large.converted::<u64>(1)), 20);
}

#[idempotent(store = &bench.store, skip(bench))]
fn unsized_argument<T: Serialize + ?Sized>(bench: &Bench, value: &T) -> Result<u32, Error> {
    let _ = value;
    Ok(bench.ran())
}

#[test]
fn unsized_arguments() {
    let bench = Bench::new();
    once!(bench, unsized_argument(&bench, "text"));
    once!(bench, unsized_argument(&bench, &[1_u8, 2][..]));
}

#[idempotent(store = &bench.store, skip(bench), name = "generics.named")]
fn named<T: Serialize + DeserializeOwned + Debug>(bench: &Bench, value: T) -> Result<T, Error> {
    bench.ran();
    Ok(value)
}

#[test]
fn two_types_under_one_name_do_not_meet() {
    let bench = Bench::new();
    once!(bench, named(&bench, 7_u64));
    once!(bench, named(&bench, 7_u32));
    assert_eq!(idem::call("generics.named<u64>").arg(&7_u64).token().unwrap(), {
        let seen = idem::observe_blocking(|| named(&bench, 7_u64)).1;
        seen.unwrap().token.unwrap()
    });
}
