//! Values whose types nobody here knows: from JSON and from any CBOR to the one encoding that tokens are made of, and
//! back to JSON.

pub(crate) mod cbor;
pub(crate) mod json;
mod map;
pub(crate) mod notation;
pub(crate) mod show;

/// How deep arrays and maps may nest in one argument or result.
pub(crate) const MAX_NESTING: usize = 128;

/// A body is a map with arrays of values in it.
pub(crate) const BODY_NESTING: usize = MAX_NESTING + 2;

/// Why something is no value, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at byte {at})")]
pub(crate) struct Unreadable {
    pub(crate) what: &'static str,
    pub(crate) at: usize,
}

pub(crate) const TOO_DEEP: &str = "arrays and maps nest deeper than 128";
pub(crate) const TOO_LARGE: &str = "an integer beyond 128 bits";

/// Appends an integer: the number itself, or −1 − `n` where it is negative.
fn integer(negative: bool, n: u128, out: &mut Vec<u8>) -> Result<(), &'static str> {
    // Encoding a number cannot fail.
    let appended = if negative {
        let n = i128::try_from(n).map_err(|_| TOO_LARGE)?;
        idem::encoding::append(&(-1 - n), out)
    } else {
        idem::encoding::append(&n, out)
    };
    appended.map_err(|_| TOO_LARGE)
}

/// Appends a float in its shortest form.
fn float(number: f64, out: &mut Vec<u8>) {
    let _ = idem::encoding::append(&number, out);
}

/// Appends a text.
fn text(text: &str, out: &mut Vec<u8>) {
    idem::encoding::text_header(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// How deep arrays and maps nest in what [`json`] or [`cbor`] has written.
pub(crate) fn nesting(encoding: &[u8]) -> usize {
    let (mut deepest, mut at) = (0, 0);
    let mut left: Vec<u64> = Vec::new();
    while let Some(&first) = encoding.get(at) {
        while left.last() == Some(&0) {
            left.pop();
        }
        if let Some(left) = left.last_mut() {
            *left -= 1;
        }
        let width = match first & 0x1f {
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => 0,
        };
        let bytes = encoding.get(at + 1..at + 1 + width).unwrap_or_default();
        let number = match width {
            0 => u64::from(first & 0x1f),
            _ => bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        };
        at += 1 + width;
        match first >> 5 {
            2 | 3 => at = at.saturating_add(usize::try_from(number).unwrap_or(usize::MAX)),
            major @ (4 | 5) => {
                left.push(if major == 5 { number.saturating_mul(2) } else { number });
                deepest = deepest.max(left.len());
            }
            // A tag is no item of its own.
            6 => left.iter_mut().last().into_iter().for_each(|left| *left += 1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::nesting;

    #[test]
    fn nesting_counts_arrays_and_maps() {
        for (json, depth) in [
            ("1", 0),
            ("[]", 1),
            ("[[],[[]],[]]", 3),
            (r#"{"a":[1,{"b":[]}],"c":1}"#, 4),
            ("[18446744073709551616,[1]]", 2),
        ] {
            assert_eq!(nesting(&super::json::to_cbor(json.as_bytes(), 10).unwrap()), depth, "{json}");
        }
    }
}
