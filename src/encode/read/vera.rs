//! Tenants as corporations' systems exchange them (VERA 4.3): tenancy agreements (`Huurovereenkomst`) that refer to
//! natural persons (`NatuurlijkPersoon`) and dwellings (`Eenheid`) with an address.
//!
//! A file is one object with the lists `huurovereenkomsten`, `natuurlijkPersonen`, `eenheden` and, where dwellings
//! refer to them, `adressen`, as the paths of the interface are called; or agreements alone, with persons and
//! dwellings inside. A reference is an id, a path that ends in it, or an object. The file is read whole: references
//! point anywhere in it.

use std::collections::HashMap;
use std::io::Read;

use serde_json::Value;

use super::json::{Bad, Node, records};
use super::register::{LeftOut, Listed};
use super::tally::Tally;
use super::value::{Keys, is_bsn, today};
use super::{Problem, ReadError, RecordError, sex};
use crate::encode::{Address, BadAddress, Dates, Person, Tenant};

/// What is read, by object and member.
pub(super) const MEMBERS: [&str; 23] = [
    "Huurovereenkomst.id",
    "Huurovereenkomst.idExtern",
    "Huurovereenkomst.idOrganisatie",
    "Huurovereenkomst.relaties",
    "Huurovereenkomst.eenheden",
    "NatuurlijkPersoon.id",
    "NatuurlijkPersoon.voorletters",
    "NatuurlijkPersoon.initialen",
    "NatuurlijkPersoon.voornaam",
    "NatuurlijkPersoon.geslachtsnaam",
    "NatuurlijkPersoon.achternaam",
    "NatuurlijkPersoon.geboortedatum",
    "NatuurlijkPersoon.overlijdensdatum",
    "NatuurlijkPersoon.geslacht",
    "Eenheid.id",
    "Eenheid.adres",
    "Adres.id",
    "Adres.straatnaam",
    "Adres.straat",
    "Adres.huisnummer",
    "Adres.huisletter",
    "Adres.huisnummerToevoeging",
    "Adres.postcode",
];

/// Reads all tenants, in the order of their agreements.
pub(super) fn tenants<R: Read>(from: R, name: &str) -> Result<Listed<Tenant>, ReadError> {
    let mut bundle = Bundle::default();
    let mut shape = Ok(());
    records(from, name, "", |value| {
        if let Err(Bad { path, problem }) = bundle.add(value) {
            shape = Err(RecordError { record: 1, path, problem });
        }
    })?;
    let mut found: Tally<Tenant, RecordError> = Tally::default();
    shape.unwrap_or_else(|error| found.bad(error));
    let index = Index::new(&bundle);
    let (mut keys, mut left_out) = (Keys::default(), LeftOut::default());
    for (number, agreement) in (1..).zip(&bundle.agreements) {
        let of_one = index.tenants(&Node::root(agreement), &mut left_out).and_then(|tenants| {
            let contract = tenants.first().map_or("", |tenant| &tenant.contract);
            match if contract.is_empty() { Ok(()) } else { keys.add([contract], number) } {
                Ok(()) => Ok(tenants),
                Err(first) => Err(Bad { path: "id".to_owned(), problem: Problem::SameRecord { first } }),
            }
        });
        match of_one {
            Ok(tenants) => found.good.extend(tenants),
            Err(Bad { path, problem }) => found.bad(RecordError { record: number, path, problem }),
        }
    }
    Ok(Listed { people: found.finish_records(name)?, left_out, earlier_lines: 0 })
}

/// The lists of a file.
#[derive(Default)]
struct Bundle {
    agreements: Vec<Value>,
    persons: Vec<Value>,
    dwellings: Vec<Value>,
    addresses: Vec<Value>,
}

impl Bundle {
    /// Adds an object of lists, or an agreement.
    fn add(&mut self, value: Value) -> Result<(), Bad> {
        let Value::Object(mut members) = value else {
            return Err(Bad { path: String::new(), problem: Problem::Shape("an object") });
        };
        // An agreement has dwellings of its own, under the same name as a list.
        let is_agreement = members.contains_key("relaties");
        let mut any = false;
        let lists = [
            ("huurovereenkomsten", "huurovereenkomsten", &mut self.agreements),
            ("natuurlijkPersonen", "natuurlijk-personen", &mut self.persons),
            ("eenheden", "eenheden", &mut self.dwellings),
            ("adressen", "adressen", &mut self.addresses),
        ];
        for (name, in_paths, into) in lists.into_iter().filter(|_| !is_agreement) {
            let Some(list) = members.remove(name).or_else(|| members.remove(in_paths)) else { continue };
            let Value::Array(list) = list else {
                return Err(Bad { path: name.to_owned(), problem: Problem::Shape("a list") });
            };
            any = true;
            into.extend(list);
        }
        if !any {
            self.agreements.push(Value::Object(members));
        }
        Ok(())
    }
}

/// Persons, dwellings and addresses by their id.
struct Index<'a> {
    persons: HashMap<String, Node<'a>>,
    dwellings: HashMap<String, Node<'a>>,
    addresses: HashMap<String, Node<'a>>,
    dates: Dates,
}

impl<'a> Index<'a> {
    fn new(bundle: &'a Bundle) -> Self {
        Self {
            persons: by_id(&bundle.persons, "natuurlijkPersonen"),
            dwellings: by_id(&bundle.dwellings, "eenheden"),
            addresses: by_id(&bundle.addresses, "adressen"),
            dates: Dates::of_list(today()),
        }
    }

    /// The tenants of an agreement who are alive. An agreement of a company has none.
    fn tenants(&self, agreement: &Node<'a>, left_out: &mut LeftOut) -> Result<Vec<Tenant>, Bad> {
        if !agreement.is_object() {
            return Err(agreement.bad(Problem::Shape("a tenancy agreement")));
        }
        refuse_bsn(agreement)?;
        let contract = first_text(agreement, &["idExtern", "id"])?;
        if contract.is_empty() {
            return Err(agreement.get("id")?.bad(Problem::Empty));
        }
        if is_bsn(&contract) {
            return Err(agreement.get("id")?.bad(Problem::Bsn));
        }
        let corporation = agreement.get("idOrganisatie")?.text()?;
        let address = self.address(agreement)?;
        let mut tenants = Vec::new();
        for relation in agreement.get("relaties")?.list()? {
            let Some(person) = resolve(&relation, &self.persons)? else { continue };
            refuse_bsn(&person)?;
            if !person.get("overlijdensdatum")?.text()?.is_empty() {
                left_out.deceased += 1;
                continue;
            }
            let number = u32::try_from(tenants.len() + 1).map_err(|_| relation.bad(Problem::Number))?;
            let person = self::person(&person, address.clone(), self.dates)?;
            tenants.push(Tenant { contract: contract.clone(), number, corporation: corporation.clone(), person });
        }
        Ok(tenants)
    }

    /// The address of the first dwelling that has one.
    fn address(&self, agreement: &Node<'a>) -> Result<Option<Address>, Bad> {
        for dwelling in agreement.get("eenheden")?.list()? {
            let Some(dwelling) = resolve(&dwelling, &self.dwellings)? else { continue };
            let Some(address) = resolve(&dwelling.get("adres")?, &self.addresses)? else { continue };
            if let Some(address) = parse_address(&address)? {
                return Ok(Some(address));
            }
        }
        Ok(None)
    }
}

fn by_id<'a>(list: &'a [Value], name: &str) -> HashMap<String, Node<'a>> {
    let nodes = list.iter().enumerate().map(|(at, value)| Node::at(value, format!("{name}[{at}]")));
    // What has no id is found by nobody.
    nodes.filter_map(|node| Some((node.get("id").ok()?.text().ok()?, node))).collect()
}

/// What a reference points at: the object in the lists with its id, or the object itself. Nothing for `null`, and for
/// what no list has: agreements refer to companies too.
fn resolve<'a>(reference: &Node<'a>, among: &HashMap<String, Node<'a>>) -> Result<Option<Node<'a>>, Bad> {
    if !reference.is_object() {
        let text = reference.text()?;
        return Ok(among.get(text.rsplit('/').next().unwrap_or_default()).cloned());
    }
    let id = first_text(reference, &["id", "uri"])?;
    match among.get(id.rsplit('/').next().unwrap_or_default()) {
        Some(known) => Ok(Some(known.clone())),
        // More than a reference: the object itself.
        None => Ok(Some(reference.clone()).filter(|_| reference.value().as_object().is_some_and(|it| it.len() > 1))),
    }
}

/// The first of these members that is not empty.
fn first_text(node: &Node, members: &[&str]) -> Result<String, Bad> {
    for member in members {
        let text = node.get(member)?.text()?;
        if !text.is_empty() {
            return Ok(text);
        }
    }
    Ok(String::new())
}

fn person(node: &Node, address: Option<Address>, dates: Dates) -> Result<Person, Bad> {
    let text = |path: &str| node.get(path)?.text();
    // The name at birth is the register's; the name in daily use may be the partner's.
    let (birth_name, daily) = (text("geslachtsnaam")?, text("achternaam")?);
    let (surname, other) = if birth_name.is_empty() { (daily, String::new()) } else { (birth_name, daily) };
    let (birth, sex_node) = (node.get("geboortedatum")?, node.get("geslacht")?);
    Ok(Person {
        given_names: text("voornaam")?,
        initials: first_text(node, &["voorletters", "initialen"])?,
        surname,
        partner_surname: other,
        birth: dates.birth(&birth.text()?).map_err(|error| birth.bad(error.into()))?,
        sex: sex(&sex_node.text()?).map_err(|problem| sex_node.bad(problem))?,
        address,
        ..Person::default()
    })
}

fn parse_address(node: &Node) -> Result<Option<Address>, Bad> {
    let text = |path: &str| node.get(path)?.text();
    let suffix = [text("huisletter")?, text("huisnummerToevoeging")?].join(" ");
    let address = Address::parse(&text("postcode")?, &text("huisnummer")?, &suffix).map_err(|error| {
        let member = if error == BadAddress::Postcode { "postcode" } else { "huisnummer" };
        Bad { path: format!("{}.{member}", node.path()), problem: error.into() }
    })?;
    let street = first_text(node, &["straatnaam", "straat"])?;
    Ok(address.map(|address| address.with_street(street)))
}

/// Refuses an object with a citizen service number anywhere in it, but in technical ids. Names the object only:
/// what its members are called is the file's.
fn refuse_bsn(node: &Node) -> Result<(), Bad> {
    if has_bsn(node.value()) { Err(node.bad(Problem::Bsn)) } else { Ok(()) }
}

fn has_bsn(value: &Value) -> bool {
    let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
    match value {
        Value::String(text) => is_bsn(text),
        Value::Number(number) => is_bsn(&number.to_string()),
        Value::Array(values) => values.iter().any(has_bsn),
        Value::Object(members) => members.iter().any(|(key, value)| match key.as_str() {
            "bsn" => !is_empty(value),
            key => !key.starts_with("id") && has_bsn(value),
        }),
        Value::Null | Value::Bool(_) => false,
    }
}
