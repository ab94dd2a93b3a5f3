use idem::{Error, idempotent};

#[idempotent(key(order, amount), skip(amount))]
async fn charge(order: u64, amount: u64) -> Result<u64, Error> {
    Ok(order + amount)
}

struct Account;

impl Account {
    #[idempotent(key(&self, order), skip(self))]
    async fn charge(&self, order: u64) -> Result<u64, Error> {
        Ok(order)
    }
}

fn main() {}
