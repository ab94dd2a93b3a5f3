//! A record of the memory store: one allocation with everything in it, that never changes.

use std::time::Duration;

use triomphe::ThinArc;

use super::protocol::View;
use super::record::{AttemptId, Head, Kind, OnInterrupt, State};
use super::{Arguments, Payload, Record};
use crate::time::{LeaseTime, Timestamp, micros};
use crate::{Text, Token};

/// One record and its token, in one allocation behind one thin pointer.
///
/// A change makes a new one, so a duplicate that decodes a result holds no lock.
#[derive(Clone)]
pub(crate) struct Packed(ThinArc<Front, u8>);

/// What every record has; the digest and the result follow it. What a duplicate looks at comes first.
#[repr(C)]
struct Front {
    token: Token,
    expires: Timestamp,
    state: State,
    kind: Kind,
    on_interrupt: OnInterrupt,
    tombstone: bool,
    digest: u32,
    /// The lease's end of a running record; of any other one when its last attempt ended.
    moment: u64,
    first_at: Timestamp,
    fence: u64,
    attempt: [u8; 16],
    rare: Option<Box<Rare>>,
    ttl: u64,
    function: Text,
}

/// What few records have: those of a call that was tried again, with a scope, or that keep their arguments.
#[derive(PartialEq)]
struct Rare {
    number: u32,
    unended: u32,
    generation: u64,
    began_at: Timestamp,
    scope: Text,
    by: Text,
    arguments: Option<Arguments>,
}

impl Rare {
    /// What a record has that has nothing rare.
    fn none(fence: u64, first_at: Timestamp) -> Self {
        Rare {
            number: 1,
            unended: 0,
            generation: fence,
            began_at: first_at,
            scope: Text::EMPTY,
            by: Text::EMPTY,
            arguments: None,
        }
    }
}

impl Packed {
    /// Packs a record of this process: its leases are all of one run of the clock, number 0.
    pub(crate) fn new(token: Token, record: &Record) -> Self {
        let head = &record.head;
        let rare = Rare {
            number: head.number,
            unended: head.unended,
            generation: head.generation,
            began_at: head.began_at,
            scope: record.scope.clone(),
            by: record.by.clone(),
            arguments: record.arguments.clone(),
        };
        let front = Front {
            token,
            attempt: head.attempt.to_bytes(),
            fence: head.fence,
            expires: head.expires,
            moment: match head.state {
                State::Running => head.lease.micros,
                _ => head.ended_at.as_micros(),
            },
            ttl: micros(head.ttl),
            first_at: head.first_at,
            function: record.function.clone(),
            rare: (rare != Rare::none(head.fence, head.first_at)).then(|| Box::new(rare)),
            digest: u32::try_from(record.digest.len()).expect("a digest is a few bytes per argument"),
            state: head.state,
            kind: head.kind,
            on_interrupt: head.on_interrupt,
            tombstone: head.tombstone,
        };
        Packed(if record.digest.is_empty() {
            ThinArc::from_header_and_slice(front, &record.result)
        } else if record.result.is_empty() {
            ThinArc::from_header_and_slice(front, &record.digest)
        } else {
            ThinArc::from_header_and_slice(front, &[&*record.digest, &*record.result].concat())
        })
    }

    #[inline]
    fn front(&self) -> &Front {
        &self.0.header.header
    }

    #[inline]
    pub(crate) fn token(&self) -> &Token {
        &self.front().token
    }

    #[inline]
    pub(crate) fn state(&self) -> State {
        self.front().state
    }

    /// From when on it counts as gone; a running one only if its lease is over, too.
    #[inline]
    pub(crate) fn expires(&self) -> Timestamp {
        self.front().expires
    }

    pub(crate) fn attempt(&self) -> AttemptId {
        AttemptId::from_bytes(self.front().attempt)
    }

    pub(crate) fn function(&self) -> &Text {
        &self.front().function
    }

    pub(crate) fn first_at(&self) -> Timestamp {
        self.front().first_at
    }

    #[inline]
    pub(crate) fn digest(&self) -> &[u8] {
        &self.0.slice[..self.front().digest as usize]
    }

    #[inline]
    pub(crate) fn result(&self) -> &[u8] {
        &self.0.slice[self.front().digest as usize..]
    }

    #[inline]
    pub(crate) fn head(&self) -> Head {
        let front = self.front();
        let (number, unended, generation, began_at) = match &front.rare {
            Some(rare) => (rare.number, rare.unended, rare.generation, rare.began_at),
            None => (1, 0, front.fence, front.first_at),
        };
        let (lease, ended_at) = match front.state {
            State::Running => (LeaseTime { run: 0, micros: front.moment }, Timestamp::NEVER),
            _ => (LeaseTime::default(), Timestamp::from_micros(front.moment)),
        };
        Head {
            state: front.state,
            kind: front.kind,
            on_interrupt: front.on_interrupt,
            tombstone: front.tombstone,
            attempt: self.attempt(),
            number,
            unended,
            fence: front.fence,
            generation,
            lease,
            ttl: Duration::from_micros(front.ttl),
            first_at: front.first_at,
            began_at,
            ended_at,
            expires: front.expires,
        }
    }

    /// What a transition looks at, with the head that [`Packed::head`] gave.
    #[inline]
    pub(crate) fn view<'a>(&'a self, head: &'a Head) -> View<'a> {
        let by = self.front().rare.as_ref().map_or("", |rare| &*rare.by);
        View { head, digest: self.digest(), result: self.result(), by }
    }

    /// How many bytes the record takes, without the allocator's own.
    pub(crate) fn size(&self) -> usize {
        let rare = self.front().rare.as_ref().map_or(0, |rare| {
            let arguments = rare.arguments.as_ref().map_or(0, |a| a.key.len() + a.verified.len());
            size_of::<Rare>() + rare.scope.len() + rare.by.len() + arguments
        });
        size_of::<Front>() + 2 * size_of::<usize>() + self.0.slice.len() + rare
    }

    pub(crate) fn unpack(&self) -> Record {
        let rare = self.front().rare.as_ref();
        Record {
            head: self.head(),
            scope: rare.map(|rare| rare.scope.clone()).unwrap_or_default(),
            function: self.function().clone(),
            digest: self.digest().to_vec(),
            arguments: rare.and_then(|rare| rare.arguments.clone()),
            result: Payload::packed(self),
            by: rare.map(|rare| rare.by.clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A running one of which every part is another one.
    fn running() -> Record {
        let head = Head {
            attempt: AttemptId::from(7_u128),
            number: 1,
            fence: 5,
            generation: 5,
            lease: LeaseTime { run: 0, micros: 11 },
            ttl: Duration::from_micros(13),
            first_at: Timestamp::from_micros(17),
            began_at: Timestamp::from_micros(17),
            ended_at: Timestamp::NEVER,
            expires: Timestamp::from_micros(19),
            ..Head::default()
        };
        let (function, digest) = ("orders.charge".into(), vec![1, 2, 3]);
        Record { head, function, digest, ..Record::default() }
    }

    /// A finished one that has everything that is rare.
    fn resolved() -> Record {
        let mut record = running();
        record.head.state = State::Done;
        record.head.kind = Kind::Value;
        record.head.on_interrupt = OnInterrupt::Reject;
        record.head.number = 3;
        record.head.unended = 2;
        record.head.generation = 4;
        record.head.lease = LeaseTime::default();
        record.head.began_at = Timestamp::from_micros(23);
        record.head.ended_at = Timestamp::from_micros(29);
        record.result = vec![9; 100].into();
        record.scope = "shop".into();
        record.by = "anna".into();
        record.arguments = Some(Arguments::new(vec![0x81, 0x07], vec![0xa0]));
        record
    }

    #[test]
    fn what_was_packed_comes_out_again() {
        for record in [running(), resolved()] {
            let packed = Packed::new(Token::from_bytes([3; 32]), &record);
            assert_eq!(packed.unpack(), record);
            assert_eq!(packed.token(), &Token::from_bytes([3; 32]));
            assert_eq!((packed.state(), packed.attempt()), (record.head.state, record.head.attempt));
            assert_eq!((packed.expires(), packed.first_at()), (record.head.expires, record.head.first_at));
            assert_eq!((packed.function(), packed.digest()), (&record.function, &*record.digest));
            let head = packed.head();
            let view = packed.view(&head);
            assert_eq!((view.head, view.digest), (&record.head, &*record.digest));
            assert_eq!((view.result, view.by), (&*record.result, &*record.by));
        }
    }

    #[test]
    fn a_record_takes_its_parts_and_what_every_record_takes() {
        let size = |record: &Record| Packed::new(Token::default(), record).size();
        let empty = size_of::<Front>() + 2 * size_of::<usize>();
        assert_eq!(size(&running()), empty + 3);
        let rare = size_of::<Rare>() + "shop".len() + "anna".len() + 2 + 1;
        assert_eq!(size(&resolved()), empty + 3 + 100 + rare);
        let mut without = resolved();
        without.arguments = None;
        assert_eq!(size(&without), empty + 3 + 100 + rare - 3);
    }
}
