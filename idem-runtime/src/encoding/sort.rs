//! Brings the entries of a map into the order of their keys, where they were written.

use std::cmp::Ordering;

use super::error::EncodeError;
use super::read::{Item, Reader};

/// How many entries need no memory from the heap.
const INLINE: usize = 24;

/// The entries of a map, as far as they were written.
pub(super) struct Entries {
    // Apart, because what is small is quickly cleared, and every struct does that.
    starts: [u32; INLINE],
    key_lens: [u8; INLINE],
    more: Vec<(u32, u8)>,
    len: usize,
}

impl Entries {
    #[inline]
    pub(super) fn new() -> Self {
        Entries { starts: [0; INLINE], key_lens: [0; INLINE], more: Vec::new(), len: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds the entry that begins so far from the first one, with a key of `key_len` bytes.
    #[inline]
    pub(super) fn push(&mut self, start: usize, key_len: usize) {
        // What is too large for 32 bits is refused when all entries are there. Of a key, no more
        // than eight bytes are looked at by their number.
        let (start, key_len) = (start as u32, key_len.min(8) as u8);
        if let Some(place) = self.starts.get_mut(self.len) {
            *place = start;
            self.key_lens[self.len] = key_len;
        } else {
            self.push_more(start, key_len);
        }
        self.len += 1;
    }

    #[cold]
    fn push_more(&mut self, start: u32, key_len: u8) {
        self.more.push((start, key_len));
    }

    /// Sorts the entries, of which the first begins at `start` and the last goes to the end of
    /// `out`.
    pub(super) fn sort(&self, start: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.len < 2 {
            return Ok(());
        }
        let written = &out[start..];
        let Ok(end) = u32::try_from(written.len()) else {
            return Err(EncodeError::new("a map of more than 4 GiB"));
        };
        if self.more.is_empty() { self.sort_few(start, out) } else { self.sort_many(start, end, out) }
    }

    fn sort_few(&self, start: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let written = &out[start..];
        let mut firsts = [0; INLINE];
        let mut order = [0_u8; INLINE];
        let mut sorted = true;
        for (index, (&start, &key_len)) in self.starts.iter().zip(&self.key_lens).enumerate() {
            if index == self.len {
                break;
            }
            let entry = &written[start as usize..];
            let first = first_bytes(entry, key_len.into());
            let mut place = index;
            while place > 0 && firsts[place - 1] >= first {
                let before = order[place - 1];
                if firsts[place - 1] == first {
                    match compare_keys(&written[self.starts[usize::from(before)] as usize..], entry) {
                        Ordering::Less => break,
                        Ordering::Equal => return Err(repeated_key()),
                        Ordering::Greater => {}
                    }
                }
                sorted = false;
                firsts[place] = firsts[place - 1];
                order[place] = before;
                place -= 1;
            }
            firsts[place] = first;
            order[place] = index as u8;
        }
        if !sorted {
            let ends = |index: usize| match self.starts.get(index + 1) {
                Some(&end) if index + 1 < self.len => end as usize,
                _ => usize::MAX,
            };
            let order = order[..self.len].iter().map(|&index| usize::from(index));
            arrange(order.map(|index| (self.starts[index] as usize, ends(index))), start, out);
        }
        Ok(())
    }

    #[cold]
    fn sort_many(&self, start: usize, end: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let written = &out[start..];
        let inline = self.starts.iter().copied().zip(self.key_lens);
        let entries = inline.chain(self.more.iter().copied());
        let ends = entries.clone().skip(1).map(|(start, _)| start).chain([end]);
        let mut spans: Vec<Span> = entries
            .zip(ends)
            .map(|((start, key_len), end)| {
                let first = first_bytes(&written[start as usize..], key_len.into());
                Span { first, start, end }
            })
            .collect();
        sort(&mut spans, written);
        let repeated = spans.windows(2).any(|pair| {
            let [a, b] = pair else { return false };
            a.first == b.first && compare_keys(a.bytes(written), b.bytes(written)) == Ordering::Equal
        });
        if repeated {
            return Err(repeated_key());
        }
        arrange(spans.iter().map(Span::range), start, out);
        Ok(())
    }
}

#[cold]
fn repeated_key() -> EncodeError {
    EncodeError::new("a map has the same key twice (with `flatten`, rename one of the two fields)")
}

/// Sorts the elements of the array that begins at `start` and goes to the end of `out`.
pub(super) fn sort_array(start: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut reader = Reader::new(&out[start..]);
    let Ok(Item::Array(len)) = reader.item() else {
        return Ok(());
    };
    let elements = reader.rest();
    if u32::try_from(elements.len()).is_err() {
        return Err(EncodeError::new("a set of more than 4 GiB"));
    }
    let start = out.len() - elements.len();
    let mut spans = Vec::with_capacity(len);
    // What was just written can be read.
    while !reader.rest().is_empty() && reader.skip().is_ok() {
        let start = spans.last().map_or(0, |last: &Span| last.end);
        let end = (elements.len() - reader.rest().len()) as u32;
        let first = first_bytes(&elements[start as usize..], (end - start) as usize);
        spans.push(Span { first, start, end });
    }
    sort(&mut spans, elements);
    arrange(spans.iter().map(Span::range), start, out);
    Ok(())
}

/// An element, or an entry, among many; positions count from the beginning of the first one.
struct Span {
    /// The first eight bytes of what decides the order, as a number. Almost always they suffice.
    first: u64,
    start: u32,
    end: u32,
}

impl Span {
    fn range(&self) -> (usize, usize) {
        (self.start as usize, self.end as usize)
    }

    fn bytes<'a>(&self, written: &'a [u8]) -> &'a [u8] {
        &written[self.start as usize..self.end as usize]
    }
}

fn sort(spans: &mut [Span], written: &[u8]) {
    // No encoding begins with another one, so what follows a key decides nothing unless the keys are equal.
    spans.sort_unstable_by(|a, b| a.first.cmp(&b.first).then_with(|| a.bytes(written).cmp(b.bytes(written))));
}

/// The order of the keys with which two entries begin.
#[cold]
fn compare_keys(a: &[u8], b: &[u8]) -> Ordering {
    fn key(entry: &[u8]) -> &[u8] {
        let mut reader = Reader::new(entry);
        // What was just written can be read.
        let _ = reader.skip();
        &entry[..entry.len() - reader.rest().len()]
    }
    key(a).cmp(key(b))
}

/// The first eight of the `len` bytes with which `bytes` begin, as a number of the same order.
#[inline]
fn first_bytes(bytes: &[u8], len: usize) -> u64 {
    let first = match bytes.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(first)
        }
    };
    if len < 8 { first & !(u64::MAX >> (8 * len)) } else { first }
}

/// Brings all of `out` from `start` into the order in which its parts are given.
fn arrange(parts: impl Iterator<Item = (usize, usize)>, start: usize, out: &mut Vec<u8>) {
    /// No copy of up to so many bytes is worth a call.
    const SMALL: usize = 16;

    let end = out.len();
    out.extend_from_within(start..);
    let (moved, copy) = out.split_at_mut(end);
    let mut rest = &mut moved[start..];
    for (from, to) in parts {
        let len = to.min(copy.len()) - from;
        let part = &copy[from..];
        // What is copied too much is overwritten by those that follow.
        match (rest.first_chunk_mut::<SMALL>(), part.first_chunk()) {
            (Some(rest), Some(part)) if len <= SMALL => *rest = *part,
            _ => rest[..len].copy_from_slice(&part[..len]),
        }
        rest = &mut rest[len..];
    }
    out.truncate(end);
}
