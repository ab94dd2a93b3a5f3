use idem::{Error, idempotent};

struct Account {
    id: u64,
}

impl Account {
    #[idempotent(key(self.id), on_cancel = finish)]
    async fn charge(&self, order: u64) -> Result<u64, Error> {
        Ok(self.id + order)
    }
}

fn main() {}
