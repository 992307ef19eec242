//! Keys from the secret, and the positions of a token in the filter. BLAKE2b with a salt and HMAC-MD5 are not in
//! ring; they come from the RustCrypto crates.

use blake2::Blake2bMac512;
use blake2::digest::Mac;
use hmac::Hmac;
use md5::Md5;
use ring::{hkdf, hmac as ring_hmac};
use zeroize::Zeroizing;

use super::schema::Kdf;

/// Positions that one BLAKE2b digest gives.
const PER_DIGEST: usize = 32;
/// Longest key that BLAKE2b takes, in bytes.
pub(super) const MOST_BLAKE_KEY: usize = 64;

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Two keys for each feature, one behind the other; ignored features count. None if HKDF (RFC 5869) cannot give so
/// many bytes.
pub(super) fn derive(kdf: &Kdf, secret: &[u8], features: usize) -> Option<Zeroizing<Vec<u8>>> {
    let algorithm = if kdf.sha512 { hkdf::HKDF_SHA512 } else { hkdf::HKDF_SHA256 };
    let length = features.checked_mul(2)?.checked_mul(kdf.key_bytes)?;
    let longest = 255 * if kdf.sha512 { 64 } else { 32 };
    if length > longest {
        return None;
    }
    let mut keys = Zeroizing::new(vec![0; length]);
    let info = [kdf.info.as_slice()];
    let pseudorandom = hkdf::Salt::new(algorithm, &kdf.salt).extract(secret);
    pseudorandom.expand(&info, Length(length)).and_then(|okm| okm.fill(&mut keys)).ok()?;
    Some(keys)
}

/// A feature's keyed hash functions.
pub(super) enum Hasher {
    /// The filter's length is a power of two.
    Blake { key: Zeroizing<Vec<u8>> },
    /// Double hashing: HMAC-SHA-1 and HMAC-MD5.
    Double { sha1: ring_hmac::Key, md5: Box<Hmac<Md5>>, prevent_singularity: bool },
}

impl Hasher {
    pub(super) fn blake(key: &[u8]) -> Self {
        Self::Blake { key: Zeroizing::new(key.to_vec()) }
    }

    pub(super) fn double(key0: &[u8], key1: &[u8], prevent_singularity: bool) -> Self {
        Self::Double {
            sha1: ring_hmac::Key::new(ring_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key0),
            md5: Box::new(Hmac::new_from_slice(key1).expect("HMAC takes a key of any length")),
            prevent_singularity,
        }
    }

    /// The first `count` or more positions of a token, or start and step of double hashing.
    pub(super) fn positions(&self, token: &[u8], count: usize, bits: usize) -> Vec<u32> {
        match self {
            Self::Blake { key } => {
                let digests = (0..count.div_ceil(PER_DIGEST)).map(|block| blake(key, block, token));
                // The 16-bit words are little-endian. Their remainder, because that is what clkhash takes.
                let words = |digest: [u8; 64]| {
                    digest.as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word)).collect::<Vec<_>>()
                };
                digests.flat_map(words).map(|word| (usize::from(word) % bits) as u32).collect()
            }
            Self::Double { sha1, md5, prevent_singularity } => {
                let start = remainder(ring_hmac::sign(sha1, token).as_ref(), bits);
                let mut step = md5_of(md5, token, "", bits);
                let mut extra = 0_u32;
                while *prevent_singularity && step == 0 {
                    // Python's chr(n) in UTF-8, which has no surrogates.
                    let sign = char::from_u32(extra).unwrap_or(char::REPLACEMENT_CHARACTER);
                    step = md5_of(md5, token, sign.encode_utf8(&mut [0; 4]), bits);
                    extra += 1;
                }
                vec![start, step]
            }
        }
    }
}

/// BLAKE2b-512 of a token, keyed, with the block's number in decimal as salt.
fn blake(key: &[u8], block: usize, token: &[u8]) -> [u8; 64] {
    let salt = block.to_string();
    let mac = Blake2bMac512::new_with_salt_and_personal(key, salt.as_bytes(), &[]);
    let mut mac = mac.expect("keys are checked to have at most 64 bytes, and a number of 20 bits has few digits");
    mac.update(token);
    mac.finalize().into_bytes().into()
}

fn md5_of(key: &Hmac<Md5>, token: &[u8], extra: &str, bits: usize) -> u32 {
    let mut mac = key.clone();
    mac.update(token);
    mac.update(extra.as_bytes());
    remainder(&mac.finalize().into_bytes(), bits)
}

/// A big-endian integer modulo the filter's length, which has at most 24 bits.
fn remainder(digest: &[u8], bits: usize) -> u32 {
    digest.iter().fold(0, |rest: u64, byte| (rest << 8 | u64::from(*byte)) % bits as u64) as u32
}
