//! The attacks against an independent program, on the same files: `tools/attack/attack.py` of the laboratory's folder
//! beside this one (or where `SHARED` points). Without that folder, or without numpy and scipy (in the Python that
//! `PYTHON` names), there is nothing to compare with, and the test says so.
//!
//! Hardly diffused codes of a whole small file: everybody is in both samples, and rates are far from 0 and 1, so that
//! they can differ.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Two samples of known pairs among some 250 people differ by less.
const TOLERANCE: f64 = 0.15;

fn tool() -> Option<(String, PathBuf)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let tool = std::env::var_os("SHARED").map_or_else(beside, PathBuf::from).join("tools/attack/attack.py");
    if !tool.exists() {
        return None;
    }
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let ready =
        Command::new(&python).args(["-c", "import numpy, scipy"]).output().is_ok_and(|out| out.status.success());
    ready.then_some((python, tool))
}

/// Runs to the end; 6 is a gate that does not hold, which hardly diffused codes do not.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 6)), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Encodes with a salt of a number; minors, who have no codes, are left out for the tool.
fn encode(folder: &Path, salt: u8, more: &[&str]) -> String {
    fs::write(folder.join("salt"), [salt; 32]).unwrap();
    let out = format!("{salt}.ndjson");
    let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    command.current_dir(folder).args(["encode", "population", "people.csv", "--salt-file", "salt", "-o", &out]);
    run(command.args(["--profile", "weak.toml", "--reference-date", "2026-01-01"]).args(more));
    let mut adults = String::new();
    for line in fs::read_to_string(folder.join(&out)).unwrap().lines().filter(|line| !line.contains("\"codes\":{}")) {
        writeln!(adults, "{line}").unwrap();
    }
    let name = format!("adults-{out}");
    fs::write(folder.join(&name), adults).unwrap();
    name
}

#[test]
fn the_attacks_find_what_the_independent_tool_finds() {
    let Some((python, tool)) = tool() else {
        eprintln!("no attack tool, numpy or scipy here; nothing to agree with");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let brp = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/brp.csv")).unwrap();
    fs::write(path.join("people.csv"), brp.lines().take(320).collect::<Vec<_>>().join("\n")).unwrap();
    let weak =
        voorrang::profile::BUILT_IN.replace("diffusion = 7", "diffusion = 2").replace("diffusion = 3", "diffusion = 2");
    fs::write(path.join("weak.toml"), weak).unwrap();
    let victim = encode(path, 1, &[]);
    let mut attack = Command::new(python);
    attack.current_dir(path).arg(tool).args(["--victim", &victim, "--known", "100", "--signature", "--graph"]);
    attack.args(["--power", "names=2,home=2"]);
    for salt in 2..=5 {
        attack.args(["--own", &encode(path, salt, &["--lab-filters"])]);
    }
    let theirs: Vec<Value> = run(&mut attack).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut report = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    report.current_dir(path).args(["privacy-report", &victim, "--people", "people.csv", "--day", "2026-01-01"]);
    run(report.args(["--profile", "weak.toml", "--known", "100", "--keys", "4", "--json", "report.json"]));
    let ours: Value = serde_json::from_slice(&fs::read(path.join("report.json")).unwrap()).unwrap();

    let their = |attack: &str| theirs.iter().find(|found| found["attack"] == attack).unwrap();
    let our = |title: &str, codes: &str| {
        let all = ours["attacks"].as_array().unwrap();
        all.iter().find(|attack| attack["attack"] == title && attack["codes"] == codes).unwrap()
    };
    let near = |ours: &Value, theirs: &Value| (ours.as_f64().unwrap() - theirs.as_f64().unwrap()).abs() < TOLERANCE;
    let (all, alone) = (our("known pairs, strong", "all passes"), "known pairs, strong, no address-mate known");
    let known = their("known-pairs");
    assert!(known["reidentified"].as_f64().unwrap() > 0.2, "too well hidden to compare: {known}");
    assert!(near(&all["reidentified"], &known["reidentified"]), "{all} {known}");
    let alone = our(alone, "all passes");
    assert!(near(&alone["reidentified"], &known["withoutKnownMate"]), "{alone} {known}");
    let (signature, their_signature) = (our("household signature", "home"), their("signature"));
    assert_eq!(signature["people"], their_signature["n"], "the same households");
    // The tool tries the true order of a couple first and takes it when both fit alike, so it counts some more.
    assert!(near(&signature["reidentified"], &their_signature["reidentified"]), "{signature} {their_signature}");
    let (graph, their_graph) = (our("graph matching", "all passes"), their("graph"));
    assert_eq!(graph["people"], their_graph["n"], "the same people");
}
