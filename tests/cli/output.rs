//! Where the commands write to: whole files, pipes and links, never their own input, and nothing after an end by force.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use super::*;

fn make_pipe(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
}

fn names_in(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// An encoder of a pipe of which nobody has given anything yet.
fn waiting(folder: &Path) -> (Child, fs::File) {
    let input = folder.join("input");
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_voorrang"))
        .current_dir(folder)
        .args(["encode", "population", "input", "--salt-file", "salt.hex", "-o", "out.ndjson"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Opens once the other end is open: the output is made by then.
    (child, fs::OpenOptions::new().write(true).open(input).unwrap())
}

#[test]
fn a_run_that_is_ended_by_force_leaves_nothing() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
        let folder = workplace();
        make_pipe(&folder.path().join("input"));
        let before = names_in(folder.path());
        let (mut child, _input) = waiting(folder.path());
        let id = i32::try_from(child.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(names_in(folder.path()), before);
    }
}

#[test]
fn a_pipe_is_written_to_and_stays_one() {
    let folder = workplace();
    let pipe = folder.path().join("pipe");
    make_pipe(&pipe);
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    fs::write(folder.path().join("a.json"), r#"{"clks": ["AQAAAAAAAAA="]}"#).unwrap();
    let mut command = voorrang();
    command.current_dir(&folder).args(["link", "a.json", "a.json", "--threshold", "0.5", "-o", "pipe"]);
    command.assert().success();
    assert_eq!(reader.join().unwrap().lines().count(), 2);
    assert!(!fs::metadata(&pipe).unwrap().is_file());
    // A file of codes has its MAC at the beginning, which is known at its end.
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    let mut command = voorrang();
    command.current_dir(&folder).args(["encode", "care", "data/oggz.csv", "--salt-file", "salt.hex", "-o", "pipe"]);
    let told = String::from_utf8(command.assert().failure().get_output().stderr.clone()).unwrap();
    assert!(told.contains("write to a file"), "{told}");
    assert!(reader.join().unwrap().is_empty());
}

/// On a file system that is full every write fails so.
fn full() -> fs::File {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[test]
fn what_cannot_be_printed_is_an_error_and_no_panic() {
    let folder = workplace();
    fs::write(folder.path().join("a.json"), r#"{"clks": ["AQAAAAAAAAA="]}"#).unwrap();
    let program = |arguments: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_voorrang"));
        command.current_dir(&folder).args(arguments.split(' '));
        command
    };
    let law = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/regulations/haarlem");
    let check = format!("regulation check {}", law.display());
    for arguments in [
        &*check,
        "encode --describe",
        "link a.json a.json --threshold 0.5",
        "openapi",
        "completions bash",
        "--help",
        "--version",
        "epoch --help",
    ] {
        let output = program(arguments).stdout(full()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}: {stderr}");
        assert!(!stderr.contains("panicked"), "{arguments}: {stderr}");
    }
    for (arguments, code) in [("encode care none.csv --salt-file salt.hex -o out", 4), ("encode", 2), ("--version", 0)]
    {
        let status = program(arguments).stdout(Stdio::null()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments}");
    }
}

/// Also of a key that the command does not read: it is another party's, or another epoch's.
#[test]
fn no_command_writes_over_a_key_or_a_salt() {
    let folder = workplace();
    let place = folder.path();
    let keys = place.join("keys");
    voorrang().current_dir(place).args(["pki", "dev", "--out", "keys"]).assert().success();
    fs::write(place.join("e-1.salt"), format!("e-1:{SALT}")).unwrap();
    fs::write(place.join("a.json"), r#"{"clks": ["AQAAAAAAAAA="]}"#).unwrap();
    let ending = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ["key", "age", "note"].contains(&ending.to_str().unwrap()))
    };
    let mut secrets: Vec<PathBuf> = names_in(&keys).into_iter().filter(ending).collect();
    assert!(secrets.len() > 10, "{secrets:?}");
    secrets.push(place.join("e-1.salt"));
    let before = files_in(place);
    for secret in secrets {
        let secret = secret.to_str().unwrap();
        for command in
            ["encode population data/brp.csv --salt-file salt.hex -o", "link a.json a.json --threshold 0.5 -o"]
        {
            let stderr = fails(voorrang().current_dir(place).args(command.split(' ')).arg(secret), 2);
            assert!(stderr.contains("holds a key or a salt"), "{command} {secret}: {stderr}");
        }
    }
    assert_eq!(files_in(place), before);
}

#[test]
fn no_command_writes_over_what_it_reads() {
    let folder = workplace();
    let place = folder.path();
    std::os::unix::fs::symlink("data/brp.csv", place.join("link.csv")).unwrap();
    fs::write(place.join("a.json"), r#"{"clks": ["AQAAAAAAAAA="]}"#).unwrap();
    fs::write(place.join("codes.ndjson"), "{}\n").unwrap();
    fs::write(place.join("schema.json"), "{}").unwrap();
    let before = files_in(place);
    for command in [
        "encode population data/brp.csv --salt-file salt.hex -o data/brp.csv",
        "encode population data/brp.csv --salt-file salt.hex -o link.csv",
        "encode population link.csv --salt-file salt.hex -o data/brp.csv",
        "encode population data/brp.csv --salt-file salt.hex -o salt.hex",
        "clk --schema schema.json --secret-file salt.hex data/brp.csv -o data/brp.csv",
        "clk --schema schema.json --secret-file salt.hex data/brp.csv -o schema.json",
        "link a.json a.json --threshold 0.5 -o a.json",
        "privacy-report codes.ndjson --people data/brp.csv -o data/brp.csv",
        "privacy-report codes.ndjson --json codes.ndjson",
        "query data/achterstanden.csv --tenants data/huurders.csv --config client.toml -o data/huurders.csv",
    ] {
        let stderr = fails(voorrang().current_dir(place).args(command.split(' ')), 2);
        assert!(stderr.contains("is what is read; give another place to write to"), "{command}: {stderr}");
        assert_eq!(files_in(place), before, "{command}");
    }
    // A second output would take the first one's place, receipts and all.
    let query = "query data/achterstanden.csv --tenants data/huurders.csv --config client.toml -o out.csv --vera ";
    let second = ["out.csv", "./out.csv", "out.part.csv", "out.part.json", "out.refused.csv", "out.refused.part.csv"];
    let twice = second.map(|second| format!("{query}{second}")).into_iter();
    for command in twice.chain(["privacy-report codes.ndjson -o report.html --json data/../report.html".into()]) {
        let stderr = fails(voorrang().current_dir(place).args(command.split(' ')), 2);
        assert!(stderr.contains("would be written twice; give each output a place of its own"), "{command}: {stderr}");
        assert_eq!(files_in(place), before, "{command}");
    }
}
