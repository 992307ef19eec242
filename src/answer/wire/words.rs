//! How the shared words stand in the interface's document: the forms that reading them enforces, so that a body which
//! fits the document is one that can be read.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::audit::Hash;
use crate::code::{AddressToken, Code, HouseholdToken, RecordRef};
use crate::ids::{BatchId, EpochId, LoadId, Oin, ProposalId, RegulationId, TraceId};

/// Names: `EpochId` and its like, 1 to 40 characters.
const SLUG: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";
/// 16 random bytes.
const HEX_32: &str = "^[0-9a-f]{32}$";
/// Base64 of 16 bytes and of 32 bytes: the bits that the last letter leaves unused are zero.
const BASE64_16: &str = "^[A-Za-z0-9+/]{21}[AQgw]==$";
const BASE64_32: &str = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$";
/// Base64 of whole words of 8 bytes. How many there are is the profile's.
const BASE64_WORDS: &str = "^([A-Za-z0-9+/]{32})*([A-Za-z0-9+/]{10}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/]{21}[AQgw]==)?$";

macro_rules! word {
    ($name:ty, $pattern:expr, $lengths:expr, $example:literal, $about:literal) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let (least, most) = Option::<(usize, usize)>::unzip($lengths);
                let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern));
                let text = text.min_length(least).max_length(most);
                text.description(Some($about)).examples([serde_json::json!($example)]).build().into()
            }
        }

        impl ToSchema for $name {}
    };
}

word!(EpochId, SLUG, Some((1, 40)), "haarlem-2026-1", "One salt and everything encoded with it.");
word!(RegulationId, SLUG, Some((1, 40)), "haarlem", "One covenant and its rules.");
word!(Oin, "^[0-9]{20}$", Some((20, 20)), "00000099000000004001", "Organisation identification number (Logius).");
word!(LoadId, HEX_32, Some((32, 32)), "00112233445566778899aabbccddeeff", "A load in progress.");
word!(BatchId, HEX_32, Some((32, 32)), "00112233445566778899aabbccddeeff", "A batch of questions.");
word!(ProposalId, HEX_32, Some((32, 32)), "00112233445566778899aabbccddeeff", "An act that waits for a second person.");
word!(TraceId, HEX_32, Some((32, 32)), "00112233445566778899aabbccddeeff", "W3C trace id of a request.");
word!(Hash, BASE64_32, Some((44, 44)), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "SHA-256, base64.");
word!(AddressToken, BASE64_16, Some((24, 24)), "AAAAAAAAAAAAAAAAAAAAAA==", "Keyed token of an address, base64.");
word!(HouseholdToken, BASE64_16, Some((24, 24)), "AAAAAAAAAAAAAAAAAAAAAA==", "Keyed token of a household, base64.");
word!(RecordRef, BASE64_16, Some((24, 24)), "AAAAAAAAAAAAAAAAAAAAAA==", "Keyed token of a custodian's record, base64.");
word!(Code, BASE64_WORDS, None, "AAAAAAAAAAA=", "Bits of one hardened code, a multiple of 64, base64.");

/// A whole number that may be spelled with a fraction of zero: JSON knows one kind of number, and so do its schemas.
///
/// # Errors
/// For a fraction, and for what does not fit.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(from: D) -> Result<T, D::Error> {
    /// From here on not every whole number is a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = serde_json::Number::deserialize(from)?;
    let spelled = |value: f64| (value.fract() == 0.0 && (0.0..EXACT).contains(&value)).then_some(value as u64);
    let value = number.as_u64().filter(|value| *value < EXACT as u64).or_else(|| number.as_f64().and_then(spelled));
    let value = value.and_then(|value| T::try_from(value).ok());
    value.ok_or_else(|| D::Error::custom("a number, expected a whole number within its bounds"))
}

/// A number that is none below zero.
///
/// # Errors
/// Otherwise, and for what is no number.
pub fn not_negative<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(from)?;
    let fits = number.is_finite() && number >= 0.0;
    fits.then_some(number).ok_or_else(|| D::Error::custom("a number, expected one that is not negative"))
}

/// [`whole`] for a member that may be absent.
///
/// # Errors
/// As there.
pub fn whole_or_none<'de, D: Deserializer<'de>, T: TryFrom<u64>>(from: D) -> Result<Option<T>, D::Error> {
    /// Lets the missing member be told from a number.
    struct Whole<T>(T);
    impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            whole(from).map(Self)
        }
    }
    Ok(Option::<Whole<T>>::deserialize(from)?.map(|Whole(value)| value))
}

/// The words of an answer.
pub fn answer_word() -> Schema {
    let words = ["priority", "no_priority", "undetermined"];
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
}

/// A moment as text: RFC 3339, UTC.
pub(super) fn moment() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Count {
        #[serde(deserialize_with = "whole")]
        count: u32,
        #[serde(default, deserialize_with = "whole_or_none")]
        rest: Option<u64>,
    }

    #[test]
    fn a_whole_number_may_be_spelled_with_a_fraction_of_zero() {
        for (text, want) in [("7", 7), ("7.0", 7), ("7e2", 700), ("4294967295", u32::MAX)] {
            let read: Count = serde_json::from_str(&format!("{{\"count\":{text},\"rest\":{text}}}")).unwrap();
            assert_eq!((read.count, read.rest), (want, Some(want.into())), "{text}");
        }
        for text in ["7.5", "-1", "-0.5", "4294967296", "1e300", "\"7\"", "null"] {
            assert!(serde_json::from_str::<Count>(&format!("{{\"count\":{text}}}")).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Count>("{\"count\":1,\"rest\":null}").unwrap().rest, None);
        let rest = |text: &str| serde_json::from_str::<Count>(&format!("{{\"count\":1,\"rest\":{text}}}"));
        for text in ["9007199254740991", "9007199254740991.0"] {
            assert_eq!(rest(text).unwrap().rest, Some((1 << 53) - 1), "{text}");
        }
        for text in ["9007199254740992", "9007199254740992.0", "18446744073709551615"] {
            assert!(rest(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_documented_form_of_a_word_is_the_one_that_is_read() {
        let code = serde_json::to_value(Code::schema()).unwrap();
        let pattern = regex::Regex::new(code["pattern"].as_str().unwrap()).unwrap();
        for words in 0..12_u64 {
            let text = serde_json::to_value(Code::from((0..words).map(|n| !n).collect::<Vec<_>>())).unwrap();
            assert!(pattern.is_match(text.as_str().unwrap()), "{words}");
        }
        for bad in ["AAAA", "AAAAAAAAAAB=", "AAAAAAAAAAA", "AAAAAAAAAAAA"] {
            assert!(!pattern.is_match(bad) && serde_json::from_str::<Code>(&format!("\"{bad}\"")).is_err());
        }
    }
}
