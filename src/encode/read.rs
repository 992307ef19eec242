//! Custodians' files: their own CSV, and what registers and corporations' systems export ([`Format`]). Rows come one
//! by one; the functions that return all rows report up to twenty bad lines at once, and return nothing if there is
//! one. No error ever repeats a value.

mod arrears;
mod brp;
mod chunks;
mod formats;
mod gbav;
mod json;
mod lines;
mod own;
mod register;
mod rows;
mod tally;
mod value;
mod vera;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{Address, BadAddress, BadDate, Person, Sex, Tenant};
pub use arrears::{Household, arrears, arrears_from, households};
pub use chunks::Chunks;
pub use formats::{Format, Unreadable, care_members_in, fields, residents_in, tenants_in};
pub use own::{care_members, care_members_from, resident_chunks, residents};
pub use register::{Element, LeftOut, Listed, Restricted};
use rows::{Columns, Row, open_rows};
use tally::Tally;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{name}: cannot be opened or read")]
    Io { name: String, source: io::Error },
    #[error("{name}: has no header line; export it again with column names")]
    Empty { name: String },
    #[error("{name}: has a header and no rows; nothing is done with an empty file")]
    NoRows { name: String },
    #[error("{name}: has no records; nothing is done with an empty file")]
    NoRecords { name: String },
    #[error("{name}: columns are separated by {found}; export it with commas")]
    Delimiter { name: String, found: &'static str },
    #[error("{name}, header: is not UTF-8; export it as UTF-8")]
    HeaderEncoding { name: String },
    #[error("{name}, header: column {column} is missing; add it, empty where unknown")]
    MissingColumn { name: String, column: &'static str },
    #[error("{name}, header: column {position} is not expected here; expected are {expected}")]
    UnknownColumn { name: String, position: usize, expected: String },
    #[error("{name}, header: column {column} is there twice")]
    TwiceColumn { name: String, column: &'static str },
    #[error("{name}: {}, nothing is done with the file{}", count(*.total, "line"), list(.lines))]
    Lines { name: String, lines: Vec<LineError>, total: usize },
    #[error("{name}: {}, nothing is done with the file{}", count(*.total, "record"), list(.records))]
    Records { name: String, records: Vec<RecordError>, total: usize },
    #[error("{name}: columns are separated by commas; a GBA-V export has semicolons")]
    GbavDelimiter { name: String },
    #[error(
        "{name}, header: the first column is an element; before it comes the name of the list, empty where a line \
             continues the list above"
    )]
    NoListColumn { name: String },
    #[error("{name}, line {line}, column {column}: no JSON as expected here; export it again")]
    Json { name: String, line: usize, column: usize },
    #[error("{name}: nobody remains: {left_out}")]
    NobodyRemains { name: String, left_out: LeftOut },
}

/// What is wrong with one record of a JSON file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record}{}: {problem}", if path.is_empty() { String::new() } else { format!(", {path}") })]
pub struct RecordError {
    /// From 1, in the order of the file.
    pub record: u64,
    /// Names of elements from the record on: `naam.geslachtsnaam`. Empty for the record itself.
    pub path: String,
    pub problem: Problem,
}

/// What is wrong with one line of a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {problem}", .column.map(|column| format!(", column {column}")).unwrap_or_default())]
pub struct LineError {
    pub line: u64,
    pub column: Option<&'static str>,
    pub problem: Problem,
}

/// What is wrong with a value, or with a whole line. It never repeats the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("not UTF-8; export the file as UTF-8")]
    Encoding,
    #[error("{got} values where the header has {want}; a value with a comma in it wants quotes")]
    Ragged { want: usize, got: usize },
    #[error("{got} values where the header has {want}; a value with a semicolon in it wants quotes")]
    RaggedSemicolons { want: usize, got: usize },
    #[error("not {0}; see the documentation of the format")]
    Shape(&'static str),
    #[error("a line break or control character in a value; a quote may not be closed")]
    Control,
    #[error("longer than 200 characters; a quote may not be closed")]
    TooLong,
    #[error("empty; every row needs it")]
    Empty,
    #[error(
        "nine digits that pass the test of a citizen service number (BSN), for which a corporation has no ground; \
         remove it, or put a letter before a number of your own"
    )]
    Bsn,
    #[error(transparent)]
    Date(#[from] BadDate),
    #[error(transparent)]
    Address(#[from] BadAddress),
    #[error("no sex; write M or V, or leave it empty")]
    Sex,
    #[error("no number as expected here")]
    Number,
    #[error("neither ja nor nee; leave it empty where client.toml's statement holds")]
    YesOrNo,
    #[error("the same key as on line {first}; every row needs its own")]
    Duplicate { first: u64 },
    #[error("the same key as in record {first}; every record needs its own")]
    SameRecord { first: u64 },
    #[error("a contract that the file of tenants does not have; add its tenants, or leave it out")]
    NoTenants,
    #[error("cannot be read on")]
    Io,
}

fn count(total: usize, what: &str) -> String {
    if total == 1 { format!("1 bad {what}") } else { format!("{total} bad {what}s") }
}

fn list(lines: &[impl fmt::Display]) -> impl fmt::Display {
    lines.iter().map(|line| format!("\n  {line}")).collect::<String>()
}

/// A corporation's tenants (`huurders.csv`). A citizen service number anywhere in it is refused.
///
/// # Errors
/// As [`residents`].
pub fn tenants(path: &Path) -> Result<Vec<Tenant>, ReadError> {
    all(path, tenants_from)
}

/// A corporation's dwellings: any file with columns `postcode` and `huisnummer`; its tenants' file serves too. Every
/// row counts, so an address can be there more than once.
///
/// # Errors
/// As [`residents`]; also for a row without an address.
pub fn stock(path: &Path) -> Result<Vec<Address>, ReadError> {
    all(path, stock_from)
}

/// [`tenants`] one by one.
///
/// # Errors
/// As [`care_members_from`].
pub fn tenants_from<R: Read>(
    from: R,
    name: &str,
) -> Result<impl Iterator<Item = Result<Tenant, LineError>> + use<R>, ReadError> {
    const COLUMNS: Columns = Columns {
        required: &[
            "contract_id",
            "volgnr",
            "corporatie",
            "voorletters",
            "achternaam",
            "geboortedatum",
            "huisnummer",
            "postcode",
        ],
        optional: &["voornaam", "tussenvoegsel", "geslacht", "straat", "toevoeging", "woonplaats", "ingangsdatum"],
        any_other: false,
        refuse_bsn: true,
        short_years: true,
        key: &["contract_id", "volgnr"],
    };
    open_rows(from, name, &COLUMNS, |row| {
        Ok(Tenant {
            contract: row.needed("contract_id")?.to_owned(),
            number: row.needed("volgnr")?.parse().map_err(|_| row.bad("volgnr", Problem::Number))?,
            corporation: row.text("corporatie").to_owned(),
            person: Person { initials: row.text("voorletters").to_owned(), ..named(row)? },
        })
    })
}

/// [`stock`] one by one.
///
/// # Errors
/// As [`care_members_from`].
pub fn stock_from<R: Read>(
    from: R,
    name: &str,
) -> Result<impl Iterator<Item = Result<Address, LineError>> + use<R>, ReadError> {
    const COLUMNS: Columns = Columns {
        required: &["postcode", "huisnummer"],
        optional: &["huisletter", "toevoeging"],
        any_other: true,
        refuse_bsn: true,
        short_years: false,
        key: &[],
    };
    open_rows(from, name, &COLUMNS, |row| {
        row.needed("postcode")?;
        row.needed("huisnummer")?;
        address(row)?.ok_or_else(|| row.bad("postcode", Problem::Empty))
    })
}

fn all<T, I>(path: &Path, rows: impl FnOnce(File, &str) -> Result<I, ReadError>) -> Result<Vec<T>, ReadError>
where
    I: Iterator<Item = Result<T, LineError>>,
{
    let (file, name) = open(path)?;
    collect(rows(file, &name)?, &name)
}

/// A file and what errors call it: its name without its folder.
///
/// # Errors
/// [`ReadError::Io`] if it cannot be opened.
pub fn open(path: &Path) -> Result<(File, String), ReadError> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    match File::open(path) {
        Ok(file) => Ok((file, name)),
        Err(source) => Err(ReadError::Io { name, source }),
    }
}

fn collect<T>(rows: impl Iterator<Item = Result<T, LineError>>, name: &str) -> Result<Vec<T>, ReadError> {
    let mut tally = Tally::default();
    rows.for_each(|row| tally.add(row));
    tally.finish_lines(name)
}

/// Sex as files of all kinds write it.
fn sex(text: &str) -> Result<Option<Sex>, Problem> {
    match text {
        // As the register writes it: nearly every row, and no text has to be made.
        "M" => Ok(Some(Sex::Male)),
        "V" => Ok(Some(Sex::Female)),
        _ => match text.to_lowercase().as_str() {
            "m" | "man" | "mannelijk" => Ok(Some(Sex::Male)),
            "v" | "vrouw" | "vrouwelijk" => Ok(Some(Sex::Female)),
            "" | "o" | "x" | "onbekend" => Ok(None),
            _ => Err(Problem::Sex),
        },
    }
}

/// What all files of people have under the same name.
fn common(row: &Row) -> Result<Person, LineError> {
    let sex = sex(row.text("geslacht")).map_err(|problem| row.bad("geslacht", problem))?;
    Ok(Person { birth: row.birth("geboortedatum")?, sex, address: address(row)?, ..Person::default() })
}

/// A person with the column names of corporations and care networks.
fn named(row: &Row) -> Result<Person, LineError> {
    Ok(Person {
        given_names: row.text("voornaam").to_owned(),
        infix: row.text("tussenvoegsel").to_owned(),
        surname: row.text("achternaam").to_owned(),
        ..common(row)?
    })
}

fn address(row: &Row) -> Result<Option<Address>, LineError> {
    let suffix = match (row.text("huisletter"), row.text("toevoeging")) {
        (one, "") | ("", one) => one.into(),
        (letter, addition) => Cow::from(format!("{letter} {addition}")),
    };
    let address = Address::parse(row.text("postcode"), row.text("huisnummer"), &suffix).map_err(|error| {
        let column = if error == BadAddress::Postcode { "postcode" } else { "huisnummer" };
        row.bad(column, error.into())
    })?;
    Ok(address.map(|address| address.with_street(row.text("straat").to_owned())))
}

#[cfg(test)]
mod tests;
