//! Files of codes: NDJSON, one record a line, the first one with the header in it.
//!
//! ```text
//! {"id":"..","header":{..},"codes":{"<pass>":["base64",..]},"address":"base64","household":"base64","groups":["minor"]}
//! ```
//!
//! In a file that stays with the custodian `id` is its own id and real name variants stand first; in an upload `id`
//! is the record reference and the order of variants tells nothing.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::code::{AddressToken, Code, CodeHeader, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::profile::Profile;

/// Longest line in bytes: 8 variants of two codes of 65,536 bits, in base64, and room.
const LONGEST_LINE: u64 = 1 << 18;

/// Why a file of codes cannot be read. It never repeats what the file says.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{name}, line {line}: cannot be read")]
    Read { name: String, line: u64, source: io::Error },
    #[error("{name}, line {line}, byte {byte}: no record of codes; encode the file again")]
    Shape { name: String, line: u64, byte: usize },
    #[error("{name}, line {line}: longer than any record of codes; encode the file again")]
    TooLong { name: String, line: u64 },
    #[error("{name}: the first record has no header, so nobody knows with which salt it was made; encode it again")]
    NoHeader { name: String },
    #[error("{name}, line {line}: a second header; files of codes cannot be joined")]
    SecondHeader { name: String, line: u64 },
}

/// Why a line is no record of this profile. It never repeats what the line says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("the record's id is no record reference; upload what `voorrang load` makes, not a file with own ids")]
    Id,
    #[error("the record has other passes than the profile; encode it with this profile")]
    Passes,
    #[error("pass {pass} has {got} variants where the profile has {want}")]
    Variants { pass: String, want: usize, got: usize },
    #[error("pass {pass} has a code of {got} bits where the profile has {want}")]
    Bits { pass: String, want: usize, got: usize },
    #[error("the record has no codes, and only minors may have none")]
    NoCodes,
}

/// One record of codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub id: String,
    /// In the first record of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<CodeHeader>,
    /// By the name of the pass; empty for a minor.
    pub codes: BTreeMap<String, Vec<Code>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressToken>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub household: Option<HouseholdToken>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}

impl Line {
    /// A record as a line of an upload.
    pub fn from_record(record: Record, profile: &Profile) -> Self {
        let names = profile.passes.iter().map(|pass| pass.name.clone());
        Self {
            id: STANDARD.encode(record.id.0),
            header: None,
            codes: names.zip(record.codes.passes).collect(),
            address: record.address,
            household: record.household,
            groups: record.groups,
        }
    }

    /// The record of a line of an upload.
    ///
    /// # Errors
    /// [`LineError`] if the id is no record reference or the codes are not those of the profile.
    pub fn into_record(self, profile: &Profile) -> Result<Record, LineError> {
        let id = STANDARD.decode(&self.id).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(LineError::Id)?;
        let minor = self.codes.is_empty() && self.groups.contains(&Group::Minor);
        let (address, household, groups) = (self.address, self.household, self.groups.clone());
        let codes = if minor { Codes::default() } else { self.into_codes(profile)? };
        Ok(Record { id: RecordRef(id), address, household, groups, codes })
    }

    /// The codes of a line, in the profile's order.
    ///
    /// # Errors
    /// [`LineError`] if they are not those of the profile.
    pub fn into_codes(mut self, profile: &Profile) -> Result<Codes, LineError> {
        if self.codes.is_empty() {
            return Err(LineError::NoCodes);
        }
        let mut passes = Vec::with_capacity(profile.passes.len());
        for pass in &profile.passes {
            let codes = self.codes.remove(&pass.name).ok_or(LineError::Passes)?;
            let name = || pass.name.clone();
            if ![pass.held(profile), pass.asked(profile)].contains(&codes.len()) {
                return Err(LineError::Variants { pass: name(), want: pass.held(profile), got: codes.len() });
            }
            if let Some(code) = codes.iter().find(|code| code.bits() != pass.code_bits) {
                return Err(LineError::Bits { pass: name(), want: pass.code_bits, got: code.bits() });
            }
            passes.push(codes);
        }
        if self.codes.is_empty() { Ok(Codes { passes }) } else { Err(LineError::Passes) }
    }
}

/// Writes records; the header, at the beginning of a file, into the first.
///
/// # Errors
/// Whatever writing meets.
pub fn write(
    lines: impl Iterator<Item = Line>,
    mut header: Option<&CodeHeader>,
    to: &mut impl Write,
) -> io::Result<()> {
    for mut line in lines {
        line.header = header.take().cloned();
        serde_json::to_writer(&mut *to, &line)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads records one by one; `name` is what errors call the file. After an error there is nothing more. An empty
/// file has no records.
pub fn read(from: impl BufRead, name: &str) -> impl Iterator<Item = Result<Line, FileError>> {
    let mut lines = Lines { from, name: name.to_owned(), line: 0 };
    let mut failed = false;
    std::iter::from_fn(move || {
        let next = if failed { None } else { lines.next() };
        failed = matches!(next, Some(Err(_)));
        next
    })
}

struct Lines<R> {
    from: R,
    name: String,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Option<Result<Line, FileError>> {
        let mut bytes = Vec::new();
        self.line += 1;
        let (line, name) = (self.line, || self.name.clone());
        match self.from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(source) => return Some(Err(FileError::Read { name: name(), line, source })),
        }
        if bytes.len() as u64 == LONGEST_LINE && !bytes.ends_with(b"\n") {
            return Some(Err(FileError::TooLong { name: name(), line }));
        }
        // The parser's own message could repeat what stands there.
        let read: Result<Line, _> = serde_json::from_slice(&bytes);
        Some(match read {
            Err(error) => Err(FileError::Shape { name: name(), line, byte: error.column() }),
            Ok(record) if line == 1 && record.header.is_none() => Err(FileError::NoHeader { name: name() }),
            Ok(record) if line > 1 && record.header.is_some() => Err(FileError::SecondHeader { name: name(), line }),
            Ok(record) => Ok(record),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> CodeHeader {
        let text = |text: &str| text.to_owned();
        let epoch = "haarlem-1".parse().unwrap();
        CodeHeader { epoch, profile: text("p"), schema_hash: text("00"), key_check: text("11") }
    }

    /// A line of the shipped profile; its `home` pass has this many codes of this many bits.
    fn line(bits: usize, variants: usize) -> Line {
        let profile = Profile::built_in();
        let codes = |bits: usize, count| vec![Code::from(vec![7; bits / 64]); count];
        let mut passes: BTreeMap<_, _> =
            profile.passes.iter().map(|pass| (pass.name.clone(), codes(pass.code_bits, pass.held(&profile)))).collect();
        passes.insert("home".into(), codes(bits, variants));
        Line {
            id: STANDARD.encode([3; 16]),
            header: None,
            codes: passes,
            address: None,
            household: None,
            groups: Vec::new(),
        }
    }

    fn written(count: usize) -> String {
        let mut bytes = Vec::new();
        write(std::iter::repeat_n(line(1536, 2), count), Some(&header()), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn read_error(text: &str) -> FileError {
        let mut results: Vec<_> = read(text.as_bytes(), "codes.ndjson").collect();
        results.pop().unwrap().unwrap_err()
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        let good = written(2);
        let second = good.lines().nth(1).unwrap();
        let unknown = good.replacen("{\"id\"", "{\"surname\":\"Geheim\",\"id\"", 1);
        let error = read_error(&unknown);
        assert!(matches!(error, FileError::Shape { line: 1, .. }) && !error.to_string().contains("Geheim"));
        assert!(matches!(read_error(&good[..good.len() - 9]), FileError::Shape { line: 2, .. }));
        assert!(matches!(read_error(second), FileError::NoHeader { .. }));
        assert!(matches!(read_error(&good.repeat(2)), FileError::SecondHeader { line: 3, .. }));
        assert!(matches!(read_error(&" ".repeat(1 << 19)), FileError::TooLong { line: 1, .. }));
        assert!(read("".as_bytes(), "codes.ndjson").next().is_none());
    }

    #[test]
    fn a_line_of_another_profile_is_refused() {
        let profile = Profile::built_in();
        let refused = |line: Line| line.into_codes(&profile).unwrap_err();
        assert!(line(1536, 2).into_codes(&profile).is_ok());
        assert!(matches!(refused(line(1024, 2)), LineError::Bits { want: 1536, got: 1024, .. }));
        assert!(matches!(refused(line(1536, 1)), LineError::Variants { want: 2, got: 1, .. }));
        let mut less = line(1536, 2);
        less.codes.remove("home");
        assert_eq!(refused(less), LineError::Passes);
        let mut more = line(1536, 2);
        more.codes.insert("extra".into(), Vec::new());
        assert_eq!(refused(more), LineError::Passes);
    }

    #[test]
    fn only_minors_have_no_codes() {
        let profile = Profile::built_in();
        let none = Line { codes: BTreeMap::new(), ..line(1536, 2) };
        let minor = Line { groups: vec![Group::Minor], ..none.clone() };
        assert_eq!(none.into_record(&profile), Err(LineError::NoCodes));
        assert!(minor.into_record(&profile).is_ok());
        let own_id = Line { id: "P00000001".into(), ..line(1536, 2) };
        assert_eq!(own_id.into_record(&profile), Err(LineError::Id));
    }
}
