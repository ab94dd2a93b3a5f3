//! What is on its way between callers and the store.

use std::fmt;

use crate::state::Attempt;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// May this attempt run the body?
    Claim,
    /// The body ended in an `Ok`.
    Complete,
    /// The body did not begin, or ended in an `Err`.
    Release,
    /// A sign of life.
    Renew,
    /// The body began and did not end.
    Interrupt,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// It is still on its way to the store.
    Nothing,
    /// The attempt may run the body.
    Claimed {
        /// Its fence.
        fence: u8,
        /// Its generation.
        generation: u8,
    },
    /// Another attempt runs.
    Running {
        /// For so many ticks it is believed alive.
        left: u8,
    },
    /// The body ended well before.
    Done,
    /// The arguments may differ.
    Mismatch {
        /// The record's digest.
        digest: u8,
    },
    /// Nobody knows what an attempt did.
    Interrupted,
    /// The attempt was replaced, or its claim came late.
    LeaseLost,
    /// It was carried out.
    Settled,
}

impl Told {
    /// Whether it makes a difference when the caller hears it. Of the other answers it makes none whether they
    /// are late or lost, so that they come at once or never.
    #[must_use]
    pub fn takes_time(self) -> bool {
        matches!(self, Told::Claimed { .. })
    }
}

/// A request, or its answer, on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Of which caller.
    pub caller: u8,
    /// Of which attempt.
    pub attempt: Attempt,
    /// About which token.
    pub token: u8,
    /// What is asked.
    pub operation: Operation,
    /// When it was sent: by this the caller tells the answers to its claims apart.
    pub sent: u8,
    /// A claim's accepted digest; a complete's fence and generation.
    pub carried: (u8, u8),
    /// The answer.
    pub told: Told,
}

/// So many messages are on their way at most, whatever the bounds say.
pub const MESSAGES: usize = 4;

/// What is on its way, in order of size: any of it may come next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Net([Option<Message>; MESSAGES]);

impl Net {
    /// How many messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The messages.
    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.0.iter().flatten()
    }

    /// Changes each message, or drops it.
    pub fn change(&mut self, mut change: impl FnMut(Message) -> Option<Message>) {
        for place in &mut self.0 {
            *place = place.and_then(&mut change);
        }
        self.0.sort_unstable();
    }

    /// Puts a message on its way.
    pub fn send(&mut self, message: Message) {
        let place = self.0.iter_mut().find(|place| place.is_none());
        *place.expect("a message is sent where there is room") = Some(message);
        self.0.sort_unstable();
    }

    /// Takes one message.
    pub fn take(&mut self, message: &Message) {
        if let Some(place) = self.0.iter_mut().find(|other| other.as_ref() == Some(message)) {
            *place = None;
        }
        self.0.sort_unstable();
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
