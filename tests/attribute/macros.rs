//! Functions that are made by `macro_rules!`.

use std::future::Future;
use std::pin::Pin;

use idem::{Error, idempotent};

use crate::bench::Bench;

macro_rules! from_parts {
    ($(#[$attribute:meta])* $vis:vis fn $name:ident($($argument:ident: $ty:ty),*) -> $output:ty $body:block) => {
        $(#[$attribute])*
        #[idempotent(store = &bench.store, skip(bench))]
        $vis fn $name(bench: &Bench, $($argument: $ty),*) -> $output {
            bench.ran();
            $body
        }
    };
}

from_parts! {
    /// Documented.
    pub fn parts(a: u64, b: Vec<(u8,u8)>) -> Result<u64, Error> { Ok(a + b.len() as u64) }
}

#[test]
fn made_of_fragments() {
    let bench = Bench::new();
    assert_eq!(once!(bench, parts(&bench, 1, vec![(1, 2)])), 2);
}

macro_rules! whole_body {
    ($name:ident, $body:block) => {
        #[idempotent(store = &bench.store, skip(bench), on_duplicate = reject)]
        async fn $name(bench: &Bench, a: u64) -> Result<u64, Error> $body
    };
}

whole_body!(body, {
    tokio::task::yield_now().await;
    return Ok(1);
});

#[tokio::test]
async fn made_of_a_whole_body() {
    let bench = Bench::new();
    assert_eq!(body(&bench, 1).await.unwrap(), 1);
    let refused = body(&bench, 1).await.unwrap_err();
    assert_eq!(refused.function(), "attribute::macros::body(a: u64)");
}

macro_rules! annotated {
    ([$($option:tt)*] $item:item) => {
        #[idempotent($($option)*)]
        $item
    };
}

annotated! {
    [store = &bench.store, skip(bench), key(a)]
    fn item(bench: &Bench, a: u64, b: u64) -> Result<u64, Error> {
        bench.ran();
        Ok(a + b)
    }
}

#[test]
fn made_of_an_item() {
    let bench = Bench::new();
    assert_eq!(once!(bench, item(&bench, 1, 2)), 3);
    assert!(matches!(item(&bench, 1, 3), Err(Error::Mismatch { .. })));
}

mod named {
    macro_rules! several {
        ($($name:ident $bench:ident $pair:ident $key:expr, $ttl:literal;)*) => {
            $(#[idem::idempotent(
                store = &$bench.store,
                skip($bench, $pair),
                key($key),
                ttl = $ttl,
                name = concat!("macros.", stringify!($name)),
            )]
            pub async fn $name(
                $bench: &crate::bench::Bench,
                $pair: (u64, u64),
            ) -> Result<String, idem::Error> {
                Ok(format!("{} {:?}", $bench.ran(), $pair))
            })*
        };
    }

    several! {
        left bench pair pair.0, "1h";
        right bench pair pair.1 + 1, "2h";
    }
}

#[tokio::test]
async fn several_from_one_macro() {
    let bench = Bench::new();
    once!(bench, named::left(&bench, (1, 2)).await);
    once!(bench, named::right(&bench, (1, 2)).await);
    once!(bench, named::left(&bench, (2, 2)).await);
    named::right(&bench, (2, 2)).await.unwrap();
    assert_eq!(bench.runs(), 3);
}

macro_rules! of_expressions {
    ($plain:ident, $with_attributes:ident, $boxed:ident, $keyed:ident, $value:expr, $a:ident, $key:expr) => {
        #[idempotent(store = &bench.store, skip(bench))]
        fn $plain(bench: &Bench) -> Result<u64, Error> {
            bench.ran();
            let value = $value * 2;
            Ok(value)
        }

        #[idempotent(store = &bench.store, skip(bench))]
        fn $with_attributes(bench: &Bench) -> Result<u64, Error> {
            #![allow(clippy::let_and_return)]
            bench.ran();
            let value = $value * 2;
            Ok(value)
        }

        #[idempotent(store = &bench.store, skip(bench))]
        fn $boxed(bench: &Bench) -> Pin<Box<dyn Future<Output = Result<u64, Error>> + '_>> {
            let value = $value * 2;
            Box::pin(async move {
                bench.ran();
                Ok(value)
            })
        }

        #[idempotent(store = &bench.store, skip(bench, $a), key($key / 100))]
        fn $keyed(bench: &Bench, $a: u64) -> Result<u64, Error> {
            bench.ran();
            Ok($a)
        }
    };
}

of_expressions!(plain, with_attributes, boxed, keyed, 1 + 2, a, a + 2);

/// What is put in the place of `$value` is one value.
#[tokio::test]
async fn made_of_expressions() {
    let bench = Bench::new();
    assert_eq!(once!(bench, plain(&bench)), 6);
    assert_eq!(once!(bench, with_attributes(&bench)), 6);
    assert_eq!(once!(bench, boxed(&bench).await), 6);
    assert_eq!(once!(bench, keyed(&bench, 1)), 1);
    assert_eq!(keyed(&bench, 2).unwrap(), 1);
}

macro_rules! service {
    ($name:ident, $this:ident => $id:expr) => {
        struct $name {
            id: u64,
            bench: Bench,
        }

        impl $name {
            #[idempotent(store = &self.bench.store, key(self.id, amount))]
            async fn charge(&self, amount: u64) -> Result<u64, Error> {
                Ok(amount + u64::from(self.bench.ran()))
            }

            #[idempotent(store = &$this.bench.store, key($id, amount))]
            fn charge_plainly(&$this, amount: u64) -> Result<u64, Error> {
                Ok(amount + u64::from($this.bench.ran()))
            }
        }
    };
}

service!(Service, self => self.id);

#[tokio::test]
async fn methods_from_macros() {
    let service = Service { id: 1, bench: Bench::new() };
    assert_eq!(once!(service.bench, service.charge(1).await), 2);
    assert_eq!(once!(service.bench, service.charge_plainly(1)), 3);
}
