//! The crate `idempotent` on Redis: nanoseconds for a first call and for a duplicate, of one caller and of 50 at once.
//!
//! usage: beside-idempotent URL CALLS

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use idempotent::valkey::ValkeyStore;
use idempotent::{ExecutionOutcome, IdempotencyKey, IdempotencyStore};
use tokio::runtime::{Builder, Runtime};

const CALLERS: u64 = 50;
static NEXT: AtomicU64 = AtomicU64::new(0);

async fn call(store: &ValkeyStore, order: u64) {
    let key = IdempotencyKey::new(format!("order-{order}")).expect("a key");
    let request = format!("{{\"order\":{order},\"who\":\"anna\"}}");
    let outcome = store
        .claim(&key, Duration::from_secs(10))
        .fingerprint("POST /charge", request.as_bytes())
        .json()
        .execute_or_replay(Duration::from_secs(86_400), |_token| async { Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(order * 100) })
        .await
        .expect("charged");
    match outcome {
        ExecutionOutcome::Executed(result) | ExecutionOutcome::Replayed(result) => assert_eq!(result, order * 100),
        _ => panic!("neither executed nor replayed"),
    }
}

/// Nanoseconds for each of so many calls of the orders from a number on: of one caller, or of many at once.
fn nanoseconds(runtime: &Runtime, store: &ValkeyStore, first: u64, calls: u64, callers: u64) -> f64 {
    let began = Instant::now();
    if callers == 1 {
        runtime.block_on(async {
            for order in first..first + calls {
                call(store, order).await;
            }
        });
    } else {
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let store = store.clone();
                runtime.spawn(async move {
                    for order in (first + caller..first + calls).step_by(callers as usize) {
                        call(&store, order).await;
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
    nanoseconds(&runtime, &store, 1 << 40, calls / 10, 1);
    let mut measured = serde_json::Map::new();
    for (callers, calls, first, duplicate) in
        [(1, calls, "first", "duplicate"), (CALLERS, calls * 20, "first_of_50", "duplicate_of_50")]
    {
        let from = NEXT.fetch_add(calls, Ordering::Relaxed);
        for name in [first, duplicate] {
            measured.insert(name.into(), nanoseconds(&runtime, &store, from, calls, callers).into());
        }
    }
    println!("{}", serde_json::Value::from(measured));
}
