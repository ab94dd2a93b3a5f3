use idem::{Error, idempotent};

#[idempotent(tll = "1h", lease = "soon", key(ordr), skip(self, amount))]
async fn charge(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(key(ordr), skip(self, amont))]
async fn refund(order: u64, amount: u64) -> Result<u64, Error> {
    Ok(order + amount)
}

fn main() {}
