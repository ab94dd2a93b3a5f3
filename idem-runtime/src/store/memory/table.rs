//! The table of a part's records: open addressing, with 2 bytes of the token, its tag, apart from the pointer to each
//! record.
//!
//! At a million records each touch of another place in memory waits for it, and for the processor to find out where
//! it is. So what a look-up goes through before it comes to the record is small: the tags of a million records fit
//! into a processor's own cache, and the pointers are few pages. (A general table, and one with 8 bytes of the token
//! beside each pointer, were measured to be slower.)

use crate::Token;
use crate::store::packed::Packed;

/// The records of one part.
#[derive(Default)]
pub(super) struct Table {
    /// The tag of the record at each place, or [`FREE`]. A record stands at the place that its token says, or at the
    /// next free one behind.
    tags: Box<[u16]>,
    records: Box<[Option<Packed>]>,
    full: usize,
}

/// No record has this tag.
const FREE: u16 = 0;

const SMALLEST: usize = 8;

/// So many eight bytes behind the token's first.
#[inline]
fn word(token: &Token, index: usize) -> u64 {
    let bytes = token.as_bytes()[8 * index..].first_chunk();
    u64::from_le_bytes(bytes.copied().unwrap_or_default())
}

/// A token is uniform, so that any bytes of it are its hash: others than those that choose the part.
#[inline]
fn tag(token: &Token) -> u16 {
    (word(token, 2) as u16).max(FREE + 1)
}

/// Whether two tokens are equal: four numbers compared, and no call as for bytes.
#[inline]
fn same(one: &Token, other: &Token) -> bool {
    (0..4).fold(0, |differ, index| differ | (word(one, index) ^ word(other, index))) == 0
}

impl Table {
    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.full
    }

    /// How many places there are, full ones and empty ones.
    pub(super) fn places(&self) -> usize {
        self.tags.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Packed> {
        self.records.iter().flatten()
    }

    /// The record at one place.
    pub(super) fn at(&self, place: usize) -> Option<&Packed> {
        self.records.get(place)?.as_ref()
    }

    #[inline]
    pub(super) fn get(&self, token: &Token) -> Option<&Packed> {
        // The pointer is hardly ever far from here: it is fetched beside the tags, and not after them.
        std::hint::black_box(self.at(self.home(token)).is_some());
        self.records.get(self.place(token).ok()?)?.as_ref()
    }

    /// Puts a record where one of its token was, and gives that back, or where none was.
    pub(super) fn insert(&mut self, record: Packed) -> Option<Packed> {
        match self.place(record.token()) {
            Ok(place) => self.records[place].replace(record),
            Err(place) => {
                let place = if (self.full + 1) * 4 > self.places() * 3 {
                    // A quarter more each time: places that are empty take room, too.
                    self.resize((self.places() + self.places() / 4).max(SMALLEST));
                    self.free_place(record.token())
                } else {
                    place
                };
                self.put(place, record);
                self.full += 1;
                None
            }
        }
    }

    pub(super) fn remove(&mut self, token: &Token) -> Option<Packed> {
        let place = self.place(token).ok()?;
        self.remove_at(place)
    }

    /// Takes the record away from one place, and moves up those behind it that would not be found any more. The
    /// place may be full again afterwards.
    pub(super) fn remove_at(&mut self, place: usize) -> Option<Packed> {
        let removed = self.records.get_mut(place)?.take()?;
        self.tags[place] = FREE;
        self.full -= 1;
        let mut gap = place;
        let mut next = self.after(place);
        while let Some(record) = &self.records[next] {
            // How far it stands from where it belongs, and how far the gap is behind it.
            if self.distance(self.home(record.token()), next) >= self.distance(gap, next) {
                self.records.swap(gap, next);
                self.tags.swap(gap, next);
                gap = next;
            }
            next = self.after(next);
        }
        Some(removed)
    }

    /// Gives back the places that a past crowd needed.
    pub(super) fn shrink(&mut self) {
        let enough = (self.full * 2).max(SMALLEST);
        if self.places() >= enough * 8 {
            self.resize(enough);
        }
    }

    fn resize(&mut self, places: usize) {
        self.tags = std::iter::repeat_n(FREE, places).collect();
        let empty = std::iter::repeat_with(|| None).take(places).collect();
        for record in std::mem::replace(&mut self.records, empty).into_iter().flatten() {
            let free = self.free_place(record.token());
            self.put(free, record);
        }
    }

    fn put(&mut self, place: usize, record: Packed) {
        self.tags[place] = tag(record.token());
        self.records[place] = Some(record);
    }

    /// Where the token's record is, or else the place for it.
    #[inline]
    fn place(&self, token: &Token) -> Result<usize, usize> {
        let tag = tag(token);
        let mut at = self.home(token);
        loop {
            match self.tags.get(at) {
                Some(&FREE) | None => return Err(at),
                Some(found) if *found == tag => match self.records.get(at) {
                    Some(Some(record)) if same(record.token(), token) => return Ok(at),
                    _ => {}
                },
                Some(_) => {}
            }
            at = self.after(at);
        }
    }

    fn free_place(&self, token: &Token) -> usize {
        let mut at = self.home(token);
        while self.tags[at] != FREE {
            at = self.after(at);
        }
        at
    }

    /// Where a token's record belongs: as far into the table as 8 of its bytes are into all numbers.
    #[inline]
    fn home(&self, token: &Token) -> usize {
        ((u128::from(word(token, 1)) * self.places() as u128) >> 64) as usize
    }

    /// How far `to` is behind `from`.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.places() - from }
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        if place + 1 < self.places() { place + 1 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::Record;

    #[test]
    fn tokens_are_the_same_if_every_byte_is() {
        let token = Token::from_bytes([7; 32]);
        assert!(same(&token, &token));
        for at in 0..32 {
            let mut bytes = [7; 32];
            bytes[at] ^= 1;
            assert!(!same(&token, &Token::from_bytes(bytes)), "{at}");
            // What differs in the same way in two places is not taken for nothing.
            bytes[(at + 8) % 32] ^= 1;
            assert!(!same(&token, &Token::from_bytes(bytes)), "{at}");
        }
    }

    #[test]
    fn a_table_holds_what_a_map_holds_however_crowded() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut dice = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (mut table, mut map) = (Table::default(), BTreeMap::new());
        // Few homes and few tags, so that records stand in each other's way.
        let named = |number: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            bytes[15] = (number % 7 * 36) as u8 | 3;
            bytes[16] = (number % 3) as u8;
            Token::from_bytes(bytes)
        };
        for step in 0..60_000_u64 {
            let token = named(dice(400));
            let mut record = Record::default();
            record.head.fence = step;
            // It grows at first, and shrinks in the end.
            if dice(60_000) > step {
                let before = table.insert(Packed::new(token, &record)).map(|record| record.head().fence);
                assert_eq!(before, map.insert(token, step));
            } else if dice(2) == 0 {
                assert_eq!(table.remove(&token).map(|record| record.head().fence), map.remove(&token));
            } else if table.places() > 0 {
                let place = dice(table.places() as u64) as usize;
                let there = table.at(place).map(|record| *record.token());
                let removed = table.remove_at(place).map(|record| *record.token());
                assert_eq!(removed, there);
                removed.map(|token| map.remove(&token).expect("it was there"));
            }
            if step % 1_000 == 0 {
                table.shrink();
                for number in 0..400 {
                    let token = named(number);
                    assert_eq!(table.get(&token).map(|record| record.head().fence), map.get(&token).copied());
                }
                assert_eq!((table.len(), table.iter().count()), (map.len(), map.len()));
            }
        }
    }

    #[test]
    fn a_table_is_hardly_larger_than_its_records_need_and_spreads_them() {
        let named = |word: u64| {
            let mut bytes = [1; 32];
            bytes[8..16].copy_from_slice(&word.to_le_bytes());
            Token::from_bytes(bytes)
        };
        let spread = |number: u64| named(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut table = Table::default();
        for number in 0..10_000 {
            table.insert(Packed::new(spread(number), &Record::default()));
            assert!(table.places() <= (2 * table.len()).max(SMALLEST));
        }
        let places = table.places();
        let homes = [0, 1 << 63, u64::MAX].map(|word| table.home(&named(word)));
        assert_eq!(homes, [0, places / 2, places - 1]);
        table.shrink();
        assert_eq!(table.places(), places, "it is no larger than its records need");
        for number in 100..10_000 {
            table.remove(&spread(number));
        }
        table.shrink();
        assert_eq!((table.len(), table.places()), (100, 200));
    }
}
