//! What `voorrang encode --fields` lists is what is read, and all of it: an authorisation is written from that list.
//! Every value of an example is taken out or changed; codes change if its place is listed, and only then.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use time::macros::date;
use voorrang::code::Record;
use voorrang::encode::read::{Element, Format, LeftOut, Restricted, fields, residents_in, tenants_in};
use voorrang::encode::{Address, Ages, BirthDate, Encoder, Person, Resident, Sex};
use voorrang::profile::Profile;

const AGES: Ages = Ages { minor_below: 18, senior_from: 65 };

fn written(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in");
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// Everything of a person that codes or households can be made of.
#[derive(PartialEq)]
struct Seen {
    texts: Vec<String>,
    birth: BirthDate,
    sex: Option<Sex>,
    address: Option<Address>,
}

impl Seen {
    fn new(ids: [String; 2], person: Person) -> Self {
        let Person { given_names, initials, surname, partner_surname, birth, sex, address, .. } = person;
        let texts = ids.into_iter().chain([given_names, initials, surname, partner_surname]).collect();
        Self { texts, birth, sex, address }
    }
}

/// What becomes of a population, and who of it is left out; or why there is nothing.
fn residents(text: &str, format: Format) -> Result<(Vec<Seen>, LeftOut), String> {
    let (_folder, path) = written(text);
    let listed = residents_in(&path, format, Restricted::LeaveOut).map_err(|error| error.to_string())?;
    let seen = listed.people.into_iter().map(|one| Seen::new([one.id, one.household], one.person)).collect();
    Ok((seen, listed.left_out))
}

/// The same of tenants.
fn tenants(text: &str) -> Result<(Vec<Seen>, LeftOut), String> {
    let (_folder, path) = written(text);
    let listed = tenants_in(&path, Format::Vera).map_err(|error| error.to_string())?;
    let seen = listed.people.into_iter().map(|one| Seen::new([one.id(), one.corporation], one.person)).collect();
    Ok((seen, listed.left_out))
}

/// Records of residents, and the suffixes of their addresses, which are in no code and tell households apart.
fn records(text: &str) -> (Vec<Record>, Vec<String>) {
    let (_folder, path) = written(text);
    let people = residents_in(&path, Format::Csv, Restricted::LeaveOut).unwrap().people;
    let suffix = |one: &Resident| one.person.address.as_ref().map(|address| address.suffix().to_owned());
    let encoder = Encoder::new(&Profile::built_in(), &[7; 32], &"haarlem-1".parse().unwrap());
    (encoder.residents(&people, date!(2026 - 01 - 01), &AGES), people.iter().filter_map(suffix).collect())
}

/// Every value of a document that is no object and no list: the way to it as JSON pointer and as names alone.
fn leaves(value: &Value, pointer: &str, names: &str, into: &mut Vec<(String, String)>) {
    let below = |name: &str| if names.is_empty() { name.to_owned() } else { format!("{names}.{name}") };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| leaves(value, &format!("{pointer}/{name}"), &below(name), into));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| leaves(value, &format!("{pointer}/{at}"), names, into));
        }
        _ => into.push((pointer.to_owned(), names.to_owned())),
    }
}

fn with(document: &Value, pointer: &str, value: Value) -> String {
    let mut changed = document.clone();
    *changed.pointer_mut(pointer).unwrap() = value;
    changed.to_string()
}

/// Whether a path is this one or below it. A code is read and its description is not.
fn is_of(listed: &str, path: &str) -> bool {
    match listed.strip_suffix(".code") {
        Some(plain) => path == listed || path == plain,
        None => path == listed || path.strip_prefix(listed).is_some_and(|rest| rest.starts_with('.')),
    }
}

/// A document without what stands at a path, wherever lists are in between; nor is an object given of which nothing is.
fn without(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(values), _) => values.iter_mut().for_each(|value| without(value, path)),
        (Value::Object(members), [last]) => {
            members.remove(*last);
        }
        (Value::Object(members), [first, rest @ ..]) => {
            let Some(inner) = members.get_mut(*first) else { return };
            without(inner, rest);
            if inner.as_object().is_some_and(serde_json::Map::is_empty) {
                members.remove(*first);
            }
        }
        _ => {}
    }
}

/// Holds a list to what reading a document comes to. `place` makes of the names of a list and its member what is listed.
fn hold<T: PartialEq>(
    listed: &BTreeSet<String>,
    documents: &[Value],
    read: impl Fn(&str) -> T,
    place: impl Fn(&str) -> String,
    names_of: impl Fn(&str) -> String,
) {
    let (mut found, mut missed) = (BTreeSet::new(), BTreeSet::new());
    for document in documents {
        let before = read(&document.to_string());
        let mut all = Vec::new();
        leaves(document, "", "", &mut all);
        for (pointer, names) in all {
            let changes = [Value::Null, json!("7")].map(|value| read(&with(document, &pointer, value)) != before);
            let name = place(&names);
            let is_listed = listed.iter().any(|one| is_of(one, &name));
            if changes.contains(&true) && !is_listed {
                missed.insert(name);
            } else if changes.contains(&true) {
                found.insert(name);
            }
        }
        for one in listed {
            let mut changed = document.clone();
            without(&mut changed, &names_of(one).split('.').collect::<Vec<_>>());
            found.extend((read(&changed.to_string()) != before).then(|| one.clone()));
        }
    }
    assert!(missed.is_empty(), "read and not listed: {missed:?}");
    let unread: Vec<_> = listed.iter().filter(|one| !found.iter().any(|name| is_of(one, name))).collect();
    assert!(unread.is_empty(), "listed and not read: {unread:?}");
}

#[test]
fn a_line_is_number_and_name_as_table_35_has_it_and_the_place() {
    for (format, place, more) in [(Format::Gbav, "01.03.10", 0), (Format::BrpJson, "geboorte.datum", 2)] {
        let lines = fields(format);
        assert_eq!(lines.len(), Element::ALL.len() + more);
        assert!(lines.contains(&format!("01.03.10 geboortedatum\t10310\t{place}")));
        assert!(lines.is_sorted());
    }
    let lines = fields(Format::BrpJson);
    assert_eq!(lines[0], "01.01.10 A-nummer\t10110\taNummer");
    assert_eq!(lines[1], "01.01.20 burgerservicenummer\t10120\tburgerservicenummer (without aNummer)");
}

#[test]
fn of_the_brp_api_what_is_listed_is_read_and_nothing_else() {
    let signs = |c: char| " (),\t".contains(c);
    let listed: BTreeSet<String> = fields(Format::BrpJson)
        .iter()
        .flat_map(|line| line.split('\t').nth(2).unwrap().split(signs).map(str::to_owned).collect::<Vec<_>>())
        .filter(|word| !["", "else", "without"].contains(&word.as_str()))
        .collect();
    let read = |text: &str| residents(text, Format::BrpJson);
    hold(&listed, &[person(), flat_person()], read, str::to_owned, str::to_owned);
}

/// A person as version 2 has it, with what nobody needs; one with initials and a longer street, one who gets letters
/// only, a dead one and one who left.
fn person() -> Value {
    let address = |street: &str| {
        json!({"korteStraatnaam": street, "officieleStraatnaam": "Lange Voorbeeldkade", "huisnummer": 12,
               "huisletter": "A", "huisnummertoevoeging": "bis", "postcode": "1011AB", "woonplaats": "Voorbeeldstad",
               "aanduidingBijHuisnummer": {"code": "to", "omschrijving": "tegenover"}})
    };
    let whole = |number: &str, street: &str| {
        json!({"aNummer": number, "burgerservicenummer": "999990019", "leeftijd": 45,
               "naam": {"voornamen": "Anna Maria", "voorletters": "A.M.", "voorvoegsel": "van den",
                        "geslachtsnaam": "Jansen", "aanduidingNaamgebruik": {"code": "V"},
                        "volledigeNaam": "Anna Maria van den Jansen", "adellijkeTitelPredicaat": {"code": "JV"}},
               "geslacht": {"code": "V", "omschrijving": "vrouw"}, "geslachtsaanduiding": "M",
               "geboorte": {"datum": {"type": "Datum", "datum": "1980-03-05", "langFormaat": "5 maart 1980"},
                            "plaats": {"code": "0392"}, "land": {"code": "6030"}},
               "nationaliteiten": [{"nationaliteit": {"code": "0001"}}],
               "partners": [{"burgerservicenummer": "999990020", "geboorte": {"datum": "1979-01-01"},
                             "naam": {"voornamen": "Bo", "voorvoegsel": "de", "geslachtsnaam": "Vries"}}],
               "kinderen": [{"naam": {"geslachtsnaam": "Vries"}}], "ouders": [{"naam": {"geslachtsnaam": "Smit"}}],
               "gemeenteVanInschrijving": {"code": "0392"}, "datumInschrijvingInGemeente": {"datum": "2001-01-01"},
               "geheimhoudingPersoonsgegevens": 0,
               "immigratie": {"landVanwaarIngeschreven": {"code": "5002"}},
               "verblijfplaats": {"type": "Adres", "functieAdres": {"code": "W", "omschrijving": "woonadres"},
                                  "datumVan": {"datum": "2001-01-01"}, "adresseerbaarObjectIdentificatie": "0392010000000001",
                                  "verblijfadres": address(street)}})
    };
    let mut initials = whole("1000000002", "");
    initials["naam"]["voornamen"] = Value::Null;
    initials["aNummer"] = Value::Null;
    initials["geslacht"] = Value::Null;
    initials["opschortingBijhouding"] = Value::Null;
    let mut dead = whole("1000000003", "Kade");
    dead["overlijden"] = json!({"datum": "2020-01-01"});
    let mut letters = whole("1000000005", "Kade");
    letters["verblijfplaats"]["functieAdres"] = json!({"code": "B", "omschrijving": "briefadres"});
    let mut emigrated = whole("1000000004", "Kade");
    emigrated["opschortingBijhouding"] = json!({"reden": {"code": "E", "omschrijving": "emigratie"}});
    json!([whole("1000000001", "Kade"), initials, letters, dead, emigrated])
}

/// A person whose residence is flat, as version 1 has it.
fn flat_person() -> Value {
    let one = |number: &str, street: Value| {
        json!({"aNummer": number, "naam": {"voornamen": "Bo", "geslachtsnaam": "Vries"}, "geboorte": {"datum": "19790101"},
               "verblijfplaats": {"korteStraatnaam": street, "officieleStraatnaam": "Lange Kade", "huisnummer": 5,
                                  "huisletter": "B", "huisnummertoevoeging": "2", "postcode": "1011AC",
                                  "aanduidingBijHuisnummer": {"code": "by"}, "functieAdres": {"code": "W"},
                                  "woonplaats": "Voorbeeldstad", "identificatiecodeNummeraanduiding": "0392200000000001"}})
    };
    json!([one("1", json!("Kade")), one("2", Value::Null)])
}

#[test]
fn of_vera_what_is_listed_is_read_and_nothing_else() {
    let listed: BTreeSet<String> = fields(Format::Vera).into_iter().collect();
    let objects = [
        ("huurovereenkomsten", "Huurovereenkomst"),
        ("natuurlijkPersonen", "NatuurlijkPersoon"),
        ("eenheden", "Eenheid"),
        ("adressen", "Adres"),
    ];
    let place = |names: &str| {
        let (list, member) = names.split_once('.').unwrap();
        let (_, object) = objects.iter().find(|(name, _)| *name == list).unwrap();
        format!("{object}.{member}")
    };
    let names_of = |listed: &str| {
        let (object, member) = listed.split_once('.').unwrap();
        let (list, _) = objects.iter().find(|(_, name)| *name == object).unwrap();
        format!("{list}.{member}")
    };
    hold(&listed, &[vera()], tenants, place, names_of);
}

fn vera() -> Value {
    let person = |id: &str, other: bool| {
        let mut one = json!({"id": id, "voornaam": "Anna", "voorletters": "A.M.", "initialen": "X.", "roepnaam": "An",
               "tussenvoegsels": "van den", "achternaam": "Vries", "geslachtsnaam": "Jansen", "aanschrijfnaam": "A. Jansen",
               "geboortedatum": "1980-03-05", "overlijdensdatum": null, "geslacht": {"code": "V", "naam": "Vrouw"},
               "telefoon": "+31 20 5550100", "taal": {"code": "nl"}, "begindatum": "2001-01-01"});
        if other {
            one["voorletters"] = Value::Null;
            one["voornaam"] = Value::Null;
        }
        one
    };
    let mut dead = person("p-3", false);
    dead["overlijdensdatum"] = json!("2020-01-01");
    json!({
        "huurovereenkomsten": [
            {"id": "h-1", "idExtern": "K0000001", "idOrganisatie": "C1", "begindatum": "2001-01-01", "status": {"code": "ACT"},
             "relaties": ["/natuurlijk-personen/p-1", "p-2", "p-3"], "eenheden": ["/eenheden/e-1"], "bewakingsstatus": "NOR"},
            {"id": "h-2", "idOrganisatie": "C1", "relaties": ["p-2"], "eenheden": ["e-2"]}],
        "natuurlijkPersonen": [person("p-1", false), person("p-2", true), dead],
        "eenheden": [{"id": "e-1", "adres": "/adressen/a-1", "soort": {"code": "WON"}, "kamers": 4},
                     {"id": "e-2", "adres": "a-2"}],
        "adressen": [{"id": "a-1", "straatnaam": "Voorbeeldkade", "huisnummer": "12", "huisletter": "A",
                      "huisnummerToevoeging": "bis", "postcode": "1011AB", "woonplaats": "Voorbeeldstad", "land": "NL"},
                     {"id": "a-2", "straat": "Dorpsstraat", "huisnummer": "3", "postcode": "1011AC"}],
    })
}

fn example(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    fs::read_to_string(path).unwrap()
}

/// A CSV text with every value of one column changed.
fn with_column(text: &str, sign: char, column: usize, value: &str) -> String {
    let mut lines = text.lines();
    let mut out = vec![lines.next().unwrap().to_owned()];
    for line in lines {
        let mut values: Vec<&str> = line.split(sign).collect();
        values[column] = value;
        out.push(values.join(&sign.to_string()));
    }
    out.join("\n")
}

#[test]
fn of_a_gba_v_export_what_is_listed_is_missed_and_nothing_else_is_read() {
    let text = example("gbav.csv");
    let listed: BTreeSet<String> = fields(Format::Gbav).iter().map(|line| line[..8].to_owned()).collect();
    let before = residents(&text, Format::Gbav);
    let columns = text.lines().next().unwrap().split(';').enumerate();
    for (at, column) in columns.filter(|(_, column)| column.len() == 8) {
        let missing = residents(&text.replacen(&format!(";{column}"), ";99.99.99", 1), Format::Gbav);
        assert_eq!(missing.is_err(), listed.contains(column), "{column}");
        if !listed.contains(column) {
            assert!(residents(&with_column(&text, ';', at, "7"), Format::Gbav) == before, "{column}");
        }
    }
}

const BRP: &str = "person_id,bsn,huishouden_id,adres_id,voornamen,voorvoegsel,geslachtsnaam,geslacht,geboortedatum,\
naamgebruik,partner_voorvoegsel,partner_geslachtsnaam,rol,straat,huisnummer,huisletter,toevoeging,postcode,woonplaats\n\
P1,123456782,H1,A1,Jan,van den,Berg,M,19670916,E,de,Vries,partner,Straat,113,A,1,1011AB,Plaats\n";

#[test]
fn of_the_csv_file_of_residents_only_the_listed_elements_are_in_codes() {
    let listed: BTreeSet<String> =
        fields(Format::Csv).iter().map(|line| line.split('\t').nth(2).unwrap().to_owned()).collect();
    let before = records(BRP);
    for (at, column) in BRP.lines().next().unwrap().split(',').enumerate() {
        // Whose record it is and whose household, which no register has.
        if ["person_id", "huishouden_id"].contains(&column) {
            continue;
        }
        let gone = records(&with_column(BRP, ',', at, ""));
        assert_eq!(gone != before, listed.contains(column), "{column}");
    }
    let without = BRP.replace("voorvoegsel,geslachtsnaam", "geslachtsnaam").replace("van den,", "");
    assert!(records(&without) == before, "the infix need not be there");
}
