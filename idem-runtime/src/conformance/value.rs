//! Results come back as they went in, above all those that look like nothing.

use super::Check;
use super::driver::{Bench, Outcome, attempts, ensure, must_be};
use crate::store::{Kind, Reply};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "value-falsy",
        rule: "`0`, `\"\"`, `[]`, `false`, `()` come back as they went in, and are not nothing",
        run: falsy,
    },
    Check { name: "value-none", rule: "done, result not kept: a duplicate is told so", run: none },
    Check {
        name: "value-error",
        rule: "a kept `Err` comes back as an error, a kept `Ok` as a value",
        run: error,
    },
    Check {
        name: "value-any-bytes",
        rule: "a result is bytes: all of them, in order, however many",
        run: any_bytes,
    },
];

/// Completes with these bytes, and looks at what a duplicate gets.
fn comes_back(bench: &Bench, kind: Kind, bytes: &[u8], what: &str) -> Outcome {
    let call = bench.call();
    let [a] = attempts();
    let grant = call.granted(a)?;
    let complete = call.complete_with(a, grant, |complete| {
        complete.kind = kind;
        complete.result = bytes.into();
    });
    must_be!(call.ask(complete)?, Reply::Completed, format!("`complete` with {what}"));
    let finished = call.duplicate(what)?;
    ensure!(finished.kind == kind, "{what}: its kind is {kind:?}, and came back as {:?}", finished.kind);
    ensure!(
        *finished.result == *bytes,
        "{what}: {} bytes went in, other {} came back",
        bytes.len(),
        finished.result.len()
    );
    let record = call.the_record()?;
    ensure!(*record.result == *bytes && record.head.kind == kind, "{what}: `get` has {record:?}");
    Ok(())
}

fn falsy(bench: &Bench) -> Outcome {
    let values: [(&str, &[u8]); 9] = [
        ("`0`", &[0x00]),
        ("`\"\"`", &[0x60]),
        ("`[]`", &[0x80]),
        ("`{}`", &[0xa0]),
        ("empty bytes", &[0x40]),
        ("`false`", &[0xf4]),
        ("`()`", &[0xf6]),
        ("`NaN`", &[0xf9, 0x7e, 0x00]),
        ("no bytes at all", &[]),
    ];
    for (what, bytes) in values {
        comes_back(bench, Kind::Value, bytes, what)?;
    }
    Ok(())
}

fn none(bench: &Bench) -> Outcome {
    comes_back(bench, Kind::None, &[], "a result that is not kept")
}

fn error(bench: &Bench) -> Outcome {
    comes_back(bench, Kind::Error, &[0x00], "the error `0`")?;
    comes_back(bench, Kind::Error, &[0xf6], "the error `()`")?;
    comes_back(bench, Kind::Value, &[0x01], "the value `1`")
}

fn any_bytes(bench: &Bench) -> Outcome {
    let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    comes_back(bench, Kind::Value, &all, "every byte")?;
    comes_back(bench, Kind::Value, b"'; DROP TABLE records; -- \0 \xff", "what looks like a statement")?;
    // As large as results are kept unless it is said otherwise.
    let large: Vec<u8> = (0..1_u32 << 20).map(|place| (place >> 5) as u8 ^ place as u8).collect();
    comes_back(bench, Kind::Value, &large, "one MiB")
}
