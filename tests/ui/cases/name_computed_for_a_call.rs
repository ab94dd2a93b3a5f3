use idem::{Error, idempotent};

#[idempotent(name = tenant)]
async fn charge(tenant: &'static str) -> Result<u64, Error> {
    Ok(tenant.len() as u64)
}

fn main() {}
