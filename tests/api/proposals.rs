//! What waits for a second person says what it is, is proposed once, and goes when its time is over.

use std::process::Command;

use serde_json::{Value, json};
use time::Duration;
use voorrang::audit::{Action, Entry, Outcome};
use voorrang::cli::epoch::{self, ActivateArgs, EpochCommand, ListArgs};
use voorrang::cli::regulation::confirm;

use super::ends::{proposed, retire, view};
use super::support::*;

const NEXT: &str = "haarlem-2";
const ADMINISTRATORS_OIN: &str = "00000099000000001000";

fn retiring(house: &House, epoch: &str) -> String {
    proposed(house, epoch, |args| EpochCommand::Retire(args.epoch)).unwrap()
}

fn waiting(house: &House) -> Vec<Value> {
    serde_json::from_slice(&house.line(OFFICER).get("/v1/proposals").body).unwrap()
}

fn types(house: &House, stem: &str, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    let done = command.args(words).arg("--config").arg(house.party(stem)).output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

/// What the list says behind a command.
fn about(house: &House, epoch: &str, command: &str) -> String {
    let todo = view(house, epoch)["todo"].clone();
    let found = todo.as_array().unwrap().iter().find(|todo| todo["command"] == command);
    found.unwrap_or_else(|| panic!("{todo}"))["about"].as_str().unwrap().to_owned()
}

#[test]
fn whoever_is_to_confirm_an_end_reads_which_act_it_is_and_that_nothing_answers_behind_it() {
    let house = House::open();
    let said = types(&house, ADMINISTRATOR, &["epoch", "retire", EPOCH]);
    assert!(said.contains("haarlem-1 stops answering at once, and NO OTHER EPOCH ANSWERS"), "{said}");
    let proposal = said.lines().find(|line| line.len() == 32).unwrap();
    let confirm = format!("regulation confirm {proposal}");
    let act = about(&house, EPOCH, &confirm);
    let by = format!("epoch retire haarlem-1, proposed by ICT-dienst Kennemerland ({ADMINISTRATORS_OIN}): ");
    assert!(act.starts_with(&by) && act.contains("NO OTHER EPOCH ANSWERS"), "{act}");
    let list = types(&house, CORPORATION, &["epoch", "list"]);
    assert_eq!(list.matches(&confirm).count(), 1, "one line for all who may: {list}");
    let lines: Vec<_> = list.lines().collect();
    let at = lines.iter().position(|line| line.contains(&confirm)).unwrap();
    assert!(lines[at].starts_with("  may be confirmed by one of: "), "{list}");
    assert_eq!(lines[at + 1], format!("    {act}"));
    let pending = types(&house, OFFICER, &["regulation", "pending"]);
    assert!(pending.contains("retire-epoch") && pending.contains("NO OTHER EPOCH ANSWERS"), "{pending}");
    let done = types(&house, OFFICER, &["regulation", "confirm", proposal]);
    let said = format!("Confirming retire-epoch haarlem-1, proposed by {ADMINISTRATORS_OIN} on ");
    assert!(done.starts_with(&said) && done.contains("NO OTHER EPOCH ANSWERS"), "{done}");
    assert!(done.contains("Done: retire-epoch."), "{done}");
}

#[test]
fn an_abort_beside_an_activation_says_what_it_would_throw_away() {
    let house = House::open();
    house.agree(NEXT);
    let proposal = proposed(&house, NEXT, EpochCommand::Abort).unwrap();
    house.load(POPULATION, voorrang::cli::load::Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, voorrang::cli::load::Kind::Care, &demo("oggz.csv")).unwrap();
    let list = epoch::perform(&EpochCommand::List(ListArgs { config: house.party(OFFICER), json: false })).unwrap();
    assert!(list.contains(&format!("voorrang epoch activate {NEXT}")), "{list}");
    let act = about(&house, NEXT, &format!("regulation confirm {proposal}"));
    assert!(act.starts_with("epoch abort haarlem-2, proposed by "), "{act}");
    assert!(
        act.ends_with("haarlem-2 ends for good before it ever answered, and its shares and loads with it"),
        "{act}"
    );
    assert!(list.contains(&act), "{list}");
}

#[test]
fn an_epoch_beside_another_is_retired_with_the_word_that_the_other_goes_on() {
    let house = House::open();
    house.fill(NEXT);
    let act = about(&house, EPOCH, &format!("regulation confirm {}", retiring(&house, EPOCH)));
    assert!(act.ends_with("haarlem-1 stops answering at once; haarlem-2 goes on answering"), "{act}");
}

#[test]
fn the_log_says_which_act_was_proposed_and_which_proposal_was_confirmed() {
    let house = House::open();
    house.announce(NEXT).unwrap();
    let (retire, abort) = (retiring(&house, EPOCH), proposed(&house, NEXT, EpochCommand::Abort).unwrap());
    confirm(&abort.parse().unwrap(), &house.client(OFFICER)).unwrap();
    let (log, id) = (house.log(), |entry: &Entry| entry.proposal.as_ref().unwrap().to_string());
    let made = |entry: &Entry| {
        let epoch = entry.epoch.as_ref().unwrap().to_string();
        (entry.proposed.unwrap(), id(entry), epoch)
    };
    let made: Vec<_> =
        log.iter().filter(|entry| entry.action == Action::Propose && entry.epoch.is_some()).map(made).collect();
    let wanted = [
        (Action::Stock, made[0].1.clone(), EPOCH.to_owned()),
        (Action::EpochRetire, retire.clone(), EPOCH.to_owned()),
        (Action::EpochAbort, abort.clone(), NEXT.to_owned()),
    ];
    assert_eq!(made, wanted);
    let done = log.iter().find(|entry| entry.action == Action::EpochAbort).unwrap();
    assert_eq!((id(done), done.proposed), (abort.clone(), None));
    let list = types(&house, OFFICER, &["audit", "list"]);
    assert!(list.contains(&format!("  proposal {retire} of epoch-retire\n")), "{list}");
    assert_eq!(list.matches(&format!("  proposal {abort}")).count(), 2, "{list}");
}

/// Accepted at the cut-over was that it asks in the old epoch until its grace ends.
#[test]
fn who_can_ask_in_no_other_epoch_is_named_where_that_one_is_retired() {
    let house = House::open();
    house.agree(NEXT);
    house.load(POPULATION, voorrang::cli::load::Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, voorrang::cli::load::Kind::Care, &demo("oggz.csv")).unwrap();
    let args = ActivateArgs::of(house.epoch_args(ADMINISTRATOR, NEXT));
    epoch::perform(&EpochCommand::Activate(ActivateArgs { accept_missing_stock: true, ..args })).unwrap();
    let proposal = retiring(&house, EPOCH);
    let says = "haarlem-2 goes on answering, BUT NOT FOR Ymere (00000099000000004001): ";
    let act = about(&house, EPOCH, &format!("regulation confirm {proposal}"));
    assert!(act.contains(says) && act.contains("every question of theirs is refused"), "{act}");
    let pending = types(&house, OFFICER, &["regulation", "pending"]);
    assert!(pending.contains(says), "{pending}");
    // It has a stock there as soon as that is confirmed.
    house.load(CORPORATION, voorrang::cli::load::Kind::Stock, &house.stock_of("C1")).unwrap();
    let act = about(&house, EPOCH, &format!("regulation confirm {proposal}"));
    assert!(act.ends_with("haarlem-2 goes on answering"), "{act}");
}

#[test]
fn the_same_act_of_the_same_party_is_proposed_once() {
    let house = House::open();
    let first = retiring(&house, EPOCH);
    assert_eq!([(); 2].map(|()| retiring(&house, EPOCH)), [first.clone(), first.clone()]);
    let all = waiting(&house);
    assert_eq!((all.len(), &all[0]["proposal"]), (1, &json!(first)), "{all:?}");
    let proposals = house.log().into_iter().filter(|entry| entry.action == Action::Propose).count();
    assert!(proposals >= 3, "each time it is in the log");
    confirm(&first.parse().unwrap(), &house.client(OFFICER)).unwrap();
    assert!(waiting(&house).is_empty());
    // A week later it is another one.
    house.fill(NEXT);
    let second = retiring(&house, NEXT);
    house.clock.pass(NOW + Duration::days(8));
    assert_ne!(retiring(&house, NEXT), second);
}

#[test]
fn an_act_whose_time_is_over_waits_no_more_and_says_why() {
    let house = House::open();
    house.agree(NEXT);
    let abort = proposed(&house, NEXT, EpochCommand::Abort).unwrap();
    house.load(POPULATION, voorrang::cli::load::Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, voorrang::cli::load::Kind::Care, &demo("oggz.csv")).unwrap();
    house.load(CORPORATION, voorrang::cli::load::Kind::Stock, &house.stock_of("C1")).unwrap();
    assert_eq!(waiting(&house).len(), 1);
    house.activate(NEXT).unwrap();
    assert!(waiting(&house).is_empty(), "an epoch that answers is not aborted");
    let error = format!("{:#}", confirm(&abort.parse().unwrap(), &house.client(OFFICER)).unwrap_err());
    assert!(error.contains("epoch_answers"), "{error}");
    let refused = house.log().into_iter().filter(|entry| entry.action == Action::EpochAbort);
    assert_eq!(refused.map(|entry| entry.result).collect::<Vec<_>>(), [Outcome::Refused("epoch_answers".into())]);
    retire(&house, EPOCH).unwrap();
    assert!(waiting(&house).is_empty());
}
