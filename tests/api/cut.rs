//! `voorrang query` that is killed, or whose service is, before an epoch is cut over: whoever was asked about is not asked
//! about and charged again behind it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use voorrang::audit::Outcome;
use voorrang::cli::epoch::{self, EpochCommand, FetchArgs};
use voorrang::cli::query::{self, QueryArgs};
use voorrang::cli::regulation::confirm;

use super::regulation::amend;
use super::support::*;

const NEXT: &str = "haarlem-2";
const LEAST: usize = 5;

/// A file of arrears with so many households.
fn args(house: &House, contracts: &[String], name: &str) -> QueryArgs {
    let arrears = house.file(&format!("arrears-{name}.csv"));
    let rows: String = contracts.iter().map(|contract| format!("{contract},3\n")).collect();
    fs::write(&arrears, format!("contract_id,maanden\n{rows}")).unwrap();
    QueryArgs::new(arrears, house.stock_of("C1"), house.party(CORPORATION), house.file(name))
}

/// The command as a process of its own, which can be killed.
fn command(args: &QueryArgs) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    command.arg("query").arg(&args.arrears).arg("--tenants").arg(&args.tenants).arg("--config").arg(&args.config);
    command.arg("-o").arg(&args.output);
    command
}

fn spawn(args: &QueryArgs) -> Child {
    command(args).stderr(Stdio::null()).spawn().unwrap()
}

fn column(path: &Path, column: usize) -> Vec<String> {
    let rows = csv::Reader::from_path(path).unwrap().into_records().map(Result::unwrap);
    rows.map(|row| row[column].to_owned()).collect()
}

fn database(house: &House) -> Connection {
    let db = Connection::open(house.state().join("voorrang.db")).unwrap();
    db.busy_timeout(Duration::from_secs(20)).unwrap();
    db
}

fn charged_in(db: &Connection) -> usize {
    let sql = "SELECT coalesce(sum(questions), 0) FROM household_questions WHERE object NOT LIKE 'tenant %'";
    let mut sum = db.prepare_cached(sql).unwrap();
    usize::try_from(sum.query_row([], |row| row.get::<_, i64>(0)).unwrap()).unwrap()
}

fn charged(house: &House) -> usize {
    charged_in(&database(house))
}

fn until_charged(house: &House, least: usize) -> usize {
    // One connection: to open one takes as long as several answers.
    let db = database(house);
    for _ in 0..30_000 {
        let now = charged_in(&db);
        if now >= least {
            return now;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("too few are answered");
}

fn answered(house: &House) -> usize {
    house.log().iter().filter(|entry| entry.result == Outcome::Answered).count()
}

fn retire(house: &House) {
    let proposal = epoch::perform(&EpochCommand::Retire(house.epoch_args(ADMINISTRATOR, EPOCH))).unwrap();
    confirm(&proposal.trim().parse().unwrap(), &house.client(OFFICER)).unwrap();
}

/// A run that is killed while an answer is on its way, which is so nearly always: it leaves at a tick behind its charge.
/// And what was charged before it.
fn cut_at_an_answer(house: &House) -> (QueryArgs, usize) {
    let mut before = 0;
    for run in 1..6 {
        let args = args(house, &contracts(), &format!("flags-{run}.csv"));
        let mut asking = spawn(&args);
        let charged = until_charged(house, before + 5);
        asking.kill().unwrap();
        asking.wait().unwrap();
        let kept = column(&house.file(&format!("flags-{run}.part.csv")), 0).len();
        assert!(kept >= 3 && !args.output.exists(), "{kept} answers are kept");
        if charged > before + kept {
            return (args, before);
        }
        before = charged;
    }
    panic!("no answer was ever under way");
}

/// The salt of an epoch, as a corporation that keeps it in files has it.
fn salt_file(house: &House, epoch: &str) -> PathBuf {
    let path = house.file(&format!("{epoch}.salt"));
    let (epoch, salt_file) = (house.epoch_args(CORPORATION, epoch), Some(path.clone()));
    let fetch = FetchArgs { epoch, output: None, salt_file, print_salt: false, profile: None };
    epoch::perform(&EpochCommand::Fetch(fetch)).unwrap();
    path
}

#[test]
fn an_answer_that_was_cut_is_told_also_to_who_goes_on_with_the_next_epoch_s_salt_file() {
    let house = House::open();
    let (args, before) = cut_at_an_answer(&house);
    house.fill(NEXT);
    let again = QueryArgs { resume: true, salt_file: Some(salt_file(&house, NEXT)), ..args };
    let summary = query::ask_all(&again).unwrap();
    assert_eq!((summary.answers.values().sum::<usize>(), summary.refused.len()), (contracts().len(), 0));
    assert_eq!(charged(&house), before + contracts().len(), "one charge each");
    assert_eq!(column(&again.output, 2).into_iter().collect::<BTreeSet<_>>().len(), 2, "answers of both epochs");
    house.verify(&[]).unwrap();
}

#[test]
fn an_answer_that_went_with_its_epoch_is_charged_again_only_to_who_says_so() {
    let house = House::open();
    let (args, before) = cut_at_an_answer(&house);
    let kept = column(&args.output.with_extension("part.csv"), 0).len();
    house.fill(NEXT);
    retire(&house);
    super::ends::destroy(&house, EPOCH).unwrap();
    let charged_once = charged(&house);
    let again = |ask_again| QueryArgs {
        resume: true,
        ask_again,
        ..QueryArgs::new(args.arrears.clone(), args.tenants.clone(), args.config.clone(), args.output.clone())
    };
    for _ in 0..2 {
        let error = query::ask_all(&again(false)).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("about 1 household, was made in haarlem-1") && text.contains("--ask-again"), "{text}");
        assert_eq!((voorrang::cli::exit_code(&error), charged(&house)), (1, charged_once), "nobody is asked about");
        assert_eq!(column(&args.output.with_extension("part.csv"), 0).len(), kept);
    }
    let summary = query::ask_all(&again(true)).unwrap();
    assert_eq!(summary.answers.values().sum::<usize>(), contracts().len());
    assert_eq!(charged(&house), before + contracts().len() + 1, "one of them twice");
}

#[test]
fn a_killed_run_goes_on_behind_a_cut_over_and_nobody_is_charged_twice() {
    let house = House::open();
    let contracts = contracts();
    let (args, before) = cut_at_an_answer(&house);
    house.fill(NEXT);
    retire(&house);
    let again = QueryArgs { resume: true, ..args };
    let summary = query::ask_all(&again).unwrap();
    assert_eq!((summary.answers.values().sum::<usize>(), summary.refused.len()), (contracts.len(), 0));
    assert_eq!(column(&again.output, 0).iter().collect::<BTreeSet<_>>(), contracts.iter().collect());
    assert_eq!(charged(&house), before + contracts.len(), "one charge each");
    assert_eq!(answered(&house), before + contracts.len(), "one entry each");
    let memory = house.keys().join(format!("{CORPORATION}.memory"));
    assert_eq!(left_behind(&memory, "query-"), [""; 0]);
    assert!(!again.output.with_extension("part.json").exists());
    house.verify(&[]).unwrap();
}

/// Names of files in a folder that begin so.
fn left_behind(folder: &Path, stem: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(stem) && !name.ends_with(".lock")).collect()
}

/// A run that is killed behind some of its answers.
fn killed(house: &House, args: &QueryArgs) -> Vec<String> {
    let before = charged(house);
    let mut asking = spawn(args);
    until_charged(house, before + 5);
    asking.kill().unwrap();
    asking.wait().unwrap();
    column(&args.output.with_extension("part.csv"), 0)
}

#[test]
fn answers_of_another_run_are_not_taken_for_this_one_s_and_never_thrown_away() {
    let house = House::open();
    let contracts = contracts();
    let run = args(&house, &contracts, "flags.csv");
    let kept = killed(&house, &run);
    let part = fs::read(house.file("flags.part.csv")).unwrap();
    let other =
        || QueryArgs { output: house.file("flags.csv"), resume: true, ..args(&house, &contracts[..6], "other.csv") };
    let yesterday = run.day.or_else(|| voorrang::clock::Clock::System.today().previous_day());
    let statement = house.keys().join("statement.toml");
    let text = fs::read_to_string(house.party(CORPORATION)).unwrap();
    fs::write(&statement, text.replace("helpOffered = true", "helpOffered = false")).unwrap();
    for (wrong, why) in [
        (other(), "other arrears"),
        (QueryArgs { arrears: run.arrears.clone(), purpose: Some("tenant-screening".into()), ..other() }, "purpose"),
        (QueryArgs { arrears: run.arrears.clone(), day: yesterday, ..other() }, "--day"),
        (QueryArgs { arrears: run.arrears.clone(), config: statement, ..other() }, "conditions"),
    ] {
        let error = query::ask_all(&wrong).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("another run") && text.contains(why) && text.contains("without --resume"), "{text}");
        assert_eq!(voorrang::cli::exit_code(&error), 1);
        assert_eq!(fs::read(house.file("flags.part.csv")).unwrap(), part, "{why}");
    }
    let before = charged(&house);
    let anew = query::ask_all(&QueryArgs { resume: false, ..other() }).unwrap();
    assert_eq!((anew.answers.values().sum::<usize>(), charged(&house)), (6, before + 6));
    assert_eq!(column(&house.file("flags.csv"), 0), contracts[..6]);
    assert_eq!(column(&house.file("flags.cut-1.csv"), 0), kept, "what was charged stays");
}

#[test]
fn a_run_that_never_began_goes_on_from_the_start() {
    let house = House::open();
    let run = QueryArgs { resume: true, ..args(&house, &contracts()[..3], "flags.csv") };
    assert_eq!(query::ask_all(&run).unwrap().answers.values().sum::<usize>(), 3);
}

#[test]
fn who_is_told_to_end_says_what_is_kept_and_leaves_no_other_file() {
    let house = House::open();
    let contracts = contracts();
    for (name, signal) in [("term.csv", "TERM"), ("int.csv", "INT")] {
        let (run, before) = (args(&house, &contracts, name), charged(&house));
        let mut asking = command(&run).stderr(Stdio::piped()).spawn().unwrap();
        until_charged(&house, before + 4);
        super::support::signal(signal, &asking);
        let mut told = String::new();
        asking.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(asking.wait().unwrap().code(), Some(1), "{told}");
        assert!(told.contains("answers are kept in") && told.contains("--resume"), "{told}");
        assert_eq!(left_behind(house.file(".").as_path(), ".tmp"), [""; 0]);
        let summary = query::ask_all(&QueryArgs { resume: true, ..run }).unwrap();
        assert_eq!(summary.answers.values().sum::<usize>(), contracts.len());
        assert_eq!(charged(&house), before + contracts.len());
    }
}

#[test]
fn two_runs_at_once_do_not_take_each_other_s_memory() {
    let house = House::open();
    let run = args(&house, &contracts(), "flags.csv");
    let mut asking = spawn(&run);
    until_charged(&house, 2);
    let other = args(&house, &contracts()[..3], "other.csv");
    let error = query::ask_all(&other).unwrap_err();
    assert!(format!("{error:#}").contains("under way, since 20"), "{error:#}");
    assert_eq!(voorrang::cli::exit_code(&error), 1);
    assert!(asking.wait().unwrap().success());
    assert_eq!(query::ask_all(&other).unwrap().answers.values().sum::<usize>(), 3);
}

#[test]
fn a_line_that_a_kill_cut_is_asked_for_again() {
    let house = House::open();
    let contracts = &contracts()[..4];
    let run = args(&house, contracts, "flags.csv");
    let mut asking = spawn(&run);
    until_charged(&house, 2);
    asking.kill().unwrap();
    asking.wait().unwrap();
    let part = house.file("flags.part.csv");
    let text = fs::read_to_string(&part).unwrap();
    fs::write(&part, text + "K000,prio").unwrap();
    let summary = query::ask_all(&QueryArgs { resume: true, ..run }).unwrap();
    assert_eq!(summary.answers.values().sum::<usize>(), contracts.len());
    assert_eq!(charged(&house), contracts.len());
}

/// A request about so many households whose service and client are killed in its middle, how many are charged, and the
/// service at work again.
fn cut_in_its_middle(count: usize) -> (House, QueryArgs, usize) {
    // A busy machine sees too late how far a short request is.
    for _ in 0..8 {
        let mut house = House::built(true);
        amend(&house, "minimum_batch = 1", &format!("minimum_batch = {LEAST}"));
        house.start();
        house.fill(EPOCH);
        let mut addresses = BTreeSet::new();
        let encoder = house.encoder(EPOCH);
        let different = |contract: &String| addresses.insert(value(&encoder, contract)["address"].to_string());
        let contracts: Vec<String> = contracts().into_iter().filter(different).take(count).collect();
        assert!(contracts.len() >= 8);
        let run = args(&house, &contracts, "flags.csv");
        let mut asking = spawn(&run);
        until_charged(&house, LEAST);
        house.kill_now();
        asking.kill().unwrap();
        asking.wait().unwrap();
        house.kill();
        house.start();
        let before = charged(&house);
        if before < contracts.len() {
            let run = QueryArgs { config: house.party(CORPORATION), ..run };
            return (house, run, before);
        }
    }
    panic!("no request was cut in its middle");
}

#[test]
fn a_request_that_was_cut_and_then_met_the_silence_singles_nobody_out_and_charges_nobody_twice() {
    // So many that those whom the silence leaves out are enough for a request, and so few that they are not.
    for count in [28, 8] {
        let (house, run, before) = cut_in_its_middle(count);
        let asked = fs::read_to_string(&run.arrears).unwrap().lines().count() - 1;
        house.fill(NEXT);
        retire(&house);
        let run = QueryArgs { resume: true, ..run };
        let summary = query::ask_all(&run).unwrap();
        let (told, left) = (summary.answers.values().sum::<usize>(), asked - before);
        let epochs = column(&run.output, 2);
        assert_eq!(epochs.iter().filter(|epoch| *epoch == EPOCH).count(), before, "told again");
        if left >= LEAST {
            assert_eq!((told, charged(&house), answered(&house)), (asked, asked, asked));
        } else {
            assert_eq!((told, charged(&house), answered(&house)), (before, before, before));
            assert_eq!(summary.refused["minimum-batch"], left);
            let refused = fs::read_to_string(house.file("flags.refused.csv")).unwrap();
            assert!(refused.contains("not_asked") && refused.contains("next run"), "{refused}");
        }
        house.verify(&[]).unwrap();
    }
}
