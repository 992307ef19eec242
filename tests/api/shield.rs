//! What a shield hides, and a group that is told to nobody: of people who are told nothing, neither an answer nor its
//! charge says whether a register or the care list knows them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use voorrang::answer::wire;
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::encode::{Encoder, Tenant, read};
use voorrang::profile::Profile;

use super::probing::{COUPLE, SHIELDED, UNKNOWN, beside, counted};
use super::regulation::{TEAM, amend, told};
use super::reports::half_the_town;
use super::support::*;

/// In the OGGZ group alone at an address of somebody else: one, and a couple in one household.
const SHIELDED_ELSEWHERE: &str = "K0000149";
pub const SHIELDED_COUPLE: &str = "K0000073";
/// On the care list, and registered nowhere.
const LISTED: [&str; 2] = ["O000006", "O000010"];

/// The codes of a member of the care list, as a tenant's.
fn listed(encoder: &Encoder, id: &str) -> Value {
    let members = read::care_members(&demo("oggz.csv")).unwrap();
    let person = members.into_iter().find(|member| member.id == id).unwrap().person;
    let tenant = Tenant { contract: id.into(), number: 1, corporation: "C1".into(), person };
    let codes = encoder.tenants(&[tenant]).remove(0).0;
    json!([{ "codes": wire::by_name(codes, &Profile::built_in()) }])
}

/// People of whom nothing may be told, by how many they are.
fn people(encoder: &Encoder) -> [Vec<Value>; 2] {
    let of = |contract: &str| value(encoder, contract)["tenants"].clone();
    let both = |one: &Value, other: &Value| {
        json!([one.as_array().unwrap().clone(), other.as_array().unwrap().clone()].concat())
    };
    let single: Vec<Value> = [SHIELDED, SHIELDED_ELSEWHERE, UNKNOWN, STRANGERS]
        .map(of)
        .into_iter()
        .chain(LISTED.map(|id| listed(encoder, id)))
        .collect();
    let pairs = [(0, 1), (0, 2), (2, 3), (3, 4), (4, 5)].map(|(one, other)| both(&single[one], &single[other]));
    let couples = pairs.into_iter().chain([of(SHIELDED_COUPLE)]).collect();
    [single, couples]
}

/// Contracts of the corporation's own, none to three.
const OWN: [&[&str]; 8] = [
    &[],
    &[FAMILY],
    &[SINGLE],
    &[COUPLE],
    &[FAMILY, SINGLE],
    &[FAMILY, COUPLE],
    &[SINGLE, COUPLE],
    &[FAMILY, SINGLE, COUPLE],
];

/// These people at an address, beside contracts of the corporation's own.
fn named(encoder: &Encoder, address: &str, people: &Value, own: &[&str]) -> Value {
    let mut question = value(encoder, address);
    question["tenants"] = people.clone();
    let own: Vec<Value> = own.iter().map(|contract| value(encoder, contract)).collect();
    beside(&question, &own.iter().collect::<Vec<_>>())
}

/// The answer, and what it costs: questions and misses.
fn asked(house: &House, line: &mut Line, question: &Value) -> (String, (i64, i64)) {
    house.forget_counts();
    let answer = line.ask(question).answered().answer;
    (answer, counted(house))
}

#[test]
fn who_is_shielded_and_who_is_registered_nowhere_are_alike_in_answer_and_charge_whoever_is_named_beside_them() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    for people in people(&encoder) {
        let tenants = people[0].as_array().unwrap().len();
        for (address, own) in [SHIELDED, FAMILY].iter().flat_map(|address| OWN.map(|own| (*address, own))) {
            let mut questions = people.iter().map(|people| named(&encoder, address, people, own));
            let all: BTreeSet<_> = questions.by_ref().map(|question| asked(&house, &mut line, &question)).collect();
            println!("{tenants} at {address} beside {own:?}: {all:?}");
            assert_eq!(all.len(), 1, "{tenants} at {address} beside {own:?}: {all:?}");
            let priority = tenants == 1 && own == [FAMILY];
            let (answer, cost) = all.into_iter().next().unwrap();
            assert_eq!(answer, if priority { "priority" } else { "undetermined" });
            assert_eq!(cost, (if tenants == 1 && own.is_empty() { 1 } else { 2 }, 1));
        }
    }
}

#[test]
fn the_care_side_hears_the_same_of_a_family_whoever_is_named_beside_it() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let case = house.line(CORPORATION).ask(&value(&encoder, FAMILY)).answered().receipt;
    for people in people(&encoder) {
        for own in OWN.iter().filter(|own| own.contains(&FAMILY)) {
            let minor = |people: &Value| {
                house.forget_counts();
                let question = named(&encoder, FAMILY, people, own);
                told(&house, TEAM, &case, &question).groups["minor"].clone()
            };
            let all: BTreeSet<String> = people.iter().map(minor).collect();
            let alone = people[0].as_array().unwrap().len() == 1 && *own == [FAMILY];
            assert_eq!(all, [if alone { "yes" } else { "undetermined" }.to_owned()].into(), "{own:?}");
        }
    }
}

#[test]
fn where_a_group_is_told_to_no_corporation_no_care_list_changes_an_answer_or_a_charge() {
    let house = House::lawless();
    amend(&house, "recipients = [\"corporation\", \"care-custodian\"]", "recipients = [\"care-custodian\"]");
    house.activate_law().unwrap();
    house.agree(EPOCH);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    // A list of one who stands for nobody here.
    let (other, header) = (house.file("other.csv"), fs::read_to_string(demo("oggz.csv")).unwrap());
    let header = header.lines().next().unwrap();
    fs::write(&other, format!("{header}\nO1,Xanthippe,,Quasthoff,V,1931-02-03,,,,,\n")).unwrap();
    house.load(CARE, Kind::Care, &other).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    house.activate(EPOCH).unwrap();
    let encoder = house.encoder(EPOCH);
    let questions: Vec<Value> = people(&encoder)
        .iter()
        .flatten()
        .flat_map(|people| OWN.map(|own| named(&encoder, SHIELDED, people, own)))
        .chain(OWN[1..].iter().map(|own| named(&encoder, own[0], &json!([]), own)))
        .collect();
    let all = || {
        // Anew: a connection without a question is closed after a while.
        let mut line = house.line(CORPORATION);
        questions.iter().map(|question| asked(&house, &mut line, question)).collect::<Vec<_>>()
    };
    let without = all();
    assert!(
        ["priority", "no_priority", "undetermined"].iter().all(|word| without.iter().any(|(told, _)| told == word))
    );
    let load = |input: &Path| {
        load::load(&LoadArgs { accept_shrink: true, ..house.load_args(CARE, Kind::Care, input) }).unwrap();
    };
    // The shipped list, and one of a tenth of the town.
    load(&demo("oggz.csv"));
    assert_eq!(all(), without);
    let mut row = 0;
    rows(&half_the_town(&house), &other, |_| {
        row += 1;
        row % 5 == 0
    });
    load(&other);
    assert_eq!(all(), without);
}
