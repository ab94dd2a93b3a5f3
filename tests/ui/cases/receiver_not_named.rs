use idem::{Error, idempotent};

struct Account {
    id: u64,
}

impl Account {
    #[idempotent]
    async fn withdraw(&self, amount: u64) -> Result<u64, Error> {
        Ok(self.id + amount)
    }

    #[idempotent(key(amount))]
    fn deposit(&mut self, amount: u64) -> Result<u64, Error> {
        Ok(self.id + amount)
    }

    #[idempotent(skip(amount))]
    async fn close(self: std::sync::Arc<Self>, amount: u64) -> Result<u64, Error> {
        Ok(self.id + amount)
    }
}

fn main() {}
