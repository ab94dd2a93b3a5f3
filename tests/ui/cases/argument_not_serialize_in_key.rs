use idem::{Error, idempotent};

struct Context {
    tenant: Tenant,
}

struct Tenant;

#[idempotent(key(order, context.tenant), skip(context))]
async fn charge(order: u64, context: Context) -> Result<u64, Error> {
    Ok(order)
}

fn main() {}
