//! People as custodians' files have them. Nothing here shows in `Debug`.

use std::borrow::Cow;
use std::fmt;

use time::Date;

use super::BirthDate;
use super::normalize::{street, visible};
use crate::code::Group;

/// Sex as registers have it; unknown is `Option::None`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sex {
    Male,
    Female,
}

/// Why a text is no address. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("no postcode; write 1234 AB, or leave it empty")]
    Postcode,
    #[error("no house number; write a number from 1 to 99999, a suffix behind it if need be, or leave it empty")]
    Number,
}

/// A Dutch address as far as linkage needs it; postcode or house number may be unknown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// `1234AB`; empty where it is not known.
    postcode: String,
    /// 0 where it is not known.
    number: u32,
    /// In one spelling; in no code and no token.
    suffix: String,
    /// As written; empty where it is not known.
    street: String,
}

impl Address {
    /// From a postcode in any spelling and a house number, the suffix behind it or apart (`113`, `113-3`, `64E`),
    /// "opposite" and "near" before it or apart (`t/o 12`). Nothing if both are empty.
    ///
    /// # Errors
    /// [`BadAddress`] if one of them is there and is none.
    pub fn parse(postcode: &str, number: &str, suffix: &str) -> Result<Option<Self>, BadAddress> {
        let plain = |c: &char| !c.is_whitespace() && *c != '-' && *c != '.';
        // Nearly every row is written as it is kept: nothing is looked for letter by letter, and nothing made anew.
        let is_kept = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let postcode = if postcode.bytes().all(is_kept) {
            postcode.to_owned()
        } else {
            visible(postcode).chars().filter(plain).collect::<String>().to_ascii_uppercase()
        };
        let number = visible(number);
        let number = match number.trim() {
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Cow::from(digits),
            text => Cow::from(text.to_lowercase()),
        };
        let (side, number) = side(&number);
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let value = number[..digits].parse().ok().filter(|value| (1..=99_999).contains(value));
        if !number.is_empty() && value.is_none() {
            return Err(BadAddress::Number);
        }
        if !postcode.is_empty() && !is_postcode(postcode.as_bytes()) {
            return Err(BadAddress::Postcode);
        }
        let parts = [&number[digits..], suffix, side];
        let suffix = if parts == ["", "", ""] { String::new() } else { one_suffix(&parts.join(" ")) };
        let is_empty = postcode.is_empty() && value.is_none();
        let number = value.unwrap_or(0);
        Ok((!is_empty).then(|| Self { postcode, number, suffix, street: String::new() }))
    }

    /// The same address with the name of its street.
    #[must_use]
    pub fn with_street(self, street: String) -> Self {
        Self { street, ..self }
    }

    /// `1234AB`; empty where it is not known.
    pub fn postcode(&self) -> &str {
        &self.postcode
    }

    /// Whether postcode and house number are known: such an address has a token.
    pub fn is_whole(&self) -> bool {
        !self.postcode.is_empty() && self.number > 0
    }

    /// House number without suffix; 0 where it is not known.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Letter and addition in one spelling: `A`, `3`, `HS`, `BISA`, `TO`; empty if there is none.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// What keys are made of: postcode and number, `1234AB|56`. A postcode has no bar, so it is unambiguous.
    pub(crate) fn key(&self) -> Option<String> {
        self.is_whole().then(|| format!("{}|{}", self.postcode, self.number))
    }

    /// The postcode, if it is known.
    pub(super) fn postcode_key(&self) -> Option<&str> {
        Some(self.postcode.as_str()).filter(|postcode| !postcode.is_empty())
    }

    /// The beginning of the street as [`street_start`] makes it and the number, `dorp|56`: most typing errors and
    /// abbreviations come later in a name. Nothing where one of them is not known.
    pub(super) fn street_key(&self, start: &str) -> Option<String> {
        (!start.is_empty() && self.number > 0).then(|| format!("{start}|{}", self.number))
    }

    /// The street as written.
    pub(super) fn street(&self) -> &str {
        &self.street
    }
}

/// Letters of a street's name that its key has.
const STREET_LETTERS: usize = 4;

/// The beginning of a street in one spelling.
pub(super) fn street_start(text: &str) -> String {
    street(text).chars().take(STREET_LETTERS).collect()
}

/// Splits "opposite" (`to`) and "near" (`by`), as registers call them, from a house number.
fn side(number: &str) -> (&'static str, &str) {
    for (word, side) in [("t/o", "to"), ("t.o.", "to"), ("tegenover", "to"), ("to", "to"), ("bij", "by"), ("by", "by")]
    {
        if let Some(rest) = number.strip_prefix(word) {
            return (side, rest.trim_start());
        }
    }
    ("", number)
}

/// Letters and digits of a suffix in capitals; ground floor is `HS`, and of "2 hoog" the 2 is enough.
fn one_suffix(text: &str) -> String {
    let apart = if text.is_ascii() {
        text.to_ascii_uppercase()
    } else {
        visible(text).replace(|c: char| !c.is_alphanumeric(), " ").to_uppercase()
    };
    let mut suffix = String::new();
    for word in apart.split(|c: char| c.is_whitespace() || (c.is_ascii() && !c.is_ascii_alphanumeric())) {
        suffix += match word {
            "HUIS" | "HS" => "HS",
            "HOOG" | "HG" if !suffix.is_empty() => "",
            word => word.strip_suffix("HOOG").filter(|rest| !rest.is_empty()).unwrap_or(word),
        };
    }
    suffix
}

/// A Dutch postcode, or another country's: letters and digits of which some are digits. What begins like a Dutch one
/// must be one.
fn is_postcode(text: &[u8]) -> bool {
    let dutch = match text {
        [digits @ .., one, two] => {
            digits.len() == 4
                && digits[0] != b'0'
                && digits.iter().all(u8::is_ascii_digit)
                && one.is_ascii_uppercase()
                && two.is_ascii_uppercase()
        }
        _ => false,
    };
    let other = (4..=8).contains(&text.len())
        && text.iter().all(u8::is_ascii_alphanumeric)
        && text.iter().any(u8::is_ascii_digit)
        && !(text.len() > 4 && text[..4].iter().all(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic));
    dutch || other
}

/// A person. Of the names the surnames, the first letter and the first given name reach a code, of the rest birth date
/// and sex; the address is part of keys.
#[derive(Clone, Default)]
pub struct Person {
    pub given_names: String,
    pub initials: String,
    pub infix: String,
    pub surname: String,
    pub partner_infix: String,
    pub partner_surname: String,
    pub birth: BirthDate,
    pub sex: Option<Sex>,
    pub address: Option<Address>,
}

/// A row of the population register.
#[derive(Clone)]
pub struct Resident {
    pub id: String,
    pub household: String,
    pub person: Person,
}

/// A row of a care network's list of the public mental-health target group.
#[derive(Clone)]
pub struct CareMember {
    pub id: String,
    pub person: Person,
}

/// A row of a corporation's tenants: one holder of one contract.
#[derive(Clone)]
pub struct Tenant {
    pub contract: String,
    /// 1 for the first holder of the contract.
    pub number: u32,
    pub corporation: String,
    pub person: Person,
}

impl Tenant {
    /// Contract and number, `K0000001/1`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.contract, self.number)
    }
}

/// A contract in arrears.
#[derive(Clone)]
pub struct Arrears {
    pub contract: String,
    /// Months of rent.
    pub months: f64,
    pub reported: Option<Date>,
    pub said: Statements,
}

/// What a row says of what the law asks before a question; absent: what is stated for the whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statements {
    pub personal_contact: Option<bool>,
    pub help_offered: Option<bool>,
    pub reminder_sent: Option<bool>,
    pub no_objection: Option<bool>,
    pub tenant_agrees: Option<bool>,
}

macro_rules! hide {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
hide!(Sex, Address, Person, Resident, CareMember, Tenant, Arrears);

/// The age limits of a regulation, in whole years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    pub minor_below: u16,
    pub senior_from: u16,
}

impl Ages {
    /// Every age group that is possible on the day.
    pub fn groups(&self, birth: BirthDate, day: Date) -> Vec<Group> {
        let (youngest, oldest) = birth.age_range(day).unwrap_or((0, u16::MAX));
        let minor = (youngest < self.minor_below).then_some(Group::Minor);
        let senior = (oldest >= self.senior_from).then_some(Group::Senior);
        minor.into_iter().chain(senior).collect()
    }

    /// Whether this can be an adult on the day.
    pub fn can_be_adult(&self, birth: BirthDate, day: Date) -> bool {
        birth.age_range(day).is_none_or(|(_, oldest)| oldest >= self.minor_below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn every_spelling_is_the_same_address() {
        for (postcode, number, suffix) in [("1011 ab", "113-A", ""), ("1011AB", "113A", ""), (" 1011AB", "113", "A")] {
            let address = Address::parse(postcode, number, suffix).unwrap().unwrap();
            assert_eq!((address.postcode(), address.number(), address.suffix()), ("1011AB", 113, "A"));
        }
        for (number, suffix) in [("5hs", ""), ("5", "huis"), ("5-HS", ""), ("５", "hs")] {
            assert_eq!(Address::parse("1011-ab", number, suffix).unwrap().unwrap().suffix(), "HS", "{number} {suffix}");
        }
        assert_eq!(Address::parse("", " ", "").unwrap(), None);
    }

    #[test]
    fn half_an_address_is_a_place_and_no_address() {
        for (postcode, number) in [("", "113"), ("1011AB", "")] {
            let address = Address::parse(postcode, number, "").unwrap().unwrap().with_street("Dorpsstr.".into());
            assert!(!address.is_whole() && address.key().is_none());
            assert_eq!(address.postcode_key().is_some(), number.is_empty());
            let key = address.street_key(&street_start(address.street()));
            assert_eq!(key, (!number.is_empty()).then(|| "dorp|113".to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for postcode in ["101", "1011A", "1011ABC", "10111AB", "1011É", "ABCDEF", "123456789"] {
            assert_eq!(Address::parse(postcode, "1", ""), Err(BadAddress::Postcode), "{postcode}");
        }
        // Another country's is one.
        for postcode in ["1011", "52066", "DE03 US", "4223"] {
            assert!(Address::parse(postcode, "1", "").unwrap().is_some(), "{postcode}");
        }
        for number in ["0", "A1", "100000", "-1", "99999999999999999999"] {
            assert_eq!(Address::parse("1011AB", number, ""), Err(BadAddress::Number), "{number}");
        }
    }

    #[test]
    fn a_group_that_is_possible_counts() {
        let ages = Ages { minor_below: 18, senior_from: 65 };
        let day = date!(2026 - 01 - 01);
        let on = |text: &str| {
            let birth = BirthDate::parse(text).unwrap();
            (ages.groups(birth, day), ages.can_be_adult(birth, day))
        };
        assert_eq!(on("20080101"), (vec![], true));
        assert_eq!(on("20080102"), (vec![Group::Minor], false));
        assert_eq!(on("20070000"), (vec![], true));
        assert_eq!(on("20080000"), (vec![Group::Minor], true));
        assert_eq!(on("19610101"), (vec![Group::Senior], true));
        assert_eq!(on("19610102"), (vec![], true));
        assert_eq!(on("19610000"), (vec![Group::Senior], true));
        assert_eq!(on("00000000"), (vec![Group::Minor, Group::Senior], true));
    }

    #[test]
    fn debug_shows_nobody() {
        let person = Person { surname: "Geheim".into(), sex: Some(Sex::Male), ..Person::default() };
        let tenant = Tenant { contract: "K1".into(), number: 1, corporation: "C1".into(), person };
        assert_eq!(format!("{:?} {:?}", tenant, tenant.person), "Tenant(..) Person(..)");
    }
}
