use idem::idempotent;

struct Result<T>(T);

#[idempotent]
async fn charge(order: u64) -> Result<u64> {
    Result(order)
}

fn main() {}
