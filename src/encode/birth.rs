//! Dates of birth as files have them: in several spellings, and with parts that nobody knows.

use std::fmt;

use time::{Date, Month};

use super::normalize::visible;

/// Two-digit years up to this one are of this century. Only tenants' files have such years, and a tenant is
/// 16 or older: move it along with the years.
const LAST_SHORT_YEAR: u16 = 10;
/// Nobody alive was born before; earlier years are typing errors.
const FIRST_YEAR: u16 = 1870;
const LAST_YEAR: u16 = 2100;

/// Why a text is no date. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no date; write yyyymmdd, yyyy-mm-dd or dd-mm-yyyy, 00 for an unknown part, or leave it empty")]
pub struct BadDate;

/// A date of birth with unknown parts. `Debug` hides it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct BirthDate {
    pub year: Option<u16>,
    pub month: Option<u8>,
    pub day: Option<u8>,
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BirthDate(..)")
    }
}

impl BirthDate {
    /// Reads `yyyymmdd`, `yyyy-mm-dd`, `dd-mm-yyyy` and `dd-mm-yy`, with `-`, `/` or `.` and one or two digits a
    /// day or month, in any width, and a time of day behind it that is left out (`1967-09-16T00:00:00`). A part of
    /// zeros is unknown, and so is everything in an empty text. Two digits a year: 00 to 10 are of this century, and
    /// the year is always known.
    ///
    /// # Errors
    /// [`BadDate`] for any other text, for months above 12, days above 31, and years outside 1870 to 2100.
    pub fn parse(text: &str) -> Result<Self, BadDate> {
        let text = visible(text);
        let text = without_time(text.trim());
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (year, month, day) = split(text).ok_or(BadDate)?;
        let year = match year.len() {
            4 => Some(number(year)?).filter(|&year| year != 0),
            2 => Some(short_year(number(year)?)),
            _ => return Err(BadDate),
        };
        let date = Self { year, month: part(month)?, day: part(day)? };
        if date.is_plausible() { Ok(date) } else { Err(BadDate) }
    }

    /// Youngest and oldest age in whole years possible on `day`; unknown parts widen the range. Nothing if the year
    /// is unknown. Who is born on 29 February has a birthday on 1 March in other years.
    pub fn age_range(&self, day: Date) -> Option<(u16, u16)> {
        let year = self.year?;
        let latest = (self.month.unwrap_or(12), self.day.unwrap_or(31));
        let earliest = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        let today = (u8::from(day.month()), day.day());
        let turning = i32::from(year);
        let age = |birthday: (u8, u8)| {
            let years = day.year() - turning - i32::from(birthday > today);
            u16::try_from(years.max(0)).expect("years between two years of four digits")
        };
        Some((age(latest), age(earliest)))
    }

    /// The calendar date, if every part is known.
    pub fn known(&self) -> Option<Date> {
        let month = Month::try_from(self.month?).ok()?;
        Date::from_calendar_date(i32::from(self.year?), month, self.day?).ok()
    }

    /// Whether each part can be one. Together they may be a day that no calendar has: 29 February in the wrong year is
    /// a typing error in one part, which should cost agreement and not the file.
    fn is_plausible(&self) -> bool {
        let year = self.year.is_none_or(|year| (FIRST_YEAR..=LAST_YEAR).contains(&year));
        year && self.month.is_none_or(|month| month <= 12) && self.day.is_none_or(|day| day <= 31)
    }
}

/// The date of `1967-09-16T00:00:00Z` and `1967-09-16 00:00`, as exports from databases and spreadsheets have it.
fn without_time(text: &str) -> &str {
    match text.split_once(['T', ' ']) {
        Some((date, time)) if time.starts_with(|c: char| c.is_ascii_digit()) && time.contains(':') => date,
        _ => text,
    }
}

/// Year, month and day as text.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some((&text[..4], &text[4..6], &text[6..]));
    }
    let mark = text.chars().find(|c| !c.is_ascii_digit()).filter(|c| "-/.".contains(*c))?;
    let parts: Vec<&str> = text.split(mark).collect();
    match parts[..] {
        [year, month, day] if year.len() == 4 => Some((year, month, day)),
        [day, month, year] => Some((year, month, day)),
        _ => None,
    }
}

fn number(text: &str) -> Result<u16, BadDate> {
    // `parse` alone would take "+1".
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(BadDate)
}

fn part(text: &str) -> Result<Option<u8>, BadDate> {
    if !(1..=2).contains(&text.len()) {
        return Err(BadDate);
    }
    let value = u8::try_from(number(text)?).map_err(|_| BadDate)?;
    Ok(Some(value).filter(|&value| value != 0))
}

fn short_year(year: u16) -> u16 {
    year + if year <= LAST_SHORT_YEAR { 2000 } else { 1900 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    fn parts(text: &str) -> (Option<u16>, Option<u8>, Option<u8>) {
        let date = BirthDate::parse(text).unwrap_or_else(|_| panic!("{text}"));
        (date.year, date.month, date.day)
    }

    #[test]
    fn every_spelling_is_the_same_date() {
        for text in [
            "19670916",
            "1967-09-16",
            "16-09-1967",
            "16/9/1967",
            "16-09-67",
            " 16.9.1967 ",
            "１９６７０９１６",
            "1967-09-16T00:00:00Z",
        ] {
            assert_eq!(parts(text), (Some(1967), Some(9), Some(16)), "{text}");
        }
    }

    #[test]
    fn zeros_are_unknown_parts() {
        assert_eq!(parts("19670000"), (Some(1967), None, None));
        assert_eq!(parts("00-09-1967"), (Some(1967), Some(9), None));
        assert_eq!(parts("00000000"), (None, None, None));
        assert_eq!(parts(""), (None, None, None));
    }

    #[test]
    fn short_years_are_of_the_century_in_which_a_tenant_can_live() {
        assert_eq!(parts("01-02-00").0, Some(2000));
        assert_eq!(parts("01-02-10").0, Some(2010));
        assert_eq!(parts("01-02-11").0, Some(1911));
        assert_eq!(parts("01-02-90").0, Some(1990));
    }

    #[test]
    fn impossible_dates_are_refused() {
        let bad =
            ["32-04-1980", "19811329", "13-13-1980", "1980-1-1-1", "0012-01-01", "23010101", "1980", "+1-01-1980"];
        for text in
            bad.into_iter().chain(["1-1-980", "onbekend", "19800132", "1980-01/02", "٠١-٠١-1980", "-", "001-1-1980"])
        {
            assert_eq!(BirthDate::parse(text), Err(BadDate), "{text}");
        }
        assert_eq!(parts("00000229").1, Some(2));
        assert_eq!(parts("29-02-1981"), (Some(1981), Some(2), Some(29)));
        assert_eq!(BirthDate::parse("29-02-1981").map(|date| date.known()), Ok(None));
    }

    #[test]
    fn unknown_parts_widen_the_ages() {
        let on = |text: &str, day| BirthDate::parse(text).unwrap().age_range(day);
        assert_eq!(on("20080101", date!(2025 - 12 - 31)), Some((17, 17)));
        assert_eq!(on("20080101", date!(2026 - 01 - 01)), Some((18, 18)));
        assert_eq!(on("20080000", date!(2026 - 06 - 01)), Some((17, 18)));
        assert_eq!(on("20080600", date!(2026 - 06 - 15)), Some((17, 18)));
        assert_eq!(on("20080500", date!(2026 - 06 - 15)), Some((18, 18)));
        assert_eq!(on("20080229", date!(2026 - 02 - 28)), Some((17, 17)));
        assert_eq!(on("00000501", date!(2026 - 06 - 15)), None);
        assert_eq!(on("20300101", date!(2026 - 06 - 15)), Some((0, 0)));
    }
}
