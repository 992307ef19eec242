//! Within one load a household that a party was told nothing about stays so: in parts, with others beside, under another
//! spelling, at another address. So who is behind a shield and who was not found are alike in whatever is asked next.

use serde_json::{Value, json};
use voorrang::answer::wire;
use voorrang::answer::wire::law::BatchAnswers;
use voorrang::cli::load::Kind;
use voorrang::encode::{Encoder, read};
use voorrang::profile::Profile;

use super::probing::{SHIELDED, beside, counted};
use super::question_batches::{results, send, wait};
use super::regulation::{TEAM, amend, told};
use super::shield::SHIELDED_COUPLE;
use super::support::*;

/// Of two tenants one is found, and of no group.
const FOUND: &str = "K0000044";
/// Flats at one address token.
const FLATS: [&str; 2] = ["K0000164", "K0000165"];
const OTHER: &str = "elan-wonen";

/// A couple of whom a register knows both, or one: together, each alone, and the first with a better name.
struct Couple {
    both: Value,
    one: Value,
    other: Value,
    better: Value,
}

impl Couple {
    /// In the OGGZ group.
    fn shielded(encoder: &Encoder) -> Self {
        let address = value(encoder, "K0000039");
        let both = named(&address, &value(encoder, SHIELDED_COUPLE));
        let better = named(&address, &spelled(encoder, SHIELDED_COUPLE, "Bakker"));
        Self { one: only(&both, 0), other: only(&both, 1), better, both }
    }

    /// One of whom nobody has ever heard.
    fn half_known(encoder: &Encoder) -> Self {
        let (one, nobody) = (only(&value(encoder, FOUND), 0), value(encoder, STRANGERS));
        let other = named(&one, &nobody);
        Self { both: beside(&one, &[&nobody]), better: spelled(encoder, FOUND, "Veenberge"), one, other }
    }
}

fn only(question: &Value, tenant: usize) -> Value {
    let mut alone = question.clone();
    alone["tenants"] = json!([question["tenants"][tenant]]);
    alone
}

/// The people of one question at the address of another.
fn named(address: &Value, people: &Value) -> Value {
    let mut question = address.clone();
    question["tenants"] = people["tenants"].clone();
    question
}

/// The first tenant of a contract under another surname.
fn spelled(encoder: &Encoder, contract: &str, surname: &str) -> Value {
    let mut tenant =
        read::tenants(&demo("huurders.csv")).unwrap().into_iter().find(|t| t.contract == contract).unwrap();
    tenant.person.surname = surname.into();
    let codes = encoder.tenants(&[tenant]).remove(0).0;
    let mut question = value(encoder, contract);
    question["tenants"] = json!([{ "codes": wire::by_name(codes, &Profile::built_in()) }]);
    question
}

/// The word, the length of what comes, and what it costs: questions and misses.
fn asked(house: &House, line: &mut Line, question: &Value) -> (String, usize, (i64, i64)) {
    let before = counted(house);
    let reply = line.ask(question);
    let after = counted(house);
    (reply.answered().answer, reply.body.len(), (after.0 - before.0, after.1 - before.1))
}

fn word(house: &House, question: &Value) -> String {
    house.line(CORPORATION).ask(question).answered().answer
}

#[test]
fn who_is_shielded_and_of_whom_one_was_not_found_are_alike_in_parts_and_under_another_spelling() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let couples = [Couple::shielded(&encoder), Couple::half_known(&encoder)];
    for order in [[0, 1, 2, 3], [0, 3, 1, 2], [2, 1, 0, 3]] {
        house.forget_counts();
        let of = |couple: &Couple| {
            let each = [&couple.both, &couple.one, &couple.other, &couple.better];
            let mut line = house.line(CORPORATION);
            order.map(|at| asked(&house, &mut line, each[at]))
        };
        let [shielded, half_known] = [of(&couples[0]), of(&couples[1])];
        assert_eq!(shielded, half_known, "{order:?}");
        assert!(shielded.iter().all(|(word, ..)| word == "undetermined"), "{order:?}");
    }
    // Alone, and first, he is told about.
    house.forget_counts();
    assert_eq!(word(&house, &couples[1].one), "no_priority");
    assert_eq!(word(&house, &couples[1].both), "undetermined");
    assert_eq!(word(&house, &couples[1].one), "undetermined");
    let (sealed, log) = (|entry: &voorrang::audit::Entry| entry.sealed.clone().unwrap().text.len(), house.log());
    let asked: Vec<_> = log.iter().filter(|entry| entry.action == voorrang::audit::Action::Ask).collect();
    assert!(asked.iter().all(|entry| sealed(entry) == sealed(asked[0]) && entry.articles == asked[0].articles));
}

#[test]
fn a_new_load_of_either_register_is_answered_anew_and_so_is_a_restart() {
    let mut house = House::open();
    let couple = Couple::half_known(&house.encoder(EPOCH));
    for (party, kind, file) in [(POPULATION, Kind::Population, "brp.csv"), (CARE, Kind::Care, "oggz.csv")] {
        house.forget_counts();
        assert_eq!(
            (word(&house, &couple.both), word(&house, &couple.one)),
            ("undetermined".into(), "undetermined".into())
        );
        house.load(party, kind, &demo(file)).unwrap();
        assert_eq!(word(&house, &couple.one), "no_priority", "{file}");
        let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
        let rows: i64 = db.query_row("SELECT count(*) FROM mark", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2, "{file}: what rested on the old load is gone");
    }
    // What opens the marks lives in memory alone.
    house.forget_counts();
    assert_eq!(word(&house, &couple.both), "undetermined");
    house.restart();
    assert_eq!(word(&house, &couple.one), "no_priority");
}

#[test]
fn a_load_of_the_care_list_ends_nothing_where_nothing_is_told_of_it() {
    let house = House::lawless();
    amend(&house, "recipients = [\"corporation\", \"care-custodian\"]", "recipients = []");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let couple = Couple::half_known(&house.encoder(EPOCH));
    assert_eq!(word(&house, &couple.both), "undetermined");
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    assert_eq!(word(&house, &couple.one), "undetermined");
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    assert_eq!(word(&house, &couple.one), "no_priority");
}

#[test]
fn of_two_questions_at_once_the_later_one_in_the_log_is_stuck() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let nobody = value(&encoder, STRANGERS);
    let mut stuck = 0;
    for contract in [SINGLE, "K0000039", "K0000041", "K0000047", "K0000049", "K0000051"] {
        for round in 0..4 {
            house.forget_counts();
            let one = only(&value(&encoder, contract), 0);
            let both = beside(&one, &[&nobody, &value(&encoder, FAMILY)]);
            let start = std::sync::Barrier::new(2);
            let ask = |question: &Value| {
                let mut line = house.line(CORPORATION);
                start.wait();
                line.ask(question).answered()
            };
            let (one, both) = std::thread::scope(|scope| {
                let both = scope.spawn(|| ask(&both));
                (ask(&one), both.join().unwrap())
            });
            assert_eq!(both.answer, "undetermined");
            let later = one.receipt.index > both.receipt.index;
            assert_eq!(one.answer == "undetermined", later, "{contract} {round}: {} {later}", one.answer);
            stuck += usize::from(later);
        }
    }
    println!("{stuck} of 24 were the later one");
}

#[test]
fn an_answer_sticks_for_who_asked_and_for_no_other_party() {
    let house = House::open();
    house.load(OTHER, Kind::Stock, &house.stock_of("C1")).unwrap();
    let couple = Couple::half_known(&house.encoder(EPOCH));
    assert_eq!(word(&house, &couple.both), "undetermined");
    assert_eq!(house.line(OTHER).ask(&couple.one).answered().answer, "no_priority");
    assert_eq!(word(&house, &couple.one), "undetermined");
}

#[test]
fn in_a_tower_the_same_people_stay_open_and_the_flat_beside_does_not() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let [here, beside_it] = FLATS.map(|contract| only(&value(&encoder, contract), 0));
    assert_eq!(here["address"], beside_it["address"], "one token");
    let before = word(&house, &beside_it);
    house.forget_counts();
    let nobody = value(&encoder, STRANGERS);
    let family = value(&encoder, FAMILY);
    assert_eq!(word(&house, &beside(&here, &[&nobody, &family])), "undetermined");
    assert_eq!(word(&house, &here), "undetermined", "the same person");
    assert_eq!(word(&house, &named(&here, &nobody)), "undetermined");
    assert_eq!(word(&house, &beside_it), before, "another flat");
    assert_ne!(before, "undetermined");
    // Who was not found stays so by what is equal in his codes, however he is spelled.
    house.forget_counts();
    let wrong = spelled(&encoder, FLATS[0], "Xuqwyzk");
    let tenant = |question: &Value| question["tenants"][0]["codes"].clone();
    assert_ne!(tenant(&wrong), tenant(&here));
    if word(&house, &wrong) == "undetermined" {
        assert_eq!(word(&house, &here), "undetermined");
    }
}

#[test]
fn who_is_named_at_another_address_stays_open_too() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let couple = Couple::half_known(&encoder);
    let elsewhere = ["K0000039", "K0000041"].map(|contract| value(&encoder, contract));
    assert_eq!(word(&house, &named(&elsewhere[0], &couple.one)), "no_priority");
    house.forget_counts();
    assert_eq!(word(&house, &couple.both), "undetermined");
    assert_eq!(word(&house, &named(&elsewhere[0], &couple.one)), "undetermined", "asked about at home before");
    house.forget_counts();
    assert_eq!(word(&house, &named(&elsewhere[0], &couple.both)), "undetermined");
    assert_eq!(word(&house, &named(&elsewhere[1], &couple.one)), "undetermined", "and elsewhere");
    assert_eq!(word(&house, &couple.one), "undetermined", "and at home");
}

#[test]
fn what_sticks_tells_nobody_where_somebody_lives_or_with_whom() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let (stranger, elsewhere) = (value(&encoder, STRANGERS), value(&encoder, "K0000039"));
    let known = Couple::half_known(&encoder).one;
    assert_eq!(word(&house, &named(&known, &stranger)), "undetermined");
    assert_eq!(word(&house, &named(&elsewhere, &known)), "no_priority", "whoever lives where the stranger was named");
    // Of a couple one was told nothing about, beside a stranger; the other one is asked about elsewhere.
    let two = |question: &Value| question["tenants"].as_array().is_some_and(|tenants| tenants.len() == 2);
    let mut couples = 0;
    for contract in contracts() {
        let both = value(&encoder, &contract);
        if !two(&both) || both["address"] == elsewhere["address"] {
            continue;
        }
        house.forget_counts();
        let [one, other] = [0, 1].map(|tenant| only(&both, tenant));
        if word(&house, &both) == "undetermined" {
            continue;
        }
        let before = word(&house, &named(&elsewhere, &other));
        house.forget_counts();
        if before != "undetermined" && word(&house, &beside(&one, &[&stranger])) == "undetermined" {
            couples += 1;
            assert_eq!(word(&house, &named(&elsewhere, &other)), before, "{contract}");
        }
    }
    assert!(couples > 2, "{couples}");
}

#[test]
fn every_question_leaves_as_many_marks() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let (home, stranger) = (Couple::half_known(&encoder).one, value(&encoder, STRANGERS));
    let rows = || {
        let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
        db.query_row("SELECT count(*) FROM mark", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut each = Vec::new();
    for question in [&home, &value(&encoder, SHIELDED), &named(&home, &stranger), &home] {
        house.forget_counts();
        let before = rows();
        word(&house, &only(question, 0));
        each.push(rows() - before);
    }
    assert_eq!(each, [2; 4], "found and told, shielded, not found, stuck");
}

#[test]
fn batches_of_both_kinds_stick_and_a_repeat_says_what_it_said() {
    let house = House::open();
    let couple = Couple::half_known(&house.encoder(EPOCH));
    let all = [couple.one.clone(), couple.both.clone(), couple.one.clone()];
    let want = ["no_priority", "undetermined", "undetermined"];
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "5f3e9f0a-0f4b-4a0e-8a8e-6b1b7d1f0001")];
    let body = json!({ "questions": all }).to_string();
    for _again in 0..2 {
        let reply = house.line(CORPORATION).send("POST", "/v1/priority-batches", &headers, body.as_bytes()).unwrap();
        let answers = serde_json::from_slice::<BatchAnswers>(&reply.body).unwrap().answers;
        let words = answers.into_iter().take(2).map(|one| one.answered.unwrap().answer);
        assert_eq!(words.collect::<Vec<_>>(), want[..2]);
    }
    house.forget_counts();
    let batch = send(&house, &all, 3);
    wait(&house, batch);
    let words: Vec<_> = results(&house, batch).into_iter().map(|line| line.answered.unwrap().answer).collect();
    assert_eq!(words, want);
    // A word that was told stays what it was for who repeats it.
    house.forget_counts();
    let single = |key: &str, question: &Value| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let body = question.to_string();
        let reply = house.line(CORPORATION).send("POST", "/v1/priority-questions", &headers, body.as_bytes()).unwrap();
        reply.answered().answer
    };
    let (first, second) = ("5f3e9f0a-0f4b-4a0e-8a8e-6b1b7d1f0002", "5f3e9f0a-0f4b-4a0e-8a8e-6b1b7d1f0003");
    assert_eq!(single(first, &couple.one), "no_priority");
    assert_eq!(word(&house, &couple.both), "undetermined");
    assert_eq!(
        (single(first, &couple.one), single(second, &couple.one)),
        ("no_priority".into(), "undetermined".into())
    );
}

#[test]
fn under_the_form_consult_who_was_to_be_consulted_about_stays_so() {
    let house = House::lawless();
    amend(&house, "form = \"three-valued\"", "form = \"consult\"");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    let couple = Couple::half_known(&encoder);
    assert_eq!(word(&house, &couple.one), "no_priority");
    assert_eq!((word(&house, &couple.both), word(&house, &couple.one)), ("priority".into(), "priority".into()));
    assert_eq!(word(&house, &value(&encoder, SHIELDED)), "priority");
}

#[test]
fn the_care_side_stays_without_a_group_that_it_was_not_told() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let family = value(&encoder, FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    let minor = |question: &Value| told(&house, TEAM, &case, question).groups["minor"].clone();
    assert_eq!(minor(&family), "yes");
    assert_eq!(minor(&beside(&family, &[&value(&encoder, STRANGERS), &value(&encoder, SINGLE)])), "undetermined");
    assert_eq!(minor(&family), "undetermined");
    assert_eq!(told(&house, CARE, &case, &family).groups["oggz"], "no", "another party, and another group");
}

#[test]
fn naming_somebody_in_another_case_closes_none_of_his_own() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let (family, other) = (value(&encoder, FAMILY), value(&encoder, "K0000039"));
    let [case, beside_it] = [&family, &other].map(|question| house.line(CORPORATION).ask(question).answered().receipt);
    let minor = |case, question: &Value| told(&house, TEAM, case, question).groups["minor"].clone();
    assert_eq!(minor(&beside_it, &named(&other, &family)), "undetermined");
    assert_eq!(minor(&case, &family), "yes");
}

#[test]
fn each_epoch_of_a_grace_is_a_load_of_its_own() {
    let house = House::open();
    let couple = Couple::half_known(&house.encoder(EPOCH));
    assert_eq!(word(&house, &couple.both), "undetermined");
    house.fill("haarlem-2");
    let newer = Couple::half_known(&house.encoder("haarlem-2"));
    assert_eq!(word(&house, &newer.both), "undetermined");
    assert_eq!((word(&house, &newer.one), word(&house, &couple.one)), ("undetermined".into(), "undetermined".into()));
}
