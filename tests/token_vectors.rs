//! The encodings and tokens of `vectors/tokens.json`, which were not made by this library: any language that
//! follows RFC 8949 and the rules of the token makes the same ones.

use std::path::Path;
use std::process::Command;

use idem::Token;
use idem::encoding::{append, to_vec};
use serde::ser::{
    Error as _, Serialize, SerializeMap as _, SerializeSeq as _, SerializeStruct as _,
    SerializeStructVariant as _, SerializeTuple as _, SerializeTupleStruct as _, SerializeTupleVariant as _,
    Serializer,
};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/tokens.json")).expect("tokens.json is JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = text(hex);
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits"))
        .collect()
}

/// The names of a type live as long as the program.
fn name(value: &Value) -> &'static str {
    text(value).to_owned().leak()
}

/// A value in the file's notation, which serializes as the value that it describes does.
#[derive(Clone, Copy)]
struct Described<'a> {
    value: &'a Value,
    /// Whether sequences and maps say beforehand how long they are.
    lengths: bool,
}

impl<'a> Described<'a> {
    fn known(value: &'a Value) -> Self {
        Described { value, lengths: true }
    }

    fn part(self, value: &'a Value) -> Self {
        Described { value, ..self }
    }

    fn parts(self, values: &'a Value) -> impl ExactSizeIterator<Item = Self> {
        list(values).iter().map(move |value| self.part(value))
    }

    fn pairs(self, pairs: &'a Value) -> impl ExactSizeIterator<Item = (&'a Value, Self)> {
        list(pairs).iter().map(move |pair| (&pair[0], self.part(&pair[1])))
    }

    fn length(self, length: usize) -> Option<usize> {
        self.lengths.then_some(length)
    }
}

/// So many arrays of one element around a value.
struct Nested<'a>(u64, Described<'a>);

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 0 {
            return self.1.serialize(serializer);
        }
        let mut array = serializer.serialize_tuple(1)?;
        array.serialize_element(&Nested(self.0 - 1, self.1))?;
        array.end()
    }
}

impl Serialize for Described<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (kind, what) = self.value.as_object().and_then(|value| value.iter().next()).expect("one kind");
        macro_rules! number {
            () => {
                text(what).parse().expect("an integer")
            };
        }
        match kind.as_str() {
            "bool" => s.serialize_bool(what.as_bool().expect("a boolean")),
            "u8" => s.serialize_u8(number!()),
            "u16" => s.serialize_u16(number!()),
            "u32" => s.serialize_u32(number!()),
            "u64" => s.serialize_u64(number!()),
            "u128" => s.serialize_u128(number!()),
            "i8" => s.serialize_i8(number!()),
            "i16" => s.serialize_i16(number!()),
            "i32" => s.serialize_i32(number!()),
            "i64" => s.serialize_i64(number!()),
            "i128" => s.serialize_i128(number!()),
            "f32" => s.serialize_f32(f32::from_be_bytes(bytes(what).try_into().expect("four bytes"))),
            "f64" => s.serialize_f64(f64::from_be_bytes(bytes(what).try_into().expect("eight bytes"))),
            "char" => s.serialize_char(text(what).parse().expect("one character")),
            "str" => s.serialize_str(text(what)),
            "bytes" => s.serialize_bytes(&bytes(what)),
            "none" => s.serialize_none(),
            "some" => s.serialize_some(&self.part(what)),
            "unit" => s.serialize_unit(),
            "unit_struct" => s.serialize_unit_struct(name(what)),
            "newtype_struct" => s.serialize_newtype_struct(name(&what[0]), &self.part(&what[1])),
            "seq" => {
                let mut seq = s.serialize_seq(self.length(list(what).len()))?;
                for element in self.parts(what) {
                    seq.serialize_element(&element)?;
                }
                seq.end()
            }
            "tuple" => {
                let mut tuple = s.serialize_tuple(list(what).len())?;
                for element in self.parts(what) {
                    tuple.serialize_element(&element)?;
                }
                tuple.end()
            }
            "tuple_struct" => {
                let mut tuple = s.serialize_tuple_struct(name(&what[0]), list(&what[1]).len())?;
                for element in self.parts(&what[1]) {
                    tuple.serialize_field(&element)?;
                }
                tuple.end()
            }
            "nested" => Nested(what[0].as_u64().expect("a number"), self.part(&what[1])).serialize(s),
            "unordered" => idem::unordered(&self.parts(what).collect::<Vec<_>>()).serialize(s),
            "map" => {
                let mut map = s.serialize_map(self.length(list(what).len()))?;
                for (key, value) in self.pairs(what) {
                    map.serialize_entry(&self.part(key), &value)?;
                }
                map.end()
            }
            "struct" => {
                let mut fields = s.serialize_struct(name(&what[0]), list(&what[1]).len())?;
                for (field, value) in self.pairs(&what[1]) {
                    fields.serialize_field(name(field), &value)?;
                }
                fields.end()
            }
            "unit_variant" => s.serialize_unit_variant(name(&what[0]), 0, name(&what[1])),
            "newtype_variant" => {
                s.serialize_newtype_variant(name(&what[0]), 0, name(&what[1]), &self.part(&what[2]))
            }
            "tuple_variant" => {
                let length = list(&what[2]).len();
                let mut tuple = s.serialize_tuple_variant(name(&what[0]), 0, name(&what[1]), length)?;
                for element in self.parts(&what[2]) {
                    tuple.serialize_field(&element)?;
                }
                tuple.end()
            }
            "struct_variant" => {
                let length = list(&what[2]).len();
                let mut fields = s.serialize_struct_variant(name(&what[0]), 0, name(&what[1]), length)?;
                for (field, value) in self.pairs(&what[2]) {
                    fields.serialize_field(name(field), &value)?;
                }
                fields.end()
            }
            unknown => Err(S::Error::custom(format!("the notation has no `{unknown}`"))),
        }
    }
}

/// The arguments as one array, as `Token::of` takes them.
fn array(arguments: &[Described]) -> Vec<u8> {
    let mut bytes = to_vec(&vec![(); arguments.len()]).expect("an encoding");
    bytes.truncate(bytes.len() - arguments.len());
    for argument in arguments {
        append(argument, &mut bytes).expect("an encoding");
    }
    bytes
}

#[test]
fn every_vector_has_its_encoding_and_its_token() {
    let file = vectors();
    let vectors = list(&file["vectors"]);
    assert!(vectors.len() >= 300, "only {} vectors", vectors.len());
    for vector in vectors {
        let (title, scope, function) = (&vector["name"], text(&vector["scope"]), text(&vector["function"]));
        for lengths in [true, false] {
            let arguments: Vec<_> =
                list(&vector["arguments"]).iter().map(|value| Described { value, lengths }).collect();
            let array = array(&arguments);
            assert_eq!(
                hex(&Token::encoding(scope, function, &array)),
                text(&vector["encoding"]),
                "encoding of {title}, lengths known: {lengths}"
            );
            let token = Token::of(scope, function, &array).to_string();
            assert_eq!(token, text(&vector["token"]), "token of {title}, of its parts");

            let call = idem::call(function.to_owned()).scope(scope);
            let call = arguments.iter().fold(call, |call, argument| call.arg(argument));
            let token = call.token().expect("a token").to_string();
            assert_eq!(token, text(&vector["token"]), "token of {title}, lengths known: {lengths}");
        }
    }
}

#[test]
fn values_without_an_encoding_are_refused() {
    let file = vectors();
    assert!(!list(&file["refused"]).is_empty());
    for vector in list(&file["refused"]) {
        let title = &vector["name"];
        let value = Described::known(&vector["value"]);
        let encoded = to_vec(&value).map(|encoding| hex(&encoding));
        assert!(encoded.is_err(), "{title} has the encoding {encoded:?}");
        let token = idem::call("vectors.one").arg(&value).token();
        assert!(matches!(token, Err(idem::Error::Encode { .. })), "{title} has the token {token:?}");
    }
}

#[test]
fn the_vector_of_the_description() {
    let token = idem::call("shop::charge(order_id: u64, who: String)").arg(&7_u64).arg("ann").token();
    let expected = "6be7b1e2193e236149ff6cb471d5b6d8131c45089e0bf98b550542557eb716fe";
    assert_eq!(token.expect("a token").to_string(), expected);
}

#[test]
fn the_file_is_what_the_script_makes() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/make.py");
    match Command::new("python3").arg(script).arg("--check").output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("SKIPPED: python3 cannot be run here ({error}); tokens.json is not checked"),
    }
}
