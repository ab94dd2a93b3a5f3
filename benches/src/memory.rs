//! A duplicate on the memory store, beside what one would write instead.

use std::hint::black_box;
use std::sync::Mutex;

use crate::beside::{self, BY_HAND, BY_HAND_PLAIN, MOKA, cached_owned, cached_static};
use crate::measure::{Clock, Subject, in_turns};
use crate::subject::{arguments, charge, install, now, shuffled};
use crate::table::{Row, time};

pub const FEW: usize = 1_000;
pub const MANY: usize = 1_000_000;

/// Calls every variant once with each of the first so many arguments, one variant after the other.
pub fn fill(count: usize) {
    static FILLED: Mutex<usize> = Mutex::new(0);
    let mut filled = FILLED.lock().expect("nobody panics");
    let new = *filled..count;
    *filled = count.max(*filled);
    install();
    beside::check();
    let mut buffer = Vec::new();
    let each = |charge: &mut dyn FnMut(u64, &'static str) -> u64| {
        for index in new.clone() {
            let (order, who) = arguments(index);
            black_box(charge(order, who));
        }
    };
    each(&mut |order, who| now(charge(order, who)).expect("charged"));
    each(&mut |order, who| BY_HAND.charge(order, who, &mut buffer).expect("charged"));
    each(&mut |order, who| BY_HAND_PLAIN.charge(order, who, &mut buffer).expect("charged"));
    each(&mut |order, who| now(cached_owned(order, who)).expect("charged"));
    each(&mut |order, who| now(cached_static(order, who)).expect("charged"));
    each(&mut |order, who| MOKA.get_with((order, who), || crate::subject::receipt(order, who)));
    MOKA.run_pending_tasks();
}

/// Each subject goes through the same arguments in the same order.
pub fn walk<'a>(order: &'a [u32], mut charge: impl FnMut(u64, &'static str) -> u64 + 'a) -> Subject<'a> {
    let mut at = 0;
    Subject::new(move |times| {
        for _ in 0..times {
            let (number, who) = arguments(order[at] as usize);
            at = if at + 1 == order.len() { 0 } else { at + 1 };
            black_box(charge(black_box(number), black_box(who)));
        }
    })
}

pub fn rows(count: usize) -> Vec<Row> {
    fill(count);
    let order = shuffled(count);
    let ran = crate::subject::RAN.load(std::sync::atomic::Ordering::Relaxed);
    let (rounds, operations) = (101, 20_000);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let times = in_turns(
        Clock::Thread,
        rounds,
        operations,
        &mut [
            walk(&order, |order, who| now(charge(order, who)).expect("charged")),
            walk(&order, |order, who| BY_HAND.charge(order, who, &mut one).expect("charged")),
            walk(&order, |order, who| BY_HAND_PLAIN.charge(order, who, &mut other).expect("charged")),
            walk(&order, |order, who| now(cached_owned(order, who)).expect("charged")),
            walk(&order, |order, who| now(cached_static(order, who)).expect("charged")),
            walk(&order, |order, who| MOKA.get(&(order, who)).expect("charged")),
        ],
    );
    assert_eq!(ran, crate::subject::RAN.load(std::sync::atomic::Ordering::Relaxed), "all were duplicates");
    // By hand with encoded and with plain results, `#[cached]` with a key that owns its text and one that borrows.
    let targets = if count == FEW {
        [Some(2.0), None, None, None, None]
    } else {
        [Some(1.2), None, Some(1.0), None, None]
    };
    let what = format!("duplicate, memory store, {} keys", grouped(count));
    (1..beside::NAMES.len())
        .zip(targets)
        .map(|(variant, target)| {
            let beside = format!("{}: {}", beside::NAMES[variant], time(times.of(variant)));
            let row = Row::new(&*what, time(times.of(0)), beside).ratio(times.ratio(0, variant));
            match target {
                Some(target) => row.at_most(target),
                None => row,
            }
        })
        .collect()
}

pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}
