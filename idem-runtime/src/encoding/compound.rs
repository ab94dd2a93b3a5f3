//! Writes arrays and maps, part by part.

use serde::ser::{self, Serialize};

use super::error::{EncodeError, Step};
use super::head;
use super::ser::{Encoder, Result};
use super::sort::Entries;

/// An array that is being written.
pub(super) struct Elements<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
    at: usize,
    written: usize,
    len: usize,
    /// The variant of which it is the content.
    variant: Option<&'static str>,
}

impl<'a, 'b> Elements<'a, 'b> {
    #[inline]
    pub(super) fn new(
        encoder: &'a mut Encoder<'b>,
        written: usize,
        variant: Option<&'static str>,
    ) -> Result<Self> {
        encoder.enter()?;
        let at = encoder.out.len();
        head::array_header(written, encoder.out);
        Ok(Elements { encoder, at, written, variant, len: 0 })
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        match value.serialize(&mut *self.encoder) {
            Ok(()) => self.len += 1,
            Err(error) => {
                let step = Step::Element(self.len);
                return Err(self.encoder.fail(error, step, self.variant));
            }
        }
        Ok(())
    }

    #[inline]
    fn finish(self) -> Result {
        self.encoder.leave(self.variant);
        head::correct(head::ARRAY, self.at, self.written, self.len, self.encoder.out);
        Ok(())
    }
}

/// The bytes of a map that is being written.
struct Map {
    at: usize,
    /// For so many entries the head was written.
    written: usize,
    start: usize,
    entries: Entries,
}

impl Map {
    #[inline]
    fn new(written: usize, out: &mut Vec<u8>) -> Self {
        let at = out.len();
        head::map_header(written, out);
        Map { at, written, start: out.len(), entries: Entries::new() }
    }

    #[inline]
    fn key_written(&mut self, start: usize, out: &[u8]) {
        self.entries.push(start - self.start, out.len() - start);
    }

    fn end(&self, out: &mut Vec<u8>) -> Result {
        self.entries.sort(self.start, out)?;
        head::correct(head::MAP, self.at, self.written, self.entries.len(), out);
        Ok(())
    }
}

/// A map that is being written, with keys of any kind.
pub(super) struct Pairs<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
    map: Map,
    value_is_due: bool,
}

impl ser::SerializeMap for Pairs<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.expect_value(false)?;
        self.value_is_due = true;
        let start = self.encoder.out.len();
        if let Err(error) = key.serialize(&mut *self.encoder) {
            return Err(self.encoder.fail(error, Step::Entry, None));
        }
        self.map.key_written(start, self.encoder.out);
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.expect_value(true)?;
        self.value_is_due = false;
        match value.serialize(&mut *self.encoder) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.encoder.fail(error, Step::Entry, None)),
        }
    }

    #[inline]
    fn end(self) -> Result {
        self.expect_value(false)?;
        self.encoder.leave(None);
        self.map.end(self.encoder.out)
    }
}

impl<'a, 'b> Pairs<'a, 'b> {
    #[inline]
    pub(super) fn new(encoder: &'a mut Encoder<'b>, written: usize) -> Result<Self> {
        encoder.enter()?;
        let map = Map::new(written, encoder.out);
        Ok(Pairs { encoder, map, value_is_due: false })
    }

    #[inline]
    fn expect_value(&self, expected: bool) -> Result {
        if self.value_is_due != expected {
            return Err(EncodeError::new(
                "its `Serialize` writes a key without a value, or a value without a key",
            ));
        }
        Ok(())
    }
}

/// A struct that is being written.
pub(super) struct Fields<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
    map: Map,
    /// The variant of which it is the content.
    variant: Option<&'static str>,
}

impl<'a, 'b> Fields<'a, 'b> {
    #[inline]
    pub(super) fn new(
        encoder: &'a mut Encoder<'b>,
        written: usize,
        variant: Option<&'static str>,
    ) -> Result<Self> {
        encoder.enter()?;
        let map = Map::new(written, encoder.out);
        Ok(Fields { encoder, map, variant })
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result {
        let start = self.encoder.out.len();
        self.encoder.text(name);
        self.map.key_written(start, self.encoder.out);
        match value.serialize(&mut *self.encoder) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.encoder.fail(error, Step::Field(name), self.variant)),
        }
    }

    #[inline]
    fn finish(self) -> Result {
        self.encoder.leave(self.variant);
        self.map.end(self.encoder.out)
    }
}

macro_rules! compound {
    ($($trait:ident for $type:ident: $method:ident($($name:ident)?) => $inner:ident;)+) => {$(
        impl ser::$trait for $type<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Result {
                self.$inner($($name,)? value)
            }

            #[inline]
            fn end(self) -> Result {
                self.finish()
            }
        }
    )+};
}

compound! {
    SerializeSeq for Elements: serialize_element() => element;
    SerializeTuple for Elements: serialize_element() => element;
    SerializeTupleStruct for Elements: serialize_field() => element;
    SerializeTupleVariant for Elements: serialize_field() => element;
    SerializeStruct for Fields: serialize_field(name) => field;
    SerializeStructVariant for Fields: serialize_field(name) => field;
}
