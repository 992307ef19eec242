//! The service is killed at random while everything is asked of it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use voorrang::answer::wire::law::{BatchAnswers, GroupsTold};
use voorrang::answer::wire::{Answered, Source};
use voorrang::audit::{Action, Entry, Outcome, Receipt, leaf_hash};
use voorrang::ids::BatchId;

use crate::loads::{ByHand, residents};
use crate::question_batches::{begin, put, results, wait};
use crate::regulation::{TEAM, of_case};
use crate::support::*;

/// Clients that ask at once: one question at a time, a few in a batch, or for the groups of a case.
const CLIENTS: usize = 8;
/// Kills of the short form.
const KILLS: usize = 3;
/// Milliseconds until the latest kill: a load may be committed by then, or not.
const LONGEST: u64 = 2000;
/// Questions of a batch that is answered in the background.
const IN_BATCH: usize = 12;

fn kills() -> usize {
    std::env::var(super::KILLS).map_or(KILLS, |text| text.parse().expect("CAMPAIGN_KILLS is a number"))
}

/// A time from `least` ms on, at most `more` later.
fn moment(least: u64, more: u64) -> Duration {
    let mut random = [0; 2];
    SystemRandom::new().fill(&mut random).unwrap();
    Duration::from_millis(least + u64::from(u16::from_be_bytes(random)) % more)
}

/// A request under a key of its own, which is sent again until it is known what became of it.
struct Request {
    stem: &'static str,
    path: &'static str,
    key: String,
    body: String,
}

impl Request {
    fn send(&self, house: &House) -> io::Result<Reply> {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", self.key.as_str())];
        let mut line = Line::open(house.port(), house.tls(Some(&house.card(self.stem))))?;
        line.send("POST", self.path, &headers, self.body.as_bytes())
    }

    /// After the restart: what was charged is given.
    fn again(&self, house: &House) -> Reply {
        loop {
            let reply = self.send(house).unwrap();
            if reply.status != 429 {
                return reply;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// Everything that anybody was told.
#[derive(Default)]
struct Told {
    /// By its entry.
    answers: BTreeMap<u64, Answered>,
    groups: BTreeMap<u64, Receipt>,
}

impl Told {
    fn one(&mut self, answered: Answered) {
        let index = answered.receipt.index;
        assert!(self.answers.insert(index, answered).is_none(), "entry {index} was given for two answers");
    }

    fn take(&mut self, request: &Request, reply: &Reply) {
        match request.path {
            "/v1/priority-questions" => self.one(reply.answered()),
            "/v1/priority-batches" => {
                let told: BatchAnswers = serde_json::from_slice(&reply.body).unwrap();
                told.answers.into_iter().filter_map(|one| one.answered).for_each(|one| self.one(one));
            }
            _ => {
                let GroupsTold { receipt, .. } = serde_json::from_slice(&reply.body).unwrap();
                let index = receipt.index;
                assert!(self.groups.insert(index, receipt).is_none(), "entry {index} was given for two cases");
            }
        }
    }
}

/// Names the database to the process that reads it beside the service.
const READS: &str = "CAMPAIGN_READS";

/// What that process does until it is killed: it opens the database, reads and closes it, as a backup tool or a monitor.
/// If it took itself for the last one it would delete the write-ahead log, and answers with it.
#[test]
fn a_process_beside_the_service_opens_and_closes_its_database() {
    let Ok(path) = std::env::var(READS) else { return };
    loop {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.busy_timeout(Duration::from_secs(20)).unwrap();
        db.query_row("SELECT count(*) FROM leaf", [], |row| row.get::<_, i64>(0)).unwrap();
        drop(db);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Another process, because SQLite knows its own connections of one.
fn reader(house: &House) -> Child {
    let name = "campaign::killed::a_process_beside_the_service_opens_and_closes_its_database";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).env(READS, house.state().join("voorrang.db"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// What clients ask.
struct Asking {
    questions: Vec<Value>,
    /// Bodies of questions about groups.
    cases: Vec<Value>,
    /// Requests that were made.
    made: AtomicUsize,
}

impl Asking {
    fn request(&self, client: usize) -> Request {
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        let question = |at: usize| &self.questions[at % self.questions.len()];
        let (stem, path, body) = match client {
            0..5 => (CORPORATION, "/v1/priority-questions", question(made).clone()),
            5 | 6 => {
                let few = [question(made), question(made + 1), question(made + 2)];
                (CORPORATION, "/v1/priority-batches", json!({ "questions": few }))
            }
            _ => (TEAM, "/v1/group-questions", self.cases[made % self.cases.len()].clone()),
        };
        Request { stem, path, key: format!("8e03978e-40d5-43e8-bc93-{made:012}"), body: body.to_string() }
    }

    /// What one client was told until the service was gone, and the request that it waits for.
    fn until_gone(&self, house: &House, client: usize, gone: &AtomicBool) -> (Vec<(Request, Reply)>, Option<Request>) {
        let mut told = Vec::new();
        while !gone.load(Ordering::SeqCst) {
            let request = self.request(client);
            match request.send(house) {
                Ok(reply) if reply.status == 200 => told.push((request, reply)),
                Ok(reply) if reply.status < 500 => {}
                _ => return (told, Some(request)),
            }
        }
        (told, None)
    }
}

/// One load after the other: first nobody is a minor, then those are who were.
struct Loads {
    lines: [Vec<String>; 2],
}

impl Loads {
    fn new(house: &House) -> Self {
        let with = residents(house, &house.encoder(EPOCH));
        let without = with.iter().map(|line| line.replace(r#""groups":["minor"]"#, r#""groups":[]"#)).collect();
        Self { lines: [without, with] }
    }

    /// Sent, and not committed.
    fn begin(&self, house: &House, done: usize) -> ByHand {
        let lines = &self.lines[done % 2];
        let load = ByHand::begin(house, POPULATION, &house.encoder(EPOCH), Source::Population, lines.len());
        for (chunk, part) in lines.chunks(lines.len() / 2 + 1).enumerate() {
            assert_eq!(load.put(house, POPULATION, chunk, part).status, 200);
        }
        load
    }

    /// What the family is answered behind so many loads.
    fn word(done: usize) -> &'static str {
        if done.is_multiple_of(2) { "priority" } else { "no_priority" }
    }
}

fn commit(house: &House, stem: &str, path: &str, body: &Value) -> io::Result<Reply> {
    let mut line = Line::open(house.port(), house.tls(Some(&house.card(stem))))?;
    line.send("POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

/// What the database of a killed service says from an entry on: questions that the corporation was answered, and those
/// that it was charged.
fn charged(house: &House, since: u64) -> (u64, u64) {
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let one = |sql: &str, since: u64| -> u64 {
        db.query_row(sql, [since.cast_signed()], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
    };
    let answered = "SELECT count(*) FROM entry WHERE idx >= ?1 AND json_extract(text, '$.action') = 'ask'
                    AND json_extract(text, '$.result') = 'answered'";
    // Those of the care side are counted beside them, under other parties.
    let charged = "SELECT coalesce(sum(questions), 0) FROM household_questions WHERE ?1 >= 0 AND object NOT LIKE 'tenant %'
                   AND oin = (SELECT json_extract(text, '$.actor.oin') FROM entry WHERE json_extract(text, '$.action') = 'ask'
                    LIMIT 1)";
    (one(answered, since), one(charged, since))
}

fn size(house: &House) -> u64 {
    house.line(OFFICER).get("/v1/access-log/checkpoint").text().lines().nth(1).unwrap().parse().unwrap()
}

fn loads_done(log: &[Entry]) -> usize {
    log.iter().filter(|entry| entry.action == Action::Load && entry.result == Outcome::Done).count()
}

/// Asks of everything at once until the kill, and then, of the service that was started again, for what is open.
fn round(house: &mut House, asking: &Asking, loads: &Loads, before: usize, told: &mut Told) {
    let background: Vec<Value> = asking.questions.iter().take(IN_BATCH).cloned().collect();
    let batch = begin(house, &background[0], IN_BATCH);
    for (number, part) in background.chunks(IN_BATCH / 2).enumerate() {
        assert_eq!(put(house, batch, number, part).status, 200);
    }
    let committed = loads_done(&house.log()) - before;
    let load = loads.begin(house, committed);
    let since = size(house);
    house.forget_counts();
    let gone = AtomicBool::new(false);
    let mut reader = reader(house);
    let (waiting, load_done) = std::thread::scope(|scope| {
        let (house, gone) = (&*house, &gone);
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || asking.until_gone(house, client, gone))).collect();
        let batch_path = format!("/v1/question-batches/{batch}/commit");
        let batching = scope.spawn(move || {
            std::thread::sleep(moment(0, 300));
            drop(commit(house, CORPORATION, &batch_path, &json!({"chunks": 2})));
        });
        let load_path = load.commit_path();
        let loading = scope.spawn(move || {
            std::thread::sleep(moment(0, 200));
            commit(house, POPULATION, &load_path, &json!({"chunks": 2, "acceptShrink": true}))
                .ok()
                .map(|reply| reply.status)
        });
        std::thread::sleep(moment(50, LONGEST));
        gone.store(true, Ordering::SeqCst);
        house.kill_now();
        batching.join().unwrap();
        let mut waiting = Vec::new();
        for client in clients {
            let (answers, waits) = client.join().unwrap();
            answers.iter().for_each(|(request, reply)| told.take(request, reply));
            waiting.extend(waits);
        }
        (waiting, loading.join().unwrap())
    });
    house.kill();
    assert!(reader.try_wait().unwrap().is_none(), "it read to the end");
    reader.kill().and_then(|()| reader.wait()).unwrap();
    let (answered, paid) = charged(house, since);
    assert_eq!(answered, paid, "what was charged has an entry, and what has one was charged");
    house.forget_counts();
    house.start();
    // Whole or absent, and there if it was said to be.
    let now = loads_done(&house.log()) - before;
    assert!(now == committed || now == committed + 1, "{now} loads where {committed} were");
    assert!(load_done.is_none_or(|status| status == 200 && now == committed + 1), "{load_done:?}");
    let family = house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    assert_eq!(family.answer, Loads::word(now), "after {now} loads");
    told.one(family);
    for request in &waiting {
        let reply = request.again(house);
        assert!(matches!(reply.status, 200 | 403), "{}", reply.text());
        if reply.status == 200 {
            told.take(request, &reply);
        }
    }
    finish(house, batch, told);
}

/// Commits the batch unless it is, and takes its answers.
fn finish(house: &House, batch: BatchId, told: &mut Told) {
    let path = format!("/v1/question-batches/{batch}");
    let view: Value = serde_json::from_slice(&house.line(CORPORATION).get(&path).body).unwrap();
    if view["state"] == "open" {
        assert_eq!(commit(house, CORPORATION, &format!("{path}/commit"), &json!({"chunks": 2})).unwrap().status, 200);
    }
    assert_eq!(wait(house, batch).state, "done");
    results(house, batch).into_iter().filter_map(|one| one.answered).for_each(|one| told.one(one));
}

#[test]
fn kills_at_random_while_everything_is_asked_lose_no_entry_no_answer_and_no_half_of_a_load() {
    let mut house = House::outside();
    let encoder = house.encoder(EPOCH);
    let ours: Vec<String> = contracts().into_iter().filter(|contract| contract != FAMILY).collect();
    let questions: Vec<Value> = ours.iter().map(|contract| value(&encoder, contract)).collect();
    let mut told = Told::default();
    let cases = questions.iter().take(10).map(|question| {
        let case = house.line(CORPORATION).ask(question).answered();
        let body = of_case(&case.receipt, question);
        told.one(case);
        body
    });
    let asking = Asking { cases: cases.collect(), questions, made: AtomicUsize::new(0) };
    let (loads, before) = (Loads::new(&house), loads_done(&house.log()));
    for _ in 0..kills() {
        round(&mut house, &asking, &loads, before, &mut told);
    }
    let answers: Vec<Answered> = told.answers.values().cloned().collect();
    let report = house.verify(&answers).unwrap();
    assert_eq!(report.receipts, answers.len() as u64);
    // Each answer has its entry, and each entry its answer, which somebody got in the end.
    let log = house.log();
    let logged = |action: Action| -> BTreeSet<u64> {
        let answered = (0..).zip(&log).filter(|(_, entry)| entry.action == action && entry.result == Outcome::Answered);
        answered.map(|(index, _)| index).collect()
    };
    assert_eq!(logged(Action::Ask), told.answers.keys().copied().collect());
    assert_eq!(logged(Action::AskGroups), told.groups.keys().copied().collect());
    for (index, receipt) in &told.groups {
        assert_eq!(leaf_hash(&log[*index as usize].to_bytes()), receipt.leaf, "entry {index}");
    }
    let (answers, groups, loads) = (answers.len(), told.groups.len(), loads_done(&log) - before);
    assert!(answers > asking.cases.len() && groups > 0, "somebody was answered");
    eprintln!(
        "{} kills, {answers} answers and {groups} about groups, each with its entry and each entry with its answer; \
         {loads} loads, all whole; {} entries",
        kills(),
        report.entries
    );
}
