//! What entries say and which there are: the fields of BIO2, every read of the log; and what is never in them, nor in what
//! is made of them.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use voorrang::audit::{Action, Entry, Outcome, Range};
use voorrang::cli::audit::LogArgs;
use voorrang::cli::audit::export::{self, ExportArgs, ExportFormat};
use voorrang::cli::audit::filter::Filter;
use voorrang::cli::load::{self, Kind, LoadArgs};

use super::log::body_of;
use super::support::*;

/// What the log has more than before, without the read that finds it out.
fn since(house: &House, before: usize) -> Vec<Entry> {
    let mut since = house.log().split_off(before);
    since.pop();
    since
}

#[test]
fn an_officer_s_reads_beside_the_entries_are_entries_and_what_tells_nothing_of_one_is_none() {
    let house = House::open();
    let told = house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    let mut officer = house.line(OFFICER);
    let index = told.receipt.index;
    let before = house.log().len();
    for path in ["holds", "budgets", &format!("proofs/{index}")] {
        assert_eq!(officer.get(&format!("/v1/access-log/{path}")).status, 200, "{path}");
    }
    let expired = officer.json("POST", "/v1/access-log/expire", &Value::Null);
    assert_eq!(expired.status, 200, "nothing was due: {}", expired.text());
    let range = Some(Range { from: index, to: index + 1 });
    let kinds = since(&house, before).into_iter().map(|entry| (entry.action, entry.result, entry.entries));
    let read = |entries| (Action::LogRead, Outcome::Done, entries);
    let all = [read(None), read(None), read(range), (Action::LogExpire, Outcome::Done, None)];
    assert_eq!(kinds.collect::<Vec<_>>(), all);
    let before = house.log().len();
    for path in ["checkpoint", "consistency?old=3", "tile/0/000.p/5"] {
        assert_eq!(officer.get(&format!("/v1/access-log/{path}")).status, 200, "{path}");
    }
    let mut asker = house.line(CORPORATION);
    assert_eq!(asker.get(&format!("/v1/access-log/proofs/{index}")).status, 200, "who acted has the receipt");
    assert_eq!(since(&house, before), []);
    house.verify(&[told]).unwrap();
}

/// Words in the second column of the table, by the first one.
fn bio2() -> Vec<(String, Vec<String>)> {
    let page = include_str!("../../docs/access-log.md");
    let (_, table) = page.split_once("| BIO2 | field |\n|---|---|\n").unwrap();
    let rows = table.lines().map_while(|row| row.strip_prefix("| ")?.split_once(" | "));
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    rows.map(|(name, cell)| (name.to_owned(), words(cell))).collect()
}

#[test]
fn the_six_fields_of_bio2_are_in_every_entry_where_the_page_says() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    house.line(CORPORATION).ask(&value(&encoder, FAMILY)).answered();
    house.line(ADMINISTRATOR).ask(&value(&encoder, FAMILY)).is_problem(403, "refused");
    house.line(OFFICER).json("POST", "/v1/access-log/holds", &json!({"from": 0, "to": 1}));
    let (table, log) = (bio2(), house.log());
    let names: Vec<&str> = table.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["actie", "object", "resultaat", "oorsprong", "actor", "tijdstempel"]);
    let actions: BTreeSet<String> = log.iter().map(|entry| format!("{:?}", entry.action)).collect();
    for action in ["Ask", "Load", "Stock", "EpochActivate", "LogRead", "LogHold", "Start"] {
        assert!(actions.contains(action), "{actions:?}");
    }
    for entry in &log {
        let json = serde_json::to_value(entry).unwrap();
        let says = |field: &String| {
            let at = json.pointer(&format!("/{}", field.replace('.', "/"))).unwrap_or(&Value::Null);
            !at.is_null() && *at != json!("") && *at != json!([])
        };
        let silent: Vec<_> =
            table.iter().filter(|(_, fields)| !fields.iter().any(says)).map(|(name, _)| name).collect();
        assert!(silent.is_empty(), "{silent:?}: {json}");
        let is_about = table[1].1.iter().filter(|field| *field != "action").any(says);
        let of_itself = entry.actor.role == "service" || entry.action == Action::Connect;
        assert!(is_about || of_itself, "no object: {json}");
    }
}

/// Every string in a body that no word could be.
fn strings(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.len() >= 16 => drop(into.insert(text.clone())),
        Value::Array(all) => all.iter().for_each(|one| strings(one, into)),
        Value::Object(all) => all.values().for_each(|one| strings(one, into)),
        _ => {}
    }
}

/// What a custodian or corporation sends when it loads: codes, tokens, references, the addresses of a stock.
fn sent(house: &House, stem: &str, kind: Kind, input: &std::path::Path) -> BTreeSet<String> {
    let folder = house.file(&format!("bodies-{stem}"));
    let args = LoadArgs { dry_run: true, bodies: Some(folder.clone()), ..house.load_args(stem, kind, input) };
    load::load(&LoadArgs { epoch: Some(EPOCH.parse().unwrap()), ..args }).unwrap();
    let mut all = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines() {
            let mut body: Value = serde_json::from_str(line).unwrap();
            // Epoch, profile and schema are no secrets.
            body.as_object_mut().unwrap().remove("header");
            if let Some(addresses) = body.get("addresses").and_then(Value::as_str) {
                all.extend(STANDARD.decode(addresses).unwrap().chunks(6).map(|token| STANDARD.encode(token)));
                body.as_object_mut().unwrap().remove("addresses");
            }
            strings(&body, &mut all);
        }
    }
    all
}

/// A text as somebody might spell it who hides it: itself, backwards, its bytes in hexadecimal, forwards and backwards.
fn spellings(text: &str) -> Vec<String> {
    let bytes = STANDARD.decode(text).unwrap_or_else(|_| text.into());
    let back: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut all = vec![text.to_owned(), text.chars().rev().collect(), hex::encode(&bytes), hex::encode(&back)];
    all.extend([STANDARD.encode(&back), hex::encode_upper(&bytes), hex::encode(text), STANDARD.encode(text)]);
    all
}

/// All pieces of this length that stand in these texts.
fn pieces(texts: &[String], length: usize) -> HashSet<&[u8]> {
    texts.iter().flat_map(|text| text.as_bytes().windows(length)).collect()
}

#[test]
fn nothing_that_was_loaded_or_asked_is_in_entries_exports_or_processing_records_in_any_spelling() {
    let mut house = House::built(false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    house.configure(|table| drop(table["ldv"].as_table_mut().unwrap().insert("collector".into(), address.into())));
    let (took, taken) = mpsc::channel();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map(Result::unwrap) {
            let Some(body) = body_of(&mut connection) else { continue };
            let said = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            if connection.write_all(said).is_err() || took.send(String::from_utf8(body).unwrap()).is_err() {
                return;
            }
        }
    });
    house.start();
    house.fill(EPOCH);
    let (encoder, mut line) = (house.encoder(EPOCH), house.line(CORPORATION));
    let mut canaries = BTreeSet::new();
    for contract in contracts().iter().take(8) {
        let mut question = value(&encoder, contract);
        let told = line.ask(&question).answered();
        canaries.insert(contract.clone());
        // What an entry says, and words that everybody knows.
        (question["header"], question["purpose"]) = (Value::Null, Value::Null);
        strings(&question, &mut canaries);
        assert!(!told.receipt.checkpoint.is_empty());
    }
    canaries.extend(sent(&house, POPULATION, Kind::Population, &demo("brp.csv")));
    canaries.extend(sent(&house, CARE, Kind::Care, &demo("oggz.csv")));
    canaries.extend(sent(&house, CORPORATION, Kind::Stock, &house.stock_of("C1")));
    for file in ["brp.csv", "oggz.csv"] {
        let text = fs::read_to_string(demo(file)).unwrap();
        let words = text.lines().skip(1).flat_map(|row| row.split(',').map(str::to_owned).collect::<Vec<_>>());
        // Short words, plain numbers and rows of one digit are found in any hexadecimal text.
        let is_rare = |word: &String| {
            let signs: BTreeSet<char> = word.chars().collect();
            word.len() >= 8 && signs.len() >= 5 && signs.iter().any(|sign| sign.is_ascii_uppercase() || *sign == '-')
        };
        canaries.extend(words.filter(is_rare));
    }
    let mut texts: Vec<String> = house.log().iter().map(Entry::to_text).collect();
    let object = house.log().iter().find_map(|entry| entry.object.clone()).unwrap();
    for format in [ExportFormat::Ndjson, ExportFormat::Csv, ExportFormat::Ldv, ExportFormat::Nen7513] {
        let output = house.file("export");
        let (log, filter) = (LogArgs::new(house.party(OFFICER)), Filter::default());
        let args =
            ExportArgs { log, tiles: None, format: Some(format), register: None, output: Some(output.clone()), filter };
        export::run(&args).unwrap();
        texts.push(fs::read_to_string(output).unwrap());
    }
    let (mut records, until) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    while !records.iter().any(|body: &String| body.contains(&object)) && Instant::now() < until {
        records.extend(taken.recv_timeout(Duration::from_secs(1)));
    }
    assert!(records.iter().any(|body| body.contains(&object)), "no processing record came");
    texts.extend(records);
    assert!(texts.len() > 30 && canaries.len() > 5_000, "{} texts, {} canaries", texts.len(), canaries.len());
    // Eight signs of a stock's address are 48 bits, as long as any of them is; a dozen of the rest.
    let known = [8, 10, 12].map(|length| (length, pieces(&texts, length)));
    let found = |spelling: &str| {
        let (length, all) = known.iter().rev().find(|(length, _)| *length <= spelling.len()).unwrap();
        all.contains(&spelling.as_bytes()[..*length])
    };
    // The control: what is there is found.
    assert!(found(&object) && found("bevragen-prioriteit"));
    for canary in &canaries {
        for spelling in spellings(canary).iter().filter(|spelling| spelling.len() >= 8) {
            assert!(!found(spelling), "{spelling}, of {canary}");
        }
    }
}
