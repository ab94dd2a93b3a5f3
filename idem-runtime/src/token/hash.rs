//! SHA-256 of what lies in one buffer.

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};

const BLOCK: usize = 64;

/// Up to so many bytes the blocks are taken from the buffer itself, instead of being copied through the hasher's
/// own: half of what the hash of a short encoding would cost.
const SHORT: usize = 4096;

/// The state before the first block (FIPS 180-4, section 5.3.3).
const BEGIN: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The SHA-256 of `bytes`, which are padded in place.
#[inline]
pub(crate) fn sha256(bytes: &mut Vec<u8>) -> [u8; 32] {
    if bytes.len() > SHORT {
        return Sha256::digest(bytes).into();
    }
    // A one, zeros up to the end of a block, and in its last 8 bytes the length in bits (section 5.1.1).
    let bits = 8 * bytes.len() as u64;
    let padded = (bytes.len() + 1 + 8).next_multiple_of(BLOCK);
    bytes.push(0x80);
    bytes.resize(padded - 8, 0);
    bytes.extend_from_slice(&bits.to_be_bytes());
    let mut state = BEGIN;
    for block in bytes.chunks_exact(BLOCK) {
        let block: &[u8; BLOCK] = block.try_into().expect("a chunk is a block");
        compress256(&mut state, std::slice::from_ref(block));
    }
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::{SHORT, sha256};

    #[test]
    fn it_is_the_sha_256_of_every_length() {
        for length in (0..300).chain(SHORT - 70..SHORT + 70) {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + length) as u8).collect();
            let expected: [u8; 32] = Sha256::digest(&bytes).into();
            assert_eq!(sha256(&mut bytes.clone()), expected, "{length} bytes");
        }
    }
}
