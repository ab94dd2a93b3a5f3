//! Brings the entries of a map into the order of their keys.

/// An entry that was written: where it begins, and where its key and its value end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) start: usize,
    pub(super) key_end: usize,
    pub(super) end: usize,
}

/// Sorts the entries that lie from `start` to the end of `out`, one after the other, and puts the map's head before
/// them. Says nothing of an entry that is there twice but that it is.
pub(super) fn finish(start: usize, mut entries: Vec<Entry>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let written = out.split_off(start);
    let key = |entry: &Entry| &written[entry.start - start..entry.key_end - start];
    entries.sort_unstable_by(|a, b| key(a).cmp(key(b)));
    if entries.windows(2).any(|pair| key(&pair[0]) == key(&pair[1])) {
        return Err("a map has the same key twice");
    }
    idem::encoding::map_header(entries.len(), out);
    for entry in &entries {
        out.extend_from_slice(&written[entry.start - start..entry.end - start]);
    }
    Ok(())
}
