//! What cannot be read: of the log, which is named behind all the rest, and of the officer's own copy.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;
use time::Duration;

use super::filter::Filter;
use super::letter::{Looked, letter};
use super::reading::Reading;
use super::testing::{Log, ONE, OTHER, START};
use super::tests::positions;
use super::{Unusable, broken, export, subject, verify};
use crate::audit::{Entry, Line, Range};
use crate::cli::client::PartyBook;

/// A leaf for ever: whoever wrote it must not end all later work with the log.
#[test]
fn an_entry_that_is_none_and_a_seal_from_elsewhere_are_named_behind_all_the_rest() {
    let mut log = Log::new().ask(START, ONE, 1, Ok("priority")).ask(START, OTHER, 7, Ok("no_priority")).grown(2);
    let of = |line: &Line| Entry::from_bytes(line.entry().unwrap()).unwrap();
    let short = Entry { salt: "00".into(), ..of(&log.lines[3]) };
    let copied = Entry { sealed: of(&log.lines[1]).sealed, ..of(&log.lines[2]) };
    log.lines[3] = Line::Entry(short.to_bytes());
    log.lines[2] = Line::Entry(copied.to_bytes());
    log.lines.push(Line::Entry(b"no entry at all".to_vec()));
    let (_home, mut reading) = log.reading();
    assert_eq!(positions(&mut reading, &Filter::default()), [0, 1, 2, 4]);
    assert_eq!(positions(&mut reading, &Filter { from: Some(START), ..Filter::default() }), [0, 1, 2, 4]);
    let found = subject::about(&mut reading, [hex::encode([7; 16]).as_str()].into_iter()).unwrap();
    assert_eq!((found[0].position, found[0].told.word()), (2, "unsealed"));
    let error = anyhow::Error::from(reading.sound().unwrap_err());
    assert_eq!(crate::cli::exit_code(&error), 5);
    assert!(error.to_string().contains("entry: 3, 5; with a seal") && error.to_string().ends_with(": 2"), "{error}");
    let looked = Looked::in_all(&reading);
    assert_eq!((looked.entries, looked.searched()), (6, 4));
    let text = letter(&found, &BTreeMap::new(), &BTreeMap::new(), &PartyBook::default(), &looked);
    assert!(
        text.contains("not searched: 2 (3, 5), ze zijn niet te lezen") && text.contains("niet te openen"),
        "{text}"
    );
    assert!(
        verify::tree_of(&reading.copy, &log.key(), &[], &[], 1).is_err_and(|error| crate::cli::exit_code(&error) == 5)
    );
}

/// All that does not hold, in one run: what is not in the format of an entry, and a seal from elsewhere beside it.
#[test]
fn verifying_names_an_entry_that_is_none_and_the_foreign_seal_beside_it() {
    let mut log = Log::new().grown(3);
    let of = |line: &Line| Entry::from_bytes(line.entry().unwrap()).unwrap();
    let copied = Entry { sealed: of(&log.lines[1]).sealed, ..of(&log.lines[2]) };
    log.lines[2] = Line::Entry(copied.to_bytes());
    log.lines.push(Line::Entry(b"no entry at all".to_vec()));
    let (_home, args) = log.officer();
    let all = verify::verified(&args).unwrap_err();
    let told = broken::json(&all);
    let found: Vec<_> = told["broken"].as_array().unwrap().iter().map(|one| (&one["code"], &one["entry"])).collect();
    assert_eq!(found, [(&json!("entry_malformed"), &json!(4)), (&json!("unsealed"), &json!(2))], "{told}");
    assert_eq!(told["exitCode"], 5);
}

#[test]
fn a_letter_counts_what_was_read_and_names_what_has_expired() {
    let range = Range { from: 1, to: 4 };
    let mut log = Log::new().ask(START, OTHER, 7, Ok("priority")).grown(4).expire(START + Duration::days(9), &[range]);
    let (_home, mut reading) = log.reading();
    let found = subject::about(&mut reading, [hex::encode([7; 16]).as_str()].into_iter()).unwrap();
    let looked = Looked::in_all(&reading);
    assert_eq!((found.len(), looked.entries, looked.searched()), (0, 7, 4));
    let text = letter(&found, &BTreeMap::new(), &BTreeMap::new(), &PartyBook::default(), &looked);
    assert!(text.contains("In 4 van de 7 regels") && text.contains("not searched: 3 (1 to 3)"), "{text}");
    assert!(text.contains("None in what was searched") && !text.contains("Geen. · None."), "{text}");
}

#[test]
fn an_entry_that_was_changed_in_the_copy_accuses_nobody_and_is_read_by_nobody() {
    let (home, mut log) = (tempfile::tempdir().unwrap(), Log::new().grown(6));
    drop(Reading::new(log.copy(home.path()), None).unwrap());
    let path = home.path().join("entries");
    let good = fs::read(&path).unwrap();
    let at = good.windows(6).rposition(|window| window == b"T09:05").unwrap();
    // Another minute, which is an entry as well; and none.
    for (place, byte) in [(at + 5, b'4'), (at, b'x')] {
        let mut bad = good.clone();
        bad[place] = byte;
        fs::write(&path, bad).unwrap();
        let mut reading = Reading::new(log.copy(home.path()), None).unwrap();
        let object = hex::encode([1; 16]);
        let out = tempfile::tempdir().unwrap();
        for error in [
            verify::tree_of(&reading.copy, &log.key(), &[], &[], 1).unwrap_err(),
            subject::about(&mut reading, [object.as_str()].into_iter()).unwrap_err(),
            reading.each(|_| Ok(())).unwrap_err(),
            export::tiles(&reading, &out.path().join("tiles")).unwrap_err(),
        ] {
            assert!(matches!(error.downcast_ref(), Some(Unusable::Copy { .. })), "{error:#}");
            assert_eq!(crate::cli::exit_code(&error), 4);
        }
        drop(reading);
        let index = home.path().join("index");
        let kept = fs::read(&index).unwrap();
        fs::remove_file(&index).unwrap();
        assert!(Reading::new(log.copy(home.path()), None).is_err(), "no index is made of it");
        fs::write(&index, kept).unwrap();
    }
}
