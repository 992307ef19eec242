//! A person's fields as tokens: the pieces of which two records of the same person share most.

use super::normalize::{initial, surname_parts};
use super::{BirthDate, Person, Sex};
use crate::profile::Field;

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

/// The tokens of a field; of the surname as given.
pub(super) fn slots(field: Field, person: &Person, surname: Option<&str>) -> Slots {
    match field {
        Field::Surname => surname.map_or_else(|| vec![None], |name| grams(name).into_iter().map(Some).collect()),
        Field::Initial => vec![initial(&person.initials).or_else(|| initial(&person.given_names))],
        Field::BirthDate => birth(person.birth),
        Field::Sex => vec![person.sex.map(|sex| if sex == Sex::Male { "m" } else { "v" }.to_owned())],
    }
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
    fn a_partial_date_keeps_the_slots_of_its_parts() {
        let year = birth(BirthDate::parse("19800000").unwrap());
        assert_eq!(year.iter().flatten().collect::<Vec<_>>(), ["y1980"]);
        assert_eq!(year.len(), 6);
    }

    #[test]
    fn the_file_s_initials_go_before_a_call_name() {
        let both = Person { initials: "C.J.".into(), given_names: "Kees".into(), ..Person::default() };
        assert_eq!(slots(Field::Initial, &both, None), [Some("c".to_owned())]);
        let name = Person { given_names: "Kees".into(), ..Person::default() };
        assert_eq!(slots(Field::Initial, &name, None), [Some("k".to_owned())]);
        assert_eq!(slots(Field::Initial, &Person::default(), None), [None]);
    }
}
