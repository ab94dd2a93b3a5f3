use idem::{Error, idempotent};

#[idempotent(skip(databse))]
async fn charge(database: u64, order: u64) -> Result<u64, Error> {
    Ok(database + order)
}

#[idempotent(skip(context))]
async fn refund(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(skip(self))]
async fn cancel(order: u64) -> Result<u64, Error> {
    Ok(order)
}

#[idempotent(skip(order))]
async fn ship() -> Result<u64, Error> {
    Ok(1)
}

#[idempotent(skip(order, order))]
async fn pack(order: u64) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
