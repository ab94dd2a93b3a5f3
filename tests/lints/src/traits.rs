//! Methods of traits.

use std::pin::Pin;

use async_trait::async_trait;
use idem::idempotent;

use crate::{Outcome, Shop};

/// Plain methods and `async fn`.
pub trait Pay {
    /// The total.
    fn total(&self) -> u64;

    /// Pays.
    ///
    /// # Errors
    /// As the call.
    fn pay(&mut self, amount: u64) -> Outcome<u64>;

    /// Pays later.
    fn pay_later(&self, amount: u64) -> impl Future<Output = Outcome<u64>> + Send;

    /// Has a body here.
    ///
    /// # Errors
    /// As the call.
    #[idempotent(key(self.total(), amount))]
    fn refund(&self, amount: u64) -> Outcome<u64> {
        Ok(self.total() - amount)
    }
}

impl Pay for Shop {
    fn total(&self) -> u64 {
        self.total
    }

    #[idempotent(store = &self.store, key(self.id, amount))]
    fn pay(&mut self, amount: u64) -> Outcome<u64> {
        self.total += amount;
        Ok(self.total)
    }

    #[idempotent(store = &self.store, key(self.id, amount))]
    async fn pay_later(&self, amount: u64) -> Outcome<u64> {
        std::future::ready(()).await;
        Ok(self.total + amount)
    }
}

/// Methods under `#[async_trait]`.
#[async_trait]
pub trait Ship: Sync {
    /// Ships.
    async fn ship(&self, pair: (u64, u64), to: String, note: &str) -> Outcome<u64>;

    /// Has a body here.
    #[idempotent(skip(self))]
    async fn track(&self, order: u64, _unused: u64) -> Outcome<u64> {
        std::future::ready(()).await;
        Ok(order)
    }
}

#[async_trait]
impl Ship for Shop {
    #[idempotent(store = &self.store, key(self.id, to))]
    async fn ship(&self, (order, amount): (u64, u64), mut to: String, _note: &str) -> Outcome<u64> {
        to.push('x');
        std::future::ready(()).await;
        Ok(order + amount + to.len() as u64)
    }
}

/// A boxed future.
#[must_use]
#[idempotent(store = &shop.store, skip(shop))]
pub fn boxed(shop: &Shop, order: u64) -> Pin<Box<dyn Future<Output = Outcome<u64>> + Send + '_>> {
    Box::pin(async move {
        std::future::ready(()).await;
        Ok(shop.id + order)
    })
}
