//! Holds normalisation to `vectors/normalize.json`, whose README says what each class is for. Spellings of one
//! person's data, side by side with the one form that all of them have.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use time::macros::date;
use unicode_normalization::UnicodeNormalization;
use voorrang::encode::{
    Address, BadDate, BirthDate, Dates, Encoder, Person, Sex, Source, initial, surname_parts, surnames,
};
use voorrang::profile::Profile;

#[derive(Deserialize)]
struct Vector {
    class: String,
    #[serde(flatten)]
    case: Case,
}

/// What a vector says; the members of each are those of the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Case {
    Surname {
        surname: String,
        parts: Vec<String>,
    },
    Same {
        same: [String; 2],
    },
    Different {
        different: [String; 2],
    },
    /// A resident by own and partner's name, and the name that a corporation has by the name-use code.
    NameUse {
        own: String,
        partner: String,
        tenant: String,
    },
    Initial {
        initial: String,
        letter: Option<char>,
    },
    Date {
        date: String,
        year: Option<u16>,
        month: Option<u8>,
        day: Option<u8>,
    },
    NoDate {
        #[serde(rename = "no-date")]
        text: String,
    },
    Address {
        postcode: String,
        number: String,
        suffix: String,
        address: Option<(String, u32, String)>,
    },
    NoAddress {
        #[serde(rename = "no-address")]
        text: [String; 2],
    },
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

/// The dates of a list of tenants, on the first day of 2026.
fn birth(text: &str) -> Result<BirthDate, BadDate> {
    Dates::of_list(date!(2026 - 01 - 01)).birth(text)
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(&file("normalize.json")).unwrap()
}

fn named(surname: &str, partner: &str) -> Person {
    Person { surname: surname.into(), partner_surname: partner.into(), ..Person::default() }
}

#[test]
fn every_vector_has_the_form_that_it_says() {
    for Vector { class, case } in vectors() {
        match case {
            Case::Surname { surname, parts } => assert_eq!(surname_parts(&surname), parts, "{class}: {surname}"),
            Case::Same { same: [one, other] } => {
                assert_eq!(surname_parts(&one), surname_parts(&other), "{class}: {one}, {other}");
            }
            Case::Different { different: [one, other] } => {
                assert_ne!(surname_parts(&one), surname_parts(&other), "{class}: {one}, {other}");
            }
            Case::NameUse { own, partner, tenant } => {
                let register = surnames(&named(&own, &partner), 2);
                let shared = surnames(&named(&tenant, ""), 2).iter().any(|name| register.contains(name));
                assert!(shared, "{class}: {own}, {partner}, {tenant}");
            }
            Case::Initial { initial: text, letter } => assert_eq!(initial(&text), letter, "{class}: {text}"),
            Case::Date { date, year, month, day } => {
                assert_eq!(birth(&date), Ok(BirthDate { year, month, day }), "{class}: {date}");
            }
            Case::NoDate { text } => assert!(birth(&text).is_err(), "{class}: {text}"),
            Case::Address { postcode, number, suffix, address } => {
                let parsed = Address::parse(&postcode, &number, &suffix).unwrap();
                let parsed = parsed.map(|a| (a.postcode().to_owned(), a.number(), a.suffix().to_owned()));
                assert_eq!(parsed, address, "{class}: {postcode}, {number}, {suffix}");
            }
            Case::NoAddress { text: [postcode, number] } => {
                assert!(Address::parse(&postcode, &number, "").is_err(), "{class}: {postcode}, {number}");
            }
        }
    }
}

#[test]
fn every_class_is_explained_and_no_class_is_empty() {
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    vectors().into_iter().for_each(|vector| *classes.entry(vector.class).or_default() += 1);
    let readme = file("README.md");
    let explained: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(classes.keys().map(String::as_str).collect::<Vec<_>>(), explained, "in the README, sorted");
    assert!(classes.values().all(|&count| count >= 4), "{classes:?}");
}

#[test]
fn normalising_what_is_normal_changes_nothing() {
    for Vector { class, case } in vectors() {
        if let Case::Surname { parts, .. } = case {
            assert_eq!(surname_parts(&parts.join("-")), parts, "{class}");
        }
    }
}

/// The letters of the register (the Teletex repertoire): Latin-1 and Latin Extended-A.
#[test]
fn every_letter_of_the_register_becomes_ascii() {
    for c in ('\u{c0}'..='\u{17f}').filter(|c| c.is_alphabetic()) {
        let parts = surname_parts(&format!("Ab{c}ba"));
        assert!(parts.len() == 1 && parts[0].bytes().all(|byte| byte.is_ascii_lowercase()), "{c}: {parts:?}");
    }
}

fn codes(person: &Person) -> Vec<Vec<voorrang::code::Code>> {
    let encoder = Encoder::new(&Profile::built_in(), &[7; 32], &"haarlem-1".parse().unwrap());
    encoder.codes(Source::Population, "P1", person).passes
}

/// Every letter and digit of printable ASCII in its full width.
fn full_width(text: &str) -> String {
    let wide = |c: char| match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
        c => c,
    };
    text.chars().map(wide).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn unicode_forms_of_one_person_have_the_same_codes(
        surname in "[A-Z][a-zéëüöçñşğ]{2,9}( [a-z]{3,6}|-[A-Z][a-z]{3,6})?",
        given in "[A-ZÉŞÖ][a-z]{1,8}",
        birth in "19[3-9][0-9]0[1-9]0[1-9]",
        number in "[1-9][0-9]{0,3}",
    ) {
        let person = |form: &dyn Fn(&str) -> String| Person {
            given_names: form(&given),
            surname: form(&surname),
            birth: BirthDate::parse(&form(&birth)).unwrap(),
            sex: Some(Sex::Female),
            address: Address::parse(&form("1011AB"), &form(&number), "").unwrap(),
            ..Person::default()
        };
        let plain = codes(&person(&|text| text.nfc().collect()));
        prop_assert_eq!(&plain, &codes(&person(&|text| text.nfd().collect())));
        prop_assert_eq!(&plain, &codes(&person(&full_width)));
        prop_assert_eq!(&plain, &codes(&person(&|text| format!("\u{feff}{} ", text.to_uppercase()))));
    }

    #[test]
    fn a_part_of_zeros_is_never_known(year in 1900_u16..2020, month in 0_u8..=12, day in 0_u8..=28) {
        let date = BirthDate::parse(&format!("{year}{month:02}{day:02}")).unwrap();
        prop_assert_eq!((date.month.is_some(), date.day.is_some()), (month != 0, day != 0));
    }

    #[test]
    fn an_address_normalises_to_itself(number in "[1-9][0-9]{0,4}[ -]?[A-Za-z0-9]{0,3}", suffix in "[ A-Za-z0-9/.-]{0,6}") {
        let Ok(Some(once)) = Address::parse("1011 ab", &number, &suffix) else { return Ok(()) };
        let twice = Address::parse(once.postcode(), &once.number().to_string(), once.suffix()).unwrap().unwrap();
        prop_assert_eq!(once, twice);
    }
}
