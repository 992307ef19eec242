//! A corporation with the salt and a stock of a real size: tap, alarm and stop, each where the regulation has it.
//! `CAMPAIGN_DWELLINGS` sets how large the stock is; 4,000 take some minutes.

use std::fs;

use serde_json::{Value, json};
use voorrang::answer::wire;
use voorrang::audit::Action;
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::cli::regulation;
use voorrang::encode::{Encoder, Tenant, read};
use voorrang::profile::Profile;

use super::support::*;

/// Dwellings, unless the environment says otherwise: the stop lies behind the fifty misses that close a tap.
const DWELLINGS: usize = 400;
const OTHER: &str = "elan-wonen";
/// Of the patient prober's questions one in so many is about somebody whom it invented: below the share of a tap.
const ONE_IN: usize = 6;

/// One adult a dwelling, as a resident and as a tenant.
fn town(house: &House, dwellings: usize) -> [std::path::PathBuf; 2] {
    let (residents, tenants) = (house.file("town.csv"), house.file("town-tenants.csv"));
    let header = |file: &str| fs::read_to_string(demo(file)).unwrap().lines().next().unwrap().to_owned() + "\n";
    let (mut people, mut contracts) = (header("brp.csv"), header("huurders.csv"));
    for n in 0..dwellings {
        let ([first, last], year, day) = (name(n), 1970 + n * 7 % 30, 1 + n * 11 % 28);
        let (letter, number) = (char::from(b'A' + (n / 40 % 26) as u8), 1 + n % 40);
        let place = |suffix: &str| format!("Laan {},{number}{suffix},{}{letter}{letter},Stad", n / 40, 2000 + n / 1040);
        people += &format!("PD{n},,HD{n},AD{n},{first},,{last},M,{year}03{day:02},E,,,referentie,{}\n", place(",,"));
        contracts += &format!("D{n},1,C1,,{first},,{last},man,{year}-03-{day:02},{},2020-01-01\n", place(","));
    }
    fs::write(&residents, people).unwrap();
    fs::write(&tenants, contracts).unwrap();
    [residents, tenants]
}

/// First and last name number `n`, unlike those of its neighbours.
fn name(n: usize) -> [String; 2] {
    const PARTS: [&str; 16] =
        ["ba", "der", "fi", "gro", "hen", "ja", "kel", "lo", "mun", "ne", "pol", "ra", "sti", "ter", "vo", "wim"];
    // Knuth's multiplicative hash.
    let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let part = |shift: usize| PARTS[mixed >> shift & 15];
    [[part(24), part(28), part(32)].concat(), [part(8), part(12), part(16), part(20)].concat()]
}

fn register(house: &House, stem: &str, stock: &std::path::Path, dwellings: usize) {
    let dwellings = u32::try_from(dwellings).unwrap();
    let args = LoadArgs { dwellings: Some(dwellings), ..LoadArgs::new(Kind::Stock, stock.into(), house.party(stem)) };
    let pending = load::load(&args).unwrap().pending.unwrap();
    regulation::confirm(&pending, &house.client(OFFICER)).unwrap();
}

/// A question about each dwelling's tenant, and one about somebody invented there.
fn asked_of(encoder: &Encoder, tenants: &std::path::Path) -> Vec<[Value; 2]> {
    let (pattern, profile) = (value(encoder, FAMILY), Profile::built_in());
    let question = |tenant: Tenant| {
        let (codes, address) = encoder.tenants(&[tenant]).remove(0);
        let mut question = pattern.clone();
        question["address"] = json!(address);
        question["tenants"] = json!([{ "codes": wire::by_name(codes, &profile) }]);
        question
    };
    let all = read::tenants(tenants).unwrap();
    let both = |(n, tenant): (usize, Tenant)| {
        let mut invented = tenant.clone();
        [invented.person.given_names, invented.person.surname] = name(n + 7_777_777);
        // Somebody of the same address and birth date would be the tenant under another name.
        invented.person.birth = all[(n + 3) % all.len()].person.birth;
        [question(tenant), question(invented)]
    };
    all.iter().cloned().enumerate().map(both).collect()
}

fn entries(house: &House, action: Action) -> usize {
    house.log().iter().filter(|entry| entry.action == action).count()
}

#[test]
fn of_a_stock_of_a_real_size_the_tap_closes_at_once_and_patience_meets_the_alarm_and_the_stop() {
    let dwellings = std::env::var("CAMPAIGN_DWELLINGS").ok().and_then(|text| text.parse().ok()).unwrap_or(DWELLINGS);
    // The rate of refusals, which slows a prober sooner (`floods`), stands aside.
    let house = House::limited(&[("refusals_per_minute_each", 1_000_000)]);
    let [residents, tenants] = town(&house, dwellings);
    house.agree(EPOCH);
    let args = LoadArgs { input: residents.clone(), ..house.load_args(POPULATION, Kind::Population, &residents) };
    load::load(&args).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    [CORPORATION, OTHER].iter().for_each(|stem| register(&house, stem, &tenants, dwellings));
    house.activate(EPOCH).unwrap();
    let questions = asked_of(&house.encoder(EPOCH), &tenants);

    // Nothing but people whom it invented.
    let mut line = house.line(OTHER);
    let forged =
        questions.iter().map(|[_, invented]| line.ask(invented)).take_while(|reply| reply.status == 200).count();
    assert_eq!(entries(&house, Action::Probing), 1);

    // Patience: its own tenants in between. It is refused by the budget, and was told of before.
    let mut line = house.line(CORPORATION);
    let [tenth, quarter] = [10, 4].map(|part| dwellings.div_ceil(part));
    let (mut told, mut learned, mut alarm) = (0, 0, None);
    for (n, [own, invented]) in questions.iter().enumerate() {
        let probe = n % ONE_IN == ONE_IN - 1;
        let reply = line.ask(if probe { invented } else { own });
        if reply.status != 200 {
            assert_eq!(reply.is_problem(403, "refused").article.as_deref(), Some("budget"), "after {told}");
            break;
        }
        (told, learned) = (told + 1, learned + usize::from(probe));
        if alarm.is_none() && told + 20 >= tenth && entries(&house, Action::BudgetAlarm) == 1 {
            alarm = Some(told);
        }
        // A connection without a question is closed after a while, and has so many.
        if n % 500 == 499 {
            line = house.line(CORPORATION);
        }
    }
    let alarm = alarm.expect("the officers are told");
    println!(
        "{dwellings} dwellings: the tap closes after {forged} forged questions; hidden among its own, {learned} of {told} \
         until the stop, alarm by {alarm}"
    );
    assert!((50..=80).contains(&forged), "{forged}");
    assert!(alarm <= tenth && alarm + 20 >= tenth, "alarm by {alarm} of {dwellings}");
    assert!(told <= quarter && told * 5 >= quarter * 4, "{told}: who is in doubt and alone counts as one");
    assert!(learned * ONE_IN <= told, "{learned} of {told}");
    assert_eq!(entries(&house, Action::Probing), 1, "the patient one stays below");
}
