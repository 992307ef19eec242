//! What the care side may ask, and what it cannot learn with a case in its hand.

use serde_json::{Value, json};
use time::macros::datetime;
use voorrang::answer::wire::ProblemBody;
use voorrang::audit::{Action, Receipt};

use super::regulation::{TEAM, amend, of_case, told};
use super::support::*;

/// Another family, at another address.
const NEIGHBOURS: &str = "K0000047";

#[test]
fn a_case_opens_its_own_address_and_nobody_who_lives_elsewhere() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let family = value(&encoder, FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    assert_eq!(told(&house, TEAM, &case, &family).groups["minor"], "yes");
    for contract in [NEIGHBOURS, SINGLE] {
        let mut named = family.clone();
        named["tenants"] = value(&encoder, contract)["tenants"].clone();
        assert_eq!(told(&house, TEAM, &case, &named).groups["minor"], "undetermined", "{contract}");
    }
}

#[test]
fn a_case_is_asked_about_as_often_in_a_month_as_a_household_by_each_party() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    for _ in 0..4 {
        told(&house, TEAM, &case, &family);
    }
    let body = of_case(&case, &family);
    let refused = house.line(TEAM).json("POST", "/v1/group-questions", &body);
    refused.is_problem(403, "household_limit");
    assert_eq!(String::from(house.entry_of(&refused).unwrap().result), "refused:household_limit");
    told(&house, CARE, &case, &family);
    let parallel: Vec<u16> = std::thread::scope(|scope| {
        let ask = || house.line(CARE).json("POST", "/v1/group-questions", &body).status;
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(parallel.iter().filter(|status| **status == 200).count(), 3, "{parallel:?}");
    let asked = house.log().iter().filter(|entry| entry.action == Action::AskGroups).count();
    assert_eq!(asked, 4 + 1 + 1 + 6, "each is recorded");
    house.clock.pass(datetime!(2026-02-01 0:00 UTC));
    told(&house, TEAM, &case, &family);
}

#[test]
fn each_party_of_the_care_side_has_a_month_s_budget_and_the_officers_are_told_before_it_ends() {
    let house = House::lawless();
    amend(&house, "care_alarm = 100\ncare_stop = 250", "care_alarm = 3\ncare_stop = 5");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    let cases = [FAMILY, NEIGHBOURS].map(|contract| {
        let question = value(&encoder, contract);
        (house.line(CORPORATION).ask(&question).answered().receipt, question)
    });
    let ask = |stem: &str, case: &Receipt, question: &Value| {
        house.line(stem).json("POST", "/v1/group-questions", &of_case(case, question))
    };
    let alarms = || house.log().iter().filter(|entry| entry.action == Action::BudgetAlarm).count();
    assert_eq!((0..2).filter(|_| ask(TEAM, &cases[0].0, &cases[0].1).status == 200).count(), 2);
    assert_eq!(alarms(), 0);
    // A wrong case counts, as it does for its household.
    ask(TEAM, &cases[0].0, &cases[1].1).is_problem(403, "refused");
    assert_eq!(alarms(), 1);
    assert_eq!((0..2).filter(|_| ask(TEAM, &cases[1].0, &cases[1].1).status == 200).count(), 2);
    let refused = ask(TEAM, &cases[1].0, &cases[1].1);
    refused.is_problem(403, "budget_spent");
    assert_eq!(String::from(house.entry_of(&refused).unwrap().result), "refused:budget_spent");
    assert_eq!(alarms(), 1, "once a month");
    assert_eq!(ask(CARE, &cases[1].0, &cases[1].1).status, 200, "another party has its own");
    house.clock.pass(datetime!(2026-02-01 0:00 UTC));
    assert_eq!(ask(TEAM, &cases[0].0, &cases[0].1).status, 200);
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
        house.clock.pass(NOW + time::Duration::days(later));
        let family = value(&house.encoder(EPOCH), FAMILY);
        let case = house.line(CORPORATION).ask(&family).answered().receipt;
        assert_eq!(told(&house, CARE, &case, &family).groups["oggz"], want, "{later} days later");
        assert_eq!(
            told(&house, TEAM, &case, &family).groups["minor"],
            "yes",
            "the team's answer rests on no care list"
        );
    }
}

/// What a team that holds the salt learns of a household of its choice, with the number of every entry of the log.
#[test]
fn a_household_is_found_by_no_case_number_and_by_no_leaf_that_the_log_shows() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let (family, neighbours) = (value(&encoder, FAMILY), value(&encoder, NEIGHBOURS));
    let mut team = house.line(TEAM);
    let mut try_case = |case: &Receipt, question: &Value| {
        let reply = team.json("POST", "/v1/group-questions", &of_case(case, question));
        let problem: ProblemBody = serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", reply.text()));
        (problem.article.unwrap_or_default(), problem.code)
    };
    let refused = ("case".to_owned(), "refused".to_owned());
    let spent = (String::new(), "household_limit".to_owned());
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    let other = house.line(CORPORATION).ask(&neighbours).answered().receipt;
    // The number alone opens nothing: the leaf hash is that of the corporation's receipt. A proof of an entry of its own
    // shows the team the leaf beside it, so a leaf that it has may be that of any household.
    assert_eq!(try_case(&Receipt { leaf: other.leaf, ..case.clone() }, &family), refused);
    assert_eq!(try_case(&other, &family), refused);
    assert_eq!(try_case(&Receipt { index: other.index, ..case.clone() }, &family), refused);
    assert_eq!(try_case(&other, &family), refused);
    // Four guesses about a household, and the right one is not told from a wrong one any more.
    assert_eq!([try_case(&other, &family), try_case(&case, &family)], [spent.clone(), spent.clone()]);
    assert_eq!(told(&house, TEAM, &other, &neighbours).groups["minor"], "yes", "another household has its own count");
    assert_eq!(told(&house, CARE, &case, &family).groups.len(), 1, "and so has another party");
    let guesses: Vec<String> = house
        .log()
        .into_iter()
        .filter_map(|entry| {
            let team = entry.actor.role == "district-team" && entry.action == Action::AskGroups;
            team.then(|| String::from(entry.result))
        })
        .collect();
    let want = ["refused:case"; 4].into_iter().chain(["refused:household_limit"; 2]).chain(["answered"]);
    assert_eq!(guesses, want.collect::<Vec<_>>(), "each is an entry");
    house.clock.pass(datetime!(2026-02-01 0:00 UTC));
    assert_eq!(told(&house, TEAM, &case, &family).groups["minor"], "yes", "a new month");
}

#[test]
fn many_questions_of_a_corporation_give_the_care_side_no_more_questions_about_the_household() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let cases: Vec<Receipt> = (0..4).map(|_| house.line(CORPORATION).ask(&family).answered().receipt).collect();
    cases.iter().for_each(|case| drop(told(&house, TEAM, case, &family)));
    for case in &cases {
        let refused = house.line(TEAM).json("POST", "/v1/group-questions", &of_case(case, &family));
        refused.is_problem(403, "household_limit");
    }
}

#[test]
fn a_case_without_its_leaf_or_with_something_else_is_no_question() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    let mut body = of_case(&case, &family);
    for leaf in [json!(""), json!("AAAA"), json!(7), json!(format!("{} ", case.leaf))] {
        body["leaf"] = leaf;
        house.line(TEAM).json("POST", "/v1/group-questions", &body).is_problem(400, "json");
    }
    body.as_object_mut().unwrap().remove("leaf");
    house.line(TEAM).json("POST", "/v1/group-questions", &body).is_problem(400, "json");
}

#[test]
fn a_case_of_the_epoch_before_is_asked_about_with_its_codes_while_it_answers_and_then_anew() {
    let house = House::open();
    let before = value(&house.encoder(EPOCH), FAMILY);
    let case = house.line(CORPORATION).ask(&before).answered().receipt;
    house.fill("haarlem-2");
    let after = value(&house.encoder("haarlem-2"), FAMILY);
    let refused = || {
        let reply = house.line(TEAM).json("POST", "/v1/group-questions", &of_case(&case, &after));
        assert_eq!(String::from(house.entry_of(&reply).unwrap().result), "refused:case_epoch");
        reply.is_problem(409, "case_epoch").detail
    };
    assert!(refused().contains("of the epoch haarlem-1; ask with codes of that epoch"), "{}", refused());
    assert_eq!(told(&house, TEAM, &case, &before).groups["minor"], "yes", "it answers still");
    house.clock.pass(datetime!(2026-03-15 9:00 UTC));
    let detail = refused();
    assert!(detail.contains("answers no more") && detail.contains("asks anew"), "{detail}");
    let case = house.line(CORPORATION).ask(&after).answered().receipt;
    let anew = house.line(TEAM).json("POST", "/v1/group-questions", &of_case(&case, &after));
    assert_eq!(anew.status, 200, "{}", anew.text());
}
