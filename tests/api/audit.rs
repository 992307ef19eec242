//! The officer's work on the log, with the commands that she has, against a service that runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use voorrang::answer::wire::BudgetView;
use voorrang::audit::{Action, Outcome, Range, VerifyError};
use voorrang::cli::audit::export::{self, ExportArgs, ExportFormat};
use voorrang::cli::audit::filter::Filter;
use voorrang::cli::audit::receipts::Incomparable;
use voorrang::cli::audit::subject::{self, SubjectArgs, TokenArgs};
use voorrang::cli::audit::verify::verified;
use voorrang::cli::audit::{LogArgs, LogBroken, Unusable, VerifyArgs, verify};
use voorrang::cli::audit::{list, witness};
use voorrang::cli::client::Refused;
use voorrang::cli::exit_code;
use voorrang::cli::people::PeopleArgs;
use voorrang::cli::query::{self, QueryArgs};

use crate::regulation::{TEAM, told};
use crate::support::{CORPORATION, EPOCH, FAMILY, House, OFFICER, POPULATION, SINGLE, demo, rows, value};

/// Everybody who is registered at the address of the family.
fn family(house: &House) -> std::path::PathBuf {
    let path = house.file("person.csv");
    rows(&demo("brp.csv"), &path, |row| row.contains(",Lange Haversingel,58,"));
    path
}

fn token(house: &House) -> std::path::PathBuf {
    let output = house.file("token.json");
    let config = house.party(POPULATION);
    let args = TokenArgs {
        person: family(house),
        people: PeopleArgs::default(),
        config,
        output: output.clone(),
        profile: vec![],
        salt: vec![],
    };
    subject::token(&args).unwrap();
    output
}

#[test]
fn a_person_s_entries_are_found_by_two_parties_together() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let answered = line.ask(&value(&encoder, FAMILY)).answered();
    line.ask(&value(&encoder, SINGLE)).answered();
    let tokens = token(&house);
    let text = fs::read_to_string(&tokens).unwrap();
    assert!(!text.contains("Haversingel") && !text.contains("1011"), "no address leaves the register holder");
    let report = |json: bool| {
        let output = house.file("report");
        let (tokens, log) = (tokens.clone(), LogArgs::new(house.party(OFFICER)));
        subject::run(&SubjectArgs { tokens, log, output: output.clone(), json }).unwrap();
        fs::read_to_string(output).unwrap()
    };
    let found: Value = serde_json::from_str(&report(true)).unwrap();
    let questions: Vec<_> = found["found"].as_array().unwrap().iter().filter(|row| row["action"] == "ask").collect();
    assert_eq!(questions.len(), 1, "{found}");
    assert_eq!(
        (&questions[0]["answer"], questions[0]["position"].as_u64()),
        (&json!(answered.answer), Some(answered.receipt.index))
    );
    let letter = report(false);
    assert!(letter.contains("| Ymere (OIN 00000099000000004001) | eviction-prevention | 2 | answered |"), "{letter}");
    let looked: Vec<_> = house.log().into_iter().filter(|entry| entry.action == Action::SubjectRead).collect();
    assert_eq!(looked.len(), 2, "each look-up is in the log");
    assert!(looked.iter().all(|entry| entry.result == Outcome::Done && entry.object.is_some()));
}

#[test]
fn no_output_takes_the_place_of_what_it_is_made_of() {
    let house = House::open();
    let (tokens, kept) = (token(&house), house.file("kept"));
    fs::write(&kept, "a salt that nobody has but here").unwrap();
    let made = |output: &Path| {
        let (person, people, salt) =
            (family(&house), PeopleArgs::default(), vec![(EPOCH.parse().unwrap(), kept.clone())]);
        let config = house.party(POPULATION);
        subject::token(&TokenArgs { person, people, config, output: output.into(), profile: vec![], salt })
    };
    let read = |output: &Path| {
        let log = LogArgs::new(house.party(OFFICER));
        subject::run(&SubjectArgs { tokens: tokens.clone(), log, output: output.into(), json: false })
    };
    let refused = |done: anyhow::Result<()>| {
        let error = done.unwrap_err().to_string();
        assert!(error.contains("is what is read"), "{error}");
    };
    [&kept, &family(&house), &house.party(POPULATION)].into_iter().for_each(|output| refused(made(output)));
    [&tokens, &house.party(OFFICER)].into_iter().for_each(|output| refused(read(output)));
    let looked = house.log().into_iter().filter(|entry| entry.action == Action::SubjectRead).count();
    assert_eq!(looked, 0, "nothing was asked");
}

#[test]
fn what_the_care_side_was_told_is_found_in_list_exports_and_letter() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    assert_eq!(told(&house, TEAM, &case, &family).groups["minor"], "yes");
    let mut reading = LogArgs::new(house.party(OFFICER)).reading().unwrap();
    let filter = Filter { action: Some(Action::AskGroups), ..Filter::default() };
    let mut seen = Vec::new();
    list::wanted(&mut reading, &filter, |found| {
        let at = list::COLUMNS.iter().position(|name| *name == "groups").unwrap();
        seen.push((list::table(&found), list::json(&found)?, list::row(&found)[at].clone()));
        Ok(())
    })
    .unwrap();
    drop(reading);
    let (table, json, cell) = &seen[0];
    assert!(table.contains("answered (groups minor-y)") && table.contains(EPOCH), "{table}");
    assert_eq!(serde_json::from_str::<Value>(json).unwrap()["groups"], json!(["minor-y"]));
    assert_eq!((seen.len(), cell.as_str()), (1, "minor-y"));
    let (tokens, output) = (token(&house), house.file("letter"));
    let log = LogArgs::new(house.party(OFFICER));
    subject::run(&SubjectArgs { tokens, log, output: output.clone(), json: false }).unwrap();
    let letter = fs::read_to_string(output).unwrap();
    let (_, care) = letter.split_once("## Vragen van de zorg over dit adres").unwrap();
    let (care, looked) = care.split_once("## Inzage in het logboek").unwrap();
    assert!(care.contains("| answered | minderjarig · minor: ja · yes | haarlem: "), "{care}");
    assert!(!looked.contains("ask-groups"), "{looked}");
}

#[test]
fn nobody_but_an_officer_learns_a_pseudonym() {
    let house = House::open();
    let tokens = token(&house);
    for party in [POPULATION, CORPORATION] {
        let (tokens, log) = (tokens.clone(), LogArgs::new(house.party(party)));
        let output = house.file("report");
        let refused = subject::run(&SubjectArgs { tokens, log, output: output.clone(), json: true }).unwrap_err();
        assert!(refused.downcast_ref::<Refused>().is_some() && !output.exists());
    }
    let mut line = house.line(OFFICER);
    let unknown = line.json(
        "POST",
        "/v1/access-log/subjects",
        &json!({"epoch": "haarlem-9", "address": "AAAAAAAAAAAAAAAAAAAAAA=="}),
    );
    unknown.is_problem(404, "unknown_epoch");
}

#[test]
fn the_log_leaves_in_every_form_without_the_service() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let answered = house.line(CORPORATION).ask(&value(&encoder, FAMILY)).answered();
    house.verify(std::slice::from_ref(&answered)).unwrap();
    house.stop();
    let log = || LogArgs { offline: true, ..LogArgs::new(house.party(OFFICER)) };
    let export = |format: ExportFormat| {
        let output = house.file("export");
        let (format, filter, register) = (Some(format), Filter::default(), Some("https://register.example/".into()));
        export::run(&ExportArgs { log: log(), tiles: None, format, output: Some(output.clone()), filter, register })
            .unwrap();
        fs::read_to_string(output).unwrap()
    };
    let lines = |text: String| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let entries = lines(export(ExportFormat::Ndjson));
    let asked = entries.iter().find(|entry| entry["position"].as_u64() == Some(answered.receipt.index)).unwrap();
    assert_eq!(asked["answer"], json!(answered.answer));
    assert_eq!(export(ExportFormat::Csv).lines().count(), entries.len() + 1);
    let ldv = lines(export(ExportFormat::Ldv));
    let ldv: Vec<_> = ldv.into_iter().filter(|record| record["name"] == "bevragen-prioriteit").collect();
    assert_eq!((ldv.len(), &ldv[0]["status"]), (1, &json!("Ok")));
    for name in ["trace_id", "span_id", "name", "start_time", "end_time", "attributes"] {
        assert!(!ldv[0][name].is_null(), "{name}");
    }
    let activity = &ldv[0]["attributes"]["dpl.core.processing_activity_id"];
    assert_eq!(activity, "https://register.example/bevragen-prioriteit");
    assert!(!ldv[0].to_string().contains("00000099000000004001"), "the standard has no users in its records");
    assert_eq!(lines(export(ExportFormat::Nen7513)).len(), entries.len());
    let tiles = Some(house.file("tiles"));
    export::run(&ExportArgs {
        log: log(),
        tiles,
        format: None,
        output: None,
        filter: Filter::default(),
        register: None,
    })
    .unwrap();
    assert!(house.file("tiles/checkpoint").exists() && house.file("tiles/tile/entries").is_dir());
    verify(&VerifyArgs {
        log: log(),
        checkpoint: vec![house.file("tiles/checkpoint")],
        ..VerifyArgs::new(house.party(OFFICER), vec![])
    })
    .unwrap();
}

#[test]
fn an_export_is_recorded_before_it_is_written_and_one_without_the_service_at_the_next_contact() {
    let mut house = House::open();
    house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    let exported = |house: &House| -> Vec<Range> {
        let exports = house.log().into_iter().filter(|entry| entry.action == Action::LogExport);
        exports.map(|entry| entry.entries.unwrap()).collect()
    };
    let export = |house: &House, offline: bool, format: ExportFormat, action: Option<Action>| {
        let (log, output) = (LogArgs { offline, ..LogArgs::new(house.party(OFFICER)) }, house.file("export"));
        let (format, filter) = (Some(format), Filter { action, ..Filter::default() });
        export::run(&ExportArgs { log, tiles: None, format, output: Some(output), filter, register: None })
    };
    export(&house, false, ExportFormat::Ldv, None).unwrap();
    let text = fs::read_to_string(house.file("export")).unwrap();
    let register = &house.config().ldv.register;
    assert!(text.contains(&format!("{register}/bevragen-prioriteit")), "the service's own register: {text}");
    let first = exported(&house);
    assert!(matches!(first[..], [Range { from: 0, to }] if to > 9), "{first:?}");
    fs::remove_file(house.file("export")).unwrap();
    house.stop();
    assert!(export(&house, false, ExportFormat::Csv, None).is_err() && !house.file("export").exists());
    assert!(export(&house, true, ExportFormat::Nen7513, None).is_err(), "nobody says which register");
    export(&house, true, ExportFormat::Csv, Some(Action::Ask)).unwrap();
    house.start();
    assert_eq!(exported(&house).len(), 1);
    house.verify(&[]).unwrap();
    house.verify(&[]).unwrap();
    let all = exported(&house);
    assert!(all.len() == 2 && all[1].to == all[1].from + 1, "the one question, told once: {all:?}");
    let mut line = house.line(OFFICER);
    line.json("POST", "/v1/access-log/exports", &json!({"from": 2, "to": 1})).is_problem(422, "export");
    house
        .line(CORPORATION)
        .json("POST", "/v1/access-log/exports", &json!({"from": 0, "to": 1}))
        .is_problem(403, "refused");
}

#[test]
fn an_officer_sees_what_each_corporation_may_ask() {
    let house = House::open();
    let reply = house.line(OFFICER).get("/v1/access-log/budgets");
    let budgets: Vec<BudgetView> = serde_json::from_slice(&reply.body).unwrap();
    let budget = house.regulation.budgets();
    assert_eq!((budgets.len(), budgets[0].dwellings, budgets[0].oin.as_str()), (1, 1400, "00000099000000004001"));
    assert_eq!((budgets[0].alarm, budgets[0].stop), (budget.alarm(1400), budget.stop(1400)));
    house.line(CORPORATION).get("/v1/access-log/budgets").is_problem(403, "refused");
}

#[test]
fn a_witness_cosigns_as_the_log_grows() {
    let house = House::open();
    let args = house.witness();
    let look = || witness::look(&args, &house.party(OFFICER)).unwrap();
    let first = look();
    house.verify(&[]).unwrap();
    let second = look();
    let size = |note: &str| note.lines().nth(1).unwrap().parse::<u64>().unwrap();
    assert!(size(&second) > size(&first));
    assert_eq!(second.lines().filter(|line| line.starts_with("— officer.example/w1 ")).count(), 1);
    let path = house.file("cosigned");
    fs::write(&path, first).unwrap();
    // A copy that cannot be read any more is replaced by a whole one.
    let state = house.keys().join(format!("{OFFICER}.memory/log/state.json"));
    fs::write(&state, "x").unwrap();
    assert!(house.verify(&[]).is_err());
    let log = LogArgs { fresh: true, ..LogArgs::new(house.party(OFFICER)) };
    verify(&VerifyArgs { log, checkpoint: vec![path], ..VerifyArgs::new(house.party(OFFICER), vec![]) }).unwrap();
}

#[test]
fn the_log_gets_a_new_key_that_everybody_takes_from_the_old_one() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let before = house.line(CORPORATION).ask(&value(&encoder, FAMILY)).answered();
    house.verify(std::slice::from_ref(&before)).unwrap();
    let old = house.client(OFFICER).log_keys().unwrap();
    house.stop();
    let new = voorrang::answer::upkeep::rotate_log_key(&house.config(), &house.clock).unwrap();
    house.start();
    let after = house.line(CORPORATION).ask(&value(&encoder, SINGLE)).answered();
    house.verify(&[before, after]).unwrap();
    let known = house.client(OFFICER).log_keys().unwrap();
    assert_eq!((known.current().vkey(), known.to_string().lines().count()), (new, 2));
    assert_eq!(house.log().iter().filter(|entry| entry.action == Action::LogKey).count(), 1);
    assert!(known.to_string().contains(&old.current().vkey()));
    // A key that the remembered one did not announce.
    let place = house.keys().join(format!("{OFFICER}.memory/log.vkey"));
    let (stranger, _) = voorrang::audit::NoteSigner::generate(known.origin()).unwrap();
    fs::write(&place, voorrang::audit::LogKeys::from(stranger.verifier()).to_string()).unwrap();
    let error = house.verify(&[]).unwrap_err();
    assert!(error.to_string().contains("did not announce it") && exit_code(&error) == 5);
}

#[test]
fn a_witness_follows_a_new_key_and_cries_out_at_one_that_was_not_announced() {
    let mut house = House::open();
    let args = house.witness();
    witness::look(&args, &house.party(OFFICER)).unwrap();
    house.stop();
    voorrang::answer::upkeep::rotate_log_key(&house.config(), &house.clock).unwrap();
    house.start();
    witness::look(&args, &house.party(OFFICER)).unwrap();
    // Another log in its place, under a key of its own and with entries of its own.
    house.stop();
    for lost in [house.state(), house.keys().join("anchor")] {
        fs::remove_dir_all(lost).unwrap();
    }
    for part in ["keys", "epoch-keys"].map(|name| house.keys().join(name)) {
        drop(fs::remove_dir_all(part));
    }
    // The regulation is activated by parties who remember the old key too.
    house.lawless = true;
    let (officer, administrator) = (format!("{OFFICER}.memory"), "ict-dienst-kennemerland.memory");
    fs::rename(house.keys().join(&officer), house.file("memory")).unwrap();
    drop(fs::remove_dir_all(house.keys().join(administrator)));
    house.start();
    drop(fs::remove_dir_all(house.keys().join(&officer)));
    fs::rename(house.file("memory"), house.keys().join(&officer)).unwrap();
    let (told, said) = house.alarmed(args);
    assert!(matches!(told, LogBroken::OtherKey { .. }), "{told}");
    assert_eq!(said, "key");
}

#[test]
fn what_is_handed_in_and_is_no_evidence_accuses_nobody() {
    let house = House::open();
    let answered = house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    house.verify(std::slice::from_ref(&answered)).unwrap();
    // A leaf that nobody ever signed, over a checkpoint that is genuine.
    let mut forged = answered.clone();
    forged.receipt.leaf = voorrang::audit::leaf_hash(b"made up");
    let junk = house.file("junk");
    fs::write(&junk, "junk").unwrap();
    let with = |receipts: Vec<std::path::PathBuf>, checkpoint: Vec<std::path::PathBuf>| {
        verify(&VerifyArgs { checkpoint, ..VerifyArgs::new(house.party(OFFICER), receipts) }).unwrap_err()
    };
    for error in
        [house.verify(&[forged]).unwrap_err(), with(vec![junk.clone()], vec![]), with(vec![], vec![junk.clone()])]
    {
        assert_eq!(exit_code(&error), 4, "{error:#}");
        assert!(error.downcast_ref::<Unusable>().is_some() && error.downcast_ref::<LogBroken>().is_none());
    }
    let cut = house.keys().join(format!("{OFFICER}.memory/log/entries"));
    fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(100).unwrap();
    assert_eq!(exit_code(&house.verify(&[]).unwrap_err()), 4);
}

#[test]
fn a_party_gets_a_proof_and_a_trace_with_each_answer() {
    let house = House::open();
    let output = house.file("flags.csv");
    let (arrears, tenants) = (demo("achterstanden.csv"), demo("huurders.csv"));
    let day = Some(voorrang::clock::Clock::standing(crate::support::NOW).now().date());
    for batch in [false, true] {
        let args = QueryArgs::new(arrears.clone(), tenants.clone(), house.party(CORPORATION), output.clone());
        query::ask_all(&QueryArgs { day, batch, ..args }).unwrap();
        let mut rows = csv::Reader::from_path(&output).unwrap();
        let rows: Vec<BTreeMap<String, String>> = rows.deserialize().map(Result::unwrap).collect();
        assert!(rows.len() > 1 && rows.iter().all(|row| row["trace_id"].len() == 32), "{} answers", rows.len());
        let proved: Vec<_> = rows.iter().filter(|row| !row["proof"].is_empty()).collect();
        // Of a batch eight of each page are.
        assert_eq!(proved.len(), if batch { rows.len().min(8) } else { rows.len() });
        let args = || VerifyArgs::new(house.party(OFFICER), vec![output.clone()]);
        let held = verified(&args()).unwrap();
        assert_eq!((held.report.receipts, held.incomparable), (rows.len() as u64, Incomparable::default()));
        // An answer from another question's entry.
        let text = fs::read_to_string(&output).unwrap();
        let trace = &rows[0]["trace_id"];
        fs::write(&output, text.replace(trace, "00112233445546778899aabbccddeeff")).unwrap();
        let error = verify(&args()).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(LogBroken::OtherQuestion { .. })), "{error:#}");
        // And a proof of another entry.
        fs::write(&output, text.replacen(&proved[0]["proof"], &proved[1]["proof"], 1)).unwrap();
        assert_eq!(exit_code(&verify(&args()).unwrap_err()), 4);
    }
}

#[test]
fn a_cosignature_is_asked_for_by_name() {
    let house = House::open();
    let args = house.witness();
    let path = house.file("cosigned");
    fs::write(&path, witness::look(&args, &house.party(OFFICER)).unwrap()).unwrap();
    let key = voorrang::witness::Keeper::open(&args.state, None, []).unwrap().verifier().vkey();
    let (stranger, _) = voorrang::audit::Cosigner::generate("officer.example/w1").unwrap();
    let stranger = stranger.verifier().vkey();
    let with = |witness: &[&String], quorum| {
        let witness = witness.iter().map(|key| (*key).clone()).collect();
        let args = VerifyArgs::new(house.party(OFFICER), vec![]);
        verified(&VerifyArgs { checkpoint: vec![path.clone()], witness, quorum, ..args })
            .map_err(|mut all| all.swap_remove(0))
    };
    let cosigned = with(&[&key], None).unwrap().cosigned;
    assert_eq!((cosigned.len(), cosigned[0].0.as_str()), (1, "officer.example/w1"));
    assert_eq!(with(&[&key, &stranger], Some(1)).unwrap().cosigned, cosigned);
    for (keys, quorum) in [(vec![&stranger], None), (vec![&key, &stranger], None), (vec![&key], Some(2))] {
        let error = with(&keys, quorum).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Unusable::Cosignatures { .. })), "{error:#}");
        assert_eq!(exit_code(&error), 4);
    }
}

#[test]
fn what_is_newer_than_the_copy_accuses_nobody_offline() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    house.verify(&[]).unwrap();
    let told = house.line(CORPORATION).ask(&family).answered();
    let (note, receipts) = (house.file("newer.note"), house.file("newer.csv"));
    fs::write(&note, &told.receipt.checkpoint).unwrap();
    let (answer, receipt) = (&told.answer, &told.receipt);
    let row = format!("{answer},{EPOCH},{},{},{}", receipt.index, receipt.leaf, STANDARD.encode(&receipt.checkpoint));
    fs::write(&receipts, format!("answer,epoch,log_index,leaf_hash,checkpoint\n{row}\n")).unwrap();
    for (receipts, checkpoint) in [(vec![receipts.clone()], vec![]), (vec![], vec![note.clone()])] {
        let held = |offline| {
            let log = LogArgs { offline, ..LogArgs::new(house.party(OFFICER)) };
            let checkpoint = checkpoint.clone();
            verify(&VerifyArgs { log, checkpoint, ..VerifyArgs::new(house.party(OFFICER), receipts.clone()) })
        };
        let error = held(true).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Unusable::Newer { .. })), "{error:#}");
        assert_eq!(exit_code(&error), 4);
    }
}

#[test]
fn a_lost_memory_is_made_up_for_by_the_copy() {
    let house = House::open();
    house.verify(&[]).unwrap();
    fs::remove_file(house.keys().join(format!("{OFFICER}.memory/checkpoints"))).unwrap();
    assert!(house.verify(&[]).unwrap().remembered_size > 0);
}

#[test]
fn contents_that_an_administrator_deletes_are_missed_by_the_officer_and_at_the_next_start() {
    let mut house = House::open();
    let answered = house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    house.verify(&[]).unwrap();
    let index = answered.receipt.index;
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM entry WHERE idx = ?1", [index.cast_signed()]).unwrap(), 1);
    let missed = |fresh: bool| {
        let log = LogArgs { fresh, ..LogArgs::new(house.party(OFFICER)) };
        let error = verify(&VerifyArgs { log, ..VerifyArgs::new(house.party(OFFICER), vec![]) }).unwrap_err();
        assert_eq!(exit_code(&error), 5);
        match error.downcast_ref() {
            Some(LogBroken::Verify(VerifyError::GoneEarly { index }, _)) => *index,
            _ => panic!("{error:#}"),
        }
    };
    assert_eq!(missed(true), index, "a copy that holds them is not replaced by one that does not");
    let memory = house.keys().join(format!("{OFFICER}.memory"));
    let copy = fs::read(memory.join("log/entries")).unwrap();
    assert!(String::from_utf8_lossy(&copy).contains("\"action\":\"ask\""), "the officer's copy still holds them");
    fs::rename(&memory, memory.with_extension("aside")).unwrap();
    assert_eq!(missed(false), index, "whoever has no copy yet misses them too");
    drop(db);
    house.stop();
    let Err(refused) = voorrang::answer::server::start(house.config(), house.clock.clone()) else {
        panic!("it starts on a log of which somebody removed a part");
    };
    let why = std::iter::successors(Some(&refused as &dyn std::error::Error), |error| error.source());
    assert!(
        why.map(|error| error.to_string())
            .any(|text| text.contains(&format!("entry {index} of the access log is empty")))
    );
}
