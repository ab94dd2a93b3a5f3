use idem::idempotent;

#[async_trait::async_trait]
trait Pay {
    async fn pay(&self, order: u64) -> u64;
}

struct Account;

#[async_trait::async_trait]
impl Pay for Account {
    #[idempotent(skip(self))]
    async fn pay(&self, order: u64) -> u64 {
        order
    }
}

fn main() {}
