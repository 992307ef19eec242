//! The parts of a person that a pass can be keyed with besides its place.

use super::token::first_initial;
use super::{BirthDate, Person, Sex};
use crate::profile::Part;

/// A person's parts. `Debug` is not there: they are a person's.
pub(super) struct Parts {
    birth: BirthDate,
    sex: Option<Sex>,
    initial: Option<char>,
}

impl Parts {
    /// `given` is the first given name.
    pub(super) fn of(person: &Person, given: Option<&str>) -> Self {
        Self { birth: person.birth, sex: person.sex, initial: first_initial(person, given) }
    }

    /// These parts as one number: no two values of the same parts have the same. Nothing if one of them is not known.
    #[inline]
    pub(super) fn number(&self, parts: &[Part]) -> Option<u64> {
        parts.iter().try_fold(0, |number, part| Some(number | self.part(*part)?))
    }

    /// Each part in bits of its own.
    fn part(&self, part: Part) -> Option<u64> {
        match part {
            Part::BirthYear => self.birth.year.map(u64::from),
            Part::BirthMonth => self.birth.month.map(|month| u64::from(month) << 16),
            Part::BirthDay => self.birth.day.map(|day| u64::from(day) << 24),
            // A sex that is not known is one of its own: a file without any is compared with others without any.
            Part::Sex => Some(self.sex.map_or(3, |sex| if sex == Sex::Male { 1 } else { 2 }) << 32),
            Part::Initial => self.initial.map(|letter| u64::from(letter) << 40),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Part; 5] = [Part::BirthDay, Part::BirthMonth, Part::BirthYear, Part::Sex, Part::Initial];

    fn values() -> impl Strategy<Value = (u16, u8, u8, bool, char)> {
        (1870_u16..=2100, 1_u8..=12, 1_u8..=31, any::<bool>(), proptest::char::range('a', 'ž'))
    }

    fn parts((year, month, day, male, letter): (u16, u8, u8, bool, char)) -> Parts {
        let birth = BirthDate { year: Some(year), month: Some(month), day: Some(day) };
        Parts { birth, sex: Some(if male { Sex::Male } else { Sex::Female }), initial: Some(letter) }
    }

    proptest! {
        #[test]
        fn other_values_are_other_numbers(one in values(), other in values()) {
            let number = |of, with: &[Part]| parts(of).number(with).unwrap();
            prop_assert_eq!(number(one, &ALL) == number(other, &ALL), one == other);
            let differs = [one.2 != other.2, one.1 != other.1, one.0 != other.0, one.3 != other.3, one.4 != other.4];
            for (part, differs) in ALL.iter().zip(differs) {
                prop_assert_eq!(number(one, &[*part]) != number(other, &[*part]), differs);
                prop_assert!(number(one, &[*part]) != 0, "no part is as none");
            }
        }
    }

    #[test]
    fn their_order_is_all_one_and_none_is_missing() {
        let whole = (1980, 3, 5, true, 'a');
        let mut backwards = ALL;
        backwards.reverse();
        assert_eq!(parts(whole).number(&ALL), parts(whole).number(&backwards));
        let nobody = Parts::of(&Person::default(), None);
        assert_eq!(nobody.number(&[]), Some(0));
        assert!(ALL.iter().all(|part| nobody.number(&[*part]).is_some() == (*part == Part::Sex)));
        let undated = Parts { birth: BirthDate { day: None, ..parts(whole).birth }, ..parts(whole) };
        assert!(undated.number(&ALL).is_none() && undated.number(&[Part::BirthYear, Part::Sex]).is_some());
    }
}
