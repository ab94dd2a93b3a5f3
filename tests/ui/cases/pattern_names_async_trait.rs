use idem::{Error, idempotent};

#[async_trait::async_trait]
trait Pay {
    async fn pay(&self, pair: (u64, u64)) -> Result<u64, Error>;
}

struct Account;

#[async_trait::async_trait]
impl Pay for Account {
    #[idempotent(skip(self), key(order))]
    async fn pay(&self, (order, amount): (u64, u64)) -> Result<u64, Error> {
        Ok(order + amount)
    }
}

fn main() {}
