use idem::{Error, idempotent};

#[async_trait::async_trait]
trait Pay {
    async fn pay(&self, amount: u64) -> Result<u64, Error>;
}

struct Account;

#[async_trait::async_trait]
impl Pay for Account {
    #[idempotent]
    async fn pay(&self, amount: u64) -> Result<u64, Error> {
        Ok(amount)
    }
}

fn main() {}
