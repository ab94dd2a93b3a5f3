//! Over random values of one type: equal encodings if and only if equal values, and every value comes back exactly.
//!
//! The values are made from random bytes. The second of a pair is made from nearly the same bytes, so that it is
//! often nearly the same value.

#[path = "encoding/values.rs"]
mod values;

use idem::encoding::{from_slice, to_vec};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde::de::IgnoredAny;
use values::{Any, Make, Record};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A value, and one that is made from nearly the same bytes.
fn pair(bytes: &[u8], change: Change) -> (Record, Record) {
    let (value, used) = Record::from_first_bytes(bytes);
    let other = Record::from_bytes(&changed(&bytes[..used], change));
    (value, other)
}

type Change = (prop::sample::Index, u8, u8);

fn changed(bytes: &[u8], (at, what, byte): Change) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at.index(bytes.len());
    match what % 8 {
        0 => bytes[at] = byte,
        6 => bytes[at] = 0,
        1 => bytes[at] = bytes[at].wrapping_add(1),
        2 => bytes[at] ^= 1 << (byte % 8),
        3 => bytes.insert(at, byte),
        4 => drop(bytes.remove(at)),
        5 => bytes.truncate(at),
        _ => bytes[at] = bytes[at].wrapping_sub(1),
    }
    bytes
}

fn change() -> impl Strategy<Value = Change> {
    (any::<prop::sample::Index>(), any::<u8>(), any::<u8>())
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn encodings_are_equal_if_and_only_if_values_are(bytes in vec(any::<u8>(), 1..200), change in change()) {
        let (value, other) = pair(&bytes, change);
        let (encoding, others) = (to_vec(&value).unwrap(), to_vec(&other).unwrap());
        prop_assert_eq!(encoding == others, value == other, "{:?}\n{:?}", value, other);
    }

    #[test]
    fn values_come_back_exactly(bytes in vec(any::<u8>(), 1..300)) {
        let value = Record::from_bytes(&bytes);
        let encoding = to_vec(&value).unwrap();
        let back: Record = from_slice(&encoding).unwrap();
        prop_assert_eq!(&back, &value);
        prop_assert_eq!(to_vec(&back).unwrap(), encoding);
    }

    #[test]
    fn encodings_describe_themselves(bytes in vec(any::<u8>(), 1..300)) {
        let encoding = to_vec(&Record::from_bytes(&bytes)).unwrap();
        let any: Any = from_slice(&encoding).unwrap();
        prop_assert_eq!(to_vec(&any).unwrap(), encoding.clone());
        from_slice::<IgnoredAny>(&encoding).unwrap();
    }

    #[test]
    fn no_part_of_an_encoding_is_one(bytes in vec(any::<u8>(), 1..60), at in any::<prop::sample::Index>(), more: u8) {
        let mut encoding = to_vec(&Record::from_bytes(&bytes)).unwrap();
        encoding.push(more);
        prop_assert!(from_slice::<Record>(&encoding).is_err());
        prop_assert!(from_slice::<Any>(&encoding).is_err());
        encoding.truncate(at.index(encoding.len() - 1));
        prop_assert!(from_slice::<Record>(&encoding).is_err());
        prop_assert!(from_slice::<IgnoredAny>(&encoding).is_err());
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        reads(&bytes);
    }

    #[test]
    fn damaged_encodings_are_a_value_or_an_error(
        bytes in vec(any::<u8>(), 1..200),
        changes in vec(change(), 1..4),
    ) {
        let mut encoding = to_vec(&Record::from_bytes(&bytes)).unwrap();
        for change in changes {
            encoding = changed(&encoding, change);
            if encoding.is_empty() {
                break;
            }
        }
        reads(&encoding);
    }
}

/// Whatever can be read can be written, and is then the same.
fn reads(bytes: &[u8]) {
    if let Ok(value) = from_slice::<Record>(bytes) {
        let encoding = to_vec(&value).unwrap();
        assert_eq!(from_slice::<Record>(&encoding).unwrap(), value);
    }
    if let Ok(any) = from_slice::<Any>(bytes) {
        // A key that is there twice can be read, but not written.
        if let Ok(encoding) = to_vec(&any) {
            assert_eq!(to_vec(&from_slice::<Any>(&encoding).unwrap()).unwrap(), encoding);
        }
    }
    let _ = from_slice::<IgnoredAny>(bytes);
}

/// The pairs of the first property are worth something only if many are equal and many are nearly so.
#[test]
fn pairs_are_often_equal_and_often_nearly() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (vec(any::<u8>(), 1..200), change());
    let (mut equal, mut near) = (0, 0);
    for _ in 0..2_000 {
        let (bytes, change) = strategy.new_tree(&mut runner).unwrap().current();
        let (value, other) = pair(&bytes, change);
        if value == other {
            equal += 1;
        } else {
            let (a, b) = (to_vec(&value).unwrap(), to_vec(&other).unwrap());
            let alike = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            let alike_behind = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
            if a.len().max(b.len()) - (alike + alike_behind).min(a.len().min(b.len())) <= 4 {
                near += 1;
            }
        }
    }
    assert!(equal > 200 && near > 200, "{equal} equal, {near} nearly equal pairs of 2000");
}
