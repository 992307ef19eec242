//! Every key of an epoch from its salt, and the two functions that turn keys into bits: HMAC-SHA-256 gives a token its
//! 96 bits, and AES-256 in counter mode (NIST SP 800-38A) draws as many numbers from them as are wanted. HKDF and HMAC
//! are `ring`'s; AES is RustCrypto's, because `ring` has no cipher without a tag.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes256, Block};
use ring::digest::{self, Digest, SHA256};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::hmac::{self, HMAC_SHA256, Key, sign};

use crate::ids::EpochId;
use crate::profile::{Pass, Profile};

/// The keys that belong to no pass.
pub(super) struct Keys {
    pub(super) address_token: Key,
    pub(super) household_token: Key,
    pub(super) record_ref: Key,
    /// Of the tokens that names and dates are cut into.
    pub(super) token: Key,
    /// Of records, for what is random per record.
    pub(super) record: Key,
    pub(super) filler: Numbers,
    /// Hexadecimal, see [`crate::code::CodeHeader::key_check`].
    pub(super) key_check: String,
}

/// The keys of one pass.
pub(super) struct PassKeys {
    /// Of positions, where a code can agree everywhere.
    pub(super) everywhere: Numbers,
    /// Of the keys of positions of each place.
    pub(super) place: Key,
    pub(super) diffusion: Numbers,
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
            record_ref: self.key("record-ref"),
            token: self.key("token"),
            record: self.key("record"),
            filler: self.numbers("filler"),
            key_check: hex::encode(&check.as_ref()[..16]),
        }
    }

    pub(super) fn pass(&self, pass: &Pass) -> PassKeys {
        let name = &pass.name;
        PassKeys {
            everywhere: self.numbers(&format!("pass/{name}/everywhere")),
            place: self.key(&format!("pass/{name}/place")),
            diffusion: self.numbers(&format!("pass/{name}/diffusion")),
        }
    }

    fn key(&self, what: &str) -> Key {
        Key::new(HMAC_SHA256, &self.expand(what))
    }

    fn numbers(&self, what: &str) -> Numbers {
        Numbers::new(&self.expand(what))
    }

    fn expand(&self, what: &str) -> [u8; 32] {
        let info = format!("voorrang/v2/{}/{what}", self.schema_hash);
        let info = [info.as_bytes()];
        let mut key = [0; 32];
        let okm = self.prk.expand(&info, HMAC_SHA256);
        okm.and_then(|okm| okm.fill(&mut key)).expect("one hash is short enough for HKDF");
        key
    }
}

/// Parts with their lengths before them, so that no two lists of parts have the same bytes.
fn frame(parts: &[&[u8]], mut take: impl FnMut(&[u8])) {
    for part in parts {
        let length = u32::try_from(part.len()).expect("a field is far shorter than 4 GiB");
        take(&length.to_be_bytes());
        take(part);
    }
}

/// SHA-256 of framed parts.
pub(super) fn digest(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&SHA256);
    frame(parts, |bytes| context.update(bytes));
    context.finish()
}

/// The first bytes of HMAC over framed parts; at most 32.
pub(super) fn tag<const BYTES: usize>(key: &Key, parts: &[&[u8]]) -> [u8; BYTES] {
    let mut context = hmac::Context::with_key(key);
    frame(parts, |bytes| context.update(bytes));
    *context.sign().as_ref().first_chunk().expect("HMAC-SHA-256 has 32 bytes")
}

/// What numbers are drawn for: 96 bits of HMAC of a token, or of a record.
pub(super) type Seed = [u8; 12];

/// A row of numbers: of which seed, from which block of eight on, how many, and for which filters.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) seed: Seed,
    pub(super) first_block: u32,
    pub(super) count: usize,
    pub(super) filters: u64,
}

/// Blocks that are made at once: the processor works at them side by side. Of each block the numbers that are wanted
/// and the filters that want them.
pub(super) struct Batch {
    blocks: [Block; Self::MOST],
    wanted: [(usize, u64); Self::MOST],
    filled: usize,
}

impl Batch {
    const MOST: usize = 64;
}

impl Default for Batch {
    fn default() -> Self {
        Self { blocks: [Block::default(); Self::MOST], wanted: [(0, 0); Self::MOST], filled: 0 }
    }
}

/// Numbers of 16 bits under a key: block `n` of a seed is AES-256(seed, n), eight numbers, the high byte first.
/// `Debug` is not there: it is a key.
pub(super) struct Numbers(Aes256);

impl Numbers {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256::new(key.into()))
    }

    /// The numbers of a place.
    pub(super) fn of_place(key: &Key, place: &str) -> Self {
        Self::new(&tag(key, &[place.as_bytes()]))
    }

    /// Hands each number of the rows, and the filters that want it, to `take`.
    pub(super) fn draw(&self, rows: &[Row], batch: &mut Batch, mut take: impl FnMut(u16, u64)) {
        for row in rows {
            for (counter, begin) in (row.first_block..).zip((0..row.count).step_by(8)) {
                batch.blocks[batch.filled] = block(&row.seed, counter);
                batch.wanted[batch.filled] = ((row.count - begin).min(8), row.filters);
                batch.filled += 1;
                if batch.filled == Batch::MOST {
                    self.hand_out(batch, &mut take);
                }
            }
        }
        self.hand_out(batch, &mut take);
    }

    fn hand_out(&self, batch: &mut Batch, take: &mut impl FnMut(u16, u64)) {
        let blocks = &mut batch.blocks[..batch.filled];
        self.0.encrypt_blocks(blocks);
        for (block, (count, filters)) in blocks.iter().zip(batch.wanted) {
            block.as_chunks::<2>().0[..count].iter().for_each(|pair| take(u16::from_be_bytes(*pair), filters));
        }
        batch.filled = 0;
    }

    /// An endless row of numbers.
    pub(super) fn stream(&self, seed: &Seed, first_block: u32) -> impl Iterator<Item = u16> {
        (first_block..).flat_map(|counter| {
            let mut block = block(seed, counter);
            self.0.encrypt_block(&mut block);
            let (pairs, _) = block.as_chunks::<2>();
            let numbers: [u16; 8] = std::array::from_fn(|i| u16::from_be_bytes(pairs[i]));
            numbers
        })
    }
}

fn block(seed: &Seed, counter: u32) -> Block {
    let mut block = Block::default();
    block[..12].copy_from_slice(seed);
    block[12..].copy_from_slice(&counter.to_be_bytes());
    block
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
        let passes: Vec<PassKeys> = Profile::built_in().passes.iter().map(|pass| root.pass(pass)).collect();
        let macs = [&keys.address_token, &keys.household_token, &keys.record_ref, &keys.token, &keys.record];
        let macs = macs.into_iter().chain(passes.iter().map(|pass| &pass.place));
        let ciphers = [&keys.filler].into_iter().chain(passes.iter().flat_map(|p| [&p.everywhere, &p.diffusion]));
        let tags: Vec<u128> = macs.map(|key| u128::from_be_bytes(tag(key, &[b"x"]))).collect();
        let first: Vec<Vec<u16>> = ciphers.map(|numbers| numbers.stream(&[0; 12], 0).take(8).collect()).collect();
        let distinct = (
            tags.iter().collect::<std::collections::HashSet<_>>().len(),
            first.iter().collect::<std::collections::HashSet<_>>().len(),
        );
        assert_eq!(distinct, (5 + passes.len(), 1 + 2 * passes.len()));
        assert_eq!(distinct, (tags.len(), first.len()));
    }

    #[test]
    fn framing_tells_parts_apart() {
        let bytes = |parts: &[&[u8]]| digest(parts).as_ref().to_vec();
        assert_ne!(bytes(&[b"ab", b"c"]), bytes(&[b"a", b"bc"]));
        assert_ne!(bytes(&[b"ab"]), bytes(&[b"ab", b""]));
        let key = Key::new(HMAC_SHA256, &[1; 32]);
        assert_eq!(tag::<32>(&key, &[b"ab", b"c"]), sign(&key, b"\0\0\0\x02ab\0\0\0\x01c").as_ref());
    }

    #[test]
    fn numbers_are_those_of_aes_256_in_counter_mode() {
        // NIST SP 800-38A, F.5.5: key, first counter block, and what is drawn from it (cipher text XOR plain text).
        let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
        let key: [u8; 32] = hex::decode(key).unwrap().try_into().unwrap();
        let seed = *hex::decode("f0f1f2f3f4f5f6f7f8f9fafb").unwrap().first_chunk().unwrap();
        let drawn: Vec<u16> = Numbers::new(&key).stream(&seed, 0xfcfd_feff).take(8).collect();
        let bytes: Vec<u8> = drawn.iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(hex::encode(bytes), "0bdf7df1591716335e9a8b15c860c502");
    }

    #[test]
    fn rows_are_pieces_of_the_stream() {
        let numbers = Numbers::new(&[7; 32]);
        let (one, other) = ([1; 12], [2; 12]);
        let row = |seed: [u8; 12], first_block, count, filters| Row { seed, first_block, count, filters };
        let rows = [row(one, 0, 11, 1), row(other, 5, 3, 2), row(one, 9, 700, 4)];
        let want: Vec<(u16, u64)> = rows
            .iter()
            .flat_map(|row| {
                numbers.stream(&row.seed, row.first_block).take(row.count).map(|number| (number, row.filters))
            })
            .collect();
        let mut batch = Batch::default();
        for _ in 0..2 {
            let mut drawn = Vec::new();
            numbers.draw(&rows, &mut batch, |number, filters| drawn.push((number, filters)));
            assert_eq!(drawn, want);
        }
    }

    #[test]
    fn below_reaches_every_number_evenly() {
        let key = Numbers::new(&[7; 32]);
        let mut numbers = key.stream(&[0; 12], 0);
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[below(&mut numbers, 6)] += 1;
        }
        // 1,000 each, standard deviation 29.
        assert!(seen.iter().all(|count| (850..1_150).contains(count)), "{seen:?}");
    }
}
