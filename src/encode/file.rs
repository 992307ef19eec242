//! Files of codes: NDJSON, one record a line, the first one with the header in it.
//!
//! ```text
//! {"id":"..","header":{..,"mac":"base64"},"codes":{"<pass>":["base64",..]},"address":"base64","household":"base64","groups":["minor"]}
//! ```
//!
//! In a file that stays with the custodian `id` is its own id and real name variants stand first; in an upload `id`
//! is the record reference and the order of variants tells nothing.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{CodesOf, authentic};
use crate::code::{AddressToken, Code, CodeHeader, Codes, Group, HouseholdToken, Record, RecordRef};
use crate::profile::{Pass, Profile};

/// Longest line in bytes: 8 variants of two codes of 65,536 bits, in base64, and room.
pub(super) const LONGEST_LINE: u64 = 1 << 18;

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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub id: String,
    /// In the first record of a file. Whether its MAC fits says [`super::authentic::check`].
    #[serde(default, deserialize_with = "authentic::header")]
    pub header: Option<CodeHeader>,
    /// By the name of the pass; empty for a minor.
    pub codes: BTreeMap<String, Vec<Code>>,
    #[serde(default)]
    pub address: Option<AddressToken>,
    #[serde(default)]
    pub household: Option<HouseholdToken>,
    #[serde(default)]
    pub groups: Vec<Group>,
}

impl Line {
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

/// Writes records as lines. By hand and not by serde: nearly all of a line is base64, which needs no escaping, and a
/// register has a hundred thousand lines and more.
pub struct Writer {
    /// In JSON.
    passes: Vec<Vec<u8>>,
}

impl Writer {
    /// For records of this profile.
    pub fn new(profile: &Profile) -> Self {
        let name = |pass: &Pass| {
            let mut name = Vec::new();
            json(&pass.name, &mut name);
            name
        };
        Self { passes: profile.passes.iter().map(name).collect() }
    }

    /// Appends the line of a record under an id that is its own, or the reference that uploads have; the first line of
    /// a file has the header.
    pub fn line(&self, id: Option<&str>, header: Option<&CodeHeader>, record: &Record, to: &mut Vec<u8>) {
        let codes = record.codes.passes.iter().map(|codes| codes.iter().map(Code::words));
        self.write(id, header, record, codes, to);
    }

    /// As [`Writer::line`], of a record whose codes are beside it.
    pub fn line_of(
        &self,
        id: Option<&str>,
        header: Option<&CodeHeader>,
        (record, codes): (&Record, CodesOf<'_>),
        to: &mut Vec<u8>,
    ) {
        self.write(id, header, record, codes.passes(), to);
    }

    fn write<'a>(
        &self,
        id: Option<&str>,
        header: Option<&CodeHeader>,
        record: &Record,
        codes: impl Iterator<Item = impl Iterator<Item = &'a [u64]>>,
        to: &mut Vec<u8>,
    ) {
        to.extend(b"{\"id\":");
        match id {
            Some(id) => json(&id, to),
            None => quoted(&record.id.0, to),
        }
        if let Some(header) = header {
            to.extend(b",\"header\":");
            json(header, to);
            // The file's own MAC takes its place when the file is whole.
            to.pop();
            to.extend(b",\"mac\":\"");
            to.extend(authentic::NO_MAC.as_bytes());
            to.extend(b"\"}");
        }
        to.extend(b",\"codes\":{");
        for (at, (name, codes)) in self.passes.iter().zip(codes).enumerate() {
            if at > 0 {
                to.push(b',');
            }
            to.extend(name);
            to.extend(b":[");
            for (at, code) in codes.enumerate() {
                if at > 0 {
                    to.push(b',');
                }
                quoted_words(code, to);
            }
            to.push(b']');
        }
        to.push(b'}');
        if let Some(AddressToken(token)) = &record.address {
            to.extend(b",\"address\":");
            quoted(token, to);
        }
        if let Some(HouseholdToken(token)) = &record.household {
            to.extend(b",\"household\":");
            quoted(token, to);
        }
        if !record.groups.is_empty() {
            to.extend(b",\"groups\":");
            json(&record.groups, to);
        }
        to.extend(b"}\n");
    }
}

fn json(value: &impl Serialize, to: &mut Vec<u8>) {
    serde_json::to_writer(to, value).expect("text and lists of words can be written into memory");
}

fn quoted(bytes: &[u8], to: &mut Vec<u8>) {
    to.push(b'"');
    base64(bytes, to);
    to.push(b'"');
}

/// Words of a code that become base64 at a time: a multiple of three, so that only the last ones want padding.
const PIECE: usize = 24;

fn quoted_words(words: &[u64], to: &mut Vec<u8>) {
    to.push(b'"');
    for piece in words.chunks(PIECE) {
        let mut bytes = [0; PIECE * 8];
        bytes.as_chunks_mut().0.iter_mut().zip(piece).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
        base64(&bytes[..piece.len() * 8], to);
    }
    to.push(b'"');
}

fn base64(bytes: &[u8], to: &mut Vec<u8>) {
    let begin = to.len();
    to.resize(begin + bytes.len().div_ceil(3) * 4, 0);
    STANDARD.encode_slice(bytes, &mut to[begin..]).expect("there is room for four signs of three bytes");
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
        let profile = Profile::built_in();
        let record = line(512, 2).into_record(&profile).unwrap();
        let (writer, header, mut bytes) = (Writer::new(&profile), header(), Vec::new());
        for at in 0..count {
            writer.line(None, (at == 0).then_some(&header), &record, &mut bytes);
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let profile = Profile::built_in();
        let record = line(512, 2).into_record(&profile).unwrap();
        let whole = Record {
            address: Some(AddressToken([1; 16])),
            household: Some(HouseholdToken([2; 16])),
            groups: vec![Group::Senior, Group::Oggz],
            ..record.clone()
        };
        let minor = Record { groups: vec![Group::Minor], codes: Codes::default(), ..record.clone() };
        let (writer, header, mut bytes) = (Writer::new(&profile), header(), Vec::new());
        writer.line(None, Some(&header), &record, &mut bytes);
        writer.line(None, None, &whole, &mut bytes);
        writer.line(None, None, &minor, &mut bytes);
        writer.line(Some("own \"id\", \u{e9}"), None, &whole, &mut bytes);
        let mut lines: Vec<Line> = read(&bytes[..], "codes.ndjson").collect::<Result<_, _>>().unwrap();
        let own = lines.pop().unwrap();
        assert!(own.id == "own \"id\", \u{e9}" && own.into_codes(&profile).unwrap() == whole.codes);
        assert_eq!(lines[0].header, Some(header));
        let records: Vec<Record> = lines.into_iter().map(|line| line.into_record(&profile).unwrap()).collect();
        assert_eq!(records, [record, whole, minor]);
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
        assert!(line(512, 2).into_codes(&profile).is_ok());
        assert!(matches!(refused(line(1024, 2)), LineError::Bits { want: 512, got: 1024, .. }));
        assert!(matches!(refused(line(512, 1)), LineError::Variants { want: 2, got: 1, .. }));
        let mut less = line(512, 2);
        less.codes.remove("home");
        assert_eq!(refused(less), LineError::Passes);
        let mut more = line(512, 2);
        more.codes.insert("extra".into(), Vec::new());
        assert_eq!(refused(more), LineError::Passes);
    }

    #[test]
    fn only_minors_have_no_codes() {
        let profile = Profile::built_in();
        let none = Line { codes: BTreeMap::new(), ..line(512, 2) };
        let minor = Line { groups: vec![Group::Minor], ..none.clone() };
        assert_eq!(none.into_record(&profile), Err(LineError::NoCodes));
        assert!(minor.into_record(&profile).is_ok());
        let own_id = Line { id: "P00000001".into(), ..line(512, 2) };
        assert_eq!(own_id.into_record(&profile), Err(LineError::Id));
    }
}
