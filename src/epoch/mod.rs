//! Which salt is in force, and how custodians agree on one that nobody else can know.
//!
//! An epoch is one salt and everything encoded with it. The linkage unit keeps its record ([`Epoch`]) and the
//! sealed shares; [`share`] is what custodians do with them on their own machines. Nothing in the service calls
//! [`share`]: a test of the house holds it to that.

mod life;
pub mod sealed;
pub mod share;

use time::{Date, OffsetDateTime};

pub use life::{IllegalStep, Move, NoState, State, Step};

use crate::code::CodeHeader;
use crate::ids::{EpochId, Oin, RegulationId};

/// Fewest custodians that make a salt: with one alone, a bad random generator or a thief decides it.
pub const MIN_CONTRIBUTORS: usize = 2;

/// Who encodes in an epoch, and the key that shares are sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    pub oin: Oin,
    /// Public key that shares are sealed for: `age1...`, or `ssh-ed25519 ...` or `ssh-rsa ...`.
    pub recipient: String,
    /// Custodians contribute a share of the salt; corporations only open the shares.
    pub contributes: bool,
}

/// Whether two public keys are the same one. What follows an ssh key is a comment.
pub fn same_recipient(one: &str, other: &str) -> bool {
    let key = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    key(one) == key(other)
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
    /// Of a retiring epoch: when it stops answering.
    pub answers_until: Option<OffsetDateTime>,
    pub announced_at: OffsetDateTime,
    /// Day by which every custodian should have contributed; later is late, not refused.
    pub contribute_by: Date,
    /// Day by which every source should be loaded.
    pub load_by: Date,
    /// Days that it goes on answering after the next epoch took over.
    pub grace_days: u32,
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

/// Why an epoch answers no question, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silent {
    #[error("this epoch does not answer yet; see GET /v1/service")]
    NotYet,
    #[error("this epoch has stopped answering; encode with the one in force, see GET /v1/service")]
    Retired,
    #[error("this epoch is destroyed; encode with the one in force, see GET /v1/service")]
    Destroyed,
}

impl Silent {
    /// Stable code for clients and the log.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotYet => "epoch_not_active",
            Self::Retired => "epoch_retired",
            Self::Destroyed => "epoch_destroyed",
        }
    }
}

/// Of a key-check value: 16 bytes.
const KEY_CHECK_DIGITS: usize = 32;

impl Epoch {
    /// Whether questions are answered at this time. A retiring epoch falls silent by itself: nothing but the clock is
    /// needed. It is never destroyed by itself: a wrong clock must not cost a register.
    ///
    /// # Errors
    /// [`Silent`].
    pub fn answers(&self, now: OffsetDateTime) -> Result<(), Silent> {
        match self.state {
            State::Active => Ok(()),
            State::Retiring if self.answers_until.is_some_and(|until| now < until) => Ok(()),
            State::Retiring => Err(Silent::Retired),
            State::Destroyed => Err(Silent::Destroyed),
            State::Announced | State::Loading => Err(Silent::NotYet),
        }
    }

    /// Whether custodians may load: before it answers, and as long as it does, lest its registers grow too old.
    pub fn takes_loads(&self, now: OffsetDateTime) -> bool {
        self.state == State::Loading || self.answers(now).is_ok()
    }

    /// The custodians that contribute a share of the salt.
    pub fn contributors(&self) -> impl Iterator<Item = &Oin> {
        self.participants.iter().filter(|one| one.contributes).map(|one| &one.oin)
    }

    /// Whether this party takes part.
    pub fn has(&self, oin: &Oin) -> bool {
        self.participants.iter().any(|one| one.oin == *oin)
    }

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
    use time::macros::date;

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
            answers_until: None,
            announced_at: OffsetDateTime::UNIX_EPOCH,
            contribute_by: date!(1970 - 01 - 15),
            load_by: date!(1970 - 01 - 29),
            grace_days: 30,
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
    fn a_retiring_epoch_falls_silent_when_its_grace_ends() {
        let ends = OffsetDateTime::UNIX_EPOCH + time::Duration::DAY;
        let retiring = Epoch { state: State::Retiring, answers_until: Some(ends), ..epoch() };
        assert_eq!(retiring.answers(ends - time::Duration::SECOND), Ok(()));
        assert_eq!(retiring.answers(ends), Err(Silent::Retired));
        assert_eq!(epoch().answers(ends), Ok(()));
        assert!(retiring.takes_loads(ends - time::Duration::SECOND) && !retiring.takes_loads(ends));
        for (state, silent) in [(State::Loading, Silent::NotYet), (State::Destroyed, Silent::Destroyed)] {
            assert_eq!(Epoch { state, ..epoch() }.answers(ends), Err(silent));
        }
    }
}
