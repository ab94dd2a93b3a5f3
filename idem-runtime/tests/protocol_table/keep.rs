//! What a record is kept as: bytes that come back as they went in, and bytes that are not a record.

use std::time::Duration;

use idem_runtime::store::{
    Arguments, AttemptId, CodecError, Head, Kind, OnInterrupt, Payload, Record, State,
};
use idem_runtime::{LeaseTime, Text, Timestamp};

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Small, large and the edges, each often enough.
    pub fn edgy(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(3),
            1 => u64::MAX - self.below(3),
            _ => self.number(),
        }
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = if self.below(3) == 0 { 0 } else { self.below(most) };
        (0..length).map(|_| self.number() as u8).collect()
    }

    fn text(&mut self) -> Text {
        const SIGNS: [char; 6] = ['a', ':', 'ß', '→', '🦀', '\0'];
        let length = self.below(20);
        (0..length).map(|_| SIGNS[self.below(6) as usize]).collect::<String>().into()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub fn record(&mut self) -> Record {
        let mut head = Head::default();
        head.state = self.pick(&[State::Running, State::Free, State::Interrupted, State::Done]);
        head.kind = self.pick(&[Kind::None, Kind::Value, Kind::Error]);
        head.on_interrupt = self.pick(&[OnInterrupt::Retry, OnInterrupt::Reject]);
        head.tombstone = self.pick(&[false, true]);
        head.attempt = AttemptId::from(u128::from(self.edgy()) << 64 | u128::from(self.edgy()));
        (head.number, head.unended) = (self.edgy() as u32, self.edgy() as u32);
        (head.fence, head.generation) = (self.edgy(), self.edgy());
        head.lease = LeaseTime { run: self.edgy(), micros: self.edgy() };
        head.ttl = Duration::from_micros(self.edgy());
        head.first_at = Timestamp::from_micros(self.edgy());
        head.began_at = Timestamp::from_micros(self.edgy());
        head.ended_at = Timestamp::from_micros(self.edgy());
        head.expires = Timestamp::from_micros(self.edgy());
        let mut record = Record::default();
        record.head = head;
        record.scope = self.text();
        record.function = self.text();
        record.by = self.text();
        record.digest = self.bytes(40);
        record.result = Payload::from(self.bytes(600));
        record.arguments = (self.below(2) == 0).then(|| Arguments::new(self.bytes(50), self.bytes(50)));
        record
    }
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

#[test]
fn a_record_comes_back_as_it_was() {
    let mut dice = Dice(1);
    for _ in 0..5_000 {
        let record = dice.record();
        let bytes = encoded(&record);
        assert_eq!(Record::decode(&bytes).as_ref(), Ok(&record));
        // It is appended, and it is one form and no other.
        let mut appended = b"before".to_vec();
        record.encode(&mut appended);
        assert_eq!(appended[6..], bytes);
        assert_eq!(encoded(&Record::decode(&bytes).unwrap()), bytes);
    }
}

#[test]
fn the_head_stands_at_fixed_places() {
    let mut record = Record::default();
    record.head.state = State::Done;
    record.head.kind = Kind::Error;
    record.head.on_interrupt = OnInterrupt::Reject;
    record.head.tombstone = true;
    record.head.attempt = AttemptId::from(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    (record.head.number, record.head.unended) = (0x11, 0x12);
    (record.head.fence, record.head.generation) = (0x13, 0x14);
    record.head.lease = LeaseTime { run: 0x15, micros: 0x16 };
    record.head.ttl = Duration::from_micros(0x17);
    record.head.first_at = Timestamp::from_micros(0x18);
    record.head.began_at = Timestamp::from_micros(0x19);
    record.head.ended_at = Timestamp::NEVER;
    record.head.expires = Timestamp::from_micros(0x1a);
    record.digest = b"di".to_vec();
    record.result = Payload::from(b"res".to_vec());
    record.function = "func".into();
    record.scope = "scope".into();
    record.by = "person".into();
    record.arguments = Some(Arguments::new(b"key's..".to_vec(), b"verified".to_vec()));
    let bytes = encoded(&record);
    assert_eq!(bytes[..4], [1, 3, 2, 7]);
    assert_eq!(bytes[4..20], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(bytes[20..28], [0, 0, 0, 0x11, 0, 0, 0, 0x12]);
    let numbers = [28, 36, 44, 52, 60, 68, 76, 84, 92].map(number);
    assert_eq!(numbers, [0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, u64::MAX, 0x1a]);
    let lengths: Vec<u8> = bytes[100..142].chunks(6).map(|length| length[5]).collect();
    assert_eq!(lengths, [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(&bytes[142..], b"diresfuncscopepersonkey's..verified");
}

#[test]
fn a_newer_format_says_so() {
    let mut bytes = encoded(&Record::default());
    bytes[0] = 2;
    let error = Record::decode(&bytes).unwrap_err();
    assert!(matches!(error, CodecError::Newer { version: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("update"), "{error}");
}

#[test]
fn what_is_not_a_record_is_refused() {
    let record = Dice(9).record();
    let bytes = encoded(&record);
    for length in 0..bytes.len() {
        assert!(Record::decode(&bytes[..length]).is_err(), "cut after {length} bytes");
    }
    assert!(Record::decode(&[&*bytes, &[0]].concat()).is_err(), "something follows");
    for (place, byte) in [(0, 0), (1, 4), (2, 3), (3, 8), (3, 0xff)] {
        let mut damaged = bytes.clone();
        damaged[place] = byte;
        assert!(Record::decode(&damaged).is_err(), "byte {place} is {byte}");
    }
    let mut record = Record::default();
    record.function = "é".into();
    let mut bytes = encoded(&record);
    *bytes.last_mut().unwrap() = b'a';
    assert!(Record::decode(&bytes).is_err(), "not UTF-8");
    let mut record = Record::default();
    record.arguments = Some(Arguments::new(vec![1], Vec::new()));
    let mut bytes = encoded(&record);
    bytes[3] = 0;
    assert!(Record::decode(&bytes).is_err(), "arguments that are said not to be there");
}

#[test]
fn any_bytes_give_an_answer() {
    let mut dice = Dice(3);
    for _ in 0..20_000 {
        let _ = Record::decode(&dice.bytes(300));
        // Nearly right ones, with a byte or two changed: claimed lengths among them.
        let mut bytes = encoded(&dice.record());
        for _ in 0..1 + dice.below(3) {
            let place = dice.below(bytes.len().min(150) as u64) as usize;
            bytes[place] = dice.number() as u8;
        }
        if let Ok(record) = Record::decode(&bytes) {
            assert_eq!(encoded(&record), bytes);
        }
    }
}
