//! How large the future of an annotated function is, beside the plain one's.

use std::hint::black_box;

use idem::idempotent;

use crate::table::Row;

async fn pause() {
    std::future::ready(()).await;
}

/// A plain and an annotated function with an argument of so many bytes: held over an await, or dropped before it.
macro_rules! pair {
    ($size:literal, $held:ident, $plain_held:ident, $other:ident, $plain_other:ident) => {
        #[idempotent(name = "future.held", skip(bytes))]
        async fn $held(bytes: [u8; $size]) -> Result<u64, idem::Error> {
            pause().await;
            Ok(black_box(&bytes).len() as u64)
        }

        async fn $plain_held(bytes: [u8; $size]) -> Result<u64, idem::Error> {
            pause().await;
            Ok(black_box(&bytes).len() as u64)
        }

        #[idempotent(name = "future.other", skip(bytes))]
        async fn $other(bytes: [u8; $size]) -> Result<u64, idem::Error> {
            let length = black_box(&bytes).len() as u64;
            pause().await;
            Ok(length)
        }

        async fn $plain_other(bytes: [u8; $size]) -> Result<u64, idem::Error> {
            let length = black_box(&bytes).len() as u64;
            pause().await;
            Ok(length)
        }
    };
}

pair!(8, held_8, plain_held_8, other_8, plain_other_8);
pair!(256, held_256, plain_held_256, other_256, plain_other_256);
pair!(1024, held_1024, plain_held_1024, other_1024, plain_other_1024);
pair!(4096, held_4096, plain_held_4096, other_4096, plain_other_4096);

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |what: &str, size: usize, ours: usize, plain: usize, copies: usize| {
        let beyond = ours as f64 - plain as f64 - (size * copies) as f64;
        rows.push(
            Row::new(
                format!(
                    "future, an argument of {size} bytes {what}, relative to {} + 256 bytes",
                    ["the plain one", "the plain one + one copy"][copies]
                ),
                format!("{ours} bytes"),
                format!("plain: {plain} bytes; {beyond} beyond"),
            )
            .ratio(ours as f64 / (plain + size * copies + 256) as f64)
            .at_most(1.0),
        );
    };
    macro_rules! sizes {
        ($($size:literal $held:ident $plain_held:ident $other:ident $plain_other:ident;)*) => {$(
            add("held over an await", $size, size_of_val(&$held([0; $size])), size_of_val(&$plain_held([0; $size])), 0);
            add("not held", $size, size_of_val(&$other([0; $size])), size_of_val(&$plain_other([0; $size])), 1);
        )*};
    }
    sizes! {
        8 held_8 plain_held_8 other_8 plain_other_8;
        256 held_256 plain_held_256 other_256 plain_other_256;
        1024 held_1024 plain_held_1024 other_1024 plain_other_1024;
        4096 held_4096 plain_held_4096 other_4096 plain_other_4096;
    }
    rows
}
