use idem::{Error, idempotent};

#[idempotent(ttl = "soon")]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

struct Account;

impl Account {
    #[idempotent]
    fn charge(&self, order: u64) -> Result<u64, Error> {
        Ok(order)
    }
}

fn main() {
    let _ = charge(1);
    let _ = Account.charge(1);
}
