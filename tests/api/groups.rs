//! What the care side may ask, and what it cannot learn with a case in its hand.

use serde_json::json;
use time::macros::datetime;
use voorrang::audit::Action;

use super::regulation::{TEAM, amend, told};
use super::support::*;

/// Another family, at another address.
const NEIGHBOURS: &str = "K0000047";

#[test]
fn a_case_opens_its_own_address_and_nobody_who_lives_elsewhere() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let family = value(&encoder, FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt.index;
    assert_eq!(told(&house, TEAM, case, &family).groups["minor"], "yes");
    for contract in [NEIGHBOURS, SINGLE] {
        let mut named = family.clone();
        named["tenants"] = value(&encoder, contract)["tenants"].clone();
        assert_eq!(told(&house, TEAM, case, &named).groups["minor"], "undetermined", "{contract}");
    }
}

#[test]
fn a_case_is_asked_about_as_often_in_a_month_as_a_household_by_each_party() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt.index;
    for _ in 0..4 {
        told(&house, TEAM, case, &family);
    }
    let body = json!({"case": case, "question": family});
    let refused = house.line(TEAM).json("POST", "/v1/group-questions", &body);
    refused.is_problem(403, "household_limit");
    assert_eq!(String::from(house.entry_of(&refused).unwrap().result), "refused:household_limit");
    told(&house, CARE, case, &family);
    let parallel: Vec<u16> = std::thread::scope(|scope| {
        let ask = || house.line(CARE).json("POST", "/v1/group-questions", &body).status;
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(parallel.iter().filter(|status| **status == 200).count(), 3, "{parallel:?}");
    let asked = house.log().iter().filter(|entry| entry.action == Action::AskGroups).count();
    assert_eq!(asked, 4 + 1 + 1 + 6, "each is recorded");
    house.clock.set(datetime!(2026-02-01 0:00 UTC));
    told(&house, TEAM, case, &family);
}

#[test]
fn of_a_care_list_that_is_too_old_the_care_network_hears_no_no_though_no_corporation_hears_of_it() {
    for (later, want) in [(0, "no"), (1, "undetermined")] {
        let house = House::lawless();
        amend(&house, "recipients = [\"corporation\", \"care-custodian\"]", "recipients = [\"care-custodian\"]");
        // Loaded two weeks ago, as the population was.
        amend(&house, "care = 31", "care = 14");
        house.activate_law().unwrap();
        house.fill(EPOCH);
        house.clock.set(NOW + time::Duration::days(later));
        let family = value(&house.encoder(EPOCH), FAMILY);
        let case = house.line(CORPORATION).ask(&family).answered().receipt.index;
        assert_eq!(told(&house, CARE, case, &family).groups["oggz"], want, "{later} days later");
        assert_eq!(told(&house, TEAM, case, &family).groups["minor"], "yes", "the team's answer rests on no care list");
    }
}
