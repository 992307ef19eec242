//! Answers of batches that were charged and that nobody has read yet, when their epoch is to be destroyed.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration as Wait;

use serde_json::{Value, json};
use voorrang::audit::Action;
use voorrang::cli::epoch::{self, DestroyArgs, EndArgs, EpochCommand};
use voorrang::cli::query::{self, QueryArgs};
use voorrang::cli::regulation::confirm;
use voorrang::ids::ProposalId;

use super::ends::{destroy, proposed, retire, state, view};
use super::question_batches::{begin, results, send, wait};
use super::regulation::amend;
use super::support::*;

const NEXT: &str = "haarlem-2";

fn counted(house: &House) -> u64 {
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    db.busy_timeout(Wait::from_secs(20)).unwrap();
    db.query_row("SELECT coalesce(sum(questions), 0) FROM budget", [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

fn questions(house: &House) -> Vec<Value> {
    let encoder = house.encoder(EPOCH);
    contracts().iter().take(4).map(|contract| value(&encoder, contract)).collect()
}

/// Proposes it with the loss accepted.
fn accepted(house: &House) -> ProposalId {
    let end = EndArgs { epoch: house.epoch_args(ADMINISTRATOR, EPOCH), output: None };
    let told = epoch::perform(&EpochCommand::Destroy(DestroyArgs { end, accept_unread: true })).unwrap();
    told.trim().parse().unwrap()
}

#[test]
fn an_epoch_is_not_destroyed_while_nobody_has_read_answers_that_were_charged() {
    let house = House::open();
    let batch = send(&house, &questions(&house), 4);
    assert_eq!(wait(&house, batch).answered, 4);
    let open = begin(&house, &questions(&house)[0], 1);
    let charged = counted(&house);
    house.fill(NEXT);
    retire(&house, EPOCH).unwrap();
    let refused = || format!("{:#}", proposed(&house, EPOCH, EpochCommand::destroy).unwrap_err());
    let error = refused();
    for said in ["answers_unread", "of 1 batch of 1 party, kept until 2026-01-22T09:00:00Z", "--accept-unread"] {
        assert!(error.contains(said), "{error}");
    }
    let todo = &view(&house, EPOCH)["todo"][1];
    assert_eq!(todo["command"], format!("epoch destroy {EPOCH}"));
    assert!(todo["about"].as_str().unwrap().contains("kept until 2026-01-22"), "{todo}");
    // Who reads the last answer has not read the first.
    let page = format!("/v1/question-batches/{batch}/results?from=3");
    assert_eq!(house.line(CORPORATION).get(&page).text().lines().count(), 1);
    assert!(refused().contains("answers_unread"));
    assert_eq!(results(&house, batch).len(), 4);
    let proposal = proposed(&house, EPOCH, EpochCommand::destroy).unwrap().parse().unwrap();
    // Somebody asks once more behind the proposal.
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    db.busy_timeout(Wait::from_secs(20)).unwrap();
    db.execute("UPDATE batch SET read = 3", []).unwrap();
    let late = format!("{:#}", confirm(&proposal, &house.client(OFFICER)).unwrap_err());
    assert!(late.contains("answers_unread"), "{late}");
    assert_eq!(state(&house, EPOCH), "retiring");
    let last = format!("/v1/question-batches/{batch}/results?from=2");
    assert_eq!(house.line(CORPORATION).get(&last).text().lines().count(), 2);
    confirm(&proposal, &house.client(OFFICER)).unwrap();
    let mut line = house.line(CORPORATION);
    for path in ["", "/results"] {
        let gone = line.get(&format!("/v1/question-batches/{batch}{path}")).is_problem(410, "answers_destroyed");
        assert!(gone.detail.contains("4 answers, which were charged"), "{}", gone.detail);
    }
    let gone = line.get(&format!("/v1/question-batches/{open}")).is_problem(410, "epoch_destroyed");
    assert!(gone.detail.contains("nothing of it was answered or charged"), "{}", gone.detail);
    house.line("elan-wonen").get(&format!("/v1/question-batches/{batch}")).is_problem(404, "unknown_batch");
    assert_eq!(counted(&house), charged);
    house.verify(&[]).unwrap();
    // The news of them ends too.
    house.pass(31);
    line.get(&format!("/v1/question-batches/{batch}")).is_problem(404, "unknown_batch");
}

#[test]
fn answers_that_nobody_can_read_any_more_hold_up_no_destruction() {
    let house = House::open();
    let batch = send(&house, &questions(&house), 4);
    wait(&house, batch);
    retire(&house, EPOCH).unwrap();
    proposed(&house, EPOCH, EpochCommand::destroy).unwrap_err();
    house.pass(8);
    destroy(&house, EPOCH).unwrap();
    assert_eq!(state(&house, EPOCH), "destroyed");
}

#[test]
fn answers_that_are_lost_are_accepted_by_two_and_asked_for_again_only_by_who_says_so() {
    let house = House::lawless();
    amend(&house, "household_per_month = 4", "household_per_month = 31");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    house.fill(NEXT);
    // Into the older epoch, where the corporation has its stock as well: each contract several times under other numbers.
    let (tenants, arrears) = (house.file("tenants.csv"), house.file("arrears.csv"));
    let stock = fs::read_to_string(house.stock_of("C1")).unwrap();
    let (header, rows) = stock.split_once('\n').unwrap();
    let copies: String = (0..4).flat_map(|n| rows.lines().map(move |row| format!("K{n}{}\n", &row[2..]))).collect();
    fs::write(&tenants, format!("{header}\n{copies}")).unwrap();
    let mut contracts: Vec<&str> = copies.lines().filter_map(|row| row.split(',').next()).collect();
    contracts.dedup();
    let asked: String = contracts.iter().map(|contract| format!("{contract},3\n")).collect();
    fs::write(&arrears, format!("contract_id,maanden\n{asked}")).unwrap();
    let config = house.party(CORPORATION);
    let run =
        QueryArgs { batch: true, resume: true, ..QueryArgs::new(arrears, tenants, config, house.file("flags.csv")) };
    let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    command.args(["query", "--batch"]).arg(&run.arrears).arg("--tenants").arg(&run.tenants);
    command.arg("--config").arg(&run.config).arg("-o").arg(&run.output);
    let before = counted(&house);
    let mut asking = command.stderr(Stdio::null()).spawn().unwrap();
    while counted(&house) == before {
        assert!(asking.try_wait().unwrap().is_none(), "the run was over before it was cut");
    }
    asking.kill().unwrap();
    asking.wait().unwrap();
    let name = house.keys().join(format!("{CORPORATION}.memory"));
    let memory = fs::read_dir(name).unwrap().map(|file| file.unwrap().path());
    let memory = memory.into_iter().find(|path| path.to_str().unwrap().contains("/query-batch-")).unwrap();
    let memory: Value = serde_json::from_slice(&fs::read(memory).unwrap()).unwrap();
    let batch = memory["batches"][0]["batch"].as_str().unwrap().parse().unwrap();
    let epoch = memory["batches"][0]["plan"]["header"]["epoch"].as_str().unwrap().to_owned();
    assert_eq!(epoch, NEXT, "the newest one that answers");
    wait(&house, batch);
    let charged = counted(&house);
    house.fill("haarlem-3");
    retire(&house, NEXT).unwrap();
    let end = || EndArgs { epoch: house.epoch_args(ADMINISTRATOR, NEXT), output: None };
    let error = format!("{:#}", epoch::perform(&EpochCommand::destroy(end())).unwrap_err());
    assert!(error.contains("answers_unread"), "{error}");
    let told = epoch::perform(&EpochCommand::Destroy(DestroyArgs { end: end(), accept_unread: true })).unwrap();
    let waiting: Value = serde_json::from_slice(&house.line(OFFICER).get("/v1/proposals").body).unwrap();
    let effect = waiting[0]["effect"].as_str().unwrap();
    assert!(effect.contains("WITH IT GO answers that were charged"), "{effect}");
    confirm(&told.trim().parse().unwrap(), &house.client(OFFICER)).unwrap();
    let log = house.log();
    let accepted: Vec<_> = log.iter().filter(|entry| entry.action == Action::EpochAcceptUnread).collect();
    assert_eq!((accepted.len(), accepted[0].actor.role.as_str()), (1, "privacy-officer"));
    assert_eq!(accepted[0].epoch.as_ref().unwrap().as_str(), NEXT);
    let error = format!("{:#}", query::ask_all(&run).unwrap_err());
    assert!(error.contains("--ask-again") && error.contains("--resume"), "{error}");
    assert_eq!(counted(&house), charged, "nothing is charged again unasked");
    house.forget_counts();
    let summary = query::ask_all(&QueryArgs { ask_again: true, ..run }).unwrap();
    assert_eq!(summary.answers.values().sum::<usize>(), contracts.len());
    house.verify(&[]).unwrap();
}

#[test]
fn an_acceptance_with_which_nothing_is_lost_is_none() {
    let house = House::open();
    retire(&house, EPOCH).unwrap();
    confirm(&accepted(&house), &house.client(OFFICER)).unwrap();
    assert!(!house.log().iter().any(|entry| entry.action == Action::EpochAcceptUnread));
    let unknown = json!({"acceptUnread": true, "other": 1});
    let path = format!("/v1/epochs/{EPOCH}/destroy");
    house.line(ADMINISTRATOR).json("POST", &path, &unknown).is_problem(400, "json");
}
