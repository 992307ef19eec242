//! Dates of birth as files have them: in several spellings, and with parts that nobody knows.

use std::fmt;

use time::{Date, Month};

use super::normalize::visible;

/// Youngest age of a tenant. Two digits of a year are of this century if whoever was born then is old enough.
const TENANT_AGE: i32 = 16;
/// Nobody alive was born before; earlier years are typing errors.
const FIRST_YEAR: u16 = 1870;
const LAST_YEAR: u16 = 2100;

/// Why a text is no date of birth. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDate {
    #[error("no date; write yyyymmdd, yyyy-mm-dd or dd-mm-yyyy, 00 for an unknown part, or leave it empty")]
    Form,
    #[error("a year of two digits, which can be of either century; write all four")]
    ShortYear,
    #[error("a day that is still to come; correct it, or set this machine's clock")]
    Future,
}

/// How a file's dates of birth are read.
#[derive(Clone, Copy, Debug)]
pub struct Dates {
    today: Date,
    short_years: bool,
}

impl Dates {
    /// In a register, where a year always has four digits: a child must not become a senior.
    pub fn of_register(today: Date) -> Self {
        Self { today, short_years: false }
    }

    /// In lists of tenants and the like, whose years may have two digits. Those that leave open whether somebody is a
    /// child or a hundred years old are unknown: what people type costs agreement, and not the file.
    pub fn of_list(today: Date) -> Self {
        Self { today, short_years: true }
    }

    /// Reads a date as [`BirthDate::parse`] does.
    ///
    /// # Errors
    /// As there; in a register also for a day to come, which would make a minor.
    pub fn birth(self, text: &str) -> Result<BirthDate, BadDate> {
        if self.short_years {
            return read(text, |year| Ok(self.whole_year(year)));
        }
        let date = BirthDate::parse(text)?;
        // Where the register is, the day can have begun that this machine's clock (UTC) calls tomorrow.
        let last = self.today.next_day().unwrap_or(self.today);
        let last = (last.year(), last.month().into(), last.day());
        if date.earliest().is_some_and(|day| day > last) { Err(BadDate::Future) } else { Ok(date) }
    }

    /// The year of two digits, if nobody born a century earlier or later could be meant.
    fn whole_year(self, short: u16) -> Option<u16> {
        let (century, now) = (self.today.year() / 100 * 100, self.today.year());
        let year = century + i32::from(short);
        let year = if year <= now - TENANT_AGE {
            year
        } else if year > now {
            year - 100
        } else {
            return None;
        };
        u16::try_from(year).ok()
    }
}

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
    /// Reads `yyyymmdd`, `yyyy-mm-dd` and `dd-mm-yyyy`, with `-`, `/` or `.` and one or two digits a day or month, in
    /// any width, and a time of day behind it that is left out (`1967-09-16T00:00:00`). A part of zeros is unknown, and
    /// so is everything in an empty text.
    ///
    /// # Errors
    /// [`BadDate`] for any other text, for months above 12, days above 31, years outside 1870 to 2100, and years of two
    /// digits, which [`Dates`] reads.
    pub fn parse(text: &str) -> Result<Self, BadDate> {
        read(text, |_| Err(BadDate::ShortYear))
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

    /// The first day that it can be, if the year is known.
    fn earliest(&self) -> Option<(i32, u8, u8)> {
        Some((self.year?.into(), self.month.unwrap_or(1), self.day.unwrap_or(1)))
    }

    /// Whether each part can be one. Together they may be a day that no calendar has: 29 February in the wrong year is
    /// a typing error in one part, which should cost agreement and not the file.
    fn is_plausible(&self) -> bool {
        let year = self.year.is_none_or(|year| (FIRST_YEAR..=LAST_YEAR).contains(&year));
        year && self.month.is_none_or(|month| month <= 12) && self.day.is_none_or(|day| day <= 31)
    }
}

/// Reads a date; `whole_year` makes a year of one of two digits.
fn read(text: &str, whole_year: impl Fn(u16) -> Result<Option<u16>, BadDate>) -> Result<BirthDate, BadDate> {
    let text = visible(text);
    let text = without_time(text.trim());
    if text.is_empty() {
        return Ok(BirthDate::default());
    }
    let (year, month, day) = split(text).ok_or(BadDate::Form)?;
    let (month, day) = (part(month)?, part(day)?);
    let year = match year.len() {
        4 => Some(number(year)?).filter(|&year| year != 0),
        2 => whole_year(number(year)?)?,
        _ => return Err(BadDate::Form),
    };
    let date = BirthDate { year, month, day };
    if date.is_plausible() { Ok(date) } else { Err(BadDate::Form) }
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
    text.parse().ok().filter(|_| digits).ok_or(BadDate::Form)
}

fn part(text: &str) -> Result<Option<u8>, BadDate> {
    if !(1..=2).contains(&text.len()) {
        return Err(BadDate::Form);
    }
    let value = u8::try_from(number(text)?).map_err(|_| BadDate::Form)?;
    Ok(Some(value).filter(|&value| value != 0))
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
    fn a_short_year_is_of_the_century_that_it_can_only_be_of() {
        let year = |text: &str, today| Dates::of_list(today).birth(text).map(|date| date.year);
        let day = date!(2026 - 06 - 15);
        for (text, want) in [("01-02-00", 2000), ("01-02-10", 2010), ("01-02-27", 1927), ("16-09-67", 1967)] {
            assert_eq!(year(text, day), Ok(Some(want)), "{text}");
            assert_eq!(Dates::of_register(day).birth(text), Err(BadDate::ShortYear), "{text}");
            assert_eq!(BirthDate::parse(text), Err(BadDate::ShortYear), "{text}");
        }
        // A child of twelve, or somebody of 112: the one has priority where the other has none.
        for text in ["01-02-11", "05-03-14", "15-06-26", "31-12-26"] {
            assert_eq!(year(text, day), Ok(None), "{text}");
            assert_eq!(Dates::of_register(day).birth(text), Err(BadDate::ShortYear), "{text}");
        }
        assert_eq!(year("01-02-13", date!(2029 - 01 - 01)), Ok(Some(2013)));
        assert_eq!(year("01-02-14", date!(2029 - 01 - 01)), Ok(None));
        assert_eq!(year("01-02-13-1", day), Err(BadDate::Form));
    }

    #[test]
    fn a_register_has_nobody_who_is_still_to_be_born() {
        let day = date!(2026 - 06 - 15);
        for text in ["20260617", "20991231", "20270000", "20260700", "31-12-2026"] {
            assert_eq!(Dates::of_register(day).birth(text), Err(BadDate::Future), "{text}");
            // A typing error of a corporation.
            assert_eq!(Dates::of_list(day).birth(text), BirthDate::parse(text), "{text}");
        }
        for text in ["20260615", "20260616", "20260000", "20260600", "00001231", "00000000", ""] {
            assert!(Dates::of_register(day).birth(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn impossible_dates_are_refused() {
        let bad =
            ["32-04-1980", "19811329", "13-13-1980", "1980-1-1-1", "0012-01-01", "23010101", "1980", "+1-01-1980"];
        for text in
            bad.into_iter().chain(["1-1-980", "onbekend", "19800132", "1980-01/02", "٠١-٠١-1980", "-", "001-1-1980"])
        {
            assert_eq!(BirthDate::parse(text), Err(BadDate::Form), "{text}");
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
