//! Reads arrays, maps and variants, part by part.

use serde::de::{self, DeserializeSeed, Visitor};

use super::de::{Decoder, Result};
use super::error::{DecodeError, Step};
use super::read::{Item, Reader};

/// No collection is told to expect more elements than this, whatever an encoding claims.
const MAX_SIZE_HINT: usize = 256;

/// The elements of an array.
pub(super) struct Elements<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
    read: usize,
}

impl<'a, 'de> Elements<'a, 'de> {
    #[inline]
    pub(super) fn new(decoder: &'a mut Decoder<'de>, left: usize) -> Self {
        Elements { decoder, left, read: 0 }
    }

    #[inline]
    pub(super) fn finish(&self) -> Result<()> {
        all_read(self.left, "elements")
    }
}

#[inline]
fn all_read(left: usize, parts: &str) -> Result<()> {
    if left > 0 {
        return Err(DecodeError::new(format!("found more {parts} than expected")));
    }
    Ok(())
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        match seed.deserialize(&mut *self.decoder) {
            Ok(element) => {
                self.read += 1;
                Ok(Some(element))
            }
            Err(error) => Err(error.within(Step::Element(self.read))),
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(MAX_SIZE_HINT))
    }
}

/// What a map stands for.
#[derive(Clone, Copy)]
pub(super) enum Of {
    /// Its keys are names: those of its fields, in the order in which the type has them.
    Struct(&'static [&'static str]),
    /// Its keys are the user's data.
    Map,
}

/// The entries of a map.
pub(super) struct Entries<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: usize,
    of: Of,
    key: Reader<'de>,
    /// The entry that is read last although it comes first.
    first: Option<Reader<'de>>,
    /// Where the bytes go on after that.
    end: Option<Reader<'de>>,
}

impl<'de> de::MapAccess<'de> for &mut Entries<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        if self.left == 0 {
            if let Some(first) = self.first {
                self.end = Some(std::mem::replace(&mut self.decoder.reader, first));
            }
        }
        self.key = self.decoder.reader;
        match seed.deserialize(&mut *self.decoder) {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(error.within(Step::Entry)),
        }
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        seed.deserialize(&mut *self.decoder).map_err(|error| self.in_value(error))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(MAX_SIZE_HINT))
    }
}

impl<'a, 'de> Entries<'a, 'de> {
    #[inline]
    pub(super) fn new(decoder: &'a mut Decoder<'de>, left: usize, of: Of) -> Self {
        let first = match (of, left) {
            (Of::Struct([_, second]), 2) => turn_round(&mut decoder.reader, second),
            _ => None,
        };
        let key = decoder.reader;
        Entries { decoder, left, of, key, first, end: None }
    }

    #[inline]
    pub(super) fn finish(self) -> Result<()> {
        if let Some(end) = self.end {
            self.decoder.reader = end;
        }
        all_read(self.left, "entries")
    }

    #[cold]
    fn in_value(&self, error: DecodeError) -> DecodeError {
        let mut key = self.key;
        match (self.of, key.item()) {
            (Of::Struct(_), Ok(Item::Text(name))) => error.within(Step::Field(name)),
            _ => error.within(Step::Entry),
        }
    }
}

/// Of two entries of which the first has this name, goes to the second, and returns the first.
///
/// An enum that serde writes as tag and content has its entries sorted like every map, but serde has to read the
/// tag first: else it buffers the content, and loses what it cannot buffer.
fn turn_round<'de>(reader: &mut Reader<'de>, name: &str) -> Option<Reader<'de>> {
    let mut second = *reader;
    match second.item() {
        Ok(Item::Text(first)) if first == name => second.skip().ok()?,
        _ => return None,
    }
    Some(std::mem::replace(reader, second))
}

/// A variant with its content: the only entry of a map.
pub(super) struct Variant<'a, 'de>(pub(super) &'a mut Decoder<'de>);

impl<'a, 'de> de::EnumAccess<'de> for Variant<'a, 'de> {
    type Error = DecodeError;
    type Variant = Content<'a, 'de>;

    #[inline]
    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant)> {
        let Variant(decoder) = self;
        let name = decoder.reader;
        let variant = seed.deserialize(&mut *decoder)?;
        Ok((variant, Content { decoder, name }))
    }
}

/// The content of a variant.
pub(super) struct Content<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    name: Reader<'de>,
}

impl<'de> Content<'_, 'de> {
    #[inline]
    fn read<T>(self, read: impl FnOnce(&mut Decoder<'de>) -> Result<T>) -> Result<T> {
        read(self.decoder).map_err(|error| in_variant(self.name, error))
    }
}

#[cold]
fn in_variant(mut name: Reader<'_>, error: DecodeError) -> DecodeError {
    match name.item() {
        Ok(Item::Text(name)) => error.within(Step::Field(name)),
        _ => error,
    }
}

impl<'de> de::VariantAccess<'de> for Content<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<()> {
        self.read(|decoder| de::Deserialize::deserialize(decoder))
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        self.read(|decoder| seed.deserialize(decoder))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.read(|decoder| de::Deserializer::deserialize_seq(decoder, visitor))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.read(|decoder| de::Deserializer::deserialize_struct(decoder, "", fields, visitor))
    }
}
