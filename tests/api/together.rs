//! `voorrang query` where a regulation wants that several households are asked about together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use voorrang::audit::{Action, Outcome};
use voorrang::cli::query::{self, QueryArgs};

use super::answers::cut_after;
use super::regulation::amend;
use super::support::*;

/// A service whose regulation wants this many addresses in one request.
fn house(minimum: usize) -> House {
    let house = House::lawless();
    amend(&house, "minimum_batch = 1", &format!("minimum_batch = {minimum}"));
    house.activate_law().unwrap();
    house.fill(EPOCH);
    house
}

fn arrears(house: &House, contracts: &[String]) -> QueryArgs {
    let arrears = house.file("arrears.csv");
    let rows: String = contracts.iter().map(|contract| format!("{contract},3\n")).collect();
    fs::write(&arrears, format!("contract_id,maanden\n{rows}")).unwrap();
    QueryArgs::new(arrears, house.stock_of("C1"), house.party(CORPORATION), house.file("flags.csv"))
}

fn column(path: &Path, column: usize) -> BTreeSet<String> {
    let rows = csv::Reader::from_path(path).unwrap().into_records().map(Result::unwrap);
    rows.map(|row| row[column].to_owned()).collect()
}

fn answered(house: &House) -> usize {
    house.log().iter().filter(|entry| matches!(entry.result, Outcome::Answered)).count()
}

#[test]
fn the_client_asks_about_as_many_households_at_once_as_the_regulation_wants() {
    let house = house(5);
    let contracts = contracts();
    let args = arrears(&house, &contracts);
    let summary = query::ask_all(&args).unwrap();
    assert_eq!((summary.answers.values().sum::<usize>(), &summary.refused), (contracts.len(), &BTreeMap::new()));
    assert_eq!(column(&args.output, 0), contracts.iter().cloned().collect());
    assert_eq!((answered(&house), column(&args.output, 3).len()), (contracts.len(), contracts.len()), "a receipt each");
    house.verify(&[]).unwrap();
}

#[test]
fn what_is_below_the_minimum_is_told_and_neither_asked_nor_charged() {
    let house = house(5);
    let args = arrears(&house, &contracts()[..4]);
    let summary = query::ask_all(&args).unwrap();
    assert_eq!((summary.answers.len(), summary.refused["minimum-batch"]), (0, 4));
    let refused: PathBuf = house.file("flags.refused.csv");
    let told = fs::read_to_string(&refused).unwrap();
    assert!(told.contains("not_asked,minimum-batch") && told.contains("next run"), "{told}");
    assert_eq!(column(&refused, 0), contracts()[..4].iter().cloned().collect());
    assert!(house.log().iter().all(|entry| entry.action != Action::Ask));
}

#[test]
fn a_run_of_requests_that_is_cut_goes_on_and_nobody_is_asked_about_twice() {
    let house = house(3);
    let contracts = contracts();
    let mut args = arrears(&house, &contracts[..9]);
    let text = fs::read_to_string(&args.config).unwrap();
    args.config = house.keys().join("cut.toml");
    // Somewhere in the answer of the only request, which has more bytes than there are between two tries.
    let mut runs = 0;
    let error = [14_000, 11_000, 8_000].into_iter().find_map(|bytes| {
        let through = cut_after(bytes, house.port());
        fs::write(&args.config, text.replace(&format!(":{}", house.port()), &format!(":{through}"))).unwrap();
        runs += 1;
        query::ask_all(&args).err()
    });
    let error = format!("{:#}", error.expect("one of them is cut"));
    assert!(error.contains("--resume") && answered(&house) == 9 * runs, "{error}: {} in {runs}", answered(&house));
    args.config = house.party(CORPORATION);
    args.resume = true;
    let summary = query::ask_all(&args).unwrap();
    assert_eq!(summary.answers.values().sum::<usize>(), 9);
    assert_eq!(answered(&house), 9 * runs, "one charge and one entry each");
}

#[test]
fn a_run_as_one_batch_writes_what_single_questions_do_and_leaves_nothing_behind() {
    let house = House::open();
    let contracts = contracts();
    let mut args = arrears(&house, &contracts);
    query::ask_all(&args).unwrap();
    let words = |path: &Path| -> BTreeMap<String, String> {
        let rows = csv::Reader::from_path(path).unwrap().into_records().map(Result::unwrap);
        rows.map(|row| (row[0].to_owned(), row[1].to_owned())).collect()
    };
    let singly = words(&args.output);
    (args.batch, args.output) = (true, house.file("batch.csv"));
    let summary = query::ask_all(&args).unwrap();
    assert_eq!((summary.asked, summary.answers.values().sum::<usize>()), (contracts.len(), contracts.len()));
    assert_eq!(words(&args.output), singly);
    assert_eq!(column(&args.output, 3).len(), contracts.len(), "a receipt each");
    let memory = house.keys().join(format!("{CORPORATION}.memory/query-batch.json"));
    assert!(!memory.exists() && !house.file("batch.part.csv").exists());
    house.verify(&[]).unwrap();
    // Another file is another batch: each household is asked about once more.
    args.purpose = Some("tenant-screening".into());
    let error = format!("{:#}", query::ask_all(&args).unwrap_err());
    assert!(error.contains("purpose") || error.contains("refused"), "{error}");
}

#[test]
fn a_batch_that_is_cut_goes_on_and_nobody_is_asked_about_twice() {
    let house = House::open();
    let contracts = contracts();
    let mut args = arrears(&house, &contracts);
    args.batch = true;
    let text = fs::read_to_string(&args.config).unwrap();
    let whole = args.config.clone();
    args.config = house.keys().join("cut.toml");
    // Cut early, where the batch is begun, and late, where its results are on the way.
    for bytes in [8_500, 20_000] {
        let through = cut_after(bytes, house.port());
        fs::write(&args.config, text.replace(&format!(":{}", house.port()), &format!(":{through}"))).unwrap();
        let error = format!("{:#}", query::ask_all(&args).unwrap_err());
        assert!(error.contains("no answer"), "{error}");
        args.resume = true;
    }
    args.config = whole;
    let summary = query::ask_all(&args).unwrap();
    assert_eq!(summary.answers.values().sum::<usize>(), contracts.len());
    assert_eq!(answered(&house), contracts.len());
}
