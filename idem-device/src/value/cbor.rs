//! Any CBOR (RFC 8949), brought into the encoding that tokens are made of.
//!
//! Numbers and lengths may come longer than they need be, strings, arrays and maps in pieces of no given length, keys
//! in any order. What has no meaning in a call is refused: tags other than those of large integers, `undefined` and
//! other simple values, a key that is there twice.

use super::map::{self, Entry};
use super::{TOO_DEEP, TOO_LARGE, Unreadable, float, integer, text};

/// The encoding of the one value that the bytes hold.
pub(crate) fn to_cbor(bytes: &[u8], max_nesting: usize) -> Result<Vec<u8>, Unreadable> {
    let mut reader = Reader { bytes, at: 0, left: max_nesting, out: Vec::with_capacity(bytes.len()) };
    reader.value().map_err(|what| Unreadable { what, at: reader.at })?;
    if reader.at < bytes.len() {
        return Err(Unreadable { what: "something follows the value", at: reader.at });
    }
    Ok(reader.out)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How much deeper arrays and maps may nest.
    left: usize,
    out: Vec<u8>,
}

type Done<T = ()> = Result<T, &'static str>;

const ENDS: &str = "the bytes end before the value does";
const NOT_CBOR: &str = "not CBOR";
const BREAK: u8 = 0xff;

/// The number of a head; nothing for a length that is not given.
type Number = Option<u64>;

impl<'a> Reader<'a> {
    fn take(&mut self, len: u64) -> Done<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or(ENDS)?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Done<[u8; N]> {
        self.take(N as u64)?.try_into().map_err(|_| ENDS)
    }

    fn byte(&mut self) -> Done<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self, info: u8) -> Done<Number> {
        Ok(Some(match info {
            0..24 => u64::from(info),
            24 => u64::from(self.byte()?),
            25 => u64::from(u16::from_be_bytes(self.array()?)),
            26 => u64::from(u32::from_be_bytes(self.array()?)),
            27 => u64::from_be_bytes(self.array()?),
            31 => return Ok(None),
            _ => return Err(NOT_CBOR),
        }))
    }

    /// A number that must be given.
    fn given(&mut self, info: u8) -> Done<u64> {
        self.number(info)?.ok_or(NOT_CBOR)
    }

    fn value(&mut self) -> Done {
        let first = self.byte()?;
        let info = first & 0x1f;
        match first >> 5 {
            0 => {
                let n = self.given(info)?;
                integer(false, n.into(), &mut self.out)
            }
            1 => {
                let n = self.given(info)?;
                integer(true, n.into(), &mut self.out)
            }
            2 => {
                let mut pieces = Vec::new();
                let bytes = self.string(2, info, &mut pieces)?;
                idem::encoding::bytes_header(bytes.len(), &mut self.out);
                self.out.extend_from_slice(bytes);
                Ok(())
            }
            3 => {
                let mut pieces = Vec::new();
                let bytes = self.string(3, info, &mut pieces)?;
                text(std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8")?, &mut self.out);
                Ok(())
            }
            4 => self.nested(info, Self::elements),
            5 => self.nested(info, Self::entries),
            6 => self.bignum(info),
            _ => self.simple(info),
        }
    }

    /// A string of bytes or text, with its pieces put together.
    fn string<'s>(&mut self, major: u8, info: u8, pieces: &'s mut Vec<u8>) -> Done<&'s [u8]>
    where
        'a: 's,
    {
        if let Some(len) = self.number(info)? {
            return self.take(len);
        }
        loop {
            let first = self.byte()?;
            if first == BREAK {
                return Ok(pieces);
            }
            if first >> 5 != major {
                return Err(NOT_CBOR);
            }
            let len = self.given(first & 0x1f)?;
            let piece = self.take(len)?;
            // Each piece of a text is a text.
            if major == 3 && std::str::from_utf8(piece).is_err() {
                return Err("a text that is not UTF-8");
            }
            pieces.extend_from_slice(piece);
        }
    }

    fn nested(&mut self, info: u8, read: fn(&mut Self, Number) -> Done) -> Done {
        self.left = self.left.checked_sub(1).ok_or(TOO_DEEP)?;
        let count = self.number(info)?;
        read(self, count)?;
        self.left += 1;
        Ok(())
    }

    /// Whether another element follows after so many.
    fn more(&mut self, count: Number, read: usize) -> Done<bool> {
        match count {
            Some(count) => Ok((read as u64) < count),
            None if self.bytes.get(self.at) == Some(&BREAK) => {
                self.at += 1;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    fn elements(&mut self, count: Number) -> Done {
        let start = self.out.len();
        let mut read = 0;
        if let Some(known) = count.and_then(|count| usize::try_from(count).ok()) {
            idem::encoding::array_header(known, &mut self.out);
        }
        while self.more(count, read)? {
            self.value()?;
            read += 1;
        }
        if count.is_none() {
            let mut head = Vec::with_capacity(9);
            idem::encoding::array_header(read, &mut head);
            self.out.splice(start..start, head);
        }
        Ok(())
    }

    fn entries(&mut self, count: Number) -> Done {
        let start = self.out.len();
        let mut entries = Vec::new();
        while self.more(count, entries.len())? {
            let begin = self.out.len();
            self.value()?;
            let key_end = self.out.len();
            self.value()?;
            entries.push(Entry { start: begin, key_end, end: self.out.len() });
        }
        map::finish(start, entries, &mut self.out)
    }

    fn bignum(&mut self, info: u8) -> Done {
        let tag = self.given(info)?;
        if tag != 2 && tag != 3 {
            return Err("a tag without a meaning here: a date or the like is sent as text");
        }
        let first = self.byte()?;
        if first >> 5 != 2 {
            return Err(NOT_CBOR);
        }
        let mut pieces = Vec::new();
        let digits = self.string(2, first & 0x1f, &mut pieces)?;
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        let digits = &digits[zeros..];
        if digits.len() > 16 {
            return Err(TOO_LARGE);
        }
        let n = digits.iter().fold(0_u128, |n, digit| n << 8 | u128::from(*digit));
        integer(tag == 3, n, &mut self.out)
    }

    fn simple(&mut self, info: u8) -> Done {
        match info {
            20..=22 => self.out.push(0xe0 | info),
            25 => {
                let [high, low] = self.array()?;
                // The shortest form already, but for NaN.
                let half = idem::encoding::from_slice::<f64>(&[0xf9, high, low]);
                float(half.unwrap_or(f64::NAN), &mut self.out);
            }
            26 => {
                let number = f32::from_be_bytes(self.array()?);
                float(number.into(), &mut self.out);
            }
            27 => {
                let number = f64::from_be_bytes(self.array()?);
                float(number, &mut self.out);
            }
            _ => return Err("a simple value other than false, true and null"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::to_cbor;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn hex(cbor: &str) -> String {
        to_cbor(&bytes(cbor), 128).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn what_is_longer_than_it_need_be_is_made_short() {
        for (cbor, expected) in [
            ("1b0000000000000007", "07"),
            ("3900ff", "38ff"),
            ("c2420100", "190100"),
            ("c25100ffffffffffffffffffffffffffffffff", "c250ffffffffffffffffffffffffffffffff"),
            ("c34100", "20"),
            ("5f42010243030405ff", "450102030405"),
            ("7f61616162ff", "626162"),
            ("9f0102ff", "820102"),
            ("9f9fffff", "8180"),
            ("bf616201616102ff", "a2616102616201"),
            ("b90001616101", "a1616101"),
            ("fb3ff0000000000000", "f93c00"),
            ("fa7fc00001", "f97e00"),
            ("f97e01", "f97e00"),
            ("fb3fb999999999999a", "fb3fb999999999999a"),
            ("f90001", "f90001"),
            ("83f4f5f6", "83f4f5f6"),
        ] {
            assert_eq!(hex(cbor), expected, "{cbor}");
        }
    }

    #[test]
    fn what_is_refused() {
        for cbor in [
            "",
            "18",
            "1c",
            "1f",
            "ff",
            "5f6161ff",
            "5f42",
            "7f5f41ffffff",
            "61ff",
            "7f61ff61ffff",
            "9b00ffffffffffffff",
            "5bffffffffffffffff",
            "bbffffffffffffffff",
            "9f",
            "bf61",
            "bf6161ff",
            "a2616101616102",
            "a1f97e00",
            "c100",
            "c2",
            "c26161",
            "c25101000000000000000000000000000000ff",
            "c35080000000000000000000000000000000",
            "f7",
            "e0",
            "f8ff",
            "0000",
        ] {
            assert!(to_cbor(&bytes(cbor), 128).is_err(), "{cbor}");
        }
        for byte in [0x81, 0x9f, 0xa1] {
            assert!(to_cbor(&vec![byte; 100_000], 128).unwrap_err().what.contains("deeper"));
        }
    }

    #[test]
    fn what_json_gives_stays_as_it_is() {
        let json =
            r#"{"a":[1,-1,1.5,"ö",null,true,{"z":1,"bb":2}],"n":340282366920938463463374607431768211455}"#;
        let cbor = json::to_cbor(json.as_bytes(), 128).unwrap();
        assert_eq!(to_cbor(&cbor, 128).unwrap(), cbor);
    }
}
