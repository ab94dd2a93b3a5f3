//! What a second thread adds.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use crate::beside::{BY_HAND, MOKA, NAMES, cached_static, encode};
use crate::measure::{Ratio, quantile};
use crate::memory::{fill, grouped};
use crate::subject::{arguments, block_on, charge, now, shuffled};
use crate::table::Row;

const OPERATIONS: usize = 100_000;
const ROUNDS: usize = 41;

/// How often so many threads together did the operation, per nanosecond, in one go; and for what share of the time
/// one of them waited for a processor that another program had.
fn throughput<S: Default>(
    threads: usize,
    order: &[u32],
    once: impl Fn(u64, &'static str, &mut S) + Sync,
) -> (f64, f64) {
    let barrier = Barrier::new(threads);
    let spans: Vec<(Instant, Instant, u64)> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                let (barrier, once) = (&barrier, &once);
                scope.spawn(move || {
                    let mut state = S::default();
                    // Each thread begins elsewhere.
                    let mut at = order.len() / threads * thread;
                    let mut step = |state: &mut S| {
                        let (number, who) = arguments(order[at] as usize);
                        at = if at + 1 == order.len() { 0 } else { at + 1 };
                        once(black_box(number), black_box(who), state);
                    };
                    (0..1_000).for_each(|_| step(&mut state));
                    barrier.wait();
                    let waited = crate::measure::waited_for_processor();
                    let began = Instant::now();
                    (0..OPERATIONS).for_each(|_| step(&mut state));
                    let ended = Instant::now();
                    (began, ended, crate::measure::waited_for_processor() - waited)
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    let began = spans.iter().map(|span| span.0).min().expect("a thread");
    let ended = spans.iter().map(|span| span.1).max().expect("a thread");
    let nanos = (ended - began).as_nanos() as f64;
    let waited = spans.iter().map(|span| span.2).max().expect("a thread") as f64;
    ((OPERATIONS * threads) as f64 / nanos, waited / nanos)
}

type Variant<'a> = (&'a str, Box<dyn Fn(usize) -> (f64, f64) + 'a>);

pub fn rows(count: usize) -> Vec<Row> {
    fill(count);
    let order = &shuffled(count);
    let variants: [Variant<'_>; 5] = [
        (
            "idem",
            Box::new(|threads| {
                throughput::<()>(threads, order, |order, who, ()| {
                    black_box(now(charge(order, who)).expect("charged"));
                })
            }),
        ),
        (
            NAMES[1],
            Box::new(|threads| {
                throughput::<Vec<u8>>(threads, order, |order, who, buffer| {
                    black_box(BY_HAND.charge(order, who, buffer).expect("charged"));
                })
            }),
        ),
        (
            NAMES[4],
            Box::new(|threads| {
                throughput::<()>(threads, order, |order, who, ()| {
                    black_box(block_on(cached_static(order, who)).expect("charged"));
                })
            }),
        ),
        (
            NAMES[5],
            Box::new(|threads| {
                throughput::<()>(threads, order, |order, who, ()| {
                    black_box(MOKA.get(&(order, who)).expect("charged"));
                })
            }),
        ),
        (
            "SHA-256 alone, which shares nothing: what this machine can give",
            Box::new(|threads| {
                throughput::<Vec<u8>>(threads, order, |order, who, buffer| {
                    encode(order, who, buffer);
                    black_box(Sha256::digest(&buffer));
                })
            }),
        ),
    ];
    // One and two threads in turns, of each variant in turns.
    let mut seen: Vec<Vec<(f64, f64)>> = vec![Vec::new(); variants.len()];
    for round in 0..ROUNDS {
        for (variant, (_, run)) in variants.iter().enumerate() {
            let (one, two) = if round % 2 == 0 {
                let one = run(1);
                (one, run(2))
            } else {
                let two = run(2);
                (run(1), two)
            };
            seen[variant].push((one.1.max(two.1), two.0 / one.0));
        }
    }
    let gains: Vec<Ratio> = seen
        .iter_mut()
        .map(|rounds| {
            // The half that other programs disturbed least.
            rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let gains: Vec<f64> = rounds[..ROUNDS / 2].iter().map(|round| round.1).collect();
            Ratio {
                median: quantile(&gains, 0.5),
                quartiles: Some((quantile(&gains, 0.25), quantile(&gains, 0.75))),
            }
        })
        .collect();
    let what = format!("two threads relative to one, {} keys", grouped(count));
    variants
        .iter()
        .zip(&gains)
        .enumerate()
        .map(|(variant, ((name, _), gain))| {
            if variant == 0 {
                Row::new(&*what, format!("× {:.2}", gain.median), "").ratio(*gain).at_least(1.7)
            } else {
                Row::new(&*what, "", format!("{name}: × {:.2}", gain.median))
            }
        })
        .collect()
}
