//! JSON, read as the token's rules say.
//!
//! A number without fraction and exponent is an integer, up to 128 bits (`-0` is 0), any other one a float. A key that
//! is there twice, half of a surrogate pair, and a float that no 64 bits hold are refused: two texts that mean
//! different things must not become one value. (`serde_json` would keep the last of two keys, and large integers as
//! floats.)

use super::map::{self, Entry};
use super::{TOO_DEEP, TOO_LARGE, Unreadable, float, integer, text};

/// The encoding of the one value that the bytes hold.
pub(crate) fn to_cbor(json: &[u8], max_nesting: usize) -> Result<Vec<u8>, Unreadable> {
    let text = std::str::from_utf8(json)
        .map_err(|error| Unreadable { what: "the text is not UTF-8", at: error.valid_up_to() })?;
    let mut reader = Reader {
        text,
        at: 0,
        left: max_nesting,
        out: Vec::with_capacity(text.len()),
        scratch: String::new(),
    };
    reader.space();
    reader.value().map_err(|what| Unreadable { what, at: reader.at })?;
    reader.space();
    if reader.at < text.len() {
        return Err(Unreadable { what: "something follows the value", at: reader.at });
    }
    Ok(reader.out)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// How much deeper arrays and maps may nest.
    left: usize,
    out: Vec<u8>,
    scratch: String,
}

type Done<T = ()> = Result<T, &'static str>;

const ENDS: &str = "the text ends before the value does";

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn peek(&self) -> Done<u8> {
        self.rest().first().copied().ok_or(ENDS)
    }

    fn space(&mut self) {
        let blank = self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blank.count();
    }

    /// Goes past this byte, if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let is = self.rest().first() == Some(&byte);
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, word: &str, encoding: u8) -> Done {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err("a value is expected: an object, an array, a string, a number, true, false or null");
        }
        self.at += word.len();
        self.out.push(encoding);
        Ok(())
    }

    fn value(&mut self) -> Done {
        match self.peek()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => {
                self.string()?;
                text(&self.scratch, &mut self.out);
                Ok(())
            }
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true", 0xf5),
            b'f' => self.word("false", 0xf4),
            _ => self.word("null", 0xf6),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Done) -> Done {
        self.left = self.left.checked_sub(1).ok_or(TOO_DEEP)?;
        self.at += 1;
        self.space();
        read(self)?;
        self.left += 1;
        Ok(())
    }

    fn array(&mut self) -> Done {
        let start = self.out.len();
        let mut count = 0;
        if !self.eat(b']') {
            loop {
                self.value()?;
                count += 1;
                self.space();
                if self.eat(b']') {
                    break;
                }
                self.comma()?;
            }
        }
        // Most arrays are short, and their head is the one byte that is put before them.
        let mut head = Vec::with_capacity(9);
        idem::encoding::array_header(count, &mut head);
        self.out.splice(start..start, head);
        Ok(())
    }

    fn object(&mut self) -> Done {
        let start = self.out.len();
        let mut entries = Vec::new();
        if !self.eat(b'}') {
            loop {
                if self.peek()? != b'"' {
                    return Err("a key in quotation marks is expected");
                }
                let begin = self.out.len();
                self.string()?;
                text(&self.scratch, &mut self.out);
                let key_end = self.out.len();
                self.space();
                if !self.eat(b':') {
                    return Err("`:` is expected after a key");
                }
                self.space();
                self.value()?;
                entries.push(Entry { start: begin, key_end, end: self.out.len() });
                self.space();
                if self.eat(b'}') {
                    break;
                }
                self.comma()?;
            }
        }
        map::finish(start, entries, &mut self.out)
    }

    fn comma(&mut self) -> Done {
        self.peek()?;
        if !self.eat(b',') {
            return Err("`,` or the end is expected after a value");
        }
        self.space();
        Ok(())
    }

    fn digits(&mut self) -> Done {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err("a digit is expected") } else { Ok(()) }
    }

    fn number(&mut self) -> Done {
        let start = self.at;
        let negative = self.eat(b'-');
        let first = self.at;
        self.digits()?;
        if self.at - first > 1 && self.text.as_bytes()[first] == b'0' {
            self.at = first;
            return Err("a number does not begin with 0");
        }
        let mut whole = true;
        if self.eat(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            whole = false;
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let text = self.text;
        if whole {
            let number: u128 = text[first..self.at].parse().map_err(|_| TOO_LARGE)?;
            return match number.checked_sub(1) {
                Some(less) if negative => integer(true, less, &mut self.out),
                _ => integer(false, number, &mut self.out),
            };
        }
        let number: f64 = text[start..self.at].parse().map_err(|_| "a number is expected")?;
        if number.is_infinite() {
            return Err("a float beyond 64 bits");
        }
        float(number, &mut self.out);
        Ok(())
    }

    /// Reads a string into `scratch`.
    fn string(&mut self) -> Done {
        self.at += 1;
        self.scratch.clear();
        loop {
            let plain =
                self.rest().iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).ok_or(ENDS)?;
            let text = self.text;
            self.scratch.push_str(&text[self.at..self.at + plain]);
            self.at += plain;
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    let char = self.escape()?;
                    self.scratch.push(char);
                }
                _ => return Err("a control character in a string: write it as `\\u00…`"),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Done<char> {
        let escaped = self.peek()?;
        let char = match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err("an unknown escape in a string"),
        };
        self.at += 1;
        Ok(char)
    }

    fn unicode(&mut self) -> Done<char> {
        const HALF: &str = "half of a surrogate pair, which is no character";
        let first = self.four()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !(self.eat(b'\\') && self.eat(b'u')) {
                    return Err(HALF);
                }
                match self.four()? {
                    second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => return Err(HALF),
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or(HALF)
    }

    fn four(&mut self) -> Done<u32> {
        let digits = self.rest().get(..4).ok_or(ENDS)?;
        let mut code = 0;
        for &digit in digits {
            let digit =
                char::from(digit).to_digit(16).ok_or("four hexadecimal digits are expected after `\\u`")?;
            code = code << 4 | digit;
        }
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::to_cbor;

    fn hex(json: &str) -> String {
        to_cbor(json.as_bytes(), 128).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn refused(json: &str) -> String {
        to_cbor(json.as_bytes(), 128).unwrap_err().to_string()
    }

    #[test]
    fn numbers() {
        for (json, expected) in [
            ("0", "00"),
            ("-0", "00"),
            ("-1", "20"),
            ("23", "17"),
            ("24", "1818"),
            ("18446744073709551615", "1bffffffffffffffff"),
            ("18446744073709551616", "c249010000000000000000"),
            ("-18446744073709551616", "3bffffffffffffffff"),
            ("-18446744073709551617", "c349010000000000000000"),
            ("340282366920938463463374607431768211455", "c250ffffffffffffffffffffffffffffffff"),
            ("1.0", "f93c00"),
            ("-0.0", "f98000"),
            ("1e2", "f95640"),
            ("0.1", "fb3fb999999999999a"),
            ("1E-400", "f90000"),
        ] {
            assert_eq!(hex(json), expected, "{json}");
        }
        assert!(refused("340282366920938463463374607431768211456").contains("128 bits"));
        assert!(refused("-170141183460469231731687303715884105729").contains("128 bits"));
        assert!(refused("1e999").contains("64 bits"));
        for json in ["01", "-", "1.", ".5", "1e", "+1", "0x1", "NaN", "-Infinity", "1.e1"] {
            assert!(to_cbor(json.as_bytes(), 128).is_err(), "{json}");
        }
    }

    #[test]
    fn texts() {
        assert_eq!(hex(r#""\u00e9\ud83d\ude00\n\/""#), "68c3a9f09f98800a2f");
        assert_eq!(hex("\"ö\u{7f}\""), "63c3b67f");
        for json in [r#""\ud800""#, r#""\ud800x""#, r#""\ud800\u0041""#, r#""\udc00""#] {
            assert!(refused(json).contains("surrogate"), "{json}");
        }
        for json in ["\"\n\"", "\"", r#""\x""#, r#""\u12"#, r#""\u00g0""#] {
            assert!(to_cbor(json.as_bytes(), 128).is_err(), "{json}");
        }
        assert_eq!(to_cbor(b"\"\xff\"", 128).unwrap_err().to_string(), "the text is not UTF-8 (at byte 1)");
    }

    #[test]
    fn maps_are_sorted_by_the_encoding_of_their_keys() {
        assert_eq!(hex(r#"{"bb":1,"a":2,"c":{}}"#), "a36161026163a062626201");
        assert!(refused(r#"{"a":1,"\u0061":2}"#).contains("same key twice"));
        for json in
            ["{", "{a:1}", "{\"a\"}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "[1,]", "[1 2]", "[", "[]]", ""]
        {
            assert!(to_cbor(json.as_bytes(), 128).is_err(), "{json}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(to_cbor(nested(128).as_bytes(), 128).is_ok());
        assert!(refused(&nested(129)).contains("deeper"));
        assert!(refused(&"[".repeat(1_000_000)).contains("deeper"));
    }
}
