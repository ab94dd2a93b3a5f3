//! Random values of one type that has everything serde knows, made from random bytes.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};

/// What is left of the bytes; when they are used up, zeros.
pub struct Bytes<'a> {
    left: &'a [u8],
    depth: u32,
}

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.left.split_first() else { return 0 };
        self.left = rest;
        *first
    }

    /// One of `choices`, each as likely.
    fn choose(&mut self, choices: u8) -> u8 {
        self.next() % choices
    }

    fn wide(&mut self) -> u128 {
        (0..16).fold(0, |number, _| number << 8 | u128::from(self.next()))
    }
}

/// What can be made from bytes.
pub trait Make: Sized {
    fn make(bytes: &mut Bytes<'_>) -> Self;

    fn from_bytes(bytes: &[u8]) -> Self {
        Self::from_first_bytes(bytes).0
    }

    /// Also says how many of the bytes the value is made of.
    fn from_first_bytes(bytes: &[u8]) -> (Self, usize) {
        let mut left = Bytes { left: bytes, depth: 0 };
        let value = Self::make(&mut left);
        (value, bytes.len() - left.left.len())
    }
}

macro_rules! integers {
    ($($type:ident)+) => {$(
        impl Make for $type {
            /// Often a number at which the encoding changes, or next to one.
            fn make(bytes: &mut Bytes<'_>) -> Self {
                let edge = match bytes.choose(12) {
                    0..=3 => return bytes.next() as $type,
                    4 => return bytes.wide() as $type,
                    5 => $type::MAX,
                    6 => $type::MIN,
                    bits => (1_u128 << [5, 8, 16, 32, 64][usize::from(bits - 7)]) as $type,
                };
                edge.wrapping_add(bytes.choose(4) as $type).wrapping_sub(2)
            }
        }
    )+};
}

integers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);

macro_rules! tuples {
    ($(($($type:ident)+))+) => {$(
        impl<$($type: Make),+> Make for ($($type,)+) {
            fn make(bytes: &mut Bytes<'_>) -> Self {
                ($($type::make(bytes),)+)
            }
        }
    )+};
}

tuples!((A)(A B)(A B C));

impl Make for () {
    fn make(_: &mut Bytes<'_>) -> Self {}
}

impl Make for bool {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        bytes.choose(2) == 1
    }
}

impl Make for char {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        ['a', 'b', '\0', 'é', '€', '😀'][usize::from(bytes.choose(6))]
    }
}

impl Make for String {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        let length = [0, 1, 2, 3, 8, 9, 23, 24, 300][usize::from(bytes.choose(9))];
        let mut text: String = (0..length.min(9)).map(|_| char::make(bytes)).collect();
        text.extend((text.len()..length).map(|_| 'x'));
        text
    }
}

impl<T: Make> Make for Option<T> {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        (bytes.choose(3) > 0).then(|| T::make(bytes))
    }
}

impl<T: Make> Make for Box<T> {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        Box::new(T::make(bytes))
    }
}

impl<T: Make> Make for Vec<T> {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        let length = [0, 1, 1, 2, 3, 25][usize::from(bytes.choose(6))];
        (0..length).map(|_| T::make(bytes)).collect()
    }
}

impl<K: Make + Ord, V: Make> Make for BTreeMap<K, V> {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        let length = [0, 1, 2, 3, 4, 30][usize::from(bytes.choose(6))];
        (0..length).map(|_| (K::make(bytes), V::make(bytes))).collect()
    }
}

/// A float that is equal to another by its bits, all NaN being one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Float(f64);

impl Float {
    fn bits(self) -> u64 {
        if self.0.is_nan() { f64::NAN.to_bits() } else { self.0.to_bits() }
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Float {}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bits().cmp(&other.bits())
    }
}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Make for Float {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        let number = match bytes.choose(8) {
            0 => 0.0,
            1 => f64::from(bytes.next()) / 4.0,
            2 => f64::NAN,
            3 => f64::INFINITY,
            4 => f64::from_bits(bytes.wide() as u64),
            5 => f64::from(f32::from_bits(bytes.wide() as u32)),
            6 => 2_f64.powi(i32::from(bytes.next()) - 160),
            _ => 65_504.0 + f64::from(bytes.choose(40)),
        };
        let bits = number.to_bits() ^ [0, 0, 1, 1 << 29, 1 << 42, 1 << 63][usize::from(bytes.choose(6))];
        Float(f64::from_bits(bits))
    }
}

/// The same of 32 bits.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Single(f32);

impl PartialEq for Single {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || self.0.is_nan() && other.0.is_nan()
    }
}

impl Make for Single {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        Single(Float::make(bytes).0 as f32)
    }
}

/// A byte string.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a byte string")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

impl Make for Blob {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        Blob(Vec::make(bytes))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nothing;

impl Make for Nothing {
    fn make(_: &mut Bytes<'_>) -> Self {
        Nothing
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Newtype<T>(T);

impl<T: Make> Make for Newtype<T> {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        Newtype(T::make(bytes))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    Plain,
    Number(i64),
    Pair(bool, Option<u8>),
    Named { name: String },
}

impl Make for Key {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        match bytes.choose(4) {
            0 => Key::Plain,
            1 => Key::Number(Make::make(bytes)),
            2 => Key::Pair(Make::make(bytes), Make::make(bytes)),
            _ => Key::Named { name: Make::make(bytes) },
        }
    }
}

/// A struct whose fields are not in the order of the encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    updated_by: Option<Value>,
    updated_at: u64,
    id: u128,
    n: i128,
    tags: Vec<Value>,
    any: Value,
    kind: Newtype<Option<Nothing>>,
}

impl Make for Record {
    fn make(bytes: &mut Bytes<'_>) -> Self {
        Record {
            id: Make::make(bytes),
            n: Make::make(bytes),
            kind: Make::make(bytes),
            updated_at: Make::make(bytes),
            updated_by: Make::make(bytes),
            any: Make::make(bytes),
            tags: Make::make(bytes),
        }
    }
}

macro_rules! value {
    ($($variant:ident $(($($type:ty),*))? $({$($field:ident: $of:ty),*})?)+) => {
        /// One type of which any two values have to be told apart.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub enum Value {
            $($variant $(($($type),*))? $({$($field: $of),*})?,)+
        }

        impl Make for Value {
            fn make(bytes: &mut Bytes<'_>) -> Self {
                if bytes.depth == 5 {
                    return Value::Unit;
                }
                bytes.depth += 1;
                let makes = [$(
                    |bytes: &mut Bytes<'_>| {
                        let _ = &bytes;
                        Value::$variant $(($(<$type>::make(bytes)),*))? $({$($field: <$of>::make(bytes)),*})?
                    },
                )+] as [fn(&mut Bytes<'_>) -> Value; _];
                let value = makes[usize::from(bytes.choose(makes.len() as u8))](bytes);
                bytes.depth -= 1;
                value
            }
        }
    };
}

value! {
    Unit
    Empty()
    Hollow {}
    Nothing(())
    UnitStruct(Nothing)
    Flag(bool)
    Small(u8, i8, u16, i16)
    Numbers { e: u64, d: i64, abc: u32, ab: i32 }
    Wide(u128, i128)
    Float(Float)
    Single(Single)
    Text(String)
    Letter(char)
    Blob(Blob)
    Wrapped(Newtype<Box<Value>>)
    Option(Option<Box<Value>>)
    Options(Option<Option<Option<Option<Box<Value>>>>>)
    Units(Option<Option<Option<Option<()>>>>)
    InArray(Option<Option<Vec<Option<Option<u8>>>>>)
    InTuple(Option<Option<(Option<Nothing>,)>>)
    InNewtype(Option<Newtype<Option<Newtype<Option<bool>>>>>)
    Pair(Box<(Value, Value)>)
    Several(Box<Value>, Option<u8>, Option<Option<u8>>)
    List(Vec<Value>)
    ByNumber(BTreeMap<i64, Value>)
    ByWide(BTreeMap<i128, u8>)
    ByText(BTreeMap<String, Value>)
    ByOption(BTreeMap<Option<Option<Option<bool>>>, Value>)
    ByTuple(BTreeMap<(u8, String), ()>)
    ByFloat(BTreeMap<Float, Option<Option<()>>>)
    ByBlob(BTreeMap<Blob, bool>)
    ByKey(BTreeMap<Key, Value>)
    ByMap(BTreeMap<BTreeMap<Option<u8>, ()>, u8>)
    Record(Box<Record>)
}

/// Anything at all, as it says itself what it is.
#[derive(Debug, Clone)]
pub enum Any {
    Null,
    Bool(bool),
    Unsigned(u128),
    Signed(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<Any>),
    Map(Vec<(Any, Any)>),
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Any::Null => serializer.serialize_unit(),
            Any::Bool(value) => serializer.serialize_bool(*value),
            Any::Unsigned(value) => serializer.serialize_u128(*value),
            Any::Signed(value) => serializer.serialize_i128(*value),
            Any::Float(value) => serializer.serialize_f64(*value),
            Any::Text(value) => serializer.serialize_str(value),
            Any::Bytes(value) => serializer.serialize_bytes(value),
            Any::Array(values) => values.serialize(serializer),
            Any::Map(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_key(key)?;
                    map.serialize_value(value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

macro_rules! visits {
    ($($method:ident($type:ty) => $make:expr;)+) => {$(
        fn $method<E: de::Error>(self, value: $type) -> Result<Any, E> {
            Ok($make(value))
        }
    )+};
}

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    visits! {
        visit_bool(bool) => Any::Bool;
        visit_u64(u64) => |value| Any::Unsigned(u128::from(value));
        visit_i64(i64) => |value| Any::Signed(i128::from(value));
        visit_u128(u128) => Any::Unsigned;
        visit_i128(i128) => Any::Signed;
        visit_f64(f64) => Any::Float;
        visit_str(&str) => |value: &str| Any::Text(value.to_owned());
        visit_bytes(&[u8]) => |value: &[u8]| Any::Bytes(value.to_owned());
    }

    fn visit_unit<E: de::Error>(self) -> Result<Any, E> {
        Ok(Any::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Any::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Any::Map(pairs))
    }
}
