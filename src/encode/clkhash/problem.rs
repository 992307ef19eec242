//! What can be wrong with secret, data or file.

use std::fmt;
use std::io;

/// Why no encoder can be made of a schema that is valid by itself. Paths are those of version 3.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    #[error("/features: has none; describe the columns")]
    NoFeatures,
    #[error("{path}: is written with a point or an exponent, which clkhash cannot count with; write it without")]
    Float { path: String },
    #[error(
        "/clkConfig/kdf: HKDF cannot derive two keys of this size for each of {features} features; choose a smaller \
         keySize, SHA512, or fewer columns (ignored ones count)"
    )]
    TooManyKeys { features: usize },
    #[error("/features/{feature}/hashing/hash: blakeHash needs a filter whose length before folding is a power of two")]
    BlakeLength { feature: usize },
    #[error("/features/{feature}/hashing/hash: blakeHash takes keys of at most 64 bytes; choose a smaller keySize")]
    BlakeKey { feature: usize },
    #[error("/features/{feature}/hashing/hash/prevent_singularity: is for doubleHash only; remove it")]
    BlakeSingularity { feature: usize },
    #[error(
        "/features/{feature}/hashing/hash/prevent_singularity: has no end in a filter of one bit; choose a larger l"
    )]
    OneBit { feature: usize },
    #[error(
        "/features/{feature}/hashing/comparison/thresholdDistance: rounds to 0, or is too large; choose more \
         fractional_precision, or a smaller distance"
    )]
    Distance { feature: usize },
    #[error("/features/{feature}/format/format: has a directive that strptime does not know, or has one twice")]
    DateFormat { feature: usize },
}

/// What is wrong with a value or a row. It never repeats the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("{got} values where the schema has {want}; a value with a comma in it wants quotes")]
    Ragged { want: usize, got: usize },
    #[error("not UTF-8; export the file as UTF-8")]
    Encoding,
    #[error("not ASCII, which the schema asks for; change the value or the schema's encoding")]
    NotAscii,
    #[error("not in the case that the schema asks for")]
    Case,
    #[error("shorter than the schema allows")]
    Short,
    #[error("longer than the schema allows")]
    Long,
    #[error("does not match the schema's pattern")]
    Pattern,
    #[error("the schema's pattern takes too long on this value; write the pattern more simply")]
    PatternTooHard,
    #[error("no integer of at most 4300 digits; correct it, or declare a missingValue")]
    Integer,
    #[error("outside the schema's minimum and maximum")]
    OutOfRange,
    #[error("no date of the schema's format; correct it, or declare a missingValue")]
    Date,
    #[error("none of the schema's values")]
    NotInEnum,
    #[error("no finite number, which the numeric comparison needs")]
    Number,
    #[error("longer than 131072 bytes; a quote may not be closed")]
    TooLong,
    #[error("a quote is opened and not closed before the end of the file")]
    Unclosed,
}

/// A problem and its column, counted from 1; none: the whole row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    pub column: Option<usize>,
    pub problem: Problem,
}

impl From<Problem> for RowError {
    fn from(problem: Problem) -> Self {
        Self { column: None, problem }
    }
}

/// A row that cannot be encoded, by the line of the file on which it begins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {}", .row.column.map(|column| format!(", column {column}")).unwrap_or_default(), .row.problem)]
pub struct LineError {
    pub line: u64,
    pub row: RowError,
}

/// Why a file cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("cannot be opened or read")]
    Read(#[source] io::Error),
    #[error("cannot write the CLKs")]
    Write(#[source] io::Error),
    #[error("is empty; it needs a header line, or rows and --no-header")]
    Empty,
    #[error("has a header and no rows; nothing is done with an empty file")]
    NoRows,
    #[error("header: has {got} columns where the schema has {want} features; export the columns that it names")]
    HeaderLength { want: usize, got: usize },
    #[error(
        "header: column {column} is not the schema's feature {column}; the header must be the identifiers of the \
         schema, in their order; if the file has no header line, say --no-header"
    )]
    Header { column: usize },
    #[error("header: {0}")]
    HeaderRow(LineError),
    #[error("{}, nothing is done with the file{}", count(*.total), list(.lines))]
    Lines { lines: Vec<LineError>, total: u64 },
}

fn count(total: u64) -> String {
    if total == 1 { "1 bad line".to_owned() } else { format!("{total} bad lines") }
}

fn list(lines: &[LineError]) -> impl fmt::Display {
    lines.iter().map(|line| format!("\n  {line}")).collect::<String>()
}
