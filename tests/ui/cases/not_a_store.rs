use idem::{Error, idempotent};

struct Shop {
    store: u64,
}

impl Shop {
    #[idempotent(skip(self), store = &self.store)]
    async fn charge(&self, order: u64) -> Result<u64, Error> {
        Ok(order)
    }
}

fn main() {}
