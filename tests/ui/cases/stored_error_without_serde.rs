use idem::idempotent;

#[idempotent(on_error = store)]
async fn charge(order: u64) -> Result<u64, std::io::Error> {
    Ok(order)
}

fn main() {}
