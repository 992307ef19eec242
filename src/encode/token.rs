//! A person's fields as tokens: the pieces of which two records of the same person share most.

use super::normalize::{initial, surname_parts};
use super::{BirthDate, Person, Sex};
use crate::profile::{Field, Reading};

/// The tokens of a field, in slots that share its insertions. An empty slot is a value that is missing.
pub(super) type Slots = Vec<Option<String>>;

/// Name variants of a person, the most useful first: own name, partner's name, then further parts of double
/// names. At most `most`; none if there is no surname.
pub fn surnames(person: &Person, most: usize) -> Vec<String> {
    let (own, partner) = (surname_parts(&person.surname), surname_parts(&person.partner_surname));
    let mut names: Vec<String> = Vec::new();
    for at in 0..own.len().max(partner.len()) {
        for name in [own.get(at), partner.get(at)].into_iter().flatten() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names.truncate(most);
    names
}

/// A person's row read in another way, if it can be.
pub(super) fn reread(person: &Person, reading: Reading) -> Option<Person> {
    match reading {
        Reading::Swapped => {
            let (given, surname) = (&person.given_names, &person.surname);
            // A lone letter is an initial, and no surname.
            let is_name = |text: &str| text.chars().filter(|sign| sign.is_alphabetic()).nth(1).is_some();
            (is_name(given) && is_name(surname)).then(|| Person {
                given_names: surname.clone(),
                initials: String::new(),
                surname: given.clone(),
                ..person.clone()
            })
        }
        Reading::YearOnly => {
            let birth = BirthDate { month: None, day: None, ..person.birth };
            let is_guess = (person.birth.month, person.birth.day) == (Some(1), Some(1));
            is_guess.then(|| Person { birth, ..person.clone() })
        }
    }
}

/// The tokens of a field; of these surnames.
pub(super) fn slots(field: Field, person: &Person, surnames: &[String]) -> Slots {
    match field {
        Field::Surname if surnames.is_empty() => vec![None],
        Field::Surname => {
            let mut all: Vec<String> = Vec::new();
            for gram in surnames.iter().flat_map(|name| grams(name)) {
                if !all.contains(&gram) {
                    all.push(gram);
                }
            }
            all.into_iter().map(Some).collect()
        }
        Field::Initial => vec![initial(&person.initials).or_else(|| initial(&person.given_names))],
        Field::BirthDate => birth(person.birth),
        Field::BirthDigits => digits(person.birth),
        Field::Sex => vec![person.sex.map(|sex| if sex == Sex::Male { "m" } else { "v" }.to_owned())],
    }
}

/// The values of a person by kind, for counting how much each kind tells: what tokens are made of, and what would tell
/// somebody apart. Kinds come in the same order for everybody; nothing stands for a value that is missing.
pub fn token_kinds(person: &Person) -> Vec<(&'static str, Vec<Option<String>>)> {
    let names = surnames(person, usize::MAX);
    let of = |field| slots(field, person, names.get(..1).unwrap_or_default());
    let date = birth(person.birth);
    let whole = |slots: &Slots| vec![slots.iter().cloned().collect::<Option<Vec<_>>>().map(|all| all.concat())];
    let one = |slot: &Option<String>| vec![slot.clone()];
    let address = person.address.as_ref();
    let all: Vec<Slots> = [Field::Surname, Field::Initial, Field::BirthDate, Field::Sex].map(of).into();
    vec![
        ("surname 2-gram", of(Field::Surname)),
        ("surname", vec![names.first().cloned()]),
        ("initial", of(Field::Initial)),
        ("birth year", one(&date[0])),
        ("birth month", one(&date[1])),
        ("birth day", one(&date[2])),
        ("birth day and month, unordered", one(&date[3])),
        ("birth month and year", one(&date[4])),
        ("birth day and year", one(&date[5])),
        ("birth date", whole(&date)),
        ("sex", of(Field::Sex)),
        ("postcode", vec![address.map(|address| address.postcode().to_owned())]),
        ("address (postcode and number)", vec![address.map(|address| address.key())]),
        ("all fields of the global code", whole(&all.concat())),
    ]
}

/// Padded 2-grams, each once: a second insertion of the same token would set no bit. A space pads inside too, so
/// `garcia lopez` has all grams of `garcia`.
fn grams(name: &str) -> Vec<String> {
    let padded: Vec<char> = format!(" {name} ").chars().collect();
    let mut grams: Vec<String> = Vec::with_capacity(padded.len());
    for pair in padded.windows(2) {
        let gram = String::from_iter(pair);
        if !grams.contains(&gram) {
            grams.push(gram);
        }
    }
    grams
}

/// Always nine slots: pairs with a digit of an unknown part are missing.
fn digits(date: BirthDate) -> Slots {
    let part = |value: Option<u16>, width: usize| match value {
        Some(value) => format!("{value:0width$}"),
        None => "?".repeat(width),
    };
    let (month, day) = (date.month.map(u16::from), date.day.map(u16::from));
    let text: Vec<char> = format!("^{}{}{}$", part(date.year, 4), part(month, 2), part(day, 2)).chars().collect();
    let pair = |(at, pair): (usize, &[char])| (!pair.contains(&'?')).then(|| format!("{at}{}{}", pair[0], pair[1]));
    text.windows(2).enumerate().map(pair).collect()
}

/// Always six slots, so that a partial date has exactly the bits that the full one has for the same parts.
fn birth(date: BirthDate) -> Slots {
    let (year, month, day) = (date.year, date.month, date.day);
    let pair = |month: u8, day: u8| format!("p{:02}{:02}", month.min(day), month.max(day));
    vec![
        year.map(|y| format!("y{y:04}")),
        month.map(|m| format!("m{m:02}")),
        day.map(|d| format!("d{d:02}")),
        month.zip(day).map(|(m, d)| pair(m, d)),
        month.zip(year).map(|(m, y)| format!("my{m:02}{y:04}")),
        day.zip(year).map(|(d, y)| format!("dy{d:02}{y:04}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(surname: &str, partner: &str) -> Person {
        Person { surname: surname.into(), partner_surname: partner.into(), ..Person::default() }
    }

    #[test]
    fn the_most_useful_names_come_first() {
        assert_eq!(surnames(&person("Jansen", "de Vries"), 2), ["jansen", "vries"]);
        assert_eq!(surnames(&person("Smit-Bakker", "de Vries"), 2), ["smit", "vries"]);
        assert_eq!(surnames(&person("Smit-Bakker", "de Vries"), 3), ["smit", "vries", "bakker"]);
        assert_eq!(surnames(&person("Jansen", "Jansen"), 2), ["jansen"]);
        assert!(surnames(&person("", "-"), 2).is_empty());
    }

    #[test]
    fn grams_are_padded_and_distinct() {
        assert_eq!(grams("anna"), [" a", "an", "nn", "na", "a "]);
        assert_eq!(grams("a a"), [" a", "a "]);
    }

    #[test]
    fn a_swapped_day_and_month_keep_year_and_pair() {
        let tokens = |text| birth(BirthDate::parse(text).unwrap());
        let (one, other) = (tokens("19800305"), tokens("19800503"));
        let equal: Vec<usize> = (0..6).filter(|&i| one[i] == other[i]).collect();
        assert_eq!(equal, [0, 3]);
    }

    #[test]
    fn a_wrong_digit_costs_two_pairs_of_nine_and_an_unknown_part_only_its_own() {
        let pairs = |text| digits(BirthDate::parse(text).unwrap());
        let same = |one: &Slots, other: &Slots| one.iter().zip(other).filter(|(a, b)| a == b && a.is_some()).count();
        let whole = pairs("19800315");
        assert_eq!((whole.len(), same(&whole, &pairs("19830315"))), (9, 7));
        assert_eq!(same(&whole, &pairs("19800300")), 6);
        assert!(digits(BirthDate::default()).iter().all(Option::is_none));
        assert_ne!(pairs("20200202")[1], pairs("20200202")[3], "a pair has its place");
    }

    #[test]
    fn a_row_is_read_anew_only_where_that_makes_sense() {
        let row = Person { given_names: "Jansen".into(), initials: "J.".into(), ..person("Anna", "") };
        let swapped = reread(&row, Reading::Swapped).unwrap();
        assert_eq!(surnames(&swapped, 2), ["jansen"]);
        assert_eq!(slots(Field::Initial, &swapped, &[]), [Some("a".to_owned())]);
        for given in ["", "J.", "J"] {
            assert!(
                reread(&Person { given_names: given.into(), ..row.clone() }, Reading::Swapped).is_none(),
                "{given}"
            );
        }
        let born = |text| Person { birth: BirthDate::parse(text).unwrap(), ..row.clone() };
        assert_eq!(reread(&born("1-1-1980"), Reading::YearOnly).unwrap().birth, born("19800000").birth);
        for date in ["19800102", "19800201", "19800000", ""] {
            assert!(reread(&born(date), Reading::YearOnly).is_none(), "{date}");
        }
    }

    #[test]
    fn several_surnames_together_share_the_insertions_and_a_gram_counts_once() {
        let names = ["jansen".to_owned(), "hansen".to_owned()];
        let together = slots(Field::Surname, &Person::default(), &names);
        assert_eq!(together.len(), 7 + 2, "two grams of the second are new");
    }

    #[test]
    fn a_partial_date_keeps_the_slots_of_its_parts() {
        let year = birth(BirthDate::parse("19800000").unwrap());
        assert_eq!(year.iter().flatten().collect::<Vec<_>>(), ["y1980"]);
        assert_eq!(year.len(), 6);
    }

    #[test]
    fn the_file_s_initials_go_before_a_call_name() {
        let both = Person { initials: "C.J.".into(), given_names: "Kees".into(), ..Person::default() };
        assert_eq!(slots(Field::Initial, &both, &[]), [Some("c".to_owned())]);
        let name = Person { given_names: "Kees".into(), ..Person::default() };
        assert_eq!(slots(Field::Initial, &name, &[]), [Some("k".to_owned())]);
        assert_eq!(slots(Field::Initial, &Person::default(), &[]), [None]);
    }
}
