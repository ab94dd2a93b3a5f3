//! Values with corners: what is falsy, what serde buffers, sets, lengths that nobody knows beforehand; and what is
//! refused, and how that is said.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use idem::encoding::{append, from_slice, to_vec};
use idem::unordered;
use serde::de::{self, DeserializeOwned, Deserializer};
use serde::ser::{SerializeMap as _, SerializeSeq as _, SerializeStruct as _, SerializeTuple as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T) {
    let encoding = to_vec(&value).unwrap();
    assert_eq!(from_slice::<T>(&encoding).unwrap(), value, "{encoding:x?}");
}

/// A value that serializes in this way.
macro_rules! by {
    (|$serializer:ident| $body:expr) => {{
        struct Value;
        impl Serialize for Value {
            fn serialize<S: Serializer>(&self, $serializer: S) -> Result<S::Ok, S::Error> {
                $body
            }
        }
        Value
    }};
}

#[test]
fn falsy_values_come_back() {
    there_and_back(0_u8);
    there_and_back(false);
    there_and_back(String::new());
    there_and_back(());
    there_and_back(Vec::<u8>::new());
    there_and_back(BTreeMap::<u8, u8>::new());
    there_and_back(-0.0_f64);
    assert!(from_slice::<f64>(&to_vec(&f64::NAN).unwrap()).unwrap().is_nan());
    assert!(from_slice::<f64>(&to_vec(&-0.0).unwrap()).unwrap().is_sign_negative());
    there_and_back('\0');
    there_and_back(0_u128);
    there_and_back(-1_i128);
    there_and_back(json!({"a": [null, 0, -1, 0.5, "", false, [], {}], "": 18446744073709551615_u64}));
}

#[test]
fn types_of_the_standard_library_come_back() {
    there_and_back(std::time::Duration::from_nanos(1));
    there_and_back(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123));
    there_and_back("127.0.0.1".parse::<std::net::IpAddr>().unwrap());
    there_and_back("[::1]:80".parse::<std::net::SocketAddr>().unwrap());
    there_and_back(1..=5_u8);
    there_and_back(Ok::<u8, String>(1));
    there_and_back(Err::<u8, String>(String::new()));
    there_and_back(std::ops::Bound::Excluded(1));
    there_and_back(std::num::NonZeroU128::MAX);
    there_and_back(std::num::Wrapping(-1_i8));
    there_and_back(std::marker::PhantomData::<u8>);
    there_and_back([(); 0]);
    there_and_back([1_u8; 32]);
    there_and_back(HashMap::from([((1, "a".to_owned()), None), ((2, String::new()), Some(()))]));
    there_and_back(HashSet::from([Some(1), None]));
    there_and_back(std::path::PathBuf::from("a/b"));
    there_and_back(Box::<str>::from("a"));
    // What is human-readable: the same text as in every other language.
    assert_eq!(to_vec(&std::net::Ipv4Addr::LOCALHOST).unwrap(), b"\x69127.0.0.1");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Unit,
    Struct { b: u8, a: Option<String> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Tuple(u8, Option<Option<()>>),
}

/// The tag comes first in the order of the encoding, too.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "a", content = "b")]
enum InOrder {
    Unit,
    Tuple(u8, Option<Option<()>>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Texts(Vec<String>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    z: u8,
    #[serde(flatten)]
    rest: BTreeMap<i16, String>,
}

#[test]
fn the_other_ways_to_write_enums_come_back() {
    there_and_back(vec![Tagged::Unit, Tagged::Struct { b: 1, a: None }]);
    there_and_back(vec![Adjacent::Unit, Adjacent::Tuple(1, Some(None)), Adjacent::Tuple(1, Some(Some(())))]);
    there_and_back(vec![InOrder::Unit, InOrder::Tuple(1, Some(None)), InOrder::Tuple(1, Some(Some(())))]);
    there_and_back(vec![Untagged::Number(-1), Untagged::Texts(vec![String::new()])]);
    there_and_back(Flat { z: 1, rest: BTreeMap::from([(-1, "a".to_owned()), (1000, "b".to_owned())]) });
}

#[derive(Serialize)]
struct Clash {
    a: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    // `{a: 1, rest: {a: 2}}` and `{a: 2, rest: {a: 1}}` would be the same map.
    let clash = Clash { a: 1, rest: BTreeMap::from([("a".to_owned(), 2)]) };
    let error = to_vec(&(1, clash)).unwrap_err().to_string();
    assert_eq!(
        error,
        "in `[1]`: a map has the same key twice (with `flatten`, rename one of the two fields)"
    );
    let many = by!(|s| s.collect_map((0..60).map(|index| (index % 59, 0))));
    assert!(to_vec(&many).is_err());
    let long = by!(|s| s.collect_map([("customer-1", 1), ("customer-2", 2), ("customer-1", 3)]));
    assert!(to_vec(&long).is_err());
    // What follows a key of one byte is no part of it.
    let short = by!(|s| {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry(&1, &[2])?;
        map.serialize_entry(&1, &2)?;
        map.end()
    });
    assert!(to_vec(&short).is_err());
}

#[test]
fn maps_are_sorted_by_their_keys_only() {
    let sorted = |pairs: &[(&str, u32)]| to_vec(&pairs.iter().copied().collect::<HashMap<_, _>>()).unwrap();
    assert_eq!(sorted(&[("b", 1), ("aa", 2), ("", 3)]), b"\xa3\x60\x03\x61b\x01\x62aa\x02");
    // Ten thousand entries, in an order that changes from run to run.
    let numbers: HashMap<u32, String> =
        (0..10_000).map(|number| (number, "x".repeat(number as usize % 30))).collect();
    let ordered: BTreeMap<u32, String> = numbers.clone().into_iter().collect();
    assert_eq!(to_vec(&numbers).unwrap(), to_vec(&ordered).unwrap());
    there_and_back(numbers);
}

#[test]
fn lengths_need_not_be_known_nor_true() {
    for length in [0, 1, 23, 24, 25, 255, 256, 300, 65_536] {
        let numbers: Vec<usize> = (0..length).collect();
        let expected = to_vec(&numbers).unwrap();
        for claim in [None, Some(0), Some(23), Some(24), Some(256), Some(1 << 20)] {
            struct Claims<'a>(&'a [usize], Option<usize>, bool);
            impl Serialize for Claims<'_> {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    if self.2 {
                        let mut map = serializer.serialize_map(self.1)?;
                        for number in self.0.iter().rev() {
                            map.serialize_entry(number, &())?;
                        }
                        return map.end();
                    }
                    let mut seq = serializer.serialize_seq(self.1)?;
                    for number in self.0 {
                        seq.serialize_element(number)?;
                    }
                    seq.end()
                }
            }
            assert_eq!(to_vec(&Claims(&numbers, claim, false)).unwrap(), expected);
            let map: BTreeMap<usize, ()> = numbers.iter().map(|number| (*number, ())).collect();
            assert_eq!(to_vec(&Claims(&numbers, claim, true)).unwrap(), to_vec(&map).unwrap());
        }
    }
}

#[test]
fn what_is_displayed_is_text() {
    struct Shown(usize);
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (0..self.0).try_for_each(|_| f.write_str("é"))
        }
    }
    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
    for length in [0, 1, 11, 12, 13, 127, 128, 40_000] {
        assert_eq!(to_vec(&(1, Shown(length), 2)).unwrap(), to_vec(&(1, "é".repeat(length), 2)).unwrap());
    }
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    let error = to_vec(&by!(|s| s.collect_str(&Broken))).unwrap_err();
    assert_eq!(error.to_string(), "its `Display` returned an error");
}

#[test]
fn sets_are_sorted() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Search {
        #[serde(with = "idem::unordered")]
        tags: HashSet<String>,
        #[serde(serialize_with = "idem::unordered::serialize")]
        ids: Vec<i32>,
    }
    let search = |tags: &[&str], ids: &[i32]| Search {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ids: ids.to_vec(),
    };
    let expected = to_vec(&by!(|s| {
        let mut fields = s.serialize_struct("Search", 2)?;
        fields.serialize_field("tags", &["b", "ab", "cc"])?;
        fields.serialize_field("ids", &[7, 1000, -1])?;
        fields.end()
    }))
    .unwrap();
    let encoding = to_vec(&search(&["cc", "b", "ab"], &[-1, 7, 1000])).unwrap();
    assert_eq!(encoding, expected);
    assert_eq!(from_slice::<Search>(&encoding).unwrap(), search(&["ab", "b", "cc"], &[7, 1000, -1]));
    // In other formats too, also on the way through one.
    let json = serde_json::to_value(search(&["cc", "b", "ab"], &[-1, 7, 1000])).unwrap();
    assert_eq!(json, json!({"tags": ["b", "ab", "cc"], "ids": [7, 1000, -1]}));
    assert_eq!(to_vec(&json).unwrap(), expected);
}

#[test]
fn sets_of_sets_cost_once() {
    // Encoded twice on each level, this would not end.
    struct Set(Vec<Set>);
    impl Serialize for Set {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            unordered(&self.0).serialize(serializer)
        }
    }
    let set = (0..120).fold(Set(vec![]), |set, _| Set(vec![Set(vec![]), set]));
    let mut expected = b"\x80".to_vec();
    for _ in 0..120 {
        expected.splice(0..0, *b"\x82\x80");
    }
    assert_eq!(to_vec(&set).unwrap(), expected);
    let numbers = [3, 1, 2];
    assert_eq!(to_vec(&(unordered(&numbers[..]), [2, 1])).unwrap(), to_vec(&([1, 2, 3], [2, 1])).unwrap());
    assert_eq!(format!("{:?}", unordered(&numbers)), "Unordered([3, 1, 2])");
}

#[test]
fn sets_are_sorted_in_other_formats_inside_of_ours() {
    struct Written([u8; 2]);
    impl Serialize for Written {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&serde_json::to_string(&unordered(&self.0)).unwrap())
        }
    }
    let encoding = to_vec(&unordered(&[Written([4, 3]), Written([2, 1])])).unwrap();
    assert_eq!(encoding, b"\x82\x65[1,2]\x65[3,4]");
}

/// Types that take what they asked for and nothing else, as other formats hand it over.
#[test]
fn types_get_what_they_ask_for() {
    macro_rules! asks {
        ($($name:ident: $ask:ident => $visit:ident($type:ty);)+) => {$(
            #[derive(Debug, PartialEq, Serialize)]
            struct $name($type);
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Only;
                    impl de::Visitor<'_> for Only {
                        type Value = $name;
                        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                            f.write_str(stringify!($type))
                        }
                        fn $visit<E>(self, value: $type) -> Result<$name, E> {
                            Ok($name(value))
                        }
                    }
                    deserializer.$ask(Only)
                }
            }
        )+};
    }
    asks! {
        U64: deserialize_u64 => visit_u64(u64);
        I64: deserialize_i64 => visit_i64(i64);
        U128: deserialize_u128 => visit_u128(u128);
        I128: deserialize_i128 => visit_i128(i128);
        F32: deserialize_f32 => visit_f32(f32);
        F64: deserialize_f64 => visit_f64(f64);
        Char: deserialize_char => visit_char(char);
        Wide: deserialize_any => visit_i128(i128);
    }
    there_and_back([U64(0), U64(u64::MAX)]);
    there_and_back([I64(0), I64(-1), I64(i64::MAX), I64(i64::MIN)]);
    there_and_back([U128(0), U128(u128::MAX)]);
    there_and_back([I128(0), I128(-1), I128(i128::MAX), I128(i128::MIN), I128(-(1 << 64)), I128(1 << 64)]);
    there_and_back([F32(0.0), F32(0.1), F32(f32::MAX), F32(f32::NEG_INFINITY)]);
    assert!(from_slice::<F32>(&to_vec(&f32::NAN).unwrap()).unwrap().0.is_nan());
    there_and_back([F64(0.0), F64(0.1), F64(65_504.0)]);
    from_slice::<F32>(&to_vec(&0.1_f64).unwrap()).unwrap_err();
    there_and_back([Wide(i128::from(i64::MIN) - 1), Wide(-(1 << 64)), Wide(i128::MIN)]);
    there_and_back([Char('\0'), Char('😀')]);
    // What has become a number of another kind since then, where nothing is lost by it.
    assert_eq!(from_slice::<f64>(&to_vec(&7).unwrap()).unwrap(), 7.0);
    assert_eq!(from_slice::<u8>(&to_vec(&7_i128).unwrap()).unwrap(), 7);
    from_slice::<u8>(&to_vec(&-7).unwrap()).unwrap_err();
    from_slice::<u8>(&to_vec(&7.0).unwrap()).unwrap_err();
    from_slice::<i64>(&to_vec(&u64::MAX).unwrap()).unwrap_err();
    from_slice::<i64>(&to_vec(&(i128::from(i64::MIN) - 1)).unwrap()).unwrap_err();
}

#[test]
fn what_is_not_asked_for_is_passed_over() {
    #[derive(Serialize)]
    struct Before {
        old: Vec<(Option<u8>, BTreeMap<String, f64>)>,
        name: &'static str,
        wide: u128,
    }
    #[derive(Deserialize)]
    struct After {
        name: String,
        #[serde(default)]
        new: Option<u8>,
    }
    let old = (0..2_000).map(|index| (None, BTreeMap::from([(format!("key {index}"), 0.1)]))).collect();
    let after: After = from_slice(&to_vec(&Before { old, name: "x", wide: u128::MAX }).unwrap()).unwrap();
    assert_eq!((after.name.as_str(), after.new), ("x", None));
}

#[test]
fn errors_say_where_and_never_what() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Item<P> {
        price: P,
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum Order<P> {
        Of { items: Vec<Item<P>>, notes: BTreeMap<String, P> },
    }
    let order = |price: &str| {
        let items = vec![Item { price: "1".to_owned() }, Item { price: price.to_owned() }];
        to_vec(&Order::Of { items, notes: BTreeMap::new() }).unwrap()
    };
    let error = from_slice::<Order<u8>>(&order("secret")).unwrap_err().to_string();
    assert_eq!(error, "in `Of.items[0].price`: expected u8, found a text");
    let error = from_slice::<Order<char>>(&order("secret")).unwrap_err().to_string();
    assert_eq!(error, "in `Of.items[1].price`: expected a character, found another text");

    let notes = BTreeMap::from([("secret".to_owned(), 1000)]);
    let encoding = to_vec(&Order::Of { items: vec![], notes }).unwrap();
    let error = from_slice::<Order<u8>>(&encoding).unwrap_err().to_string();
    assert_eq!(error, "in `Of.notes[_]`: expected u8, found another integer");

    let encoding = to_vec(&vec![u128::MAX]).unwrap();
    let error = from_slice::<Vec<u64>>(&encoding).unwrap_err().to_string();
    assert_eq!(error, "in `[0]`: expected u64, found an integer of 128 bits");

    for (expected, encoding) in [
        ("expected struct Item, found an array", to_vec(&[1]).unwrap()),
        ("missing field `price`", to_vec(&json!({"cost": 1})).unwrap()),
        ("in `price`: expected u128, found a float", to_vec(&json!({"price": 0.5})).unwrap()),
        (
            "the bytes go on after the value",
            to_vec(&Item { price: 1 }).map(|bytes| [bytes, vec![0]].concat()).unwrap(),
        ),
        ("the bytes end before the value does", vec![0xa1]),
    ] {
        assert_eq!(from_slice::<Item<u128>>(&encoding).unwrap_err().to_string(), expected);
    }
    assert_eq!(
        from_slice::<(u8, u8)>(&to_vec(&[1, 2, 3]).unwrap()).unwrap_err().to_string(),
        "found more elements than expected"
    );

    let fails = by!(|_s| Err(serde::ser::Error::custom("the connection is closed")));
    let error =
        to_vec(&Order::Of { items: vec![Item { price: fails }], notes: BTreeMap::new() }).unwrap_err();
    assert_eq!(error.to_string(), "in `Of.items[0].price`: the connection is closed");
    fn shared<T: std::error::Error + Send + Sync + 'static>(_: T) {}
    shared(error);
}

#[test]
fn errors_say_which_kind_was_found() {
    for (encoding, kind) in [
        (to_vec(&7), "an integer"),
        (to_vec(&-7), "an integer"),
        (to_vec(&u128::MAX), "an integer"),
        (to_vec(&i128::MIN), "an integer"),
        (to_vec(&0.5), "a float"),
        (to_vec("secret"), "a text"),
        (to_vec(&by!(|s| s.serialize_bytes(b"secret"))), "a byte string"),
        (to_vec(&["secret"]), "an array"),
        (to_vec(&json!({"secret": 1})), "a map"),
        (to_vec(&()), "null"),
    ] {
        let error = from_slice::<bool>(&encoding.unwrap()).unwrap_err().to_string();
        assert_eq!(error, format!("expected a boolean, found {kind}"));
    }
    let error = from_slice::<u8>(&to_vec(&true).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "expected u8, found a boolean");
}

#[test]
fn a_variant_without_content_may_have_null_as_its_content() {
    #[derive(Debug, PartialEq, Deserialize)]
    enum Currency {
        Euro,
    }
    let read = |bytes: &[u8]| from_slice::<(Currency, u8)>(bytes);
    assert_eq!(read(b"\x82\x64Euro\x07").unwrap(), (Currency::Euro, 7));
    assert_eq!(read(b"\x82\xa1\x64Euro\xf6\x07").unwrap(), (Currency::Euro, 7));
    assert_eq!(
        read(b"\x82\xa1\x64Euro\x18\x18").unwrap_err().to_string(),
        "in `[0].Euro`: expected unit, found an integer"
    );
}

#[test]
fn a_part_that_failed_is_not_left_out() {
    // Who goes on after an error would make two values look alike that differ in what failed.
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let seq = by!(|s| {
        let mut seq = s.serialize_seq(None)?;
        let _ = seq.serialize_element(&Fails);
        seq.serialize_element(&1)?;
        seq.end()
    });
    let tuple = by!(|s| {
        let mut tuple = s.serialize_tuple(1)?;
        let _ = tuple.serialize_element(&[Fails]);
        tuple.end()
    });
    let fields = by!(|s| {
        let mut fields = s.serialize_struct("S", 1)?;
        let _ = fields.serialize_field("a", &Fails);
        fields.end()
    });
    let map = by!(|s| {
        let mut map = s.serialize_map(None)?;
        let _ = map.serialize_entry(&1, &Fails);
        map.end()
    });
    let key = by!(|s| {
        let mut map = s.serialize_map(None)?;
        let _ = map.serialize_key(&Fails);
        map.serialize_value(&1)?;
        map.end()
    });
    for error in
        [to_vec(&seq), to_vec(&tuple), to_vec(&fields), to_vec(&map), to_vec(&key)].map(Result::unwrap_err)
    {
        assert!(error.to_string().contains("`Serialize`"), "{error}");
    }
    let two_keys = by!(|s| {
        let mut map = s.serialize_map(None)?;
        map.serialize_key(&1)?;
        map.serialize_key(&2)?;
        map.end()
    });
    let no_key = by!(|s| {
        let mut map = s.serialize_map(None)?;
        map.serialize_value(&1)?;
        map.end()
    });
    let no_value = by!(|s| {
        let mut map = s.serialize_map(None)?;
        map.serialize_key(&1)?;
        map.end()
    });
    for error in [to_vec(&two_keys), to_vec(&no_key), to_vec(&no_value)].map(Result::unwrap_err) {
        assert!(error.to_string().contains("a key without a value"), "{error}");
    }
}

#[test]
fn encodings_can_be_appended() {
    let mut out = Vec::new();
    append(&1, &mut out).unwrap();
    append("a", &mut out).unwrap();
    append(&HashMap::from([("b", 1), ("a", 2)]), &mut out).unwrap();
    assert_eq!(out, b"\x01\x61a\xa2\x61a\x02\x61b\x01");
}
