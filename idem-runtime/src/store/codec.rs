//! A record as bytes: the one form in which stores keep it.
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 1 | version of this form: 1 |
//! | 1 | 1 | state: 0 running, 1 free, 2 interrupted, 3 done |
//! | 2 | 1 | kind of the result: 0 none, 1 value, 2 error |
//! | 3 | 1 | flags: 1 policy is `reject`, 2 free by a `release` that found nothing, 4 arguments are kept |
//! | 4 | 16 | the last attempt |
//! | 20 | 4 | its number |
//! | 24 | 4 | how many attempts did not end |
//! | 28 | 8 | fence |
//! | 36 | 8 | generation |
//! | 44 | 8 + 8 | the lease's end: which run of the clock, microseconds |
//! | 60 | 8 | `ttl` in microseconds |
//! | 68 | 8 × 4 | first asked for, last began, last ended, expires: microseconds since 1970, all ones for never |
//! | 100 | 6 × 7 | lengths: digest, result, function, scope, by, key's values, verified arguments |
//! | 142 | | these seven, one after the other |
//!
//! Every number is unsigned and big-endian, and everything that changes while an attempt runs stands at a fixed
//! place, so that a script inside a database can read and replace it. Numbers may pass 2^53 (never is one of
//! them): what such a script cannot count with, it can compare as bytes, which is the same order.

use std::time::Duration;

use super::record::{AttemptId, Head, Kind, OnInterrupt, Payload, Record, State};
use super::request::Arguments;
use crate::Text;
use crate::time::{LeaseTime, Timestamp, micros};

const VERSION: u8 = 1;
/// Where the texts begin.
const BODY: usize = 142;

const REJECT: u8 = 1;
const TOMBSTONE: u8 = 2;
const ARGUMENTS: u8 = 4;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A newer version of this library wrote it.
    #[error(
        "the record is of format {version}, and this version of idem reads up to {VERSION}: update every service \
         that uses the store"
    )]
    #[non_exhaustive]
    Newer {
        /// The format's version.
        version: u8,
    },
    /// It is not what this library writes.
    #[error("the record is damaged: {what}")]
    #[non_exhaustive]
    Damaged {
        /// What is wrong with it.
        what: &'static str,
    },
}

fn damaged(what: &'static str) -> CodecError {
    CodecError::Damaged { what }
}

impl Record {
    /// Appends the record as bytes. Of durations and moments it keeps whole microseconds.
    ///
    /// ```
    /// use idem_runtime::store::Record;
    /// let mut bytes = Vec::new();
    /// Record::default().encode(&mut bytes);
    /// assert_eq!(Record::decode(&bytes), Ok(Record::default()));
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        let head = &self.head;
        let no_arguments = Arguments::default();
        let arguments = self.arguments.as_ref().unwrap_or(&no_arguments);
        let parts: [&[u8]; 7] = [
            &self.digest,
            &self.result,
            self.function.as_bytes(),
            self.scope.as_bytes(),
            self.by.as_bytes(),
            &arguments.key,
            &arguments.verified,
        ];
        out.reserve(BODY + parts.iter().map(|part| part.len()).sum::<usize>());

        let mut flags = 0;
        for (flag, set) in [
            (REJECT, head.on_interrupt == OnInterrupt::Reject),
            (TOMBSTONE, head.tombstone),
            (ARGUMENTS, self.arguments.is_some()),
        ] {
            flags |= if set { flag } else { 0 };
        }
        out.extend_from_slice(&[VERSION, state_code(head.state), kind_code(head.kind), flags]);
        out.extend_from_slice(&head.attempt.to_bytes());
        out.extend_from_slice(&head.number.to_be_bytes());
        out.extend_from_slice(&head.unended.to_be_bytes());
        for number in [
            head.fence,
            head.generation,
            head.lease.run,
            head.lease.micros,
            micros(head.ttl),
            head.first_at.as_micros(),
            head.began_at.as_micros(),
            head.ended_at.as_micros(),
            head.expires.as_micros(),
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for part in parts {
            // 48 bits are more than a process can hold.
            out.extend_from_slice(&(part.len() as u64).to_be_bytes()[2..]);
        }
        for part in parts {
            out.extend_from_slice(part);
        }
    }

    /// The record that [`Record::encode`] wrote.
    ///
    /// # Errors
    /// If a newer version of this library wrote it, or these are not the bytes of exactly one record.
    pub fn decode(bytes: &[u8]) -> Result<Record, CodecError> {
        match bytes.first() {
            None => return Err(damaged("it is empty")),
            Some(&version) if version > VERSION => return Err(CodecError::Newer { version }),
            Some(&version) if version < VERSION => return Err(damaged("its format has no version")),
            Some(_) => {}
        }
        let mut reader = Reader(&bytes[1..]);
        let [state, kind, flags] = reader.array()?;
        if flags & !(REJECT | TOMBSTONE | ARGUMENTS) != 0 {
            return Err(damaged("it has an unknown flag"));
        }
        let head = Head {
            state: state_of(state)?,
            kind: kind_of(kind)?,
            on_interrupt: if flags & REJECT == 0 { OnInterrupt::Retry } else { OnInterrupt::Reject },
            tombstone: flags & TOMBSTONE != 0,
            attempt: AttemptId::from_bytes(reader.array()?),
            number: u32::from_be_bytes(reader.array()?),
            unended: u32::from_be_bytes(reader.array()?),
            fence: reader.number()?,
            generation: reader.number()?,
            lease: LeaseTime { run: reader.number()?, micros: reader.number()? },
            ttl: Duration::from_micros(reader.number()?),
            first_at: Timestamp::from_micros(reader.number()?),
            began_at: Timestamp::from_micros(reader.number()?),
            ended_at: Timestamp::from_micros(reader.number()?),
            expires: Timestamp::from_micros(reader.number()?),
        };
        let mut lengths = [0; 7];
        for length in &mut lengths {
            let [a, b, c, d, e, f] = reader.array()?;
            *length = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        }
        // Each part is looked for before it is copied, so a claimed length reserves nothing.
        let [digest, result, function, scope, by, key, verified] = lengths;
        let record = Record {
            head,
            digest: reader.part(digest)?.to_vec(),
            result: Payload::from(reader.part(result)?),
            function: reader.text(function)?,
            scope: reader.text(scope)?,
            by: reader.text(by)?,
            arguments: {
                let (key, verified) = (reader.part(key)?, reader.part(verified)?);
                if flags & ARGUMENTS != 0 {
                    Some(Arguments::new(key.to_vec(), verified.to_vec()))
                } else if key.is_empty() && verified.is_empty() {
                    None
                } else {
                    return Err(damaged("it has arguments that it says it has not"));
                }
            },
        };
        if reader.0.is_empty() { Ok(record) } else { Err(damaged("something follows it")) }
    }
}

fn state_code(state: State) -> u8 {
    match state {
        State::Running => 0,
        State::Free => 1,
        State::Interrupted => 2,
        State::Done => 3,
    }
}

fn state_of(code: u8) -> Result<State, CodecError> {
    Ok(match code {
        0 => State::Running,
        1 => State::Free,
        2 => State::Interrupted,
        3 => State::Done,
        _ => return Err(damaged("its state is unknown")),
    })
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::None => 0,
        Kind::Value => 1,
        Kind::Error => 2,
    }
}

fn kind_of(code: u8) -> Result<Kind, CodecError> {
    Ok(match code {
        0 => Kind::None,
        1 => Kind::Value,
        2 => Kind::Error,
        _ => return Err(damaged("the kind of its result is unknown")),
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(damaged("it is too short"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn number(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_be_bytes)
    }

    fn part(&mut self, length: u64) -> Result<&'a [u8], CodecError> {
        let part = usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length));
        let (part, rest) = part.ok_or(damaged("it is too short"))?;
        self.0 = rest;
        Ok(part)
    }

    fn text(&mut self, length: u64) -> Result<Text, CodecError> {
        let text =
            std::str::from_utf8(self.part(length)?).map_err(|_| damaged("a text in it is not UTF-8"))?;
        Ok(Text::from(text.to_owned()))
    }
}
