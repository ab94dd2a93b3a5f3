use idem::{Error, idempotent};

#[idempotent]
struct Order {
    id: u64,
}

#[idempotent(skip(self))]
impl Order {
    fn charge(&self) -> Result<u64, Error> {
        Ok(self.id)
    }
}

#[idempotent]
pub(crate) const LIMIT: u64 = 1;

#[idempotent]
unsafe trait Pay {}

#[idempotent]
mod orders {}

fn main() {}
