//! Writes the encoding of a value.

use std::fmt::{self, Write as _};

use serde::ser::{self, Serialize};

use super::compound::{Elements, Fields, Pairs};
use super::error::{EncodeError, Step};
use super::sort;
use super::{MAX_NESTING, MAX_WRAPPERS, float, head, unordered};

pub(super) type Result<T = (), E = EncodeError> = std::result::Result<T, E>;

/// Appends to a buffer what one value is.
pub(super) struct Encoder<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) nesting: u32,
    wrappers: u32,
    /// Something inside could not be written.
    failed: bool,
}

impl<'a> Encoder<'a> {
    #[inline]
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Encoder { out, nesting: 0, wrappers: 0, failed: false }
    }

    /// A `Serialize` may swallow the error of a part and go on; then the part is missing, and
    /// two values that differ in it must not look alike.
    #[inline]
    pub(super) fn finish(&self) -> Result {
        if self.failed {
            return Err(EncodeError::new("its `Serialize` went on after a part of it had failed"));
        }
        Ok(())
    }

    #[cold]
    pub(super) fn fail(&mut self, error: EncodeError, step: Step<'_>, variant: Option<&str>) -> EncodeError {
        self.failed = true;
        let error = error.within(step);
        match variant {
            Some(variant) => error.within(Step::Field(variant)),
            None => error,
        }
    }

    #[inline]
    pub(super) fn enter(&mut self) -> Result {
        if self.nesting >= MAX_NESTING {
            return Err(too_deep());
        }
        self.nesting += 1;
        Ok(())
    }

    /// Ends an array or a map, and the variant of which it is the content.
    #[inline]
    pub(super) fn leave(&mut self, variant: Option<&str>) {
        self.nesting -= if variant.is_some() { 2 } else { 1 };
    }

    #[inline]
    fn wrapped<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        if self.wrappers >= MAX_WRAPPERS {
            return Err(too_deep());
        }
        self.wrappers += 1;
        value.serialize(&mut *self)?;
        self.wrappers -= 1;
        Ok(())
    }

    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        head::text_header(text.len(), self.out);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The rule that keeps `None`, `Some(None)`, `Some(())` and so on apart.
    #[inline]
    fn tell_from_none(&mut self, start: usize) -> Result {
        if matches!(self.out.get(start), Some(&(head::NULL | head::ARRAY_OF_ONE))) {
            return self.tell_null_from_none(start);
        }
        Ok(())
    }

    fn tell_null_from_none(&mut self, start: usize) -> Result {
        let Some((&head::NULL, arrays)) = self.out[start..].split_last() else {
            return Ok(());
        };
        if arrays.iter().any(|byte| *byte != head::ARRAY_OF_ONE) {
            return Ok(());
        }
        if self.nesting as usize + arrays.len() >= MAX_NESTING as usize {
            return Err(too_deep());
        }
        self.out.insert(start, head::ARRAY_OF_ONE);
        Ok(())
    }

    #[cold]
    fn bignum(&mut self, tag: u64, number: u128) {
        let digits = number.to_be_bytes();
        let digits = &digits[number.leading_zeros() as usize / 8..];
        head::write(head::TAG, tag, self.out);
        head::bytes_header(digits.len(), self.out);
        self.out.extend_from_slice(digits);
    }

    /// The map of one entry that a variant with content is, up to the content.
    #[inline]
    fn variant(&mut self, name: &str) -> Result {
        self.enter()?;
        head::map_header(1, self.out);
        self.text(name);
        Ok(())
    }
}

#[cold]
fn too_deep() -> EncodeError {
    EncodeError::new(format!(
        "arrays and maps nest deeper than {MAX_NESTING} (or options and newtypes deeper than {MAX_WRAPPERS})"
    ))
}

impl<'a, 'b> ser::Serializer for &'a mut Encoder<'b> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Elements<'a, 'b>;
    type SerializeTuple = Elements<'a, 'b>;
    type SerializeTupleStruct = Elements<'a, 'b>;
    type SerializeTupleVariant = Elements<'a, 'b>;
    type SerializeMap = Pairs<'a, 'b>;
    type SerializeStruct = Fields<'a, 'b>;
    type SerializeStructVariant = Fields<'a, 'b>;

    #[inline]
    fn serialize_bool(self, value: bool) -> Result {
        self.out.push(if value { head::TRUE } else { head::FALSE });
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Result {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Result {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Result {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result {
        let kind = if value < 0 { head::NEGATIVE } else { head::UNSIGNED };
        // −1 − n of a negative n is what remains without the sign, all bits turned.
        head::write(kind, (value ^ (value >> 63)) as u64, self.out);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result {
        let Ok(distance) = u128::try_from(!value) else {
            return self.serialize_u128(value as u128);
        };
        match u64::try_from(distance) {
            Ok(distance) => head::write(head::NEGATIVE, distance, self.out),
            Err(_) => self.bignum(head::NEGATIVE_BIGNUM, distance),
        }
        Ok(())
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Result {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Result {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result {
        head::write(head::UNSIGNED, value, self.out);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result {
        match u64::try_from(value) {
            Ok(value) => head::write(head::UNSIGNED, value, self.out),
            Err(_) => self.bignum(head::POSITIVE_BIGNUM, value),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result {
        let half = if value.is_nan() { Some(float::NAN) } else { float::half(value) };
        if let Some(half) = half {
            let [high, low] = half.to_be_bytes();
            self.out.extend_from_slice(&[head::HALF, high, low]);
        } else {
            self.out.push(head::SINGLE);
            self.out.extend_from_slice(&value.to_be_bytes());
        }
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result {
        let single = value as f32;
        if value.is_nan() || f64::from(single).to_bits() == value.to_bits() {
            return self.serialize_f32(single);
        }
        self.out.push(head::DOUBLE);
        self.out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result {
        self.text(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result {
        self.text(value);
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result {
        head::bytes_header(value.len(), self.out);
        self.out.extend_from_slice(value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        let start = self.out.len();
        self.wrapped(value)?;
        self.tell_from_none(start)
    }

    #[inline]
    fn serialize_unit(self) -> Result {
        self.out.push(head::NULL);
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Result {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result {
        self.text(variant);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result {
        if name == unordered::NAME {
            let start = self.out.len();
            unordered::sorted_by_encoder(|| self.wrapped(value))?;
            return sort::sort_array(start, self.out);
        }
        self.wrapped(value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.variant(variant)?;
        match value.serialize(&mut *self) {
            Ok(()) => self.leave(None),
            Err(error) => return Err(self.fail(error, Step::Field(variant), None)),
        }
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq> {
        Elements::new(self, len.unwrap_or(0), None)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple> {
        Elements::new(self, len, None)
    }

    #[inline]
    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Self::SerializeTupleStruct> {
        Elements::new(self, len, None)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant> {
        self.variant(variant)?;
        Elements::new(self, len, Some(variant))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap> {
        Pairs::new(self, len.unwrap_or(0))
    }

    #[inline]
    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Self::SerializeStruct> {
        Fields::new(self, len, None)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant> {
        self.variant(variant)?;
        Fields::new(self, len, Some(variant))
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result {
        struct Text<'a>(&'a mut Vec<u8>);
        impl fmt::Write for Text<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        let at = self.out.len();
        head::text_header(0, self.out);
        write!(Text(self.out), "{value}").map_err(|_| EncodeError::new("its `Display` returned an error"))?;
        head::correct(head::TEXT, at, 0, self.out.len() - at - 1, self.out);
        Ok(())
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        // A UUID, a date, an address is the text that other languages write too; and what serde
        // buffers says so as well.
        true
    }
}
