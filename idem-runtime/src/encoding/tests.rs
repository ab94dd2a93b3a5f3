//! What can only be seen from inside; the rest is tested from outside, with the facade.

use super::{append, bytes, elements, entries, float, from_slice, head, is_encoding, to_vec};

#[test]
fn a_head_is_as_short_as_its_number_allows() {
    for (number, expected) in [
        (0, "80"),
        (23, "97"),
        (24, "9818"),
        (0xff, "98ff"),
        (0x100, "990100"),
        (0xffff, "99ffff"),
        (0x1_0000, "9a00010000"),
        (0xffff_ffff, "9affffffff"),
        (0x1_0000_0000, "9b0000000100000000"),
        (u64::MAX, "9bffffffffffffffff"),
    ] {
        let mut out = Vec::new();
        head::write(head::ARRAY, number, &mut out);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}

#[test]
fn a_head_is_corrected_in_place() {
    let numbers = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 1 << 32];
    for written in numbers {
        for right in numbers {
            let mut expected = b"before".to_vec();
            let mut out = expected.clone();
            head::write(head::TEXT, written as u64, &mut out);
            out.extend_from_slice(b"what follows");
            head::correct(head::TEXT, 6, written, right, &mut out);
            head::write(head::TEXT, right as u64, &mut expected);
            expected.extend_from_slice(b"what follows");
            assert_eq!(out, expected, "{written} instead of {right}");
        }
    }
}

#[test]
fn every_float_of_16_bits_is_there_and_back() {
    for half in 0..=u16::MAX {
        let value = float::from_half(half);
        let narrow = value as f32;
        if value.is_nan() {
            assert!(half & 0x7c00 == 0x7c00 && half & 0x3ff != 0);
            continue;
        }
        assert_eq!(f64::from(narrow).to_bits(), value.to_bits());
        assert_eq!(float::half(narrow), Some(half));
        // Its neighbours among the longer floats need more bits, but zero's and infinity's.
        if value.is_finite() && value != 0.0 {
            for neighbour in [narrow.to_bits() - 1, narrow.to_bits() + 1] {
                assert_eq!(float::half(f32::from_bits(neighbour)), None);
            }
        }
    }
    assert_eq!(float::half(f32::from_bits(1)), None);
    assert_eq!(float::half(f32::MAX), None);
}

#[test]
fn an_error_leaves_the_buffer_as_it_was() {
    let mut out = b"before".to_vec();
    let twice = vec![Some(vec![u128::MAX]); 3];
    append(&(&twice, Fails), &mut out).unwrap_err();
    assert_eq!(out, b"before");
    append("after", &mut out).unwrap();
    assert_eq!(out, b"before\x65after");
}

struct Fails;

impl serde::Serialize for Fails {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

#[test]
fn what_is_not_in_its_shortest_form_is_refused() {
    let refused: [&[u8]; 20] = [
        b"",
        b"\x18\x17",
        b"\x19\x00\xff",
        b"\x1a\x00\x00\xff\xff",
        b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x38\x00",
        b"\x58\x01a",
        b"\x78\x01a",
        b"\x98\x01\x00",
        b"\xb8\x01\x00\x00",
        b"\x1c",
        b"\x1f",
        b"\x9f\xff",
        b"\x7f\x61a\xff",
        b"\xf7",
        b"\xf8\x20",
        b"\xff",
        b"\xc1\x00",
        b"\xc2\x48\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xc2\x49\x00\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for bytes in refused {
        from_slice::<serde::de::IgnoredAny>(bytes).unwrap_err();
        from_slice::<u128>(bytes).unwrap_err();
    }
    // As long as it keeps the value, a longer float is one of the same type.
    assert_eq!(from_slice::<f64>(b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00").unwrap(), 1.0);
}

#[test]
fn what_is_wrong_with_the_bytes_is_said() {
    const EARLY: &str = "the bytes end before the value does";
    const SHORTER: &str = "found an integer or length that is not in its shortest form";
    for (bytes, said) in [
        (&b""[..], EARLY),
        (b"\x19\x01", EARLY),
        (b"\x82\x01", EARLY),
        (b"\xc2", EARLY),
        (b"\x18\x17", SHORTER),
        (b"\xc2\x48\xff\xff\xff\xff\xff\xff\xff\xff", SHORTER),
        (b"\xc2\x49\x00\xff\xff\xff\xff\xff\xff\xff\xff", SHORTER),
        (b"\xc2\x51aaaaaaaaaaaaaaaaa", "found an integer beyond 128 bits"),
        (b"\xc2\x00", "found a bignum that is not a byte string"),
        (b"\xc1\x00", "found tag 1, which has no meaning here"),
        (b"\x61\xff", "found a text that is not UTF-8"),
        (b"\x9f\xff", "found an item of indefinite length"),
        (b"\x1c", "found what is not CBOR"),
        (b"\xf7", "found a simple value other than false, true and null"),
    ] {
        assert_eq!(from_slice::<serde::de::IgnoredAny>(bytes).unwrap_err().to_string(), said, "{bytes:x?}");
    }
}

#[test]
fn encodings_are_taken_apart_without_their_types() {
    let map = b"\xa2\x65order\x07\x66amount\x82\x18\xfa\x01";
    assert_eq!(entries(map).unwrap(), [("order", &b"\x07"[..]), ("amount", b"\x82\x18\xfa\x01")]);
    assert_eq!(entries(b"\xa0").unwrap(), []);
    let array = b"\x83\x07\x63ann\x81\x80";
    assert_eq!(elements(array).unwrap(), [&b"\x07"[..], b"\x63ann", b"\x81\x80"]);
    assert_eq!(elements(b"\x80").unwrap(), [b""; 0]);
    assert_eq!((bytes(b"\x43ann"), bytes(b"\x40")), (Some(&b"ann"[..]), Some(&b""[..])));
    for other in [&b"\x07"[..], b"\x63ann", b"\xf6"] {
        assert!(is_encoding(other));
        assert!(entries(other).is_err() && elements(other).is_err() && bytes(other).is_none(), "{other:x?}");
    }
    assert!(is_encoding(array) && is_encoding(map) && is_encoding(b"\x43ann"));
    entries(array).unwrap_err();
    entries(b"\xa1\x07\x07").unwrap_err();
    elements(map).unwrap_err();
    for whole in [&map[..], array, b"\x43ann"] {
        for part in [&whole[..whole.len() - 1], &[whole, b"\x07"].concat()] {
            assert!(!is_encoding(part), "{part:x?}");
            assert!(entries(part).is_err() && elements(part).is_err() && bytes(part).is_none(), "{part:x?}");
        }
    }
}

#[test]
fn numbers_beyond_128_bits_are_refused() {
    let largest = to_vec(&u128::MAX).unwrap();
    assert_eq!(from_slice::<u128>(&largest).unwrap(), u128::MAX);
    from_slice::<i128>(&largest).unwrap_err();
    let mut negative = largest.clone();
    negative[0] = 0xc3;
    from_slice::<i128>(&negative).unwrap_err();
    let mut longer = largest;
    longer[1] += 1;
    longer.push(0);
    from_slice::<u128>(&longer).unwrap_err();
    assert_eq!(from_slice::<i128>(&to_vec(&i128::MIN).unwrap()).unwrap(), i128::MIN);
}
