//! What a population register tells of a person, whatever form it comes in: the elements that are read, and who is
//! left out.

use std::collections::HashSet;
use std::fmt;

use super::ReadError;
use crate::encode::{Address, CareMember, Person, Resident};

/// An element of the population register (Logisch Ontwerp BRP) that is read. Everything else is read past. Neither
/// the infix nor the name-use code is among them: no code is made of them, so nobody needs an authorisation for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    GivenNames,
    Surname,
    Birth,
    Sex,
    PartnerSurname,
    Death,
    Suspension,
    Restriction,
    AddressKind,
    Street,
    Number,
    Letter,
    Addition,
    Side,
    Postcode,
}

impl Element {
    /// All of them, in the order of the register.
    pub const ALL: [Self; 15] = [
        Self::GivenNames,
        Self::Surname,
        Self::Birth,
        Self::Sex,
        Self::PartnerSurname,
        Self::Death,
        Self::Suspension,
        Self::Restriction,
        Self::AddressKind,
        Self::Street,
        Self::Number,
        Self::Letter,
        Self::Addition,
        Self::Side,
        Self::Postcode,
    ];

    /// Category, group, element and name: `01.03.10 geboortedatum`.
    pub fn label(self) -> &'static str {
        match self {
            Self::GivenNames => "01.02.10 voornamen",
            Self::Surname => "01.02.40 geslachtsnaam",
            Self::Birth => "01.03.10 geboortedatum",
            Self::Sex => "01.04.10 geslachtsaanduiding",
            Self::PartnerSurname => "05.02.40 geslachtsnaam echtgenoot/geregistreerd partner",
            Self::Death => "06.08.10 datum overlijden",
            Self::Suspension => "07.67.20 omschrijving reden opschorting bijhouding",
            Self::Restriction => "07.70.10 indicatie geheim",
            Self::AddressKind => "08.10.10 functie adres",
            Self::Street => "08.11.10 straatnaam",
            Self::Number => "08.11.20 huisnummer",
            Self::Letter => "08.11.30 huisletter",
            Self::Addition => "08.11.40 huisnummertoevoeging",
            Self::Side => "08.11.50 aanduiding bij huisnummer",
            Self::Postcode => "08.11.60 postcode",
        }
    }

    /// The element as table 35 (authorisations) writes it in a list: `10310`.
    pub fn table_35(self) -> String {
        table_35(self.label())
    }

    /// Where a person of the BRP API Personen has it.
    pub fn path(self) -> &'static str {
        match self {
            Self::GivenNames => "naam.voornamen",
            Self::Surname => "naam.geslachtsnaam",
            Self::Birth => "geboorte.datum",
            Self::Sex => "geslacht.code",
            Self::PartnerSurname => "partners.naam.geslachtsnaam",
            Self::Death => "overlijden.datum",
            Self::Suspension => "opschortingBijhouding.reden.code",
            Self::Restriction => "geheimhoudingPersoonsgegevens",
            Self::AddressKind => "verblijfplaats.functieAdres.code",
            Self::Street => "verblijfplaats.verblijfadres.korteStraatnaam",
            Self::Number => "verblijfplaats.verblijfadres.huisnummer",
            Self::Letter => "verblijfplaats.verblijfadres.huisletter",
            Self::Addition => "verblijfplaats.verblijfadres.huisnummertoevoeging",
            Self::Side => "verblijfplaats.verblijfadres.aanduidingBijHuisnummer.code",
            Self::Postcode => "verblijfplaats.verblijfadres.postcode",
        }
    }

    /// Where else of it that is read, if it is not there.
    pub fn else_at(self) -> &'static [&'static str] {
        match self {
            Self::GivenNames => &["naam.voorletters"],
            Self::Sex => &["geslachtsaanduiding"],
            Self::Death => &["overlijden"],
            Self::Suspension => &["opschortingBijhouding"],
            Self::Street => &[
                "verblijfplaats.verblijfadres.officieleStraatnaam",
                "verblijfplaats.korteStraatnaam",
                "verblijfplaats.officieleStraatnaam",
            ],
            Self::Number => &["verblijfplaats.huisnummer"],
            Self::Letter => &["verblijfplaats.huisletter"],
            Self::Addition => &["verblijfplaats.huisnummertoevoeging"],
            Self::Side => &["verblijfplaats.aanduidingBijHuisnummer.code"],
            Self::Postcode => &["verblijfplaats.postcode"],
            _ => &[],
        }
    }

    /// The column of the CSV file of residents that has it; none if that file does not have it.
    pub fn column(self) -> Option<&'static str> {
        match self {
            Self::GivenNames => Some("voornamen"),
            Self::Surname => Some("geslachtsnaam"),
            Self::Birth => Some("geboortedatum"),
            Self::Sex => Some("geslacht"),
            Self::PartnerSurname => Some("partner_geslachtsnaam"),
            Self::Street => Some("straat"),
            Self::Number => Some("huisnummer"),
            Self::Letter => Some("huisletter"),
            Self::Addition => Some("toevoeging"),
            Self::Postcode => Some("postcode"),
            Self::Restriction => Some("indicatie_geheim"),
            Self::Death | Self::Suspension | Self::AddressKind | Self::Side => None,
        }
    }
}

/// The number at the beginning of a label as table 35 writes it.
pub(super) fn table_35(label: &str) -> String {
    label[..8].replace('.', "").trim_start_matches('0').to_owned()
}

/// By what a person of the BRP API Personen is known: the first that is there. In other forms nobody reads them.
pub(super) const NUMBERS: [(&str, &str); 2] =
    [("01.01.10 A-nummer", "aNummer"), ("01.01.20 burgerservicenummer", "burgerservicenummer")];

/// Whether people with a disclosure restriction are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restricted {
    /// They are left out, and in a population everybody who shares their household with them.
    #[default]
    LeaveOut,
    /// They are read: for who has a legal basis for it, and says which.
    Keep,
}

/// People who were left out, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// With a disclosure restriction (element 70.10).
    pub restricted: usize,
    /// Without one, in a household with somebody who has: half a household would be answered "no" for the other half.
    pub with_restricted: usize,
    pub deceased: usize,
    pub emigrated: usize,
    /// Non-residents, errors, persons under an international treaty, and every reason that is not known here.
    pub suspended: usize,
}

impl LeftOut {
    /// All of them.
    pub fn total(&self) -> usize {
        self.restricted + self.with_restricted + self.deceased + self.emigrated + self.suspended
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} left out: {} with a disclosure restriction, {} who share a household with one of them, {} deceased, {} \
             emigrated, {} suspended for another reason",
            self.total(),
            self.restricted,
            self.with_restricted,
            self.deceased,
            self.emigrated,
            self.suspended
        )
    }
}

/// People of a file, and who of it was left out.
#[derive(Debug)]
pub struct Listed<T> {
    pub people: Vec<T>,
    pub left_out: LeftOut,
    /// Lines that tell an earlier state of a person, or more relatives: read past.
    pub earlier_lines: usize,
}

impl<T> Listed<T> {
    /// Of tenants, of whom a file says nothing of the kind.
    pub(super) fn all(people: Vec<T>) -> Self {
        Self { people, left_out: LeftOut::default(), earlier_lines: 0 }
    }

    /// That somebody is left.
    pub(super) fn remaining(self, name: &str) -> Result<Self, ReadError> {
        if self.people.is_empty() {
            return Err(ReadError::NobodyRemains { name: name.to_owned(), left_out: self.left_out });
        }
        Ok(self)
    }

    pub(super) fn map<U>(self, convert: impl FnMut(T) -> U) -> Listed<U> {
        let people = self.people.into_iter().map(convert).collect();
        Listed { people, left_out: self.left_out, earlier_lines: self.earlier_lines }
    }
}

/// What a register says of whether a person still belongs in a linkage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) deceased: bool,
    pub(super) emigrated: bool,
    /// Suspended for another reason.
    pub(super) suspended: bool,
    pub(super) restricted: bool,
}

impl Standing {
    /// From reason of suspension, date of death and indication of secrecy as text. What is not understood leaves a
    /// person out: an unknown code is never less than a known one.
    pub(super) fn new(suspension: &str, death: &str, restriction: &str) -> Self {
        let deceased = suspension == "O" || !death.is_empty();
        let emigrated = !deceased && suspension == "E";
        let suspended = !deceased && !emigrated && !suspension.is_empty();
        Self { deceased, emigrated, suspended, restricted: !["", "0"].contains(&restriction) }
    }
}

/// One person of a register.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) person: Person,
    /// Who lives at the address together; none for who only gets letters there.
    pub(super) lives_at: Option<String>,
    pub(super) standing: Standing,
}

impl Entry {
    /// The household that the register implies: everybody who lives at the same whole address, else the person alone.
    fn household(&self) -> String {
        self.lives_at.clone().unwrap_or_else(|| format!("alone|{}", self.id))
    }

    pub(super) fn into_resident(mut self) -> Resident {
        let household = self.lives_at.take().unwrap_or_else(|| self.household());
        Resident { household, id: self.id, person: self.person }
    }

    pub(super) fn into_care_member(self) -> CareMember {
        CareMember { id: self.id, person: self.person }
    }
}

/// A name; a single dot is how the register writes that it is not known.
pub(super) fn name(text: &str) -> &str {
    if text == "." { "" } else { text }
}

/// The key of who lives together: the whole address, if somebody can live there.
pub(super) fn lives_at(address: Option<&Address>, kind: &str) -> Option<String> {
    let address = address.filter(|address| {
        address.is_whole() && !kind.eq_ignore_ascii_case("B") && !kind.eq_ignore_ascii_case("briefadres")
    })?;
    Some(format!("{}|{}|{}", address.postcode(), address.number(), address.suffix()))
}

/// Leaves out whoever does not belong in a linkage. With `whole_households`, a person with a restriction takes the
/// household along.
pub(super) fn select(entries: Vec<Entry>, restricted: Restricted, whole_households: bool) -> Listed<Entry> {
    let mut left_out = LeftOut::default();
    let mut present = entries;
    present.retain(|Entry { standing, .. }| {
        left_out.deceased += usize::from(standing.deceased);
        left_out.emigrated += usize::from(standing.emigrated);
        left_out.suspended += usize::from(standing.suspended);
        !(standing.deceased || standing.emigrated || standing.suspended)
    });
    if restricted == Restricted::LeaveOut {
        let with = present.iter().filter(|entry| entry.standing.restricted);
        let closed: HashSet<String> =
            if whole_households { with.map(Entry::household).collect() } else { HashSet::new() };
        present.retain(|entry| {
            let shares = !entry.standing.restricted && closed.contains(&entry.household());
            left_out.restricted += usize::from(entry.standing.restricted);
            left_out.with_restricted += usize::from(shares);
            !entry.standing.restricted && !shares
        });
    }
    Listed { people: present, left_out, earlier_lines: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, address: Option<&str>, standing: Standing) -> Entry {
        Entry { id: id.into(), person: Person::default(), lives_at: address.map(str::to_owned), standing }
    }

    #[test]
    fn the_reason_of_a_suspension_decides_and_an_unknown_one_leaves_out() {
        let of = |suspension, death, restriction| Standing::new(suspension, death, restriction);
        assert_eq!(of("", "", ""), Standing::default());
        assert_eq!(of("", "", "0"), Standing::default());
        assert!(of("O", "", "").deceased && of("", "20200101", "").deceased && of("E", "20200101", "").deceased);
        assert!(of("E", "", "").emigrated && !of("E", "", "").suspended);
        assert!(["F", "M", "R", "W", ".", "X"].iter().all(|reason| of(reason, "", "").suspended));
        assert!(["1", "2", "7", "9", "?"].iter().all(|secret| of("", "", secret).restricted));
    }

    #[test]
    fn a_restriction_takes_its_household_along_but_not_for_the_dead_and_not_for_letters() {
        let restricted = Standing { restricted: true, ..Standing::default() };
        let dead = Standing { deceased: true, ..restricted };
        let entries = || {
            vec![
                entry("parent", Some("a"), Standing::default()),
                entry("child", Some("a"), restricted),
                entry("widow", Some("b"), Standing::default()),
                entry("late husband", Some("b"), dead),
                entry("hidden", None, restricted),
                entry("nowhere", None, Standing::default()),
            ]
        };
        let ids = |listed: &Listed<Entry>| listed.people.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        let listed = select(entries(), Restricted::LeaveOut, true);
        assert_eq!(ids(&listed), ["widow", "nowhere"]);
        let want = LeftOut { restricted: 2, with_restricted: 1, deceased: 1, ..LeftOut::default() };
        assert_eq!((listed.left_out, listed.left_out.total()), (want, 4));
        assert_eq!(ids(&select(entries(), Restricted::LeaveOut, false)), ["parent", "widow", "nowhere"]);
        assert_eq!(select(entries(), Restricted::Keep, true).people.len(), 5);
    }

    #[test]
    fn elements_are_in_the_order_and_spelling_of_the_register() {
        let labels: Vec<_> = Element::ALL.iter().map(|element| &element.label()[..8]).collect();
        assert!(labels.is_sorted());
        assert_eq!((Element::Birth.label(), Element::Birth.table_35()), ("01.03.10 geboortedatum", "10310".to_owned()));
        assert_eq!(Element::Postcode.table_35(), "81160");
    }
}
