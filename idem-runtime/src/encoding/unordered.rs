//! Sets as values: arrays sorted by the encodings of their elements.
//!
//! For a field of a struct:
//!
//! ```
//! use std::collections::HashSet;
//! use serde::{Deserialize, Serialize};
//! # mod idem { pub use idem_runtime::encoding::unordered; }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Search {
//!     #[serde(with = "idem::unordered")]
//!     tags: HashSet<String>,
//! }
//! ```
//!
//! `#[serde(serialize_with = "idem::unordered::serialize")]` does the same for a type that is never
//! read back. The order holds in every format: in JSON too, the elements stand in the order of
//! their encodings.

use std::cell::Cell;
use std::fmt;

use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::append;

/// The newtype by which our own encoder knows such a value.
pub(super) const NAME: &str = "$idem::unordered";

thread_local! {
    /// Whether the encoder that asks for the elements is ours, and sorts them itself.
    static SORTED_BY_ENCODER: Cell<bool> = const { Cell::new(false) };
}

/// Runs our own encoder's part, which sorts the elements afterwards. To encode them once more for
/// that would double the work with each set in a set.
pub(super) fn sorted_by_encoder<R>(write: impl FnOnce() -> R) -> R {
    SORTED_BY_ENCODER.set(true);
    let result = write();
    SORTED_BY_ENCODER.set(false);
    result
}

/// A collection whose order means nothing, as a value; made by
/// [`unordered`](fn@super::unordered).
pub struct Unordered<'a, C: ?Sized>(&'a C);

impl<'a, C: ?Sized> Unordered<'a, C> {
    pub(super) fn new(collection: &'a C) -> Self {
        Unordered(collection)
    }
}

impl<C: ?Sized> Clone for Unordered<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: ?Sized> Copy for Unordered<'_, C> {}

impl<C: fmt::Debug + ?Sized> fmt::Debug for Unordered<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unordered").field(&self.0).finish()
    }
}

impl<'a, C: ?Sized> Serialize for Unordered<'a, C>
where
    &'a C: IntoIterator,
    <&'a C as IntoIterator>::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(NAME, &Elements(self.0))
    }
}

struct Elements<'a, C: ?Sized>(&'a C);

impl<'a, C: ?Sized> Serialize for Elements<'a, C>
where
    &'a C: IntoIterator,
    <&'a C as IntoIterator>::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if SORTED_BY_ENCODER.replace(false) {
            return serializer.collect_seq(self.0);
        }
        // Another format, or something in between that keeps the value for later.
        let mut encodings = Vec::new();
        let mut elements = Vec::new();
        for element in self.0 {
            let start = encodings.len();
            append(&element, &mut encodings).map_err(S::Error::custom)?;
            elements.push((start..encodings.len(), element));
        }
        elements.sort_by(|(a, _), (b, _)| encodings[a.clone()].cmp(&encodings[b.clone()]));
        let mut seq = serializer.serialize_seq(Some(elements.len()))?;
        for (_, element) in &elements {
            seq.serialize_element(element)?;
        }
        seq.end()
    }
}

/// For `#[serde(with = "idem::unordered")]`: writes the elements sorted by their encodings.
///
/// # Errors
///
/// Those of the elements and of the serializer.
pub fn serialize<'a, C, S>(collection: &'a C, serializer: S) -> Result<S::Ok, S::Error>
where
    C: ?Sized,
    &'a C: IntoIterator,
    <&'a C as IntoIterator>::Item: Serialize,
    S: Serializer,
{
    Unordered(collection).serialize(serializer)
}

/// For `#[serde(with = "idem::unordered")]`: reads the collection as it reads itself.
///
/// # Errors
///
/// Those of the collection and of the deserializer.
pub fn deserialize<'de, C, D>(deserializer: D) -> Result<C, D::Error>
where
    C: Deserialize<'de>,
    D: Deserializer<'de>,
{
    C::deserialize(deserializer)
}
