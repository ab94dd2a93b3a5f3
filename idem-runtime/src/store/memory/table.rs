//! The table of a part's records: open addressing, with 8 bytes of the token beside the pointer to each record.
//!
//! A record is looked for by those 8 bytes, so that a look-up touches one place of the table and one record, and
//! nothing else of either: at a million records each touch waits for memory. (A general table touches its control
//! bytes, its entry and the record; it was measured to be a quarter slower.)

use crate::Token;
use crate::store::packed::Packed;

/// The records of one part.
#[derive(Default)]
pub(super) struct Table {
    /// As many places as a power of two, or none. A record stands at the place that its hash says, or at the next
    /// free one behind.
    places: Vec<Place>,
    full: usize,
}

#[derive(Default)]
struct Place {
    hash: u64,
    record: Option<Packed>,
}

const SMALLEST: usize = 8;

/// A token is uniform, so 8 of its bytes are its hash: others than those that choose the part.
#[inline]
fn hash(token: &Token) -> u64 {
    word(token, 1)
}

/// So many eight bytes behind the token's first.
#[inline]
fn word(token: &Token, index: usize) -> u64 {
    let bytes = token.as_bytes()[8 * index..].first_chunk();
    u64::from_le_bytes(bytes.copied().unwrap_or_default())
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
        self.places.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Packed> {
        self.places.iter().filter_map(|place| place.record.as_ref())
    }

    /// The record at one place.
    pub(super) fn at(&self, place: usize) -> Option<&Packed> {
        self.places.get(place)?.record.as_ref()
    }

    #[inline]
    pub(super) fn get(&self, token: &Token) -> Option<&Packed> {
        self.places[self.place(token).ok()?].record.as_ref()
    }

    /// Puts a record where one of its token was, and gives that back, or where none was.
    pub(super) fn insert(&mut self, record: Packed) -> Option<Packed> {
        let hash = hash(record.token());
        match self.place(record.token()) {
            Ok(place) => self.places[place].record.replace(record),
            Err(place) => {
                let place = if (self.full + 1) * 8 > self.places.len() * 7 {
                    self.resize((self.places.len() * 2).max(SMALLEST));
                    self.free_place(hash)
                } else {
                    place
                };
                self.places[place] = Place { hash, record: Some(record) };
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
        let removed = self.places.get_mut(place)?.record.take()?;
        self.full -= 1;
        let mut gap = place;
        let mut next = self.after(place);
        while self.places[next].record.is_some() {
            // How far it stands from where it belongs, and how far the gap is behind it.
            let distance = next.wrapping_sub(self.home(self.places[next].hash)) & self.mask();
            if distance >= (next.wrapping_sub(gap) & self.mask()) {
                self.places.swap(gap, next);
                gap = next;
            }
            next = self.after(next);
        }
        Some(removed)
    }

    /// Gives back the places that a past crowd needed.
    pub(super) fn shrink(&mut self) {
        let enough = (self.full * 2).next_power_of_two().max(SMALLEST);
        if self.places.len() >= enough * 8 {
            self.resize(enough);
        }
    }

    fn resize(&mut self, places: usize) {
        let empty = std::iter::repeat_with(Place::default).take(places).collect();
        let before = std::mem::replace(&mut self.places, empty);
        for place in before {
            if place.record.is_some() {
                let free = self.free_place(place.hash);
                self.places[free] = place;
            }
        }
    }

    /// Where the token's record is, or else the place for it.
    #[inline]
    fn place(&self, token: &Token) -> Result<usize, usize> {
        let hash = hash(token);
        let mut at = self.home(hash);
        loop {
            match self.places.get(at) {
                Some(Place { hash: found, record: Some(record) }) => {
                    if *found == hash && same(record.token(), token) {
                        return Ok(at);
                    }
                }
                _ => return Err(at),
            }
            at = self.after(at);
        }
    }

    fn free_place(&self, hash: u64) -> usize {
        let mut at = self.home(hash);
        while self.places[at].record.is_some() {
            at = self.after(at);
        }
        at
    }

    #[inline]
    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & self.mask()
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        place.wrapping_add(1) & self.mask()
    }
}
