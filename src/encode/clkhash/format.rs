//! Values as they are hashed: checked against the feature's format, integers and dates in their one normal form.
//! Text is left as it is: no case, space or Unicode form is changed.

use std::borrow::Cow;
use std::collections::HashSet;

use num_bigint::BigInt;

use super::date::DateFormat;
use super::number;
use super::pattern::Pattern;
use super::problem::Problem;
use super::schema::{Case, Encoding, Format, Missing, Rule};

/// A feature's format, ready for use.
#[derive(Clone, Debug)]
pub(super) struct Formatter {
    shape: Shape,
    encoding: Encoding,
    missing: Option<Missing>,
}

#[derive(Clone, Debug)]
enum Shape {
    Text { case: Case, least: Option<u64>, most: Option<u64> },
    Pattern(Pattern),
    Integer { least: Option<BigInt>, most: Option<BigInt> },
    Date(DateFormat),
    Enum(HashSet<String>),
}

impl Formatter {
    /// None if a date's format cannot be read.
    pub(super) fn new(rule: &Rule) -> Option<Self> {
        let shape = match &rule.format {
            Format::Text { case, least, most } => Shape::Text { case: *case, least: *least, most: *most },
            Format::Pattern(pattern) => Shape::Pattern(pattern.clone()),
            Format::Integer { least, most } => Shape::Integer { least: least.clone(), most: most.clone() },
            Format::Date(format) => Shape::Date(DateFormat::new(format)?),
            Format::Enum(values) => Shape::Enum(values.clone()),
        };
        Some(Self { shape, encoding: rule.encoding, missing: rule.missing.clone() })
    }

    /// The value to hash. A sentinel is replaced and neither checked nor formatted.
    ///
    /// # Errors
    /// [`Problem`], without the value.
    pub(super) fn apply<'a>(&'a self, value: &'a str) -> Result<Cow<'a, str>, Problem> {
        if let Some(missing) = self.missing.as_ref().filter(|missing| missing.sentinel == value) {
            return Ok(Cow::Borrowed(&missing.replacement));
        }
        if self.encoding == Encoding::Ascii && !value.is_ascii() {
            return Err(Problem::NotAscii);
        }
        let same = Cow::Borrowed(value);
        match &self.shape {
            Shape::Text { case, least, most } => check_text(value, *case, *least, *most).map(|()| same),
            Shape::Pattern(pattern) => match pattern.matches(value) {
                Some(true) => Ok(same),
                Some(false) => Err(Problem::Pattern),
                None => Err(Problem::PatternTooHard),
            },
            Shape::Integer { least, most } => integer(value, least.as_ref(), most.as_ref()),
            Shape::Date(format) => format.normal(value).map(Cow::Owned).ok_or(Problem::Date),
            Shape::Enum(values) => values.contains(value).then_some(same).ok_or(Problem::NotInEnum),
        }
    }
}

/// Lengths are in code points; the case of a text is that of its full Unicode mapping.
fn check_text(value: &str, case: Case, least: Option<u64>, most: Option<u64>) -> Result<(), Problem> {
    if least.is_some() || most.is_some() {
        let length = value.chars().count() as u64;
        if least.is_some_and(|least| length < least) {
            return Err(Problem::Short);
        }
        if most.is_some_and(|most| length > most) {
            return Err(Problem::Long);
        }
    }
    let good = match case {
        Case::Upper if value.is_ascii() => !value.bytes().any(|byte| byte.is_ascii_lowercase()),
        Case::Lower if value.is_ascii() => !value.bytes().any(|byte| byte.is_ascii_uppercase()),
        Case::Upper => value.to_uppercase() == value,
        Case::Lower => value.to_lowercase() == value,
        Case::Mixed => true,
    };
    if good { Ok(()) } else { Err(Problem::Case) }
}

fn integer<'a>(value: &'a str, least: Option<&BigInt>, most: Option<&BigInt>) -> Result<Cow<'a, str>, Problem> {
    let plain = number::plain(value);
    let number =
        plain.map_or_else(|| number::integer(value).ok_or(Problem::Integer), |plain| Ok(BigInt::from(plain)))?;
    let below = least.is_some_and(|least| number < *least);
    let above = most.is_some_and(|most| number > *most);
    if below || above {
        return Err(Problem::OutOfRange);
    }
    Ok(if plain.is_some() { Cow::Borrowed(value) } else { Cow::Owned(number.to_string()) })
}
