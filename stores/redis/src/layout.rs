//! Where things stand in an encoded record, as far as the scripts touch them: the runtime's codec says the same, and
//! the tests here see to it.

use std::io::Write as _;
use std::time::Duration;

use idem_runtime::Timestamp;
use idem_runtime::store::{Claim, Kind, OnInterrupt, Record, State};

/// Of the fixed part: everything but the texts.
pub(crate) const HEAD: usize = 142;
/// What stands before the fence: state, kind, flags, attempt, number, attempts that did not end.
pub(crate) const FRONT: usize = 28;
/// From where on the lengths stand, and the texts after them.
const BACK: usize = 100;

/// Until when a script can count exactly; whatever is later is never.
pub(crate) const NEVER: u64 = 1 << 53;
/// How long a retention may be to be one.
const FOR_EVER: u64 = 1 << 52;

/// A record of a first attempt, without what stands between its fence and its lengths: what only the server knows, and
/// the ttl.
pub(crate) fn template(claim: &Claim) -> Vec<u8> {
    let mut record = Record::default();
    record.head.state = State::Running;
    record.head.on_interrupt = claim.on_interrupt;
    record.head.attempt = claim.attempt;
    record.head.number = 1;
    record.head.ttl = claim.ttl;
    record.scope = claim.scope.clone();
    record.function = claim.function.clone();
    record.digest.clone_from(&claim.digest);
    record.arguments = claim.arguments.clone().filter(|_| claim.record_arguments);
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    drop(bytes.drain(FRONT..BACK));
    bytes
}

/// How long a key is kept, in milliseconds; nothing is for ever. Never less than its record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention(Option<u64>);

impl Retention {
    /// Of a running record.
    pub(crate) fn running(claim: &Claim) -> Self {
        match claim.on_interrupt {
            OnInterrupt::Reject => Retention(None),
            _ => Self::after(claim.lease.saturating_add(claim.ttl)),
        }
    }

    pub(crate) fn after(time: Duration) -> Self {
        Self::of(Some(micros(time)).filter(|micros| *micros < FOR_EVER))
    }

    /// Of a record that expires then.
    pub(crate) fn until(expires: Timestamp, now: Timestamp) -> Self {
        let expires = Some(expires.as_micros()).filter(|expires| *expires < NEVER);
        Self::of(expires.map(|expires| expires.saturating_sub(now.as_micros())))
    }

    fn of(micros: Option<u64>) -> Self {
        Retention(micros.map(|micros| micros.div_ceil(1000).max(1)))
    }

    /// 0 is for ever.
    pub(crate) fn millis(self) -> u64 {
        self.0.unwrap_or(0)
    }
}

/// What is written for a script without an allocation: some bytes, and after them a number as text.
#[derive(Debug)]
pub(crate) struct Short {
    bytes: [u8; 28],
    length: usize,
}

impl Short {
    fn new<const N: usize>(first: [u8; N], number: u64) -> Self {
        let mut bytes = [0; 28];
        bytes[..N].copy_from_slice(&first);
        let mut rest = &mut bytes[N..];
        // Twenty digits fit after eight bytes.
        let _ = write!(rest, "{number}");
        let left = rest.len();
        Short { bytes, length: 28 - left }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A ttl as it stands in a record, and after it how long the key is kept.
pub(crate) fn kept(ttl: Duration, retention: Retention) -> Short {
    Short::new(micros(ttl).to_be_bytes(), retention.millis())
}

/// How a record begins that is done, and after it how long its digest is.
pub(crate) fn done(as_kind: Kind, digest: usize) -> Short {
    Short::new([1, 3, kind(as_kind)], digest as u64)
}

/// Lengths, one after the other as they stand in a record.
pub(crate) fn lengths<const N: usize, const BYTES: usize>(lengths: [usize; N]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (at, number) in bytes.chunks_exact_mut(6).zip(lengths) {
        at.copy_from_slice(&length(number));
    }
    bytes
}

/// Whether a record is done, as far as this format says.
pub(crate) fn is_done(record: &[u8]) -> bool {
    record.get(1) == Some(&3)
}

/// A lease for a script.
pub(crate) fn lease(lease: Duration) -> u64 {
    micros(lease).min(NEVER)
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How a length is written.
fn length(length: usize) -> [u8; 6] {
    let [_, _, bytes @ ..] = (length as u64).to_be_bytes();
    bytes
}

fn kind(kind: Kind) -> u8 {
    match kind {
        Kind::Value => 1,
        Kind::Error => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use idem_runtime::LeaseTime;
    use idem_runtime::store::{AttemptId, Payload};

    use super::*;

    fn record() -> Record {
        let mut record = Record::default();
        record.head.kind = Kind::Error;
        record.head.on_interrupt = OnInterrupt::Reject;
        record.head.attempt = AttemptId::from(0x0102);
        record.head.number = 3;
        record.head.unended = 4;
        record.head.fence = 5;
        record.head.generation = 6;
        record.head.lease = LeaseTime { run: 7, micros: 8 };
        record.head.ttl = Duration::from_micros(9);
        record.head.first_at = Timestamp::from_micros(10);
        record.head.began_at = Timestamp::from_micros(11);
        record.head.ended_at = Timestamp::from_micros(12);
        record.head.expires = Timestamp::from_micros(13);
        record.digest = b"digest".to_vec();
        record.result = Payload::from(b"result!".as_slice());
        record.function = "function".into();
        record
    }

    /// What the scripts read and replace stands where they look for it (they count from 1).
    #[test]
    fn the_codec_puts_everything_where_the_scripts_look() {
        let record = record();
        let mut bytes = Vec::new();
        for (number, state) in
            [State::Running, State::Free, State::Interrupted, State::Done].into_iter().enumerate()
        {
            let mut record = record.clone();
            record.head.state = state;
            bytes.clear();
            record.encode(&mut bytes);
            assert_eq!((bytes[0], usize::from(bytes[1])), (1, number));
            assert_eq!(is_done(&bytes), state == State::Done);
        }
        assert_eq!(bytes[2], kind(Kind::Error));
        assert_eq!(bytes[3] % 2, 1, "`reject` is the lowest flag");
        assert_eq!(bytes[4..20], AttemptId::from(0x0102).to_bytes());
        assert_eq!(bytes[20..28], [0, 0, 0, 3, 0, 0, 0, 4]);
        for (number, at) in (5..=13_u64).zip((28..).step_by(8)) {
            assert_eq!(bytes[at..at + 8], number.to_be_bytes(), "{number} at {at}");
        }
        assert_eq!(bytes[100..118], lengths::<3, 18>([6, 7, 8]));
        assert_eq!(&bytes[HEAD..], b"digestresult!function");
        for kind in [Kind::None, Kind::Value, Kind::Error] {
            let mut record = record.clone();
            record.head.kind = kind;
            record.head.state = State::Done;
            bytes.clear();
            record.encode(&mut bytes);
            assert_eq!(bytes[..3], done(kind, 7).as_bytes()[..3]);
        }
    }

    #[test]
    fn what_is_longer_than_a_script_can_count_is_for_ever() {
        let after = |micros| Retention::after(Duration::from_micros(micros)).millis();
        assert_eq!((after(0), after(1), after(1_000), after(1_001)), (1, 1, 1, 2));
        assert_eq!((after((1 << 52) - 1), after(1 << 52), after(u64::MAX)), ((1 << 52) / 1000 + 1, 0, 0));
        let now = Timestamp::from_micros(1_000);
        let until = |micros| Retention::until(Timestamp::from_micros(micros), now).millis();
        assert_eq!((until(3_001), until(1), until(u64::MAX)), (3, 1, 0));
        assert_eq!(lease(Duration::MAX), 1 << 53);
        assert_eq!(
            kept(Duration::MAX, Retention(Some(u64::MAX))).as_bytes()[8..],
            *u64::MAX.to_string().as_bytes()
        );
        assert_eq!(done(Kind::Value, 70).as_bytes(), b"\x01\x03\x0170");
    }
}
