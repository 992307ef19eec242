//! What parties have: files that no output replaces, a part in the next epoch, and to-dos that are of the epoch they name.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use voorrang::answer::wire::EpochView;
use voorrang::audit::Action;
use voorrang::cli::client::PartyBook;
use voorrang::cli::epoch::{self, EndArgs, EpochCommand, FetchArgs, NewArgs, ResealArgs};
use voorrang::cli::load::{self, Kind, LoadArgs};

use super::support::*;

const NEXT: &str = "haarlem-2";
const YMERE: &str = "00000099000000004001";

fn view(house: &House, epoch: &str) -> EpochView {
    house.client(ADMINISTRATOR).get(&format!("epochs/{epoch}")).unwrap()
}

fn fetch(
    house: &House,
    stem: &str,
    epoch: &str,
    output: Option<PathBuf>,
    salt_file: Option<PathBuf>,
) -> anyhow::Result<String> {
    let epoch = house.epoch_args(stem, epoch);
    epoch::perform(&EpochCommand::Fetch(FetchArgs { epoch, output, salt_file, print_salt: false, profile: None }))
}

fn new(house: &House, without: &[&str]) -> anyhow::Result<String> {
    let without = without.iter().map(|oin| oin.parse().unwrap()).collect();
    epoch::perform(&EpochCommand::New(NewArgs { without, ..NewArgs::of(house.epoch_args(ADMINISTRATOR, NEXT)) }))
}

/// Everybody's list of keys, changed.
fn tell(house: &House, change: impl FnOnce(&mut PartyBook)) {
    let path = house.keys().join("parties.toml");
    let mut book = PartyBook::load(&path).unwrap();
    change(&mut book);
    fs::write(path, toml::to_string(&book).unwrap()).unwrap();
}

#[test]
fn no_output_of_an_epoch_takes_the_place_of_what_the_party_has() {
    let house = House::open();
    let config = house.client(CORPORATION).config.clone();
    let own = config.files().map(PathBuf::from).chain([house.party(CORPORATION)]);
    let own: BTreeMap<PathBuf, Vec<u8>> = own.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(own.len() >= 7, "certificate, keys, lists and the file that names them: {}", own.len());
    for path in own.keys() {
        let error = format!("{:#}", fetch(&house, CORPORATION, EPOCH, Some(path.clone()), None).unwrap_err());
        assert!(error.contains("is what is read"), "{error}");
        for end in [EpochCommand::Abort, EpochCommand::destroy] {
            let args = EndArgs { epoch: house.epoch_args(CORPORATION, EPOCH), output: Some(path.clone()) };
            let error = format!("{:#}", epoch::perform(&end(args)).unwrap_err());
            assert!(error.contains("is what is read"), "{error}");
        }
    }
    assert!(own.iter().all(|(path, before)| fs::read(path).unwrap() == *before));
    // An error leaves no half of what was wanted.
    let (envelope, salt) = (house.file("envelope.json"), house.file("salt"));
    fs::write(&salt, "something else of this party").unwrap();
    assert!(fetch(&house, CORPORATION, EPOCH, Some(envelope.clone()), Some(salt.clone())).is_err());
    assert!(fetch(&house, CORPORATION, EPOCH, Some(salt.clone()), Some(salt.clone())).is_err());
    assert!(!envelope.exists() && fs::read_to_string(salt).unwrap().starts_with("something else"));
}

#[test]
fn a_list_or_salt_that_cannot_be_printed_is_an_error_and_no_panic() {
    let house = House::open();
    for arguments in [&["list"][..], &["list", "--json"], &["fetch", EPOCH, "--print-salt"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
        command.arg("epoch").args(arguments).arg("--config").arg(house.party(POPULATION));
        let output = command.stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains("cannot write to standard output") && !stderr.contains("panicked"), "{stderr}");
    }
}

/// Where the files of several parties lie in one folder, a slip of the hand costs nobody a key.
#[test]
fn no_output_of_an_epoch_takes_the_place_of_what_another_party_has() {
    let house = House::open();
    let others = [POPULATION, ADMINISTRATOR].map(|stem| house.client(stem).config.files().map(PathBuf::from).collect());
    let mut others: Vec<PathBuf> = others.into_iter().flat_map(|some: Vec<PathBuf>| some).collect();
    fetch(&house, POPULATION, EPOCH, None, Some(house.file("salt"))).unwrap();
    fs::write(house.file("flags.csv"), "contract_id,answer\n").unwrap();
    others.extend([house.file("salt"), house.file("flags.csv"), house.party(POPULATION)]);
    let read = || others.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
    let before = read();
    for path in &others {
        let error = format!("{:#}", fetch(&house, CORPORATION, EPOCH, Some(path.clone()), None).unwrap_err());
        assert!(error.contains("give another place to write to"), "{}: {error}", path.display());
        for end in [EpochCommand::Abort, EpochCommand::destroy] {
            let args = EndArgs { epoch: house.epoch_args(CORPORATION, EPOCH), output: Some(path.clone()) };
            let error = format!("{:#}", epoch::perform(&end(args)).unwrap_err());
            assert!(error.contains("give another place to write to"), "{}: {error}", path.display());
        }
    }
    assert_eq!(read(), before);
    for _ in 0..2 {
        fetch(&house, CORPORATION, EPOCH, Some(house.file("envelope.json")), None).unwrap();
    }
}

#[test]
fn who_can_ask_now_and_is_left_out_of_the_next_epoch_is_missed_before_the_cut_over() {
    let house = House::open();
    let key = house.client(CORPORATION).identity().unwrap().public();
    let give = |key: Option<String>| {
        tell(&house, |book| book.party.iter_mut().find(|party| party.oin.as_str() == YMERE).unwrap().recipient = key);
    };
    give(None);
    let error = format!("{:#}", new(&house, &[]).unwrap_err());
    assert!(error.contains("participant_left_out") && error.contains(YMERE) && error.contains("--without"), "{error}");
    let said = new(&house, &[YMERE]).unwrap();
    assert!(said.contains(&format!("without {YMERE}")), "{said}");
    house.contribute(POPULATION, NEXT).unwrap();
    house.contribute(CARE, NEXT).unwrap();
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    let reseal = format!("epoch reseal {NEXT} --for {YMERE}");
    let todo = || view(&house, NEXT).todo.into_iter().any(|todo| todo.command == reseal);
    assert!(todo());
    let error = format!("{:#}", house.activate(NEXT).unwrap_err());
    assert!(error.contains("stock_missing") && error.contains(YMERE) && error.contains("epoch reseal"), "{error}");
    give(Some(key));
    let args = ResealArgs { epoch: house.epoch_args(CARE, NEXT), party: YMERE.parse().unwrap() };
    epoch::perform(&EpochCommand::Reseal(args)).unwrap();
    assert!(!todo());
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    house.activate(NEXT).unwrap();
    let question = value(&house.encoder(NEXT), FAMILY);
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority");
}

#[test]
fn who_can_ask_in_two_epochs_and_is_left_out_of_the_third_is_named_once() {
    let house = House::open();
    house.fill(NEXT);
    tell(&house, |book| book.party.iter_mut().find(|party| party.oin.as_str() == YMERE).unwrap().recipient = None);
    let args = NewArgs::of(house.epoch_args(ADMINISTRATOR, "haarlem-3"));
    epoch::perform(&EpochCommand::New(NewArgs { without: vec![YMERE.parse().unwrap()], ..args })).unwrap();
    house.contribute(POPULATION, "haarlem-3").unwrap();
    house.contribute(CARE, "haarlem-3").unwrap();
    let todo = view(&house, "haarlem-3").todo.into_iter().map(|todo| (todo.oin, todo.command)).collect::<Vec<_>>();
    let reseal: Vec<_> = todo.iter().filter(|(_, command)| command.starts_with("epoch reseal")).collect();
    let distinct: std::collections::BTreeSet<_> = reseal.iter().collect();
    assert!(!reseal.is_empty() && reseal.len() == distinct.len(), "{reseal:?}");
}

#[test]
fn every_todo_names_the_epoch_that_it_is_of() {
    let house = House::open();
    house.agree(NEXT);
    house.agree("haarlem-3");
    for epoch in [EPOCH, NEXT, "haarlem-3"] {
        let todo = view(&house, epoch).todo;
        assert!(!todo.is_empty() && todo.iter().all(|todo| todo.command.contains(epoch)), "{todo:?}");
    }
    // Done as told, it is done there.
    let load = |epoch: &str| {
        let args = house.load_args(POPULATION, Kind::Population, &demo("brp.csv"));
        load::load(&LoadArgs { epoch: Some(epoch.parse().unwrap()), ..args }).unwrap();
        view(&house, epoch).loaded.len()
    };
    assert_eq!((load(NEXT), view(&house, "haarlem-3").loaded.len()), (1, 0));
    assert!(house.log().iter().all(|entry| entry.action != Action::LoadAcceptShrink));
}
