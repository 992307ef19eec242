//! `voorrang privacy-report`: statistics, attacks with their control, gates, and files that are not what they should be.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

use super::*;

const GATE_FAILS: i32 = 6;

/// Encodes the demonstration's residents; more arguments as given.
fn encoded(folder: &Path, output: &str, more: &[&str]) {
    let mut command = voorrang();
    command.current_dir(folder).args(["encode", "population", "data/brp.csv", "--reference-date", "2026-01-01"]);
    command.args(["--salt-file", "salt.hex", "-o", output]).args(more).assert().success();
}

fn report(folder: &Path, args: &[&str]) -> Command {
    let mut command = voorrang();
    command.current_dir(folder).arg("privacy-report").args(args);
    command
}

/// An attack on a small sample of the demonstration; the report as JSON.
fn attacked(folder: &Path, n: &str, known: &str, more: &[&str]) -> (Option<i32>, Value) {
    let mut command =
        report(folder, &["codes.ndjson", "--people", "data/brp.csv", "--day", "2026-01-01", "--keys", "2"]);
    let output = command.args(["-n", n, "--known", known, "--json", "report.json"]).args(more).output().unwrap();
    let json =
        fs::read(folder.join("report.json")).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), serde_json::from_slice(&json).unwrap())
}

fn attack<'a>(report: &'a Value, title: &str, codes: &str) -> &'a Value {
    let is = |attack: &&Value| attack["attack"] == title && attack["codes"] == codes;
    report["attacks"].as_array().unwrap().iter().find(is).unwrap()
}

#[test]
fn known_pairs_open_plain_filters_and_not_the_hardened_codes() {
    let folder = workplace();
    encoded(folder.path(), "codes.ndjson", &[]);
    let (_, report) = attacked(folder.path(), "200", "100", &[]);
    let rate = |title, codes| attack(&report, title, codes)["reidentified"].as_f64().unwrap();
    assert!(rate("known pairs", "plain CLK (names)") >= 0.99, "{report}");
    for (title, codes) in [
        ("known pairs, strong", "names"),
        ("known pairs, strong, no address-mate known", "all passes"),
        ("graph matching", "all passes"),
    ] {
        assert_eq!(attack(&report, title, codes)["holds"], true, "{title}: {report}");
    }
    // Address salt alone does not hide a household; on two hundred people diffusion only begins to.
    let plain = attack(&report, "household signature", "plain CLK (home)");
    assert!(plain["reidentified"].as_f64().unwrap() > 2.0 * plain["chance"].as_f64().unwrap(), "{plain}");
    assert!(plain["reidentified"].as_f64().unwrap() > rate("household signature", "home"));
    let every = attack(&report, "household signature", "plain CLK (all passes)");
    assert!(every["reidentified"].as_f64().unwrap() > 5.0 * every["chance"].as_f64().unwrap(), "{every}");
    // All passes side by side, as a thief has them, have the gate that each has; of so few people it may fail.
    let all = attack(&report, "household signature", "all passes");
    assert!(all["reidentified"].is_f64() && all["gate"] == "at most 3 x chance", "{all}");
    assert_eq!(report["sample"]["people"], 200);
}

/// Ids repeat in every export: codes of others would be attacked with what these people would have, and hold every gate.
#[test]
fn other_people_under_the_ids_of_the_codes_are_refused() {
    let folder = workplace();
    encoded(folder.path(), "codes.ndjson", &[]);
    let people = fs::read_to_string(folder.path().join("data/brp.csv")).unwrap();
    let (header, rows) = people.split_once('\n').unwrap();
    let (ids, rest): (Vec<_>, Vec<_>) = rows.lines().map(|row| row.split_once(',').unwrap()).unzip();
    // The same ids, and behind each the next one's row.
    let turned = ids.iter().zip(rest.iter().cycle().skip(1)).map(|(id, rest)| format!("{id},{rest}\n"));
    fs::write(folder.path().join("others.csv"), format!("{header}\n{}", turned.collect::<String>())).unwrap();
    let args = ["codes.ndjson", "--people", "others.csv", "--day", "2026-01-01", "-n", "200"];
    let output = report(folder.path(), &args).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{error}");
    assert!(error.contains("others.csv are not the people of these codes"), "{error}");
}

#[test]
fn codes_that_are_hardly_diffused_fail_the_gates() {
    let folder = workplace();
    let profile =
        voorrang::profile::BUILT_IN.replace("diffusion = 7", "diffusion = 2").replace("diffusion = 3", "diffusion = 1");
    fs::write(folder.path().join("weak.toml"), profile).unwrap();
    encoded(folder.path(), "codes.ndjson", &["--profile", "weak.toml"]);
    let (code, report) = attacked(folder.path(), "160", "80", &["--profile", "weak.toml"]);
    assert_eq!((code, &report["gatesHold"]), (Some(GATE_FAILS), &Value::Bool(false)));
    let strong = attack(&report, "known pairs, strong", "names");
    assert!(strong["holds"] == false && strong["reidentified"].as_f64().unwrap() > 0.2, "{strong}");
}

#[test]
fn the_same_seed_makes_the_same_report_and_the_page_loads_nothing() {
    let folder = workplace();
    encoded(folder.path(), "codes.ndjson", &[]);
    let page = |seed: &str| {
        // The graph of sixty people is too small for the control, so a gate fails and the report is there all the same.
        let (code, json) = attacked(folder.path(), "60", "20", &["--seed", seed, "-o", "report.html"]);
        assert_eq!(code, Some(GATE_FAILS), "{json}");
        fs::read_to_string(folder.path().join("report.html")).unwrap()
    };
    let once = page("1");
    assert!(once == page("1") && once != page("2"));
    assert!(once.contains("<svg") && once.contains("FAIL"));
    for word in ["<script", "http:", "https:", "src=", "href=", "url("] {
        assert!(!once.contains(word), "{word}");
    }
}

#[test]
fn the_numbers_of_known_pairs_are_told_as_they_are_given() {
    let help = voorrang().args(["privacy-report", "--help"]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("[default: 200,1000]"));
}

#[test]
fn without_people_there_are_statistics_and_no_verdict() {
    let folder = workplace();
    encoded(folder.path(), "codes.ndjson", &[]);
    let output =
        report(folder.path(), &["codes.ndjson", "-o", "report.html", "--json", "report.json"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("attacks need the people") && text.contains("No verdict"), "{text}");
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert!(json["gatesHold"].is_null() && json["attacks"].as_array().unwrap().is_empty());
    for pass in json["passes"].as_array().unwrap() {
        assert!((pass["fill"].as_f64().unwrap() - 0.5).abs() < 0.01, "{pass}");
        // Without a date, housemates of the same name have the same code.
        let namesakes = pass["name"].as_str().unwrap().ends_with("-sex-initial");
        assert!(namesakes || pass["equalCodes"] == 0, "{pass}");
    }
    // A code or two a person, as the profile says.
    let codes = |pass: &Value| pass["codes"].as_u64().unwrap();
    let counts: Vec<u64> = json["passes"].as_array().unwrap().iter().map(codes).collect();
    assert_eq!(counts, [2 * 747, 2 * 747, 747, 747, 747, 747, 747, 747, 747, 747]);
    assert_eq!(json["records"], serde_json::json!({"encoded": 747, "withoutCodes": 154}));
}

#[test]
fn the_report_holds_no_word_of_a_person() {
    let folder = workplace();
    encoded(folder.path(), "codes.ndjson", &[]);
    let (_, json) = attacked(folder.path(), "60", "20", &["-o", "report.html"]);
    let text = json.to_string() + &fs::read_to_string(folder.path().join("report.html")).unwrap();
    for row in rows(&folder.path().join("data/brp.csv")) {
        for column in ["person_id", "bsn", "huishouden_id", "postcode", "geboortedatum"] {
            assert!(!text.contains(&row[column]), "{column}");
        }
    }
}

#[test]
fn files_of_another_salt_epoch_or_schema_are_named_and_refused() {
    let folder = workplace();
    let path = folder.path();
    encoded(path, "codes.ndjson", &[]);
    encoded(path, "epoch.ndjson", &["--epoch", "other"]);
    fs::write(path.join("salt.hex"), SALT.replace("00", "ff")).unwrap();
    encoded(path, "salt.ndjson", &[]);
    fs::write(path.join("other.toml"), voorrang::profile::BUILT_IN.replace("diffusion = 7", "diffusion = 5")).unwrap();
    encoded(path, "schema.ndjson", &["--profile", "other.toml"]);
    for (file, what) in [("epoch", "epoch"), ("salt", "key-check value"), ("schema", "schema hash")] {
        let stderr = fails(&mut report(path, &["codes.ndjson", &format!("{file}.ndjson"), "-o", "r.html"]), 4);
        assert!(stderr.contains(&format!("{file}.ndjson: its {what}")), "{stderr}");
    }
    assert!(fails(&mut report(path, &["schema.ndjson"]), 4).contains("--profile"));
    assert!(fails(&mut report(path, &["codes.ndjson", "codes.ndjson"]), 4).contains("line 1: an id"));
    assert!(!path.join("r.html").exists());
}

#[test]
fn a_file_that_is_no_whole_file_of_codes_is_refused_by_its_line() {
    let folder = workplace();
    let path = folder.path();
    encoded(path, "codes.ndjson", &[]);
    let good = fs::read_to_string(path.join("codes.ndjson")).unwrap();
    fs::write(path.join("cut.ndjson"), &good[..good.len() - 100]).unwrap();
    fs::write(path.join("empty.ndjson"), "").unwrap();
    encoded(path, "filters.ndjson", &["--lab-filters"]);
    for (file, says) in [
        ("cut.ndjson", "line 901"),
        ("empty.ndjson", "has no records"),
        ("data/brp.csv", "line 1"),
        ("nowhere.ndjson", "cannot be opened"),
        ("filters.ndjson", "made with another profile"),
    ] {
        let stderr = fails(&mut report(path, &[file, "-o", "r.html", "--json", "r.json"]), 4);
        assert!(stderr.contains(says), "{stderr}");
        assert!(!stderr.contains("P0000"), "{stderr}");
    }
    assert!(!path.join("r.html").exists() && !path.join("r.json").exists());
}

#[test]
fn people_who_are_not_those_of_the_codes_are_refused() {
    let folder = workplace();
    let path = folder.path();
    encoded(path, "codes.ndjson", &[]);
    let people = fs::read_to_string(path.join("data/brp.csv")).unwrap();
    let half: Vec<&str> = people.lines().take(400).collect();
    fs::write(path.join("half.csv"), half.join("\n")).unwrap();
    fs::write(path.join("others.csv"), people.replace("P0", "Q0")).unwrap();
    let run = |file: &str, more: &[&str]| {
        let mut command = report(path, &["codes.ndjson", "--people", file, "-o", "r.html"]);
        fails(command.args(more), 4)
    };
    assert!(run("half.csv", &[]).contains("of 747 records of codes.ndjson are not in half.csv"));
    assert!(run("others.csv", &[]).contains("no id of the codes is in others.csv"));
    assert!(run("data/oggz.csv", &[]).contains("oggz.csv, header: column"));
    assert!(run("data/brp.csv", &["-n", "100", "--known", "60,1000"]).contains("more than half of the 100 people"));
    assert!(!path.join("r.html").exists());
}

#[test]
fn more_people_than_there_are_means_all_and_says_so() {
    let folder = workplace();
    let path = folder.path();
    let people = fs::read_to_string(path.join("data/brp.csv")).unwrap();
    let few: Vec<&str> = people.lines().take(90).collect();
    fs::write(path.join("data/brp.csv"), few.join("\n")).unwrap();
    encoded(path, "codes.ndjson", &[]);
    let (_, json) = attacked(path, "2000", "20,1000", &[]);
    let notes = json["notes"].to_string();
    assert!(notes.contains("all of them are in the sample") && notes.contains("1000 known pairs"), "{notes}");
    assert_eq!(json["sample"]["people"], json["records"]["encoded"]);
}
