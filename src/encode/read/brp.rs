//! Persons as the BRP API Personen (Haal Centraal BRP bevragen) gives them: a response `{"personen": [..]}`, a list,
//! or one of these a line. Version 2 and the older flat `verblijfplaats` are read; so is what the register's own
//! variant of the API gives (dates as `19800305`, secrecy as a digit).

use std::io::Read;

use serde_json::Value;

use super::json::{Bad, Node, records};
use super::register::{Element, Entry, NUMBERS, Standing, lives_at, name};
use super::tally::Tally;
use super::value::{Keys, today};
use super::{Problem, ReadError, RecordError, sex};
use crate::encode::{Address, BadAddress, BirthDate, Dates, Person};

/// Reads all persons.
pub(super) fn entries<R: Read>(from: R, file: &str) -> Result<Vec<Entry>, ReadError> {
    let (mut people, mut keys, mut number) = (Tally::default(), Keys::default(), 0);
    let dates = Dates::of_register(today());
    records(from, file, "personen", |value| {
        number += 1;
        let one = entry(&value, dates).and_then(|entry| match keys.add([&*entry.id], number) {
            Ok(()) => Ok(entry),
            Err(first) => Err(Bad { path: "aNummer".to_owned(), problem: Problem::SameRecord { first } }),
        });
        people.add(one.map_err(|Bad { path, problem }| RecordError { record: number, path, problem }));
    })?;
    people.finish_records(file)
}

fn entry(value: &Value, dates: Dates) -> Result<Entry, Bad> {
    let person = Node::root(value);
    if !person.is_object() {
        return Err(person.bad(Problem::Shape("a person")));
    }
    let kind = at(&person, Element::AddressKind)?;
    let address = address(&person.get("verblijfplaats")?)?;
    Ok(Entry {
        id: id(&person)?,
        lives_at: lives_at(address.as_ref(), &kind),
        standing: standing(&person)?,
        person: Person {
            given_names: given_names(&person)?,
            surname: name_at(&person, Element::Surname.path())?,
            partner_surname: partner(&person)?,
            birth: birth(&person.get(Element::Birth.path())?, dates)?,
            sex: sex_of(&person)?,
            address,
            ..Person::default()
        },
    })
}

/// Given names, or the initials that the interface makes of them.
fn given_names(person: &Node) -> Result<String, Bad> {
    let names = name_at(person, Element::GivenNames.path())?;
    if names.is_empty() { name_at(person, "naam.voorletters") } else { Ok(names) }
}

/// A code that is an object with a code in version 2 and may be plain text elsewhere.
fn at(person: &Node, element: Element) -> Result<String, Bad> {
    person.get(element.path().trim_end_matches(".code"))?.text()
}

fn name_at(node: &Node, path: &str) -> Result<String, Bad> {
    Ok(name(&node.get(path)?.text()?).to_owned())
}

/// The register's own number of the person, else the citizen service number: a load must name a person as the load
/// before did. It reaches no output: records are written under their keyed reference.
fn id(person: &Node) -> Result<String, Bad> {
    for (_, path) in NUMBERS {
        let id = person.get(path)?.text()?;
        if !id.is_empty() {
            return Ok(format!("{path}|{id}"));
        }
    }
    Err(person.get("aNummer")?.bad(Problem::Empty))
}

fn sex_of(person: &Node) -> Result<Option<crate::encode::Sex>, Bad> {
    let node = person.get("geslacht")?;
    let node = if node.value().is_null() { person.get("geslachtsaanduiding")? } else { node };
    sex(&node.text()?).map_err(|problem| node.bad(problem))
}

fn standing(person: &Node) -> Result<Standing, Bad> {
    let mut reason = at(person, Element::Suspension)?;
    let suspended = person.get("opschortingBijhouding")?;
    if reason.is_empty() && suspended.is_object() {
        // Suspended, and nobody says why.
        "?".clone_into(&mut reason);
    }
    let death = person.get("overlijden")?;
    let dead = if death.is_object() { "dead" } else { "" };
    let secret = person.get(Element::Restriction.path())?;
    let secret = match secret.value() {
        Value::Bool(true) => "1".to_owned(),
        Value::Bool(false) => String::new(),
        _ => secret.text()?,
    };
    Ok(Standing::new(&reason, dead, &secret))
}

/// The name of the first partner that has one.
fn partner(person: &Node) -> Result<String, Bad> {
    for partner in person.get("partners")?.list()? {
        let name = name_at(&partner, "naam.geslachtsnaam")?;
        if !name.is_empty() {
            return Ok(name);
        }
    }
    Ok(String::new())
}

/// `Datum`, `JaarMaandDatum`, `JaarDatum`, `DatumOnbekend`, or text.
fn birth(date: &Node, dates: Dates) -> Result<BirthDate, Bad> {
    let text = if date.is_object() {
        let part = |name: &str| date.get(name)?.text();
        let whole = part("datum")?;
        if whole.is_empty() {
            let (year, month, day) = (part("jaar")?, part("maand")?, part("dag")?);
            format!("{year:0>4}{month:0>2}{day:0>2}")
        } else {
            whole
        }
    } else {
        date.text()?
    };
    dates.birth(&text).map_err(|error| date.bad(error.into()))
}

/// The address; abroad, unknown and places without an address have none.
fn address(residence: &Node) -> Result<Option<Address>, Bad> {
    let inner = residence.get("verblijfadres")?;
    let address = if inner.is_object() { inner } else { residence.clone() };
    let text = |path: &str| address.get(path)?.text();
    let suffix = [text("huisletter")?, text("huisnummertoevoeging")?, text("aanduidingBijHuisnummer")?].join(" ");
    let parsed = Address::parse(&text("postcode")?, &text("huisnummer")?, &suffix).or_else(|error| {
        let member = if error == BadAddress::Postcode { "postcode" } else { "huisnummer" };
        Err(address.get(member)?.bad(error.into()))
    })?;
    let short = text("korteStraatnaam")?;
    let street = if short.is_empty() { text("officieleStraatnaam")? } else { short };
    Ok(parsed.map(|address| address.with_street(street)))
}
