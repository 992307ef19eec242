//! What a party does with an epoch's salt: keeps it nowhere, in a file of its own, in its environment; and what
//! happens to loads while an administrator activates.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use voorrang::answer::wire::{EpochView, Source, SourceReport};
use voorrang::cli::epoch::{self, EpochCommand, FetchArgs};
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::ids::EpochId;
use voorrang::profile::Profile;

use super::ends::stands;
use super::rotation::ask_all;
use super::support::*;

/// The salt as [`POPULATION`] opens it, raw and as it is written.
fn salt(house: &House) -> [Vec<u8>; 2] {
    let epoch: EpochId = EPOCH.parse().unwrap();
    let salt = house.client(POPULATION).salt(&epoch, &Profile::built_in()).unwrap().expose().to_vec();
    let written = hex::encode(&salt).into_bytes();
    [salt, written]
}

fn fetch(house: &House, stem: &str, output: Option<&str>, salt_file: Option<&str>) {
    let [output, salt_file] = [output, salt_file].map(|name| name.map(|name| house.file(name)));
    let epoch = house.epoch_args(stem, EPOCH);
    let fetch = FetchArgs { epoch, output, salt_file, print_salt: false, profile: None };
    epoch::perform(&EpochCommand::Fetch(fetch)).unwrap();
}

#[test]
fn a_party_that_wants_no_salt_on_its_disk_loads_and_asks_without_one() {
    let house = House::open();
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    fetch(&house, CORPORATION, Some("envelope.json"), None);
    assert!(ask_all(&house, "flags.csv").unwrap().asked > 0);
    let everywhere = house.file(".");
    assert_eq!(salt(&house).map(|salt| stands(&everywhere, &salt)), [false, false]);
    fetch(&house, CORPORATION, None, Some("salt.hex"));
    assert_eq!(salt(&house).map(|salt| stands(&everywhere, &salt)), [false, true], "the control");
}

#[test]
fn an_envelope_a_salt_file_and_a_salt_in_the_environment_make_the_same_codes() {
    let house = House::open();
    fetch(&house, POPULATION, Some("envelope.json"), Some("salt.hex"));
    let key = |name: &str| house.keys().join(name).into_os_string().into_string().unwrap();
    let (identity, parties) = (key(&format!("{POPULATION}.age")), key("parties.toml"));
    let encoded = |from: &[&str], salt: Option<&str>| {
        let mut encode = Command::new(env!("CARGO_BIN_EXE_voorrang"));
        encode.current_dir(house.file(".")).args(["encode", "population"]).arg(demo("brp.csv"));
        encode.args(["-o", "codes.ndjson", "--reference-date", "2026-01-01"]).args(from).env_remove("VOORRANG_SALT");
        salt.map(|salt| encode.env("VOORRANG_SALT", salt));
        let output = encode.output().unwrap();
        let codes = fs::read_to_string(house.file("codes.ndjson"));
        drop(fs::remove_file(house.file("codes.ndjson")));
        (output.status.code(), String::from_utf8(output.stderr).unwrap(), codes.unwrap_or_default())
    };
    let (code, _, by_envelope) =
        encoded(&["--envelope", "envelope.json", "--identity", &identity, "--parties", &parties], None);
    assert!(code == Some(0) && by_envelope.lines().count() > 500);
    let text = fs::read_to_string(house.file("salt.hex")).unwrap();
    let environment = ["--salt-file", "env:VOORRANG_SALT", "--epoch", EPOCH];
    assert_eq!(encoded(&["--salt-file", "salt.hex"], None).2, by_envelope, "it says of which epoch it is");
    let (code, stderr, _) = encoded(&["--salt-file", "salt.hex", "--epoch", "haarlem-2"], None);
    assert!(code == Some(1) && stderr.contains("of the epoch haarlem-1, not of haarlem-2"), "{stderr}");
    assert_eq!(encoded(&environment, Some(text.trim())).2, by_envelope);
    // Nothing, half of one and another one.
    for (wrong, says) in [(None, "VOORRANG_SALT"), (Some(&text.trim()[..30]), "salt")] {
        let (code, stderr, codes) = encoded(&environment, wrong);
        assert!(code != Some(0) && codes.is_empty() && stderr.contains(says), "{stderr}");
        assert!(!stderr.contains(&text[10..20]), "the error repeats the salt");
    }
    assert_ne!(encoded(&environment, Some(&"5a".repeat(32))).2, by_envelope);
    // What others can read is told, with what to do about it, and taken: a night's load does not wait for a person.
    let salt = house.file("salt.hex").display().to_string();
    let envelope = ["--envelope", "envelope.json", "--identity", &identity, "--parties", &parties];
    for (secret, from) in [(&salt, &["--salt-file", &salt][..]), (&identity, &envelope)] {
        for (mode, is_told) in [(0o640, true), (0o604, true), (0o440, false), (0o400, false), (0o600, false)] {
            fs::set_permissions(secret, fs::Permissions::from_mode(mode)).unwrap();
            let (code, stderr, codes) = encoded(from, None);
            assert_eq!((code, codes == by_envelope), (Some(0), true), "{stderr}");
            assert_eq!(stderr.contains(&format!("chmod 600 {secret}")), is_told, "{mode:o}: {stderr}");
        }
    }
}

/// The files of the epoch before lie in every party's folder, and every nightly job names them.
#[test]
fn a_rotation_with_the_salt_files_of_the_epoch_before_loads_nothing() {
    let house = House::open();
    let parties = [(POPULATION, Kind::Population, demo("brp.csv")), (CARE, Kind::Care, demo("oggz.csv"))].into_iter();
    let parties: Vec<_> = parties.chain([(CORPORATION, Kind::Stock, house.stock_of("C1"))]).collect();
    let kept = |stem: &str| format!("salt-{stem}");
    parties.iter().for_each(|(stem, ..)| fetch(&house, stem, None, Some(&kept(stem))));
    house.agree("haarlem-2");
    let load = |stem: &str, kind: Kind, input: &Path, file: &str| {
        let args = LoadArgs { salt_file: Some(house.file(file)), ..house.load_args(stem, kind, input) };
        format!("{:#}", load::load(&args).err().expect("it is refused"))
    };
    for (stem, kind, input) in &parties {
        // The job fetches first, and goes on.
        let epoch = house.epoch_args(stem, "haarlem-2");
        let salt_file = Some(house.file(&kept(stem)));
        let fetch = FetchArgs { epoch, output: None, salt_file, print_salt: false, profile: None };
        let error = format!("{:#}", epoch::perform(&EpochCommand::Fetch(fetch)).unwrap_err());
        assert!(error.contains("holds the salt of haarlem-1; it stays; give haarlem-2 a file of its own"), "{error}");
        let error = load(stem, *kind, input, &kept(stem));
        assert!(error.contains("of the epoch haarlem-1, not of haarlem-2"), "{error}");
        assert!(error.contains("`voorrang epoch fetch haarlem-2`"), "{error}");
        // Another name before the same digits, and digits without a name.
        let digits = fs::read_to_string(house.file(&kept(stem))).unwrap().replace("haarlem-1:", "");
        fs::write(house.file("renamed"), format!("haarlem-2:{digits}")).unwrap();
        let error = load(stem, *kind, input, "renamed");
        assert!(error.contains("not the one in the envelope of haarlem-2"), "{error}");
        fs::write(house.file("nameless"), digits).unwrap();
        let error = load(stem, *kind, input, "nameless");
        assert!(error.contains("names no epoch"), "{error}");
    }
    let view: EpochView = house.client(OFFICER).get("epochs/haarlem-2").unwrap();
    assert!(view.loaded.is_empty() && view.key_check.is_none(), "{view:?}");
    // The new epoch's own does.
    fetch(&house, POPULATION, None, Some("new"));
    let error = load(POPULATION, Kind::Population, &parties[0].2, "new");
    assert!(error.contains("of the epoch haarlem-1, not of haarlem-2"), "the one that still answers: {error}");
    let salt_file = Some(house.file("haarlem-2.salt"));
    let epoch = house.epoch_args(POPULATION, "haarlem-2");
    let own = FetchArgs { epoch, output: None, salt_file: salt_file.clone(), print_salt: false, profile: None };
    epoch::perform(&EpochCommand::Fetch(own)).unwrap();
    let args = LoadArgs { salt_file, ..house.load_args(POPULATION, Kind::Population, &parties[0].2) };
    load::load(&args).unwrap();
}

/// Whoever activates meets the list whole or not at all.
#[test]
fn an_epoch_is_activated_with_a_list_that_is_loading_or_without_and_never_with_half_of_it() {
    let house = House::empty();
    house.agree(EPOCH);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    let refused = std::thread::scope(|scope| {
        let loading = scope.spawn(|| house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap());
        let mut refused = 0;
        while let Err(error) = house.activate(EPOCH) {
            let error = format!("{error:#}");
            assert!(error.contains("source_missing") && error.contains("care"), "{error}");
            refused += 1;
        }
        loading.join().unwrap();
        refused
    });
    assert!(refused > 0, "the list was there before anybody activated");
    let members = fs::read_to_string(demo("oggz.csv")).unwrap().lines().count() as u64 - 1;
    let reports: Vec<SourceReport> = house.client(OFFICER).get(&format!("epochs/{EPOCH}/reports")).unwrap();
    assert_eq!(reports.iter().find(|report| report.source == Source::Care).unwrap().records, members);
    let question = value(&house.encoder(EPOCH), FAMILY);
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority");
}
