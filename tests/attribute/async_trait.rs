//! Methods under `#[async_trait]`, and other functions that return their future in a box.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use idem::{Error, idempotent};
use serde::{Serialize, de::DeserializeOwned};

use crate::bench::Bench;

#[async_trait]
trait Pay: Sync {
    fn bench(&self) -> &Bench;

    async fn pay(&self, amount: u64, who: &str) -> Result<u32, Error>;

    async fn keyed(&mut self, amount: u64, note: String) -> Result<u64, Error>;

    async fn pattern(&self, pair: (u64, u64), more: &[u8]) -> Result<u64, Error>;

    async fn generic<T>(&self, value: T) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send + Sync + Clone + 'static;

    async fn shared(self: Arc<Self>, amount: u64) -> Result<u32, Error>;

    async fn fails(&self, text: &str) -> Result<u64, String>;

    #[idempotent(store = &self.bench().store, skip(self))]
    async fn default(&self, amount: u64) -> Result<u32, Error> {
        let _ = amount;
        Ok(self.bench().ran())
    }

    #[idempotent(store = &bench.store, skip(bench))]
    async fn receiverless(bench: &Bench, amount: u64) -> Result<u32, Error>
    where
        Self: Sized,
    {
        let _ = amount;
        Ok(bench.ran())
    }
}

struct Card {
    id: u64,
    total: u64,
    bench: Bench,
}

impl Card {
    fn new(id: u64) -> Self {
        Card { id, total: 0, bench: Bench::new() }
    }
}

#[async_trait]
impl Pay for Card {
    fn bench(&self) -> &Bench {
        &self.bench
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    async fn pay(&self, mut amount: u64, who: &str) -> Result<u32, Error> {
        tokio::task::yield_now().await;
        amount += who.len() as u64;
        let _ = amount;
        Ok(self.bench.ran())
    }

    #[idempotent(store = &self.bench.store, key(self.id, amount))]
    async fn keyed(&mut self, amount: u64, note: String) -> Result<u64, Error> {
        self.bench.ran();
        self.total += amount + note.len() as u64;
        Ok(self.total)
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    async fn pattern(&self, (a, mut b): (u64, u64), more: &[u8]) -> Result<u64, Error> {
        b += u64::from(self.bench.ran());
        Ok(a + b + more.len() as u64)
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    async fn generic<T>(&self, value: T) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send + Sync + Clone + 'static,
    {
        self.bench.ran();
        Ok(value.clone())
    }

    #[idempotent(store = &self.bench.store, skip(self), on_cancel = finish)]
    async fn shared(self: Arc<Self>, amount: u64) -> Result<u32, Error> {
        let _ = amount;
        tokio::task::yield_now().await;
        Ok(self.bench.ran())
    }

    #[idempotent(store = &self.bench.store, skip(self), on_error = store)]
    async fn fails(&self, text: &str) -> Result<u64, String> {
        self.bench.ran();
        let number = text.parse::<u64>().map_err(|why| why.to_string())?;
        if number == 0 {
            return Err("nothing".to_owned());
        }
        Ok(number)
    }
}

#[tokio::test]
async fn methods_under_async_trait() {
    let card = Card::new(1);
    assert_eq!(once!(card.bench, card.pay(10, "ann").await), 1);
    assert_eq!(once!(card.bench, card.pay(10, "bob").await), 2);
}

#[tokio::test]
async fn key_under_async_trait() {
    let mut card = Card::new(1);
    assert_eq!(once!(card.bench, card.keyed(10, "note".to_owned()).await), 14);
    let other = card.keyed(10, "other".to_owned()).await;
    assert!(matches!(other, Err(Error::Mismatch { argument, .. }) if &*argument == "note"));
    card.id = 2;
    assert_eq!(once!(card.bench, card.keyed(10, "note".to_owned()).await), 28);
}

#[tokio::test]
async fn patterns_under_async_trait() {
    let card = Card::new(1);
    assert_eq!(once!(card.bench, card.pattern((1, 2), b"abc").await), 7);
    assert_eq!(once!(card.bench, card.pattern((2, 2), b"abc").await), 9);
}

#[tokio::test]
async fn generics_under_async_trait() {
    let card = Card::new(1);
    assert_eq!(once!(card.bench, card.generic(1_u8).await), 1);
    assert_eq!(once!(card.bench, card.generic(1_u16).await), 1);
    assert_eq!(once!(card.bench, card.generic("a".to_owned()).await), "a".to_owned());
    assert_eq!(card.bench.runs(), 3);
}

#[tokio::test]
async fn default_methods_under_async_trait() {
    let card = Card::new(1);
    assert_eq!(once!(card.bench, card.default(10).await), 1);
    assert_eq!(once!(card.bench, Card::receiverless(&card.bench, 10).await), 2);
}

#[tokio::test]
async fn on_cancel_finish_under_async_trait() {
    let card = Arc::new(Card::new(1));
    assert_eq!(once!(card.bench, card.clone().shared(10).await), 1);
}

#[tokio::test]
async fn errors_under_async_trait() {
    let card = Card::new(1);
    assert_eq!(once!(card.bench, card.fails("7").await), 7);
    for (text, error) in [("0", "nothing"), ("x", "invalid digit found in string")] {
        let before = card.bench.runs();
        assert_eq!(card.fails(text).await.unwrap_err(), error);
        assert_eq!(card.fails(text).await.unwrap_err(), error);
        assert_eq!(card.bench.runs() - before, 1);
    }
}

#[tokio::test]
async fn as_a_trait_object() {
    #[async_trait]
    trait Small {
        async fn small(&self, a: u8) -> Result<u32, Error>;
    }
    #[async_trait]
    impl Small for Card {
        #[idempotent(store = &self.bench.store, key(a, self.id))]
        async fn small(&self, a: u8) -> Result<u32, Error> {
            Ok(self.bench.ran() - u32::from(a))
        }
    }
    let card = Card::new(1);
    let object: &dyn Small = &card;
    assert_eq!(once!(card.bench, object.small(1).await), 0);
}

#[async_trait(?Send)]
trait Local {
    async fn local(&self, a: std::rc::Rc<u8>) -> Result<u32, Error>;
}

#[async_trait(?Send)]
impl Local for Bench {
    #[idempotent(store = &self.store, key(self.store.clone().profile_name(), *a))]
    async fn local(&self, a: std::rc::Rc<u8>) -> Result<u32, Error> {
        tokio::task::yield_now().await;
        Ok(self.ran() + u32::from(*a))
    }
}

trait Named {
    fn profile_name(&self) -> String;
}

impl Named for idem::MemoryStore {
    fn profile_name(&self) -> String {
        "memory".to_owned()
    }
}

#[tokio::test]
async fn futures_that_are_not_send() {
    let bench = Bench::new();
    assert_eq!(once!(bench, bench.local(std::rc::Rc::new(1)).await), 2);
}

#[idempotent(store = &bench.store, skip(bench))]
fn boxed_by_hand<'a>(
    bench: &'a Bench,
    a: u64,
) -> Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'a>> {
    let b = a + 1;
    Box::pin(async move {
        tokio::task::yield_now().await;
        Ok(b + u64::from(bench.ran()))
    })
}

#[tokio::test]
async fn boxed_futures() {
    let bench = Bench::new();
    assert_eq!(once!(bench, boxed_by_hand(&bench, 1).await), 3);
}
