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
    assert!(batch_memory(&house).is_none() && !house.file("batch.part.csv").exists());
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

/// What is remembered of the only batch.
fn batch_memory(house: &House) -> Option<PathBuf> {
    let files = fs::read_dir(house.keys().join(format!("{CORPORATION}.memory"))).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    paths.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("query-batch"))
}

/// A client that is cut after so many bytes; what it says, if it did not come to its end before.
fn cut(house: &House, args: &QueryArgs, bytes: usize) -> Option<String> {
    let through = cut_after(bytes, house.port());
    let text = fs::read_to_string(house.party(CORPORATION)).unwrap();
    let config = house.keys().join("cut.toml");
    fs::write(&config, text.replace(&format!(":{}", house.port()), &format!(":{through}"))).unwrap();
    let args = QueryArgs {
        batch: args.batch,
        resume: args.resume,
        ..QueryArgs::new(args.arrears.clone(), args.tenants.clone(), config, args.output.clone())
    };
    query::ask_all(&args).err().map(|error| format!("{error:#}"))
}

#[test]
fn a_batch_that_was_cut_before_a_cut_over_is_not_asked_a_second_time_behind_it() {
    let house = House::open();
    let contracts = contracts();
    let mut args = arrears(&house, &contracts);
    args.batch = true;
    for bytes in [8_500, 20_000] {
        cut(&house, &args, bytes).expect("it is cut");
        args.resume = true;
    }
    house.fill("haarlem-2");
    assert_eq!(answered(&house), contracts.len(), "the service went on by itself");
    let summary = query::ask_all(&args).unwrap();
    assert_eq!(summary.answers.values().sum::<usize>(), contracts.len());
    assert_eq!(answered(&house), contracts.len(), "one charge and one entry each");
    assert_eq!(column(&args.output, 2), [EPOCH.to_owned()].into());
    house.verify(&[]).unwrap();
}

#[test]
fn a_batch_that_was_not_committed_before_a_cut_over_is_asked_in_the_new_epoch() {
    let house = House::open();
    let contracts = contracts();
    let mut args = arrears(&house, &contracts);
    args.batch = true;
    cut(&house, &args, 20_000).expect("it is cut");
    // As a run leaves it that is cut while it sends: the batch is begun, and no more.
    let memory = batch_memory(&house).unwrap();
    let mut known: serde_json::Value = serde_json::from_str(&fs::read_to_string(&memory).unwrap()).unwrap();
    let begun: serde_json::Value =
        house.client(CORPORATION).post("question-batches", &known["batches"][0]["plan"]).unwrap();
    known["batches"][0]["batch"] = begun["batch"].clone();
    fs::write(&memory, known.to_string()).unwrap();
    let batch = begun["batch"].as_str().unwrap().to_owned();
    house.fill("haarlem-2");
    let before = answered(&house);
    args.resume = true;
    let summary = query::ask_all(&args).unwrap();
    assert_eq!(summary.answers.values().sum::<usize>(), contracts.len());
    assert_eq!(answered(&house), before + contracts.len());
    assert_eq!(column(&args.output, 2), ["haarlem-2".to_owned()].into());
    let left = house.line(CORPORATION).get(&format!("/v1/question-batches/{batch}")).text();
    assert!(left.contains("\"cancelled\"") && !memory.exists(), "{left}");
}

#[test]
fn a_question_whose_answer_was_lost_before_a_cut_over_is_charged_once() {
    for (minimum, sizes) in [(1, [40_000, 42_000, 44_000]), (3, [14_000, 11_000, 8_000])] {
        let house = house(minimum);
        let contracts = &contracts()[..if minimum == 1 { 28 } else { 9 }];
        let mut args = arrears(&house, contracts);
        let (mut charged, mut kept) = (0, 0);
        let lost = sizes.into_iter().any(|bytes| {
            let before = answered(&house);
            if cut(&house, &args, bytes).is_none() {
                return false;
            }
            kept = column(&house.file("flags.part.csv"), 0).len();
            charged = answered(&house);
            charged - before > kept
        });
        assert!(lost, "an answer was under way");
        let all = charged - kept - if minimum == 1 { 1 } else { contracts.len() };
        house.fill("haarlem-2");
        args.resume = true;
        let summary = query::ask_all(&args).unwrap();
        assert_eq!(summary.answers.values().sum::<usize>(), contracts.len());
        assert_eq!(answered(&house), all + contracts.len(), "{minimum}: one charge and one entry each");
        house.verify(&[]).unwrap();
    }
}
