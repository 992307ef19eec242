//! Dates as Python 3.11's `datetime.strptime` reads them in the C locale: the format becomes a regular expression
//! whose first match must reach to the end of the value.

use regex::{Captures, Regex, RegexBuilder};
use time::{Date, Duration, Month};

use super::number::{is_space, small};

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A compiled format.
#[derive(Clone, Debug)]
pub(super) struct DateFormat {
    regex: Regex,
    /// In the order of the format: of two years the later one counts.
    directives: Vec<char>,
}

/// What the directives of one value said.
#[derive(Default)]
struct Parts {
    year: Option<i32>,
    iso_year: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    /// 0 is Monday.
    weekday: Option<i32>,
    /// Week of the year, and whether weeks begin on Monday.
    week: Option<(i32, bool)>,
    iso_week: Option<i32>,
}

impl DateFormat {
    /// None if the format has a directive that `strptime` does not know, or one twice.
    pub(super) fn new(format: &str) -> Option<Self> {
        let mut directives = Vec::new();
        let pattern = pattern(format, &mut directives)?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{pattern})")).case_insensitive(true).build().ok()?;
        Some(Self { regex, directives })
    }

    /// The date as `%Y%m%d`, whose year has no zeros before it; none if the value is no date of this format.
    pub(super) fn normal(&self, value: &str) -> Option<String> {
        let found = self.regex.captures(value)?;
        if found.get(0)?.end() != value.len() {
            return None;
        }
        let mut parts = Parts::default();
        for directive in &self.directives {
            parts.take(*directive, &found)?;
        }
        let date = parts.date().filter(|date| date.year() >= 1)?;
        Some(format!("{}{:02}{:02}", date.year(), u8::from(date.month()), date.day()))
    }
}

fn pattern(format: &str, directives: &mut Vec<char>) -> Option<String> {
    let mut out = String::new();
    let mut signs = format.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign == '%' {
            out.push_str(&directive(signs.next()?, directives)?);
        } else if is_space(sign) {
            while signs.next_if(|next| is_space(*next)).is_some() {}
            out.push_str(r"[\s\x1c-\x1f]+");
        } else {
            out.push_str(&regex::escape(sign.encode_utf8(&mut [0; 4])));
        }
    }
    Some(out)
}

fn directive(name: char, directives: &mut Vec<char>) -> Option<String> {
    let inner = match name {
        '%' => return Some("%".to_owned()),
        'c' => return pattern("%a %b %d %H:%M:%S %Y", directives),
        'x' => return pattern("%m/%d/%y", directives),
        'X' => return pattern("%H:%M:%S", directives),
        'd' => r"3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]".to_owned(),
        'f' => "[0-9]{1,6}".to_owned(),
        'H' => r"2[0-3]|[0-1]\d|\d".to_owned(),
        'I' | 'm' => "1[0-2]|0[1-9]|[1-9]".to_owned(),
        'G' | 'Y' => r"\d\d\d\d".to_owned(),
        'j' => r"36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]".to_owned(),
        'M' => r"[0-5]\d|\d".to_owned(),
        'S' => r"6[0-1]|[0-5]\d|\d".to_owned(),
        'U' | 'W' => r"5[0-3]|[0-4]\d|\d".to_owned(),
        'w' => "[0-6]".to_owned(),
        'u' => "[1-7]".to_owned(),
        'V' => r"5[0-3]|0[1-9]|[1-4]\d|\d".to_owned(),
        'y' => r"\d\d".to_owned(),
        'z' => r"[+-]\d\d:?[0-5]\d(?::?[0-5]\d(?:\.\d{1,6})?)?|(?-i:Z)".to_owned(),
        'A' => longest_first(WEEKDAYS.to_vec()),
        'a' => WEEKDAYS.map(|name| &name[..3]).join("|"),
        'B' => longest_first(MONTHS.to_vec()),
        'b' => MONTHS.map(|name| &name[..3]).join("|"),
        'p' => "am|pm".to_owned(),
        'Z' => "utc|gmt".to_owned(),
        _ => return None,
    };
    directives.push(name);
    Some(format!("(?P<{name}>{inner})"))
}

fn longest_first(mut names: Vec<&str>) -> String {
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.join("|")
}

/// Where in a list of names, of which perhaps only the beginning was written.
fn index(names: &[&str], text: &str) -> Option<i32> {
    let text = text.to_lowercase();
    let at = names.iter().position(|name| *name == text || (text.len() == 3 && name[..3] == text))?;
    i32::try_from(at).ok()
}

impl Parts {
    /// None if a part cannot be: a second of 60 is read and is no time.
    fn take(&mut self, directive: char, found: &Captures) -> Option<()> {
        let text = found.name(directive.encode_utf8(&mut [0; 4]))?.as_str();
        match directive {
            'Y' => self.year = Some(small(text)?),
            'y' => self.year = small(text).map(|year| if year <= 68 { 2000 + year } else { 1900 + year }),
            'G' => self.iso_year = Some(small(text)?),
            'm' => self.month = Some(small(text)?),
            'B' | 'b' => self.month = Some(index(&MONTHS, text)? + 1),
            'd' => self.day = Some(small(text)?),
            'j' => self.day_of_year = Some(small(text)?),
            'A' | 'a' => self.weekday = Some(index(&WEEKDAYS, text)?),
            'w' => self.weekday = Some((small(text)? + 6) % 7),
            'u' => self.weekday = Some(small(text)? - 1),
            'U' | 'W' => self.week = Some((small(text)?, directive == 'W')),
            'V' => self.iso_week = Some(small(text)?),
            'S' => return small(text).filter(|second| *second < 60).map(drop),
            'z' => return is_offset(text).then_some(()),
            _ => {}
        }
        Some(())
    }

    fn date(&self) -> Option<Date> {
        self.weeks_are_complete().then_some(())?;
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        // 29 February without a year is read in a leap year and then put into 1900, which has none.
        let leap = self.year.is_none() && month == 2 && day == 29;
        let year = self.year.unwrap_or(if leap { 1904 } else { 1900 });
        let date = match self.day_number(year) {
            Some((year, number)) => first_of(year)?.checked_add(Duration::days(i64::from(number) - 1))?,
            None => calendar(year, month, day)?,
        };
        if leap { date.replace_year(1900).ok() } else { Some(date) }
    }

    /// ISO weeks want their own year and a weekday, and nothing else that says the day.
    fn weeks_are_complete(&self) -> bool {
        if self.year.is_none() && self.iso_year.is_some() {
            self.iso_week.is_some() && self.weekday.is_some() && self.day_of_year.is_none()
        } else {
            self.week.is_some() || self.iso_week.is_none()
        }
    }

    /// The year and the day of the year, from 1, if they are known otherwise than by month and day. May lie outside.
    fn day_number(&self, year: i32) -> Option<(i32, i32)> {
        if let Some(number) = self.day_of_year {
            return Some((year, number));
        }
        let weekday = self.weekday?;
        if let Some((week, from_monday)) = self.week {
            return Some((year, day_of_week(year, week, weekday, from_monday)?));
        }
        let (iso_year, week) = (self.iso_year?, self.iso_week?);
        let fourth = i32::from(calendar(iso_year, 1, 4)?.weekday().number_from_monday());
        Some((iso_year, week * 7 + weekday + 1 - (fourth + 3)))
    }
}

fn day_of_week(year: i32, week: i32, weekday: i32, from_monday: bool) -> Option<i32> {
    let first = i32::from(first_of(year)?.weekday().number_days_from_monday());
    let shift = i32::from(!from_monday);
    let (first, weekday) = ((first + shift) % 7, (weekday + shift) % 7);
    let before = (7 - first) % 7;
    Some(if week == 0 { 1 + weekday - first } else { 1 + before + 7 * (week - 1) + weekday })
}

fn first_of(year: i32) -> Option<Date> {
    calendar(year, 1, 1)
}

fn calendar(year: i32, month: i32, day: i32) -> Option<Date> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok().filter(|date| date.year() >= 1)
}

/// Colons in all places or in none, and less than a day.
fn is_offset(text: &str) -> bool {
    let Some(rest) = text.get(1..).filter(|rest| !rest.is_empty()) else { return true };
    let signs: Vec<char> = rest.chars().collect();
    let colon = signs.get(2) == Some(&':');
    let seconds = if colon { 5 } else { 4 };
    if signs.len() > seconds && (signs[seconds] == ':') != colon {
        return false;
    }
    small(&signs[..2].iter().collect::<String>()).is_some_and(|hours| hours < 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, value: &str) -> Option<String> {
        DateFormat::new(format).unwrap().normal(value)
    }

    #[test]
    fn dates_are_what_strptime_reads() {
        for (format, value, want) in [
            ("%Y-%m-%d", "1980-03-05", "19800305"),
            ("%Y-%m-%d", "2020-02- 3", "20200203"),
            ("%d-%m-%Y", "1-2-1980", "19800201"),
            ("%Y-%m-%d", "0999-01-02", "9990102"),
            ("%d %B %Y", "5  MARCH\t2001", "20010305"),
            ("%d %b %y", "05 may 68", "20680505"),
            ("%d%m%y", "050369", "19690305"),
            ("%Y%j", "2024366", "20241231"),
            ("%Y%j", "2023366", "20240101"),
            ("%Y %W %a", "2024 10 sun", "20240310"),
            ("%Y %U %w", "2024 0 0", "20231231"),
            ("%G-%V-%u", "2020-53-7", "20210103"),
            ("%G-%V-%u", "2020-01-1", "20191230"),
            ("%c", "Sat Nov 21 06:00:00 2026", "20261121"),
            ("%x", "11/21/26", "20261121"),
            ("%Y-%m-%dT%H:%M:%S%z", "2026-11-21T06:00:00+01:00", "20261121"),
            ("%Y-%m-%d", "٢٠٢٠-01-1٢", "20200112"),
            ("%m-%d", "03-05", "19000305"),
        ] {
            assert_eq!(read(format, value).as_deref(), Some(want), "{format} {value}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for (format, value) in [
            ("%Y-%m-%d", "2021-02-30"),
            ("%Y-%m-%d", "2021-02-03x"),
            ("%Y-%m-%d", " 2021-02-03"),
            ("%Y-%m-%d", "0000-01-01"),
            ("%m-%d", "02-29"),
            ("%Y %S", "2020 60"),
            ("%Y %V %a", "2020 10 mon"),
            ("%Y%z", "2020+24:00"),
            ("%Y-%m-%d", ""),
        ] {
            assert_eq!(read(format, value), None, "{format} {value}");
        }
    }

    #[test]
    fn a_format_with_an_unknown_or_a_repeated_directive_is_none() {
        for format in ["%Q", "%", "%Y%Y", "% d", "%d %x"] {
            assert!(DateFormat::new(format).is_none(), "{format}");
        }
    }
}
