//! The crate `idempotent` on Redis: nanoseconds for a first call and for a duplicate, of the main function, of one task and
//! of 50 at once.
//!
//! usage: beside-idempotent URL CALLS

use std::ops::Range;
use std::time::{Duration, Instant};

use idempotent::valkey::ValkeyStore;
use idempotent::{ExecutionOutcome, IdempotencyKey, IdempotencyStore};
use tokio::runtime::{Builder, Runtime};

/// The program's main function, which is no task.
const MAIN: u64 = 0;
const MANY: u64 = 50;

/// Calls for this order, for the first time or again.
async fn call(store: &ValkeyStore, order: u64, first: bool) {
    let key = IdempotencyKey::new(format!("order-{order}")).expect("a key");
    let request = format!("{{\"order\":{order},\"who\":\"anna\"}}");
    let outcome = store
        .claim(&key, Duration::from_secs(10))
        .fingerprint("POST /charge", request.as_bytes())
        .json()
        .execute_or_replay(Duration::from_secs(86_400), |_token| async {
            Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(order * 100)
        })
        .await
        .expect("charged");
    match outcome {
        ExecutionOutcome::Executed(result) if first => assert_eq!(result, order * 100),
        ExecutionOutcome::Replayed(result) if !first => assert_eq!(result, order * 100),
        _ => panic!("order {order}: executed and replayed are taken for each other"),
    }
}

/// Nanoseconds for each call of these orders, for the first time or again, of so many tasks at once.
fn nanoseconds(runtime: &Runtime, store: &ValkeyStore, orders: Range<u64>, callers: u64, first: bool) -> f64 {
    let calls = orders.end - orders.start;
    let began = Instant::now();
    if callers == MAIN {
        runtime.block_on(async {
            for order in orders {
                call(store, order, first).await;
            }
        });
    } else {
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let (store, orders) = (store.clone(), orders.clone());
                runtime.spawn(async move {
                    for order in orders.skip(caller as usize).step_by(callers as usize) {
                        call(&store, order, first).await;
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.expect("no panic");
            }
        });
    }
    began.elapsed().as_nanos() as f64 / calls as f64
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("a URL");
    let calls: u64 = arguments.next().and_then(|calls| calls.parse().ok()).expect("a number of calls");
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let store = runtime.block_on(ValkeyStore::with_url(url).try_build()).expect("connected");
    // Orders that no earlier run on this server has had.
    let mut next = u64::from(std::process::id()) << 32;
    let mut orders = |calls| {
        next += calls;
        next - calls..next
    };
    nanoseconds(&runtime, &store, orders(calls / 10), MAIN, true);
    let mut measured = serde_json::Map::new();
    for (callers, calls, first, duplicate) in [
        (MAIN, calls, "first_of_main", "duplicate_of_main"),
        (1, calls, "first", "duplicate"),
        (MANY, calls * 4, "first_of_50", "duplicate_of_50"),
    ] {
        let orders = orders(calls);
        measured.insert(first.into(), nanoseconds(&runtime, &store, orders.clone(), callers, true).into());
        measured.insert(duplicate.into(), nanoseconds(&runtime, &store, orders, callers, false).into());
    }
    println!("{}", serde_json::Value::from(measured));
}
