//! Clocks that leap ahead, and back.

use rusqlite::Connection;
use serde_json::Value;
use time::Duration;
use time::macros::datetime;
use voorrang::answer::checkup::{Grade, examine};
use voorrang::audit::Action;

use super::regulation::amend;
use super::support::*;

/// A day, what is left of the regulation, and more than any is agreed for.
const LEAPS: [i64; 3] = [1, 225, 3652];

/// A service whose regulation ends within half a year, on a register that was read two weeks ago.
fn house() -> (House, Value) {
    let house = House::lawless();
    amend(&house, "valid_until = 2999-01-01", "valid_until = 2026-06-01");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let family = value(&house.encoder(EPOCH), FAMILY);
    (house, family)
}

fn told(house: &House, question: &Value) -> String {
    house.line(CORPORATION).ask(question).answered().answer
}

fn count(house: &House, action: Action) -> usize {
    house.log().iter().filter(|entry| entry.action == action).count()
}

/// Errors and warnings of `voorrang doctor` about the clock and the regulation.
fn found(house: &House) -> Vec<&'static str> {
    let ill = examine(&house.config(), &house.clock).into_iter().filter(|one| one.grade != Grade::Fine);
    ill.map(|one| one.code).filter(|code| code.starts_with("clock") || code.starts_with("regulation")).collect()
}

#[test]
fn a_clock_that_leaps_for_a_moment_ends_nothing() {
    let (mut house, family) = house();
    for (n, days) in LEAPS.into_iter().enumerate() {
        house.clock.set(NOW + Duration::days(days));
        let refused = house.line(CORPORATION).ask(&family);
        refused.is_problem(503, "clock_leapt");
        assert_eq!(String::from(house.entry_of(&refused).unwrap().result), "failed:clock_leapt");
        assert_eq!(count(&house, Action::ClockAhead), n + 1, "an entry each");
        house.clock.set(NOW + Duration::hours(n.try_into().unwrap()));
        assert_eq!(told(&house, &family), "priority", "{days} days and back");
        // Entries of the moment in which it was ahead end nothing either.
        house.restart();
        assert_eq!(
            (told(&house, &family).as_str(), found(&house)),
            ("priority", vec![]),
            "{days} days, back and a restart"
        );
        house.forget_counts();
    }
    assert_eq!(count(&house, Action::ClockBack), 0);
}

#[test]
fn a_service_that_starts_with_a_clock_that_is_ahead_is_right_again_with_it() {
    // No further than certificates reach: nothing starts with one that has ended.
    for days in [1, 225] {
        let (mut house, family) = house();
        assert_eq!(told(&house, &family), "priority");
        let ahead = NOW + Duration::days(days);
        house.clock.set(ahead);
        house.restart();
        if days > 31 {
            house.line(CORPORATION).ask(&family).is_problem(503, "clock_leapt");
            assert_eq!(found(&house), ["clock_leapt"]);
        } else {
            assert_eq!((told(&house, &family).as_str(), found(&house)), ("priority", vec![]));
        }
        house.clock.set(NOW);
        assert_eq!(told(&house, &family), "priority", "{days} days and back");
        house.restart();
        assert_eq!(
            (told(&house, &family).as_str(), found(&house)),
            ("priority", vec![]),
            "{days} days, back and a restart"
        );
    }
}

#[test]
fn a_start_in_a_month_that_is_yet_to_come_forgets_no_count() {
    let (mut house, family) = house();
    told(&house, &family);
    house.clock.set(NOW + Duration::days(20));
    house.restart();
    assert_eq!(told(&house, &family), "undetermined", "the register is too old then");
    house.clock.set(NOW);
    house.restart();
    let db = Connection::open(house.state().join("voorrang.db")).unwrap();
    let questions = "SELECT questions FROM budget WHERE month = '2026-01'";
    assert_eq!(db.query_row(questions, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert_eq!(told(&house, &family), "priority");
}

#[test]
fn who_stood_still_for_long_says_that_the_clock_is_right() {
    let (mut house, family) = house();
    house.stop();
    house.clock.set(NOW + Duration::days(40));
    house.start();
    house.line(CORPORATION).ask(&family).is_problem(503, "clock_leapt");
    house.configure(|table| drop(table.insert("clock_right_on".into(), "2026-02-24".into())));
    house.restart();
    assert_eq!((told(&house, &family).as_str(), found(&house)), ("undetermined", vec![]));
    house.clock.pass(datetime!(2026-06-01 0:00 UTC));
    assert_eq!(house.line(CORPORATION).ask(&family).is_problem(403, "refused").article.as_deref(), Some("validity"));
}

#[test]
fn a_start_says_of_no_regulation_that_has_ended_that_it_is_active() {
    let (mut house, _) = house();
    let before = count(&house, Action::RegulationActive);
    house.restart();
    assert_eq!(count(&house, Action::RegulationActive), before + 1);
    for days in [30, 60, 90, 120, 150] {
        house.clock.pass(NOW + Duration::days(days));
        house.log();
    }
    house.restart();
    assert_eq!(count(&house, Action::RegulationActive), before + 1);
    assert_eq!(found(&house), ["regulation_not_in_force"]);
}
