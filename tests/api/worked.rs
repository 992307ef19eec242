//! The requests that the documentation shows, made as it says and sent.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use voorrang::audit::{Action, Outcome};

use super::support::*;

/// The script of docs/api.md, run beside what `voorrang encode` made of a file.
fn bodies(house: &House, stem: &str, kind: &str, file: &Path) {
    let folder = house.folder();
    let run = |args: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_voorrang")).args(args).current_dir(folder).output().unwrap();
        assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
    };
    let place = |name: String| house.keys().join(name).display().to_string();
    run(&["epoch", "fetch", EPOCH, "--config", &place(format!("{stem}.toml")), "-o", "envelope"]);
    let day = house.reference().to_string();
    run(&[
        "encode",
        kind,
        &file.display().to_string(),
        "--envelope",
        "envelope",
        "--identity",
        &place(format!("{stem}.age")),
        "--parties",
        &place("parties.toml".into()),
        "--reference-date",
        &day,
        "-o",
        "codes.ndjson",
    ]);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).unwrap();
    let script = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    fs::write(folder.join("own.key"), [7; 32]).unwrap();
    let made = Command::new("python3").args(["-c", script, kind, &day]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn bodies_made_as_the_documentation_says_are_taken() {
    let house = House::open();
    let text = |name: &str| fs::read_to_string(house.file(name)).unwrap();
    let value = |name: &str| -> Value { serde_json::from_str(&text(name)).unwrap() };

    bodies(&house, POPULATION, "population", &demo("brp.csv"));
    let mut line = house.line(POPULATION);
    let begun: Value = serde_json::from_slice(&line.json("POST", "/v1/loads", &value("plan.json")).body).unwrap();
    let load = begun["load"].as_str().unwrap();
    assert!(text("chunk.ndjson").len() <= begun["chunkBytes"].as_u64().unwrap() as usize);
    let number =
        fs::read_to_string(demo("brp.csv")).unwrap().lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert!(text("codes.ndjson").contains(&number) && !text("chunk.ndjson").contains(&number));
    let lines = [("Content-Type", "application/x-ndjson")];
    let chunk = format!("/v1/loads/{load}/chunks/0");
    assert_eq!(line.send("PUT", &chunk, &lines, text("chunk.ndjson").as_bytes()).unwrap().status, 200);
    let committed = line.json("POST", &format!("/v1/loads/{load}/commit"), &json!({"chunks": 1}));
    assert_eq!(committed.status, 200, "{}", committed.text());

    bodies(&house, CORPORATION, "tenants", &house.stock_of("C1"));
    let mut line = house.line(CORPORATION);
    assert_eq!(
        line.json("POST", "/v1/priority-questions", &value("question.json")).answered().epoch.to_string(),
        EPOCH
    );
    let told = line.json("POST", "/v1/priority-batches", &value("batch.json"));
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    assert!(told["answers"].as_array().unwrap().iter().all(|one| one["answered"].is_object()), "{told}");
    let begun = line.json("POST", "/v1/question-batches", &value("plan.json"));
    let batch = serde_json::from_slice::<Value>(&begun.body).unwrap()["batch"].as_str().unwrap().to_owned();
    let chunk = format!("/v1/question-batches/{batch}/chunks/0");
    assert_eq!(line.send("PUT", &chunk, &lines, text("questions.ndjson").as_bytes()).unwrap().status, 200);
    let committed = line.json("POST", &format!("/v1/question-batches/{batch}/commit"), &json!({"chunks": 1}));
    assert_eq!(committed.status, 200, "{}", committed.text());
    let asked =
        house.log().iter().filter(|entry| entry.action == Action::Ask && entry.result == Outcome::Answered).count();
    assert!(asked > contracts().len());
}

#[test]
fn the_scripts_of_the_client_s_page_are_shell() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/client.md")).unwrap();
    let scripts: Vec<&str> = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(scripts.len(), 2);
    for script in scripts {
        assert!(Command::new("sh").args(["-n", "-c", script]).status().unwrap().success(), "{script}");
        assert!(script.contains("--resume") && script.contains("exit \"$code\""));
    }
}
