//! The requests that the documentation shows, made as it says and sent.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use voorrang::audit::{Action, Outcome};
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::cli::query::{self, QueryArgs};

use super::support::*;

/// What README shows under this heading, in the first block of this language.
fn block(heading: &str, language: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, block) = section.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_requests_of_the_front_page_are_answered_as_they_stand_there() {
    let house = House::outside();
    // Where the walk above them put its files.
    symlink(house.keys(), house.file("parties")).unwrap();
    fs::create_dir(house.file("data")).unwrap();
    symlink(house.town(), house.file("data/brp.csv")).unwrap();
    fs::rename(house.stock_of("C1"), house.file("tenants.csv")).unwrap();
    let rows: String = contracts().iter().map(|contract| format!("{contract},3\n")).collect();
    fs::write(house.file("arrears.csv"), format!("contract_id,maanden\n{rows}")).unwrap();

    let script = block("Requests with curl", "sh").replace(":8443/", &format!(":{}/", house.port()));
    assert!(script.matches("as ymere").count() >= 3 && script.matches("as $city").count() >= 4, "{script}");
    let program = Path::new(env!("CARGO_BIN_EXE_voorrang")).parent().unwrap().display().to_string();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script]).env("PATH", path).current_dir(house.folder());
    let run = bash.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}{err}");
    assert!(out.contains("HTTP/1.1 204") && out.contains("\"answer\":\"priority\""), "{out}");
    let last = |action: Action| house.log().into_iter().rfind(|entry| entry.action == action).unwrap().result;
    assert_eq!((last(Action::Ask), last(Action::Load)), (Outcome::Answered, Outcome::Done));
    // The custodian's numbers stay where they are.
    let number =
        fs::read_to_string(demo("brp.csv")).unwrap().lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    for file in fs::read_dir(house.file("loaded")).unwrap() {
        assert!(!fs::read_to_string(file.unwrap().path()).unwrap().contains(&number));
    }
}

#[test]
fn bodies_of_questions_are_answered_together_and_as_a_batch() {
    let house = House::open();
    let asked = house.file("asked");
    let rows: String = contracts().iter().map(|contract| format!("{contract},3\n")).collect();
    fs::write(house.file("arrears.csv"), format!("contract_id,maanden\n{rows}")).unwrap();
    let args = QueryArgs {
        dry_run: true,
        bodies: Some(asked.clone()),
        ..QueryArgs::new(house.file("arrears.csv"), house.stock_of("C1"), house.party(CORPORATION), house.file("f.csv"))
    };
    query::ask_all(&args).unwrap();
    assert!(query::ask_all(&args).is_err(), "chunks of two runs do not mix");
    let text = |name: &str| fs::read_to_string(asked.join(name)).unwrap();
    let value = |name: &str| -> Value { serde_json::from_str(&text(name)).unwrap() };
    let mut line = house.line(CORPORATION);
    let told = line.json("POST", "/v1/priority-batches", &value("batch.json"));
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    let told = told["answers"].as_array().unwrap();
    assert!(told.len() == contracts().len() && told.iter().all(|one| one["answered"].is_object()), "{told:?}");
    let begun = line.json("POST", "/v1/question-batches", &value("plan.json"));
    let batch = serde_json::from_slice::<Value>(&begun.body).unwrap()["batch"].as_str().unwrap().to_owned();
    let path = format!("/v1/question-batches/{batch}");
    let headers = [("Content-Type", "application/x-ndjson")];
    let put = line.send("PUT", &format!("{path}/chunks/0"), &headers, text("chunk-0.ndjson").as_bytes()).unwrap();
    assert_eq!(put.status, 200, "{}", put.text());
    let committed = line.json("POST", &format!("{path}/commit"), &value("commit.json"));
    assert_eq!(committed.status, 200, "{}", committed.text());
}

#[test]
fn the_body_that_commits_a_load_accepts_what_the_command_accepts() {
    let house = House::open();
    for accept_shrink in [false, true] {
        let bodies = house.file(&format!("loaded-{accept_shrink}"));
        let args = house.load_args(POPULATION, Kind::Population, &demo("brp.csv"));
        load::load(&LoadArgs { dry_run: true, bodies: Some(bodies.clone()), accept_shrink, ..args }).unwrap();
        let commit: Value = serde_json::from_str(&fs::read_to_string(bodies.join("commit.json")).unwrap()).unwrap();
        assert_eq!(commit["acceptShrink"].as_bool().unwrap_or_default(), accept_shrink, "{commit}");
    }
}

#[test]
fn answers_for_a_system_that_speaks_vera_have_its_names_and_no_more_than_the_answer() {
    let house = House::open();
    fs::write(house.file("arrears.csv"), format!("contract_id,maanden\n{FAMILY},3\n")).unwrap();
    let vera = house.file("answers.json");
    let args = QueryArgs {
        vera: Some(vera.clone()),
        ..QueryArgs::new(house.file("arrears.csv"), house.stock_of("C1"), house.party(CORPORATION), house.file("f.csv"))
    };
    query::ask_all(&args).unwrap();
    let told: Value = serde_json::from_str(&fs::read_to_string(vera).unwrap()).unwrap();
    let moment = told["tijdstipBericht"].as_str().unwrap();
    assert!(moment.ends_with('Z') && moment.len() == "2026-11-22T03:00:00Z".len(), "whole seconds: {moment}");
    let [one] = &told["huurovereenkomsten"].as_array().unwrap()[..] else { panic!("{told}") };
    let trace = house.log().into_iter().rfind(|entry| entry.action == Action::Ask).unwrap().trace_id.to_string();
    assert_eq!(*one, json!({"idExtern": FAMILY, "antwoord": "priority", "referentienummer": trace}));
    assert!(!told.to_string().contains("ignalering"), "it is nothing to keep");
}

#[test]
fn the_scripts_of_the_client_s_page_are_shell() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/client.md")).unwrap();
    let scripts: Vec<&str> = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(scripts.len(), 3);
    for script in &scripts {
        assert!(Command::new("sh").args(["-n", "-c", script]).status().unwrap().success(), "{script}");
        assert!(script.contains("exit \"$code\""));
    }
    assert!(scripts[1..].iter().all(|script| script.contains("--resume")));
}

/// Its code goes on to whoever waits, its words to the system's log and to cron's mail; a night that went well is silent.
#[test]
fn a_night_that_fails_is_heard_and_its_exit_code_kept() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/client.md")).unwrap();
    let script = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let logger = folder.path().join("logger");
    fs::write(&logger, "#!/bin/sh\necho \"$@\" >>logged\n").unwrap();
    fs::set_permissions(&logger, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let heard = |command: &str| {
        let mut run = Command::new("sh");
        run.args(["-c", script, "heard", "query", "sh", "-c", command]).env("PATH", &path).current_dir(&folder);
        let ended = run.output().unwrap();
        let logged = fs::read_to_string(folder.path().join("logged")).unwrap_or_default();
        (ended.status.code(), String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap(), logged)
    };
    assert_eq!(heard("echo asked; echo warned >&2"), (Some(0), String::new(), String::new()));
    let (code, mail, logged) = heard("echo 'arrears.csv cannot be read' >&2; exit 4");
    assert_eq!(code, Some(4));
    assert!(mail.contains("exit code 4") && !mail.contains("arrears"), "what it says stays: {mail}");
    assert!(logged.contains("user.err") && logged.contains("exit code 4"), "{logged}");
    let kept = fs::read_to_string(folder.path().join("query.log")).unwrap();
    assert_eq!(kept, "asked\nwarned\narrears.csv cannot be read\n");
}

/// Each night has its own files of arrears; what is handed over is that night's, or nothing.
#[test]
fn a_night_that_fails_hands_over_nothing_of_the_night_before() {
    let house = House::outside();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/client.md")).unwrap();
    let script = page.split("```sh\n").skip(1).last().unwrap().split("```").next().unwrap();
    let (own, shared) = (house.file("own"), house.file("shared"));
    for folder in [&own, &shared] {
        fs::create_dir(folder).unwrap();
    }
    fs::copy(house.stock_of("C1"), shared.join("tenants.json")).unwrap();
    let script = script.replace("/var/lib/voorrang-client", &own.display().to_string());
    let script = script.replace("/mnt/c/Voorrang", &shared.display().to_string()).replace("--format vera", "");
    let script = script.replace("client.toml", &house.party(CORPORATION).display().to_string());
    let path = format!(
        "{}:{}",
        Path::new(env!("CARGO_BIN_EXE_voorrang")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let night = |rows: &str| {
        fs::write(shared.join("arrears.csv"), format!("contract_id,maanden\n{rows}")).unwrap();
        let status = Command::new("sh").args(["-c", &script]).env("PATH", &path).status().unwrap();
        let handed = fs::read_dir(&shared).unwrap().map(|file| file.unwrap().path());
        let handed: Vec<_> =
            handed.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("flags")).collect();
        let lines = handed.iter().map(|path| fs::read_to_string(path).unwrap().lines().count()).collect::<Vec<_>>();
        handed.iter().for_each(|path| fs::remove_file(path).unwrap());
        (status.code().unwrap(), lines)
    };
    assert_eq!(night(&format!("{FAMILY},3\n")), (0, vec![2]));
    assert_eq!(night("K-unknown,3\n"), (4, vec![]), "a file with errors");
    assert_eq!(night(""), (0, vec![1]), "nobody is in arrears");
}
