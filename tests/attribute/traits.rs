//! Methods of traits: in an `impl`, as a default, `async fn` and plain.

use idem::{Error, idempotent};

use crate::bench::Bench;

trait Pay {
    fn bench(&self) -> &Bench;

    async fn pay(&self, amount: u64) -> Result<u32, Error>;

    fn pay_plainly(&self, amount: u64) -> Result<u32, Error>;

    #[idempotent(store = &self.bench().store, skip(self))]
    async fn refund(&self, amount: u64) -> Result<u32, Error> {
        let _ = amount;
        tokio::task::yield_now().await;
        Ok(self.bench().ran())
    }

    #[idempotent(store = &self.bench().store, skip(self))]
    fn refund_plainly(&self, amount: u64) -> Result<u32, Error> {
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

struct Card(Bench);

impl Pay for Card {
    fn bench(&self) -> &Bench {
        &self.0
    }

    #[idempotent(store = &self.0.store, skip(self))]
    async fn pay(&self, amount: u64) -> Result<u32, Error> {
        let _ = amount;
        tokio::task::yield_now().await;
        Ok(self.0.ran())
    }

    #[idempotent(store = &self.0.store, skip(self))]
    fn pay_plainly(&self, amount: u64) -> Result<u32, Error> {
        let _ = amount;
        Ok(self.0.ran())
    }
}

struct Cash<'a>(&'a Bench);

impl Pay for Cash<'_> {
    fn bench(&self) -> &Bench {
        self.0
    }

    #[idempotent(store = &self.0.store, skip(self))]
    async fn pay(&self, amount: u64) -> Result<u32, Error> {
        let _ = amount;
        Ok(self.0.ran())
    }

    #[idempotent(store = &self.0.store, skip(self))]
    fn pay_plainly(&self, amount: u64) -> Result<u32, Error> {
        let _ = amount;
        Ok(self.0.ran())
    }
}

#[tokio::test]
async fn async_fn_of_a_trait() {
    let card = Card(Bench::new());
    assert_eq!(once!(card.0, card.pay(10).await), 1);
}

#[test]
fn plain_method_of_a_trait() {
    let card = Card(Bench::new());
    assert_eq!(once!(card.0, card.pay_plainly(10)), 1);
}

#[tokio::test]
async fn default_methods() {
    let card = Card(Bench::new());
    assert_eq!(once!(card.0, card.refund(10).await), 1);
    assert_eq!(once!(card.0, card.refund_plainly(10)), 2);
    assert_eq!(once!(card.0, Card::receiverless(&card.0, 10).await), 3);
}

#[tokio::test]
async fn two_types_with_one_trait_do_not_meet() {
    let card = Card(Bench::new());
    let cash = Cash(&card.0);
    assert_eq!(once!(card.0, card.pay(10).await), 1);
    assert_eq!(once!(card.0, cash.pay(10).await), 2);
    assert_eq!(once!(card.0, card.pay_plainly(10)), 3);
    assert_eq!(once!(card.0, cash.pay_plainly(10)), 4);
    // Default methods, too: what they do can depend on the type.
    assert_eq!(once!(card.0, card.refund(10).await), 5);
    assert_eq!(once!(card.0, cash.refund(10).await), 6);
    assert_eq!(once!(card.0, Card::receiverless(&card.0, 1).await), 7);
    assert_eq!(once!(card.0, Cash::receiverless(&card.0, 1).await), 8);
}
