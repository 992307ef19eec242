//! A person's fields as tokens: the pieces of which two records of the same person share most.

use super::normalize::{given_name, initial, surname_parts};
use super::person::street_start;
use super::{Address, BirthDate, Person, Sex};
use crate::profile::{Field, Reading};

/// A piece of a field: its kind and its value in eight bytes. No two kinds have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token(u64);

#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Gram = 1,
    Initial,
    Year,
    Month,
    Day,
    /// Day and month without their order.
    Unordered,
    MonthYear,
    DayYear,
    /// Two neighbouring digits of the date, and their place.
    Digits,
    Sex,
    /// Neighbouring letters of the first given name.
    GivenGram,
}

impl Token {
    /// Letters and numbers are far below 2^28.
    const fn new(kind: Kind, one: u32, other: u32) -> Self {
        Self((kind as u64) << 56 | (one as u64) << 28 | other as u64)
    }

    /// What its keyed hash is made of.
    pub(super) fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Kind and values.
    #[inline]
    pub(super) fn parts(self) -> (Kind, usize, usize) {
        let kind = match self.0 >> 56 {
            1 => Kind::Gram,
            2 => Kind::Initial,
            3 => Kind::Year,
            4 => Kind::Month,
            5 => Kind::Day,
            6 => Kind::Unordered,
            7 => Kind::MonthYear,
            8 => Kind::DayYear,
            9 => Kind::Digits,
            10 => Kind::Sex,
            _ => Kind::GivenGram,
        };
        (kind, (self.0 >> 28 & 0xfff_ffff) as usize, (self.0 & 0xfff_ffff) as usize)
    }
}

/// A person as tokens, or as what was made of them, in slots that share the insertions of a field. An empty slot is a
/// value that is missing.
pub(super) struct Evidence<T> {
    /// Of the name variants, one behind the other; then of all of them, each once, if there are more; then of the given
    /// name.
    names: Vec<Option<T>>,
    /// Where each variant ends.
    ends: Vec<usize>,
    /// Where the given name begins.
    given: usize,
    initial: [Option<T>; 1],
    birth: [Option<T>; 6],
    digits: [Option<T>; 7],
    sex: [Option<T>; 1],
}

impl<T> Evidence<T> {
    /// Of at most `variants` surnames; `make` makes something of a token.
    pub(super) fn new(person: &Person, variants: usize, make: impl Fn(Token) -> T) -> Self {
        Self::with_given(person, given_name(&person.given_names).as_deref(), variants, make)
    }

    /// The same of a person whose first given name is known already.
    pub(super) fn with_given(person: &Person, given: Option<&str>, variants: usize, make: impl Fn(Token) -> T) -> Self {
        // Compared as tokens, which is quicker than as what is made of them.
        let (mut names, mut ends) = (Vec::with_capacity(USUAL_SLOTS), Vec::with_capacity(variants));
        for name in self::surnames(person, variants) {
            add_grams(Kind::Gram, &name, &mut names);
            ends.push(names.len());
        }
        let apart = names.len();
        if ends.len() > 1 {
            for at in 0..apart {
                push_new(names[at], apart, &mut names);
            }
        }
        let begin = names.len();
        if let Some(name) = given.filter(|name| name.chars().nth(1).is_some()) {
            add_grams(Kind::GivenGram, name, &mut names);
        }
        let missing = (names.len() == begin).then_some(None);
        let make = |token: Option<Token>| token.map(&make);
        Self {
            names: names.into_iter().map(|token| make(Some(token))).chain(missing).collect(),
            ends,
            given: begin,
            initial: [make(first_initial(person, given).map(first_letter))],
            birth: birth(person.birth).map(make),
            digits: digits(person.birth).map(make),
            sex: [make(person.sex.map(sex))],
        }
    }

    /// The slots of a name variant, if there is one.
    #[inline]
    pub(super) fn surname(&self, variant: usize) -> Option<&[Option<T>]> {
        let begin = if variant == 0 { 0 } else { *self.ends.get(variant - 1)? };
        Some(&self.names[begin..*self.ends.get(variant)?])
    }

    /// All slots.
    pub(super) fn all(&self) -> impl Iterator<Item = Option<&T>> {
        let rest = self.initial.iter().chain(&self.birth).chain(&self.digits).chain(&self.sex);
        self.names.iter().chain(rest).map(Option::as_ref)
    }

    /// The slots of all surnames together.
    #[inline]
    fn together(&self) -> &[Option<T>] {
        match self.ends[..] {
            [] => &[None],
            [_] => &self.names[..self.given],
            [.., end] => &self.names[end..self.given],
        }
    }

    /// The slots of a field, of surnames all together.
    #[inline]
    pub(super) fn slots(&self, field: Field) -> &[Option<T>] {
        match field {
            Field::Surname => self.together(),
            Field::Initial => &self.initial,
            Field::GivenName => &self.names[self.given..],
            Field::BirthDate => &self.birth,
            Field::BirthDigits => &self.digits,
            Field::Sex => &self.sex,
        }
    }
}

/// Name variants of a person, the most useful first: own name, partner's name, then further parts of double
/// names. At most `most`; none if there is no surname.
pub fn surnames(person: &Person, most: usize) -> Vec<String> {
    let own = surname_parts(&person.surname);
    if person.partner_surname.is_empty() && own.len() == 1 {
        return own;
    }
    let (mut own, mut partner) = (own.into_iter(), surname_parts(&person.partner_surname).into_iter());
    let mut names: Vec<String> = Vec::new();
    while own.len() + partner.len() > 0 {
        for name in [own.next(), partner.next()].into_iter().flatten() {
            if !names.contains(&name) {
                names.push(name);
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
            // Lone letters are initials, and no surname.
            let is_name = |text: &str| text.split(|c: char| !c.is_alphabetic()).any(|word| word.chars().count() > 1);
            (is_name(given) && is_name(surname)).then(|| Person {
                given_names: surname.clone(),
                initials: String::new(),
                surname: given.clone(),
                ..person.clone()
            })
        }
    }
}

/// The part of a field's insertions that a reading changes.
pub(super) fn changed(reading: Reading, field: Field) -> f64 {
    match (reading, field) {
        (Reading::Swapped, Field::Surname | Field::Initial | Field::GivenName) => 1.0,
        (Reading::Swapped, Field::BirthDate | Field::BirthDigits | Field::Sex) => 0.0,
    }
}

/// The values of a person by kind, for counting how much each kind tells: what tokens are made of, and what would tell
/// somebody apart. Kinds come in the same order for everybody; nothing stands for a value that is missing.
pub fn token_kinds(person: &Person) -> Vec<(&'static str, Vec<Option<String>>)> {
    let names = surnames(person, 1);
    let of = Evidence::new(person, 1, |token| token);
    let texts = |slots: &[Option<Token>]| -> Vec<Option<String>> {
        slots.iter().map(|slot| slot.map(|token| format!("{:016x}", token.0))).collect()
    };
    let whole =
        |slots: &[Option<String>]| vec![slots.iter().cloned().collect::<Option<Vec<_>>>().map(|all| all.concat())];
    let one = |slot: &Option<String>| vec![slot.clone()];
    let address = person.address.as_ref();
    let date = texts(&of.birth);
    let all = [of.together(), &of.initial, &of.birth, &of.sex].map(texts).concat();
    let street = address.and_then(|address| address.street_key(&street_start(address.street())));
    vec![
        ("surname 2-gram", texts(of.together())),
        ("surname", vec![names.first().cloned()]),
        ("initial", texts(&of.initial)),
        ("given name 2-gram", texts(of.slots(Field::GivenName))),
        ("given name, where it is whole", whole(&texts(of.slots(Field::GivenName)))),
        ("birth year", one(&date[0])),
        ("birth month", one(&date[1])),
        ("birth day", one(&date[2])),
        ("birth day and month, unordered", one(&date[3])),
        ("birth month and year", one(&date[4])),
        ("birth day and year", one(&date[5])),
        ("birth date", whole(&date)),
        ("birth digits, pair and place", texts(&of.digits)),
        ("sex", texts(&of.sex)),
        ("postcode", vec![address.and_then(Address::postcode_key).map(str::to_owned)]),
        ("street (its beginning) and number", vec![street]),
        ("address (postcode and number)", vec![address.and_then(Address::key)]),
        ("all fields of the global code", whole(&all)),
    ]
}

/// Slots that the names of most people have.
const USUAL_SLOTS: usize = 48;

/// Adds padded 2-grams, each once: a second insertion of the same token would set no bit. A space pads inside too, so
/// `garcia lopez` has all grams of `garcia`.
fn add_grams(kind: Kind, name: &str, to: &mut Vec<Token>) {
    let (begin, mut before) = (to.len(), ' ');
    for sign in name.chars().chain([' ']) {
        push_new(gram(kind, before, sign), begin, to);
        before = sign;
    }
}

/// Adds what is not there from `begin` on.
fn push_new(one: Token, begin: usize, to: &mut Vec<Token>) {
    if !to[begin..].contains(&one) {
        to.push(one);
    }
}

pub(super) fn gram(kind: Kind, one: char, other: char) -> Token {
    Token::new(kind, one.into(), other.into())
}

pub(super) fn first_letter(letter: char) -> Token {
    Token::new(Kind::Initial, letter.into(), 0)
}

/// The file's initials go before a call name.
pub(super) fn first_initial(person: &Person, given: Option<&str>) -> Option<char> {
    initial(&person.initials).or_else(|| given?.chars().next())
}

pub(super) fn sex(sex: Sex) -> Token {
    Token::new(Kind::Sex, u32::from(sex == Sex::Male), 0)
}

/// Always seven slots: pairs with a digit of an unknown part are missing. The first digit of a year is in none: almost
/// everybody has the same one.
pub(super) fn digits(date: BirthDate) -> [Option<Token>; 7] {
    const EDGE: u32 = 10;
    let digit = |value: Option<u16>, power: u16| value.map(|value| u32::from(value / power % 10));
    let (year, month, day) = (date.year, date.month.map(u16::from), date.day.map(u16::from));
    let row = [
        digit(year, 100),
        digit(year, 10),
        digit(year, 1),
        digit(month, 10),
        digit(month, 1),
        digit(day, 10),
        digit(day, 1),
        Some(EDGE),
    ];
    std::array::from_fn(|at| Some(Token::new(Kind::Digits, at as u32, row[at]? * 16 + row[at + 1]?)))
}

/// Always six slots, so that a partial date has exactly the bits that the full one has for the same parts.
pub(super) fn birth(date: BirthDate) -> [Option<Token>; 6] {
    let (year, month, day) = (date.year.map(u32::from), date.month.map(u32::from), date.day.map(u32::from));
    let pair = |kind| move |(one, other)| Token::new(kind, one, other);
    [
        year.map(|year| Token::new(Kind::Year, year, 0)),
        month.map(|month| Token::new(Kind::Month, month, 0)),
        day.map(|day| Token::new(Kind::Day, day, 0)),
        month.zip(day).map(|(month, day)| Token::new(Kind::Unordered, month.min(day), month.max(day))),
        month.zip(year).map(pair(Kind::MonthYear)),
        day.zip(year).map(pair(Kind::DayYear)),
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

    fn grams_of(name: &str) -> Vec<String> {
        let letter = |number: u64| char::from_u32((number & 0x0fff_ffff) as u32).unwrap();
        let mut grams = Vec::new();
        add_grams(Kind::Gram, name, &mut grams);
        grams.iter().map(|token| String::from_iter([letter(token.0 >> 28), letter(token.0)])).collect()
    }

    #[test]
    fn grams_are_padded_and_distinct() {
        assert_eq!(grams_of("anna"), [" a", "an", "nn", "na", "a "]);
        assert_eq!(grams_of("a a"), [" a", "a "]);
    }

    #[test]
    fn a_swapped_day_and_month_keep_year_and_pair() {
        let tokens = |text| birth(BirthDate::parse(text).unwrap());
        let (one, other) = (tokens("19800305"), tokens("19800503"));
        let equal: Vec<usize> = (0..6).filter(|&i| one[i] == other[i]).collect();
        assert_eq!(equal, [0, 3]);
    }

    #[test]
    fn a_wrong_digit_costs_two_pairs_of_seven_and_an_unknown_part_only_its_own() {
        let pairs = |text| digits(BirthDate::parse(text).unwrap());
        let same = |one: &[Option<Token>], other: &[Option<Token>]| {
            one.iter().zip(other).filter(|(a, b)| a == b && a.is_some()).count()
        };
        let whole = pairs("19800315");
        assert_eq!((whole.len(), same(&whole, &pairs("19830315"))), (7, 5));
        assert_eq!(same(&whole, &pairs("19800300")), 4);
        assert!(digits(BirthDate::default()).iter().all(Option::is_none));
        let twice = pairs("20200202");
        assert!(twice[0] != twice[3], "a pair has its place");
    }

    #[test]
    fn a_row_is_read_anew_only_where_that_makes_sense() {
        let row = Person { given_names: "Jansen".into(), initials: "J.".into(), ..person("Anna", "") };
        let swapped = reread(&row, Reading::Swapped).unwrap();
        assert_eq!(surnames(&swapped, 2), ["jansen"]);
        assert!(Evidence::new(&swapped, 2, |token| token).initial[0] == Some(first_letter('a')));
        for given in ["", "J.", "J", "J.P.", "J P"] {
            assert!(
                reread(&Person { given_names: given.into(), ..row.clone() }, Reading::Swapped).is_none(),
                "{given}"
            );
        }
    }

    #[test]
    fn a_reading_changes_what_it_reads() {
        assert_eq!(changed(Reading::Swapped, Field::Surname), 1.0);
        assert_eq!(changed(Reading::Swapped, Field::BirthDate), 0.0);
    }

    #[test]
    fn several_surnames_together_share_the_insertions_and_a_gram_counts_once() {
        let evidence = Evidence::new(&person("Jansen", "Hansen"), 2, |token| token);
        assert_eq!(evidence.slots(Field::Surname).len(), 7 + 2, "two grams of the second are new");
        assert_eq!(Evidence::new(&person("", ""), 2, |token| token).slots(Field::Surname).len(), 1);
    }

    #[test]
    fn a_partial_date_keeps_the_slots_of_its_parts() {
        let year = birth(BirthDate::parse("19800000").unwrap());
        assert!(year[0] == Some(Token::new(Kind::Year, 1980, 0)));
        assert_eq!((year.len(), year.iter().flatten().count()), (6, 1));
    }

    #[test]
    fn every_token_and_key_of_a_pass_has_a_kind() {
        let kinds: Vec<_> = token_kinds(&Person::default()).into_iter().map(|(kind, _)| kind).collect();
        for of in [
            "surname 2-gram",
            "given name 2-gram",
            "initial",
            "birth year",
            "birth digits",
            "sex",
            "postcode",
            "street",
        ] {
            assert!(kinds.iter().any(|kind| kind.starts_with(of)), "{of}");
        }
    }

    #[test]
    fn the_file_s_initials_go_before_a_call_name() {
        let initial = |person: &Person| Evidence::new(person, 2, |token| token).initial[0];
        let both = Person { initials: "C.J.".into(), given_names: "Kees".into(), ..Person::default() };
        assert!(initial(&both) == Some(first_letter('c')));
        let name = Person { given_names: "Kees".into(), ..Person::default() };
        assert!(initial(&name) == Some(first_letter('k')));
        assert!(initial(&Person::default()).is_none());
    }
}
