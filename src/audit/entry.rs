//! One entry of the access log, in one spelling. The fields are the six of BIO2 8.15.01 (action, object, result,
//! origin, actor, time) and those of NEN 7513 that exist here; no name, date of birth, address, code or case text has a
//! place. `docs/access-log.md` maps each field to both standards.

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::AuditError;
use super::seal::{DayKeyFile, Sealed};
use super::words::{Action, Consent, Latency, Outcome, is_article, is_hex, is_person, is_word};
use crate::ids::{EpochId, Oin, ProposalId, Purpose, RegulationId, TraceId};

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
    pub consent: Option<Consent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regulation: Option<RegulationRef>,
    /// Names of the articles that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub articles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<EpochId>,
    /// Which act waits for a second person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Action>,
    /// The proposal, of who makes it and who confirms it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<ProposalId>,
    /// Which entries of the log were read, exported or expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<Range>,
    /// Which of them exactly, in order, where others lie in between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Range>,
    pub result: Outcome,
    /// Absent where nobody waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How many events alike this entry stands for; absent means one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What was disclosed, for the officers only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// The key of later entries' `sealed`, wrapped for the officers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_key: Option<DayKeyFile>,
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
    /// The number that the organisation gives the person who acted, from the certificate; absent where a system acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// For example `corporation` or `service`.
    pub role: String,
}

impl Actor {
    /// The service itself.
    pub fn service() -> Self {
        Self { oin: None, certificate: String::new(), person: None, role: "service".into() }
    }
}

/// Entries `from` up to and without `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub from: u64,
    pub to: u64,
}

/// The regulation that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegulationRef {
    pub id: RegulationId,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
}

impl Entry {
    /// An entry with these fields, a fresh salt and no others.
    ///
    /// # Panics
    /// Never for years of four digits.
    pub fn new(now: OffsetDateTime, trace_id: TraceId, actor: Actor, action: Action, result: Outcome) -> Self {
        let now = now.to_offset(UtcOffset::UTC).truncate_to_millisecond();
        Self {
            v: 1,
            time: now.format(&Rfc3339).expect("a year of four digits has this form"),
            trace_id,
            actor,
            action,
            object: None,
            purpose: None,
            stage: None,
            consent: None,
            regulation: None,
            articles: Vec::new(),
            epoch: None,
            proposed: None,
            proposal: None,
            entries: None,
            parts: Vec::new(),
            result,
            latency: None,
            count: None,
            sealed: None,
            day_key: None,
            salt: Self::fresh_salt(),
        }
    }

    /// Says whose contents were deleted: ranges in order, none empty, with others in between.
    pub fn deleted(&mut self, ranges: &[Range]) {
        let ends = ranges.first().zip(ranges.last());
        self.entries = ends.map(|(first, last)| Range { from: first.from, to: last.to });
        self.parts = if ranges.len() > 1 { ranges.to_vec() } else { Vec::new() };
        let count: u64 = ranges.iter().map(|range| range.to - range.from).sum();
        self.count = u32::try_from(count).ok().filter(|count| *count > 1);
    }

    /// The ranges of entries that this one is about.
    pub fn ranges(&self) -> &[Range] {
        if self.parts.is_empty() { self.entries.as_slice() } else { &self.parts }
    }

    /// When it was made; `None` if the time breaks its form.
    pub fn moment(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(&self.time, &Rfc3339).ok()
    }

    /// 16 fresh random bytes for [`Entry::salt`], hexadecimal.
    ///
    /// # Panics
    /// If the operating system has no randomness: nothing safe can be done then.
    pub fn fresh_salt() -> String {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).expect("the system's random generator answers");
        hex::encode(bytes)
    }

    /// The canonical text, whose bytes the leaf hash covers.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("an entry has text keys and finite numbers only")
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_text().into_bytes()
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
        require(self.actor.person.as_deref().is_none_or(is_person), "person is no number of a member of staff")?;
        require(is_word(&self.actor.role), "role is no word of a-z, 0-9, hyphen and underscore")?;
        require(
            self.object.as_deref().is_none_or(|o| (16..=64).contains(&o.len()) && is_hex(o)),
            "object is no pseudonym",
        )?;
        require(self.stage.is_none_or(|s| (0.0..=1200.0).contains(&s)), "stage is no number of months")?;
        let digest = self.regulation.as_ref().map(|r| r.digest.as_str());
        require(digest.is_none_or(|d| d.len() == 64 && is_hex(d)), "regulation digest is no SHA-256")?;
        require(self.articles.len() <= 64 && self.articles.iter().all(|a| is_article(a)), "articles are no names")?;
        require(self.entries.is_none_or(|range| range.from <= range.to), "range of entries ends before it begins")?;
        require(self.has_sound_parts(), "parts are no ranges in order from the first to the last entry")?;
        require(self.count.is_none_or(|count| count > 1), "count is below 2")?;
        require(self.sealed.as_ref().is_none_or(Sealed::is_sound), "sealed part has not its form")?;
        require(self.day_key.as_ref().is_none_or(DayKeyFile::is_sound), "wrapped key has not its form")?;
        require(self.result.code().is_none_or(is_word), "result is no word of a-z, 0-9, hyphen and underscore")?;
        require(self.salt.len() == 32 && is_hex(&self.salt), "salt is not 16 bytes in hexadecimal")
    }

    fn has_sound_parts(&self) -> bool {
        let ends = self.parts.first().zip(self.parts.last());
        let ends = ends.map(|(first, last)| Range { from: first.from, to: last.to });
        let in_order = self.parts.windows(2).all(|pair| pair[0].to < pair[1].from);
        let are_ranges = self.parts.iter().all(|part| part.from < part.to);
        self.parts.is_empty() || self.parts.len() > 1 && in_order && are_ranges && self.entries == ends
    }
}

/// More digits than these would be a way to tell households apart, and to lose the one spelling.
fn hundredths<S: Serializer>(months: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    months.map(|m| (m * 100.0).round() / 100.0).serialize(to)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    pub(crate) fn sample() -> Entry {
        let actor = Actor {
            oin: Some("00000099000000001000".parse().unwrap()),
            certificate: "ab".repeat(32),
            person: None,
            role: "corporation".into(),
        };
        let trace = "00112233445566778899aabbccddeeff".parse().unwrap();
        Entry {
            object: Some("0f".repeat(16)),
            purpose: Some("eviction-prevention".parse().unwrap()),
            stage: Some(2.5),
            consent: Some(Consent::NoObjection),
            regulation: Some(RegulationRef { id: "haarlem".parse().unwrap(), digest: "cd".repeat(32) }),
            articles: vec!["article-4".into()],
            epoch: Some("haarlem-2026-1".parse().unwrap()),
            latency: Some(Latency::Under10Ms),
            sealed: Some(Sealed { key: "ef".repeat(8), text: "A".repeat(104) }),
            salt: "01".repeat(16),
            ..Entry::new(datetime!(2026-11-02 9:30 UTC), trace, actor, Action::Ask, Outcome::Answered)
        }
    }

    #[test]
    fn an_entry_has_this_spelling() {
        let want = format!(
            concat!(
                r#"{{"v":1,"time":"2026-11-02T09:30:00Z","traceId":"00112233445566778899aabbccddeeff","#,
                r#""actor":{{"oin":"00000099000000001000","certificate":"{}","role":"corporation"}},"action":"ask","#,
                r#""object":"{}","purpose":"eviction-prevention","stage":2.5,"consent":"no-objection","#,
                r#""regulation":{{"id":"haarlem","digest":"{}"}},"articles":["article-4"],"epoch":"haarlem-2026-1","#,
                r#""result":"answered","latency":"10ms","sealed":{{"key":"{}","text":"{}"}},"salt":"{}"}}"#
            ),
            "ab".repeat(32),
            "0f".repeat(16),
            "cd".repeat(32),
            "ef".repeat(8),
            "A".repeat(104),
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
        let changes: [fn(&mut Entry); 12] = [
            |e| e.object = Some("Jansen, 1980-02-03".into()),
            |e| e.articles = vec!["mevrouw Jansen".into()],
            |e| e.result = Outcome::Refused("Jansen is bekend".into()),
            |e| e.actor.role = "Piet de Vries".into(),
            |e| e.actor.certificate = "Jansen".into(),
            |e| e.actor.person = Some("jansen".into()),
            |e| e.sealed = Some(Sealed { key: "ef".repeat(8), text: "Jansen".into() }),
            |e| e.day_key = Some(DayKeyFile { id: "Jansen".into(), file: String::new() }),
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
    fn parts_lie_in_order_in_their_range() {
        let range = |from, to| Range { from, to };
        let check = |entries, parts: &[Range]| Entry { entries, parts: parts.to_vec(), ..sample() }.check().is_ok();
        assert!(check(Some(range(2, 9)), &[]) && check(Some(range(2, 9)), &[range(2, 4), range(5, 9)]));
        for bad in [
            [range(2, 4), range(5, 8)],
            [range(3, 4), range(5, 9)],
            [range(2, 4), range(4, 9)],
            [range(2, 6), range(5, 9)],
            [range(2, 2), range(5, 9)],
        ] {
            assert!(!check(Some(range(2, 9)), &bad), "{bad:?}");
        }
        assert!(!check(Some(range(2, 9)), &[range(2, 9)]) && !check(None, &[range(2, 4), range(5, 9)]));
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
