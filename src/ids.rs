//! Names of things: epochs, regulations, organisations, loads, batches, traces. Each is checked where it enters.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

/// Why a text is no identifier. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("a name has 1 to 40 characters of a-z, 0-9 and single hyphens between them")]
    Slug,
    #[error("an OIN has 20 digits")]
    Oin,
    #[error("an identifier has {0} hexadecimal digits")]
    Hex(usize),
}

fn is_slug(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr, $error:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err($error) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_id!(
    /// One salt and everything encoded with it, for example `haarlem-2026-1`.
    EpochId, is_slug, IdError::Slug
);
text_id!(
    /// One covenant and its rules: the name of its folder, for example `haarlem`.
    RegulationId, is_slug, IdError::Slug
);
text_id!(
    /// Why data are asked, as a regulation lists it, for example `eviction-prevention`.
    Purpose, is_slug, IdError::Slug
);
text_id!(
    /// Organisation identification number of Dutch government chains (Logius, OIN-Stelsel): the one name
    /// under which a party is known, taken from `subject.serialNumber` of its certificate.
    Oin, |t| t.len() == 20 && t.bytes().all(|b| b.is_ascii_digit()), IdError::Oin
);

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// A fresh one from the system's random generator, so that it counts nothing.
            ///
            /// # Panics
            /// If the operating system has no randomness: nothing safe can be done then.
            pub fn random() -> Self {
                let mut bytes = [0; $bytes];
                SystemRandom::new().fill(&mut bytes).expect("the system's random generator answers");
                Self(bytes)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $bytes];
                let lower = text.bytes().all(|b| !b.is_ascii_uppercase());
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) if lower => Ok(Self(bytes)),
                    _ => Err(IdError::Hex(2 * $bytes)),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

random_id!(
    /// A load in progress.
    LoadId, 16
);
random_id!(
    /// A batch of questions that is answered in the background.
    BatchId, 16
);
random_id!(
    /// An act that waits for a second person.
    ProposalId, 16
);
random_id!(
    /// One request through all logs: the W3C trace id.
    TraceId, 16
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_and_short() {
        for good in ["a", "haarlem-2026-1", &"x".repeat(40)] {
            assert!(good.parse::<EpochId>().is_ok(), "{good}");
        }
        for bad in ["", "-", "a--b", "a-", "A", "a b", "../x", &"x".repeat(41)] {
            assert_eq!(bad.parse::<EpochId>(), Err(IdError::Slug), "{bad}");
        }
    }

    #[test]
    fn a_name_fills_the_width_of_its_column() {
        let id: EpochId = "haarlem-1".parse().unwrap();
        assert_eq!(format!("{id:<12}|{id}"), "haarlem-1   |haarlem-1");
    }

    #[test]
    fn an_oin_has_twenty_digits() {
        assert!("00000099000000001000".parse::<Oin>().is_ok());
        for bad in ["0000009900000000100", "0000009900000000100x", ""] {
            assert_eq!(bad.parse::<Oin>(), Err(IdError::Oin));
        }
    }

    #[test]
    fn a_random_id_survives_its_text() {
        let id = TraceId::random();
        assert_eq!(id.to_string().parse::<TraceId>(), Ok(id));
        assert_eq!(
            id.to_string().to_uppercase().parse::<TraceId>().is_ok(),
            id.to_string() == id.to_string().to_uppercase()
        );
    }
}
