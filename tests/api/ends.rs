//! Epochs that end: by themselves, by command, for good.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use time::Duration;
use voorrang::answer::checkup::{Area, Grade, examine};
use voorrang::answer::server;
use voorrang::answer::wire::law::Pending;
use voorrang::answer::wire::{LogPage, SubjectView};
use voorrang::audit::{Action, Entry};
use voorrang::cli::audit::LogArgs;
use voorrang::cli::audit::subject::{self, KeptSalt, SubjectArgs, TokenArgs};
use voorrang::cli::epoch::{self, EndArgs, EpochCommand, FetchArgs, ListArgs};
use voorrang::cli::load::Kind;
use voorrang::cli::people::PeopleArgs;
use voorrang::cli::regulation::confirm;

use super::support::*;

/// What the administrator is told.
pub fn proposed(house: &House, epoch: &str, end: fn(EndArgs) -> EpochCommand) -> anyhow::Result<String> {
    let args = EndArgs { epoch: house.epoch_args(ADMINISTRATOR, epoch), output: None };
    Ok(epoch::perform(&end(args))?.trim_end().to_owned())
}

/// The administrator proposes, the municipality's officer confirms; the record, also of an epoch that was gone.
pub fn destroy(house: &House, epoch: &str) -> anyhow::Result<String> {
    let told = proposed(house, epoch, EpochCommand::destroy)?;
    let Ok(proposal) = told.parse() else { return Ok(told) };
    Ok(confirm(&proposal, &house.client(OFFICER))?.record.unwrap().trim_end().to_owned())
}

pub fn retire(house: &House, epoch: &str) -> anyhow::Result<()> {
    let proposal = proposed(house, epoch, |args| EpochCommand::Retire(args.epoch))?.parse().unwrap();
    confirm(&proposal, &house.client(OFFICER)).map(drop)
}

pub fn view(house: &House, epoch: &str) -> Value {
    serde_json::from_slice(&house.line(ADMINISTRATOR).get(&format!("/v1/epochs/{epoch}")).body).unwrap()
}

pub fn state(house: &House, epoch: &str) -> Value {
    view(house, epoch)["state"].clone()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy(&path, &to) } else { assert!(fs::copy(&path, &to).is_ok()) }
    }
}

#[test]
fn a_retiring_epoch_falls_silent_at_the_end_of_its_grace_and_is_destroyed_only_after_it() {
    let house = House::open();
    let old = value(&house.encoder(EPOCH), FAMILY);
    assert!(format!("{:#}", destroy(&house, EPOCH).unwrap_err()).contains("epoch_not_retiring"));
    house.fill("haarlem-2");
    assert_eq!(house.line(CORPORATION).ask(&old).answered().answer, "priority", "within the grace");
    assert!(format!("{:#}", destroy(&house, EPOCH).unwrap_err()).contains("epoch_answers"));
    house.clock.pass(NOW + Duration::days(30) - Duration::SECOND);
    assert_eq!(house.line(CORPORATION).ask(&old).answered().answer, "undetermined", "of age, but answered");
    house.clock.pass(NOW + Duration::days(30));
    house.line(CORPORATION).ask(&old).is_problem(410, "epoch_retired");
    assert_eq!(state(&house, EPOCH), json!("retiring"), "nothing is destroyed by a clock");
    house.clock.set(NOW);
    house.line(CORPORATION).ask(&old).is_problem(410, "epoch_retired");
    proposed(&house, EPOCH, EpochCommand::destroy).expect("what is silent may end, though the clock went back");
    let due = (NOW + Duration::days(30 + 62)).date();
    for (days, overdue) in [(62, false), (63, true)] {
        house.clock.pass(NOW + Duration::days(30 + days));
        let todo = &view(&house, EPOCH)["todo"][1];
        assert_eq!(todo["command"], format!("epoch destroy {EPOCH}"));
        assert_eq!((&todo["by"], &todo["overdue"]), (&json!(due.to_string()), &json!(overdue)), "register_days");
    }
    let record = destroy(&house, EPOCH).unwrap();
    house.line(CORPORATION).ask(&old).is_problem(410, "epoch_destroyed");
    assert_eq!(destroy(&house, EPOCH).unwrap(), record, "once more gives the record again");
    assert!(house.announce(EPOCH).is_err(), "a name is never used again");
    let ended: Vec<_> = house.log().into_iter().filter(|e| e.action == Action::EpochDestroy).collect();
    let results: Vec<_> = ended.into_iter().map(|entry| String::from(entry.result)).collect();
    assert_eq!(results, ["refused:epoch_not_retiring", "refused:epoch_answers", "done"], "nothing ends twice");
    let error = format!("{:#}", proposed(&house, EPOCH, EpochCommand::Abort).unwrap_err());
    assert!(error.contains("epoch_answers"), "what answered was never aborted: {error}");
    let read: Vec<_> = house.log().into_iter().filter(|entry| entry.action == Action::EpochRecord).collect();
    assert_eq!(read.len(), 1, "to read the record again is no end");
    let aborted = |entry: &Entry| entry.action == Action::EpochAbort && String::from(entry.result.clone()) == "done";
    assert!(!house.log().iter().any(aborted));
    house.verify(&[]).unwrap();
}

#[test]
fn what_a_covenant_leaves_is_destroyed_after_its_end() {
    let house = House::lawless();
    super::regulation::amend(&house, "valid_until = 2999-01-01", "valid_until = 2026-01-16");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    house.clock.pass(NOW + Duration::days(30));
    retire(&house, EPOCH).unwrap();
    house.clock.pass(NOW + Duration::days(400));
    assert!(destroy(&house, EPOCH).unwrap().contains("destroyed"));
    assert_eq!(state(&house, EPOCH), "destroyed");
}

/// The newest one is silent, the one before still answers: what is told of both agrees.
#[test]
fn that_no_question_is_answered_is_told_only_where_none_is() {
    let house = House::open();
    let old = value(&house.encoder(EPOCH), FAMILY);
    house.fill("haarlem-2");
    retire(&house, "haarlem-2").unwrap();
    let told = || {
        let about = examine(&house.config(), &house.clock).into_iter().filter(|one| one.about == Area::Epoch);
        about.filter(|one| one.grade != Grade::Fine).map(|one| (one.code, one.detail)).collect::<Vec<_>>()
    };
    assert_eq!(house.line(CORPORATION).ask(&old).answered().answer, "priority");
    let until = (NOW + Duration::days(30)).date();
    let found = told();
    let codes: Vec<_> = found.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, ["epoch_without_successor", "epoch_over"], "{found:?}");
    assert!(found[0].1.contains(&format!("haarlem-1 answers until {until}")), "{found:?}");
    house.clock.pass(NOW + Duration::days(30));
    house.line(CORPORATION).ask(&old).is_problem(410, "epoch_retired");
    let codes: Vec<_> = told().into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["no_epoch", "epoch_over", "epoch_over"]);
}

#[test]
fn an_epoch_is_retired_by_hand_without_a_successor() {
    let mut house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    retire(&house, EPOCH).unwrap();
    house.line(CORPORATION).ask(&question).is_problem(410, "epoch_retired");
    house.restart();
    house.line(CORPORATION).ask(&question).is_problem(410, "epoch_retired");
    let until = view(&house, EPOCH)["answersUntil"].clone();
    house.clock.pass(NOW + Duration::days(40));
    let error = format!("{:#}", retire(&house, EPOCH).unwrap_err());
    assert!(error.contains("epoch_not_active") && error.contains("destroy it"), "{error}");
    assert_eq!(view(&house, EPOCH)["answersUntil"], until, "the day of its destruction stays");
    destroy(&house, EPOCH).unwrap();
    assert!(format!("{:#}", retire(&house, EPOCH).unwrap_err()).contains("epoch_destroyed"));
}

#[test]
fn nothing_of_a_destroyed_epoch_is_left_in_the_database_or_its_log() {
    let mut house = House::open();
    let wal = house.state().join("voorrang.db-wal");
    let before = fs::metadata(house.state().join("voorrang.db")).unwrap().len() + fs::metadata(&wal).unwrap().len();
    retire(&house, EPOCH).unwrap();
    destroy(&house, EPOCH).unwrap();
    house.stop();
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    for table in ["chunk", "load", "opening", "share", "resealed", "stock"] {
        let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    let key: Option<Vec<u8>> = db.query_row("SELECT data_key FROM epoch", [], |row| row.get(0)).unwrap();
    assert_eq!(key, None);
    let free: i64 = db.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
    assert_eq!(free, 0);
    let after = fs::metadata(house.state().join("voorrang.db")).unwrap().len();
    assert!(after * 4 < before, "the space is given back: {before} {after}");
    let kept: Vec<_> = fs::read_dir(house.keys().join("epoch-keys")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(kept, ["epoch-haarlem-1.destroyed"]);
}

#[test]
fn a_backup_from_before_revives_nothing() {
    let mut house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    house.stop();
    let backup = house.file("backup");
    copy(&house.state(), &backup);
    let anchor = house.keys().join("anchor/checkpoint");
    let remembered = fs::read(&anchor).unwrap();
    house.start();
    retire(&house, EPOCH).unwrap();
    destroy(&house, EPOCH).unwrap();
    house.stop();
    fs::remove_dir_all(house.state()).unwrap();
    copy(&backup, &house.state());
    // What remembers the log outside the database keeps the copy from starting, until somebody sets that back as well.
    assert!(server::start(house.config(), house.clock.clone()).is_err());
    fs::write(&anchor, remembered).unwrap();
    house.start();
    assert_eq!(state(&house, EPOCH), json!("destroyed"));
    house.line(CORPORATION).ask(&question).is_problem(410, "epoch_destroyed");
    assert!(house.load(POPULATION, Kind::Population, &demo("brp.csv")).is_err());
    let said: Vec<_> = house.log().into_iter().filter(|e| e.action == Action::EpochDestroy).collect();
    assert_eq!(String::from(said[0].result.clone()), "failed:restored_after_destruction");
    // Even with its wrapping key put back beside the tombstone: the key is destroyed again, the epoch stays dead.
    house.stop();
    fs::write(house.keys().join("epoch-keys/epoch-haarlem-1.key"), [7; 32]).unwrap();
    house.start();
    assert!(!house.keys().join("epoch-keys/epoch-haarlem-1.key").exists());
    assert_eq!(state(&house, EPOCH), json!("destroyed"));
}

#[test]
fn a_destruction_that_was_cut_short_is_complete_after_the_next_start() {
    let mut house = House::open();
    retire(&house, EPOCH).unwrap();
    let key = house.keys().join("epoch-keys/epoch-haarlem-1.key");
    let kept = fs::read(&key).unwrap();
    destroy(&house, EPOCH).unwrap();
    house.stop();
    // As a kill after the step leaves it: the key still there, no record, no tombstone.
    fs::remove_file(house.keys().join("epoch-keys/epoch-haarlem-1.destroyed")).unwrap();
    voorrang::cli::pki::write_secret(&key, &kept).unwrap();
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    db.execute("DELETE FROM destruction", []).unwrap();
    drop(db);
    house.start();
    assert!(!key.exists());
    assert!(house.keys().join("epoch-keys/epoch-haarlem-1.destroyed").exists());
    let record = destroy(&house, EPOCH).unwrap();
    assert!(record.contains("\nerased ") && record.contains("\nwrapping key overwritten, unlinked"), "{record}");
    assert!(record.contains("\nregisters not looked for in memory"), "{record}");
    // Cut short once more, behind the key: what the first run did with it is not forgotten.
    house.stop();
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    db.execute("DELETE FROM destruction", []).unwrap();
    drop(db);
    house.start();
    assert!(destroy(&house, EPOCH).unwrap().contains("\nwrapping key overwritten, unlinked"));
}

#[test]
fn a_record_does_not_deny_what_a_run_that_was_cut_short_did_to_the_key() {
    let mut house = House::open();
    retire(&house, EPOCH).unwrap();
    destroy(&house, EPOCH).unwrap();
    let tombstone = house.keys().join("epoch-keys/epoch-haarlem-1.destroyed");
    let signed = fs::read_to_string(&tombstone).unwrap();
    let begun = |line: &str| {
        let head = signed.split_once("erased ").unwrap().0;
        fs::write(&tombstone, format!("{head}{line}\n")).unwrap();
    };
    // A kill between the record and the last tombstone: the signed one is put beside the keys.
    house.stop();
    begun("begun\nwrapping key overwritten, unlinked, its folder synced");
    house.start();
    assert_eq!(fs::read_to_string(&tombstone).unwrap(), signed);
    // A kill between the key and the second tombstone, then once more behind that one.
    for _ in 0..2 {
        house.stop();
        begun("begun: the wrapping key is being removed");
        let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
        db.execute("DELETE FROM destruction", []).unwrap();
        drop(db);
        house.start();
        let record = destroy(&house, EPOCH).unwrap();
        assert!(!record.contains("NOT overwritten"), "{record}");
        assert!(
            record.contains("\nwrapping key was being removed by a run that was cut short, and is gone\n"),
            "{record}"
        );
    }
}

#[test]
fn a_confirmation_that_comes_twice_at_once_gets_one_record() {
    let house = House::open();
    retire(&house, EPOCH).unwrap();
    let proposal = proposed(&house, EPOCH, EpochCommand::destroy).unwrap();
    let confirmed = || {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "destroy-it-once-and-no-more")];
        let path = format!("/v1/proposals/{proposal}/confirm");
        let reply = house.line(OFFICER).send("POST", &path, &headers, b"{}").unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        let done: Value = serde_json::from_slice(&reply.body).unwrap();
        done["record"].as_str().unwrap().to_owned()
    };
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(confirmed);
        // Behind the step and before its end.
        while state(&house, EPOCH) != "destroyed" {}
        let second = confirmed();
        (first.join().unwrap(), second)
    });
    assert_eq!(first, second);
    assert!(first.contains("\nwrapping key overwritten, unlinked"), "{first}");
}

#[test]
fn the_record_is_fetched_also_after_the_log_got_another_key() {
    let mut house = House::open();
    retire(&house, EPOCH).unwrap();
    let record = destroy(&house, EPOCH).unwrap();
    house.stop();
    voorrang::answer::upkeep::rotate_log_key(&house.config(), &house.clock).unwrap();
    house.start();
    assert_eq!(destroy(&house, EPOCH).unwrap(), record);
}

#[test]
fn the_record_says_what_became_of_the_key_and_of_the_registers() {
    let house = House::open();
    house.fill("haarlem-2");
    retire(&house, EPOCH).unwrap();
    let record = destroy(&house, EPOCH).unwrap();
    for line in ["wrapping key overwritten, unlinked, its folder synced", "registers let go of memory"] {
        assert!(record.lines().any(|one| one == line), "{record}");
    }
    // Somebody moved the other one's key away: then nobody can say that it was overwritten.
    let key = house.keys().join("epoch-keys/epoch-haarlem-2.key");
    fs::rename(key, house.file("moved.key")).unwrap();
    retire(&house, "haarlem-2").unwrap();
    let record = destroy(&house, "haarlem-2").unwrap();
    assert!(record.contains("\nwrapping key NOT overwritten by this erasure"), "{record}");
    assert!(!record.contains("overwritten, unlinked"), "{record}");
}

#[test]
fn the_key_of_an_epoch_may_be_a_credential_that_only_the_machine_s_administrator_removes() {
    let mut house = House::built(false);
    let credentials = house.file("credentials");
    fs::create_dir(&credentials).unwrap();
    let key = credentials.join("epoch-haarlem-1.key");
    voorrang::cli::pki::write_secret(&key, &[5; 32]).unwrap();
    let path = house.keys().join("voorrang.toml");
    let text = fs::read_to_string(&path).unwrap();
    let with = format!("epoch_credentials = \"{}\"", credentials.display());
    fs::write(&path, text.replace("epoch_credentials = \"\"", &with)).unwrap();
    house.start();
    house.fill(EPOCH);
    retire(&house, EPOCH).unwrap();
    // Whoever is asked to confirm hears of nothing that cannot be done.
    let error = format!("{:#}", proposed(&house, EPOCH, EpochCommand::destroy).unwrap_err());
    assert!(error.contains("store_epoch_credential") && error.contains("service's unit"), "{error}");
    let waiting: Vec<Value> = house.client(OFFICER).get("proposals").unwrap();
    assert_eq!(waiting.len(), 0);
    assert_eq!(state(&house, EPOCH), json!("retiring"), "nothing is half done");
    fs::remove_file(key).unwrap();
    house.restart();
    let told = examine(&house.config(), &house.clock);
    let epoch = told.iter().find(|one| one.about == Area::Epoch && one.detail.starts_with(EPOCH)).unwrap();
    assert!(epoch.code == "epoch_over" && epoch.detail.contains("its key is gone: destroy it"), "{epoch:?}");
    let record = destroy(&house, EPOCH).unwrap();
    assert!(record.contains("\nwrapping key NOT overwritten"), "{record}");
}

/// Whether these bytes stand in a file of the folder.
pub fn stands(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return stands(&path, needle);
        }
        fs::read(&path).unwrap().windows(needle.len()).any(|bytes| bytes == needle)
    })
}

#[test]
fn stocks_and_shares_lie_sealed_so_that_no_old_backup_tells_them_after_the_end() {
    let house = House::open();
    let shares = house.client(CORPORATION).envelope(&EPOCH.parse().unwrap()).unwrap().shares;
    let share = shares.values().next().unwrap().lines().nth(1).unwrap();
    let addresses: Vec<u8> = (0..30).flat_map(|n| [n, 0xd1, 0x5e, 0xa5, 0xed, !n]).collect();
    let text = STANDARD.encode(&addresses);
    let header = house.encoder(EPOCH).header();
    let stock = json!({"header": header, "dwellings": 40, "addresses": text});
    let reply = house.line(CORPORATION).json("PUT", "/v1/stock", &stock);
    let pending: Pending = serde_json::from_slice(&reply.body).unwrap();
    let lies_open = || [&addresses[..], text.as_bytes(), share.as_bytes()].map(|needle| stands(&house.state(), needle));
    assert_eq!(lies_open(), [false; 3], "while it waits");
    confirm(&pending.proposal, &house.client(OFFICER)).unwrap();
    assert_eq!(lies_open(), [false; 3], "and once it counts");
    assert!(stands(&house.state(), EPOCH.as_bytes()), "the search finds what is there");
}

#[test]
fn a_stock_is_taken_only_while_its_epoch_loads_and_goes_with_it() {
    let house = House::open();
    let args = house.load_args(CORPORATION, Kind::Stock, &house.stock_of("C1"));
    let waiting = voorrang::cli::load::load(&args).unwrap().pending.unwrap();
    let put = |epoch: &str, code: &str| {
        let mut header = json!(house.encoder(EPOCH).header());
        header["epoch"] = json!(epoch);
        let stock = json!({"header": header, "dwellings": 10, "addresses": "AAAA"});
        house.line(CORPORATION).json("PUT", "/v1/stock", &stock).is_problem(409, code);
    };
    house.announce("haarlem-2").unwrap();
    put("haarlem-2", "epoch_not_loading");
    house.contribute(POPULATION, "haarlem-2").unwrap();
    house.contribute(CARE, "haarlem-2").unwrap();
    // Of which salt it is nobody can say before a register is there.
    put("haarlem-2", "source_missing");
    retire(&house, EPOCH).unwrap();
    put(EPOCH, "epoch_not_loading");
    let error = format!("{:#}", confirm(&waiting, &house.client(OFFICER)).unwrap_err());
    assert!(error.contains("epoch_not_loading"), "{error}");
    destroy(&house, EPOCH).unwrap();
    let error = format!("{:#}", confirm(&waiting, &house.client(OFFICER)).unwrap_err());
    assert!(error.contains("unknown_proposal"), "{error}");
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    for table in ["stock", "proposal"] {
        let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

/// The key of an epoch's pseudonyms outlives it. Who keeps the salt, the register holder, still makes the address token.
#[test]
fn who_was_asked_about_is_found_in_the_log_after_the_epoch_is_destroyed() {
    let house = House::open();
    let salt = |epoch: &str| {
        let (epoch, file) = (house.epoch_args(POPULATION, epoch), house.file(&format!("salt-{epoch}")));
        let keep = FetchArgs { epoch, output: None, salt_file: Some(file.clone()), print_salt: false, profile: None };
        epoch::perform(&EpochCommand::Fetch(keep)).unwrap();
        file
    };
    let kept = salt(EPOCH);
    let asked = house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    retire(&house, EPOCH).unwrap();
    destroy(&house, EPOCH).unwrap();
    house.fill("haarlem-2");
    let other = salt("haarlem-2");
    let (person, tokens, report) = (house.file("person.csv"), house.file("token.json"), house.file("report.json"));
    rows(&demo("brp.csv"), &person, |row| row.contains(",Lange Haversingel,58,"));
    let epochs = |salt: Vec<KeptSalt>| -> anyhow::Result<BTreeSet<String>> {
        subject::token(&TokenArgs {
            person: person.clone(),
            people: PeopleArgs::default(),
            config: house.party(POPULATION),
            output: tokens.clone(),
            profile: vec![],
            salt,
        })?;
        let made: Value = serde_json::from_slice(&fs::read(&tokens).unwrap()).unwrap();
        let epoch = |token: &Value| token["epoch"].as_str().unwrap().to_owned();
        Ok(made["tokens"].as_array().unwrap().iter().map(epoch).collect())
    };
    let id = |epoch: &str| epoch.parse().unwrap();
    let (first, second) = (EPOCH.to_owned(), "haarlem-2".to_owned());
    assert_eq!(epochs(vec![]).unwrap(), [second.clone()].into(), "without its salt nobody searches the old one");
    assert_eq!(epochs(vec![(id(EPOCH), other)]).unwrap(), [second.clone()].into(), "nor with another one's");
    assert!(epochs(vec![(id("haarlem-9"), kept.clone())]).is_err());
    assert_eq!(epochs(vec![(id(EPOCH), kept)]).unwrap(), [first, second].into());
    let log = LogArgs::new(house.party(OFFICER));
    subject::run(&SubjectArgs { tokens, log, output: report.clone(), json: true }).unwrap();
    let found: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let questions: Vec<_> = found["found"].as_array().unwrap().iter().filter(|row| row["action"] == "ask").collect();
    assert_eq!(questions.len(), 1, "{found}");
    assert_eq!((&questions[0]["epoch"], &questions[0]["answer"]), (&json!(EPOCH), &json!(asked.answer)));
    house.verify(&[asked]).unwrap();
}

/// As docs/rotation.md has it but for the salt, which nobody keeps; and with tokens that do not even name that epoch.
#[test]
fn an_epoch_whose_salt_nobody_kept_is_named_in_the_reply() {
    let house = House::open();
    house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    house.fill("haarlem-2");
    retire(&house, EPOCH).unwrap();
    destroy(&house, EPOCH).unwrap();
    let (person, tokens, output) = (house.file("person.csv"), house.file("token.json"), house.file("reply"));
    rows(&demo("brp.csv"), &person, |row| row.contains(",Lange Haversingel,58,"));
    let (people, config) = (PeopleArgs::default(), house.party(POPULATION));
    let made = TokenArgs { person, people, config, output: tokens.clone(), profile: vec![], salt: vec![] };
    subject::token(&made).unwrap();
    let reply = |json: bool| {
        let log = LogArgs::new(house.party(OFFICER));
        subject::run(&SubjectArgs { tokens: tokens.clone(), log, output: output.clone(), json }).unwrap();
        fs::read_to_string(&output).unwrap()
    };
    let found: Value = serde_json::from_str(&reply(true)).unwrap();
    assert_eq!(found["notSearched"], json!({ EPOCH: "salt-not-kept" }));
    let letter = reply(false);
    assert!(letter.contains("**haarlem-1: niet doorzocht, het zout van deze periode is niet bewaard"), "{letter}");
    assert!(!letter.contains("haarlem-2: niet"), "{letter}");
    let mut silent: Value = serde_json::from_slice(&fs::read(&tokens).unwrap()).unwrap();
    silent.as_object_mut().unwrap().remove("notSearched");
    fs::write(&tokens, silent.to_string()).unwrap();
    assert!(reply(false).contains("**haarlem-1: niet doorzocht, voor deze periode is geen adrescode gemaakt"));
}

#[test]
fn the_pseudonyms_of_an_epoch_that_is_over_end_with_the_entries_that_have_them() {
    let house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    house.line(CORPORATION).ask(&question).answered();
    let key = house.state().join(format!("keys/subject-{EPOCH}.key"));
    let look_up = json!({"epoch": EPOCH, "address": question["address"]});
    retire(&house, EPOCH).unwrap();
    destroy(&house, EPOCH).unwrap();
    let mut officer = house.line(OFFICER);
    let mut expire = || officer.json("POST", "/v1/access-log/expire", &Value::Null);
    assert_eq!(expire().status, 200);
    let mut searching = house.line(OFFICER);
    let found: SubjectView =
        serde_json::from_slice(&searching.json("POST", "/v1/access-log/subjects", &look_up).body).unwrap();
    let log = house.log();
    assert!(key.exists() && log.iter().any(|e| e.action == Action::Ask && e.object.as_ref() == Some(&found.object)));
    house.pass(i64::from(house.regulation.retention().log_days) + 2);
    assert_eq!(expire().status, 200);
    assert!(!key.exists());
    searching.json("POST", "/v1/access-log/subjects", &look_up).is_problem(404, "store_not_found");
    let (tokens, output) = (house.file("token.json"), house.file("report"));
    fs::write(&tokens, json!({"tokens": [look_up]}).to_string()).unwrap();
    for json in [false, true] {
        let log = LogArgs { clock: house.clock.clone(), ..LogArgs::new(house.party(OFFICER)) };
        subject::run(&SubjectArgs { tokens: tokens.clone(), log, output: output.clone(), json }).unwrap();
        let report = fs::read_to_string(&output).unwrap();
        let named = if json { format!("\"{EPOCH}\": \"key-ended\"") } else { format!("- **{EPOCH}: niet meer") };
        assert!(report.contains(&named), "{report}");
    }
    let page: LogPage = serde_json::from_slice(&searching.get("/v1/access-log/entries?from=0").body).unwrap();
    let entries = page.entries.iter().filter_map(|text| Entry::from_bytes(&STANDARD.decode(text).unwrap()).ok());
    let ended: Vec<_> = entries.filter(|entry| entry.action == Action::SubjectKeyEnd).collect();
    assert_eq!(ended.iter().map(|entry| entry.epoch.as_ref().unwrap().as_str()).collect::<Vec<_>>(), [EPOCH]);
}

#[test]
fn before_a_destruction_the_list_and_the_act_say_who_keeps_the_salt_and_until_when() {
    let house = House::open();
    retire(&house, EPOCH).unwrap();
    let keep = &view(&house, EPOCH)["todo"][0];
    let command = format!("epoch fetch {EPOCH} --salt-file {EPOCH}.salt");
    assert_eq!((&keep["oin"], &keep["command"]), (&json!("00000099000000002000"), &json!(command)));
    let until = (NOW + Duration::days(house.regulation.retention().log_days.into())).date();
    assert!(keep["about"].as_str().unwrap().starts_with(&format!("keep it offline until {until}: ")), "{keep}");
    let proposal = proposed(&house, EPOCH, EpochCommand::destroy).unwrap();
    let todo = view(&house, EPOCH)["todo"].clone();
    assert_eq!(todo[0]["command"], command, "also while it waits");
    let act = todo[1]["about"].as_str().unwrap();
    assert!(act.contains(&format!("keeps its salt before (voorrang {command})")), "{act}");
    // As it says, at the register holder.
    let salt = house.file("haarlem-1.salt");
    let epoch = house.epoch_args(POPULATION, EPOCH);
    let fetch = FetchArgs { epoch, output: None, salt_file: Some(salt.clone()), print_salt: false, profile: None };
    epoch::perform(&EpochCommand::Fetch(fetch)).unwrap();
    confirm(&proposal.parse().unwrap(), &house.client(OFFICER)).unwrap();
    assert!(salt.exists());
    assert_eq!(view(&house, EPOCH)["todo"], json!([]));
}

/// What falls silent while the service stands still may have done so by a clock that is wrong.
#[test]
fn what_fell_silent_behind_a_pause_is_destroyed_later_and_the_reason_says_when() {
    let mut house = House::open();
    house.fill("haarlem-2");
    house.clock.pass(NOW + Duration::days(29));
    house.log();
    house.stop();
    house.clock.set(NOW + Duration::days(31));
    house.start();
    assert_eq!((&view(&house, EPOCH)["state"], &view(&house, EPOCH)["answers"]), (&json!("retiring"), &json!(false)));
    let not_before = "not before 2026-02-15 21:";
    let error = format!("{:#}", destroy(&house, EPOCH).unwrap_err());
    assert!(error.contains("epoch_unsettled") && error.contains(not_before), "{error}");
    assert!(!error.contains("still answers") && !error.contains("retire it"), "{error}");
    let error = format!("{:#}", retire(&house, EPOCH).unwrap_err());
    assert!(error.contains("destroy it instead") && error.contains(not_before), "{error}");
    let end = view(&house, EPOCH)["todo"][1].clone();
    assert_eq!(end["command"], format!("epoch destroy {EPOCH}"));
    assert!(end["about"].as_str().unwrap().contains(not_before), "{end}");
    let told = examine(&house.config(), &house.clock).into_iter().find(|one| one.code == "epoch_over").unwrap();
    assert!(told.detail.contains(not_before), "{}", told.detail);
    house.clock.pass(NOW + Duration::days(31) + Duration::hours(13));
    assert_eq!(view(&house, EPOCH)["todo"][1]["about"], Value::Null);
    assert!(destroy(&house, EPOCH).unwrap().starts_with("voorrang destruction record"));
}

#[test]
fn nobody_ends_an_epoch_alone() {
    let house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    let retire = |args: EndArgs| EpochCommand::Retire(args.epoch);
    let proposal = proposed(&house, EPOCH, retire).unwrap().parse().unwrap();
    assert_eq!(state(&house, EPOCH), json!("active"), "a proposal does nothing");
    let alone = format!("{:#}", confirm(&proposal, &house.client(ADMINISTRATOR)).unwrap_err());
    assert!(alone.contains("refused"), "{alone}");
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority");
    confirm(&proposal, &house.client(CARE)).unwrap();
    house.line(CORPORATION).ask(&question).is_problem(410, "epoch_retired");
    let proposal = proposed(&house, EPOCH, EpochCommand::destroy).unwrap().parse().unwrap();
    confirm(&proposal, &house.client(ADMINISTRATOR)).unwrap_err();
    assert_eq!(state(&house, EPOCH), json!("retiring"));
    assert!(house.keys().join("epoch-keys/epoch-haarlem-1.key").exists());
    assert_eq!(proposed(&house, EPOCH, EpochCommand::destroy).unwrap().parse(), Ok(proposal));
    let record = confirm(&proposal, &house.client(OFFICER)).unwrap().record.unwrap();
    assert!(record.contains("erased "), "{record}");
    let late = format!("{:#}", confirm(&proposal, &house.client(OFFICER)).unwrap_err());
    assert!(late.contains("unknown_proposal"), "what was done waits no more: {late}");
    let ended: Vec<_> = house.log().into_iter().filter(|e| e.action == Action::EpochDestroy).collect();
    let by: Vec<_> = ended.iter().map(|e| (e.actor.role.as_str(), String::from(e.result.clone()))).collect();
    let done = |role| (role, "done".to_owned());
    assert_eq!(by, [("administrator", "refused:four-eyes".to_owned()), done("privacy-officer")]);
}

#[test]
fn the_list_names_who_must_confirm_what_was_proposed() {
    let house = House::open();
    let todo = |epoch: &str| -> Vec<(String, String)> {
        let todo = view(&house, epoch)["todo"].clone();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        todo.as_array().unwrap().iter().map(|one| (text(one, "oin"), text(one, "command"))).collect()
    };
    let (administrator, officer) = ("00000099000000001000", "00000099000000005001");
    let waits = |epoch: &str, proposal: &str, confirms: &str, proposed: &str| {
        let (todo, confirm) = (todo(epoch), format!("regulation confirm {proposal}"));
        assert!(todo.contains(&(confirms.into(), confirm)), "{todo:?}");
        assert!(todo.iter().all(|(oin, command)| oin != administrator && !command.starts_with(proposed)), "{todo:?}");
    };
    let retiring = proposed(&house, EPOCH, |args| EpochCommand::Retire(args.epoch)).unwrap();
    waits(EPOCH, &retiring, officer, "epoch retire");
    confirm(&retiring.parse().unwrap(), &house.client(OFFICER)).unwrap();
    let fetch = ("00000099000000002000".to_owned(), format!("epoch fetch {EPOCH} --salt-file {EPOCH}.salt"));
    let end = (administrator.to_owned(), format!("epoch destroy {EPOCH}"));
    assert_eq!(todo(EPOCH), [fetch, end], "what was done waits no more");
    let destroying = proposed(&house, EPOCH, EpochCommand::destroy).unwrap();
    waits(EPOCH, &destroying, officer, "epoch destroy");
    // A stock that waits: its corporation has done its part, the others have not.
    house.agree("haarlem-2");
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    let owing = |todo: Vec<(String, String)>| {
        todo.iter().filter(|(_, command)| command == "load stock --epoch haarlem-2").count()
    };
    let before = owing(todo("haarlem-2"));
    let args = house.load_args(CORPORATION, Kind::Stock, &house.stock_of("C1"));
    let stock = voorrang::cli::load::load(&args).unwrap().pending.unwrap().to_string();
    assert_eq!(owing(todo("haarlem-2")), before - 1);
    waits("haarlem-2", &stock, officer, "nothing else");
    // As the program shows it.
    let list = |json| epoch::perform(&EpochCommand::List(ListArgs { config: house.party(OFFICER), json })).unwrap();
    let table = list(false);
    assert!(table.contains(&format!("voorrang regulation confirm {stock} by 2026-")), "{table}");
    assert!(table.contains("haarlem-2  loading") && table.starts_with("epoch "), "{table}");
    let shown: Value = serde_json::from_str(&list(true)).unwrap();
    assert_eq!(shown[1]["id"], "haarlem-2");
}

#[test]
fn an_epoch_that_never_answered_is_aborted_by_two() {
    let house = House::open();
    house.announce("haarlem-2").unwrap();
    let proposal = proposed(&house, "haarlem-2", EpochCommand::Abort).unwrap().parse().unwrap();
    assert_eq!(state(&house, "haarlem-2"), json!("announced"));
    let done = confirm(&proposal, &house.client(POPULATION)).unwrap();
    assert_eq!((done.kind.as_str(), state(&house, "haarlem-2")), ("abort-epoch", json!("destroyed")));
    assert!(done.record.unwrap().starts_with("voorrang destruction record v1"));
}
