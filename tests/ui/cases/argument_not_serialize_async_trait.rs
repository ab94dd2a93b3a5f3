use idem::{Error, idempotent};

struct Context;

#[async_trait::async_trait]
trait Pay {
    async fn pay(&self, order: u64, context: Context) -> Result<u64, Error>;
}

struct Account;

#[async_trait::async_trait]
impl Pay for Account {
    #[idempotent(skip(self))]
    async fn pay(&self, order: u64, context: Context) -> Result<u64, Error> {
        Ok(order)
    }
}

fn main() {}
