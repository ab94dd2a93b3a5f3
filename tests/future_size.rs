//! How large the future of an annotated function is: no more than the plain one's and 256 bytes, where the plain one
//! holds the arguments over an await; where it does not, at most one more copy of them.

use std::hint::black_box;

use idem::{Error, MemoryStore, idempotent, on_error};

const BESIDE: usize = 256;

async fn pause() {
    std::future::ready(()).await;
}

fn used<T>(_: T) -> u64 {
    black_box(1)
}

/// The sizes of two functions with one argument and one body: the annotated one and the plain one.
macro_rules! sizes {
    ($size:literal, $bytes:ident => $body:block) => {{
        #[idempotent(name = "future_size", skip($bytes))]
        async fn annotated($bytes: [u8; $size]) -> Result<u64, Error> $body

        async fn plain($bytes: [u8; $size]) -> Result<u64, Error> $body

        Sizes { argument: $size, annotated: size_of_val(&annotated([0; $size])), plain: size_of_val(&plain([0; $size])) }
    }};
}

/// The same for arguments of several sizes.
macro_rules! all_sizes {
    ($bytes:ident => $body:block) => {
        [
            sizes!(8, $bytes => $body),
            sizes!(64, $bytes => $body),
            sizes!(256, $bytes => $body),
            sizes!(1024, $bytes => $body),
            sizes!(4096, $bytes => $body),
        ]
    };
}

#[derive(Debug)]
struct Sizes {
    argument: usize,
    annotated: usize,
    plain: usize,
}

impl Sizes {
    #[track_caller]
    fn at_most_more(&self, copies: usize) {
        let most = self.plain + copies * self.argument + BESIDE;
        assert!(self.annotated <= most, "{self:?}: more than {most}");
    }
}

#[test]
fn an_argument_that_is_held_over_an_await() {
    for sizes in all_sizes!(bytes => {
        pause().await;
        Ok(used(&bytes))
    }) {
        sizes.at_most_more(0);
    }
}

#[test]
fn an_argument_that_is_moved_after_an_await() {
    for sizes in all_sizes!(bytes => {
        pause().await;
        Ok(used(bytes))
    }) {
        sizes.at_most_more(0);
    }
}

#[test]
fn an_argument_that_is_moved_before_the_await() {
    for sizes in all_sizes!(bytes => {
        let number = used(bytes);
        pause().await;
        Ok(number)
    }) {
        sizes.at_most_more(1);
    }
}

#[test]
fn an_argument_that_is_never_named() {
    for sizes in all_sizes!(_bytes => {
        pause().await;
        Ok(1)
    }) {
        sizes.at_most_more(1);
    }
}

#[test]
fn a_body_without_an_await() {
    for sizes in all_sizes!(bytes => { Ok(used(&bytes)) }) {
        sizes.at_most_more(1);
    }
}

#[test]
fn arguments_that_make_the_token() {
    #[idempotent(name = "future_size.token", key(order), on_error = with(judge), store = &store, skip(store))]
    async fn annotated(
        store: MemoryStore,
        order: u64,
        who: String,
        amount_cents: u64,
    ) -> Result<String, Error> {
        pause().await;
        Ok(format!("{order} {who} {amount_cents} {store:?}"))
    }

    async fn plain(store: MemoryStore, order: u64, who: String, amount_cents: u64) -> Result<String, Error> {
        pause().await;
        Ok(format!("{order} {who} {amount_cents} {store:?}"))
    }

    fn judge(_: &Error) -> idem::OnError {
        idem::OnError::Release
    }

    let sizes = Sizes {
        argument: 0,
        annotated: size_of_val(&annotated(MemoryStore::new(), 1, String::new(), 2)),
        plain: size_of_val(&plain(MemoryStore::new(), 1, String::new(), 2)),
    };
    sizes.at_most_more(0);
}

#[test]
fn what_the_body_awaits_is_there_once() {
    async fn awaits(bytes: [u8; 2048]) -> Result<u64, Error> {
        pause().await;
        Ok(used(&bytes))
    }

    #[idempotent(name = "future_size.awaits")]
    async fn annotated() -> Result<u64, Error> {
        awaits([0; 2048]).await
    }

    async fn plain() -> Result<u64, Error> {
        awaits([0; 2048]).await
    }

    let sizes = Sizes { argument: 0, annotated: size_of_val(&annotated()), plain: size_of_val(&plain()) };
    sizes.at_most_more(0);
}

#[test]
fn the_result_is_not_there_before_it_is() {
    #[idempotent(name = "future_size.result")]
    async fn annotated() -> Result<Vec<[u64; 4]>, Error> {
        pause().await;
        Ok(Vec::new())
    }

    async fn plain() -> Result<Vec<[u64; 4]>, Error> {
        pause().await;
        Ok(Vec::new())
    }

    let sizes = Sizes { argument: 0, annotated: size_of_val(&annotated()), plain: size_of_val(&plain()) };
    sizes.at_most_more(0);
}

#[test]
fn the_builder() {
    let plain = async { Ok::<_, Error>(used(())) };
    let plain_size = size_of_val(&plain);
    let call = idem::call("future_size.builder").arg(&1_u64).on_error(on_error::Interrupt).run(plain);
    let sizes = Sizes { argument: 0, annotated: size_of_val(&call), plain: plain_size };
    sizes.at_most_more(0);
}
