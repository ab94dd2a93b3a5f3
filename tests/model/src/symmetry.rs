//! States that differ only in which caller or token is which count as one.

use std::hash::{Hash, Hasher};

use crate::message::Message;
use crate::state::{ATTEMPTS, Attempt, CALLERS, Caller, State, Token};
use crate::system::System;

impl System {
    /// Of the states that differ only in which caller or token is which, (nearly) always the same one.
    pub(crate) fn canonical(&self, state: &State) -> State {
        let mut order = [0, 1, 2];
        let marks = order.map(|index| self.mark(state, index));
        order.sort_by_key(|index| marks[*index]);
        let mut to = [0; CALLERS];
        for (place, index) in order.into_iter().enumerate() {
            to[index] = place;
        }
        // Callers of another kind keep their places.
        let alike = |(index, to): (usize, &usize)| self.bounds.callers[index] == self.bounds.callers[*to];
        let to = if to.iter().enumerate().all(alike) { to } else { [0, 1, 2] };
        let state = state.moved(&to, false);
        if self.bounds.one_token { state } else { state.min(state.moved(&[0, 1, 2], true)) }
    }

    /// A number by which callers are ordered. Two that could change places have the same.
    fn mark(&self, state: &State, index: usize) -> (usize, u64) {
        let caller = &state.callers[index];
        let own = |attempt: Attempt| attempt.caller() == Some(index);
        let mut hasher = Mixer::default();
        Caller { token: 0, ..*caller }.hash(&mut hasher);
        for token in [caller.token, 1 - caller.token] {
            let Token { record, seen, .. } = &state.tokens[usize::from(token)];
            [
                record.is_some_and(|record| own(record.attempt)),
                record.is_some_and(|record| own(record.result)),
                seen.holder.is_some_and(|(holder, _)| own(holder)),
                seen.settled.is_some_and(|(settled, _)| own(settled)),
                own(seen.fence.1),
                own(seen.late),
            ]
            .hash(&mut hasher);
            for set in [seen.open, seen.unknown] {
                ((set >> (index * usize::from(ATTEMPTS))) & ((1 << ATTEMPTS) - 1)).hash(&mut hasher);
            }
        }
        let mut messages = 0_u64;
        for message in state.net.iter().filter(|message| usize::from(message.caller) == index) {
            let mut hasher = Mixer::default();
            let attempt = Attempt((message.attempt.0 - 1) % ATTEMPTS);
            Message { caller: 0, attempt, token: message.token ^ caller.token, ..*message }.hash(&mut hasher);
            messages = messages.wrapping_add(hasher.finish());
        }
        let like = self.bounds.callers.iter().position(|other| *other == self.bounds.callers[index]);
        (like.unwrap_or(0), hasher.finish().wrapping_add(messages))
    }
}

/// Mixes what is hashed into one number, the same in every run.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
}
