//! The tokens that most records have: what is made of them is made once, and found by counting instead of by hashing.

use super::token::{Kind, Token, birth, digits, first_letter, gram, sex};
use super::{BirthDate, Sex};

/// The alphabet and the space that pads.
const LETTERS: usize = 27;
const FIRST_YEAR: usize = 1900;
const YEARS: usize = 131;
/// Of months and days, from 0 on.
const MONTHS: usize = 13;
const DAYS: usize = 32;
/// Pairs of digits, or of a digit and the edge, as their token counts them.
const PAIRS: usize = 160;

/// Where the tokens of each kind begin.
const GIVEN: usize = LETTERS * LETTERS;
const INITIAL: usize = 2 * GIVEN;
const YEAR: usize = INITIAL + LETTERS;
const MONTH: usize = YEAR + YEARS;
const DAY: usize = MONTH + MONTHS;
const UNORDERED: usize = DAY + DAYS;
const MONTH_YEAR: usize = UNORDERED + MONTHS * DAYS;
const DAY_YEAR: usize = MONTH_YEAR + MONTHS * YEARS;
const DIGITS: usize = DAY_YEAR + DAYS * YEARS;
const SEX: usize = DIGITS + 7 * PAIRS;
const PLACES: usize = SEX + 2;

/// What was made of each of them.
pub(super) struct Frequent<T>(Vec<Option<T>>);

impl<T: Copy> Frequent<T> {
    pub(super) fn new(make: impl Fn(Token) -> T) -> Self {
        let mut made = vec![None; PLACES];
        for token in tokens() {
            let place = place(token).expect("every frequent token has a place");
            made[place].get_or_insert_with(|| make(token));
        }
        Self(made)
    }

    /// What was made of a token, if it is one of them.
    #[inline]
    pub(super) fn of(&self, token: Token) -> Option<T> {
        self.0[place(token)?]
    }
}

/// Those of names in plain letters and of dates.
fn tokens() -> impl Iterator<Item = Token> {
    let letters = || (b'a'..=b'z').chain([b' ']).map(char::from);
    let pairs = move || letters().flat_map(move |one| letters().map(move |other| (one, other)));
    let grams =
        [Kind::Gram, Kind::GivenGram].into_iter().flat_map(move |kind| pairs().map(move |(a, b)| gram(kind, a, b)));
    let years = || (FIRST_YEAR..FIRST_YEAR + YEARS).map(|year| year as u16);
    let dates = years().flat_map(|year| (1..=31).map(move |day| (year, 1 + day % 12, day)));
    let days = (1..=12).flat_map(|month| (1..=31).map(move |day| (FIRST_YEAR as u16, month, day)));
    let dates = dates.chain(days).flat_map(|(year, month, day)| {
        let date = BirthDate { year: Some(year), month: Some(month), day: Some(day) };
        birth(date).into_iter().chain(digits(date)).flatten()
    });
    grams.chain(letters().map(first_letter)).chain(dates).chain([Sex::Male, Sex::Female].map(sex))
}

/// A number of its own for each frequent token, and for others of their kinds; nothing for most.
#[inline]
fn place(token: Token) -> Option<usize> {
    let (kind, one, other) = token.parts();
    let letter = |sign: usize| match sign {
        0x20 => Some(0),
        0x61..=0x7a => Some(sign - 0x60),
        _ => None,
    };
    let letters = || Some(letter(one)? * LETTERS + letter(other)?);
    let below = |number: usize, bound: usize| (number < bound).then_some(number);
    let year = |year: usize| below(year.wrapping_sub(FIRST_YEAR), YEARS);
    Some(match kind {
        Kind::Gram => letters()?,
        Kind::GivenGram => GIVEN + letters()?,
        Kind::Initial => INITIAL + letter(one)?,
        Kind::Year => YEAR + year(one)?,
        Kind::Month => MONTH + below(one, MONTHS)?,
        Kind::Day => DAY + below(one, DAYS)?,
        Kind::Unordered => UNORDERED + below(one, MONTHS)? * DAYS + below(other, DAYS)?,
        Kind::MonthYear => MONTH_YEAR + below(one, MONTHS)? * YEARS + year(other)?,
        Kind::DayYear => DAY_YEAR + below(one, DAYS)? * YEARS + year(other)?,
        Kind::Digits => DIGITS + below(one, 7)? * PAIRS + below(other, PAIRS)?,
        Kind::Sex => SEX + below(one, 2)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn no_two_frequent_tokens_are_the_same_unless_they_are_the_same_piece() {
        let tokens: HashSet<Token> = tokens().collect();
        // 27 * 27 grams and 27 initials, 131 years, 12 months, 31 days, 78 unordered pairs that exist.
        let of = |kind: Kind| tokens.iter().filter(|token| token.parts().0 as u8 == kind as u8).count();
        assert_eq!((of(Kind::Gram), of(Kind::Initial), of(Kind::Sex)), (729, 27, 2));
        assert_eq!((of(Kind::Year), of(Kind::Month), of(Kind::Day)), (131, 12, 31));
        assert_eq!((of(Kind::MonthYear), of(Kind::DayYear)), (131 * 12, 131 * 31));
    }

    #[test]
    fn no_two_tokens_have_one_place() {
        let mut at = HashMap::new();
        let dates =
            (1870..=2100).flat_map(|year| (0..=12).flat_map(move |month| (0..=31).map(move |day| (year, month, day))));
        let dates = dates.flat_map(|(year, month, day)| {
            let date = BirthDate { year: Some(year), month: Some(month), day: Some(day) };
            birth(date).into_iter().chain(digits(date)).flatten()
        });
        let letters = || (0..0x250).filter_map(char::from_u32);
        let pairs = letters().flat_map(|one| letters().map(move |other| (one, other)));
        let grams = pairs.flat_map(|(one, other)| [Kind::Gram, Kind::GivenGram].map(|kind| gram(kind, one, other)));
        for token in tokens().chain(dates).chain(grams).chain(letters().map(first_letter)) {
            let Some(place) = place(token) else { continue };
            assert!(place < PLACES && *at.entry(place).or_insert(token) == token);
        }
        assert!(tokens().all(|token| at[&place(token).unwrap()] == token));
    }

    #[test]
    fn what_was_made_is_found_and_nothing_else() {
        let made = Frequent::new(|token| token);
        assert!(tokens().all(|token| made.of(token) == Some(token)));
        for other in [gram(Kind::Gram, 'ç', 'a'), gram(Kind::GivenGram, 'a', '1'), first_letter('ž')] {
            assert!(made.of(other).is_none());
        }
    }
}
