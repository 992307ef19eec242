//! `voorrang audit` on a copy of a log, without any service.

use std::fs;
use std::path::Path;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use tempfile::TempDir;
use time::macros::datetime;
use voorrang::audit::{Action, Actor, Checkpoint, Entry, Frontier, Line, LogKeys, NoteSigner, Outcome, leaf_hash};
use voorrang::cli::audit::copy::{Copy, Source};
use voorrang::ids::TraceId;

use crate::voorrang;

const CONFIG: &str = r#"
service = "https://voorrang.example:8443"
regulation = "haarlem"
ca = "ca.pem"
certificate = "officer.pem"
key = "officer.key"
parties = "parties.toml"
memory = "memory"
"#;

struct Log {
    signer: NoteSigner,
    entries: Vec<Vec<u8>>,
}

impl Source for Log {
    fn checkpoint(&mut self) -> anyhow::Result<String> {
        let root = self.entries.iter().map(|entry| leaf_hash(entry)).collect::<Frontier>().root();
        let size = self.entries.len() as u64;
        Ok(Checkpoint { origin: self.signer.name().into(), size, root }.to_note(&self.signer))
    }

    fn lines(&mut self, from: u64) -> anyhow::Result<Vec<Line>> {
        Ok(self.entries[from as usize..].iter().cloned().map(Line::Entry).collect())
    }
}

/// An officer's folder with a copy of 300 entries: questions of one party, every tenth refused.
fn folder() -> TempDir {
    folder_with(|_, entry| entry)
}

/// The same with other entries than those that she remembers the first 200 of.
fn folder_with(change: impl Fn(usize, Vec<u8>) -> Vec<u8>) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let (signer, _) = NoteSigner::generate("log.example/a").unwrap();
    let entry = |at: usize| {
        let oin = "00000099000000004001".parse().ok();
        let actor = Actor { oin, certificate: "ab".repeat(32), person: None, role: "corporation".into() };
        let refused = at.is_multiple_of(10);
        let result = if refused { Outcome::Refused("stock".into()) } else { Outcome::Answered };
        let time = datetime!(2026-11-02 9:00 UTC) + time::Duration::minutes(at as i64);
        let mut entry = Entry::new(time, TraceId::random(), actor, Action::Ask, result);
        entry.articles = vec![if refused { "stock" } else { "corporation-asks" }.into()];
        entry.to_bytes()
    };
    let mut log = Log { signer, entries: (0..200).map(entry).collect() };
    let remembered = log.checkpoint().unwrap();
    log.entries.extend((200..300).map(entry));
    log.entries = log.entries.into_iter().enumerate().map(|(at, entry)| change(at, entry)).collect();
    let key = log.signer.verifier();
    let memory = home.path().join("memory");
    Copy::open(&memory.join("log")).unwrap().follow(&mut log, &key, 1).unwrap();
    fs::write(memory.join("log.vkey"), LogKeys::from(key).to_string()).unwrap();
    fs::write(memory.join("checkpoints"), serde_json::to_string(&[remembered, log.checkpoint().unwrap()]).unwrap())
        .unwrap();
    fs::write(home.path().join("parties.toml"), "").unwrap();
    fs::write(home.path().join("officer.toml"), CONFIG).unwrap();
    home
}

fn audit(home: &Path, args: &[&str]) -> assert_cmd::assert::Assert {
    let config = ["--config", "officer.toml", "--offline"];
    voorrang().current_dir(home).arg("audit").args(args).args(config).assert()
}

#[test]
fn a_copy_verifies_is_listed_reported_and_exported() {
    let home = folder();
    audit(home.path(), &["verify"]).code(0).stderr(contains("300 entries and verifies"));
    audit(home.path(), &["verify", "--json"]).code(0).stdout(contains(r#""entries":300,"#));
    let listed = audit(home.path(), &["list", "--result", "refused", "--until", "2026-11-02T10:00:00Z"]).code(0);
    let text = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
    audit(home.path(), &["list", "--csv"]).code(0).stdout(contains("position,time,"));
    audit(home.path(), &["report"]).code(0).stdout(contains("300 questions")).stdout(contains("30 refused by stock"));
    audit(home.path(), &["export", "--tiles", "tiles"]).code(0);
    assert!(home.path().join("tiles/tile/entries/001.p/44").exists());
    audit(home.path(), &["export", "--tiles", "tiles"]).code(1).stderr(contains("exists"));
}

#[test]
fn a_copy_that_was_changed_ends_with_4_and_says_where() {
    let home = folder();
    // Its index is of what was fetched.
    audit(home.path(), &["list"]).code(0);
    let path = home.path().join("memory/log/entries");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).rposition(|window| window == b"answered").unwrap();
    bytes[at..at + 8].copy_from_slice(b"refused:");
    fs::write(&path, &bytes).unwrap();
    audit(home.path(), &["verify"]).code(4).stderr(contains("entry 299").and(contains("--fresh")));
    bytes[at..at + 8].copy_from_slice(b"answered");
    // A minute earlier: the entry is well-formed, the tree is another one.
    let at = bytes.windows(6).rposition(|window| window == b"T13:59").unwrap();
    bytes[at + 5] = b'8';
    fs::write(&path, &bytes).unwrap();
    audit(home.path(), &["verify"]).code(4).stderr(contains("does not extend"));
    for command in [&["list"][..], &["report"], &["export", "--format", "csv", "-o", "out.csv"]] {
        audit(home.path(), command).code(4).stderr(contains("another entry 299 than was fetched"));
    }
}

/// A result that is none: each tenth entry is malformed, and the tree is another one.
fn malformed() -> TempDir {
    folder_with(|_, entry| String::from_utf8(entry).unwrap().replace("\"refused:", "\"Refused:").into())
}

#[test]
fn all_that_can_be_read_is_shown_and_then_what_cannot_ends_with_5() {
    let home = malformed();
    let named = || contains("not in the format of an entry: 0, 10, 20").and(contains("and 10 more"));
    let listed = audit(home.path(), &["list"]).code(5).stderr(named());
    assert_eq!(listed.get_output().stdout.iter().filter(|byte| **byte == b'\n').count(), 270);
    audit(home.path(), &["report"]).code(5).stderr(named()).stdout(contains("270 questions"));
    audit(home.path(), &["export", "--format", "ndjson", "-o", "out"]).code(5).stderr(named());
    assert_eq!(fs::read_to_string(home.path().join("out")).unwrap().lines().count(), 270);
    audit(home.path(), &["export", "--tiles", "tiles"]).code(5).stderr(named());
    assert!(home.path().join("tiles/checkpoint").exists());
}

#[test]
fn all_that_does_not_hold_is_one_object_for_a_program() {
    let home = malformed();
    let told = |code: i32| {
        let output = audit(home.path(), &["verify", "--json"]).code(code).get_output().stdout.clone();
        serde_json::from_slice::<serde_json::Value>(&output).unwrap()
    };
    let json = told(5);
    assert_eq!((&json["verifies"], &json["exitCode"]), (&false.into(), &5.into()));
    let broken = json["broken"].as_array().unwrap();
    let malformed = broken.iter().filter(|one| one["code"] == "entry_malformed");
    let entries: Vec<_> = malformed.map(|one| one["entry"].as_u64().unwrap()).collect();
    assert_eq!(entries, (0..300).step_by(10).collect::<Vec<_>>());
    let last = broken.last().unwrap();
    assert_eq!((&last["code"], &last["entry"]), (&"history_differs".into(), &serde_json::Value::Null));
    // What is handed in and is none stands beside it, and hides nothing.
    fs::write(home.path().join("junk"), "junk").unwrap();
    let output = audit(home.path(), &["verify", "--json", "--checkpoint", "junk"]).code(5).get_output().stdout.clone();
    let beside: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let beside = beside["broken"].as_array().unwrap();
    assert_eq!((&beside[..broken.len()], beside.len()), (&broken[..], broken.len() + 1));
    assert_eq!(beside.last().unwrap()["code"], "unusable");
    assert!(beside.last().unwrap()["detail"].as_str().unwrap().starts_with("junk is no checkpoint"));
    fs::remove_dir_all(home.path().join("memory/log")).unwrap();
    assert_eq!(told(1)["broken"][0]["code"], "failed");
}

#[test]
fn every_file_that_is_none_is_named_beside_a_sound_log_and_beside_a_broken_one() {
    let (receipt, junk) = (leaf_hash(b"made up"), "anVuaw==");
    let answers = format!(
        "answer,epoch,log_index,leaf_hash,checkpoint\npriority,e-1,5,{receipt},{junk}\npriority,e-1,6,none,{junk}\n\
         priority,e-1,7,{receipt},{junk}\npriority,e-1,none,{receipt},{junk}\n"
    );
    let files = [
        "--receipts=answers.csv",
        "--receipts=one.junk",
        "--receipts=other.junk",
        "--receipts=no.csv",
        "--checkpoint=one.junk",
        "--checkpoint=other.junk",
        "--checkpoint=no.note",
    ];
    let named = [
        "answers.csv is no file of answers with receipts",
        "answers.csv, row 1: the receipt is not valid in itself",
        "answers.csv, row 2 is no answer",
        "answers.csv, row 3: the receipt is not valid in itself",
        "no.csv is no file of answers",
        "no.note is no checkpoint",
        "one.junk is no checkpoint",
        "one.junk is no file of answers",
        "other.junk is no checkpoint",
        "other.junk is no file of answers",
    ];
    for (home, code) in [(folder(), 4), (malformed(), 5)] {
        for (name, text) in [("answers.csv", answers.as_str()), ("one.junk", "junk"), ("other.junk", "junk")] {
            fs::write(home.path().join(name), text).unwrap();
        }
        let told = audit(home.path(), &[&["verify", "--json"][..], &files].concat()).code(code);
        let json: serde_json::Value = serde_json::from_slice(&told.get_output().stdout).unwrap();
        assert_eq!((&json["verifies"], &json["exitCode"]), (&false.into(), &code.into()));
        let broken = json["broken"].as_array().unwrap();
        let unusable = broken.iter().filter(|one| one["code"] == "unusable");
        let mut details: Vec<&str> = unusable.map(|one| one["detail"].as_str().unwrap()).collect();
        details.sort_unstable();
        assert_eq!(details.len(), named.len(), "{details:#?}");
        details.iter().zip(named).for_each(|(detail, named)| assert!(detail.starts_with(named), "{detail}"));
        assert_eq!(broken.len() > named.len(), code == 5);
        // In words too.
        let told = audit(home.path(), &[&["verify"][..], &files].concat()).code(code);
        let text = String::from_utf8(told.get_output().stderr.clone()).unwrap();
        named.iter().for_each(|named| assert!(text.contains(named), "{named}: {text}"));
    }
}

#[test]
fn without_a_copy_offline_work_says_what_to_do() {
    let home = folder();
    let memory = home.path().join("memory");
    fs::remove_dir_all(memory.join("log")).unwrap();
    audit(home.path(), &["verify"]).code(1).stderr(contains("without --offline"));
}

#[test]
fn wrong_use_ends_with_2() {
    let home = folder();
    for args in [
        &["list", "--from", "yesterday"][..],
        &["list", "--action", "look"],
        &["list", "--party", "Ymere"],
        &["list", "--json", "--csv"],
        &["list", "--result", "told"],
        &["list", "--result", "refused:"],
        &["export"],
        &["export", "--format", "ndjson"],
        &["export", "--format", "xml", "-o", "out"],
        &["report", "--stock", "many"],
        &["verify", "--fresh"],
    ] {
        audit(home.path(), args).code(2);
    }
    voorrang().current_dir(home.path()).args(["audit", "witness", "--state", "w"]).assert().code(2);
    voorrang()
        .current_dir(home.path())
        .args(["audit", "witness", "--listen", "127.0.0.1:0", "--state", "w"])
        .assert()
        .code(2);
}

#[test]
fn a_word_that_the_log_does_not_have_is_told_with_those_that_it_has() {
    let home = folder();
    audit(home.path(), &["list", "--action", "look"])
        .code(2)
        .stderr(contains("there are ask, ask-again, results-read"));
    audit(home.path(), &["list", "--result", "told"]).code(2).stderr(contains("done, answered, refused, failed"));
    for (option, name, what) in
        [("--article", "stok", "article"), ("--epoch", "e-9", "epoch"), ("--result", "refused:stok", "result")]
    {
        let remark = format!("No entry of this log has the {what} {name}.");
        audit(home.path(), &["list", option, name]).code(0).stderr(contains(remark));
    }
    audit(home.path(), &["list", "--result", "failed"]).code(0).stderr(contains("No entry").not());
}

#[test]
fn a_party_that_nobody_knows_and_a_time_that_ends_before_it_begins_are_wrong_use() {
    let home = folder();
    let nobody = "00000099000000009999";
    for command in [&["list"][..], &["report"], &["export", "--format", "ndjson", "-o", "out", "--register", "r"]] {
        let with = |filter: &[&str]| audit(home.path(), &[command, filter].concat());
        with(&["--party", nobody]).code(2).stderr(contains("00000099000000009999 is no party")).stdout("");
        for (from, until) in [("2026-11-03", "2026-11-02"), ("2026-11-03T09:00:00Z", "2026-11-03T09:00:00Z")] {
            with(&["--from", from, "--until", until])
                .code(2)
                .stderr(contains("--from is not before --until"))
                .stdout("");
        }
    }
    audit(home.path(), &["list", "--from", "2026-11-02", "--until", "2026-11-02"]).code(0);
    audit(home.path(), &["list", "--party", "00000099000000004001"]).code(0);
    let book = format!("[[party]]\noin = \"{nobody}\"\nname = \"Nieuw\"\n");
    fs::write(home.path().join("parties.toml"), book).unwrap();
    audit(home.path(), &["list", "--party", nobody]).code(0).stderr(contains("0 of 300 entries"));
}

#[test]
fn a_witness_without_a_name_or_with_a_key_file_that_is_none_says_so() {
    let home = folder();
    fs::write(home.path().join("nonsense"), "x").unwrap();
    let listen = |log: &str| {
        let args = ["audit", "witness", "--state", "w", "--listen", "127.0.0.1:0", "--log", log];
        voorrang().current_dir(home.path()).args(args).assert().code(1)
    };
    listen("nonsense").stderr(contains("nonsense"));
    listen("memory/log.vkey").stderr(contains("name the witness"));
}
