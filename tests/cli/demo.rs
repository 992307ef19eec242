//! `voorrang demo`: the whole story, as a visitor sees it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

/// Runs the story with a temporary folder of its own; returns what a visitor reads, and leaves that folder empty.
fn story(folder: &Path, more: &[&str]) -> String {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let output = voorrang().current_dir(folder).env("TMPDIR", &temporary).arg("demo").args(more).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "something is left behind");
    String::from_utf8(output.stdout).unwrap()
}

/// The text of the lines of a chapter.
fn chapter<'a>(story: &'a str, name: &str) -> Vec<&'a str> {
    story.lines().filter_map(|line| line.strip_prefix(name)).map(str::trim).collect()
}

#[test]
fn a_visitor_sees_who_sent_what_and_what_came_of_it_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let story = story(folder.path(), &[]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the temporary folder");

    let people = rows(&demo_data().join("brp.csv"));
    let loads = chapter(&story, "Load").join("\n");
    for sent in [format!("{} residents", people.len()), "18 members of the OGGZ".into(), "housing stock".into()] {
        assert!(loads.contains(&sent), "{sent}: {story}");
    }
    let corporations = ["Ymere", "Pré Wonen", "Elan Wonen"];
    let questions = chapter(&story, "Questions");
    assert_eq!(questions.len(), corporations.len());
    assert!(questions.iter().zip(corporations).all(|(line, name)| line.starts_with(name)), "{story}");

    let answers = chapter(&story, "Answers");
    let counted: usize = answers[0]
        .split(" (")
        .next()
        .unwrap()
        .split(", ")
        .map(|part| {
            let (count, answer) = part.split_once(' ').unwrap();
            assert!(["priority", "no_priority", "undetermined"].contains(&answer), "{part}");
            count.parse::<usize>().unwrap()
        })
        .sum();
    assert_eq!(counted, rows(&demo_data().join("achterstanden.csv")).len());

    let refused = chapter(&story, "Refused");
    assert!(refused[0].contains("tenant-screening") && refused[0].contains("article purpose refuses"), "{story}");
    let log = chapter(&story, "Access log");
    assert!(log[0].contains("verified") && log[0].contains(&format!("found all {counted} receipts")), "{story}");
    let done = chapter(&story, "Done");
    assert!(done[0].contains(" s") && (done[0].contains("MiB") || !cfg!(target_os = "linux")), "{story}");

    for person in people {
        let surname = &person["geslachtsnaam"];
        assert!(surname.len() < 7 || !story.contains(surname.as_str()), "a name is in the story");
        assert!(
            !story.contains(&person["geboortedatum"]) && !story.contains(&person["bsn"]),
            "a person is in the story"
        );
    }
}

#[test]
fn out_has_one_answer_with_a_receipt_per_contract_in_arrears() {
    let folder = tempfile::tempdir().unwrap();
    let story = story(folder.path(), &["--out", "out"]);
    assert!(story.contains("out/flags.csv"), "{story}");
    let (out, log) = (folder.path().join("out"), folder.path().join("out/log"));
    let files: Vec<_> = files_in(&out).into_keys().filter(|path| !path.starts_with(&log)).collect();
    assert_eq!(files, [out.join("flags.csv"), out.join("log.vkey")]);
    assert!(log.join("checkpoint").exists() && log.join("tile/entries").is_dir(), "the log, for other people's tools");

    let flags = rows(&files[0]);
    let contracts =
        |rows: &[BTreeMap<String, String>]| rows.iter().map(|row| row["contract_id"].clone()).collect::<BTreeSet<_>>();
    let arrears = rows(&demo_data().join("achterstanden.csv"));
    assert_eq!((contracts(&flags), flags.len()), (contracts(&arrears), arrears.len()));
    let indexes: BTreeSet<u64> = flags.iter().map(|row| row["log_index"].parse().unwrap()).collect();
    assert_eq!(indexes.len(), flags.len(), "every answer has an entry of its own");
    for row in &flags {
        assert!(["priority", "no_priority", "undetermined"].contains(&row["answer"].as_str()));
        assert!(!row["epoch"].is_empty() && !row["leaf_hash"].is_empty() && !row["checkpoint"].is_empty());
    }
    let header = fs::read_to_string(&files[0]).unwrap();
    assert!(header.starts_with("contract_id,answer,"), "the order that others rely on");
}

#[test]
fn no_family_of_the_story_is_answered_no_priority() {
    let folder = tempfile::tempdir().unwrap();
    story(folder.path(), &["--out", "out"]);
    let truth = rows(&demo_data().join("truth_contracten.csv"));
    let families: BTreeSet<_> = truth.iter().filter(|row| row["kind"] == "1").map(|row| &row["contract_id"]).collect();
    let flags = rows(&folder.path().join("out/flags.csv"));
    let of_families: Vec<_> = flags.iter().filter(|row| families.contains(&row["contract_id"])).collect();
    assert!(of_families.len() > 3);
    assert!(of_families.iter().all(|row| row["answer"] != "no_priority"));
}

#[test]
fn data_of_ones_own_are_played_and_bad_ones_refused_without_a_trace() {
    let folder = workplace();
    let story = story(folder.path(), &["--data", "data"]);
    assert_eq!(chapter(&story, "Questions").len(), 3);

    let oggz = folder.path().join("data/oggz.csv");
    let bad = fs::read_to_string(&oggz).unwrap() + &format!("O9,{CANARY},,,M,32-04-1980,,,,,\n");
    fs::write(&oggz, bad).unwrap();
    let before = files_in(folder.path());
    let mut command = voorrang();
    command
        .current_dir(&folder)
        .env("TMPDIR", folder.path().join("tmp"))
        .args(["demo", "--data", "data", "--out", "out"]);
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("oggz.csv") && stderr.contains("column geboortedatum"), "{stderr}");
    assert!(!stderr.contains(CANARY), "{stderr}");
    assert!(files_in(folder.path()) == before, "something is left behind");
    assert!(!folder.path().join("out").exists());
}
