//! What has ended, as far as it is remembered here: a claim of that is asked with a plain `GET`, which costs the server a
//! tenth of what a script does. It is only a guess. Where the record is no longer what it was, the script is asked after all.

use std::sync::atomic::{AtomicU64, Ordering};

use idem_runtime::Token;

/// How many are remembered at most.
const MANY: usize = 1 << 14;

/// The beginnings of their tokens: a later one takes an earlier one's place. Where there is none stands one that does not
/// belong there.
pub(crate) struct Ended(Box<[AtomicU64]>);

impl Default for Ended {
    fn default() -> Self {
        Ended((1..=MANY as u64).map(AtomicU64::new).collect())
    }
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}

impl Ended {
    pub(crate) fn remember(&self, token: Token) {
        let (place, beginning) = self.place(token);
        place.store(beginning, Ordering::Relaxed);
    }

    pub(crate) fn forget(&self, token: Token) {
        let (place, beginning) = self.place(token);
        let _ = place.compare_exchange(beginning, beginning ^ 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether it had ended when it was seen last.
    pub(crate) fn has(&self, token: Token) -> bool {
        let (place, beginning) = self.place(token);
        place.load(Ordering::Relaxed) == beginning
    }

    fn place(&self, token: Token) -> (&AtomicU64, u64) {
        let [a, b, c, d, e, f, g, h, ..] = *token.as_bytes();
        let beginning = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        (&self.0[beginning as usize % MANY], beginning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(place: u64, number: u8) -> Token {
        let mut bytes = [number; 32];
        bytes[..8].copy_from_slice(&(u64::from(number) << 32 | place).to_le_bytes());
        Token::from_bytes(bytes)
    }

    #[test]
    fn nothing_is_remembered_at_first() {
        let ended = Ended::default();
        assert!((0..MANY as u64).all(|place| !ended.has(token(place, 0)) && !ended.has(token(place, 255))));
    }

    #[test]
    fn the_last_ones_are_remembered() {
        let ended = Ended::default();
        let (one, same_place, other) = (token(7, 1), token(7, 2), token(MANY as u64 - 1, 1));
        assert!(!ended.has(one));
        ended.remember(one);
        ended.remember(other);
        assert!(ended.has(one) && ended.has(other) && !ended.has(same_place));
        ended.forget(same_place);
        assert!(ended.has(one), "that was another");
        ended.remember(same_place);
        assert!(!ended.has(one) && ended.has(same_place));
        ended.forget(same_place);
        assert!(!ended.has(same_place) && ended.has(other));
    }
}
