//! Exit codes, regulations read from folders, and keys that are made once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

#[test]
fn help_tells_the_exit_codes() {
    let output = voorrang().arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap().replace('\n', " ");
    let codes = [
        "0 done",
        "1 failed",
        "2 wrong use of the command",
        "3 the service refused",
        "4 an input file has errors",
        "5 the access log is not what it should be",
        "6 a gate of the privacy report does not hold",
    ];
    for code in codes {
        assert!(help.contains(code), "{code}: {help}");
    }
}

#[test]
fn every_command_has_help() {
    let help = String::from_utf8(voorrang().arg("--help").output().unwrap().stdout).unwrap();
    let commands = [
        "demo",
        "serve",
        "pki",
        "encode",
        "link",
        "privacy-report",
        "load",
        "query",
        "epoch",
        "regulation",
        "audit",
        "evaluate",
    ];
    for command in commands {
        assert!(help.contains(&format!("  {command} ")), "{command}: {help}");
        voorrang().args([command, "--help"]).assert().code(0);
    }
}

#[test]
fn wrong_use_ends_with_2_and_says_how_it_goes() {
    for args in [
        &[][..],
        &["surprise"],
        &["encode"],
        &["encode", "population"],
        &["encode", "everybody", "brp.csv", "-o", "out", "--salt-file", "salt"],
        &["encode", "care", "oggz.csv", "--salt-file", "salt"],
        &["encode", "care", "oggz.csv", "-o", "out", "--salt-file", "salt", "--reference-date", "31-02-2026"],
        &["evaluate", "data"],
        &["evaluate", "data", "-o", "out", "--everything"],
        &["query", "achterstanden.csv"],
        &["pki", "dev"],
        &["pki"],
        &["regulation"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let stderr = fails(voorrang().current_dir(&folder).args(args), 2);
        assert!(stderr.contains("Usage:") || stderr.contains("--help"), "{args:?}: {stderr}");
        assert!(files_in(folder.path()).is_empty());
    }
}

#[test]
fn what_fails_without_an_input_s_fault_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let (arrears, tenants) = (demo_file("achterstanden.csv"), demo_file("huurders.csv"));
    for args in [
        &["serve", "--config", "nowhere.toml"][..],
        &["query", &arrears, "--tenants", &tenants, "--config", "nowhere.toml", "-o", "flags.csv"],
        &["encode", "care", "o.csv", "-o", "out", "--salt-file", "nowhere.hex"],
        &["regulation", "check", "nowhere"],
    ] {
        let stderr = fails(voorrang().current_dir(&folder).args(args), 1);
        assert!(stderr.starts_with("voorrang: "), "{stderr}");
    }
    assert!(files_in(folder.path()).is_empty());
}

fn demo_file(name: &str) -> String {
    format!("{}/config/demo/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn regulation(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/regulations").join(name)
}

#[test]
fn the_shipped_regulations_pass_their_check_and_show_parties_and_digest() {
    for name in ["haarlem", "rotterdam"] {
        let output = voorrang().args(["regulation", "check"]).arg(regulation(name)).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(&format!("{name}: ")), "{text}");
        let digest = text.lines().find_map(|line| line.strip_prefix("digest ")).unwrap();
        assert_eq!(hex::decode(digest).unwrap().len(), 32);
        for role in ["administrator", "population-custodian", "care-custodian", "corporation", "privacy-officer"] {
            assert!(text.contains(role), "{role}: {text}");
        }
    }
}

#[test]
fn a_broken_regulation_is_refused_by_file_and_line() {
    let broken = |file: &str, from: &str, to: &str| {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("haarlem");
        fs::create_dir(&copy).unwrap();
        for name in ["regulation.toml", "articles.cedar"] {
            fs::copy(regulation("haarlem").join(name), copy.join(name)).unwrap();
        }
        let text = fs::read_to_string(copy.join(file)).unwrap();
        let at = text.find(from).unwrap();
        fs::write(copy.join(file), text.replacen(from, to, 1)).unwrap();
        let stderr = fails(voorrang().current_dir(&folder).args(["regulation", "check", "haarlem"]), 4);
        let line = 1 + text[..at].matches('\n').count();
        assert!(stderr.contains(file), "{stderr}");
        (stderr, line)
    };
    let (stderr, line) = broken("articles.cedar", "context.askedThisMonth", "context.questions");
    assert!(stderr.contains(&format!("line {line}")), "{stderr}");
    let (stderr, line) = broken("regulation.toml", "minor_below = 18", "minor_below = eighteen");
    assert!(stderr.contains(&format!("line {line}")), "{stderr}");
    let (stderr, _) = broken("regulation.toml", "[title]", "surprise = 1\n[title]");
    assert!(stderr.contains("surprise"), "{stderr}");
}

#[test]
fn a_regulation_without_one_of_its_files_is_refused_by_that_file() {
    for missing in ["regulation.toml", "articles.cedar"] {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("haarlem");
        fs::create_dir(&copy).unwrap();
        for name in ["regulation.toml", "articles.cedar"].into_iter().filter(|name| *name != missing) {
            fs::copy(regulation("haarlem").join(name), copy.join(name)).unwrap();
        }
        let stderr = fails(voorrang().current_dir(&folder).args(["regulation", "check", "haarlem"]), 1);
        assert!(stderr.contains(missing), "{stderr}");
    }
}

#[test]
fn secrets_are_for_their_owner_only_and_every_party_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    voorrang().current_dir(&folder).args(["pki", "dev", "--out", "keys"]).assert().success().stdout("");
    let keys = folder.path().join("keys");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&keys), 0o700);
    let mut secrets = 0;
    for (path, content) in files_in(&keys) {
        let extension = path.extension().unwrap().to_str().unwrap();
        let text = String::from_utf8_lossy(&content);
        let is_secret = ["key", "age", "note"].contains(&extension);
        assert_eq!(text.contains("PRIVATE KEY") || text.contains("AGE-SECRET-KEY"), is_secret && extension != "note");
        if is_secret {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            secrets += 1;
        }
    }
    let parties = fs::read_to_string(keys.join("parties.toml")).unwrap().matches("[[party]]").count();
    assert!(secrets > parties, "{secrets} {parties}");
}

#[test]
fn keys_are_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let make = || {
        let mut command = voorrang();
        command.current_dir(&folder).args(["pki", "dev", "--out", "keys"]);
        command
    };
    make().assert().success();
    let before = files_in(folder.path());
    assert!(fails(&mut make(), 1).contains("keys are never overwritten"));
    assert!(files_in(folder.path()) == before);
}
