//! Methods, with every kind of receiver.

use std::rc::Rc;
use std::sync::Arc;

use idem::{Error, MemoryStore, idempotent};
use serde::Serialize;

use crate::bench::Bench;

#[derive(Clone, Serialize)]
struct Account {
    id: u64,
    balance: u64,
    #[serde(skip)]
    bench: Arc<Bench>,
}

impl Account {
    fn new(id: u64) -> Self {
        Account { id, balance: 100, bench: Arc::new(Bench::new()) }
    }

    fn store(&self) -> &MemoryStore {
        &self.bench.store
    }

    #[idempotent(store = self.store(), key(self.id))]
    async fn by_value(self, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        Ok(self.balance - amount)
    }

    #[idempotent(store = self.store(), key(self.id, amount))]
    fn by_value_plainly(mut self, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        self.balance -= amount;
        Ok(self.balance)
    }

    #[idempotent(store = self.store(), skip(self))]
    async fn by_reference(&self, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        tokio::task::yield_now().await;
        Ok(self.balance - amount)
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    fn by_reference_plainly(&self, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        Ok(self.balance - amount)
    }

    #[idempotent(store = &self.bench.store, key(self.id, amount))]
    async fn by_mutable_reference(&mut self, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        self.balance -= amount;
        tokio::task::yield_now().await;
        Ok(self.balance)
    }

    #[idempotent(store = &self.bench.store, key(self.id, amount))]
    fn by_mutable_reference_plainly(&mut self, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        self.balance -= amount;
        Ok(self.balance)
    }

    #[idempotent(store = &self.bench.store, key(self.id, amount))]
    async fn by_arc(self: Arc<Self>, mut amount: u64) -> Result<u64, Error> {
        amount += u64::from(self.bench.ran());
        Ok(self.balance - amount)
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    fn by_arc_plainly(self: &Arc<Self>, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        Ok(self.balance - amount)
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    async fn by_box(mut self: Box<Self>, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        self.balance -= amount;
        Ok(self.balance)
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    async fn by_rc(self: Rc<Self>, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        Ok(self.balance - amount)
    }

    #[idempotent(store = &self.bench.store, skip(self))]
    #[allow(clippy::needless_arbitrary_self_type)]
    async fn by_written_out_reference(self: &Self, amount: u64) -> Result<u64, Error> {
        self.bench.ran();
        Ok(self.balance - amount)
    }

    #[idempotent(store = &self.bench.store, key(self))]
    async fn by_all_of_self(&self) -> Result<u64, Error> {
        self.bench.ran();
        Ok(self.balance)
    }
}

#[tokio::test]
async fn self_by_value() {
    let account = Account::new(1);
    let bench = account.bench.clone();
    assert_eq!(once!(bench, account.clone().by_value(10).await), 90);
    assert_eq!(once!(bench, account.clone().by_value_plainly(10)), 90);
}

#[tokio::test]
async fn self_by_reference() {
    let account = Account::new(1);
    assert_eq!(once!(account.bench, account.by_reference(10).await), 90);
    assert_eq!(once!(account.bench, account.by_reference_plainly(10)), 90);
    assert_eq!(once!(account.bench, account.by_written_out_reference(10).await), 90);
}

#[tokio::test]
async fn self_by_mutable_reference() {
    let mut account = Account::new(1);
    let bench = account.bench.clone();
    assert_eq!(once!(bench, account.by_mutable_reference(10).await), 90);
    assert_eq!(once!(bench, account.by_mutable_reference_plainly(10)), 80);
    assert_eq!(account.balance, 80);
}

#[tokio::test]
async fn self_by_arc() {
    let account = Arc::new(Account::new(1));
    assert_eq!(once!(account.bench, account.clone().by_arc(10).await), 89);
    assert_eq!(once!(account.bench, account.by_arc_plainly(10)), 90);
}

#[tokio::test]
async fn self_by_box_and_rc() {
    let account = Account::new(1);
    let bench = account.bench.clone();
    assert_eq!(once!(bench, Box::new(account.clone()).by_box(10).await), 90);
    assert_eq!(once!(bench, Rc::new(account.clone()).by_rc(10).await), 90);
}

#[tokio::test]
async fn two_values_meet_only_where_self_is_skipped() {
    let one = Account::new(1);
    let mut two = Account::new(2);
    two.bench = one.bench.clone();
    let bench = &one.bench;
    one.clone().by_value_plainly(10).unwrap();
    two.clone().by_value_plainly(10).unwrap();
    assert_eq!(bench.runs(), 2);
    one.by_reference(10).await.unwrap();
    two.by_reference(10).await.unwrap();
    assert_eq!(bench.runs(), 3);
}

#[tokio::test]
async fn the_whole_of_self_may_be_the_key() {
    let mut account = Account::new(1);
    let bench = account.bench.clone();
    assert_eq!(once!(bench, account.by_all_of_self().await), 100);
    account.balance = 50;
    assert_eq!(once!(bench, account.by_all_of_self().await), 50);
}
