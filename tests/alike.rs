//! Which spellings of one person are taken for one person, and which neighbours: all tenants of nl10k, three salts. Without
//! the laboratory's folder beside this one there is nobody to measure, and the test says so; where `SHARED` names it it must be
//! there.

use std::path::{Path, PathBuf};

use voorrang::code::Codes;
use voorrang::encode::{Address, Encoder, Person, Sex, Tenant, read};
use voorrang::link::Alike;
use voorrang::profile::Profile;

/// Spelling, under the tenant's own contract number and under another one, least and largest share that is alike.
const WANTED: [(&str, bool, f64, f64); 11] = [
    ("surname", false, 0.999, 1.0),
    ("initial", false, 0.999, 1.0),
    ("given", false, 0.999, 1.0),
    ("birth", false, 0.999, 1.0),
    ("sex", false, 0.999, 1.0),
    ("initial surname", true, 0.97, 1.0),
    ("initial surname", false, 0.97, 1.0),
    ("initial given surname", false, 0.96, 1.0),
    ("birth initial given", false, 0.02, 0.08),
    ("birth surname", false, 0.04, 0.10),
    ("birth initial given surname", false, 0.0, 0.06),
];

/// Largest share of neighbours.
const NEIGHBOURS: f64 = 0.05;

#[test]
fn spellings_of_one_person_are_alike_and_nineteen_of_twenty_neighbours_are_not() {
    let named = std::env::var_os("SHARED").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let data = named.clone().unwrap_or_else(beside).join("data/nl10k/huurders.csv");
    if !data.exists() {
        assert!(named.is_none(), "SHARED names a folder without data/nl10k");
        eprintln!("skipped: ../shared/data/nl10k is not here");
        return;
    }
    let all = read::tenants(&data).unwrap();
    let is_known = |tenant: &&Tenant| tenant.person.birth.day.is_some() && tenant.person.address.is_some();
    let tenants: Vec<Tenant> = all.iter().filter(is_known).cloned().collect();
    let profile = Profile::built_in();
    let alike = Alike::of(&profile);
    let (mut counts, mut neighbours) = ([(0, 0); WANTED.len()], (0, 0));
    for salt in [7, 8, 9] {
        let encoder = Encoder::new(&profile, &[salt; 32], &"test".parse().unwrap());
        let codes =
            |tenants: &[Tenant]| -> Vec<Codes> { encoder.tenants(tenants).into_iter().map(|one| one.0).collect() };
        let right = codes(&tenants);
        for ((fields, same_number, ..), count) in WANTED.iter().zip(&mut counts) {
            let wrong: Vec<Tenant> = (0..tenants.len()).map(|at| spelled(&tenants, at, fields, *same_number)).collect();
            for (one, other) in right.iter().zip(codes(&wrong)) {
                *count = (count.0 + u32::from(alike.holds(one, &other)), count.1 + 1);
            }
        }
        for (at, tenant) in tenants.iter().enumerate() {
            for (before, other) in tenants[..at].iter().enumerate() {
                if place(tenant) == place(other) && tenant.contract != other.contract {
                    let found = alike.holds(&right[at], &right[before]);
                    neighbours = (neighbours.0 + u32::from(found), neighbours.1 + 1);
                }
            }
        }
    }
    let share = |(found, all): (u32, u32)| f64::from(found) / f64::from(all);
    println!("{:.4} of {} pairs of neighbours", share(neighbours), neighbours.1);
    for ((fields, same_number, ..), count) in WANTED.iter().zip(counts) {
        println!("{:.3} of {} with another {fields}, same number: {same_number}", share(count), count.1);
    }
    assert!(neighbours.1 > 4_000 && share(neighbours) <= NEIGHBOURS);
    for ((fields, _, least, most), count) in WANTED.into_iter().zip(counts) {
        assert!((least..=most).contains(&share(count)), "{fields}");
    }
}

fn place(tenant: &Tenant) -> Option<(&str, u32)> {
    tenant.person.address.as_ref().map(|address: &Address| (address.postcode(), address.number()))
}

#[test]
fn other_people_under_a_number_that_is_used_again_share_no_code() {
    let tenant = |surname: &str, postcode: &str| {
        // Without a given name and a date, so that readings and keyed codes are noise.
        let address = Address::parse(postcode, "7", "").unwrap();
        let person = Person { initials: "J.".into(), surname: surname.into(), address, ..Person::default() };
        Tenant { contract: "K1".into(), number: 1, corporation: "C1".into(), person }
    };
    let encoder = Encoder::new(&Profile::built_in(), &[7; 32], &"test".parse().unwrap());
    let codes = |one: &Tenant| encoder.tenants(std::slice::from_ref(one)).remove(0).0;
    let first = codes(&tenant("Jansen", "1011AB"));
    assert!(first == codes(&tenant("Jansen", "1011AB")), "the same row, again");
    let other = codes(&tenant("Pietersen", "2022CD"));
    for (one, other) in first.passes.iter().zip(&other.passes) {
        assert!(one.iter().all(|code| !other.contains(code)));
    }
}

/// This tenant with these fields of somebody else; a name that is not there is not, where only the initial differs.
fn spelled(tenants: &[Tenant], at: usize, fields: &str, same_number: bool) -> Tenant {
    let mut tenant = tenants[at].clone();
    let person = &mut tenant.person;
    let differs = |other: &&Person| {
        let start = |person: &Person| person.surname.chars().next();
        other.birth != person.birth && start(other) != start(person) && initial(other) != initial(person)
    };
    let mut others = (1..).map(|step| &tenants[(at * 7 + 311 * step + 13) % tenants.len()].person);
    let other = others.find(differs).expect("people differ");
    let letter = initial(other).expect("somebody with an initial");
    for field in fields.split(' ') {
        match field {
            "surname" => (person.infix, person.surname) = (other.infix.clone(), other.surname.clone()),
            "initial" => (person.initials, person.given_names) = (letter.to_string(), String::new()),
            "given" => person.given_names = format!("{letter}{}", ["eroen", "aria", "inda", "obert", "lse"][at % 5]),
            "birth" => person.birth = other.birth,
            "sex" => person.sex = Some(if person.sex == Some(Sex::Male) { Sex::Female } else { Sex::Male }),
            other => panic!("{other}"),
        }
    }
    if !same_number {
        tenant.contract = format!("X{}", tenant.contract);
    }
    tenant
}

fn initial(person: &Person) -> Option<char> {
    person.given_names.chars().chain(person.initials.chars()).next().map(|letter| letter.to_ascii_uppercase())
}
