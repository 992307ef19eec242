//! A load is whole or not there at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use voorrang::answer::wire::{LoadView, RecordLine, Source};
use voorrang::audit::{Action, Entry};
use voorrang::cli::audit::VerifyArgs;
use voorrang::cli::load::{self, Kind};
use voorrang::encode::{Ages, Encoder, read};
use voorrang::epoch::share::Salt;
use voorrang::profile::Profile;

use super::regulation::amend;
use super::support::*;

/// A load that was begun, chunk by chunk in the hands of the test.
pub struct ByHand {
    id: String,
}

impl ByHand {
    pub fn begin(house: &House, stem: &str, encoder: &Encoder, source: Source, records: usize) -> Self {
        let reply = house.line(stem).json("POST", "/v1/loads", &plan(house, encoder, source, records));
        assert_eq!(reply.status, 201, "{}", reply.text());
        let place = reply.header("location").unwrap();
        assert!(reply.text().contains(place.strip_prefix("/v1/loads/").unwrap()), "{place}");
        let begun: Value = serde_json::from_slice(&reply.body).unwrap();
        Self { id: begun["load"].as_str().unwrap().to_owned() }
    }

    pub fn put(&self, house: &House, stem: &str, chunk: usize, lines: &[String]) -> Reply {
        let path = format!("/v1/loads/{}/chunks/{chunk}", self.id);
        let body = lines.join("\n");
        house.line(stem).send("PUT", &path, &[("Content-Type", "application/x-ndjson")], body.as_bytes()).unwrap()
    }

    pub fn commit(&self, house: &House, stem: &str, chunks: usize) -> Reply {
        house.line(stem).json("POST", &self.commit_path(), &json!({ "chunks": chunks, "acceptShrink": true }))
    }

    pub fn commit_path(&self) -> String {
        format!("/v1/loads/{}/commit", self.id)
    }
}

fn plan(house: &House, encoder: &Encoder, source: Source, records: usize) -> Value {
    let day = house.reference().to_string();
    let mut plan =
        json!({"header": encoder.header(), "source": source.as_str(), "records": records, "referenceDate": day});
    if source == Source::Population {
        plan["ages"] = ages();
    }
    plan
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The demonstration's residents as lines of a load.
pub fn residents(house: &House, encoder: &Encoder) -> Vec<String> {
    let ages = Ages { minor_below: 18, senior_from: 65 };
    let people = read::residents(&house.town()).unwrap();
    let record = |person| RecordLine::new(encoder.resident(person, house.reference(), &ages), &Profile::built_in());
    people.iter().map(|person| serde_json::to_string(&record(person)).unwrap()).collect()
}

fn loaded(house: &House, epoch: &str) -> Value {
    let reply = house.line(ADMINISTRATOR).get(&format!("/v1/epochs/{epoch}"));
    serde_json::from_slice::<Value>(&reply.body).unwrap()["loaded"].clone()
}

fn loads_in_log(house: &House) -> usize {
    house
        .log()
        .iter()
        .filter(|entry| entry.action == Action::Load && String::from(entry.result.clone()) == "done")
        .count()
}

#[test]
fn half_a_load_is_not_answered() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let before = loads_in_log(&house);
    // Nobody of the next register is a minor any more.
    let lines: Vec<String> = residents(&house, &encoder)
        .iter()
        .map(|line| line.replace(r#""groups":["minor"]"#, r#""groups":[]"#))
        .collect();
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
    let half = lines.len() / 2;
    assert_eq!(load.put(&house, POPULATION, 0, &lines[..half]).status, 200);
    let question = value(&encoder, FAMILY);
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority", "the old one answers");
    let reply = load.commit(&house, POPULATION, 1);
    reply.is_problem(409, "store_load_incomplete");
    assert!(house.entry_of(&reply).is_some(), "a refused commit is in the log");
    load.commit(&house, POPULATION, 2).is_problem(409, "load_incomplete");
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority", "and goes on");
    assert_eq!(load.put(&house, POPULATION, 2, &lines[half..]).status, 200);
    load.commit(&house, POPULATION, 2).is_problem(409, "load_incomplete");
    assert_eq!(loads_in_log(&house), before);
    // A stop in between changes nothing: nobody is answered from half a load, and another takes its place.
    house.restart();
    load.commit(&house, POPULATION, 3).is_problem(409, "load_incomplete");
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority");
    let whole = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
    whole.put(&house, POPULATION, 0, &lines[..half]);
    whole.put(&house, POPULATION, 1, &lines[half..]);
    assert_eq!(whole.commit(&house, POPULATION, 2).status, 200);
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "no_priority", "the next one answers");
    whole.commit(&house, POPULATION, 2).problem();
    assert_eq!(loads_in_log(&house), before + 1);
}

#[test]
fn a_load_that_is_refused_again_and_again_is_read_five_times() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let lines = residents(&house, &encoder);
    let few = &lines[..lines.len() / 10];
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, few.len());
    assert_eq!(load.put(&house, POPULATION, 0, few).status, 200);
    let commit = |house: &House| house.line(POPULATION).json("POST", &load.commit_path(), &json!({"chunks": 1}));
    for _ in 0..5 {
        commit(&house).is_problem(409, "source_changed");
    }
    let spoil = format!("UPDATE chunk SET sealed = x'00' WHERE upload = '{}'", load.id);
    rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap().execute_batch(&spoil).unwrap();
    house.restart();
    commit(&house).is_problem(409, "load_spent");
    let another = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
    another.put(&house, POPULATION, 0, &lines);
    assert_eq!(another.commit(&house, POPULATION, 1).status, 200);
}

#[test]
fn a_commit_of_half_a_load_opens_no_chunk() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let lines = residents(&house, &encoder);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
    load.put(&house, POPULATION, 0, &lines[1..]);
    let spoil = format!("UPDATE chunk SET sealed = x'00' WHERE upload = '{}'", load.id);
    rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap().execute_batch(&spoil).unwrap();
    load.commit(&house, POPULATION, 1).is_problem(409, "store_load_incomplete");
    assert_eq!(load.put(&house, POPULATION, 2, &lines[..1]).status, 200);
    load.commit(&house, POPULATION, 2).is_problem(409, "load_incomplete");
    assert_eq!(load.put(&house, POPULATION, 1, &lines[..0]).status, 422);
}

#[test]
fn a_bad_line_is_named_by_chunk_and_line_and_nothing_is_loaded() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let lines = residents(&house, &encoder);
    let before = loads_in_log(&house);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
    assert_eq!(load.put(&house, POPULATION, 0, &lines[..400]).status, 200);
    let good: Value = serde_json::from_str(&lines[450]).unwrap();
    let mut spoilt = vec!["CANARY".to_owned(), format!("{}CANARY", lines[450]), "null".into(), "[]".into()];
    let mut change = |spoil: &dyn Fn(&mut Value)| {
        let mut bad = good.clone();
        spoil(&mut bad);
        spoilt.push(bad.to_string());
    };
    change(&|line| line["name"] = json!("CANARY"));
    change(&|line| line["groups"] = json!(["CANARY"]));
    change(&|line| line["groups"] = json!(["oggz"]));
    change(&|line| line["id"] = json!("CANARY"));
    change(&|line| line["address"] = json!("CANARY"));
    change(&|line| drop(line.as_object_mut().unwrap().remove("household")));
    change(&|line| line["codes"] = json!({"names": [], "home": []}));
    change(&|line| line["codes"]["names"][0] = json!("AAAA"));
    change(&|line| line["codes"]["CANARY"] = json!([]));
    for bad in &spoilt {
        let mut chunk = lines[400..500].to_vec();
        chunk[50].clone_from(bad);
        let reply = load.put(&house, POPULATION, 1, &chunk);
        let problem = reply.is_problem(422, "record");
        assert!(problem.detail.starts_with("chunk 1, line 51: "), "{}", problem.detail);
        assert!(problem.detail.ends_with("nothing was loaded"), "{}", problem.detail);
        assert!(!reply.text().contains("CANARY"), "{}", reply.text());
    }
    // The same record twice, in two chunks: only the whole load shows it.
    let mut rest = lines[400..].to_vec();
    rest[10].clone_from(&lines[3]);
    assert_eq!(load.put(&house, POPULATION, 1, &rest).status, 200);
    let reply = load.commit(&house, POPULATION, 2);
    let problem = reply.is_problem(422, "record");
    assert!(problem.detail.starts_with("chunk 1, line 11: "), "{}", problem.detail);
    assert_eq!(String::from(house.entry_of(&reply).unwrap().result), "refused:record");
    assert_eq!(loads_in_log(&house), before);
    // The good chunk in its place makes it a load.
    assert_eq!(load.put(&house, POPULATION, 1, &lines[400..]).status, 200);
    assert_eq!(load.commit(&house, POPULATION, 2).status, 200);
}

#[test]
fn a_load_takes_no_more_than_it_announced() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let lines = residents(&house, &encoder);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, 10);
    assert_eq!(load.put(&house, POPULATION, 0, &lines[..6]).status, 200);
    load.put(&house, POPULATION, 1, &lines[6..11]).is_problem(409, "store_load_overfull");
    load.put(&house, POPULATION, 1, &[]).is_problem(422, "record");
    let long = format!("{}{}", lines[6], " ".repeat(70_000));
    assert!(load.put(&house, POPULATION, 1, &[long]).is_problem(422, "record").detail.contains("65536 bytes"));
    assert_eq!(load.put(&house, POPULATION, 1, &lines[6..10]).status, 200);
    // Another load of the same source takes its place.
    ByHand::begin(&house, POPULATION, &encoder, Source::Population, 10);
    load.commit(&house, POPULATION, 2).problem();
    let mut large = plan(&house, &encoder, Source::Population, 1);
    large["records"] = json!(u32::MAX);
    house.line(POPULATION).json("POST", "/v1/loads", &large).is_problem(400, "json");
}

#[test]
fn no_chunk_is_read_of_whoever_may_not_load() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, 10);
    let path = format!("/v1/loads/{}/chunks/0", load.id);
    for stem in [CORPORATION, CARE, ADMINISTRATOR] {
        let mut line = house.line(stem);
        // Announced and never sent: whoever waits for it would not answer.
        line.head("PUT", &path, &[("Content-Type", "application/x-ndjson")], 4 << 20).unwrap();
        line.reply("PUT").unwrap().is_problem(404, "unknown_load");
    }
    let mut line = house.line(POPULATION);
    line.head("PUT", &path, &[("Content-Type", "application/x-ndjson")], (4 << 20) + 1).unwrap();
    line.reply("PUT").unwrap().is_problem(413, "too_large");
}

#[test]
fn other_ages_stop_a_custodian_that_did_not_sign_them_and_another_title_does_not() {
    let house = House::open();
    let memory = house.keys().join(format!("{POPULATION}.memory/regulation-haarlem.json"));
    let known = fs::read_to_string(&memory).unwrap();
    let other = known.replace("\"minorBelow\":18", "\"minorBelow\":16");
    let party = house.party(POPULATION);
    let config = fs::read_to_string(&party).unwrap();
    let own_key = format!("note_key = \"{POPULATION}.note\"\n");
    assert!(config.contains(&own_key));
    // Nobody can say what was signed where there is no key, and what another party signed is no word of this one.
    for key in [String::new(), own_key.replace(POPULATION, CARE)] {
        fs::write(&memory, &other).unwrap();
        fs::write(&party, config.replace(&own_key, &key)).unwrap();
        let error = house.load(POPULATION, Kind::Population, &demo("brp.csv")).err().unwrap();
        assert!(format!("{error:#}").contains("regulation-haarlem.json"), "{error:#}");
        assert!(format!("{error:#}").contains("minors below 18, seniors from 65) than"), "{error:#}");
        assert_eq!(fs::read_to_string(&memory).unwrap(), other);
    }
    // This party signed them.
    fs::write(&party, &config).unwrap();
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    assert_eq!(fs::read_to_string(&memory).unwrap(), known);
    // As an earlier program remembered it, of the version before.
    let before = r#"{"id":"haarlem","title":"Before","digest":"0","minorBelow":18,"seniorFrom":65,"minimumBatch":9}"#;
    for text in [known.as_str(), before] {
        fs::write(&memory, text).unwrap();
        house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    }
}

#[test]
fn codes_of_another_salt_or_for_another_source_are_refused_and_logged() {
    let house = House::empty();
    house.agree(EPOCH);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    let own = house.encoder(EPOCH);
    let salt = Salt::random();
    let other = Encoder::new(&Profile::built_in(), salt.expose(), &EPOCH.parse().unwrap());
    let refused = |stem: &str, plan: &Value, status: u16, code: &str| {
        let reply = house.line(stem).json("POST", "/v1/loads", plan);
        let problem = reply.is_problem(status, code);
        let word = problem.article.unwrap_or(problem.code);
        assert_eq!(String::from(house.entry_of(&reply).unwrap().result), format!("refused:{word}"));
    };
    refused(CARE, &plan(&house, &other, Source::Care, 18), 422, "other_salt");
    refused(CARE, &plan(&house, &own, Source::Population, 18), 403, "refused");
    refused(POPULATION, &plan(&house, &own, Source::Care, 18), 403, "refused");
    refused(CORPORATION, &plan(&house, &own, Source::Population, 18), 403, "refused");
    refused(CARE, &plan(&house, &own, Source::Care, 0), 422, "load_records");
    let mut late = plan(&house, &own, Source::Care, 18);
    late["referenceDate"] = json!("2026-01-16");
    refused(CARE, &late, 422, "reference_date");
    let unknown = Encoder::new(&Profile::built_in(), salt.expose(), &"haarlem-9".parse().unwrap());
    refused(CARE, &plan(&house, &unknown, Source::Care, 18), 404, "unknown_epoch");
    // Another's load is nobody else's to go on with.
    let load = ByHand::begin(&house, POPULATION, &own, Source::Population, 1);
    load.put(&house, CARE, 0, &["{}".into()]).is_problem(404, "unknown_load");
    load.commit(&house, CARE, 0).is_problem(404, "unknown_load");
    // The tool says what is wrong before it sends anything.
    let path = house.file("other.salt");
    fs::write(&path, salt.to_file(&EPOCH.parse().unwrap()).as_bytes()).unwrap();
    let mut args = house.load_args(CARE, Kind::Care, &demo("oggz.csv"));
    args.salt_file = Some(path);
    let error = voorrang::cli::load::load(&args).err().unwrap();
    assert!(format!("{error:#}").contains("not the one in the envelope"), "{error:#}");
}

#[test]
fn two_salts_in_parallel_loads_cannot_both_be_the_epochs() {
    let house = House::empty();
    house.agree(EPOCH);
    let own = house.encoder(EPOCH);
    let other = Encoder::new(&Profile::built_in(), Salt::random().expose(), &EPOCH.parse().unwrap());
    // Both are begun while no load has told the epoch's salt.
    let lines = residents(&house, &own);
    let population = ByHand::begin(&house, POPULATION, &own, Source::Population, lines.len());
    let member = &read::care_members(&demo("oggz.csv")).unwrap()[0];
    let member = serde_json::to_string(&RecordLine::new(
        other.care_members(std::slice::from_ref(member)).remove(0),
        &Profile::built_in(),
    ))
    .unwrap();
    let care = ByHand::begin(&house, CARE, &other, Source::Care, 1);
    population.put(&house, POPULATION, 0, &lines);
    care.put(&house, CARE, 0, &[member]);
    assert_eq!(population.commit(&house, POPULATION, 1).status, 200);
    let reply = care.commit(&house, CARE, 1);
    reply.is_problem(422, "other_salt");
    assert_eq!(String::from(house.entry_of(&reply).unwrap().result), "refused:other_salt");
    assert_eq!(loaded(&house, EPOCH), json!(["population"]));
}

#[test]
fn loads_of_both_sources_at_once_both_count() {
    for round in 0..4 {
        let house = House::empty();
        house.agree(EPOCH);
        let encoder = house.encoder(EPOCH);
        let lines = residents(&house, &encoder);
        let members = read::care_members(&demo("oggz.csv")).unwrap();
        let member = |member| {
            RecordLine::new(encoder.care_members(std::slice::from_ref(member)).remove(0), &Profile::built_in())
        };
        let members: Vec<_> = members.iter().map(|m| serde_json::to_string(&member(m)).unwrap()).collect();
        let population = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
        let care = ByHand::begin(&house, CARE, &encoder, Source::Care, members.len());
        population.put(&house, POPULATION, 0, &lines);
        care.put(&house, CARE, 0, &members);
        std::thread::scope(|scope| {
            let both = [
                scope.spawn(|| population.commit(&house, POPULATION, 1).status),
                scope.spawn(|| care.commit(&house, CARE, 1).status),
            ];
            assert_eq!(both.map(|thread| thread.join().unwrap()), [200, 200]);
        });
        assert_eq!(loaded(&house, EPOCH), json!(["population", "care"]), "round {round}");
        house.activate(EPOCH).unwrap();
    }
}

#[test]
fn a_commit_whose_caller_hangs_up_is_whole_or_not_there() {
    for wait_ms in [15, 60] {
        let mut house = House::empty();
        house.agree(EPOCH);
        let encoder = house.encoder(EPOCH);
        let lines = residents(&house, &encoder);
        let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
        load.put(&house, POPULATION, 0, &lines);
        let mut line = house.line(POPULATION);
        line.head("GET", "/v1/ping", &[], 0).unwrap();
        line.head("POST", &load.commit_path(), &[("Content-Type", "application/json")], 12).unwrap();
        line.write(br#"{"chunks":1}"#).unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        // The ping's answer was never read: closing resets the connection.
        drop(line);
        std::thread::sleep(Duration::from_secs(2));
        let seen = loaded(&house, EPOCH);
        house.restart();
        assert_eq!(seen, loaded(&house, EPOCH), "what is said is what is stored, after {wait_ms} ms");
    }
}

#[test]
fn a_question_during_loads_sees_one_register_or_the_next() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let with = residents(&house, &encoder);
    let without: Vec<String> =
        with.iter().map(|line| line.replace(r#""groups":["minor"]"#, r#""groups":[]"#)).collect();
    assert_ne!(with, without);
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut line = house.line(CORPORATION);
            let mut seen = BTreeSet::new();
            let question = value(&encoder, FAMILY);
            while !done.load(Ordering::SeqCst) {
                let reply = line.ask(&question);
                if reply.status == 403 {
                    house.forget_counts();
                    continue;
                }
                seen.insert(reply.answered().answer);
            }
            seen
        });
        for round in 0..6 {
            let lines = if round % 2 == 0 { &without } else { &with };
            let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
            for (number, chunk) in lines.chunks(300).enumerate() {
                assert_eq!(load.put(&house, POPULATION, number, chunk).status, 200);
            }
            assert_eq!(load.commit(&house, POPULATION, lines.len().div_ceil(300)).status, 200);
        }
        done.store(true, Ordering::SeqCst);
        asker.join().unwrap()
    });
    assert_eq!(seen, ["no_priority", "priority"].map(String::from).into(), "half a register would be undetermined");
}

#[test]
fn a_kill_in_the_middle_of_a_load_leaves_the_old_register() {
    let mut house = House::outside();
    let encoder = house.encoder(EPOCH);
    let ask = |house: &House| {
        let mut line = house.line(CORPORATION);
        [FAMILY, SINGLE].map(|contract| line.ask(&value(&encoder, contract)).answered().answer)
    };
    let before = ask(&house);
    let lines = residents(&house, &encoder);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
    assert_eq!(load.put(&house, POPULATION, 0, &lines[..400]).status, 200);
    // Half a chunk is on its way.
    let mut line = house.line(POPULATION);
    let body = lines[400..].join("\n");
    let path = format!("/v1/loads/{}/chunks/1", load.id);
    line.head("PUT", &path, &[("Content-Type", "application/x-ndjson")], body.len()).unwrap();
    line.write(&body.as_bytes()[..body.len() / 2]).unwrap();
    house.kill();
    house.start();
    assert_eq!(ask(&house), before);
    // The whole chunk is there, the half one is not, and the custodian goes on.
    let view: LoadView = house.client(POPULATION).get(&format!("loads/{}", load.id)).unwrap();
    assert_eq!(view.chunks.iter().map(|chunk| (chunk.chunk, chunk.records)).collect::<Vec<_>>(), [(0, 400)]);
    assert_eq!(load.put(&house, POPULATION, 1, &lines[400..]).status, 200);
    assert_eq!(load.commit(&house, POPULATION, 2).status, 200);
    house.line(POPULATION).get(&format!("/v1/loads/{}", load.id)).is_problem(404, "unknown_load");
    assert_eq!(ask(&house), before);
    house.verify(&[]).unwrap();
}

#[test]
fn a_kill_during_a_commit_leaves_one_register_or_the_other() {
    for wait_ms in [0, 10, 25, 60, 150] {
        let mut house = House::outside();
        let encoder = house.encoder(EPOCH);
        // The next register does not know the family.
        let family = read::residents(&house.town()).unwrap();
        let family = family.iter().find(|person| person.household == "H0000090").unwrap();
        let household = serde_json::to_value(encoder.household(&family.household)).unwrap();
        let mut lines = residents(&house, &encoder);
        lines.retain(|line| serde_json::from_str::<Value>(line).unwrap()["household"] != household);
        let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
        assert_eq!(load.put(&house, POPULATION, 0, &lines).status, 200);
        let before = loads_in_log(&house);
        let mut line = house.line(POPULATION);
        let body = br#"{"chunks":1}"#;
        line.head("POST", &load.commit_path(), &[("Content-Type", "application/json")], body.len()).unwrap();
        line.write(body).unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        house.kill();
        let told = line.reply("POST").is_ok_and(|reply| reply.status == 200);
        house.start();
        let answer = house.line(CORPORATION).ask(&value(&encoder, FAMILY)).answered().answer;
        let logged = loads_in_log(&house) > before;
        assert_eq!(answer == "undetermined", logged, "{wait_ms} ms: register and log go together");
        assert!(!told || logged, "what was acknowledged is there");
        house.verify(&[]).unwrap();
    }
}

#[test]
fn a_chunk_that_is_not_the_one_of_its_digest_is_refused() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let lines = residents(&house, &encoder);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, lines.len());
    let (path, body) = (format!("/v1/loads/{}/chunks/0", load.id), lines[..3].join("\n"));
    let digest = base64(ring::digest::digest(&ring::digest::SHA256, body.as_bytes()).as_ref());
    let put = |digest: &str| {
        let headers = [("Content-Type", "application/x-ndjson"), ("Content-Digest", digest)];
        house.line(POPULATION).send("PUT", &path, &headers, body.as_bytes()).unwrap()
    };
    put(&format!("sha-256=:{}:", base64(&[7; 32]))).is_problem(400, "digest");
    put("sha-256=:CANARY:").is_problem(400, "digest");
    let longer = base64(ring::digest::digest(&ring::digest::SHA512, body.as_bytes()).as_ref());
    put(&format!("sha-512=:{}:", base64(&[7; 64]))).is_problem(400, "digest");
    put(&format!("sha-256=:{digest}:, sha-512=:{}:", base64(&[7; 64]))).is_problem(400, "digest");
    put("md5=:CANARY:").is_problem(400, "digest");
    assert_eq!(put(&format!("sha-512=:{longer}:, sha-256=:{digest}:")).status, 200);
    let kept: Value = serde_json::from_slice(&put(&format!("sha-256=:{digest}:")).body).unwrap();
    assert_eq!(kept, json!({ "chunk": 0, "records": 3, "digest": digest }));
}

#[test]
fn the_receipt_of_a_load_is_kept_and_its_entry_is_held_against_it() {
    let house = House::open();
    let place = |stem: &str| house.keys().join(format!("{stem}.memory/loaded.receipts.csv"));
    let verify = |paths: Vec<PathBuf>| {
        let mut args = VerifyArgs::new(house.party(OFFICER), paths);
        args.log.clock = house.clock.clone();
        voorrang::cli::audit::verify(&args)
    };
    let files = [POPULATION, CARE, CORPORATION].map(place);
    for file in &files {
        let rows = csv::Reader::from_path(file).unwrap().into_records().map(Result::unwrap).collect::<Vec<_>>();
        assert!(rows.len() == 1 && !rows[0][7].is_empty(), "one load, with its proof");
    }
    assert_eq!(verify(files.to_vec()).unwrap().receipts, 3);
    // The entry of another act.
    let text = fs::read_to_string(&files[0]).unwrap().replace(",loaded,", ",priority,");
    fs::write(&files[0], text).unwrap();
    assert!(verify(vec![files[0].clone()]).is_err());
}

/// A load as a run leaves it that is cut before its first chunk: its name is remembered. With its lines.
fn left_behind(house: &House) -> (ByHand, Vec<String>, PathBuf) {
    let memory = house.keys().join(format!("{POPULATION}.memory/load-population.json"));
    let encoder = house.encoder(EPOCH);
    let lines = residents(house, &encoder);
    let load = ByHand::begin(house, POPULATION, &encoder, Source::Population, lines.len());
    let input = hex::encode(ring::digest::digest(&ring::digest::SHA256, &fs::read(house.town()).unwrap()));
    let left = json!({"load": load.id, "plan": plan(house, &encoder, Source::Population, lines.len()), "input": input,
                      "key": "k".repeat(32)});
    fs::write(&memory, left.to_string()).unwrap();
    (load, lines, memory)
}

#[test]
fn a_load_whose_name_is_lost_is_in_the_list_of_who_may_go_on_with_it() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let load = ByHand::begin(&house, POPULATION, &encoder, Source::Population, 10);
    let care = ByHand::begin(&house, CARE, &encoder, Source::Care, 10);
    assert_eq!(load.put(&house, POPULATION, 0, &residents(&house, &encoder)[..2]).status, 200);
    let listed = |stem: &str| -> Vec<LoadView> { house.client(stem).get("loads").unwrap() };
    let ours = listed(POPULATION);
    let told: Vec<_> = ours.iter().map(|one| (one.load.to_string(), one.records, one.chunks.len())).collect();
    assert_eq!(told, [(load.id.clone(), 10, 1)]);
    assert_eq!(listed(CARE).iter().map(|one| one.load.to_string()).collect::<Vec<_>>(), [care.id]);
    for stem in [CORPORATION, OFFICER, ADMINISTRATOR] {
        assert!(listed(stem).is_empty(), "{stem}");
    }
    let refused = |entry: &Entry| String::from(entry.result.clone()).starts_with("refused");
    assert!(!house.log().iter().any(refused), "a list refuses nobody");
    // Another one of the same source takes its place.
    let next = ByHand::begin(&house, POPULATION, &encoder, Source::Population, 10);
    assert_eq!(listed(POPULATION).iter().map(|one| one.load.to_string()).collect::<Vec<_>>(), [next.id]);
}

#[test]
fn a_chunk_that_is_there_with_another_content_is_sent_again() {
    let house = House::open();
    let persons = house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap().quality.unwrap().persons;
    let (load, lines, _) = left_behind(&house);
    let mut lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    // As the client sends them: by reference, and as many as fit a chunk.
    lines.sort_by_key(|line| STANDARD.decode(line["id"].as_str().unwrap()).unwrap());
    let view: LoadView = house.client(POPULATION).get(&format!("loads/{}", load.id)).unwrap();
    let mut bytes = 0;
    let mut fits = |line: &Value| {
        let length = line.to_string().len();
        let fits = bytes == 0 || bytes + length < view.chunk_bytes;
        bytes += length + 1;
        fits
    };
    let count = lines.iter().take_while(|line| fits(line)).count();
    let mute = |line: &Value| {
        let mut line = line.clone();
        line.as_object_mut().unwrap().remove("codes");
        line.to_string()
    };
    let others: Vec<String> = lines[..count].iter().map(mute).collect();
    assert_eq!(load.put(&house, POPULATION, 0, &others).status, 200);
    let again = house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    assert_eq!(again.quality.unwrap().persons, persons);
    house.line(POPULATION).get(&format!("/v1/loads/{}", load.id)).problem();
}

#[test]
fn a_load_that_was_cut_goes_on_with_the_chunks_that_are_missing() {
    let mut house = House::open();
    let before = loads_in_log(&house);
    let (load, _, memory) = left_behind(&house);
    house.restart();
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    assert_eq!(loads_in_log(&house), before + 1);
    assert!(!memory.exists(), "nothing is left to go on with");
    // It was that load, not another one.
    house.line(POPULATION).get(&format!("/v1/loads/{}", load.id)).is_problem(404, "unknown_load");
    load.commit(&house, POPULATION, 0).problem();
}

#[test]
fn people_with_a_restriction_are_loaded_on_a_ground_that_every_party_signed_and_on_no_other() {
    let house = House::lawless();
    house.activate_law().unwrap();
    house.agree(EPOCH);
    let input = demo("oggz.csv");
    let mut args = house.load_args(CARE, Kind::Care, &input);
    args.people.with_restricted = Some("Wet BRP art. 3.21".into());
    let refused = format!("{:#}", load::load(&args).err().expect("no party signed a ground"));
    assert!(refused.contains("[restricted] legal_basis"), "{refused}");
    let next = House::lawless();
    amend(&next, "[household]", "[restricted]\nlegal_basis = \"Wet BRP art. 3.21\"\n\n[household]");
    next.activate_law().unwrap();
    next.agree(EPOCH);
    let mut args = next.load_args(CARE, Kind::Care, &input);
    args.people.with_restricted = Some("art. 1".into());
    let refused = format!("{:#}", load::load(&args).err().expect("another ground"));
    assert!(refused.contains("[restricted] legal_basis"), "{refused}");
    args.people.with_restricted = Some("Wet BRP art. 3.21".into());
    // What another party signed is no word of this one.
    let party = next.party(CARE);
    let config = fs::read_to_string(&party).unwrap();
    let others = config.replace(&format!("note_key = \"{CARE}.note\""), &format!("note_key = \"{POPULATION}.note\""));
    assert_ne!(config, others);
    fs::write(&party, others).unwrap();
    let refused = format!("{:#}", load::load(&args).err().expect("signed by another party"));
    assert!(refused.contains("signed no such version"), "{refused}");
    fs::write(&party, config).unwrap();
    assert!(load::load(&args).unwrap().receipt.is_some());
}
