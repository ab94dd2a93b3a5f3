//! The functions that are called, and how a call is driven.

use std::future::Future;
use std::pin::pin;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use idem::idempotent;

pub const NAME: &str = "orders.charge";

/// How often a body ran: duplicates do not run it.
pub static RAN: AtomicU64 = AtomicU64::new(0);

/// What every variant of the function does.
pub fn receipt(order: u64, who: &str) -> u64 {
    RAN.fetch_add(1, Ordering::Relaxed);
    order.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ who.len() as u64
}

#[idempotent(name = "orders.charge")]
pub async fn charge(order: u64, who: &str) -> Result<u64, idem::Error> {
    Ok(receipt(order, who))
}

/// Order numbers and names of one length each, so that all encodings are equally long.
const WHO: [&str; 8] = ["anna", "bert", "cleo", "dora", "emil", "fred", "gina", "hugo"];

pub fn arguments(index: usize) -> (u64, &'static str) {
    (1_000_000_000 + index as u64, WHO[index % WHO.len()])
}

/// Every number below `count` once, in an order that is no order.
pub fn shuffled(count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(count).expect("few enough")).collect();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for at in (1..count).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        order.swap(at, (random % (at as u64 + 1)) as usize);
    }
    order
}

/// Installs the process's store, once: a memory store.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| idem::install(idem::MemoryStore::new()).expect("no store was installed before"));
}

/// The value of a future that never waits.
#[inline]
pub fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a call on the memory store is over in one poll"),
    }
}

/// The value of a future, on this thread, which sleeps while the future waits.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    thread_local!(static WAKER: Waker = Waker::from(std::sync::Arc::new(Unpark(thread::current()))));
    WAKER.with(|waker| {
        let mut context = Context::from_waker(waker);
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    })
}
