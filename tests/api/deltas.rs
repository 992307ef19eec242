//! A load that changes the one that answers: what is added, replaced and removed counts at once, and nothing else moves.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use voorrang::answer::wire::{Changes, LoadBegun, LoadReport, SourceReport};
use voorrang::cli::load::{self, Kind, LoadArgs, Loaded};

use super::probing::counted;
use super::support::*;

/// A service that answers from the demonstration's residents alone.
fn open() -> House {
    let house = House::open();
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house
}

/// The demonstration's residents without those of the family's address, and how many those are.
fn without_the_family(house: &House) -> (PathBuf, usize) {
    let path = house.file("brp-without.csv");
    let mut left_out = 0;
    rows(&demo("brp.csv"), &path, |line| {
        let fields: Vec<&str> = line.split(',').collect();
        let is_there = (fields[14], fields[17]) == ("58", "1011AG");
        left_out += usize::from(is_there);
        !is_there
    });
    assert!(left_out > 1, "a family");
    (path, left_out)
}

fn delta(house: &House, input: &std::path::Path) -> Loaded {
    load::load(&LoadArgs { delta: true, ..house.load_args(POPULATION, Kind::Population, input) }).unwrap()
}

fn answers(house: &House, contracts: &[&str]) -> Vec<String> {
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let ask = |contract: &&str| {
        house.forget_counts();
        line.ask(&value(&encoder, contract)).answered().answer
    };
    contracts.iter().map(ask).collect()
}

fn people(house: &House) -> u64 {
    let reports: Vec<SourceReport> = house.client(OFFICER).get(&format!("epochs/{EPOCH}/reports")).unwrap();
    reports.into_iter().find(|one| one.source.as_str() == "population").unwrap().records
}

#[test]
fn who_is_added_and_removed_counts_at_once_and_after_a_restart() {
    let mut house = open();
    let all = people(&house);
    let (without, family) = without_the_family(&house);
    assert_eq!(answers(&house, &[FAMILY, SINGLE]), ["priority", "no_priority"]);
    let gone = delta(&house, &without);
    assert_eq!(gone.changes, Some(Changes { added: 0, replaced: 0, removed: family }));
    assert!(gone.bytes < 200 * family, "a reference each: {} bytes", gone.bytes);
    assert_eq!(
        (people(&house), answers(&house, &[FAMILY, SINGLE])),
        (all - family as u64, vec!["undetermined".into(), "no_priority".into()])
    );
    house.restart();
    assert_eq!(answers(&house, &[FAMILY, SINGLE]), ["undetermined", "no_priority"]);
    let back = delta(&house, &demo("brp.csv"));
    assert_eq!(back.changes, Some(Changes { added: family, replaced: 0, removed: 0 }));
    assert_eq!((people(&house), answers(&house, &[FAMILY])), (all, vec!["priority".into()]));
    // Nothing changed but the day.
    let same = delta(&house, &demo("brp.csv"));
    assert_eq!((same.changes, same.bytes), (Some(Changes::default()), 0));
    // A whole load takes the place of all of them.
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.restart();
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM load WHERE source = 'population'"), 1);
    assert_eq!(count("SELECT count(*) FROM chunk WHERE upload NOT IN (SELECT id FROM load)"), 0);
    assert_eq!(people(&house), all);
}

#[test]
fn who_moved_is_replaced_and_answered_as_by_a_whole_load() {
    let house = open();
    let moved = house.file("brp-moved.csv");
    let text = fs::read_to_string(demo("brp.csv")).unwrap();
    let mut changed = 0;
    let lines: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(at, line)| {
            let mut fields: Vec<&str> = line.split(',').collect();
            if at > 0 && at % 50 == 0 {
                fields[6] = "Verhuizer";
                changed += 1;
            }
            fields.join(",")
        })
        .collect();
    fs::write(&moved, lines.join("\n") + "\n").unwrap();
    let changes = delta(&house, &moved).changes.unwrap();
    assert!((1..=changed).contains(&changes.replaced) && (changes.added, changes.removed) == (0, 0), "{changes:?}");
    let all = contracts();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let by_delta = answers(&house, &all);
    house.load(POPULATION, Kind::Population, &moved).unwrap();
    assert_eq!(answers(&house, &all), by_delta);
}

/// Whoever asks again behind each load, to see what changed, learns the state of that moment at the price of a question.
#[test]
fn a_repeat_behind_a_load_tells_the_present_state_alone_and_counts_whatever_kind_of_load_it_was() {
    let house = open();
    let (without, _) = without_the_family(&house);
    let question = value(&house.encoder(EPOCH), FAMILY);
    let whole = |input: &std::path::Path| drop(house.load(POPULATION, Kind::Population, input).unwrap());
    let changes = |input: &std::path::Path| drop(delta(&house, input));
    let spent = || counted(&house);
    let key = [("Content-Type", "application/json"), ("Idempotency-Key", "before-any-of-the-loads")];
    let under_key = || {
        let body = question.to_string();
        house.line(CORPORATION).send("POST", "/v1/priority-questions", &key, body.as_bytes()).unwrap().answered()
    };
    assert_eq!((under_key().answer.as_str(), spent()), ("priority", (1, 0)));
    for (by_changes, input, want, cost) in [
        (true, &without, "undetermined", (2, 1)),
        (false, &demo("brp.csv"), "priority", (3, 1)),
        (false, &without, "undetermined", (4, 2)),
    ] {
        if by_changes {
            changes(input)
        } else {
            whole(input)
        }
        let reply = house.line(CORPORATION).ask(&question);
        let told: Value = serde_json::from_slice(&reply.body).unwrap();
        let members: Vec<_> = told.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            (told["answer"].as_str(), members),
            (Some(want), ["answer", "epoch", "receipt"].map(Into::into).into())
        );
        assert_eq!((reply.body.len(), spent()), (voorrang::answer::wire::ANSWER_BYTES, cost), "{want}");
    }
    // Under its key the first answer is the first answer: it tells nothing that was not told then, and costs nothing.
    assert_eq!((under_key().answer.as_str(), spent()), ("priority", (4, 2)));
    // No load begins the count anew.
    for load in [&changes as &dyn Fn(&std::path::Path), &whole] {
        load(&demo("brp.csv"));
        let refused = house.line(CORPORATION).ask(&question).is_problem(403, "refused");
        assert_eq!(refused.article.as_deref(), Some("household-limit"));
    }
    assert_eq!(spent(), (4, 2));
}

fn begin(house: &House, base: &Value, records: usize) -> Reply {
    let plan = json!({"header": house.encoder(EPOCH).header(), "source": "population", "records": records,
        "referenceDate": house.reference().to_string(), "base": base, "ages": ages()});
    house.line(POPULATION).json("POST", "/v1/loads", &plan)
}

/// The name of the load that answers, as its custodian remembers it.
fn present(house: &House) -> Value {
    let bytes = fs::read(house.keys().join(format!("{POPULATION}.memory/loaded-population.state"))).unwrap();
    let head = bytes.split(|&byte| byte == b'\n').next().unwrap();
    serde_json::from_slice::<Value>(head).unwrap()["load"].clone()
}

#[test]
fn changes_to_another_load_than_the_one_that_answers_are_refused_and_the_client_sends_everything() {
    let house = open();
    let (without, family) = without_the_family(&house);
    let old = present(&house);
    let first = begin(&house, &old, 0);
    let first: LoadBegun = serde_json::from_slice(&first.body).unwrap();
    // Another machine of the custodian loads in between.
    let memory = house.keys().join(format!("{POPULATION}.memory/loaded-population.state"));
    let mine = fs::read(&memory).unwrap();
    house.load(POPULATION, Kind::Population, &without).unwrap();
    begin(&house, &old, 1).is_problem(409, "load_base");
    begin(&house, &json!("00".repeat(16)), 1).is_problem(409, "load_base");
    // What was begun before is given up with it.
    let commit = format!("/v1/loads/{}/commit", first.load);
    assert!([404, 409].contains(&house.line(POPULATION).json("POST", &commit, &json!({"chunks": 0})).status));
    fs::write(&memory, mine).unwrap();
    let whole = delta(&house, &demo("brp.csv"));
    assert_eq!(whole.changes, None, "the whole file was sent");
    assert!(whole.records > family);
    assert_eq!(answers(&house, &[FAMILY]), ["priority"]);
    // And what it did can be changed again.
    assert_eq!(delta(&house, &without).changes.unwrap().removed, family);
}

#[test]
fn changes_that_do_not_fit_are_refused_whole_and_repeat_nothing() {
    let house = open();
    let all = people(&house);
    let header = [("Content-Type", "application/x-ndjson")];
    let sent = |base: &Value, lines: &str| {
        let begun: LoadBegun = serde_json::from_slice(&begin(&house, base, lines.lines().count()).body).unwrap();
        let path = format!("/v1/loads/{}", begun.load);
        let mut line = house.line(POPULATION);
        let put = line.send("PUT", &format!("{path}/chunks/0"), &header, lines.as_bytes()).unwrap();
        if put.status != 200 {
            return put;
        }
        line.json("POST", &format!("{path}/commit"), &json!({"chunks": 1}))
    };
    let id = "CANARYCANARYCANARYCANQ==";
    let gone = format!("{{\"id\":\"{id}\",\"removed\":true}}\n");
    let base = present(&house);
    let not_there = sent(&base, &gone);
    not_there.is_problem(422, "record_not_there");
    let with_more = sent(&base, &format!("{{\"id\":\"{id}\",\"removed\":true,\"groups\":[\"minor\"]}}\n"));
    assert!(with_more.is_problem(422, "record").detail.contains("chunk 0, line 1"));
    let twice = sent(&base, &gone.repeat(2));
    twice.is_problem(422, "record");
    let in_a_whole_one = sent(&Value::Null, &gone);
    in_a_whole_one.is_problem(422, "record");
    for reply in [not_there, with_more, twice, in_a_whole_one] {
        assert!(!reply.text().contains("CANARY"), "{}", reply.text());
    }
    begin(&house, &Value::Null, 0).is_problem(422, "load_records");
    assert_eq!((people(&house), answers(&house, &[FAMILY])), (all, vec!["priority".into()]));
    // A child of nobody, and what the service says of it.
    let child = json!({"id": id, "household": "AAAAAAAAAAAAAAAAAAAAAA==", "groups": ["minor"]});
    let report: LoadReport = serde_json::from_slice(&sent(&base, &format!("{child}\n")).body).unwrap();
    assert_eq!((report.records as u64, report.changes.unwrap().added), (all + 1, 1));
}
