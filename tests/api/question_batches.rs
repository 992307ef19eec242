//! Batches of questions in the background: all or nothing until the commit, each question by itself behind it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use time::macros::datetime;
use voorrang::answer::wire::Answered;
use voorrang::answer::wire::batches::{BatchBegun, BatchView, ResultLine};
use voorrang::audit::{Action, Entry, Outcome};
use voorrang::cli::regulation;
use voorrang::ids::BatchId;

use super::answers::small_stock;
use super::regulation::amend;
use super::support::*;
use super::walls::soon;

/// A way to spoil a question, and the problem that it earns.
type Spoilt = (fn(&mut Value), &'static str);

const OTHER: &str = "elan-wonen";

fn plan(question: &Value, questions: usize) -> Value {
    json!({"header": question["header"], "purpose": question["purpose"], "questions": questions})
}

pub fn begin(house: &House, question: &Value, questions: usize) -> BatchId {
    let reply = house.line(CORPORATION).json("POST", "/v1/question-batches", &plan(question, questions));
    assert_eq!(reply.status, 202, "{}", reply.text());
    let begun: BatchBegun = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(reply.header("location"), Some(format!("/v1/question-batches/{}", begun.batch).as_str()));
    begun.batch
}

pub fn put(house: &House, batch: BatchId, number: usize, questions: &[Value]) -> Reply {
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let path = format!("/v1/question-batches/{batch}/chunks/{number}");
    let digest = format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, lines.as_bytes())));
    let headers = [("Content-Type", "application/x-ndjson"), ("Content-Digest", digest.as_str())];
    house.line(CORPORATION).send("PUT", &path, &headers, lines.as_bytes()).unwrap()
}

fn commit(house: &House, batch: BatchId, chunks: usize) -> Reply {
    let path = format!("/v1/question-batches/{batch}/commit");
    house.line(CORPORATION).json("POST", &path, &json!({ "chunks": chunks }))
}

fn view(house: &House, batch: BatchId) -> BatchView {
    let reply = house.line(CORPORATION).get(&format!("/v1/question-batches/{batch}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// Sends and commits these questions, so many a chunk.
pub fn send(house: &House, questions: &[Value], each: usize) -> BatchId {
    let batch = begin(house, &questions[0], questions.len());
    for (number, part) in questions.chunks(each).enumerate() {
        assert_eq!(put(house, batch, number, part).status, 200);
    }
    let reply = commit(house, batch, questions.len().div_ceil(each));
    assert_eq!(reply.status, 200, "{}", reply.text());
    batch
}

pub fn wait(house: &House, batch: BatchId) -> BatchView {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let view = view(house, batch);
        if view.state != "answering" {
            return view;
        }
        assert!(Instant::now() < until, "{view:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn results(house: &House, batch: BatchId) -> Vec<ResultLine> {
    let mut line = house.line(CORPORATION);
    let mut all: Vec<ResultLine> = Vec::new();
    loop {
        let reply = line.get(&format!("/v1/question-batches/{batch}/results?from={}", all.len()));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-ndjson")));
        let text = reply.text();
        let page: Vec<ResultLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let long: BTreeSet<usize> =
            text.lines().zip(&page).filter(|(_, one)| one.answered.is_some()).map(|(line, _)| line.len()).collect();
        assert!(long.len() <= 1, "every answer is equally long: {long:?}");
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

fn asked(house: &House) -> Vec<Entry> {
    house.log().into_iter().filter(|entry| entry.action == Action::Ask).collect()
}

fn questions(house: &House, count: usize) -> Vec<Value> {
    let encoder = house.encoder(EPOCH);
    let each: Vec<Value> = contracts().iter().take(count).map(|contract| value(&encoder, contract)).collect();
    each.into_iter().cycle().take(count).collect()
}

#[test]
fn a_batch_is_answered_as_single_questions_are_with_an_entry_and_a_receipt_each() {
    let house = House::open();
    let ours = questions(&house, 20);
    let batch = send(&house, &ours, 7);
    let done = wait(&house, batch);
    assert_eq!((done.state.as_str(), done.answered, done.refused, done.chunks.len()), ("done", 20, 0, 0));
    assert!(done.expires_at.unwrap() > done.ended_at.unwrap());
    let results = results(&house, batch);
    assert_eq!(results.iter().map(|one| one.number).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    let answers: Vec<Answered> = results.into_iter().map(|one| one.answered.unwrap()).collect();
    let mut line = house.line(CORPORATION);
    for (question, answered) in ours.iter().zip(&answers) {
        assert_eq!(line.ask(question).answered().answer, answered.answer);
    }
    assert_eq!(house.verify(&answers).unwrap().receipts, 20);
    let log = house.log();
    let read: Vec<_> = log.iter().filter(|entry| entry.action == Action::ResultsRead).collect();
    assert_eq!(read.len(), 1, "a page that tells something is recorded, the empty one behind it is not");
    let seen = read[0].entries.unwrap();
    let indexes = || answers.iter().map(|answered| answered.receipt.index);
    assert_eq!((Some(seen.from), Some(seen.to)), (indexes().min(), indexes().max().map(|last| last + 1)));
    for answered in &answers {
        let entry = &log[usize::try_from(answered.receipt.index).unwrap()];
        assert!(entry.action == Action::Ask && entry.sealed.is_some() && entry.object.is_some());
        assert!(entry.latency.is_none(), "nobody waited");
    }
}

#[test]
fn only_its_party_sees_a_batch() {
    let house = House::open();
    let ours = questions(&house, 2);
    let batch = send(&house, &ours, 2);
    wait(&house, batch);
    let path = format!("/v1/question-batches/{batch}");
    for stem in [OTHER, OFFICER, ADMINISTRATOR] {
        let mut line = house.line(stem);
        line.get(&path).is_problem(404, "unknown_batch");
        line.get(&format!("{path}/results")).is_problem(404, "unknown_batch");
        line.json("POST", &format!("{path}/commit"), &json!({"chunks": 1})).is_problem(404, "unknown_batch");
        line.send("DELETE", &path, &[], b"").unwrap().is_problem(404, "unknown_batch");
        let headers = [("Content-Type", "application/x-ndjson")];
        line.send("PUT", &format!("{path}/chunks/0"), &headers, b"{}").unwrap().is_problem(404, "unknown_batch");
    }
    assert_eq!(view(&house, batch).answered, 2);
    // Who may not ask begins none.
    let refused = house.line(OFFICER).json("POST", "/v1/question-batches", &plan(&ours[0], 1));
    refused.is_problem(403, "refused");
    assert!(house.entry_of(&refused).is_some());
}

#[test]
fn a_batch_that_mixes_is_refused_whole_with_one_entry_wherever_the_odd_one_stands() {
    let house = House::open();
    house.agree("haarlem-2");
    let ours = questions(&house, 9);
    let spoilt: [Spoilt; 5] = [
        (|one| one["header"]["epoch"] = json!("haarlem-2"), "batch_mixed"),
        (|one| one["purpose"] = json!("tenant-screening"), "batch_mixed"),
        (|one| drop(one.as_object_mut().unwrap().remove("purpose")), "batch_mixed"),
        (|one| one["tenants"][0]["codes"]["names"][0] = json!(STANDARD.encode([0x55; 120])), "code_shape"),
        (|one| one["tenants"] = json!([]), "tenant_count"),
    ];
    let places = [0, 4, 8];
    for (at, (spoil, code)) in spoilt.into_iter().enumerate() {
        let place = places[at % 3];
        let mut mixed = ours.clone();
        spoil(&mut mixed[place]);
        let batch = begin(&house, &ours[0], 9);
        let before = asked(&house).len();
        let replies: Vec<Reply> = mixed.chunks(3).enumerate().map(|(n, part)| put(&house, batch, n, part)).collect();
        let bad = &replies[place / 3];
        let detail = bad.is_problem(422, code).detail;
        assert!(detail.contains(&format!("chunk {}, line {}", place / 3, place % 3 + 1)), "{detail}");
        for late in &replies[place / 3 + 1..] {
            late.is_problem(409, "batch_not_open");
        }
        commit(&house, batch, 3).is_problem(409, "batch_not_open");
        assert_eq!(view(&house, batch).state, "refused");
        assert!(results(&house, batch).is_empty());
        let log = asked(&house);
        assert_eq!(log.len(), before + 1, "{code}: one refusal");
        assert_eq!(String::from(log.last().unwrap().result.clone()), format!("refused:{code}"));
    }
}

#[test]
fn what_cannot_be_answered_at_all_is_refused_at_the_beginning_and_stands_in_the_log() {
    let house = House::open();
    let good = questions(&house, 1).remove(0);
    let refuse = |change: fn(&mut Value), status: u16, code: &str, article: Option<&str>| {
        let mut plan = plan(&good, 3);
        change(&mut plan);
        let reply = house.line(CORPORATION).json("POST", "/v1/question-batches", &plan);
        assert_eq!(reply.is_problem(status, code).article.as_deref(), article);
        let word = article.unwrap_or(code);
        assert_eq!(String::from(house.entry_of(&reply).unwrap().result), format!("refused:{word}"));
    };
    refuse(|plan| plan["header"]["epoch"] = json!("haarlem-99"), 404, "unknown_epoch", None);
    refuse(|plan| plan["header"]["keyCheck"] = json!("00".repeat(16)), 422, "other_salt", None);
    refuse(|plan| plan["purpose"] = json!("tenant-screening"), 403, "refused", Some("purpose"));
    refuse(|plan| drop(plan.as_object_mut().unwrap().remove("purpose")), 422, "purpose_missing", None);
    for _ in 0..4 {
        begin(&house, &good, 3);
    }
    refuse(|_| {}, 409, "batches_under_way", None);
}

#[test]
fn an_incomplete_batch_is_not_committed_and_goes_on_after_a_restart() {
    let mut house = House::open();
    let ours = questions(&house, 6);
    let batch = begin(&house, &ours[0], 6);
    put(&house, batch, 1, &ours[3..]);
    commit(&house, batch, 1).is_problem(409, "batch_incomplete");
    commit(&house, batch, 2).is_problem(409, "batch_incomplete");
    let mut torn = ours[..3].to_vec();
    torn[2] = json!({"half": "a question"});
    put(&house, batch, 0, &torn).is_problem(422, "question");
    let path = format!("/v1/question-batches/{batch}/chunks/0");
    let wrong = [("Content-Type", "application/x-ndjson"), ("Content-Digest", "sha-256=:AAAA:")];
    house.line(CORPORATION).send("PUT", &path, &wrong, b"{}").unwrap().is_problem(400, "digest");
    house.restart();
    assert_eq!(view(&house, batch).chunks.iter().map(|chunk| chunk.chunk).collect::<Vec<_>>(), [1]);
    put(&house, batch, 0, &ours[..3]);
    put(&house, batch, 2, &ours[..1]).is_problem(409, "store_load_overfull");
    let words: BTreeSet<String> = asked(&house).into_iter().map(|entry| entry.result.into()).collect();
    assert_eq!(words, ["refused:batch_incomplete".to_owned()].into(), "nothing is asked before the commit");
    assert_eq!(commit(&house, batch, 2).status, 200);
    assert_eq!(wait(&house, batch).answered, 6);
}

/// To count the households of a batch every question is read: what is not whole is not counted.
#[test]
fn a_commit_of_what_is_not_whole_opens_no_chunk() {
    let house = House::open();
    let ours = questions(&house, 6);
    let batch = begin(&house, &ours[0], 6);
    put(&house, batch, 0, &ours[..3]);
    let spoil = "UPDATE chunk SET sealed = x'00'";
    rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap().execute_batch(spoil).unwrap();
    for chunks in [1, 2] {
        commit(&house, batch, chunks).is_problem(409, "batch_incomplete");
    }
    put(&house, batch, 1, &ours[3..]);
    commit(&house, batch, 3).is_problem(409, "batch_incomplete");
    // The control: a whole one is read, and is damaged.
    assert_eq!(commit(&house, batch, 2).status, 503);
    put(&house, batch, 0, &ours[..3]);
    let told: Vec<u16> = std::thread::scope(|scope| {
        let commits: Vec<_> = (0..4).map(|_| scope.spawn(|| commit(&house, batch, 2).status)).collect();
        commits.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(told.iter().filter(|status| **status == 200).count(), 1, "one of several at once: {told:?}");
    assert_eq!(wait(&house, batch).answered, 6);
}

#[test]
fn who_reads_a_page_again_within_the_hour_makes_no_other_entry() {
    let house = House::open();
    let batch = send(&house, &questions(&house, 3), 3);
    wait(&house, batch);
    let read = |from: u32| {
        let path = format!("/v1/question-batches/{batch}/results?from={from}");
        assert_eq!(house.line(CORPORATION).get(&path).status, 200);
        house.log().iter().filter(|entry| entry.action == Action::ResultsRead).count()
    };
    assert_eq!([read(0), read(0), read(1), read(0)], [1, 1, 2, 2], "another page is another reading");
    house.clock.pass(house.clock.now() + time::Duration::HOUR);
    assert_eq!([read(0), read(0)], [3, 3]);
}

#[test]
fn a_budget_that_ends_in_the_middle_refuses_the_rest_each_with_its_problem() {
    let house = House::open();
    small_stock(&house);
    let batch = send(&house, &questions(&house, 20), 20);
    let done = wait(&house, batch);
    assert_eq!((done.answered, done.refused), (7, 13));
    let results = results(&house, batch);
    assert!(results[..7].iter().all(|one| one.answered.is_some()));
    for one in &results[7..] {
        assert_eq!(one.problem.as_ref().unwrap().article.as_deref(), Some("budget"));
    }
    let log = asked(&house);
    assert_eq!(log.iter().filter(|entry| String::from(entry.result.clone()) == "refused:budget").count(), 13);
    assert_eq!(log.len(), 20);
}

#[test]
fn a_batch_is_one_request_for_a_minimum_and_one_household_many_times_is_one() {
    let house = House::lawless();
    amend(&house, "minimum_batch = 1", "minimum_batch = 3");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let ours = questions(&house, 4);
    let batch = send(&house, &ours, 1);
    assert_eq!(wait(&house, batch).answered, 4);
    let same = vec![ours[0].clone(); 3];
    let batch = send(&house, &same, 3);
    assert_eq!(wait(&house, batch).refused, 3);
    let article = results(&house, batch).remove(0).problem.unwrap().article;
    assert_eq!(article.as_deref(), Some("minimum-batch"));
}

#[test]
fn what_is_sent_twice_under_a_key_is_done_once() {
    let mut house = House::open();
    let ours = questions(&house, 2);
    let key = "8e03978e-40d5-43e8-bc93-6894a57f9324";
    let under = |house: &House, method: &str, path: &str, body: &Value| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        house.line(CORPORATION).send(method, path, &headers, body.to_string().as_bytes()).unwrap()
    };
    let begin = |house: &House| under(house, "POST", "/v1/question-batches", &plan(&ours[0], 2));
    let first = begin(&house);
    house.restart();
    let again = begin(&house);
    assert_eq!((again.status, again.header("location")), (202, first.header("location")));
    assert_eq!(again.body, first.body);
    under(&house, "POST", "/v1/question-batches", &plan(&ours[0], 3)).is_problem(422, "idempotency_key_reused");
    let begun: BatchBegun = serde_json::from_slice(&first.body).unwrap();
    put(&house, begun.batch, 0, &ours);
    let key = "committed-once-9324";
    let commit = || {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let path = format!("/v1/question-batches/{}/commit", begun.batch);
        house.line(CORPORATION).send("POST", &path, &headers, br#"{"chunks":1}"#).unwrap()
    };
    assert_eq!((commit().status, wait(&house, begun.batch).answered, commit().status), (200, 2, 200));
    let outcomes: Vec<String> = asked(&house).into_iter().map(|entry| entry.result.into()).collect();
    assert_eq!(outcomes, ["refused:idempotency_key_reused", "answered", "answered"]);
}

#[test]
fn a_batch_whose_name_is_lost_is_in_its_partys_list_and_in_no_other() {
    let mut house = House::open();
    let ours = questions(&house, 2);
    let done = send(&house, &ours, 2);
    wait(&house, done);
    let open = begin(&house, &ours[0], 2);
    assert_eq!(put(&house, open, 0, &ours[..1]).status, 200);
    let listed = |house: &House, stem: &str| -> Vec<BatchView> {
        let reply = house.line(stem).get("/v1/question-batches");
        assert_eq!(reply.status, 200, "{}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    };
    for _ in 0..2 {
        let ours = listed(&house, CORPORATION);
        let told: Vec<_> = ours.iter().map(|one| (one.batch, one.state.as_str(), one.answered)).collect();
        assert_eq!(told, [(open, "open", 0), (done, "done", 2)], "what is not at its end comes first");
        assert!(ours.iter().all(|one| one.chunks.is_empty() && one.expires_at.is_some()));
        house.restart();
    }
    for stem in [OTHER, OFFICER, POPULATION] {
        assert!(listed(&house, stem).is_empty(), "{stem}");
    }
    // With its name it can be ended, and one that expired is listed no more.
    let path = format!("/v1/question-batches/{open}");
    assert_eq!(house.line(CORPORATION).send("DELETE", &path, &[], b"").unwrap().status, 200);
    assert!(listed(&house, CORPORATION).iter().all(|one| one.state != "open"));
}

/// More questions than a moment answers: most are refused by the limit of their household, and logged.
fn many(house: &House) -> Vec<Value> {
    questions(house, 28).into_iter().cycle().take(2000).collect()
}

#[test]
fn a_batch_that_is_cancelled_asks_nothing_more_and_keeps_what_was_answered() {
    let house = House::open();
    let ours = many(&house);
    let batch = send(&house, &ours, 200);
    while view(&house, batch).answered == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let path = format!("/v1/question-batches/{batch}");
    let reply = house.line(CORPORATION).send("DELETE", &path, &[], b"").unwrap();
    let ended: BatchView = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(ended.state, "cancelled");
    let done = ended.answered + ended.refused;
    assert!(done > 0 && done < 2000, "{ended:?}");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(asked(&house).len(), done as usize, "nothing behind the end");
    assert_eq!(results(&house, batch).len(), done as usize);
    assert_eq!(view(&house, batch).state, "cancelled");
}

/// Whoever wants to know about one household alone reads its answer, and then wants no other.
#[test]
fn a_batch_is_not_cancelled_between_its_first_answer_and_the_minimum_that_it_was_sent_for() {
    let house = House::lawless();
    amend(&house, "minimum_batch = 1", "minimum_batch = 20");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let path = |batch: BatchId| format!("/v1/question-batches/{batch}");
    let cancel = |batch| house.line(CORPORATION).send("DELETE", &path(batch), &[], b"").unwrap();
    // One household first, thousands of times; those who hide it come last.
    let all = questions(&house, 28);
    let ours: Vec<Value> = std::iter::repeat_n(all[0].clone(), 3000).chain(all[1..].iter().cloned()).collect();
    let batch = send(&house, &ours, 200);
    while view(&house, batch).answered == 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let early = cancel(batch);
    if view(&house, batch).answered < 20 {
        early.is_problem(409, "batch_below_minimum");
    }
    let done = wait(&house, batch);
    assert_eq!(done.state, "done", "it went on to its end");
    assert!(done.answered >= 20, "{done:?}");
    // Before it is committed nothing was told, and nothing is held.
    let open = begin(&house, &all[0], 2);
    assert_eq!(cancel(open).status, 200);
    assert_eq!(view(&house, open).state, "cancelled");
}

#[test]
fn what_the_budget_does_not_pay_for_is_refused_and_recorded_alike_alone_and_in_a_batch() {
    let house = House::open();
    small_stock(&house);
    let ours = questions(&house, 12);
    let batch = send(&house, &ours, 12);
    let done = wait(&house, batch);
    assert_eq!((done.state.as_str(), done.answered, done.refused), ("done", 7, 5));
    let alone = house.line(CORPORATION).ask(&ours[11]).is_problem(403, "refused");
    let apart = results(&house, batch).into_iter().filter_map(|one| one.problem);
    for problem in apart.chain([alone]) {
        assert_eq!((problem.code.as_str(), problem.article.as_deref()), ("refused", Some("budget")));
    }
    let refused = asked(&house).into_iter().filter(|one| one.result != Outcome::Answered && one.sealed.is_none());
    assert_eq!(refused.filter(|one| one.articles == ["budget"]).count(), 6);
}

#[test]
fn a_kill_in_the_middle_of_a_batch_charges_and_loses_no_question() {
    let mut house = House::outside();
    let batch = send(&house, &many(&house), 200);
    let mut seen = 0;
    for _ in 0..3 {
        let until = Instant::now() + Duration::from_secs(60);
        while view(&house, batch).answered + view(&house, batch).refused < seen + 100 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        seen = view(&house, batch).answered + view(&house, batch).refused;
        house.kill();
        house.start();
    }
    assert!(seen < 2000, "it was cut in the middle");
    let done = wait(&house, batch);
    assert_eq!((done.state.as_str(), done.answered + done.refused), ("done", 2000));
    let results = results(&house, batch);
    assert_eq!(results.iter().map(|one| one.number).collect::<Vec<_>>(), (0..2000).collect::<Vec<_>>());
    assert_eq!(asked(&house).len(), 2000, "an entry a question");
    let answers: Vec<Answered> = results.into_iter().filter_map(|one| one.answered).collect();
    let indexes: BTreeSet<u64> = answers.iter().map(|one| one.receipt.index).collect();
    assert_eq!((indexes.len(), answers.len()), (answers.len(), done.answered as usize));
    house.verify(&answers).unwrap();
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let charged = "SELECT sum(questions) FROM household_questions WHERE object NOT LIKE 'tenant %'";
    let charged: u32 = db.query_row(charged, [], |row| row.get(0)).unwrap();
    assert_eq!(charged, done.answered, "a charge an answer");
}

#[test]
fn a_regulation_that_ends_in_the_middle_of_a_batch_ends_its_answers_at_midnight() {
    let house = House::lawless();
    amend(&house, "valid_until = 2999-01-01", "valid_until = 2026-01-16");
    amend(&house, "household_per_month = 4", "household_per_month = 31");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    house.clock.pass(datetime!(2026-01-15 23:59:59 UTC));
    let batch = send(&house, &many(&house), 200);
    while view(&house, batch).answered == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(results(&house, batch).iter().any(|one| one.answered.is_some()), "until midnight");
    house.clock.pass(datetime!(2026-01-16 0:00 UTC));
    let done = wait(&house, batch);
    assert!(done.state == "done" && done.answered > 0 && done.refused > 0, "{done:?}");
    let (before, behind): (Vec<_>, Vec<_>) =
        asked(&house).into_iter().partition(|entry| entry.time.starts_with("2026-01-15"));
    assert!(!behind.is_empty() && before.iter().any(|entry| entry.result == Outcome::Answered));
    assert!(behind.iter().all(|entry| entry.result != Outcome::Answered), "nobody is answered behind it");
    let refused = results(&house, batch).into_iter().filter_map(|one| one.problem).next_back().unwrap();
    assert_eq!(refused.article.as_deref(), Some("validity"));
    // What was answered before is not told behind it either, as under a key.
    let lines = results(&house, batch);
    assert!(lines.iter().all(|one| one.answered.is_none()), "behind midnight");
    let withheld = lines.iter().filter(|one| one.problem.as_ref().is_some_and(|why| why.code == "regulation_ended"));
    assert_eq!(withheld.count(), done.answered as usize);
    let read: Vec<_> = house.log().into_iter().filter(|entry| entry.action == Action::ResultsRead).collect();
    let result = String::from(read.last().unwrap().result.clone());
    assert_eq!((String::from(read[0].result.clone()), result), ("done".into(), "refused:regulation_ended".into()));
    // Under the version that follows it is.
    amend(&house, "valid_until = 2026-01-16", "valid_until = 2999-01-01");
    amend(&house, "valid_from = 2020-01-01", "valid_from = 2026-01-16");
    house.activate_law().unwrap();
    let told = results(&house, batch).iter().filter(|one| one.answered.is_some()).count();
    assert_eq!(told, done.answered as usize);
}

#[test]
fn a_batch_is_open_and_its_results_are_there_as_long_as_the_configuration_says() {
    let mut house = House::open();
    house.configure(|table| {
        let batches = [("each", 4), ("open_hours", 2), ("results_days", 1)];
        let batches = batches.map(|(key, value)| (key.to_owned(), value.into()));
        table.insert("batches".into(), toml::Table::from_iter(batches).into());
    });
    house.restart();
    let asked = questions(&house, 2);
    let (left, answered) = (begin(&house, &asked[0], 2), send(&house, &asked, 2));
    assert_eq!(put(&house, left, 0, &asked[..1]).status, 200);
    let ended = wait(&house, answered);
    assert_eq!(ended.expires_at, Some(house.clock.now() + time::Duration::DAY));
    house.clock.pass(NOW + time::Duration::minutes(119));
    assert_eq!(put(&house, left, 1, &asked[1..]).status, 200);
    house.clock.pass(NOW + time::Duration::hours(2));
    put(&house, left, 1, &asked[1..]).is_problem(404, "unknown_batch");
    let path = |batch| format!("/v1/question-batches/{batch}/results");
    house.clock.pass(NOW + time::Duration::hours(23));
    assert_eq!(results(&house, answered).len(), 2);
    house.clock.pass(NOW + time::Duration::hours(25));
    for batch in [left, answered] {
        house.line(CORPORATION).get(&path(batch)).is_problem(404, "unknown_batch");
    }
    // What is there no more is deleted too.
    assert_eq!(house.line(OFFICER).json("POST", "/v1/access-log/expire", &Value::Null).status, 200);
    house.restart();
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let rows = |table| db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, u32>(0)).unwrap();
    soon("both are swept", || rows("batch") + rows("result") == 0);
}

#[test]
fn with_its_epoch_a_batch_is_gone() {
    let house = House::open();
    let batch = send(&house, &questions(&house, 3), 3);
    wait(&house, batch);
    results(&house, batch);
    house.fill("haarlem-2");
    for end in ["retire", "destroy"] {
        let path = format!("/v1/epochs/{EPOCH}/{end}");
        let pending = house.line(ADMINISTRATOR).json("POST", &path, &json!({}));
        let pending: Value = serde_json::from_slice(&pending.body).unwrap();
        let proposal = pending["proposal"].as_str().unwrap().parse().unwrap();
        regulation::confirm(&proposal, &house.client(OFFICER)).unwrap();
    }
    house.line(CORPORATION).get(&format!("/v1/question-batches/{batch}")).is_problem(410, "answers_destroyed");
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let rows: u32 = db.query_row("SELECT count(*) FROM result", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
    // What is said of it needs neither what was asked nor who asked.
    let left = "SELECT plan || asker FROM batch";
    assert_eq!(db.query_row(left, [], |row| row.get::<_, String>(0)).unwrap(), "");
}

#[test]
fn a_batch_that_cannot_be_gone_on_with_holds_up_no_other() {
    let mut house = House::outside();
    let lost = many(&house);
    house.fill("haarlem-2");
    let stuck = send(&house, &lost, 200);
    house.kill();
    std::fs::remove_file(house.keys().join(format!("epoch-keys/epoch-{EPOCH}.key"))).unwrap();
    house.start();
    let encoder = house.encoder("haarlem-2");
    let ours: Vec<Value> = contracts().iter().take(4).map(|contract| value(&encoder, contract)).collect();
    let batch = send(&house, &ours, 4);
    assert_eq!(wait(&house, batch).answered, 4);
    assert_eq!(view(&house, stuck).state, "answering");
}
