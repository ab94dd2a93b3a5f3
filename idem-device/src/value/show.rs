//! An encoded value as JSON, where JSON can say it.

use std::io::Write as _;

use idem::encoding::from_slice;

/// Appends the value as JSON; nothing if JSON cannot say it: byte strings, keys that are not texts, floats that are no
/// number. Read back by the token's rules it is the same value.
pub(crate) fn to_json(encoding: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let mut rest = encoding;
    if value(&mut rest, 0, out).is_some() && rest.is_empty() {
        return Some(());
    }
    out.truncate(start);
    None
}

/// Appends a text as JSON.
pub(crate) fn text(text: &str, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn number(rest: &mut &[u8], info: u8) -> Option<u64> {
    let width = match info {
        0..24 => return Some(u64::from(info)),
        24..28 => 1 << (info - 24),
        _ => return None,
    };
    Some(take(rest, width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn value(rest: &mut &[u8], depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let whole = *rest;
    let first = take(rest, 1)?[0];
    let info = first & 0x1f;
    match first >> 5 {
        0 => write!(out, "{}", number(rest, info)?).ok()?,
        1 => write!(out, "{}", -1 - i128::from(number(rest, info)?)).ok()?,
        3 => {
            let len = usize::try_from(number(rest, info)?).ok()?;
            text(std::str::from_utf8(take(rest, len)?).ok()?, out);
        }
        4 | 5 if depth >= super::BODY_NESTING => return None,
        4 => {
            let count = number(rest, info)?;
            out.push(b'[');
            for index in 0..count {
                if index > 0 {
                    out.push(b',');
                }
                value(rest, depth + 1, out)?;
            }
            out.push(b']');
        }
        5 => {
            let count = number(rest, info)?;
            out.push(b'{');
            for index in 0..count {
                if index > 0 {
                    out.push(b',');
                }
                if rest.first()? >> 5 != 3 {
                    return None;
                }
                value(rest, depth + 1, out)?;
                out.push(b':');
                value(rest, depth + 1, out)?;
            }
            out.push(b'}');
        }
        6 => {
            let bytes = rest.first()?;
            let len = usize::from(bytes & 0x1f);
            if bytes >> 5 != 2 || len > 16 {
                return None;
            }
            take(rest, 1 + len)?;
            let item = &whole[..whole.len() - rest.len()];
            match first {
                0xc2 => write!(out, "{}", from_slice::<u128>(item).ok()?).ok()?,
                _ => write!(out, "{}", from_slice::<i128>(item).ok()?).ok()?,
            }
        }
        7 => match info {
            20 => out.extend_from_slice(b"false"),
            21 => out.extend_from_slice(b"true"),
            22 => out.extend_from_slice(b"null"),
            25..=27 => {
                take(rest, 1 << (info - 24))?;
                let number: f64 = from_slice(&whole[..whole.len() - rest.len()]).ok()?;
                if !number.is_finite() {
                    return None;
                }
                // With a fraction or an exponent, so that it is a float when it is read.
                write!(out, "{number:?}").ok()?;
            }
            _ => return None,
        },
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::json;
    use super::to_json;

    fn shown(encoding: &[u8]) -> Option<String> {
        let mut out = b"before".to_vec();
        to_json(encoding, &mut out);
        let text = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
        (!text.is_empty()).then_some(text)
    }

    #[test]
    fn it_comes_back_as_it_was() {
        for text in [
            "0",
            "-18446744073709551617",
            "340282366920938463463374607431768211455",
            "1.0",
            "-0.0",
            "5e-324",
            "1.7976931348623157e308",
            r#""\n\"ö😀\u0000""#,
            "[[],{},[1,[2]]]",
            r#"{"a":null,"b":{"c":[true,false]}}"#,
        ] {
            let cbor = json::to_cbor(text.as_bytes(), 128).unwrap();
            assert_eq!(shown(&cbor).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_json_cannot_say_is_not_said() {
        let cannot: [&[u8]; 8] = [
            b"\x41a",
            b"\xf9\x7e\x00",
            b"\xf9\x7c\x00",
            b"\xa1\x01\x02",
            b"\xf7",
            b"\x82\x01",
            b"",
            b"\x01\x01",
        ];
        for bytes in cannot {
            assert_eq!(shown(bytes), None, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            let _ = shown(&bytes);
            let _ = super::super::cbor::to_cbor(&bytes, 128).map(|encoding| {
                assert_eq!(super::super::cbor::to_cbor(&encoding, 128).unwrap(), encoding);
            });
            let _ = json::to_cbor(&bytes, 128);
        }

        #[test]
        fn floats_come_back(number: f64) {
            prop_assume!(number.is_finite());
            let cbor = idem::encoding::to_vec(&number).unwrap();
            let text = shown(&cbor).unwrap();
            prop_assert_eq!(json::to_cbor(text.as_bytes(), 1).unwrap(), cbor);
        }
    }
}
