//! Registers that grow old while an epoch answers: beside the next one, in its own grace, and by a version with other ages.

use serde_json::json;
use time::{Date, Duration};
use voorrang::answer::checkup::{Grade, examine};
use voorrang::answer::wire::{EpochView, Source, SourceReport};
use voorrang::cli::epoch::{self, ActivateArgs, EpochCommand};
use voorrang::cli::load::{Kind, LoadArgs, load};

use super::loads::{ByHand, residents};
use super::probing::counted;
use super::regulation::amend;
use super::support::*;
use super::walls::inside;

const NEXT: &str = "haarlem-2";

fn day(days: i64) -> Date {
    (NOW + Duration::days(days)).date()
}

/// A house whose internal listener says how the service is; its registers may be asked from until 1 February.
fn house() -> House {
    let mut house = House::built(false);
    house.configure(|table| {
        let internal = table.entry("internal").or_insert_with(|| toml::Table::new().into());
        internal.as_table_mut().unwrap().insert("listen".into(), "127.0.0.1:0".into());
    });
    house.start();
    house.fill(EPOCH);
    house
}

/// What must be loaded anew: command, day, and whether that is past.
fn renewals(house: &House, epoch: &str) -> Vec<(String, Option<Date>, bool)> {
    let view: EpochView = house.client(ADMINISTRATOR).get(&format!("epochs/{epoch}")).unwrap();
    let loads = view.todo.into_iter().filter(|todo| !todo.command.contains("load stock"));
    let loads = loads.filter(|todo| todo.command.starts_with("load "));
    loads.map(|todo| (todo.command, todo.by, todo.overdue)).collect()
}

/// Warnings of the doctor and of `/readyz`, which are alike.
fn stale(house: &House) -> Vec<String> {
    let found = examine(&house.config(), &house.clock).into_iter().filter(|one| one.code == "epoch_stale");
    let told: Vec<_> = found.inspect(|one| assert_eq!(one.grade, Grade::Warning)).map(|one| one.detail).collect();
    let (status, ready) = inside(house.internal(), "GET /readyz");
    assert_eq!((status, ready.matches("epoch_stale").count()), (200, told.len()), "{ready}");
    let metrics = inside(house.internal(), "GET /metrics").1;
    assert_eq!(metrics.contains("voorrang_finding{code=\"epoch_stale\""), !told.is_empty());
    told
}

fn renew(house: &House, stem: &str, kind: Kind, file: &str, epoch: Option<&str>) {
    let args = house.load_args(stem, kind, &demo(file));
    let epoch = epoch.map(|epoch| epoch.parse().unwrap());
    load(&LoadArgs { reference_date: Some(house.clock.now().date()), epoch, ..args }).unwrap();
}

fn read_on(house: &House, epoch: &str) -> Vec<Date> {
    let reports: Vec<SourceReport> = house.client(OFFICER).get(&format!("epochs/{epoch}/reports")).unwrap();
    reports.into_iter().map(|one| one.reference_date).collect()
}

/// All agree on a version that has seniors from 67.
fn agree_on_other_ages(house: &House, from: Date) {
    amend(house, "senior_from = 65", "senior_from = 67");
    let begins = format!("replaces = \"{}\"\nvalid_from = {from}", house.regulation.digest());
    amend(house, "valid_from = 2020-01-01", &begins);
    house.activate_law().unwrap();
}

/// What a custodian is told that begins a load with these ages.
fn begun(house: &House, stem: &str, source: &str, ages: Option<u16>) -> Reply {
    let mut plan = json!({"header": house.encoder(EPOCH).header(), "source": source, "records": 1,
                          "referenceDate": house.reference().to_string()});
    if let Some(senior_from) = ages {
        plan["ages"] = json!({"minorBelow": 18, "seniorFrom": senior_from});
    }
    house.line(stem).json("POST", "/v1/loads", &plan)
}

fn told(house: &House, epoch: &str) -> String {
    house.line(CORPORATION).ask(&value(&house.encoder(epoch), FAMILY)).answered().answer
}

#[test]
fn while_the_next_epoch_is_prepared_the_one_that_answers_is_told_of_its_age_and_renewed() {
    let house = house();
    house.agree(NEXT);
    // As every Sunday: first into the one that is prepared, which the list waits for.
    renew(&house, POPULATION, Kind::Population, "brp.csv", None);
    assert_eq!(read_on(&house, NEXT), [day(0)]);
    house.clock.pass(NOW + Duration::days(9));
    assert!(renewals(&house, EPOCH).is_empty() && stale(&house).is_empty());
    house.clock.pass(NOW + Duration::days(10));
    let last = Some(day(17));
    let both = |overdue| ["population", "care"].map(|source| (format!("load {source} --epoch {EPOCH}"), last, overdue));
    assert_eq!(renewals(&house, EPOCH), both(false));
    let soon = stale(&house);
    assert!(soon.len() == 2 && soon[0].contains("too old to answer from after 2026-02-01"), "{soon:?}");
    // The same command again: what is prepared has it, so it goes where the questions are.
    renew(&house, POPULATION, Kind::Population, "brp.csv", None);
    assert_eq!((read_on(&house, NEXT), read_on(&house, EPOCH)), (vec![day(0)], vec![day(10), house.reference()]));
    assert_eq!(renewals(&house, EPOCH), both(false)[1..]);
    house.clock.pass(NOW + Duration::days(18));
    assert_eq!(renewals(&house, EPOCH), both(true)[1..]);
    assert!(stale(&house)[0].contains("care is too old to answer from since 2026-02-01"));
    assert_eq!(told(&house, EPOCH), "undetermined");
    renew(&house, CARE, Kind::Care, "oggz.csv", Some(EPOCH));
    assert!(renewals(&house, EPOCH).is_empty() && stale(&house).is_empty());
    assert_eq!(told(&house, EPOCH), "priority");
    // What is prepared is asked for anew only where it could not be activated.
    let wanted = |source: &str| format!("load {source} --epoch {NEXT}");
    let commands = || renewals(&house, NEXT).into_iter().map(|(command, ..)| command).collect::<Vec<_>>();
    assert_eq!(commands(), [wanted("care")]);
    house.clock.pass(NOW + Duration::days(32));
    assert_eq!(commands(), [wanted("population"), wanted("care")]);
    assert_eq!(told(&house, EPOCH), "priority");
}

#[test]
fn a_register_by_other_ages_than_those_of_today_s_version_answers_nobody_until_it_is_loaded_anew() {
    let mut house = house();
    house.agree(NEXT);
    renew(&house, POPULATION, Kind::Population, "brp.csv", None);
    renew(&house, CARE, Kind::Care, "oggz.csv", None);
    let encoder = house.encoder(EPOCH);
    let lines = residents(&house, &encoder);
    let late = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
    assert_eq!(late.put(&house, POPULATION, 0, &lines).status, 200);
    agree_on_other_ages(&house, day(1));
    assert_eq!(told(&house, EPOCH), "priority", "by the version of its day");
    assert!(stale(&house).is_empty());
    house.clock.pass(NOW + Duration::days(1));
    for _ in 0..2 {
        let before = counted(&house);
        assert_eq!(told(&house, EPOCH), "undetermined");
        assert_eq!(counted(&house), (before.0 + 1, before.1), "no fault of who asks");
        let found = stale(&house);
        assert!(found.len() == 1 && found[0].contains("population was made by other ages"), "{found:?}");
        assert_eq!(renewals(&house, EPOCH), [(format!("load population --epoch {EPOCH}"), Some(day(0)), true)]);
        house.restart();
    }
    assert_eq!(renewals(&house, NEXT)[0].0, format!("load population --epoch {NEXT}"));
    let args = ActivateArgs::of(house.epoch_args(ADMINISTRATOR, NEXT));
    let activated = epoch::perform(&EpochCommand::Activate(ActivateArgs { accept_missing_stock: true, ..args }));
    let error = format!("{:#}", activated.unwrap_err());
    assert!(
        error.contains("source_stale") && error.contains("other ages than the regulation has: population"),
        "{error}"
    );
    // By the old ages nothing is begun or ended, and a care list has none.
    late.commit(&house, POPULATION, 1).is_problem(422, "other_ages");
    for (stem, source, ages, refused) in [
        (POPULATION, "population", Some(65), true),
        (POPULATION, "population", None, true),
        (POPULATION, "population", Some(67), false),
        (CARE, "care", Some(67), true),
        (CARE, "care", None, false),
    ] {
        let reply = begun(&house, stem, source, ages);
        assert_eq!(reply.status == 422, refused, "{source} {ages:?}: {}", reply.text());
        if refused {
            let problem = reply.is_problem(422, "other_ages");
            assert_eq!(problem.errors.iter().map(|one| one.pointer.as_str()).collect::<Vec<_>>(), ["/ages"]);
        }
    }
    house.forget_budgets();
    // The tool's party signed the version, so it sends the whole register by the new ages, changes or not.
    let args = house.load_args(POPULATION, Kind::Population, &demo("brp.csv"));
    let loaded = load(&LoadArgs { delta: true, epoch: Some(EPOCH.parse().unwrap()), ..args }).unwrap();
    assert!(loaded.changes.is_none());
    assert_eq!(told(&house, EPOCH), "priority");
    assert!(stale(&house).is_empty() && renewals(&house, EPOCH).is_empty());
    house.restart();
    assert_eq!(told(&house, EPOCH), "priority");
}

#[test]
fn a_register_that_does_not_say_by_which_ages_it_was_made_has_those_of_the_day_on_which_it_was_loaded() {
    let mut house = house();
    // As an earlier version kept it.
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    assert_eq!(db.execute("UPDATE load SET report = json_remove(report, '$.ages')", []).unwrap(), 2);
    house.restart();
    assert_eq!(told(&house, EPOCH), "priority");
    agree_on_other_ages(&house, day(1));
    house.clock.pass(NOW + Duration::days(1));
    assert_eq!((told(&house, EPOCH).as_str(), stale(&house).len()), ("undetermined", 1));
    renew(&house, POPULATION, Kind::Population, "brp.csv", None);
    assert_eq!((told(&house, EPOCH).as_str(), stale(&house).len()), ("priority", 0));
}

#[test]
fn a_version_that_takes_the_place_of_another_on_the_day_of_a_load_does_not_pass_for_the_one_it_was_made_by() {
    let mut house = house();
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    assert_eq!(db.execute("UPDATE load SET report = json_remove(report, '$.ages')", []).unwrap(), 2);
    house.restart();
    assert_eq!(told(&house, EPOCH), "priority");
    agree_on_other_ages(&house, day(0));
    assert_eq!(told(&house, EPOCH), "undetermined");
}

#[test]
fn an_epoch_in_its_grace_is_renewed_while_somebody_can_ask_in_no_other() {
    let house = house();
    house.agree(NEXT);
    house.clock.pass(NOW + Duration::days(8));
    renew(&house, POPULATION, Kind::Population, "brp.csv", None);
    renew(&house, CARE, Kind::Care, "oggz.csv", None);
    let args = ActivateArgs::of(house.epoch_args(ADMINISTRATOR, NEXT));
    epoch::perform(&EpochCommand::Activate(ActivateArgs { accept_missing_stock: true, ..args })).unwrap();
    house.clock.pass(NOW + Duration::days(18));
    assert_eq!(told(&house, EPOCH), "undetermined");
    assert_eq!((renewals(&house, EPOCH).len(), stale(&house).len()), (2, 2));
    renew(&house, POPULATION, Kind::Population, "brp.csv", Some(EPOCH));
    renew(&house, CARE, Kind::Care, "oggz.csv", Some(EPOCH));
    assert_eq!(told(&house, EPOCH), "priority");
    house.clock.pass(NOW + Duration::days(32));
    assert_eq!(told(&house, EPOCH), "priority", "to the end of its grace");
    assert!(renewals(&house, EPOCH).is_empty(), "it answers no longer than its registers");
}

#[test]
fn an_epoch_in_its_grace_that_nobody_needs_is_left_to_grow_old() {
    let house = house();
    house.fill(NEXT);
    house.clock.pass(NOW + Duration::days(18));
    assert!(renewals(&house, EPOCH).is_empty());
    assert!(stale(&house).iter().all(|one| one.starts_with(NEXT)));
    house.clock.pass(NOW + Duration::days(30));
    let args = house.load_args(POPULATION, Kind::Population, &demo("brp.csv"));
    let late = load(&LoadArgs { epoch: Some(EPOCH.parse().unwrap()), ..args }).err().unwrap();
    assert!(format!("{late:#}").contains("is retiring and takes no loads"), "{late:#}");
}
