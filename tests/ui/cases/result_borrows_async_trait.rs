use idem::{Error, idempotent};

#[async_trait::async_trait]
trait Pay {
    async fn pay<'a>(&self, order: &'a str) -> Result<&'a str, Error>;
}

struct Account;

#[async_trait::async_trait]
impl Pay for Account {
    #[idempotent(skip(self))]
    async fn pay<'a>(&self, order: &'a str) -> Result<&'a str, Error> {
        Ok(order)
    }
}

fn main() {}
