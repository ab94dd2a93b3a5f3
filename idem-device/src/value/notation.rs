//! A value as a person reads it: JSON, and where JSON cannot say it the diagnostic notation of CBOR (RFC 8949,
//! section 8).

use std::fmt::Write as _;

use idem::encoding::from_slice;

use crate::look::words::is_odd;

/// As wide as a line becomes before arrays and maps are written on several.
const WIDTH: usize = 90;

/// A value on several lines, where one does not do. Bytes that are no value are written in hexadecimal.
pub(crate) fn notation(encoding: &[u8]) -> String {
    let mut rest = encoding;
    match item(&mut rest, 0) {
        Some(item) if rest.is_empty() => {
            let mut out = String::with_capacity(encoding.len() * 2);
            item.write(0, &mut out);
            out
        }
        _ => hex(encoding),
    }
}

enum Item {
    Plain(String),
    Array(Vec<Item>),
    Map(Vec<(Item, Item)>),
    Tagged(u64, Box<Item>),
}

impl Item {
    /// How many characters it has on one line.
    fn width(&self) -> usize {
        match self {
            Item::Plain(text) => text.chars().count(),
            Item::Array(items) => items.iter().map(|item| item.width() + 2).sum::<usize>().max(2),
            Item::Map(entries) => {
                entries.iter().map(|(key, value)| key.width() + value.width() + 4).sum::<usize>().max(2)
            }
            Item::Tagged(tag, item) => tag.to_string().len() + 2 + item.width(),
        }
    }

    fn write(&self, indent: usize, out: &mut String) {
        let wide = indent + self.width() > WIDTH;
        match self {
            Item::Plain(text) => out.push_str(text),
            Item::Array(items) => {
                between('[', ']', items, wide, indent, out, |item, indent, out| item.write(indent, out));
            }
            Item::Map(entries) => {
                between('{', '}', entries, wide, indent, out, |(key, value), indent, out| {
                    key.write(indent, out);
                    out.push_str(": ");
                    value.write(indent, out);
                })
            }
            Item::Tagged(tag, item) => {
                let _ = write!(out, "{tag}(");
                item.write(indent, out);
                out.push(')');
            }
        }
    }
}

fn between<T>(
    open: char,
    close: char,
    items: &[T],
    wide: bool,
    indent: usize,
    out: &mut String,
    write: impl Fn(&T, usize, &mut String),
) {
    let line = |indent: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    };
    let wide = wide && !items.is_empty();
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(if wide { "," } else { ", " });
        }
        if wide {
            line(indent + 2, out);
        }
        write(item, indent + 2, out);
    }
    if wide {
        line(indent, out);
    }
    out.push(close);
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("h'");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

/// A text in quotes, as JSON, with everything escaped that moves other characters about.
fn quoted(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len() + 2);
    super::show::text(text, &mut json);
    let json = String::from_utf8_lossy(&json);
    let mut quoted = String::with_capacity(json.len());
    for char in json.chars() {
        if is_odd(char) {
            let _ = write!(quoted, "\\u{:04x}", u32::from(char));
        } else {
            quoted.push(char);
        }
    }
    quoted
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

fn item(rest: &mut &[u8], depth: usize) -> Option<Item> {
    let whole = *rest;
    let first = take(rest, 1)?[0];
    let info = first & 0x1f;
    let number = match info {
        0..24 => u64::from(info),
        24..28 => take(rest, 1 << (info - 24))?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        // Nothing that is stored has an indefinite length.
        _ => return None,
    };
    let len = || usize::try_from(number).ok();
    let consumed = |rest: &[u8]| &whole[..whole.len() - rest.len()];
    if matches!(first >> 5, 4..=6) && depth >= super::BODY_NESTING {
        return None;
    }
    Some(match first >> 5 {
        0 => Item::Plain(number.to_string()),
        1 => Item::Plain((-1 - i128::from(number)).to_string()),
        2 => Item::Plain(hex(take(rest, len()?)?)),
        3 => Item::Plain(quoted(std::str::from_utf8(take(rest, len()?)?).ok()?)),
        4 => {
            let mut items = Vec::new();
            for _ in 0..number {
                items.push(item(rest, depth + 1)?);
            }
            Item::Array(items)
        }
        5 => {
            let mut entries = Vec::new();
            for _ in 0..number {
                entries.push((item(rest, depth + 1)?, item(rest, depth + 1)?));
            }
            Item::Map(entries)
        }
        6 => {
            let inner = item(rest, depth + 1)?;
            let large = match number {
                2 => from_slice::<u128>(consumed(rest)).ok().map(|number| number.to_string()),
                3 => from_slice::<i128>(consumed(rest)).ok().map(|number| number.to_string()),
                _ => None,
            };
            large.map_or_else(|| Item::Tagged(number, Box::new(inner)), Item::Plain)
        }
        _ => Item::Plain(match info {
            20 => "false".into(),
            21 => "true".into(),
            22 => "null".into(),
            23 => "undefined".into(),
            25..=27 => float(from_slice(consumed(rest)).ok()?),
            _ => format!("simple({number})"),
        }),
    })
}

fn float(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => format!("{number:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::notation;

    #[test]
    fn it_is_json_where_json_can_say_it() {
        for text in [
            "0",
            "-18446744073709551617",
            "340282366920938463463374607431768211455",
            "1.5",
            r#""\n\"ö😀\u202e""#,
            "[]",
            "[1, [2, {}], null, true]",
            r#"{"a": {"b": [false]}}"#,
        ] {
            let cbor = super::super::json::to_cbor(text.as_bytes(), 128).unwrap();
            assert_eq!(notation(&cbor), text);
        }
    }

    #[test]
    fn and_says_the_rest_in_diagnostic_notation() {
        let say = |bytes: &[u8]| notation(bytes);
        assert_eq!(say(b"\x43\x01\x02\xff"), "h'0102ff'");
        assert_eq!(say(b"\xf9\x7e\x00"), "NaN");
        assert_eq!(say(b"\xf9\xfc\x00"), "-Infinity");
        assert_eq!(say(b"\xa1\x01\x80"), "{1: []}");
        assert_eq!(say(b"\xc1\x1a\x00\x00\x00\x05"), "1(5)");
        assert_eq!(say(b"\xf7"), "undefined");
        // What is no value at all.
        assert_eq!(say(b"\x82\x01"), "h'8201'");
        assert_eq!(say(b"\x01\x01"), "h'0101'");
        assert_eq!(say(b""), "h''");
    }

    #[test]
    fn what_is_wide_is_written_on_several_lines() {
        let long = "x".repeat(90);
        let text = format!(r#"{{"a":"{long}","b":[1,2]}}"#);
        let cbor = super::super::json::to_cbor(text.as_bytes(), 128).unwrap();
        assert_eq!(notation(&cbor), format!("{{\n  \"a\": \"{long}\",\n  \"b\": [1, 2]\n}}"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            prop_assert!(!notation(&bytes).is_empty());
        }
    }
}
