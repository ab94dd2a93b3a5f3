//! The encoding that tokens, digests and stored results are made of.
//!
//! It is CBOR in the *core deterministic encoding* of RFC 8949 §4.2.1: integers, lengths and floats
//! in their shortest form, definite lengths, map keys in bytewise order. One value has exactly one
//! encoding, and two different values of one type never share one, so any language that follows
//! the same rules makes the same token.
//!
//! | value | encoding |
//! | --- | --- |
//! | struct, map | map, the fields of a struct under text keys |
//! | sequence, tuple | array |
//! | text, `char` | text |
//! | bytes | byte string |
//! | `None`, `()`, unit struct | null |
//! | `Some(v)` | what `v` is; if that is null inside any number of one-element arrays, in one more array |
//! | unit variant | its name as text |
//! | any other variant | map of one entry, from its name to its content |
//! | newtype struct | its content |
//! | integer beyond 64 bits | bignum (tag 2 or 3) |
//! | float | the shortest float that keeps the value; every NaN is `f97e00` |
//!
//! Arrays and maps nest at most 128 deep; a map that has a key twice is refused.
//!
//! ```
//! use idem_runtime::encoding::{from_slice, to_vec};
//!
//! let bytes = to_vec(&(7u64, "ann"))?;
//! assert_eq!(bytes, b"\x82\x07\x63ann");
//! assert_eq!(from_slice::<(u64, String)>(&bytes)?, (7, "ann".to_owned()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod compound;
mod de;
mod error;
mod float;
mod head;
mod read;
mod ser;
mod sort;
#[cfg(test)]
mod tests;
pub mod unordered;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{DecodeError, EncodeError};
pub use head::{array_header, bytes_header, map_header, text_header};
pub use unordered::Unordered;

/// How deep arrays and maps may nest in one another.
const MAX_NESTING: u32 = 128;

/// How many options and newtypes may lie around and between them. They leave no trace in the
/// encoding, but a type that recurs through them alone would use up the stack.
const MAX_WRAPPERS: u32 = 256;

/// Appends the encoding of `value` to `out`.
///
/// # Errors
///
/// A map that has a key twice, a nesting deeper than 128, or an error of the value's own
/// `Serialize`. `out` then holds what it held before.
#[inline]
pub fn append<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let mut encoder = ser::Encoder::new(out);
    let result = value.serialize(&mut encoder).and_then(|()| encoder.finish());
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// The encoding of `value`.
///
/// # Errors
///
/// As [`append`].
#[inline]
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(128);
    append(value, &mut out)?;
    Ok(out)
}

/// The value that `bytes` encode.
///
/// Values come back exactly as they went in, also `0`, `""`, `[]`, `()`, NaN, `u128`, maps with
/// keys that are not text, and options in options; only what serde itself loses, when it buffers
/// for `untagged`, `flatten` and internal tags (128-bit integers, options in options), does not.
///
/// # Errors
///
/// Bytes that are no such encoding, that go on after the value, or that hold a value of another
/// type. No input makes it panic, nor use more memory than the value needs.
#[inline]
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut decoder = de::Decoder::new(bytes);
    let value = T::deserialize(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}

/// The entries of an encoded map with text keys: each name, and its value, still encoded.
///
/// For whoever passes values on without knowing their types.
///
/// ```
/// use idem_runtime::encoding::{entries, to_vec};
/// use std::collections::BTreeMap;
///
/// let bytes = to_vec(&BTreeMap::from([("amount", 250), ("order", 7)]))?;
/// assert_eq!(entries(&bytes)?, [("order", &b"\x07"[..]), ("amount", b"\x18\xfa")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Bytes that are not such a map, or go on after it.
pub fn entries(bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, DecodeError> {
    let mut reader = read::Reader::new(bytes);
    let read::Item::Map(len) = reader.item()? else {
        return Err(DecodeError::new("expected a map"));
    };
    let mut entries = Vec::with_capacity(len.min(64));
    for _ in 0..len {
        let read::Item::Text(name) = reader.item()? else {
            return Err(DecodeError::new("expected a map with texts as keys"));
        };
        let before = reader.rest();
        reader.skip()?;
        entries.push((name, &before[..before.len() - reader.rest().len()]));
    }
    if reader.rest().is_empty() { Ok(entries) } else { Err(DecodeError::new("something follows the map")) }
}

/// The elements of an encoded array, each still encoded.
///
/// ```
/// use idem_runtime::encoding::{elements, to_vec};
/// assert_eq!(elements(&to_vec(&(7, "ann"))?)?, [&b"\x07"[..], b"\x63ann"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Bytes that are not an array, or go on after it.
pub fn elements(bytes: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    let mut reader = read::Reader::new(bytes);
    let read::Item::Array(len) = reader.item()? else {
        return Err(DecodeError::new("expected an array"));
    };
    let mut elements = Vec::with_capacity(len.min(64));
    for _ in 0..len {
        let before = reader.rest();
        reader.skip()?;
        elements.push(&before[..before.len() - reader.rest().len()]);
    }
    if reader.rest().is_empty() { Ok(elements) } else { Err(DecodeError::new("something follows the array")) }
}

/// Whether these bytes are one value in CBOR's shortest form. The order of a map's keys is not looked at.
///
/// ```
/// use idem_runtime::encoding::is_encoding;
/// assert!(is_encoding(b"\x82\x07\x63ann"));
/// assert!(!is_encoding(b"\x82\x07"));
/// ```
#[must_use]
pub fn is_encoding(bytes: &[u8]) -> bool {
    let mut reader = read::Reader::new(bytes);
    reader.skip().is_ok() && reader.rest().is_empty()
}

/// The content of an encoded byte string, if these bytes are one.
///
/// ```
/// use idem_runtime::encoding::bytes;
/// assert_eq!(bytes(b"\x43ann"), Some(&b"ann"[..]));
/// assert_eq!(bytes(b"\x63ann"), None);
/// ```
#[must_use]
pub fn bytes(encoding: &[u8]) -> Option<&[u8]> {
    let mut reader = read::Reader::new(encoding);
    match reader.item() {
        Ok(read::Item::Bytes(bytes)) if reader.rest().is_empty() => Some(bytes),
        _ => None,
    }
}

/// A set (or any collection whose order means nothing) as a value: an array of its elements,
/// sorted by their encodings.
///
/// The order in which a `HashSet` gives its elements changes from run to run, and with it the
/// token. For a field, write `#[serde(with = "idem::unordered")]`, or
/// `#[serde(serialize_with = "idem::unordered::serialize")]`: see the [module](mod@unordered) of
/// the same name.
///
/// ```
/// use std::collections::HashSet;
/// use idem_runtime::encoding::{to_vec, unordered};
///
/// let tags = HashSet::from([300, 2, 1]);
/// assert_eq!(to_vec(&unordered(&tags))?, to_vec(&[1, 2, 300])?);
/// # Ok::<(), idem_runtime::encoding::EncodeError>(())
/// ```
#[inline]
#[must_use]
pub fn unordered<C: ?Sized>(collection: &C) -> Unordered<'_, C> {
    Unordered::new(collection)
}
