//! A register that lost a part of its people, or is too old, takes no answers with it unless somebody accepts that.

use std::path::PathBuf;

use time::Duration;
use voorrang::audit::Action;
use voorrang::cli::load::{self, Kind, LoadArgs};

use super::support::*;

const NEXT: &str = "haarlem-2";

/// The demonstration's residents without the youngest and the oldest, as an export of one age group has them.
fn without_children(house: &House) -> PathBuf {
    let path = house.file("without-children.csv");
    rows(&demo("brp.csv"), &path, |line| {
        line.split(',').all(|field| field.len() != 8 || ("19600101".."20080101").contains(&field))
    });
    path
}

fn answers(house: &House, epoch: &str) -> Vec<String> {
    let encoder = house.encoder(epoch);
    let mut line = house.line(CORPORATION);
    [FAMILY, SINGLE].iter().map(|contract| line.ask(&value(&encoder, contract)).answered().answer).collect()
}

fn accepted(house: &House, action: Action) -> Vec<Option<String>> {
    let log = house.log().into_iter().filter(|entry| entry.action == action);
    log.map(|entry| entry.epoch.map(|epoch| epoch.to_string())).collect()
}

#[test]
fn a_register_that_shrank_answers_only_if_that_was_accepted_whole_or_by_changes() {
    let house = House::open();
    let shrunk = without_children(&house);
    let before = answers(&house, EPOCH);
    assert_eq!(before, ["priority", "no_priority"]);
    let send = |delta: bool, accept_shrink: bool| {
        let args = house.load_args(POPULATION, Kind::Population, &shrunk);
        load::load(&LoadArgs { delta, accept_shrink, ..args })
    };
    for delta in [false, true] {
        let error = format!("{:#}", send(delta, false).err().unwrap());
        assert!(error.contains("source_changed") && error.contains("population") && error.contains("10 %"), "{error}");
        assert_eq!(answers(&house, EPOCH), before, "the load before answers on");
    }
    let care = house.file("care.csv");
    let mut row = 0;
    rows(&demo("oggz.csv"), &care, |_| {
        row += 1;
        row % 2 == 0
    });
    let error = format!("{:#}", house.load(CARE, Kind::Care, &care).err().unwrap());
    assert!(error.contains("source_changed") && error.contains("care"), "{error}");
    assert!(accepted(&house, Action::LoadAcceptShrink).is_empty());
    // What was sent is there: to accept is all that is left.
    assert!(send(true, true).unwrap().changes.is_some());
    assert_eq!(accepted(&house, Action::LoadAcceptShrink), [Some(EPOCH.to_owned())]);
    assert_ne!(answers(&house, EPOCH), before);
    house.verify(&[]).unwrap();
}

#[test]
fn what_shrank_while_an_epoch_answered_is_held_against_its_beginning_at_the_next_cut_over() {
    let house = House::open();
    let shrunk = without_children(&house);
    let args = house.load_args(POPULATION, Kind::Population, &shrunk);
    load::load(&LoadArgs { accept_shrink: true, ..args }).unwrap();
    house.agree(NEXT);
    house.load(POPULATION, Kind::Population, &shrunk).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    let error = format!("{:#}", house.activate(NEXT).unwrap_err());
    assert!(error.contains("source_changed") && error.contains("population"), "{error}");
    // As large as at the beginning, it is another size than what answers now.
    let args = house.load_args(POPULATION, Kind::Population, &demo("brp.csv"));
    load::load(&LoadArgs { epoch: Some(NEXT.parse().unwrap()), ..args }).unwrap();
    assert!(format!("{:#}", house.activate(NEXT).unwrap_err()).contains("source_changed"));
    let args = house.load_args(POPULATION, Kind::Population, &demo("brp.csv"));
    load::load(&LoadArgs { accept_shrink: true, epoch: Some(EPOCH.parse().unwrap()), ..args }).unwrap();
    house.activate(NEXT).unwrap();
    assert!(accepted(&house, Action::EpochAcceptShrink).is_empty());
    assert_eq!(answers(&house, NEXT), ["priority", "no_priority"]);
}

#[test]
fn a_register_that_is_too_old_to_answer_from_takes_no_answer_away() {
    let house = House::open();
    let day = (NOW - Duration::days(100)).date();
    let args = house.load_args(POPULATION, Kind::Population, &demo("brp.csv"));
    let error = load::load(&LoadArgs { reference_date: Some(day), ..args }).err().unwrap();
    assert!(format!("{error:#}").contains("source_stale"), "{error:#}");
    assert_eq!(answers(&house, EPOCH), ["priority", "no_priority"]);
    // Of two sources that are both too old each is renewed by itself.
    house.pass(60);
    for (stem, kind, file) in [(POPULATION, Kind::Population, "brp.csv"), (CARE, Kind::Care, "oggz.csv")] {
        assert!(house.load(stem, kind, &demo(file)).is_err(), "as old as before");
        let reference_date = Some((NOW + Duration::days(59)).date());
        load::load(&LoadArgs { reference_date, ..house.load_args(stem, kind, &demo(file)) }).unwrap();
    }
}
