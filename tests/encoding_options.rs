//! The rule for `Some`, on *all* small values of the types on which encodings were seen to collide: every value of
//! a type has an encoding of its own, and comes back from it.

use std::fmt::Debug;

use idem::encoding::{from_slice, to_vec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// All small values of a type.
trait All: Sized {
    fn all() -> Vec<Self>;
}

macro_rules! all {
    ($($type:ty $(where $t:ident)? = $values:expr;)+) => {$(
        impl$(<$t: All>)? All for $type {
            fn all() -> Vec<Self> {
                $values.into_iter().collect()
            }
        }
    )+};
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Newtype<T>(T);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Transparent<T> {
    inner: T,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Field<T> {
    field: T,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Enum<T> {
    Plain,
    Holds(T),
    Tuple(T, T),
    Struct { holds: T },
}

all! {
    () = [()];
    bool = [false, true];
    u8 = [0, 1];
    Unit = [Unit];
    String = ["".to_owned(), "Plain".to_owned()];
    Option<T> where T = [None].into_iter().chain(T::all().into_iter().map(Some));
    Box<T> where T = T::all().into_iter().map(Box::new);
    Newtype<T> where T = T::all().into_iter().map(Newtype);
    Transparent<T> where T = T::all().into_iter().map(|inner| Transparent { inner });
    Field<T> where T = T::all().into_iter().map(|field| Field { field });
    (T,) where T = T::all().into_iter().map(|value| (value,));
    [T; 1] where T = T::all().into_iter().map(|value| [value]);
    Vec<T> where T = [vec![]]
        .into_iter()
        .chain(T::all().into_iter().map(|value| vec![value]))
        .chain(T::all().into_iter().zip(T::all().into_iter().rev()).map(|(a, b)| vec![a, b]));
    Enum<T> where T = [Enum::Plain]
        .into_iter()
        .chain(T::all().into_iter().map(Enum::Holds))
        .chain(T::all().into_iter().zip(T::all().into_iter().rev()).map(|(a, b)| Enum::Tuple(a, b)))
        .chain(T::all().into_iter().map(|holds| Enum::Struct { holds }));
}

/// Every value of the type is told from every other.
fn told_apart<T: All + Debug + PartialEq + Serialize + DeserializeOwned>() {
    let mut encodings = Vec::new();
    for value in T::all() {
        let encoding = to_vec(&value).unwrap();
        assert_eq!(from_slice::<T>(&encoding).unwrap(), value, "{encoding:x?}");
        encodings.push((encoding, value));
    }
    encodings.sort_by(|(a, _), (b, _)| a.cmp(b));
    for pair in encodings.windows(2) {
        assert_ne!(pair[0].0, pair[1].0, "{:?} and {:?}", pair[0].1, pair[1].1);
    }
}

type O<T> = Option<T>;

macro_rules! told_apart {
    ($($type:ty,)+) => {$(
        told_apart::<$type>();
    )+};
}

/// The shapes around a type up to two levels of which one is an array, each in up to two options.
fn around<T: All + Debug + Clone + PartialEq + Serialize + DeserializeOwned>() {
    told_apart! {
        O<T>, O<O<T>>, O<O<O<T>>>, O<O<O<O<T>>>>,
        O<Vec<T>>, O<O<Vec<T>>>, O<O<O<Vec<T>>>>, Vec<O<T>>, Vec<O<O<T>>>, O<Vec<O<T>>>, O<O<Vec<O<T>>>>,
        O<O<Vec<O<O<T>>>>>, O<O<Vec<O<Vec<O<T>>>>>>, O<Vec<Vec<T>>>, O<O<Vec<Vec<O<T>>>>>,
        O<(T,)>, O<O<(T,)>>, O<O<(O<T>,)>>, O<O<((O<T>,),)>>, O<[O<T>; 1]>, O<O<[O<[O<T>; 1]>; 1]>>,
        O<Newtype<T>>, O<Newtype<O<T>>>, O<O<Newtype<O<T>>>>, O<Newtype<O<Newtype<O<T>>>>>, O<Newtype<(O<T>,)>>,
        O<Transparent<O<T>>>, O<O<Transparent<O<T>>>>, O<Box<O<T>>>, O<O<Box<O<T>>>>,
        O<Field<O<T>>>, Field<O<O<T>>>, Vec<Field<O<O<T>>>>,
        O<Enum<T>>, O<O<Enum<T>>>, O<Enum<O<T>>>, Enum<O<T>>, Enum<O<O<T>>>, O<Enum<O<Enum<O<T>>>>>,
    }
}

#[test]
fn around_nothing() {
    around::<()>();
    around::<Unit>();
}

#[test]
fn around_values() {
    around::<bool>();
    around::<u8>();
    around::<String>();
}

#[test]
fn the_bytes_of_options() {
    assert_eq!(to_vec(&None::<()>).unwrap(), b"\xf6");
    assert_eq!(to_vec(&Some(())).unwrap(), b"\x81\xf6");
    assert_eq!(to_vec(&Some(None::<u8>)).unwrap(), b"\x81\xf6");
    assert_eq!(to_vec(&Some(Some(None::<u8>))).unwrap(), b"\x81\x81\xf6");
    assert_eq!(to_vec(&Some(Some([None::<u8>]))).unwrap(), b"\x81\x81\x81\xf6");
    assert_eq!(to_vec(&Some(Some(7))).unwrap(), b"\x07");
    assert_eq!(to_vec(&Some([7])).unwrap(), b"\x81\x07");
    assert_eq!(to_vec(&Some([None, Some(7)])).unwrap(), b"\x82\xf6\x07");
    assert_eq!(to_vec(&Some(serde_json::Value::Null)).unwrap(), b"\x81\xf6");
    assert_eq!(to_vec(&None::<serde_json::Value>).unwrap(), b"\xf6");
}
