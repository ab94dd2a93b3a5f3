//! Encoded values: of any type, and as results.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use idem::digest;
use idem::encoding::{elements, entries, from_slice, is_encoding, to_vec};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

/// A value whose type refers to itself.
#[derive(Debug, Serialize, Deserialize)]
struct Tree {
    label: String,
    children: Vec<Tree>,
    parent: Option<Box<Tree>>,
}

/// Variants of every kind.
#[derive(Debug, Serialize, Deserialize)]
enum Any {
    Unit,
    Newtype(u64),
    Tuple(i8, char),
    Struct { name: String, nested: Option<Option<()>> },
    Again(Box<Any>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    List(Vec<Untagged>),
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    id: u128,
    #[serde(flatten)]
    rest: HashMap<String, serde_json::Value>,
}

/// What decodes encodes to what decodes to the same.
fn comes_back<T: DeserializeOwned + Serialize + Debug>(bytes: &[u8]) {
    let Ok(value) = from_slice::<T>(bytes) else { return };
    // A repeated key of a map is kept once, and refused where it is written twice.
    let Ok(encoded) = to_vec(&value) else { return };
    let again: T = from_slice(&encoded).expect("what was encoded decodes");
    assert_eq!(to_vec(&again).expect("it was encoded before"), encoded, "{value:?} comes back as {again:?}");
    assert!(is_encoding(&encoded), "{value:?} is encoded as it must be");
}

/// The encoding's reader, for values of any type.
pub fn encoding(bytes: &[u8]) {
    let _ = from_slice::<IgnoredAny>(bytes);
    comes_back::<serde_json::Value>(bytes);
    comes_back::<Tree>(bytes);
    comes_back::<Any>(bytes);
    comes_back::<Untagged>(bytes);
    comes_back::<Flat>(bytes);
    comes_back::<BTreeMap<Vec<u8>, f32>>(bytes);
    comes_back::<Vec<Option<Option<i128>>>>(bytes);
    comes_back::<(u8, char, f64, (), bool, [u16; 2])>(bytes);
    let _ = is_encoding(bytes);
    for value in elements(bytes).unwrap_or_default() {
        assert!(from_slice::<IgnoredAny>(value).is_ok(), "an element is a value");
    }
    for (_, value) in entries(bytes).unwrap_or_default() {
        assert!(from_slice::<IgnoredAny>(value).is_ok(), "an entry is a value");
    }
}

/// A stored result, and the digest beside it.
pub fn result(bytes: &[u8]) {
    comes_back::<u64>(bytes);
    comes_back::<String>(bytes);
    comes_back::<Option<Vec<Any>>>(bytes);
    comes_back::<Result<Any, String>>(bytes);
    if let Ok(made) = digest::of(bytes) {
        assert_eq!(digest::compare(&made, &made), digest::Compared::Compatible, "a digest is like itself");
    }
    let (ours, theirs) = bytes.split_at(bytes.len() / 2);
    assert_eq!(
        digest::compare(ours, theirs) == digest::Compared::Compatible,
        digest::compare(theirs, ours) == digest::Compared::Compatible,
        "whether two digests agree does not depend on whose is whose"
    );
}
