//! How much memory a record takes.

use std::collections::HashMap;
use std::hint::black_box;
use std::process::Command;

use idem::idempotent;
use sha2::{Digest as _, Sha256};

use crate::allocator::held_by;
use crate::memory::MANY;
use crate::subject::{arguments, install, now};
use crate::table::Row;

/// The argument with which the program starts itself: a process of its own for each figure, so that nothing which
/// was there before is used again.
pub const CHILD: &str = "space-of-the-records";

/// Whose encoding takes 24 bytes.
const RESULT: usize = 24;

#[idempotent(name = "orders.receipt")]
async fn receipt(order: u64, who: &str) -> Result<String, idem::Error> {
    Ok(text(order, who))
}

fn text(order: u64, who: &str) -> String {
    format!("{order:018}-{who:<4}")
}

pub fn child() {
    let by_hand = std::env::args().nth(2).is_some();
    install();
    let mut map = HashMap::new();
    // What is there only once does not count.
    black_box(now(receipt(0, "none")).expect("charged"));
    let before = resident();
    let held = held_by(|| {
        for index in 0..MANY {
            let (order, who) = arguments(index);
            if by_hand {
                let token: [u8; 32] = Sha256::digest(order.to_be_bytes()).into();
                let mut bytes = idem::encoding::to_vec(&text(order, who)).expect("it can be encoded");
                bytes.shrink_to_fit();
                map.insert(token, bytes);
            } else {
                black_box(now(receipt(order, who)).expect("charged"));
            }
        }
    });
    println!("{} {}", held, resident() - before);
    black_box(map);
}

pub fn rows() -> Vec<Row> {
    assert_eq!(idem::encoding::to_vec(&text(1_000_000_000, "anna")).map_or(0, |bytes| bytes.len()), RESULT);
    let (ours, resident) = measured(&[CHILD]);
    let (by_hand, _) = measured(&[CHILD, "by-hand"]);
    let beside = format!("the key and the value by hand, `HashMap<[u8; 32], Vec<u8>>`: {by_hand:.0} bytes");
    vec![
        Row::new("bytes per record beyond the result, 1,000,000 records", format!("{ours:.0} bytes"), beside),
        Row::new(
            "the same, relative to 200",
            format!("{ours:.0} bytes (by the resident set: {resident:.0})"),
            "200 bytes",
        )
        .ratio(ours / 200.0)
        .at_most(1.0),
    ]
}

/// What a process of its own says: by what the allocator gave, and by the resident set.
fn measured(arguments: &[&str]) -> (f64, f64) {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).args(arguments).output().expect("this program can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut figures = text.split_whitespace().map(|figure| figure.parse::<f64>().expect("a number"));
    let mut next = || figures.next().expect("two figures") / MANY as f64 - RESULT as f64;
    (next(), next())
}

/// The process's resident set in bytes.
fn resident() -> i64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
