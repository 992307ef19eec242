//! Every key of an epoch from its salt, and the two functions that turn keys into bits: HMAC-SHA-256 gives a token its
//! 96 bits, and AES-256 in counter mode (NIST SP 800-38A) draws as many numbers from them as are wanted. HKDF and HMAC
//! are `ring`'s; AES is RustCrypto's, because `ring` has no cipher without a tag.

use std::num::NonZeroU128;

use aes::Aes256Enc;
pub(super) use aes::Block;
use aes::cipher::{BlockEncrypt, KeyInit};
use ring::digest::{self, Digest, SHA256};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::hmac::{self, HMAC_SHA256, Key, sign};

use crate::ids::EpochId;
use crate::profile::{Pass, Profile};

/// The keys that belong to no pass.
pub(super) struct Keys {
    pub(super) address_token: Key,
    pub(super) household_token: Key,
    /// Of the tokens that names and dates are cut into.
    pub(super) token: Key,
    /// Of records, for their references and for what is random in them.
    pub(super) record: Key,
    /// Of the MAC of a file of codes.
    pub(super) file: Key,
    pub(super) filler: Numbers,
    /// Of positions where codes can agree everywhere.
    pub(super) everywhere: Numbers,
    /// Of the keys of positions of each place.
    pub(super) address: Key,
    pub(super) postcode: Key,
    pub(super) street: Key,
    /// Hexadecimal, see [`crate::code::CodeHeader::key_check`].
    pub(super) key_check: String,
}

impl Keys {
    /// The seed of what is random in a row with these tokens, under a record's own seed. Three parts, where a record's own
    /// has two.
    pub(super) fn seed_of_row<'a>(&self, record: Seed, tokens: impl Iterator<Item = Option<&'a Seed>>) -> Seed {
        let tokens: Vec<u8> = tokens.flat_map(|token| token.map_or([0; 16], |token| token.bytes())).collect();
        Seed::from(tag(&self.record, &[b"row", &record.bytes(), &tokens]))
    }
}

/// The root from which the others are expanded.
pub(super) struct Root {
    prk: Prk,
    schema_hash: String,
}

impl Root {
    pub(super) fn new(profile: &Profile, salt: &[u8], epoch: &EpochId) -> Self {
        let prk = Salt::new(HKDF_SHA256, epoch.as_str().as_bytes()).extract(salt);
        Self { prk, schema_hash: profile.schema_hash() }
    }

    pub(super) fn keys(&self) -> Keys {
        let check = sign(&self.key("check"), b"voorrang key check v1");
        Keys {
            address_token: self.key("address-token"),
            household_token: self.key("household-token"),
            token: self.key("token"),
            record: self.key("record"),
            file: self.key("file"),
            filler: self.numbers("filler"),
            everywhere: self.numbers("everywhere"),
            address: self.key("place/address"),
            postcode: self.key("place/postcode"),
            street: self.key("place/street"),
            key_check: hex::encode(&check.as_ref()[..16]),
        }
    }

    /// Of the map from filters to codes.
    pub(super) fn diffusion(&self, pass: &Pass) -> Numbers {
        self.numbers(&format!("pass/{}/diffusion", pass.name))
    }

    fn key(&self, what: &str) -> Key {
        Key::new(HMAC_SHA256, &self.expand(what))
    }

    fn numbers(&self, what: &str) -> Numbers {
        Numbers::new(&self.expand(what))
    }

    fn expand(&self, what: &str) -> [u8; 32] {
        let info = format!("voorrang/v5/{}/{what}", self.schema_hash);
        let info = [info.as_bytes()];
        let mut key = [0; 32];
        let okm = self.prk.expand(&info, HMAC_SHA256);
        okm.and_then(|okm| okm.fill(&mut key)).expect("one hash is short enough for HKDF");
        key
    }
}

/// Parts with their lengths before them, so that no two lists of parts have the same bytes.
fn frame<'a>(parts: impl IntoIterator<Item = &'a [u8]>, mut take: impl FnMut(&[u8])) {
    for part in parts {
        let length = u32::try_from(part.len()).expect("a field is far shorter than 4 GiB");
        take(&length.to_be_bytes());
        take(part);
    }
}

/// SHA-256 of framed parts.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let (mut context, mut whole) = (digest::Context::new(&SHA256), Whole::new());
    frame(parts, |bytes| whole.add(bytes, |bytes| context.update(bytes)));
    context.update(whole.rest());
    context.finish()
}

/// The first bytes of HMAC over framed parts; at most 32.
pub(super) fn tag<const BYTES: usize>(key: &Key, parts: &[&[u8]]) -> [u8; BYTES] {
    let (mut context, mut whole) = (hmac::Context::with_key(key), Whole::new());
    frame(parts.iter().copied(), |bytes| whole.add(bytes, |bytes| context.update(bytes)));
    context.update(whole.rest());
    *context.sign().as_ref().first_chunk().expect("HMAC-SHA-256 has 32 bytes")
}

/// Short pieces that are hashed as one: each update costs as much as many bytes.
struct Whole {
    bytes: [u8; 64],
    filled: usize,
}

impl Whole {
    #[inline]
    fn new() -> Self {
        Self { bytes: [0; 64], filled: 0 }
    }

    /// Keeps a piece, or gives it on with what was kept if there is no room.
    #[inline]
    fn add(&mut self, piece: &[u8], mut on: impl FnMut(&[u8])) {
        match self.bytes[self.filled..].get_mut(..piece.len()) {
            Some(room) => {
                room.copy_from_slice(piece);
                self.filled += piece.len();
            }
            None => {
                on(self.rest());
                on(piece);
                self.filled = 0;
            }
        }
    }

    #[inline]
    fn rest(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

/// What numbers are drawn for: 96 bits of HMAC of a token, or of a record. They lie as in the blocks that they begin, so
/// that a block is made in a register: of bytes that are written in pieces, the processor waits for the last one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed(NonZeroU128);

/// A bit where the number of a block has its place: with it no seed is zero, and a slot needs no room for whether it is
/// empty.
const THERE: NonZeroU128 = NonZeroU128::new((1_u128 << 31).to_be()).expect("one bit is set");

impl From<[u8; 12]> for Seed {
    #[inline]
    fn from(bits: [u8; 12]) -> Self {
        let mut block = [0; 16];
        block[..12].copy_from_slice(&bits);
        Self(THERE | u128::from_ne_bytes(block))
    }
}

impl Seed {
    /// The seed of a token for people whose parts are this number: XOR, as TLS 1.3 makes nonces of a secret one and the
    /// number of a record (RFC 8446, 5.3). Of one token no two numbers have the same seed; those of two tokens meet only if
    /// 96 bits of HMAC do. So no block is drawn twice under a key, and people of other parts have other positions.
    #[inline]
    pub(super) fn with_parts(self, parts: u64) -> Self {
        Self(THERE | (self.0.get() ^ (u128::from(parts) << 32).to_be()))
    }

    /// Never all zero.
    fn bytes(self) -> [u8; 16] {
        self.0.get().to_ne_bytes()
    }

    /// Its block of this number.
    #[inline]
    pub(super) fn block(self, number: u32) -> Block {
        (self.0.get() ^ THERE.get() | u128::from(number).to_be()).to_ne_bytes().into()
    }
}

/// Blocks that the processor works at side by side.
pub(super) const SIDE_BY_SIDE: usize = 8;

/// Numbers of 16 bits under a key: block `n` of a seed is AES-256(seed, n), eight numbers, the high byte first.
/// `Debug` is not there: it is a key.
pub(super) struct Numbers(Aes256Enc);

impl Numbers {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Enc::new(key.into()))
    }

    /// The numbers of a place.
    pub(super) fn of_place(key: &Key, place: &str) -> Self {
        Self::new(&tag(key, &[place.as_bytes()]))
    }

    /// The blocks behind these counters, in their place. The processor works at [`SIDE_BY_SIDE`] of them at once.
    #[inline]
    pub(super) fn draw(&self, blocks: &mut [Block]) {
        self.0.encrypt_blocks(blocks);
    }

    /// An endless row of numbers.
    pub(super) fn stream(&self, seed: Seed, first_block: u32) -> impl Iterator<Item = u16> {
        (first_block..).flat_map(move |number| {
            let mut block = seed.block(number);
            self.0.encrypt_block(&mut block);
            let (pairs, _) = block.as_chunks::<2>();
            let numbers: [u16; 8] = std::array::from_fn(|i| u16::from_be_bytes(pairs[i]));
            numbers
        })
    }
}

/// A number below `bound` with no bias: numbers of the uneven rest are thrown away. `bound` is at least 1.
pub(super) fn below(numbers: &mut impl Iterator<Item = u16>, bound: usize) -> usize {
    let bound = u32::try_from(bound).expect("a profile counts to less than 2^32");
    let fair = u32::MAX - u32::MAX % bound;
    loop {
        let mut half = || u32::from(numbers.next().expect("the stream is endless"));
        let number = half() << 16 | half();
        if number < fair {
            return (number % bound) as usize;
        }
    }
}

/// Shuffles evenly (Fisher-Yates).
pub(super) fn shuffle<T>(items: &mut [T], numbers: &mut impl Iterator<Item = u16>) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(numbers, last + 1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn root(salt: &[u8], epoch: &str) -> Root {
        Root::new(&Profile::built_in(), salt, &epoch.parse().unwrap())
    }

    #[test]
    fn the_key_check_follows_salt_and_epoch() {
        let check = |salt: &[u8], epoch| root(salt, epoch).keys().key_check;
        let one = check(&[1; 32], "haarlem-1");
        assert_eq!(one, check(&[1; 32], "haarlem-1"));
        assert_eq!(one.len(), 32);
        assert_ne!(one, check(&[2; 32], "haarlem-1"));
        assert_ne!(one, check(&[1; 32], "haarlem-2"));
    }

    #[test]
    fn every_purpose_has_a_key_of_its_own() {
        let root = root(&[1; 32], "haarlem-1");
        let keys = root.keys();
        let maps: Vec<Numbers> = Profile::built_in().passes.iter().map(|pass| root.diffusion(pass)).collect();
        let macs = [&keys.address_token, &keys.household_token, &keys.token, &keys.record];
        let macs = macs.into_iter().chain([&keys.address, &keys.postcode, &keys.street, &keys.file]);
        let ciphers = [&keys.filler, &keys.everywhere].into_iter().chain(&maps);
        let tags: HashSet<u128> = macs.map(|key| u128::from_be_bytes(tag(key, &[b"x"]))).collect();
        let first = |numbers: &Numbers| -> Vec<u16> { numbers.stream([0; 12].into(), 0).take(8).collect() };
        let first: HashSet<Vec<u16>> = ciphers.map(first).collect();
        assert_eq!((tags.len(), first.len()), (8, 2 + maps.len()));
    }

    #[test]
    fn framing_tells_parts_apart() {
        let bytes = |parts: &[&[u8]]| digest(parts.iter().copied()).as_ref().to_vec();
        assert_ne!(bytes(&[b"ab", b"c"]), bytes(&[b"a", b"bc"]));
        assert_ne!(bytes(&[b"ab"]), bytes(&[b"ab", b""]));
        let key = Key::new(HMAC_SHA256, &[1; 32]);
        assert_eq!(tag::<32>(&key, &[b"ab", b"c"]), sign(&key, b"\0\0\0\x02ab\0\0\0\x01c").as_ref());
        for length in [0, 50, 52, 53, 56, 60, 61, 64, 300] {
            let (long, mut framed) = (vec![7; length], b"\0\0\0\x02ab".to_vec());
            framed.extend((length as u32).to_be_bytes().iter().chain(&long).chain(b"\0\0\0\x01c"));
            assert_eq!(tag::<32>(&key, &[b"ab", &long, b"c"]), sign(&key, &framed).as_ref());
            let parts: [&[u8]; 3] = [b"ab", &long, b"c"];
            assert_eq!(digest(parts).as_ref(), digest::digest(&SHA256, &framed).as_ref());
        }
    }

    #[test]
    fn numbers_are_those_of_aes_256_in_counter_mode() {
        // NIST SP 800-38A, F.5.5: key, first counter block, and what is drawn from it (cipher text XOR plain text).
        let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
        let key: [u8; 32] = hex::decode(key).unwrap().try_into().unwrap();
        let seed: [u8; 12] = hex::decode("f0f1f2f3f4f5f6f7f8f9fafb").unwrap().try_into().unwrap();
        let drawn: Vec<u16> = Numbers::new(&key).stream(seed.into(), 0xfcfd_feff).take(8).collect();
        let bytes: Vec<u8> = drawn.iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(hex::encode(bytes), "0bdf7df1591716335e9a8b15c860c502");
    }

    #[test]
    fn other_parts_have_other_blocks_and_no_part_the_token_s_own() {
        let (key, seed) = (Numbers::new(&[7; 32]), Seed::from([3; 12]));
        let mut drawn = HashSet::new();
        for parts in (0..64).map(|bit| 1 << bit).chain([0]) {
            let blocks: Vec<u16> = key.stream(seed.with_parts(parts), 0).take(8 * 30).collect();
            assert!(blocks.chunks(8).all(|block| drawn.insert(block.to_vec())), "{parts}");
        }
        assert!(seed.with_parts(0) == seed && seed.with_parts(1) != seed);
        assert!(seed.with_parts(0x1234_5678_9abc).with_parts(0x1234_5678_9abc) == seed);
    }

    #[test]
    fn below_reaches_every_number_evenly() {
        let key = Numbers::new(&[7; 32]);
        let mut numbers = key.stream([0; 12].into(), 0);
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[below(&mut numbers, 6)] += 1;
        }
        // 1,000 each, standard deviation 29.
        assert!(seen.iter().all(|count| (850..1_150).contains(count)), "{seen:?}");
    }
}
