//! Reads a value back from its encoding.

use serde::de::{self, Error as _, IntoDeserializer as _, Unexpected, Visitor};

use super::access::{Elements, Entries, Of, Variant};
use super::error::DecodeError;
use super::head;
use super::read::{Item, Reader};
use super::{MAX_NESTING, MAX_WRAPPERS};

pub(super) type Result<T, E = DecodeError> = std::result::Result<T, E>;

/// Takes a value from the bytes that are left.
pub(super) struct Decoder<'de> {
    pub(super) reader: Reader<'de>,
    nesting: u32,
    wrappers: u32,
}

impl<'de> Decoder<'de> {
    #[inline]
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Decoder { reader: Reader::new(bytes), nesting: 0, wrappers: 0 }
    }

    #[inline]
    pub(super) fn finish(&self) -> Result<()> {
        if !self.reader.rest().is_empty() {
            return Err(DecodeError::new("the bytes go on after the value"));
        }
        Ok(())
    }

    /// Reads what lies in an array or a map.
    #[inline]
    fn nested<T>(&mut self, levels: u32, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting + levels > MAX_NESTING {
            return Err(too_deep());
        }
        self.nesting += levels;
        let value = read(self)?;
        self.nesting -= levels;
        Ok(value)
    }

    /// Reads what lies in an option or a newtype.
    #[inline]
    fn wrapped<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.wrappers >= MAX_WRAPPERS {
            return Err(too_deep());
        }
        self.wrappers += 1;
        let value = read(self)?;
        self.wrappers -= 1;
        Ok(value)
    }

    #[inline]
    fn array<V: Visitor<'de>>(&mut self, left: usize, visitor: V) -> Result<V::Value> {
        self.nested(1, |decoder| {
            let mut elements = Elements::new(decoder, left);
            let value = visitor.visit_seq(&mut elements)?;
            elements.finish()?;
            Ok(value)
        })
    }

    #[inline]
    fn map<V: Visitor<'de>>(&mut self, left: usize, of: Of, visitor: V) -> Result<V::Value> {
        self.nested(1, |decoder| {
            let mut entries = Entries::new(decoder, left, of);
            let value = visitor.visit_map(&mut entries)?;
            entries.finish()?;
            Ok(value)
        })
    }

    /// How many arrays of one element there are around the null that comes next, if it does.
    #[inline]
    fn arrays_around_null(&self) -> Option<usize> {
        let arrays = self.reader.rest().iter().take(MAX_NESTING as usize + 1);
        let arrays = arrays.take_while(|byte| **byte == head::ARRAY_OF_ONE).count();
        (self.reader.rest().get(arrays) == Some(&head::NULL)).then_some(arrays)
    }
}

#[cold]
fn too_deep() -> DecodeError {
    DecodeError::new(format!(
        "arrays and maps nest deeper than {MAX_NESTING} (or options and newtypes deeper than {MAX_WRAPPERS})"
    ))
}

#[cold]
fn mismatch(found: Unexpected<'_>, expected: &dyn de::Expected) -> DecodeError {
    DecodeError::invalid_type(found, expected)
}

/// Hints for one kind of number, and the function that hands the number over.
macro_rules! numbers {
    ($($method:ident)+ => $take:ident) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            $take(self.reader.item()?, visitor)
        }
    )+};
}

fn unsigned<'de, V: Visitor<'de>>(item: Item<'de>, visitor: V) -> Result<V::Value> {
    match item {
        Item::Unsigned(n) => visitor.visit_u64(n),
        Item::Negative(n) => negative(n, visitor),
        Item::Big(n) => visitor.visit_u128(n),
        Item::NegativeBig(n) => visitor.visit_i128(Item::negative(n)?),
        Item::Float(n) => visitor.visit_f64(n),
        other => Err(mismatch(other.unexpected(), &visitor)),
    }
}

#[inline]
fn negative<'de, V: Visitor<'de>>(n: u64, visitor: V) -> Result<V::Value> {
    match i64::try_from(n) {
        Ok(n) => visitor.visit_i64(-1 - n),
        Err(_) => visitor.visit_i128(-1 - i128::from(n)),
    }
}

fn signed<'de, V: Visitor<'de>>(item: Item<'de>, visitor: V) -> Result<V::Value> {
    match item {
        Item::Unsigned(n) => match i64::try_from(n) {
            Ok(n) => visitor.visit_i64(n),
            Err(_) => visitor.visit_u64(n),
        },
        other => unsigned(other, visitor),
    }
}

fn unsigned_128<'de, V: Visitor<'de>>(item: Item<'de>, visitor: V) -> Result<V::Value> {
    match item {
        Item::Unsigned(n) => visitor.visit_u128(n.into()),
        other => unsigned(other, visitor),
    }
}

fn signed_128<'de, V: Visitor<'de>>(item: Item<'de>, visitor: V) -> Result<V::Value> {
    match item {
        Item::Unsigned(n) => visitor.visit_i128(n.into()),
        Item::Negative(n) => visitor.visit_i128(-1 - i128::from(n)),
        Item::Big(n) => match i128::try_from(n) {
            Ok(n) => visitor.visit_i128(n),
            Err(_) => visitor.visit_u128(n),
        },
        other => unsigned(other, visitor),
    }
}

fn single<'de, V: Visitor<'de>>(item: Item<'de>, visitor: V) -> Result<V::Value> {
    match item {
        Item::Float(n) if n.is_nan() || f64::from(n as f32) == n => visitor.visit_f32(n as f32),
        other => unsigned(other, visitor),
    }
}

/// What is no array and no map.
fn scalar<'de, V: Visitor<'de>>(item: Item<'de>, visitor: V) -> Result<V::Value> {
    match item {
        Item::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
        Item::Text(text) => visitor.visit_borrowed_str(text),
        Item::Bool(value) => visitor.visit_bool(value),
        Item::Null => visitor.visit_unit(),
        other => unsigned(other, visitor),
    }
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Array(len) => self.array(len, visitor),
            Item::Map(len) => self.map(len, Of::Map, visitor),
            other => scalar(other, visitor),
        }
    }

    numbers!(deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 => unsigned);
    numbers!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 => signed);
    numbers!(deserialize_u128 => unsigned_128);
    numbers!(deserialize_i128 => signed_128);
    numbers!(deserialize_f32 => single);
    numbers!(deserialize_f64 => unsigned);
    // The names of fields; flattened maps ask so for keys of other kinds, too.
    numbers!(deserialize_identifier => scalar);

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Bool(value) => visitor.visit_bool(value),
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Text(text) => {
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (Some(character), None) => visitor.visit_char(character),
                    _ => visitor.visit_borrowed_str(text),
                }
            }
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Text(text) => visitor.visit_borrowed_str(text),
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            // Types that ask for bytes, but say that they are text or an array.
            Item::Text(text) => visitor.visit_borrowed_str(text),
            Item::Array(len) => self.array(len, visitor),
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.arrays_around_null() {
            Some(0) => {
                self.reader.advance(1);
                visitor.visit_none()
            }
            // The array that was put around what would otherwise look like `None`.
            Some(_) => {
                self.reader.advance(1);
                self.nested(1, |decoder| decoder.wrapped(|decoder| visitor.visit_some(decoder)))
            }
            None => self.wrapped(|decoder| visitor.visit_some(decoder)),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Null => visitor.visit_unit(),
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.wrapped(|decoder| visitor.visit_newtype_struct(decoder))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Array(len) => self.array(len, visitor),
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Map(len) => self.map(len, Of::Map, visitor),
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Map(len) => self.map(len, Of::Struct(fields), visitor),
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.item()? {
            Item::Text(name) => visitor.visit_enum(name.into_deserializer()),
            Item::Map(1) => self.nested(1, |decoder| visitor.visit_enum(Variant(decoder))),
            other => Err(mismatch(other.unexpected(), &visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.skip()?;
        visitor.visit_unit()
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        true
    }
}
