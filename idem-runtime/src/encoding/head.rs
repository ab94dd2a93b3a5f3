//! The first bytes of an item: its kind, and a number, in the shortest form.

pub(super) const UNSIGNED: u8 = 0x00;
pub(super) const NEGATIVE: u8 = 0x20;
pub(super) const BYTES: u8 = 0x40;
pub(super) const TEXT: u8 = 0x60;
pub(super) const ARRAY: u8 = 0x80;
pub(super) const MAP: u8 = 0xa0;
pub(super) const TAG: u8 = 0xc0;
pub(super) const FALSE: u8 = 0xf4;
pub(super) const TRUE: u8 = 0xf5;
pub(super) const NULL: u8 = 0xf6;
pub(super) const HALF: u8 = 0xf9;
pub(super) const SINGLE: u8 = 0xfa;
pub(super) const DOUBLE: u8 = 0xfb;

/// An array of one element, with which the rule for `Some` works.
pub(super) const ARRAY_OF_ONE: u8 = ARRAY | 1;

/// The tag of an unsigned integer beyond 64 bits.
pub(super) const POSITIVE_BIGNUM: u64 = 2;
/// The tag of a negative integer beyond 64 bits.
pub(super) const NEGATIVE_BIGNUM: u64 = 3;

/// Appends the head of a text of `len` bytes.
#[inline]
pub fn text_header(len: usize, out: &mut Vec<u8>) {
    write(TEXT, len as u64, out);
}

/// Appends the head of a byte string of `len` bytes.
#[inline]
pub fn bytes_header(len: usize, out: &mut Vec<u8>) {
    write(BYTES, len as u64, out);
}

/// Appends the head of an array of `len` elements, which follow.
#[inline]
pub fn array_header(len: usize, out: &mut Vec<u8>) {
    write(ARRAY, len as u64, out);
}

/// Appends the head of a map of `len` entries, which follow: each a key and its value, in the order of the keys.
#[inline]
pub fn map_header(len: usize, out: &mut Vec<u8>) {
    write(MAP, len as u64, out);
}

/// Appends the head of an item.
#[inline]
pub(super) fn write(kind: u8, number: u64, out: &mut Vec<u8>) {
    if number < 24 {
        out.push(kind | number as u8);
    } else {
        write_long(kind, number, out);
    }
}

fn write_long(kind: u8, number: u64, out: &mut Vec<u8>) {
    let n = number.to_be_bytes();
    match number {
        0..=0xff => out.extend_from_slice(&[kind | 24, n[7]]),
        0x100..=0xffff => out.extend_from_slice(&[kind | 25, n[6], n[7]]),
        0x1_0000..=0xffff_ffff => {
            out.extend_from_slice(&[kind | 26, n[4], n[5], n[6], n[7]]);
        }
        _ => out.extend_from_slice(&[kind | 27, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]]),
    }
}

/// Puts right a head that was written before its number was known.
#[inline]
pub(super) fn correct(kind: u8, at: usize, written: usize, right: usize, out: &mut Vec<u8>) {
    if written != right {
        rewrite(kind, at, written as u64, right as u64, out);
    }
}

#[cold]
fn rewrite(kind: u8, at: usize, written: u64, right: u64, out: &mut Vec<u8>) {
    out.drain(at..at + len(written));
    write(kind, right, out);
    out[at..].rotate_right(len(right));
}

fn len(number: u64) -> usize {
    match number {
        0..24 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}
