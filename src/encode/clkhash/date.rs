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
    /// The format if it has year, month and day once each and no other directive and no space.
    plain: Option<Vec<Piece>>,
}

/// A piece of a plain format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Year,
    Month,
    Day,
    Sign(u8),
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
        Some(Self { regex, directives, plain: plain(format) })
    }

    /// The date as `%Y%m%d`, whose year has no zeros before it; none if the value is no date of this format.
    pub(super) fn normal(&self, value: &str) -> Option<String> {
        let date = self.plain.as_ref().and_then(|pieces| plain_date(pieces, value.as_bytes()));
        let date = date.or_else(|| self.any_date(value))?;
        Some(format!("{}{:02}{:02}", date.year(), u8::from(date.month()), date.day()))
    }

    fn any_date(&self, value: &str) -> Option<Date> {
        let found = self.regex.captures(value)?;
        if found.get(0)?.end() != value.len() {
            return None;
        }
        let mut parts = Parts::default();
        for directive in &self.directives {
            parts.take(*directive, &found)?;
        }
        parts.date().filter(|date| date.year() >= 1)
    }
}

fn plain(format: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut signs = format.bytes();
    while let Some(sign) = signs.next() {
        pieces.push(match sign {
            b'%' => match signs.next()? {
                b'Y' => Piece::Year,
                b'm' => Piece::Month,
                b'd' => Piece::Day,
                _ => return None,
            },
            sign if sign.is_ascii_graphic() => Piece::Sign(sign),
            _ => return None,
        });
    }
    let all = [Piece::Year, Piece::Month, Piece::Day].iter().all(|piece| pieces.contains(piece));
    all.then_some(pieces)
}

/// The date, if it is written with all its digits. The expression would try these readings first, so that no other can
/// be meant; what is not read here is left to it.
fn plain_date(pieces: &[Piece], mut value: &[u8]) -> Option<Date> {
    let (mut year, mut month, mut day) = (0, 0, 0);
    for piece in pieces {
        match piece {
            Piece::Year => year = digits(value.split_off(..4)?)?,
            Piece::Month => month = digits(value.split_off(..2)?)?,
            Piece::Day => day = digits(value.split_off(..2)?)?,
            Piece::Sign(sign) => {
                value.split_off_first().filter(|first| *first == sign)?;
            }
        }
    }
    if value.is_empty() { calendar(year, month, day) } else { None }
}

fn digits(bytes: &[u8]) -> Option<i32> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i32::from(byte - b'0'));
    bytes.iter().try_fold(0, |number, byte| Some(number * 10 + digit(byte)?))
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
    fn a_plain_date_is_read_as_its_expression_reads_it() {
        for format in ["%Y%m%d", "%d%m%Y", "%Y-%m-%d", "%m/%d/%Y", "x%Y%d%m"] {
            let format = DateFormat::new(format).unwrap();
            let pieces = format.plain.as_ref().unwrap();
            let mut read = 0;
            for (year, month, day) in [0, 1, 999, 1900, 2000, 2023].into_iter().flat_map(|year| {
                (0..=14).flat_map(move |month| [0, 1, 9, 10, 28, 29, 30, 31, 32].map(|day| (year, month, day)))
            }) {
                let text = |piece: &Piece| match piece {
                    Piece::Year => format!("{year:04}"),
                    Piece::Month => format!("{month:02}"),
                    Piece::Day => format!("{day:02}"),
                    Piece::Sign(sign) => char::from(*sign).to_string(),
                };
                let value: String = pieces.iter().map(text).collect();
                let plain = plain_date(pieces, value.as_bytes());
                assert!(plain.is_none() || plain == format.any_date(&value), "{value}");
                read += usize::from(plain.is_some());
            }
            // Five years with twelve months of seven days, less the days that are not.
            assert!((380..420).contains(&read), "{read}");
        }
    }

    #[test]
    fn other_formats_are_not_plain() {
        for format in ["%Y%m", "%Y-%m-%d %H", "%Y %m %d", "%d %B %Y", "%y%m%d", "%Y\u{e9}%m%d"] {
            assert!(DateFormat::new(format).unwrap().plain.is_none(), "{format}");
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
