//! The officer's work on the log, with the commands that she has, against a service that runs.

use std::fs;

use serde_json::{Value, json};
use voorrang::audit::{Action, Outcome};
use voorrang::cli::audit::export::{self, ExportArgs, ExportFormat};
use voorrang::cli::audit::filter::Filter;
use voorrang::cli::audit::subject::{self, SubjectArgs, TokenArgs};
use voorrang::cli::audit::witness;
use voorrang::cli::audit::{LogArgs, VerifyArgs, verify};
use voorrang::cli::client::Refused;
use voorrang::cli::people::PeopleArgs;

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
        profile: None,
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
        let (format, filter, register) = (Some(format), Filter::default(), "https://register.example/".into());
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
        register: String::new(),
    })
    .unwrap();
    assert!(house.file("tiles/checkpoint").exists() && house.file("tiles/tile/entries").is_dir());
    verify(&VerifyArgs { log: log(), receipts: vec![], checkpoint: vec![house.file("tiles/checkpoint")], json: false })
        .unwrap();
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
    verify(&VerifyArgs { log, receipts: vec![], checkpoint: vec![path], json: false }).unwrap();
}

#[test]
fn the_log_gets_a_new_key_that_everybody_takes_from_the_old_one() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let before = house.line(CORPORATION).ask(&value(&encoder, FAMILY)).answered();
    house.verify(std::slice::from_ref(&before)).unwrap();
    let old = house.client(OFFICER).log_keys().unwrap();
    house.stop();
    let new = voorrang::answer::upkeep::rotate_log_key(&house.config()).unwrap();
    house.start();
    let after = house.line(CORPORATION).ask(&value(&encoder, SINGLE)).answered();
    house.verify(&[before, after]).unwrap();
    let known = house.client(OFFICER).log_keys().unwrap();
    assert_eq!((known.current().vkey(), known.to_string().lines().count()), (new, 2));
    assert!(known.to_string().contains(&old.current().vkey()));
    // A key that the remembered one did not announce.
    let place = house.keys().join(format!("{OFFICER}.memory/log.vkey"));
    let (stranger, _) = voorrang::audit::NoteSigner::generate(known.origin()).unwrap();
    fs::write(&place, voorrang::audit::LogKeys::from(stranger.verifier()).to_string()).unwrap();
    assert!(house.verify(&[]).unwrap_err().to_string().contains("did not announce it"));
}
