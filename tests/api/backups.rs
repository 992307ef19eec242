//! A backup of a service at work, and the way back: nothing destroyed rises, nothing is forgotten unnoticed.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use voorrang::answer::upkeep::{back_up, restore, rotate_log_key};
use voorrang::audit::{Action, Range, WitnessRefusal};
use voorrang::cli::audit::LogBroken;
use voorrang::cli::audit::witness;
use voorrang::store::{StoreError, Terms};

use super::support::*;

/// Another disk for the database, as after the first one died.
fn lose(house: &House) {
    for name in ["voorrang.db", "voorrang.db-wal", "voorrang.db-shm"] {
        let path = house.state().join(name);
        assert!(fs::remove_file(&path).is_ok() || !path.exists());
    }
}

#[test]
fn a_service_goes_on_from_a_backup_that_was_taken_while_it_answered() {
    let mut house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    let before = house.line(CORPORATION).ask(&question).answered();
    let backup = house.file("backup");
    // What is no word, and a backup that would be taken for one.
    let words = house.state().join("backups");
    fs::create_dir(&words).unwrap();
    fs::create_dir(words.join("monday")).unwrap();
    fs::write(words.join("junk"), "junk").unwrap();
    let inside = back_up(&house.config(), &house.clock, &words.join("tuesday"), &[]);
    assert!(matches!(inside, Err(StoreError::Inside { .. })), "{inside:?}");
    let entries = back_up(&house.config(), &house.clock, &backup, &[]).unwrap().entries;
    assert!(entries > before.receipt.index);
    let until = Instant::now() + Duration::from_secs(20);
    let recorded = || house.log().into_iter().find(|entry| entry.action == Action::Backup);
    while recorded().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(recorded().expect("the log says so").entries, Some(Range { from: 0, to: entries }));
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(house.log().iter().filter(|entry| entry.action == Action::Backup).count(), 1);
    house.line(CORPORATION).ask(&question).answered();
    house.stop();
    // The last checkpoint that left the house is the backup's own.
    fs::copy(backup.join("checkpoint"), house.keys().join("anchor/checkpoint")).unwrap();
    lose(&house);
    assert_eq!(restore(&house.config(), &house.clock, &backup, Terms::default()).unwrap().lost, 0);
    house.start();
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, before.answer, "registers came with it");
    assert!(house.log().iter().any(|entry| entry.action == Action::Restore && entry.entries.is_none()));
    house.verify(&[before]).unwrap();
}

#[test]
fn what_root_puts_back_or_renews_is_the_service_s_own() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut house = House::open();
    house.stop();
    let folders = [house.state(), house.state().join("keys"), house.keys().join("anchor")];
    let all = |folder: &PathBuf| {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        files.chain([folder.clone()]).collect::<Vec<_>>()
    };
    for path in folders.iter().flat_map(all) {
        chown(path, Some(65534), Some(65534)).unwrap();
    }
    let owned = |what: &str| {
        for path in folders.iter().flat_map(all) {
            assert_eq!(fs::metadata(&path).unwrap().uid(), 65534, "{what}: {}", path.display());
        }
    };
    rotate_log_key(&house.config(), &house.clock).unwrap();
    owned("another key");
    let backup = house.file("backup");
    back_up(&house.config(), &house.clock, &backup, &[]).unwrap();
    lose(&house);
    restore(&house.config(), &house.clock, &backup, Terms::default()).unwrap();
    owned("a restore");
}

#[test]
fn a_log_that_was_set_back_is_refused_by_the_anchor_and_alarms_officers_and_witnesses() {
    let mut house = House::open();
    let backup = house.file("backup");
    back_up(&house.config(), &house.clock, &backup, &[]).unwrap();
    let question = value(&house.encoder(EPOCH), FAMILY);
    house.line(CORPORATION).ask(&question).answered();
    let args = house.witness();
    witness::look(&args, &house.party(OFFICER)).unwrap();
    house.verify(&[]).unwrap();
    house.stop();
    lose(&house);
    let refused = restore(&house.config(), &house.clock, &backup, Terms::default()).unwrap_err();
    assert!(matches!(refused, StoreError::RolledBack { .. }), "{refused:?}");
    let lost = restore(&house.config(), &house.clock, &backup, Terms { loss: true, identity: None }).unwrap().lost;
    house.start();
    let said = house.log().into_iter().find(|entry| entry.action == Action::Restore).unwrap();
    assert!(matches!(said.entries, Some(Range { from, to }) if to - from == lost && lost > 1), "{:?}", said.entries);
    // However far the log goes on from there.
    while house.log().len() < usize::try_from(said.entries.unwrap().to).unwrap() + 2 {}
    let alarm = house.verify(&[]).unwrap_err();
    assert!(alarm.downcast_ref::<LogBroken>().is_some(), "{alarm:#}");
    let (told, said) = house.alarmed(args);
    assert!(matches!(told, LogBroken::Witness(WitnessRefusal::Inconsistent { .. })), "{told}");
    assert_eq!(said, "fork");
}

#[test]
fn a_log_that_is_shorter_than_its_witness_knows_alarms_though_the_service_shows_no_checkpoint() {
    let mut house = House::open();
    let backup = house.file("backup");
    back_up(&house.config(), &house.clock, &backup, &[]).unwrap();
    let args = house.witness();
    (0..40).for_each(|_| drop(house.verify(&[]).unwrap()));
    witness::look(&args, &house.party(OFFICER)).unwrap();
    house.stop();
    lose(&house);
    restore(&house.config(), &house.clock, &backup, Terms { loss: true, identity: None }).unwrap();
    house.start();
    let (told, said) = house.alarmed(args);
    assert!(matches!(told, LogBroken::Shorter { .. }), "{told}");
    assert_eq!(said, "rollback");
}
