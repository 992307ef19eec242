//! Acts that wait no more though nobody confirmed them: taken back by their party, or made impossible by a step of their
//! epoch.

use serde_json::Value;
use time::Duration;
use voorrang::audit::{Action, Entry, Outcome};
use voorrang::cli::epoch::{DestroyArgs, EndArgs, EpochCommand};
use voorrang::cli::load::{Kind, load};
use voorrang::cli::regulation::{self, confirm};

use super::ends::{proposed, retire, view};
use super::proposals::{types, waiting};
use super::support::*;
use super::walls::soon;

const NEXT: &str = "haarlem-2";
const UNKNOWN: &str = "00000000000000000000000000000000";

fn retiring(house: &House, epoch: &str) -> String {
    proposed(house, epoch, |args| EpochCommand::Retire(args.epoch)).unwrap()
}

fn withdraw(house: &House, stem: &str, proposal: &str) -> Reply {
    house.line(stem).send("DELETE", &format!("/v1/proposals/{proposal}"), &[], b"").unwrap()
}

/// Why nobody confirms it.
fn unconfirmed(house: &House, proposal: &str) -> String {
    format!("{:#}", confirm(&proposal.parse().unwrap(), &house.client(OFFICER)).unwrap_err())
}

fn entries(house: &House, action: Action) -> Vec<Entry> {
    house.log().into_iter().filter(|entry| entry.action == action).collect()
}

/// What there is to do about an epoch, besides keeping its salt.
fn commands(house: &House, epoch: &str) -> Vec<String> {
    let todo = view(house, epoch)["todo"].clone();
    let all = todo.as_array().unwrap().iter().map(|one| one["command"].as_str().unwrap().to_owned());
    all.filter(|command| !command.starts_with("epoch fetch")).collect()
}

#[test]
fn an_act_is_taken_back_by_who_proposed_it_and_by_nobody_else() {
    let house = House::open();
    house.fill(NEXT);
    retire(&house, EPOCH).unwrap();
    let destroying = || proposed(&house, EPOCH, EpochCommand::destroy).unwrap();
    let proposal = destroying();
    assert_eq!(commands(&house, EPOCH), vec![format!("regulation confirm {proposal}"); commands(&house, EPOCH).len()]);
    withdraw(&house, OFFICER, &proposal).is_problem(403, "not_the_proposer");
    withdraw(&house, OFFICER, UNKNOWN).is_problem(404, "unknown_proposal");
    assert_eq!(waiting(&house).len(), 1);
    let said = types(&house, ADMINISTRATOR, &["regulation", "withdraw", &proposal]);
    assert!(said.starts_with("Withdrawn: destroy-epoch. It is entry "), "{said}");
    assert!(waiting(&house).is_empty());
    let pending = types(&house, OFFICER, &["regulation", "pending"]);
    assert_eq!(pending, "Nothing waits for a second person.\n");
    let list = types(&house, OFFICER, &["epoch", "list"]);
    assert!(!list.contains(&proposal), "{list}");
    assert_eq!(commands(&house, EPOCH), [format!("epoch destroy {EPOCH}")], "it is to be proposed again");
    assert!(unconfirmed(&house, &proposal).contains("proposal_withdrawn"));
    withdraw(&house, ADMINISTRATOR, &proposal).is_problem(410, "proposal_withdrawn");
    let results: Vec<_> = entries(&house, Action::Withdraw)
        .into_iter()
        .map(|entry| {
            assert_eq!(entry.epoch, Some(EPOCH.parse().unwrap()));
            (entry.actor.role, String::from(entry.result))
        })
        .collect();
    let [officer, administrator] = ["privacy-officer", "administrator"].map(str::to_owned);
    let refused = |code: &str| format!("refused:{code}");
    assert_eq!(
        results,
        [
            (officer, refused("not_the_proposer")),
            (administrator.clone(), "done".to_owned()),
            (administrator, refused("proposal_withdrawn"))
        ]
    );
    let again = destroying();
    assert_ne!(again, proposal, "what was taken back does not come back");
    confirm(&again.parse().unwrap(), &house.client(OFFICER)).unwrap();
    withdraw(&house, ADMINISTRATOR, &again).is_problem(404, "unknown_proposal");
    house.verify(&[]).unwrap();
}

#[test]
fn a_regulation_that_nobody_wants_any_more_is_withdrawn_before_any_is_in_force() {
    let house = House::lawless();
    let pending = regulation::activate(&house.law(), &house.client(ADMINISTRATOR)).unwrap();
    let name = pending.proposal.to_string();
    withdraw(&house, CORPORATION, &name).is_problem(403, "not_the_proposer");
    assert_eq!(withdraw(&house, ADMINISTRATOR, &name).status, 200);
    assert!(unconfirmed(&house, &name).contains("proposal_withdrawn"));
    house.activate_law().unwrap();
}

#[test]
fn a_lost_answer_to_a_withdrawal_is_had_again_under_its_key() {
    let house = House::open();
    let path = format!("/v1/proposals/{}", retiring(&house, EPOCH));
    let key = [("Idempotency-Key", "0123456789abcdef-1")];
    let [first, second] = [(); 2].map(|()| house.line(ADMINISTRATOR).send("DELETE", &path, &key, b"").unwrap());
    let told = |reply: &Reply| serde_json::from_slice::<Value>(&reply.body).unwrap();
    assert_eq!((first.status, second.status), (200, 200), "{}", second.text());
    assert_eq!(told(&first)["receipt"]["index"], told(&second)["receipt"]["index"]);
    assert_eq!(entries(&house, Action::Withdraw).len(), 1);
}

#[test]
fn of_a_stock_that_was_taken_back_no_address_stays() {
    let house = House::open();
    let offer = || {
        let args = house.load_args(CORPORATION, Kind::Stock, &house.stock_of("C1"));
        load(&args).unwrap().pending.unwrap().to_string()
    };
    let body = |proposal: &str| -> Option<Value> {
        let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
        let sql = "SELECT body FROM proposal WHERE id = ?1";
        let body: rusqlite::Result<String> = db.query_row(sql, [proposal], |row| row.get(0));
        body.ok().map(|body| serde_json::from_str(&body).unwrap())
    };
    let first = offer();
    assert_ne!(body(&first).unwrap()["filter"], "");
    assert_eq!(withdraw(&house, CORPORATION, &first).status, 200);
    assert_eq!(body(&first).unwrap()["filter"], "");
    assert!(!commands(&house, EPOCH).iter().any(|one| one.contains(&first)));
    let second = offer();
    assert!(unconfirmed(&house, &first).contains("proposal_withdrawn"), "also beside the one that took its place");
    confirm(&second.parse().unwrap(), &house.client(OFFICER)).unwrap();
}

/// What was dropped, by epoch and role of who took the step.
fn dropped(house: &House) -> Vec<(String, String)> {
    let told = |entry: Entry| {
        assert_eq!(entry.result, Outcome::Done);
        (entry.epoch.unwrap().to_string(), entry.actor.role)
    };
    entries(house, Action::ProposalDrop).into_iter().map(told).collect()
}

fn by(epoch: &str, role: &str) -> (String, String) {
    (epoch.to_owned(), role.to_owned())
}

#[test]
fn an_abort_is_dropped_when_its_epoch_begins_to_answer() {
    let house = House::open();
    house.agree(NEXT);
    let abort = proposed(&house, NEXT, EpochCommand::Abort).unwrap();
    let of_the_old = retiring(&house, EPOCH);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    house.activate(NEXT).unwrap();
    assert_eq!(dropped(&house), [by(NEXT, "administrator")]);
    let left: Vec<_> = waiting(&house).iter().map(|one| one["proposal"].as_str().unwrap().to_owned()).collect();
    assert_eq!(left, [of_the_old], "an epoch in its grace may still be retired at once");
    let log = house.log();
    let at = |action| log.iter().rposition(|entry| entry.action == action).unwrap();
    let (step, drop) = (&log[at(Action::EpochActivate)], &log[at(Action::ProposalDrop)]);
    assert_eq!(step.trace_id, drop.trace_id, "it belongs to the step");
    assert!(unconfirmed(&house, &abort).contains("epoch_answers"), "whoever comes for it is told why");
    withdraw(&house, ADMINISTRATOR, &abort).is_problem(404, "unknown_proposal");
    house.verify(&[]).unwrap();
}

#[test]
fn a_retirement_is_dropped_when_its_epoch_falls_silent_by_the_clock() {
    let house = House::open();
    house.fill(NEXT);
    house.clock.pass(NOW + Duration::days(29));
    let retirement = retiring(&house, EPOCH);
    house.clock.pass(NOW + Duration::days(31));
    soon("it is noticed", || !entries(&house, Action::EpochSilent).is_empty());
    assert_eq!(dropped(&house), [by(EPOCH, "service")]);
    assert!(unconfirmed(&house, &retirement).contains("epoch_not_active"));
    house.verify(&[]).unwrap();
}

#[test]
fn a_retirement_drops_the_stocks_that_wait_and_an_end_drops_the_other_ends() {
    let house = House::open();
    load(&house.load_args(CORPORATION, Kind::Stock, &house.stock_of("C1"))).unwrap();
    retire(&house, EPOCH).unwrap();
    assert_eq!(dropped(&house), [by(EPOCH, "privacy-officer")], "the stock");
    let destroying = |accept_unread| {
        let end = EndArgs { epoch: house.epoch_args(ADMINISTRATOR, EPOCH), output: None };
        let done = voorrang::cli::epoch::perform(&EpochCommand::Destroy(DestroyArgs { end, accept_unread })).unwrap();
        done.trim_end().to_owned()
    };
    let (one, other) = (destroying(false), destroying(true));
    assert_eq!(waiting(&house).len(), 2);
    confirm(&one.parse().unwrap(), &house.client(OFFICER)).unwrap();
    assert_eq!(dropped(&house), vec![by(EPOCH, "privacy-officer"); 2]);
    assert!(waiting(&house).is_empty());
    assert!(unconfirmed(&house, &other).contains("epoch_destroyed"));
    house.verify(&[]).unwrap();
}
