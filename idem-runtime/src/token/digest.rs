//! The digest of the verified arguments: name → first 16 bytes of the SHA-256 of the value's encoding, as one
//! canonical CBOR map.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::encoding::{DecodeError, bytes_header, entries, map_header, text_header};

/// Under this name the digest holds the text of the key's expressions.
pub(crate) const KEY: &str = "key()";

/// The verified arguments of one call, while they are gathered; its buffers are used again.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// Names and values, each in its encoding, one after the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: usize,
    value: usize,
    end: usize,
    /// An argument, and not the key's text.
    argument: bool,
}

impl Verified {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Adds what `append` encodes under a name.
    pub(crate) fn add<E>(
        &mut self,
        name: &str,
        append: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        text_header(name.len(), &mut self.bytes);
        self.bytes.extend_from_slice(name.as_bytes());
        let value = self.bytes.len();
        if let Err(error) = append(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        self.entries.push(Entry { name: start, value, end: self.bytes.len(), argument: name != KEY });
        Ok(())
    }

    /// Brings the entries into the order of their names; says a name that is there twice.
    pub(crate) fn sort(&mut self) -> Result<(), String> {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|a, b| bytes[a.name..a.value].cmp(&bytes[b.name..b.value]));
        let twice = self
            .entries
            .windows(2)
            .find(|pair| bytes[pair[0].name..pair[0].value] == bytes[pair[1].name..pair[1].value]);
        match twice {
            Some(pair) => {
                let mut at = Reader(&bytes[pair[0].name..pair[0].value]);
                Err(at.text().unwrap_or_default().to_owned())
            }
            None => Ok(()),
        }
    }

    /// Appends the digest; nothing where nothing is verified.
    pub(crate) fn digest(&self, out: &mut Vec<u8>) {
        if self.entries.is_empty() {
            return;
        }
        map_header(self.entries.len(), out);
        for entry in &self.entries {
            out.extend_from_slice(&self.bytes[entry.name..entry.value]);
            out.push(0x50);
            out.extend_from_slice(&Sha256::digest(&self.bytes[entry.value..entry.end])[..16]);
        }
    }

    /// Appends the arguments themselves, as a map from name to value.
    pub(crate) fn values(&self, out: &mut Vec<u8>) {
        let arguments = self.entries.iter().filter(|entry| entry.argument);
        map_header(arguments.clone().count(), out);
        for entry in arguments {
            out.extend_from_slice(&self.bytes[entry.name..entry.end]);
        }
    }
}

/// The digest of verified arguments that are given as an encoded map from name to value; nothing where there are
/// none.
///
/// ```
/// use idem_runtime::{digest, encoding};
/// use std::collections::BTreeMap;
/// let of = |amount: u64| digest::of(&encoding::to_vec(&BTreeMap::from([("amount", amount)])).unwrap()).unwrap();
/// assert_eq!(digest::compare(&of(250), &of(251)), digest::Compared::Differs("amount".to_owned()));
/// ```
///
/// # Errors
/// Bytes that are not such a map, or a name that is there twice.
pub fn of(verified: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut digest = Vec::new();
    let values = entries(verified)?;
    if values.is_empty() {
        return Ok(digest);
    }
    if by_name(&values).is_none() {
        return Err(DecodeError::new("a name is there twice"));
    }
    map_header(values.len(), &mut digest);
    for (name, value) in values {
        text_header(name.len(), &mut digest);
        digest.extend_from_slice(name.as_bytes());
        bytes_header(16, &mut digest);
        digest.extend_from_slice(&Sha256::digest(value)[..16]);
    }
    Ok(digest)
}

/// What the comparison of two digests says.
#[derive(Debug, PartialEq, Eq)]
pub enum Compared {
    /// On every name that both have they agree.
    Compatible,
    /// The first name on which they do not.
    Differs(String),
    /// One of them is no digest of ours.
    Unreadable,
}

/// Compares two digests on the names that both have. Under the name `key()` a digest may hold the text of the
/// expressions that make the token.
#[must_use]
pub fn compare(ours: &[u8], theirs: &[u8]) -> Compared {
    let names = |digest| read(digest).and_then(|entries| Some((by_name(&entries)?, entries)));
    let (Some((_, ours)), Some((theirs, _))) = (names(ours), names(theirs)) else {
        return Compared::Unreadable;
    };
    match ours.into_iter().find(|(name, hash)| theirs.get(name).is_some_and(|theirs| theirs != hash)) {
        Some((name, _)) => Compared::Differs(name.to_owned()),
        None => Compared::Compatible,
    }
}

fn read(digest: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut reader = Reader(digest);
    let mut entries = Vec::new();
    if digest.is_empty() {
        return Some(entries);
    }
    for _ in 0..reader.head(0xa0)? {
        entries.push((reader.text()?, reader.hash()?));
    }
    reader.0.is_empty().then_some(entries)
}

/// Nothing if a name is there twice.
fn by_name<'a>(entries: &[(&'a str, &'a [u8])]) -> Option<BTreeMap<&'a str, &'a [u8]>> {
    let by_name: BTreeMap<_, _> = entries.iter().copied().collect();
    (by_name.len() == entries.len()).then_some(by_name)
}

/// Reads the little of CBOR that a digest is made of.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn head(&mut self, major: u8) -> Option<usize> {
        let first = self.take(1)?[0];
        if first & 0xe0 != major {
            return None;
        }
        match first & 0x1f {
            small @ 0..24 => Some(usize::from(small)),
            24 => Some(usize::from(self.take(1)?[0])),
            25 => Some(usize::from(u16::from_be_bytes(self.take(2)?.try_into().ok()?))),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.head(0x60)?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn hash(&mut self) -> Option<&'a [u8]> {
        (self.head(0x40)? == 16).then(|| self.take(16))?
    }
}

#[cfg(test)]
mod tests {
    use super::{Compared, Verified, compare, of};

    fn add(verified: &mut Verified, name: &str, value: u8) {
        let append = |out: &mut Vec<u8>| {
            out.push(value);
            Ok::<_, ()>(())
        };
        verified.add(name, append).unwrap();
    }

    fn digest(entries: &[(&str, u8)]) -> Vec<u8> {
        let mut verified = Verified::default();
        for (name, value) in entries {
            add(&mut verified, name, *value);
        }
        verified.sort().unwrap();
        let mut out = Vec::new();
        verified.digest(&mut out);
        out
    }

    #[test]
    fn the_order_of_the_names_changes_nothing() {
        assert_eq!(digest(&[("amount", 1), ("b", 2)]), digest(&[("b", 2), ("amount", 1)]));
    }

    #[test]
    fn nothing_verified_is_nothing() {
        assert_eq!(digest(&[]), Vec::<u8>::new());
    }

    #[test]
    fn a_name_twice_is_found() {
        let mut verified = Verified::default();
        for _ in 0..2 {
            add(&mut verified, "a", 1);
        }
        assert_eq!(verified.sort(), Err("a".to_owned()));
    }

    /// Found by the fuzz target `result`.
    #[test]
    fn a_digest_with_a_name_twice_is_none() {
        assert!(of(b"\xa2\x60\x60\x60\x60").is_err());
        let twice = [&b"\xa2\x61a\x50"[..], &[1; 16], b"\x61a\x50", &[2; 16]].concat();
        assert_eq!(compare(&twice, &twice), Compared::Unreadable);
        assert_eq!(compare(b"", &twice), Compared::Unreadable);
    }

    #[test]
    fn only_names_that_both_have_are_compared() {
        let one = digest(&[("a", 1), ("b", 2)]);
        assert_eq!(compare(&one, &digest(&[("a", 1), ("c", 3)])), Compared::Compatible);
        assert_eq!(compare(&one, &digest(&[("b", 3), ("a", 1)])), Compared::Differs("b".into()));
        assert_eq!(compare(&one, b"\xa1\x61a\x41\x00"), Compared::Unreadable);
        assert_eq!(compare(&one, b""), Compared::Compatible);
    }
    #[test]
    fn long_names_and_many_of_them_are_compared() {
        for length in [23, 24, 255, 256, 65_535] {
            let name = "n".repeat(length);
            let one = digest(&[(&name, 1)]);
            assert_eq!(compare(&one, &one), Compared::Compatible, "{length}");
            assert_eq!(compare(&one, &digest(&[(&name, 2)])), Compared::Differs(name), "{length}");
        }
        let names: Vec<String> = (0..300).map(|name| name.to_string()).collect();
        for count in [23, 24, 255, 256, 300] {
            let mut entries: Vec<_> = names[..count].iter().map(|name| (name.as_str(), 1)).collect();
            let one = digest(&entries);
            assert_eq!(compare(&one, &one), Compared::Compatible, "{count}");
            entries[count / 2].1 = 2;
            let differs = Compared::Differs(names[count / 2].clone());
            assert_eq!(compare(&one, &digest(&entries)), differs, "{count}");
        }
    }
}
