//! The words that custodian and linkage unit share: a code, a token, a record of codes, the header that says
//! with which salt and schema they were made. Nothing here can be read as a name or a date.

use std::fmt;

use base64::{Engine, display::Base64Display, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use crate::ids::EpochId;

/// Why bytes are no code or token. It never repeats the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    #[error("not base64 in the standard alphabet with padding")]
    Base64,
    #[error("{got} bytes where {want} are expected")]
    Length { want: usize, got: usize },
}

/// One hardened code: a row of bits, a multiple of 64. Only its similarity to another one says anything.
///
/// `Debug` hides the bits: a code is personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Box<[u64]>);

impl Code {
    /// From bytes, bit 0 the most significant bit of byte 0.
    ///
    /// # Errors
    /// [`CodeError::Length`] if the length is not a multiple of 8 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodeError> {
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(CodeError::Length { want: bytes.len().next_multiple_of(8), got: bytes.len() });
        }
        Ok(Self(words.iter().map(|word| u64::from_be_bytes(*word)).collect()))
    }

    /// The bytes of [`Code::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// The bits in words of 64, bit 0 the most significant bit of word 0.
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// Length in bits.
    pub fn bits(&self) -> usize {
        self.0.len() * 64
    }

    /// Number of set bits.
    pub fn ones(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

impl From<&[u64]> for Code {
    fn from(words: &[u64]) -> Self {
        Self(words.into())
    }
}

impl From<Vec<u64>> for Code {
    fn from(words: Vec<u64>) -> Self {
        Self(words.into())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({} bits)", self.bits())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Base64Display::new(&self.to_bytes(), &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = base64_bytes(from)?;
        Self::from_bytes(&bytes).map_err(de::Error::custom)
    }
}

fn base64_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    STANDARD.decode(text.as_bytes()).map_err(|_| de::Error::custom(CodeError::Base64))
}

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&STANDARD.encode(self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let bytes = base64_bytes(from)?;
                let got = bytes.len();
                bytes.try_into().map(Self).map_err(|_| de::Error::custom(CodeError::Length { want: 16, got }))
            }
        }
    };
}

token!(
    /// HMAC of postcode and house number: equal addresses have equal tokens, and nothing else shows.
    AddressToken
);

/// Bytes of an address token that a housing stock knows: two of a million addresses share them once in 500 stocks.
pub const STOCK_PREFIX: usize = 6;

impl AddressToken {
    /// What a housing stock knows of it.
    pub fn stock_prefix(&self) -> [u8; STOCK_PREFIX] {
        *self.0.first_chunk().expect("a token is longer")
    }
}

token!(
    /// HMAC of the custodian's own household id.
    HouseholdToken
);
token!(
    /// HMAC of the custodian's own record id, so that a later load can name the record again.
    RecordRef
);

/// Keys and records pass over the stack while they are worked on; this overwrites what they left below the caller.
#[inline(never)]
pub fn burn_stack() {
    std::hint::black_box(&mut [0_u8; 32 << 10]);
}

/// Does work that records pass through, in a frame of its own, and leaves nothing of them on the thread's stack: the stack
/// of a thread that ended is kept for the next one, and may outlive the epoch.
pub fn leaving_nothing<T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn below<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    let done = below(work);
    burn_stack();
    done
}

/// A priority group. Which groups count, and for whom, is the regulation's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Somebody below the age of majority.
    Minor,
    /// Somebody at or above the senior age.
    Senior,
    /// A member of the public mental-health target group.
    Oggz,
}

/// The codes of one person: per pass of the profile, in the profile's order, as many as the pass has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    /// `passes[p][v]`: the code of pass `p`, variant `v`. A pass with all surnames together has one.
    pub passes: Vec<Vec<Code>>,
}

impl Codes {
    /// The bytes of all codes, one behind the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.passes.iter().flatten().flat_map(Code::to_bytes).collect()
    }

    /// The codes of [`Codes::to_bytes`], as many and as long as these; none if the bytes are of others.
    pub fn of_same_shape(&self, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut code = |like: &Code| {
            let (bytes, behind) = rest.split_at_checked(like.bits() / 8)?;
            rest = behind;
            Code::from_bytes(bytes).ok()
        };
        let passes = self.passes.iter().map(|pass| pass.iter().map(&mut code).collect()).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { passes })
    }
}

/// One record of a custodian's load, as the linkage unit sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: RecordRef,
    /// Absent where the custodian knows no address.
    pub address: Option<AddressToken>,
    /// Population records only.
    pub household: Option<HouseholdToken>,
    /// The groups of this person.
    pub groups: Vec<Group>,
    /// No passes for a minor: children are counted, never encoded.
    pub codes: Codes,
}

/// With what codes were made. It goes with every file of codes, every load and every question; another salt,
/// schema or epoch is refused at once, instead of silently matching nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CodeHeader {
    pub epoch: EpochId,
    /// Profile id, for example `nl-household-1`.
    #[schema(min_length = 1, max_length = 100, example = "nl-household-1")]
    pub profile: String,
    /// SHA-256 of the profile's encoding half, hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$", example = "0000000000000000000000000000000000000000000000000000000000000000")]
    pub schema_hash: String,
    /// First 16 bytes of HMAC(check key, constant), hexadecimal: equal salts have equal values, and the value
    /// tells nothing about the salt.
    #[schema(pattern = "^[0-9a-f]{32}$", example = "00112233445566778899aabbccddeeff")]
    pub key_check: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_its_bytes_and_its_json() {
        let bytes: Vec<u8> = (0..32).collect();
        let code = Code::from_bytes(&bytes).unwrap();
        assert_eq!((code.bits(), code.to_bytes()), (256, bytes));
        let json = serde_json::to_string(&code).unwrap();
        assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code);
    }

    #[test]
    fn codes_survive_their_bytes_beside_others_of_their_shape() {
        let codes = |word: u64| Codes { passes: vec![vec![vec![word; 2].into(), vec![word + 1].into()], vec![]] };
        let bytes = codes(1).to_bytes();
        assert_eq!(codes(7).of_same_shape(&bytes), Some(codes(1)));
        for other in [&bytes[1..], &[&bytes[..], &[0]].concat()] {
            assert_eq!(codes(7).of_same_shape(other), None);
        }
    }

    #[test]
    fn only_one_spelling_of_a_code_is_read() {
        let json = serde_json::to_string(&Code::from(vec![0x8000_0000_0000_0001_u64])).unwrap();
        for other in [json.replace('=', ""), json.replace("E=", "F="), json.replace("\"g", "\" g")] {
            assert_ne!(other, json);
            assert!(serde_json::from_str::<Code>(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn debug_shows_no_bits() {
        assert_eq!(format!("{:?}", Code::from(vec![1, 2])), "Code(128 bits)");
        assert_eq!(format!("{:?}", AddressToken([7; 16])), "AddressToken(..)");
    }
}
