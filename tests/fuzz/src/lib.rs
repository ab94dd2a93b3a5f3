//! What reads bytes that may come from anywhere: each takes any bytes without a panic, an overflow, or more memory
//! and stack than the bytes ask for, and panics only where it has found something.
//!
//! `fuzz/` at the root runs them under libFuzzer, and the test here a bounded and seeded run over the corpus.

#[cfg(attribute)]
#[path = "../../../idem-macros/src/args.rs"]
#[allow(dead_code, reason = "the attribute's own sources, as they are")]
mod args;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/check.rs"]
mod check;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/depth.rs"]
mod depth;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/expand.rs"]
mod expand;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/expression.rs"]
mod expression;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/fragments.rs"]
mod fragments;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/function.rs"]
#[allow(dead_code, reason = "the attribute's own sources, as they are")]
mod function;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/literal.rs"]
mod literal;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/signature.rs"]
mod signature;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/whole.rs"]
mod whole;
#[cfg(attribute)]
#[path = "../../../idem-macros/src/words.rs"]
mod words;

mod values;

pub use values::{encoding, result};

use idem::store::Record;
#[cfg(attribute)]
use proc_macro2::TokenStream;

/// One function that takes any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the names that they have in `fuzz/`.
pub const TARGETS: &[(&str, Target)] = &[
    #[cfg(attribute)]
    ("attribute", attribute),
    ("encoding", encoding),
    ("record", record),
    ("result", result),
    ("url", url),
];

/// A record as stores keep it: what decodes encodes to the same bytes.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = Record::decode(bytes) {
        let mut again = Vec::new();
        record.encode(&mut again);
        assert_eq!(again, bytes, "a record has one form");
    }
}

/// A store's URL, of every store: it is read to its end and refused before anything is opened.
pub fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // After `#` no parameter could refuse it, and it would be connected to.
    if text.contains('#') {
        return;
    }
    let separator = if text.contains('?') { '&' } else { '?' };
    let refused = idem::connect_blocking(&format!("{text}{separator}time_limit=0s"));
    let error = refused.expect_err("no store has a time limit of 0");
    assert!(!error.to_string().is_empty());
}

#[cfg(attribute)]
/// The attribute's brackets, a zero byte, and the function; or only the brackets.
pub fn attribute(bytes: &[u8]) {
    const FUNCTION: &str =
        "async fn charge(&self, order: u64, (a, b): (u8, u8)) -> Result<u64, Error> { Ok(order) }";
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (args, item) = text.split_once('\0').unwrap_or((text, FUNCTION));
    let (Ok(args), Ok(item)) = (args.parse::<TokenStream>(), item.parse::<TokenStream>()) else { return };
    let written = whole::attribute(args.clone(), item.clone());
    // Whatever is refused is still there, beside the message.
    if whole::protected(args, item.clone()).is_err() {
        assert!(written.to_string().starts_with(&item.to_string()), "a refused item is emitted unchanged");
    }
}
