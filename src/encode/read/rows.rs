//! The shape of a CSV file, whatever its columns mean: header, encoding, row length, keys.

use std::collections::HashMap;
use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};
use ring::digest::{SHA256, digest};

use super::{LineError, Problem, ReadError};
use crate::encode::keys::framed;

/// Longest value in bytes; names and addresses are far shorter.
const LONGEST: usize = 200;

/// What a kind of file has for columns.
pub(super) struct Columns {
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
    /// Whether other columns are read past instead of refused.
    pub(super) any_other: bool,
    pub(super) refuse_bsn: bool,
    /// Columns whose values together are unique; none: rows may repeat.
    pub(super) key: &'static [&'static str],
}

/// One row whose values are text.
pub(super) struct Row<'a> {
    record: &'a ByteRecord,
    at: &'a HashMap<&'static str, usize>,
    line: u64,
}

impl Row<'_> {
    /// A value without surrounding spaces; empty if the file has no such column.
    pub(super) fn text(&self, column: &str) -> String {
        let bytes = self.at.get(column).map_or(&b""[..], |&at| &self.record[at]);
        String::from_utf8_lossy(bytes).trim().to_owned()
    }

    /// A value that must be there.
    pub(super) fn needed(&self, column: &'static str) -> Result<String, LineError> {
        Some(self.text(column)).filter(|text| !text.is_empty()).ok_or_else(|| self.bad(column, Problem::Empty))
    }

    pub(super) fn bad(&self, column: &'static str, problem: Problem) -> LineError {
        LineError { line: self.line, column: Some(column), problem }
    }
}

/// Reads the header and gives the rows. Memory: one row, and 16 bytes and a line number per key.
pub(super) fn open_rows<R: Read, T, F: Fn(&Row) -> Result<T, LineError>>(
    from: R,
    name: &str,
    columns: &'static Columns,
    convert: F,
) -> Result<impl Iterator<Item = Result<T, LineError>> + use<R, T, F>, ReadError> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(from);
    let header = reader.byte_headers().map_err(|error| io_error(name, error))?.clone();
    let (names, at) = check_header(&header, name, columns)?;
    let mut seen: HashMap<[u8; 16], u64> = HashMap::new();
    let mut record = ByteRecord::new();
    let mut ended = false;
    Ok(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => {
                ended = true;
                return Some(Err(LineError { line, column: None, problem: Problem::Io }));
            }
        }
        // The reader's own position, because it skips empty lines.
        let line = record.position().map_or(line, csv::Position::line);
        let row = Row { record: &record, at: &at, line };
        Some(
            check_values(&row, &names, columns)
                .and_then(|()| check_key(&row, columns, &mut seen))
                .and_then(|()| convert(&row)),
        )
    }))
}

fn io_error(name: &str, error: csv::Error) -> ReadError {
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        _ => std::io::Error::from(std::io::ErrorKind::InvalidData),
    };
    ReadError::Io { name: name.to_owned(), source }
}

type Header = (Vec<Option<&'static str>>, HashMap<&'static str, usize>);

/// The known name of each column, and where each is.
fn check_header(header: &ByteRecord, name: &str, columns: &Columns) -> Result<Header, ReadError> {
    let name = || name.to_owned();
    if header.iter().all(<[u8]>::is_empty) {
        return Err(ReadError::Empty { name: name() });
    }
    for (byte, found) in [(b';', "semicolons"), (b'\t', "tabs"), (b'|', "vertical bars")] {
        if header.iter().any(|column| column.contains(&byte)) {
            return Err(ReadError::Delimiter { name: name(), found });
        }
    }
    let known = || columns.required.iter().chain(columns.optional).copied();
    let (mut names, mut at) = (Vec::new(), HashMap::new());
    for (position, column) in header.iter().enumerate() {
        let text = std::str::from_utf8(column).map_err(|_| ReadError::HeaderEncoding { name: name() })?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let found = known().find(|known| *known == text);
        if found.is_none() && !columns.any_other {
            let expected = known().collect::<Vec<_>>().join(", ");
            return Err(ReadError::UnknownColumn { name: name(), position: position + 1, expected });
        }
        if let Some(column) = found
            && at.insert(column, position).is_some()
        {
            return Err(ReadError::TwiceColumn { name: name(), column });
        }
        names.push(found);
    }
    match columns.required.iter().find(|column| !at.contains_key(*column)) {
        Some(column) => Err(ReadError::MissingColumn { name: name(), column }),
        None => Ok((names, at)),
    }
}

fn check_values(row: &Row, names: &[Option<&'static str>], columns: &Columns) -> Result<(), LineError> {
    let bad = |column: Option<&'static str>, problem| Err(LineError { line: row.line, column, problem });
    if let Some((_, column)) = row.record.iter().zip(names).find(|(value, _)| value.contains(&b'\n')) {
        // Before the number of values: an open quote swallows the rows behind it.
        return bad(*column, Problem::Control);
    }
    if row.record.len() != names.len() {
        return bad(None, Problem::Ragged { want: names.len(), got: row.record.len() });
    }
    for (value, column) in row.record.iter().zip(names) {
        let Ok(text) = std::str::from_utf8(value) else { return bad(*column, Problem::Encoding) };
        // C1 controls are let through: misread names have them, and normalisation repairs those.
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return bad(*column, Problem::Control);
        }
        if value.len() > LONGEST {
            return bad(*column, Problem::TooLong);
        }
        if columns.refuse_bsn && is_bsn(text.trim().as_bytes()) {
            return bad(*column, Problem::Bsn);
        }
    }
    Ok(())
}

fn check_key(row: &Row, columns: &Columns, seen: &mut HashMap<[u8; 16], u64>) -> Result<(), LineError> {
    let Some(&column) = columns.key.first() else { return Ok(()) };
    let values: Vec<String> = columns.key.iter().map(|column| row.text(column)).collect();
    let parts: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
    // A digest, so that memory does not depend on how long the custodian's ids are.
    let hash = digest(&SHA256, &framed(&parts));
    let short: [u8; 16] = hash.as_ref()[..16].try_into().expect("SHA-256 has 32 bytes");
    match seen.insert(short, row.line) {
        Some(first) => Err(row.bad(column, Problem::Duplicate { first })),
        None => Ok(()),
    }
}

/// Nine digits that pass the eleven test.
fn is_bsn(text: &[u8]) -> bool {
    if text.len() != 9 || !text.iter().all(u8::is_ascii_digit) || text == b"000000000" {
        return false;
    }
    let weights = [9, 8, 7, 6, 5, 4, 3, 2, -1];
    let sum: i32 = text.iter().zip(weights).map(|(digit, weight)| i32::from(digit - b'0') * weight).sum();
    sum % 11 == 0
}
