//! Every key of an epoch from its salt, and the one function that turns keys into bits: HMAC-SHA-256 in counter
//! mode. HKDF and HMAC are `ring`'s.

use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::hmac::{HMAC_SHA256, Key, sign};

use crate::ids::EpochId;
use crate::profile::{Field, Pass, Profile};

/// The keys that belong to no pass.
pub(super) struct Keys {
    pub(super) address_token: Key,
    pub(super) household_token: Key,
    pub(super) record_ref: Key,
    pub(super) filler: Key,
    /// Hexadecimal, see [`crate::code::CodeHeader::key_check`].
    pub(super) key_check: String,
}

/// The keys of one pass.
pub(super) struct PassKeys {
    /// In the order of [`Field`].
    pub(super) fields: Vec<(Field, Key)>,
    pub(super) diffusion: Key,
    /// Of the places of the pass's scope.
    pub(super) place: Key,
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
        let check = sign(&self.expand("check"), b"voorrang key check v1");
        Keys {
            address_token: self.expand("address-token"),
            household_token: self.expand("household-token"),
            record_ref: self.expand("record-ref"),
            filler: self.expand("filler"),
            key_check: hex::encode(&check.as_ref()[..16]),
        }
    }

    pub(super) fn pass(&self, pass: &Pass) -> PassKeys {
        let name = &pass.name;
        let field = |field: &Field| (*field, self.expand(&format!("pass/{name}/field/{}", field_name(*field))));
        PassKeys {
            fields: pass.insertions.keys().map(field).collect(),
            diffusion: self.expand(&format!("pass/{name}/diffusion")),
            place: self.expand(&format!("pass/{name}/address")),
        }
    }

    fn expand(&self, what: &str) -> Key {
        let info = format!("voorrang/v1/{}/{what}", self.schema_hash);
        self.prk.expand(&[info.as_bytes()], HMAC_SHA256).expect("one hash is short enough for HKDF").into()
    }
}

/// The name of a field in key derivations: keys follow names, never columns.
pub(super) fn field_name(field: Field) -> &'static str {
    match field {
        Field::Surname => "surname",
        Field::Initial => "initial",
        Field::BirthDate => "birth-date",
        Field::BirthDigits => "birth-digits",
        Field::Sex => "sex",
    }
}

/// Parts with their lengths before them, so that no two lists of parts have the same bytes.
pub(super) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        let length = u32::try_from(part.len()).expect("a field is far shorter than 4 GiB");
        out.extend(length.to_be_bytes());
        out.extend(*part);
    }
    out
}

/// 128 bits of HMAC over framed parts.
pub(super) fn token(key: &Key, parts: &[&[u8]]) -> [u8; 16] {
    let tag = sign(key, &framed(parts));
    tag.as_ref()[..16].try_into().expect("HMAC-SHA-256 has 32 bytes")
}

/// The key of an address within a pass.
pub(super) fn derived(key: &Key, parts: &[&[u8]]) -> Key {
    Key::new(HMAC_SHA256, sign(key, &framed(parts)).as_ref())
}

/// An endless row of 16-bit numbers: HMAC(key, label and its length, counter), counter 0, 1, ..
pub(super) fn stream<'a>(key: &'a Key, label: &[u8]) -> impl Iterator<Item = u16> + use<'a> {
    let mut message = framed(&[label]);
    let at = message.len();
    message.extend([0; 4]);
    (0_u32..).flat_map(move |counter| {
        message[at..].copy_from_slice(&counter.to_be_bytes());
        let tag = sign(key, &message);
        let (pairs, _) = tag.as_ref().as_chunks::<2>();
        let numbers: [u16; 16] = std::array::from_fn(|i| u16::from_be_bytes(pairs[i]));
        numbers
    })
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
        let profile = Profile::built_in();
        let passes: Vec<PassKeys> = profile.passes.iter().map(|pass| root.pass(pass)).collect();
        let general = [&keys.address_token, &keys.household_token, &keys.record_ref, &keys.filler];
        let of_passes = passes.iter().flat_map(|p| p.fields.iter().map(|f| &f.1).chain([&p.diffusion, &p.place]));
        let tags: Vec<Vec<u8>> =
            general.into_iter().chain(of_passes).map(|key| sign(key, b"x").as_ref().into()).collect();
        let distinct: std::collections::HashSet<_> = tags.iter().collect();
        let want = 4 + passes.iter().map(|pass| pass.fields.len() + 2).sum::<usize>();
        assert_eq!((distinct.len(), tags.len()), (want, want));
    }

    #[test]
    fn framing_tells_parts_apart() {
        assert_ne!(framed(&[b"ab", b"c"]), framed(&[b"a", b"bc"]));
        assert_ne!(framed(&[b"ab"]), framed(&[b"ab", b""]));
    }

    #[test]
    fn below_reaches_every_number_evenly() {
        let key = Key::new(HMAC_SHA256, &[7; 32]);
        let mut numbers = stream(&key, b"dice");
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[below(&mut numbers, 6)] += 1;
        }
        // 1,000 each, standard deviation 29.
        assert!(seen.iter().all(|count| (850..1_150).contains(count)), "{seen:?}");
    }
}
