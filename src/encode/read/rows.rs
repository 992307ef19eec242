//! The shape of a CSV file, whatever its columns mean: header, encoding, row length, keys.

use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};
use foldhash::HashMap;

use super::lines::LineFeeds;
use super::value::{Keys, check_text, is_bsn, is_plain, today};
use super::{LineError, Problem, ReadError};
use crate::encode::{BirthDate, Dates};

/// What a kind of file has for columns.
pub(super) struct Columns {
    pub(super) required: &'static [&'static str],
    pub(super) optional: &'static [&'static str],
    /// Whether other columns are read past instead of refused.
    pub(super) any_other: bool,
    pub(super) refuse_bsn: bool,
    /// Whether a year of birth may have two digits.
    pub(super) short_years: bool,
    /// Columns whose values together are unique; none: rows may repeat.
    pub(super) key: &'static [&'static str],
}

/// One row whose values are text.
pub(super) struct Row<'a> {
    record: &'a StringRecord,
    at: &'a HashMap<&'static str, usize>,
    line: u64,
    dates: Dates,
}

impl Row<'_> {
    /// A value without surrounding spaces; empty if the file has no such column.
    pub(super) fn text(&self, column: &str) -> &str {
        self.at.get(column).map_or("", |&at| &self.record[at]).trim()
    }

    /// A value that must be there.
    pub(super) fn needed(&self, column: &'static str) -> Result<&str, LineError> {
        Some(self.text(column)).filter(|text| !text.is_empty()).ok_or_else(|| self.bad(column, Problem::Empty))
    }

    /// A date of birth.
    pub(super) fn birth(&self, column: &'static str) -> Result<BirthDate, LineError> {
        self.dates.birth(self.text(column)).map_err(|error| self.bad(column, error.into()))
    }

    pub(super) fn bad(&self, column: &'static str, problem: Problem) -> LineError {
        LineError { line: self.line, column: Some(column), problem }
    }
}

/// Reads the header and gives the rows.
pub(super) fn open_rows<R: Read, T, F: Fn(&Row) -> Result<T, LineError>>(
    from: R,
    name: &str,
    columns: &'static Columns,
    convert: F,
) -> Result<impl Iterator<Item = Result<T, LineError>> + use<R, T, F>, ReadError> {
    Ok(Open::new(from, name, columns)?.rows(convert))
}

/// A file of which the header was read.
pub(super) struct Open<R> {
    reader: Reader<LineFeeds<R>>,
    columns: &'static Columns,
    names: Vec<Option<&'static str>>,
    at: HashMap<&'static str, usize>,
}

impl<R: Read> Open<R> {
    pub(super) fn new(from: R, name: &str, columns: &'static Columns) -> Result<Self, ReadError> {
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(LineFeeds::new(from));
        let header = reader.byte_headers().map_err(|error| io_error(name, error))?.clone();
        let (names, at) = check_header(&header, name, columns)?;
        Ok(Self { reader, columns, names, at })
    }

    /// Whether it has this column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.at.contains_key(column)
    }

    /// Its rows. Memory: one row, and 16 bytes and a line number per key.
    pub(super) fn rows<T, F>(self, convert: F) -> impl Iterator<Item = Result<T, LineError>> + use<R, T, F>
    where
        F: Fn(&Row) -> Result<T, LineError>,
    {
        let Self { mut reader, columns, names, at } = self;
        let mut seen = Keys::default();
        let mut record = ByteRecord::new();
        let mut ended = false;
        let dates = if columns.short_years { Dates::of_list(today()) } else { Dates::of_register(today()) };
        std::iter::from_fn(move || {
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
            let text = match text(std::mem::take(&mut record), &names, line) {
                Ok(text) => text,
                Err(error) => return Some(Err(error)),
            };
            let row = Row { record: &text, at: &at, line, dates };
            let converted = check_values(&row, &names, columns)
                .and_then(|()| check_key(&row, columns, &mut seen))
                .and_then(|()| convert(&row));
            record = text.into_byte_record();
            Some(converted)
        })
    }
}

/// A row as text.
fn text(record: ByteRecord, names: &[Option<&'static str>], line: u64) -> Result<StringRecord, LineError> {
    StringRecord::from_byte_record(record).map_err(|error| {
        let at = error.utf8_error().field();
        LineError { line, column: names.get(at).copied().flatten(), problem: Problem::Encoding }
    })
}

pub(super) fn io_error(name: &str, error: csv::Error) -> ReadError {
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
    let (mut names, mut at) = (Vec::new(), HashMap::default());
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
    // Nearly every row: looked through once, and not value by value.
    if row.record.len() == names.len() && !columns.refuse_bsn && is_plain(row.record.as_slice()) {
        return Ok(());
    }
    let bad = |column: Option<&'static str>, problem| Err(LineError { line: row.line, column, problem });
    if let Some((_, column)) = row.record.iter().zip(names).find(|(value, _)| value.contains('\n')) {
        // Before the number of values: an open quote swallows the rows behind it.
        return bad(*column, Problem::Control);
    }
    if row.record.len() != names.len() {
        return bad(None, Problem::Ragged { want: names.len(), got: row.record.len() });
    }
    for (text, column) in row.record.iter().zip(names) {
        if let Err(problem) = check_text(text) {
            return bad(*column, problem);
        }
        if columns.refuse_bsn && is_bsn(text) {
            return bad(*column, Problem::Bsn);
        }
    }
    Ok(())
}

fn check_key(row: &Row, columns: &Columns, seen: &mut Keys) -> Result<(), LineError> {
    let Some(&column) = columns.key.first() else { return Ok(()) };
    let parts = columns.key.iter().map(|column| row.text(column));
    seen.add(parts, row.line).map_err(|first| row.bad(column, Problem::Duplicate { first }))
}
