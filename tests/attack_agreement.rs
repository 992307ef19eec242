//! The attacks against an independent program, on the same 2,000 people: `tools/attack/attack.py` of the laboratory's
//! folder beside this one, in the Python that is at hand. Without the folder, or without numpy and scipy, there is
//! nothing to compare with, and the test says so past the harness. Where `SHARED` or `PYTHON` names them they must be there.
//!
//! Hardly diffused codes, so that rates are far from 0 and 1 and can differ; everybody is in both samples.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use voorrang::profile::Profile;

/// Two samples of 200 known pairs among 2,001 people differ by less: of some 900 hits each, three standard deviations
/// of the difference.
const PAIRS: f64 = 0.05;
/// Two sets of own keys find as many people by their households, but for this share: hits come household by household.
const HOUSEHOLDS: f64 = 0.04;
/// Lines of nl10k's people with 2,001 adults among them.
const LINES: usize = 2_455;

struct Tool {
    python: String,
    attack: PathBuf,
    people: PathBuf,
}

fn tool() -> Result<Tool, &'static str> {
    let (shared, python) = (std::env::var_os("SHARED"), std::env::var("PYTHON"));
    let named = (shared.is_some(), python.is_ok());
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = shared.map_or_else(beside, PathBuf::from);
    let (attack, people) = (shared.join("tools/attack/attack.py"), shared.join("data/nl10k/brp.csv"));
    let python = python.unwrap_or_else(|_| "python3".into());
    if !attack.exists() || !people.exists() {
        assert!(!named.0, "SHARED names a folder without tools/attack or data/nl10k");
        return Err("the laboratory's folder is not beside this one");
    }
    let ready = Command::new(&python).args(["-c", "import numpy, scipy"]).output();
    if !ready.is_ok_and(|out| out.status.success()) {
        assert!(!named.1, "PYTHON names a Python without numpy and scipy");
        return Err("python3 has no numpy and scipy");
    }
    Ok(Tool { python, attack, people })
}

/// Runs to the end; 6 is a gate that does not hold, which hardly diffused codes do not.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 6)), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with a profile, every pass diffused by `diffusion` only, and the people.
struct Scene<'a> {
    tool: &'a Tool,
    folder: tempfile::TempDir,
    weak: Profile,
}

impl<'a> Scene<'a> {
    fn new(tool: &'a Tool, mut weak: Profile, diffusion: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let people = fs::read_to_string(&tool.people).unwrap();
        fs::write(folder.path().join("people.csv"), people.lines().take(LINES).collect::<Vec<_>>().join("\n")).unwrap();
        for pass in &mut weak.passes {
            assert!(pass.diffusion > diffusion, "{} is as weak as that already", pass.name);
            pass.diffusion = diffusion;
        }
        fs::write(folder.path().join("weak.toml"), toml::to_string(&weak).unwrap()).unwrap();
        Self { tool, folder, weak }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        command
    }

    fn voorrang(&self, arguments: &str) -> String {
        run(self.command(env!("CARGO_BIN_EXE_voorrang")).args(arguments.split(' ')))
    }

    /// Encodes with a salt of a number; minors, who have no codes, are left out for the tool.
    fn encode(&self, salt: u8, more: &str) -> String {
        let (path, out) = (self.folder.path(), format!("{salt}.ndjson"));
        fs::write(path.join("salt"), [salt; 32]).unwrap();
        let encode = "encode population people.csv --salt-file salt --profile weak.toml --reference-date 2026-01-01 -o";
        self.voorrang(&format!("{encode} {out}{more}"));
        let mut adults = String::new();
        for line in fs::read_to_string(path.join(&out)).unwrap().lines().filter(|line| !line.contains("\"codes\":{}")) {
            writeln!(adults, "{line}").unwrap();
        }
        fs::write(path.join(format!("adults-{out}")), adults).unwrap();
        format!("adults-{out}")
    }

    /// What is found by title and codes: share of people, and how many there were.
    fn ours(&self, known: usize) -> BTreeMap<(String, String), (f64, u64)> {
        let report =
            "privacy-report 1.ndjson --people people.csv --day 2026-01-01 --profile weak.toml --keys 4 -n 5000";
        self.voorrang(&format!("{report} --known {known} --json report.json"));
        let report: Value = serde_json::from_slice(&fs::read(self.folder.path().join("report.json")).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found = |attack: &Value| {
            let rate = (attack["reidentified"].as_f64().unwrap(), attack["people"].as_u64().unwrap());
            ((text(&attack["attack"]), text(&attack["codes"])), rate)
        };
        report["attacks"].as_array().unwrap().iter().map(found).collect()
    }

    fn theirs(&self, script: &Path, arguments: &[&str]) -> Vec<Value> {
        let found = run(self.command(&self.tool.python).arg(script).args(arguments));
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn powers(&self) -> String {
        let power = |pass: &voorrang::profile::Pass| format!("{}={}", pass.name, pass.diffusion);
        self.weak.passes.iter().map(power).collect::<Vec<_>>().join(",")
    }
}

fn near(what: &str, ours: f64, theirs: &Value, tolerance: f64) {
    let theirs = theirs.as_f64().unwrap();
    assert!((ours - theirs).abs() < tolerance, "{what}: {ours} here, {theirs} there");
}

/// Known pairs and the signature of codes diffused by 2. The tool's own signature knows the true order of what fits two
/// ways; `tests/lab/signature.py` does the same with its parts in a secret order.
fn diffused(tool: &Tool) {
    let scene = Scene::new(tool, Profile::built_in(), 2);
    let victim = scene.encode(1, "");
    let own: Vec<String> = (2..=5).map(|salt| scene.encode(salt, " --lab-filters")).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let powers = scene.powers();
    let mut arguments = vec!["--victim", &*victim, "--known", "200", "-n", "5000", "--power", &*powers];
    own.iter().for_each(|own| arguments.extend(["--own", own]));
    let known = &scene.theirs(&tool.attack, &arguments)[0];
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/signature.py");
    let attack = tool.attack.display().to_string();
    let signatures = scene.theirs(&lab, &[&[&*attack, &*victim, &*powers], &own[..]].concat());
    let ours = scene.ours(200);
    let our = |title: &str, codes: &str| ours[&(title.to_owned(), codes.to_owned())];

    assert_eq!(known["n"], 2_001, "another sample");
    println!("known pairs: {:?} here, {known} there", our("known pairs, strong", "all passes"));
    assert!(known["reidentified"].as_f64().unwrap() > 0.3, "too well hidden to compare: {known}");
    near("known pairs", our("known pairs, strong", "all passes").0, &known["reidentified"], PAIRS);
    let alone = our("known pairs, strong, no address-mate known", "all passes");
    near("no address-mate known", alone.0, &known["withoutKnownMate"], PAIRS);
    assert_eq!(signatures.len(), scene.weak.passes.len() + 1);
    for theirs in &signatures {
        let codes = theirs["codes"].as_str().unwrap();
        let (rate, people) = our("household signature", codes);
        assert_eq!(theirs["people"], people, "the same households");
        near(codes, rate, &theirs["reidentified"], HOUSEHOLDS);
        println!("household signature, {codes}: {rate} here, {} there", theirs["reidentified"]);
    }
    let all = our("household signature", "all passes").0;
    assert!(all > 0.05, "too well hidden to compare: {all}");
}

/// Graph matching of codes that are not diffused: a coin that falls either way as soon as they are, and where most codes
/// of two people are noise, as of the shipped profile (5 % here and 100 % there, once).
fn plain(tool: &Tool) {
    let unkeyed = Profile::from_toml(include_str!("lab/unkeyed.toml")).unwrap();
    let scene = Scene::new(tool, unkeyed, 1);
    let (victim, own) = (scene.encode(1, ""), scene.encode(2, ""));
    let arguments = ["--victim", &*victim, "--own", &*own, "--known", "", "-n", "5000", "--graph"];
    let graph = &scene.theirs(&tool.attack, &arguments)[0];
    let (rate, people) = scene.ours(50)[&("graph matching".into(), "all passes".into())];
    assert_eq!(graph["n"], people, "the same people");
    assert!(graph["reidentified"].as_f64().unwrap() > 0.9, "the control is not broken: {graph}");
    println!("graph matching: {rate} here, {graph} there");
    near("graph matching", rate, &graph["reidentified"], PAIRS);
}

#[test]
fn the_attacks_find_what_the_independent_tool_finds() {
    match tool() {
        Ok(tool) => std::thread::scope(|scope| {
            scope.spawn(|| diffused(&tool));
            plain(&tool);
        }),
        Err(why) => {
            writeln!(std::io::stderr(), "SKIPPED, the attacks were held against no other program: {why}").unwrap()
        }
    }
}
