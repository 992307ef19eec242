//! One entry of the access log, in one spelling. The fields are the six of BIO2 8.15.01 (action, object, result,
//! origin, actor, time) and those of NEN 7513 that exist here; no name, date, address, code or case text has a place.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::AuditError;
use crate::ids::{EpochId, Oin, Purpose, RegulationId, TraceId};

/// Longest entry: a tile of c2sp.org/tlog-tiles gives its length 16 bits.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// Who did what, about whom (a keyed pseudonym), why, by which rule, and with which result.
///
/// The bytes are JSON with the fields in this order and absent ones left out: one entry has one spelling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Version of this format, 1.
    pub v: u8,
    /// RFC 3339 in UTC, ending in `Z`.
    pub time: String,
    pub trace_id: TraceId,
    pub actor: Actor,
    pub action: Action,
    /// The keyed pseudonym of the subject, hexadecimal in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Months of arrears, kept to hundredths.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "hundredths")]
    pub stage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regulation: Option<RegulationRef>,
    /// Names of the articles that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub articles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<EpochId>,
    pub result: Outcome,
    /// 16 random bytes, hexadecimal: without them a leaf hash could be guessed from the few possible entries.
    pub salt: String,
}

/// Who acted: an organisation and its certificate, or the service itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oin: Option<Oin>,
    /// SHA-256 of the client certificate, hexadecimal; empty where the service itself acted.
    pub certificate: String,
    /// For example `corporation` or `service`.
    pub role: String,
}

/// The regulation that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegulationRef {
    pub id: RegulationId,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
}

/// What was done or tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Ask,
    Load,
    LoadAbort,
    Stock,
    EpochAnnounce,
    EpochContribute,
    EpochFetch,
    EpochActivate,
    EpochRetire,
    EpochDestroy,
    RegulationActive,
    LogRead,
    SubjectRead,
    Start,
    Stop,
}

/// How it ended. One word in JSON: `done`, `answered:priority`, `refused:stage_too_early`, `failed:store_not_durable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Outcome {
    /// Done; there was nothing to answer.
    Done,
    /// Answered, with the class of the answer.
    Answered(String),
    /// Refused by a rule, with the refusal's stable code.
    Refused(String),
    /// Not done for a reason of ours, with the error's stable code.
    Failed(String),
}

impl Entry {
    /// 16 fresh random bytes for [`Entry::salt`], hexadecimal.
    ///
    /// # Panics
    /// If the operating system has no randomness: nothing safe can be done then.
    pub fn fresh_salt() -> String {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).expect("the system's random generator answers");
        hex::encode(bytes)
    }

    /// The canonical bytes, which the leaf hash covers.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry has text keys and finite numbers only")
    }

    /// Reads canonical bytes; any other spelling of the same entry is refused.
    ///
    /// # Errors
    /// [`AuditError::Entry`], which says what is wrong and never what it says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AuditError> {
        let entry: Self = serde_json::from_slice(bytes).map_err(|_| AuditError::Entry("text is not in its format"))?;
        entry.check()?;
        if entry.to_bytes() == bytes { Ok(entry) } else { Err(AuditError::Entry("text is not the canonical spelling")) }
    }

    /// Whether every field keeps its form, so that free text cannot slip into the log.
    ///
    /// # Errors
    /// [`AuditError::Entry`] naming the field.
    pub fn check(&self) -> Result<(), AuditError> {
        let require = |holds: bool, what| if holds { Ok(()) } else { Err(AuditError::Entry(what)) };
        let time = OffsetDateTime::parse(&self.time, &Rfc3339);
        require(self.v == 1, "version is not 1")?;
        require(time.is_ok() && self.time.ends_with('Z'), "time is not RFC 3339 in UTC")?;
        require(matches!(self.actor.certificate.len(), 0 | 64), "certificate is no SHA-256")?;
        require(is_hex(&self.actor.certificate), "certificate is not hexadecimal")?;
        require(is_word(&self.actor.role), "role is no word of a-z, 0-9, hyphen and underscore")?;
        require(
            self.object.as_deref().is_none_or(|o| (16..=64).contains(&o.len()) && is_hex(o)),
            "object is no pseudonym",
        )?;
        require(self.stage.is_none_or(|s| (0.0..=1200.0).contains(&s)), "stage is no number of months")?;
        let digest = self.regulation.as_ref().map(|r| r.digest.as_str());
        require(digest.is_none_or(|d| d.len() == 64 && is_hex(d)), "regulation digest is no SHA-256")?;
        require(self.articles.len() <= 64 && self.articles.iter().all(|a| is_article(a)), "articles are no names")?;
        require(self.result.word().is_none_or(is_word), "result is no word of a-z, 0-9, hyphen and underscore")?;
        require(self.salt.len() == 32 && is_hex(&self.salt), "salt is not 16 bytes in hexadecimal")
    }
}

impl Outcome {
    fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Done => ("done", None),
            Self::Answered(word) => ("answered", Some(word)),
            Self::Refused(word) => ("refused", Some(word)),
            Self::Failed(word) => ("failed", Some(word)),
        }
    }

    fn word(&self) -> Option<&str> {
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
            Some(("answered", word)) if is_word(word) => Ok(Self::Answered(word.to_owned())),
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

/// More digits than these would be a way to tell households apart, and to lose the one spelling.
fn hundredths<S: Serializer>(months: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    months.map(|m| (m * 100.0).round() / 100.0).serialize(to)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

/// Article names may have capitals, dots and slashes: `4.2`, `Art-3/lid-1`.
fn is_article(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn sample() -> Entry {
        Entry {
            v: 1,
            time: "2026-11-02T09:30:00Z".into(),
            trace_id: "00112233445566778899aabbccddeeff".parse().unwrap(),
            actor: Actor {
                oin: Some("00000099000000001000".parse().unwrap()),
                certificate: "ab".repeat(32),
                role: "corporation".into(),
            },
            action: Action::Ask,
            object: Some("0f".repeat(16)),
            purpose: Some("eviction-prevention".parse().unwrap()),
            stage: Some(2.5),
            regulation: Some(RegulationRef { id: "haarlem".parse().unwrap(), digest: "cd".repeat(32) }),
            articles: vec!["article-4".into()],
            epoch: Some("haarlem-2026-1".parse().unwrap()),
            result: Outcome::Answered("priority".into()),
            salt: "01".repeat(16),
        }
    }

    #[test]
    fn an_entry_has_this_spelling() {
        let want = format!(
            concat!(
                r#"{{"v":1,"time":"2026-11-02T09:30:00Z","traceId":"00112233445566778899aabbccddeeff","#,
                r#""actor":{{"oin":"00000099000000001000","certificate":"{}","role":"corporation"}},"action":"ask","#,
                r#""object":"{}","purpose":"eviction-prevention","stage":2.5,"regulation":{{"id":"haarlem","digest":"{}"}},"#,
                r#""articles":["article-4"],"epoch":"haarlem-2026-1","result":"answered:priority","salt":"{}"}}"#
            ),
            "ab".repeat(32),
            "0f".repeat(16),
            "cd".repeat(32),
            "01".repeat(16)
        );
        assert_eq!(String::from_utf8(sample().to_bytes()).unwrap(), want);
        assert_eq!(Entry::from_bytes(want.as_bytes()), Ok(sample()));
    }

    #[test]
    fn another_spelling_is_refused() {
        let good = String::from_utf8(sample().to_bytes()).unwrap();
        for bad in [
            good.replace(r#""v":1,"#, r#""v": 1,"#),
            good.replace("2.5", "2.50"),
            good.replace(r#""salt""#, r#""note":"x","salt""#),
            good.replace(r#""v":1,"#, ""),
            good.replace(r#""v":1,"#, r#""v":1,"v":1,"#),
            good[..good.len() - 1].to_owned(),
        ] {
            assert!(matches!(Entry::from_bytes(bad.as_bytes()), Err(AuditError::Entry(_))), "{bad}");
        }
    }

    #[test]
    fn free_text_has_no_place_in_an_entry() {
        let changes: [fn(&mut Entry); 9] = [
            |e| e.object = Some("Jansen, 1980-02-03".into()),
            |e| e.articles = vec!["mevrouw Jansen".into()],
            |e| e.result = Outcome::Refused("Jansen is bekend".into()),
            |e| e.actor.role = "Piet de Vries".into(),
            |e| e.actor.certificate = "Jansen".into(),
            |e| e.time = "yesterday".into(),
            |e| e.time = "2026-11-02T09:30:00+01:00".into(),
            |e| e.salt = "00".into(),
            |e| e.stage = Some(f64::NAN),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut entry = sample();
            change(&mut entry);
            let error = entry.check().expect_err(&format!("change {at}"));
            assert!(!error.to_string().contains("Jansen"));
        }
    }

    #[test]
    fn equal_acts_have_different_leaves() {
        let salted = || Entry { salt: Entry::fresh_salt(), ..sample() }.to_bytes();
        assert_ne!(salted(), salted());
    }

    proptest! {
        #[test]
        fn an_entry_survives_its_bytes(months in prop::option::of(0.0..1200.0_f64), word in "[a-z_]{1,20}", object: Option<[u8; 16]>) {
            let entry = Entry { stage: months, result: Outcome::Refused(word), object: object.map(hex::encode), ..sample() };
            let bytes = entry.to_bytes();
            prop_assert_eq!(Entry::from_bytes(&bytes).unwrap().to_bytes(), bytes);
        }

        #[test]
        fn bytes_that_are_no_entry_never_panic(bytes: Vec<u8>) {
            prop_assert!(Entry::from_bytes(&bytes).is_err());
        }
    }
}
