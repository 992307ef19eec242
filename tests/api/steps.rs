//! Every step of an epoch is an entry of its own that names it, and its record stays true behind its end.

use std::process::Command;
use std::time::{Duration as Wait, Instant};

use serde_json::{Value, json};
use time::Duration;
use voorrang::audit::{Action, Entry};
use voorrang::cli::epoch::{self, ActivateArgs, EpochCommand, ListArgs};
use voorrang::cli::load::Kind;
use voorrang::cli::regulation::confirm;

use super::ends::{destroy, proposed, retire, state, view};
use super::regulation::amend;
use super::support::*;

const NEXT: &str = "haarlem-2";

/// What the entries of an epoch's steps say was done, and to which epoch.
fn steps(house: &House, epoch: &str) -> Vec<(String, Action)> {
    let (log, view) = (house.log(), view(house, epoch));
    let entry = |step: &Value| log[usize::try_from(step["logIndex"].as_u64().unwrap()).unwrap()].clone();
    let named = |step: &Value| {
        let entry: Entry = entry(step);
        assert!(entry.action == Action::EpochAnnounce || entry.epoch.unwrap().as_str() == epoch, "{step}");
        (step["state"].as_str().unwrap().to_owned(), entry.action)
    };
    view["steps"].as_array().unwrap().iter().map(named).collect()
}

fn silences(house: &House) -> Vec<Entry> {
    house.log().into_iter().filter(|entry| entry.action == Action::EpochSilent).collect()
}

/// A new epoch, as it was announced with this grace; what the program said.
fn announced(house: &House, epoch: &str, grace: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    command.args(["epoch", "new", epoch, "--grace-days", grace, "--config"]).arg(house.party(ADMINISTRATOR));
    let done = command.output().unwrap();
    assert!(done.status.success());
    String::from_utf8_lossy(&done.stderr).into_owned()
}

fn loaded(house: &House, epoch: &str) {
    house.contribute(POPULATION, epoch).unwrap();
    house.contribute(CARE, epoch).unwrap();
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
}

fn activated(house: &House, epoch: &str) -> anyhow::Result<String> {
    epoch::perform(&EpochCommand::Activate(ActivateArgs::of(house.epoch_args(ADMINISTRATOR, epoch))))
}

#[test]
fn retiring_and_falling_silent_are_entries_of_the_epoch_that_does_so_each_once() {
    let mut house = House::open();
    house.fill(NEXT);
    let begun = [
        ("announced".to_owned(), Action::EpochAnnounce),
        ("loading".to_owned(), Action::EpochContribute),
        ("active".to_owned(), Action::EpochActivate),
        ("retiring".to_owned(), Action::EpochRetire),
    ];
    assert_eq!(steps(&house, EPOCH), begun);
    assert_eq!(steps(&house, NEXT), begun[..3]);
    assert!(silences(&house).is_empty());
    house.clock.pass(NOW + Duration::days(30));
    let until = Instant::now() + Wait::from_secs(30);
    while silences(&house).is_empty() {
        assert!(Instant::now() < until, "nobody noticed");
        std::thread::sleep(Wait::from_millis(100));
    }
    assert_eq!(steps(&house, EPOCH)[4..], [("retiring".to_owned(), Action::EpochSilent)]);
    house.restart();
    std::thread::sleep(Wait::from_secs(3));
    let silences = silences(&house);
    assert_eq!((silences.len(), silences[0].actor.role.as_str()), (1, "service"));
    assert_eq!(silences[0].epoch.as_ref().unwrap().as_str(), EPOCH);
    // Who retires it by hand has said so.
    retire(&house, NEXT).unwrap();
    std::thread::sleep(Wait::from_secs(3));
    assert_eq!(steps(&house, NEXT)[3..], [("retiring".to_owned(), Action::EpochRetire)]);
    destroy(&house, EPOCH).unwrap();
    assert_eq!(steps(&house, EPOCH)[5..], [("destroyed".to_owned(), Action::EpochDestroy)]);
    house.verify(&[]).unwrap();
}

#[test]
fn of_an_epoch_that_is_over_its_custodians_are_still_known_to_have_contributed() {
    let mut house = House::open();
    let both = json!(["00000099000000002000", "00000099000000003000"]);
    assert_eq!(view(&house, EPOCH)["contributed"], both);
    retire(&house, EPOCH).unwrap();
    destroy(&house, EPOCH).unwrap();
    house.announce(NEXT).unwrap();
    house.contribute(CARE, NEXT).unwrap();
    assert_eq!(view(&house, NEXT)["missing"], json!([both[0]]));
    let proposal = proposed(&house, NEXT, EpochCommand::Abort).unwrap().parse().unwrap();
    confirm(&proposal, &house.client(OFFICER)).unwrap();
    for restarted in [false, true] {
        let (whole, never) = (view(&house, EPOCH), view(&house, NEXT));
        assert_eq!((&whole["contributed"], &whole["missing"]), (&both, &json!([])), "{restarted}");
        assert_eq!((&never["contributed"], &never["missing"]), (&json!([both[1]]), &json!([])), "{restarted}");
        let list = ListArgs { config: house.party(OFFICER), json: true };
        let shown: Value = serde_json::from_str(&epoch::perform(&EpochCommand::List(list)).unwrap()).unwrap();
        assert_eq!(shown[0]["contributed"], both);
        house.restart();
    }
}

#[test]
fn an_epoch_without_a_grace_is_announced_and_replaced_with_a_warning() {
    let mut house = House::built(false);
    amend(&house, "grace_days = 30", "grace_days = 0");
    house.start();
    let said = announced(&house, EPOCH, "0");
    assert!(said.contains("Its grace is 0 days: it FALLS SILENT the moment the next epoch is activated"), "{said}");
    loaded(&house, EPOCH);
    let first = activated(&house, EPOCH).unwrap();
    assert!(first.starts_with("haarlem-1 is active.\nto do: "), "{first}");
    let said = announced(&house, NEXT, "3");
    assert!(!said.contains("SILENT"), "{said}");
    loaded(&house, NEXT);
    let said = activated(&house, NEXT).unwrap();
    assert!(said.contains("\nhaarlem-1 FELL SILENT AT ONCE: it was announced with a grace of 0 days."), "{said}");
    announced(&house, "haarlem-3", "30");
    loaded(&house, "haarlem-3");
    let said = activated(&house, "haarlem-3").unwrap();
    assert!(said.contains("\nhaarlem-2 answers beside it until 2026-01-18 09:00 UTC."), "{said}");
    assert!(!said.contains("haarlem-1"), "of what was silent before nothing is said: {said}");
}

#[test]
fn an_older_salt_does_not_come_back_behind_a_newer_one() {
    let house = House::open();
    announced(&house, NEXT, "30");
    loaded(&house, NEXT);
    house.clock.pass(NOW + Duration::HOUR);
    house.fill("haarlem-3");
    let error = format!("{:#}", activated(&house, NEXT).unwrap_err());
    assert!(error.contains("epoch_outdated") && error.contains("haarlem-3 was announced behind this epoch"), "{error}");
    let todo = view(&house, NEXT)["todo"].clone();
    assert_eq!((&todo[0]["command"], todo.as_array().unwrap().len()), (&json!(format!("epoch abort {NEXT}")), 1));
    assert_eq!(todo[0]["about"], "haarlem-3, announced later, took over");
    // Also when the newer one is over.
    retire(&house, "haarlem-3").unwrap();
    destroy(&house, "haarlem-3").unwrap();
    assert!(format!("{:#}", activated(&house, NEXT).unwrap_err()).contains("epoch_outdated"));
    assert_eq!(state(&house, NEXT), "loading");
}
