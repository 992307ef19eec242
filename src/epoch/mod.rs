//! Which salt is in force, and how custodians agree on one that nobody else can know.
//!
//! An epoch is one salt and everything encoded with it. The linkage unit keeps its record ([`Epoch`]) and the
//! sealed shares; [`share`] is what custodians do with them on their own machines. Nothing in the service calls
//! [`share`]: a test of the house holds it to that.

pub mod share;

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;

use crate::code::CodeHeader;
use crate::ids::{EpochId, Oin, RegulationId};

/// Fewest custodians that make a salt: with one alone, a bad random generator or a thief decides it.
pub const MIN_CONTRIBUTORS: usize = 2;

/// Where an epoch is in its life. The order is the only one possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Known to all; shares of the salt are being contributed.
    Announced,
    /// The salt is complete; custodians encode and load.
    Loading,
    /// Answers questions.
    Active,
    /// Still answers, until its grace ends.
    Retiring,
    /// Its data key is gone.
    Destroyed,
}

impl State {
    const ALL: [Self; 5] = [Self::Announced, Self::Loading, Self::Active, Self::Retiring, Self::Destroyed];

    /// The word in the interface and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Loading => "loading",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Destroyed => "destroyed",
        }
    }

    /// Whether questions with this epoch's codes are answered.
    pub fn answers(self) -> bool {
        matches!(self, Self::Active | Self::Retiring)
    }

    /// Whether custodians may load: before the epoch answers, and while it does.
    pub fn loads(self) -> bool {
        matches!(self, Self::Loading | Self::Active)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = NoState;
    fn from_str(text: &str) -> Result<Self, NoState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(NoState)
    }
}

/// A word that is no state of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no state of an epoch")]
pub struct NoState;

/// Who encodes in an epoch, and the key that shares are sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    pub oin: Oin,
    /// Public age key, `age1...`.
    pub recipient: String,
    /// Custodians contribute a share of the salt; corporations only open the shares.
    pub contributes: bool,
}

/// The linkage unit's record of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    pub id: EpochId,
    pub regulation: RegulationId,
    /// Profile id.
    pub profile: String,
    pub schema_hash: String,
    /// Known from the first load on.
    pub key_check: Option<String>,
    pub state: State,
    pub announced_at: OffsetDateTime,
    /// By OIN.
    pub participants: Vec<Participant>,
}

/// Why codes do not belong to an epoch, and what to do. Nothing is compared before this is clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("made with another profile than the epoch's; take the profile that the epoch was announced with")]
    Profile,
    #[error("made with another schema than the epoch's; update the program, or take the epoch's profile file")]
    Schema,
    #[error("made with another salt than the epoch's; fetch the envelope again and encode anew")]
    Salt,
    #[error("sent without a key-check value of 32 hexadecimal digits; update the program and encode anew")]
    KeyCheck,
}

impl Mismatch {
    /// Stable code for clients and the log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Profile => "other_profile",
            Self::Schema => "other_schema",
            Self::Salt => "other_salt",
            Self::KeyCheck => "no_key_check",
        }
    }
}

/// Of a key-check value: 16 bytes.
const KEY_CHECK_DIGITS: usize = 32;

impl Epoch {
    /// Whether codes with this header can be compared with the epoch's.
    ///
    /// # Errors
    /// [`Mismatch`]. An epoch without a load yet takes any salt: its first load says which.
    pub fn accepts(&self, header: &CodeHeader) -> Result<(), Mismatch> {
        if header.profile != self.profile {
            return Err(Mismatch::Profile);
        }
        if header.schema_hash != self.schema_hash {
            return Err(Mismatch::Schema);
        }
        let digits = header.key_check.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if header.key_check.len() != KEY_CHECK_DIGITS || !digits {
            return Err(Mismatch::KeyCheck);
        }
        match &self.key_check {
            Some(check) if *check != header.key_check => Err(Mismatch::Salt),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "0123456789abcdef0123456789abcdee";

    fn epoch() -> Epoch {
        Epoch {
            id: "haarlem-1".parse().unwrap(),
            regulation: "haarlem".parse().unwrap(),
            profile: "p".into(),
            schema_hash: "s".into(),
            key_check: Some(KEY.into()),
            state: State::Active,
            announced_at: OffsetDateTime::UNIX_EPOCH,
            participants: vec![],
        }
    }

    fn header(profile: &str, schema: &str, check: &str) -> CodeHeader {
        CodeHeader {
            epoch: "haarlem-1".parse().unwrap(),
            profile: profile.into(),
            schema_hash: schema.into(),
            key_check: check.into(),
        }
    }

    #[test]
    fn a_mismatch_says_which_half_is_wrong() {
        assert_eq!(epoch().accepts(&header("p", "s", KEY)), Ok(()));
        assert_eq!(epoch().accepts(&header("x", "s", KEY)), Err(Mismatch::Profile));
        assert_eq!(epoch().accepts(&header("p", "x", KEY)), Err(Mismatch::Schema));
        assert_eq!(epoch().accepts(&header("p", "s", OTHER)), Err(Mismatch::Salt));
        for wrong in ["", "k", &KEY[1..], &KEY.to_uppercase()] {
            assert_eq!(epoch().accepts(&header("p", "s", wrong)), Err(Mismatch::KeyCheck));
        }
    }

    #[test]
    fn the_first_load_sets_the_salt() {
        let new = Epoch { key_check: None, ..epoch() };
        assert_eq!(new.accepts(&header("p", "s", OTHER)), Ok(()));
    }

    #[test]
    fn states_survive_their_words() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("sleeping".parse::<State>().is_err());
        assert!(State::Retiring.answers() && !State::Retiring.loads());
    }
}
