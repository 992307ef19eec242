//! A bit of a copied log is turned over, in the database or in its write-ahead log: that is found, or nothing that the log
//! says is another. It never ends in a panic.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::fixture::{ORIGIN, append, entry, folder, insert_epoch};
use super::log::LogLine;
use super::{Setup, Store, StoreError};

const FLIPS: usize = 200;

/// Entries that were copied into the database, and those in its write-ahead log alone.
const COPIED: u64 = 300;
const FRESH: u64 = 20;

/// Pseudorandom numbers, the same each time (splitmix64, Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most as u64).unwrap()
    }
}

/// What the log says, once all of it was checked.
fn said(setup: &Setup) -> Result<(Vec<LogLine>, String), StoreError> {
    let store = Store::open_with(setup)?;
    store.check_log()?;
    (0..COPIED + FRESH).step_by(64).try_for_each(|index| store.inclusion(index).map(drop))?;
    Ok((store.entries(0..COPIED + FRESH + 1)?, store.checkpoint()?))
}

/// A log of which a part stands in the write-ahead log alone, as a service that was killed leaves it, in a folder beside.
fn left_behind(home: &Path) -> Setup {
    let setup = |name: &str| {
        let anchor = Some(home.join(format!("anchor-{name}")));
        Setup { anchor, ..Setup::new(home.join(name).as_path(), ORIGIN) }
    };
    let (running, left) = (setup("running"), setup("left"));
    let store = Store::open_with(&running).unwrap();
    insert_epoch(&store);
    store.write(|tx| (0..COPIED).try_for_each(|_| tx.append(&entry()).map(drop))).unwrap();
    let copier = rusqlite::Connection::open(running.database()).unwrap();
    super::wal::copy(&copier).unwrap();
    drop(copier);
    (0..FRESH).for_each(|_| drop(append(&store)));
    let (anchor, until) = (running.anchor.unwrap(), Instant::now() + Duration::from_secs(10));
    let is_anchored =
        || fs::read_to_string(&anchor).is_ok_and(|note| note.contains(&format!("\n{}\n", COPIED + FRESH)));
    while !is_anchored() {
        assert!(Instant::now() < until, "the anchor follows within a second");
        std::thread::sleep(Duration::from_millis(50));
    }
    for part in ["", "keys", "epoch-keys"] {
        let (from, to) = (running.folders.state.join(part), left.folders.state.join(part));
        super::open::make_folder(&to).unwrap();
        for file in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|file| file.path().is_file()) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    fs::copy(anchor, left.anchor.as_ref().unwrap()).unwrap();
    left
}

#[test]
fn a_bit_that_turned_over_is_found_or_changed_nothing_that_the_log_says() {
    let home = folder();
    let setup = left_behind(home.path());
    let path = |end: &str| setup.folders.state.join(format!("voorrang.db{end}"));
    let anchor = setup.anchor.clone().unwrap();
    let (database, wal, note) =
        (fs::read(path("")).unwrap(), fs::read(path("-wal")).unwrap(), fs::read(&anchor).unwrap());
    // Behind it are zeros that nobody reads.
    let written = wal.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let put = |database: &[u8], wal: &[u8]| {
        drop(fs::remove_file(path("-shm")));
        fs::write(path(""), database).unwrap();
        fs::write(path("-wal"), wal).unwrap();
        fs::write(&anchor, &note).unwrap();
    };
    put(&database, &wal);
    let whole = said(&setup).unwrap();
    assert_eq!(whole.0.len() as u64, COPIED + FRESH);
    let (mut random, mut found) = (Random(2026), [0, 0]);
    for flip in 0..FLIPS {
        let in_wal = flip % 2;
        let mut files = [database.clone(), wal.clone()];
        let (byte, bit) = (random.below([database.len(), written][in_wal]), random.below(8));
        files[in_wal][byte] ^= 1 << bit;
        put(&files[0], &files[1]);
        match said(&setup) {
            Ok(said) => assert!(said == whole, "bit {bit} of byte {byte} changed what the log says"),
            Err(_) => found[in_wal] += 1,
        }
    }
    assert!(found.iter().all(|found| *found > FLIPS / 10), "{found:?} of {FLIPS} were found");
    eprintln!("{FLIPS} flips: {} found in the database, {} in its write-ahead log", found[0], found[1]);
}
