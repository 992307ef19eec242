//! The closed words of an entry: what was done, how it ended, how long it took. A closed word has no room for content.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::AuditError;

/// What was done or tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Ask,
    /// An answer was given once more, to another person or certificate of its party; `entries` is the first one's.
    AskAgain,
    /// Results of a batch were read; `entries` are from the first to the last question's.
    ResultsRead,
    /// A connection that the handshake refused.
    Connect,
    Load,
    LoadAbort,
    /// A load that has many more or fewer records than the one before took its place in an epoch that answers.
    LoadAcceptShrink,
    /// A load took its place in an epoch that answers, and answers would tell more than the parties accept: until that
    /// is over they rest on the population alone.
    LoadOverBound,
    Stock,
    EpochAnnounce,
    EpochContribute,
    EpochFetch,
    EpochReseal,
    EpochActivate,
    /// A register that changed more than the regulation allows was activated all the same.
    EpochAcceptShrink,
    /// An epoch began to answer in which somebody who asks has no stock yet.
    EpochAcceptMissingStock,
    /// An epoch was destroyed with answers of batches that nobody had read.
    EpochAcceptUnread,
    EpochRetire,
    /// A retiring epoch answers no more: its grace has ended. The service's own.
    EpochSilent,
    EpochAbort,
    EpochDestroy,
    /// The signed record of an epoch that is gone was read once more.
    EpochRecord,
    RegulationActive,
    /// An act that waits for a second person.
    Propose,
    /// Its party took such an act back.
    Withdraw,
    /// Such an act was dropped: a step of its epoch made it impossible. The actor took the step.
    ProposalDrop,
    /// The care side asks for groups.
    AskGroups,
    /// A corporation's questions missed too often: its tap was closed.
    Probing,
    /// A corporation's questions passed the share of its stock from which officers are told.
    BudgetAlarm,
    /// Officers let a corporation ask again.
    TapOpen,
    /// The clock of the machine went back.
    ClockBack,
    /// It leapt ahead.
    ClockAhead,
    LogRead,
    /// The log left as files: tiles, CSV, records of another standard.
    LogExport,
    /// The contents of old entries were deleted as the regulation says.
    LogExpire,
    /// Contents are kept beyond their time.
    LogHold,
    LogHoldEnd,
    SubjectRead,
    /// The key of an epoch's pseudonyms was destroyed: no entry's contents name a household of it any more.
    SubjectKeyEnd,
    /// Another key signs the log from here on.
    LogKey,
    /// The database was copied; `entries` are those that the copy holds.
    Backup,
    /// A new key seals what is disclosed.
    DayKey,
    /// The database was put back from a backup; `entries` are those that are lost, if any are.
    Restore,
    Start,
    Stop,
}

/// How it ended. One word in JSON: `done`, `answered`, `refused:stage_too_early`, `failed:store_not_durable`. What was
/// answered is sealed, see [`super::Sealed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Outcome {
    /// Done; there was nothing to answer.
    Done,
    /// Answered.
    Answered,
    /// Refused by a rule, with the refusal's stable code.
    Refused(String),
    /// Not done for a reason of ours, with the error's stable code.
    Failed(String),
}

/// Whether the tenant agrees, as far as the corporation states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// The tenant agreed.
    Agrees,
    /// The tenant was asked and does not object.
    NoObjection,
    /// Nothing was stated.
    NotStated,
}

/// How long the caller waited for the decision. Classes, because exact times tell more than that the service is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Latency {
    #[serde(rename = "10ms")]
    Under10Ms,
    #[serde(rename = "100ms")]
    Under100Ms,
    #[serde(rename = "1s")]
    Under1S,
    #[serde(rename = "slow")]
    Slow,
}

impl Latency {
    /// The class of a duration.
    pub fn of(waited: Duration) -> Self {
        match waited.as_millis() {
            0..10 => Self::Under10Ms,
            10..100 => Self::Under100Ms,
            100..1000 => Self::Under1S,
            _ => Self::Slow,
        }
    }

    /// The class's upper bound in milliseconds; of the slowest, which has none, the lower.
    pub fn ms(self) -> u64 {
        match self {
            Self::Under10Ms => 10,
            Self::Under100Ms => 100,
            Self::Under1S | Self::Slow => 1000,
        }
    }
}

impl Outcome {
    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Done => ("done", None),
            Self::Answered => ("answered", None),
            Self::Refused(word) => ("refused", Some(word)),
            Self::Failed(word) => ("failed", Some(word)),
        }
    }

    /// The class alone: `done`, `answered`, `refused` or `failed`.
    pub fn class(&self) -> &'static str {
        self.parts().0
    }

    /// The stable code of a refusal or failure.
    pub fn code(&self) -> Option<&str> {
        self.parts().1
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (kind, None) => f.write_str(kind),
            (kind, Some(word)) => write!(f, "{kind}:{word}"),
        }
    }
}

impl FromStr for Outcome {
    type Err = AuditError;
    fn from_str(text: &str) -> Result<Self, AuditError> {
        match text.split_once(':') {
            None if text == "done" => Ok(Self::Done),
            None if text == "answered" => Ok(Self::Answered),
            Some(("refused", word)) if is_word(word) => Ok(Self::Refused(word.to_owned())),
            Some(("failed", word)) if is_word(word) => Ok(Self::Failed(word.to_owned())),
            _ => Err(AuditError::Entry("result is not one of done, answered, refused, failed")),
        }
    }
}

impl TryFrom<String> for Outcome {
    type Error = AuditError;
    fn try_from(text: String) -> Result<Self, AuditError> {
        text.parse()
    }
}

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> String {
        outcome.to_string()
    }
}

/// 1 to 64 of a-z, 0-9, hyphen and underscore.
pub(super) fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

/// Hexadecimal in lower case, of any length.
pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Article names may have capitals, dots and slashes: `4.2`, `Art-3/lid-1`.
pub(super) fn is_article(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':'))
}

/// The number that an organisation gives its own people: up to 4 letters, perhaps a hyphen, up to 16 digits. A name
/// does not fit.
pub fn is_person(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let letters = text.len() - digits.len();
    let digits = digits.strip_prefix('-').unwrap_or(digits);
    letters <= 4 && (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_survives_its_text_and_free_text_is_none() {
        for text in ["done", "answered", "refused:stage_too_early", "failed:store_not_durable"] {
            assert_eq!(text.parse::<Outcome>().unwrap().to_string(), text);
        }
        for bad in ["", "answered:priority", "refused", "refused:", "refused:Mevrouw Jansen", "told"] {
            assert!(bad.parse::<Outcome>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_person_is_a_number_and_no_name() {
        for good in ["1", "po-0042", "u123456", "abcd-1234567890123456"] {
            assert!(is_person(good), "{good}");
        }
        for bad in ["", "jansen", "p.jansen1", "jansen1", "ab-", "12a", "-", "Ab1", "12345678901234567"] {
            assert!(!is_person(bad), "{bad}");
        }
    }

    #[test]
    fn a_wait_has_one_of_four_classes() {
        let class = |ms| Latency::of(Duration::from_millis(ms));
        assert_eq!([0, 9, 10, 99].map(class)[1..3], [Latency::Under10Ms, Latency::Under100Ms]);
        assert_eq!([class(100), class(999), class(1000)], [Latency::Under1S, Latency::Under1S, Latency::Slow]);
    }
}
