//! Nesting is refused before the stack ends, and encodings that lie about themselves are refused before they cost
//! anything.

use std::collections::BTreeMap;
use std::fmt;

use idem::encoding::{from_slice, to_vec};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T) {
    let encoding = to_vec(&value).unwrap();
    assert_eq!(from_slice::<T>(&encoding).unwrap(), value, "{encoding:x?}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Linked {
    next: Option<Box<Linked>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Option<Box<Wrapped>>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Vec<Tree>),
}

/// Nesting is refused before the stack ends: 1 MiB of it is half of what a thread has by default.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(test).unwrap().join().unwrap();
}

#[test]
fn nesting_goes_to_128() {
    on_a_small_stack(|| {
        let linked =
            |levels| (1..levels).fold(Linked { next: None }, |next, _| Linked { next: Some(Box::new(next)) });
        there_and_back(linked(128));
        let error = to_vec(&linked(129)).unwrap_err().to_string();
        assert!(
            error.ends_with("arrays and maps nest deeper than 128 (or options and newtypes deeper than 256)"),
            "{error}"
        );
        assert!(error.starts_with("in `next.next.next."), "{error}");
        assert!(error.len() < 300, "{error}");

        // Each option around null is an array.
        let wrapped = |levels| (0..levels).fold(Wrapped(None), |inner, _| Wrapped(Some(Box::new(inner))));
        there_and_back(wrapped(127));
        to_vec(&wrapped(129)).unwrap_err();
        to_vec(&wrapped(5_000)).unwrap_err();

        // An array in the map of a variant.
        let tree = |levels| (0..levels).fold(Tree::Leaf, |tree, _| Tree::Node(vec![tree]));
        there_and_back(tree(64));
        to_vec(&tree(65)).unwrap_err();
    });
}

#[test]
fn what_was_encoded_can_be_read_and_what_nests_deeper_cannot() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Options(Option<Box<Options>>);

    on_a_small_stack(|| {
        let options = |levels| (0..levels).fold(Options(None), |inner, _| Options(Some(Box::new(inner))));
        there_and_back(options(128));
        to_vec(&options(129)).unwrap_err();
        let arrays = |levels, inside: &[u8]| [vec![0x81; levels], inside.to_vec()].concat();
        from_slice::<Options>(&arrays(128, b"\xf6")).unwrap();
        from_slice::<Options>(&arrays(129, b"\xf6")).unwrap_err();
        from_slice::<serde_json::Value>(&arrays(128, b"\x07")).unwrap();
        from_slice::<serde_json::Value>(&arrays(129, b"\x07")).unwrap_err();
        from_slice::<serde_json::Value>(&arrays(127, b"\xa1\x60\x07")).unwrap();
        from_slice::<serde_json::Value>(&arrays(128, b"\xa1\x60\x07")).unwrap_err();
    });
}

#[test]
fn nesting_is_depth_and_not_number() {
    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Tuple(u8, Option<u8>),
        Struct { a: Option<()> },
        Newtype(Option<Option<()>>),
    }
    let shapes = [Shape::Tuple(1, Some(2)), Shape::Struct { a: Some(()) }, Shape::Newtype(Some(None))];
    there_and_back(vec![shapes; 500]);
    there_and_back(vec![Some(Some(1)); 500]);
    there_and_back(vec![BTreeMap::from([(1, [Some(1)])]); 500]);
}

#[test]
fn encodings_that_nest_or_claim_without_end_are_refused() {
    on_a_small_stack(|| {
        fn refused(bytes: &[u8]) {
            from_slice::<Tree>(bytes).unwrap_err();
            from_slice::<Linked>(bytes).unwrap_err();
            from_slice::<Wrapped>(bytes).unwrap_err();
            from_slice::<serde_json::Value>(bytes).unwrap_err();
            from_slice::<Vec<Vec<Vec<u64>>>>(bytes).unwrap_err();
            from_slice::<Option<Option<u8>>>(bytes).unwrap_err();
            from_slice::<String>(bytes).unwrap_err();
            from_slice::<Vec<char>>(bytes).unwrap_err();
            from_slice::<IgnoredAny>(bytes).unwrap_err();
        }
        for first in
            [&b"\x81"[..], b"\x82\x80", b"\xa1\x00", b"\xa1\x64next", b"\xa1\x64Node\x81", b"\xc2", b"\xa1"]
        {
            refused(&first.repeat(200_000));
        }
        for kind in [b'\x40', b'\x60', b'\x80', b'\xa0'] {
            for claim in ["1a7fffffff", "1affffffff", "1b7fffffffffffffff", "1bffffffffffffffff"] {
                let mut bytes: Vec<u8> = (0..claim.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&claim[at..at + 2], 16).unwrap())
                    .collect();
                bytes[0] |= kind;
                bytes.resize(1_000, 0);
                refused(&bytes);
            }
        }
        // No byte of such a value would ever be used up.
        assert!(from_slice::<Wrapped>(b"\x05").unwrap_err().to_string().contains("deeper"));
    });
}
