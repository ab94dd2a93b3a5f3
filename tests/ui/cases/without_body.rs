use idem::{Error, idempotent};

trait Pay {
    #[idempotent(skip(self))]
    async fn pay(&self, order: u64) -> Result<u64, Error>;
}

fn main() {}
