//! Nothing that the user calls something changes what the attribute writes, and nothing that it writes is seen
//! by the user's code.

use crate::bench::Bench;

#[idem::idempotent(store = &bench.store, skip(bench))]
#[allow(clippy::too_many_arguments)]
async fn argument_names(
    bench: &Bench,
    key: u8,
    token: u8,
    store: u8,
    result: u8,
    call: u8,
    __call: u8,
    __output: u8,
    __arg1: u8,
    (__arg2, __site): (u8, u8),
    body: u8,
    error: u8,
    args: u8,
) -> Result<u8, idem::Error> {
    bench.ran();
    tokio::task::yield_now().await;
    let named = key + token + store + result + call + __call + __output;
    Ok(named + __arg1 + __arg2 + __site + body + error + args)
}

#[idem::idempotent(
    store = store,
    skip(bench, store),
    key(key, token.0, result),
    scope = scope,
)]
#[allow(clippy::too_many_arguments)]
fn argument_names_plainly(
    bench: &Bench,
    store: &idem::MemoryStore,
    key: u8,
    token: (u8,),
    result: u8,
    scope: &str,
    __call: u8,
    __output: u8,
) -> Result<u8, idem::Error> {
    bench.ran();
    Ok(key + token.0 + result + scope.len() as u8 + __call + __output)
}

#[tokio::test]
async fn names_of_arguments() {
    let bench = Bench::new();
    let call = || argument_names(&bench, 1, 1, 1, 1, 1, 1, 1, 1, (1, 1), 1, 1, 1);
    assert_eq!(once!(bench, call().await), 13);
    let call = || argument_names_plainly(&bench, &bench.store, 1, (1,), 1, "s", 1, 1);
    assert_eq!(once!(bench, call()), 6);
}

/// Modules, types, functions, macros and traits that are called like what the attribute writes about.
mod local {
    #![allow(dead_code, unused_macros)]

    use crate::bench::Bench;

    mod core {}
    mod std {}
    mod alloc {}
    mod idem {}
    mod serde {}

    pub struct Option;
    pub struct Result;
    pub struct String;
    pub struct Some;
    pub struct Duration;
    pub struct Site;
    pub struct Options;
    pub struct Call;
    pub struct Probe;
    pub trait Part {}
    pub trait Future {}
    pub trait Send {}
    pub const __SITE: u8 = 1;
    pub const __CALL: u8 = 1;

    pub fn here() {}
    pub fn call() {}
    pub fn probe(_: Probe) -> u8 {
        1
    }

    macro_rules! file {
        () => {
            compile_error!("the user's own macro was called")
        };
    }
    macro_rules! line {
        () => {
            compile_error!("the user's own macro was called")
        };
    }
    macro_rules! column {
        () => {
            compile_error!("the user's own macro was called")
        };
    }

    /// Methods of every name that the attribute calls, for every type.
    pub trait Everything: Sized {
        fn arg(self) {}
        fn verify(self) {}
        fn key(self) {}
        fn store(self) {}
        fn ttl(self) {}
        fn scope(self) {}
        fn run(self) {}
        fn run_blocking(self) {}
        fn part(self) {}
        fn at(self) {}
        fn on_error(self) {}
    }

    impl<T> Everything for T {}

    pub type Outcome<T> = ::std::result::Result<T, ::idem::Error>;

    #[::idem::idempotent(
        store = &bench.store, skip(bench), scope = __SITE, ttl = "1h", on_error = interrupt,
        key(a, probe(Probe) + __SITE + __CALL + a, (a, b)),
    )]
    pub async fn asynchronous(bench: &Bench, a: u8, b: u8) -> Outcome<u8> {
        bench.ran();
        self::core_is_ours().await;
        Outcome::Ok(a + b)
    }

    async fn core_is_ours() {}

    #[::idem::idempotent(store = &bench.store, skip(bench), ttl = "1h")]
    pub fn plain(bench: &Bench, (a, b): (u8, u8)) -> Outcome<u8> {
        bench.ran();
        Outcome::Ok(a + b)
    }
}

#[tokio::test]
async fn names_of_items() {
    let bench = Bench::new();
    assert_eq!(once!(bench, local::asynchronous(&bench, 1, 2).await), 3);
    assert_eq!(once!(bench, local::plain(&bench, (1, 2))), 3);
}

mod raw {
    pub mod r#async {
        use crate::bench::Bench;

        #[idem::idempotent(store = &bench.store, skip(bench), key(r#type, r#in.r#match))]
        pub fn r#fn(bench: &Bench, r#type: u8, r#in: &super::Raw) -> Result<u8, idem::Error> {
            bench.ran();
            Ok(r#type + r#in.r#match)
        }
    }

    #[derive(serde::Serialize)]
    pub struct Raw {
        pub r#match: u8,
    }
}

#[test]
fn raw_names() {
    let bench = Bench::new();
    let number = raw::Raw { r#match: 2 };
    assert_eq!(once!(bench, raw::r#async::r#fn(&bench, 1, &number)), 3);
}

mod bare {
    #![no_implicit_prelude]

    use crate::bench::Bench;

    #[::idem::idempotent(
        store = &bench.store, skip(bench), key(a), name = "hygiene.bare", ttl = "1h",
        on_running = wait, on_error = interrupt, max_result = "1 KiB"
    )]
    pub async fn asynchronous(
        bench: &Bench,
        a: u8,
        (b, _): (u8, u8),
    ) -> ::core::result::Result<u8, ::idem::Error> {
        bench.ran();
        ::core::result::Result::Ok(a + b)
    }

    #[::idem::idempotent(store = &bench.store, skip(bench), record_arguments)]
    pub fn plain(bench: &Bench, a: u8) -> ::core::result::Result<u8, ::idem::Error> {
        bench.ran();
        ::core::result::Result::Ok(a)
    }
}

#[tokio::test]
async fn without_the_prelude() {
    let bench = Bench::new();
    assert_eq!(once!(bench, bare::asynchronous(&bench, 1, (2, 3)).await), 3);
    assert_eq!(once!(bench, bare::plain(&bench, 1)), 1);
}
