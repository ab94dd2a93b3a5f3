//! Takes an encoding apart, item by item, whatever the bytes are.

use serde::de::Unexpected;

use super::error::DecodeError;
use super::{float, head};

/// One item; of an array or a map only the head, its content follows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'de> {
    Unsigned(u64),
    /// The number −1 − n.
    Negative(u64),
    Big(u128),
    /// The number −1 − n.
    NegativeBig(u128),
    Bytes(&'de [u8]),
    Text(&'de str),
    Array(usize),
    Map(usize),
    Bool(bool),
    Null,
    Float(f64),
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'de> {
    rest: &'de [u8],
}

impl<'de> Reader<'de> {
    #[inline]
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Reader { rest: bytes }
    }

    #[inline]
    pub(super) fn rest(&self) -> &'de [u8] {
        self.rest
    }

    /// Goes past `len` bytes that were looked at.
    #[inline]
    pub(super) fn advance(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    /// The next item.
    #[inline]
    pub(super) fn item(&mut self) -> Result<Item<'de>, DecodeError> {
        let Some((&first, rest)) = self.rest.split_first() else {
            return Err(ends_early());
        };
        self.rest = rest;
        let info = first & 0x1f;
        match first & 0xe0 {
            head::UNSIGNED => Ok(Item::Unsigned(self.number(info)?)),
            head::NEGATIVE => Ok(Item::Negative(self.number(info)?)),
            head::BYTES => {
                let len = self.number(info)?;
                Ok(Item::Bytes(self.take(len)?))
            }
            head::TEXT => {
                let len = self.number(info)?;
                match std::str::from_utf8(self.take(len)?) {
                    Ok(text) => Ok(Item::Text(text)),
                    Err(_) => Err(DecodeError::new("found a text that is not UTF-8")),
                }
            }
            head::ARRAY => Ok(Item::Array(self.count(info, 1)?)),
            head::MAP => Ok(Item::Map(self.count(info, 2)?)),
            head::TAG => self.bignum(info),
            _ => self.simple(first),
        }
    }

    /// Goes past the next item with all that it holds.
    pub(super) fn skip(&mut self) -> Result<(), DecodeError> {
        // Counted instead of recursed into, so that no nesting uses up the stack.
        let mut items = 1_usize;
        while items > 0 {
            items -= 1;
            items = items.saturating_add(match self.item()? {
                Item::Array(len) => len,
                Item::Map(len) => 2 * len,
                _ => 0,
            });
        }
        Ok(())
    }

    /// The number that belongs to a head.
    #[inline]
    fn number(&mut self, info: u8) -> Result<u64, DecodeError> {
        if info < 24 { Ok(u64::from(info)) } else { self.long_number(info) }
    }

    fn long_number(&mut self, info: u8) -> Result<u64, DecodeError> {
        let (number, least) = match info {
            24 => (u64::from(u8::from_be_bytes(self.array()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.array()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.array()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.array()?), 1 << 32),
            31 => return Err(DecodeError::new("found an item of indefinite length")),
            _ => return Err(DecodeError::new("found what is not CBOR")),
        };
        if number < least {
            return Err(DecodeError::new("found an integer or length that is not in its shortest form"));
        }
        Ok(number)
    }

    /// How many elements or entries follow. A claim of more than can be in the bytes is refused
    /// at once, so that nobody reserves memory for them.
    #[inline]
    fn count(&mut self, info: u8, least_bytes_each: usize) -> Result<usize, DecodeError> {
        match usize::try_from(self.number(info)?) {
            Ok(count) if count <= self.rest.len() / least_bytes_each => Ok(count),
            _ => Err(ends_early()),
        }
    }

    #[inline]
    fn take(&mut self, len: u64) -> Result<&'de [u8], DecodeError> {
        let taken = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (taken, rest) = taken.ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(*array)
    }

    fn bignum(&mut self, info: u8) -> Result<Item<'de>, DecodeError> {
        let tag = self.number(info)?;
        if tag != head::POSITIVE_BIGNUM && tag != head::NEGATIVE_BIGNUM {
            return Err(DecodeError::new(format!("found tag {tag}, which has no meaning here")));
        }
        let Item::Bytes(digits) = self.bignum_content()? else {
            return Err(DecodeError::new("found a bignum that is not a byte string"));
        };
        let mut number = [0; 16];
        let Some(unused) = number.len().checked_sub(digits.len()) else {
            return Err(DecodeError::new("found an integer beyond 128 bits"));
        };
        // Up to 64 bits it is an ordinary integer, so the first of at least nine digits counts.
        if unused > 7 || digits[0] == 0 {
            return Err(DecodeError::new("found an integer or length that is not in its shortest form"));
        }
        number[unused..].copy_from_slice(digits);
        let number = u128::from_be_bytes(number);
        Ok(if tag == head::POSITIVE_BIGNUM { Item::Big(number) } else { Item::NegativeBig(number) })
    }

    /// Only a byte string is read on: tags in tags would recurse.
    fn bignum_content(&mut self) -> Result<Item<'de>, DecodeError> {
        match self.rest.first() {
            Some(first) if first & 0xe0 == head::BYTES => self.item(),
            Some(_) => Ok(Item::Null),
            None => Err(ends_early()),
        }
    }

    fn simple(&mut self, first: u8) -> Result<Item<'de>, DecodeError> {
        Ok(match first {
            head::FALSE => Item::Bool(false),
            head::TRUE => Item::Bool(true),
            head::NULL => Item::Null,
            head::HALF => Item::Float(float::from_half(u16::from_be_bytes(self.array()?))),
            head::SINGLE => Item::Float(f64::from(f32::from_be_bytes(self.array()?))),
            head::DOUBLE => Item::Float(f64::from_be_bytes(self.array()?)),
            _ => {
                return Err(DecodeError::new("found a simple value other than false, true and null"));
            }
        })
    }
}

#[cold]
fn ends_early() -> DecodeError {
    DecodeError::new("the bytes end before the value does")
}

impl<'de> Item<'de> {
    /// The integer −1 − n, where 128 bits hold it.
    pub(super) fn negative(n: u128) -> Result<i128, DecodeError> {
        match i128::try_from(n) {
            Ok(n) => Ok(-1 - n),
            Err(_) => Err(DecodeError::new("found an integer beyond 128 bits")),
        }
    }

    pub(super) fn unexpected(self) -> Unexpected<'de> {
        match self {
            Item::Unsigned(n) => Unexpected::Unsigned(n),
            Item::Negative(_) | Item::Big(_) | Item::NegativeBig(_) => Unexpected::Other("an integer"),
            Item::Bytes(bytes) => Unexpected::Bytes(bytes),
            Item::Text(text) => Unexpected::Str(text),
            Item::Array(_) => Unexpected::Seq,
            Item::Map(_) => Unexpected::Map,
            Item::Bool(value) => Unexpected::Bool(value),
            Item::Null => Unexpected::Unit,
            Item::Float(value) => Unexpected::Float(value),
        }
    }
}
