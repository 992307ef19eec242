//! An epoch that falls silent in the middle of a request about several households, where a regulation wants that many.

use std::collections::BTreeSet;
use std::time::Duration as Wait;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use voorrang::answer::wire::law::BatchAnswers;
use voorrang::audit::Outcome;
use voorrang::cli::epoch::{self, EpochCommand};
use voorrang::cli::regulation::confirm;

use super::question_batches::{results, send, wait};
use super::regulation::amend;
use super::support::*;

const NEXT: &str = "haarlem-2";
const LEAST: usize = 15;
/// The grace of the regulation is over.
const LATER: OffsetDateTime = NOW.saturating_add(Duration::days(40));

/// Two epochs that answer, under a regulation that wants [`LEAST`] addresses in one request.
fn house() -> House {
    let house = House::lawless();
    amend(&house, "minimum_batch = 1", &format!("minimum_batch = {LEAST}"));
    amend(&house, "household_per_month = 4", "household_per_month = 31");
    // So that a batch takes longer than it takes to see that it has begun.
    amend(&house, "stop_share = 0.25", "stop_share = 1.0");
    amend(&house, "population = 31", "population = 300");
    amend(&house, "care = 31", "care = 300");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    house.fill(NEXT);
    house
}

fn questions(house: &House, epoch: &str) -> Vec<Value> {
    let encoder = house.encoder(epoch);
    contracts().iter().map(|contract| value(&encoder, contract)).collect()
}

fn counted(house: &House) -> u64 {
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    db.busy_timeout(Wait::from_secs(20)).unwrap();
    let sql = "SELECT coalesce(sum(questions), 0) FROM household_questions WHERE object NOT LIKE 'tenant %'";
    db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

fn until_counted(house: &House, more_than: u64) -> u64 {
    for _ in 0..20_000 {
        let now = counted(house);
        if now > more_than {
            return now;
        }
        std::thread::sleep(Wait::from_millis(1));
    }
    panic!("nothing is answered");
}

/// Headers of a request under one of these keys.
fn keyed(key: &str) -> [(&'static str, &'static str); 2] {
    let key = if key == "1" { "0123456789abcdef-1" } else { "0123456789abcdef-2" };
    [("Content-Type", "application/json"), ("Idempotency-Key", key)]
}

fn ask(house: &House, questions: &[Value], key: &str) -> BatchAnswers {
    let body = json!({ "questions": questions }).to_string();
    let reply = house.line(CORPORATION).send("POST", "/v1/priority-batches", &keyed(key), body.as_bytes()).unwrap();
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", reply.text()))
}

/// How many were answered, and the codes of the others.
fn told(answers: &BatchAnswers) -> (usize, BTreeSet<String>) {
    let codes = answers.answers.iter().filter_map(|one| Some(one.problem.as_ref()?.code.clone()));
    (answers.answers.iter().filter(|one| one.answered.is_some()).count(), codes.collect())
}

#[test]
fn a_request_that_an_epoch_falls_silent_in_is_answered_whole() {
    let house = house();
    let ours = questions(&house, EPOCH);
    let answers = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&house, &ours, "1"));
        let before = until_counted(&house, 0);
        house.clock.pass(LATER);
        assert!(before < LEAST as u64 && !asking.is_finished(), "the silence comes in its middle");
        asking.join().unwrap()
    });
    assert_eq!(told(&answers), (ours.len(), BTreeSet::new()));
    assert_eq!(told(&ask(&house, &ours, "2")), (0, ["epoch_retired".to_owned()].into()));
    assert_eq!(told(&ask(&house, &ours, "1")).0, ours.len(), "what was answered is told again");
    assert_eq!(counted(&house), ours.len() as u64, "and charged once");
}

#[test]
fn a_request_that_was_cut_before_the_silence_is_brought_to_its_end_behind_it() {
    let mut house = House::built(true);
    amend(&house, "minimum_batch = 1", &format!("minimum_batch = {LEAST}"));
    house.start();
    house.fill(EPOCH);
    let ours = questions(&house, EPOCH)[..20].to_vec();
    std::thread::scope(|scope| {
        let line = || Line::open(house.port(), house.tls(Some(&house.card(CORPORATION)))).unwrap();
        let body = json!({ "questions": ours }).to_string();
        let asking = scope.spawn(move || line().send("POST", "/v1/priority-batches", &keyed("1"), body.as_bytes()));
        until_counted(&house, 0);
        house.kill_now();
        assert!(asking.join().unwrap().is_err(), "nobody was told");
    });
    house.kill();
    house.start();
    let before = counted(&house);
    assert!((1..LEAST as u64).contains(&before), "{before}");
    let proposal = epoch::perform(&EpochCommand::Retire(house.epoch_args(ADMINISTRATOR, EPOCH))).unwrap();
    confirm(&proposal.trim().parse().unwrap(), &house.client(OFFICER)).unwrap();
    assert_eq!(told(&ask(&house, &ours, "2")), (0, ["epoch_retired".to_owned()].into()));
    assert_eq!(told(&ask(&house, &ours, "1")), (ours.len(), BTreeSet::new()));
    assert_eq!(counted(&house), ours.len() as u64);
    let answered = house.log().iter().filter(|entry| entry.result == Outcome::Answered).count();
    assert_eq!(answered, ours.len(), "an entry each");
}

#[test]
fn a_request_in_two_epochs_in_which_one_address_has_two_tokens_is_refused_whole() {
    let house = house();
    let least = LEAST.div_ceil(2);
    let ours: Vec<Value> = [EPOCH, NEXT].iter().flat_map(|epoch| questions(&house, epoch)[..least].to_vec()).collect();
    assert!(ours.len() >= LEAST);
    let reply = house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({ "questions": ours }));
    reply.is_problem(422, "batch_mixed");
    assert_eq!(counted(&house), 0);
}

#[test]
fn a_batch_that_an_epoch_falls_silent_in_goes_on_to_the_minimum_and_no_further() {
    let house = house();
    let each = questions(&house, EPOCH);
    // One household until the first slice is full, then all, then all again.
    let mut ours = vec![each[0].clone(); 30];
    ours.extend(each.iter().cycle().take(6 * each.len()).cloned());
    let batch = send(&house, &ours, 64);
    until_counted(&house, 0);
    house.clock.pass(LATER);
    let done = wait(&house, batch);
    let results = results(&house, batch);
    let silent = results.iter().position(|one| one.problem.is_some()).expect("it ends in its middle");
    let addresses: BTreeSet<String> = ours[..silent].iter().map(|one| one["address"].to_string()).collect();
    assert!(addresses.len() >= LEAST, "{} of {LEAST} households, then silence", addresses.len());
    assert!(done.refused > 0 && results[silent..].iter().all(|one| one.answered.is_none()), "{done:?}");
    let why = results[silent].problem.as_ref().unwrap();
    assert_eq!(why.code, "epoch_retired");
}
