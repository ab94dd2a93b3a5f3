use idem::{Error, idempotent};

#[idempotent(on_cancel = finish)]
async fn charge(order: u64) -> Result<u64, Error> {
    let shared = std::rc::Rc::new(order);
    std::future::ready(()).await;
    Ok(*shared)
}

fn main() {}
