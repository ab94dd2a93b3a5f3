//! What one would write instead, for the same function.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use cached::macros::cached;
use sha2::{Digest as _, Sha256};

use crate::subject::{self, receipt};

/// What stands in front of the arguments in the token's encoding: array of 4, `idem/1`, no scope, the name, and
/// the array of the values.
const FRONT: &[u8] = b"\x84\x66idem/1\x60\x6dorders.charge\x82";

/// The token's encoding, written by hand for these two arguments.
#[inline]
pub fn encode(order: u64, who: &str, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(FRONT);
    // What `subject::arguments` gives lies in these ranges.
    out.push(0x1a);
    out.extend_from_slice(&(order as u32).to_be_bytes());
    out.push(0x60 | who.len() as u8);
    out.extend_from_slice(who.as_bytes());
}

/// By hand: a map in a mutex, under the SHA-256 of the same bytes, with encoded results.
#[derive(Default)]
pub struct ByHand(Mutex<HashMap<[u8; 32], Vec<u8>>>);

impl ByHand {
    #[inline]
    pub fn charge(&self, order: u64, who: &str, buffer: &mut Vec<u8>) -> Result<u64, idem::Error> {
        encode(order, who, buffer);
        let token: [u8; 32] = Sha256::digest(&buffer).into();
        let found = self.0.lock().expect("nobody panics").get(&token).cloned();
        if let Some(bytes) = found {
            return Ok(idem::encoding::from_slice(&bytes).expect("what was encoded"));
        }
        let value = receipt(order, who);
        let bytes = idem::encoding::to_vec(&value).expect("a number can be encoded");
        self.0.lock().expect("nobody panics").insert(token, bytes);
        Ok(value)
    }
}

/// The same, with the results as they are: nothing is encoded, nothing allocated.
#[derive(Default)]
pub struct ByHandPlain(Mutex<HashMap<[u8; 32], u64>>);

impl ByHandPlain {
    #[inline]
    pub fn charge(&self, order: u64, who: &str, buffer: &mut Vec<u8>) -> Result<u64, idem::Error> {
        encode(order, who, buffer);
        let token: [u8; 32] = Sha256::digest(&buffer).into();
        let found = self.0.lock().expect("nobody panics").get(&token).copied();
        if let Some(value) = found {
            return Ok(value);
        }
        let value = receipt(order, who);
        self.0.lock().expect("nobody panics").insert(token, value);
        Ok(value)
    }
}

/// `#[cached]`, whose keys own their text.
#[cached(ttl_secs = 86_400, key = "(u64, String)", convert = r#"{ (order, who.to_owned()) }"#)]
pub async fn cached_owned(order: u64, who: &str) -> Result<u64, String> {
    Ok(receipt(order, who))
}

/// `#[cached]` at its best: nothing is allocated for a key.
#[cached(ttl_secs = 86_400)]
pub async fn cached_static(order: u64, who: &'static str) -> Result<u64, String> {
    Ok(receipt(order, who))
}

/// `moka`, with a ttl.
pub static MOKA: LazyLock<moka::sync::Cache<(u64, &'static str), u64>> = LazyLock::new(|| {
    moka::sync::Cache::builder().max_capacity(100_000_000).time_to_live(Duration::from_secs(86_400)).build()
});

pub static BY_HAND: LazyLock<ByHand> = LazyLock::new(ByHand::default);
pub static BY_HAND_PLAIN: LazyLock<ByHandPlain> = LazyLock::new(ByHandPlain::default);

/// One call of each variant, in the order of [`NAMES`].
pub const NAMES: [&str; 6] = [
    "idem",
    "by hand, encoded results",
    "by hand, plain results",
    "`#[cached]`, `String` key",
    "`#[cached]`, `&'static str` key",
    "`moka`",
];

/// Makes sure that the variants hash the same bytes.
pub fn check() {
    let (order, who) = subject::arguments(0);
    let mut bytes = Vec::new();
    encode(order, who, &mut bytes);
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    let token = idem::call(subject::NAME).arg(&order).arg(who).token().expect("a token");
    assert_eq!(token.as_bytes(), &hash, "not the same bytes");
}
