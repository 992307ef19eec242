//! What is said of loads: kept, read by officers, and held against what the parties accept.

use std::fs;

use voorrang::answer::quality::LoadQuality;
use voorrang::answer::wire::SourceReport;
use voorrang::answer::wire::law::InferenceView;
use voorrang::audit::Action;
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::regulate::Regulation;

use super::probing::counted;
use super::regulation::{amend, serve_no_list};
use super::support::*;

fn reports(house: &House) -> Vec<SourceReport> {
    house.client(OFFICER).get(&format!("epochs/{EPOCH}/reports")).unwrap()
}

/// What officers read of the care list, which was loaded last.
fn inference(house: &House) -> InferenceView {
    reports(house)[1].inference.clone().expect("both sources are there")
}

/// All sign the regulation with another bound, and two activate it.
fn agree_on(house: &House, bound: &str) -> anyhow::Result<()> {
    let file = house.law().join("regulation.toml");
    let text = fs::read_to_string(&file).unwrap();
    let before = Regulation::load(&house.law()).unwrap().digest().to_owned();
    let line = |line: &str| match line.split(" = ").next() {
        Some("bound") => format!("bound = {bound}\n"),
        Some("valid_from") => format!("replaces = \"{before}\"\n{line}\n"),
        Some("replaces") => String::new(),
        _ => format!("{line}\n"),
    };
    fs::write(&file, text.lines().map(line).collect::<String>()).unwrap();
    house.sign_law();
    house.activate_law()
}

#[test]
fn who_has_the_register_is_held_to_a_bound_of_its_own() {
    let house = House::lawless();
    let file = house.law().join("regulation.toml");
    let text = fs::read_to_string(&file).unwrap();
    // The group told to no corporation: its share among households without a minor or senior is all that is known.
    let told = "recipients = [\"corporation\", \"care-custodian\"]";
    let text = text.replace(told, "recipients = [\"care-custodian\"]");
    fs::write(&file, text.replace("bound_registered = 1.0", "bound_registered = 0.035")).unwrap();
    house.sign_law();
    house.activate_law().unwrap();
    house.agree(EPOCH);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    let inference = inference(&house);
    // Ten of 234, whichever way somebody looks.
    assert!(inference.registered.unwrap().worst > 0.035, "{inference:?}");
    let error = format!("{:#}", house.activate(EPOCH).unwrap_err());
    assert!(error.contains("posterior_bound") && error.contains("register at hand"), "{error}");
}

/// Everybody who was born before 2000, as a care list.
pub fn half_the_town(house: &House) -> std::path::PathBuf {
    let path = house.file("half-the-town.csv");
    let header = fs::read_to_string(demo("oggz.csv")).unwrap().lines().next().unwrap().to_owned();
    let text = fs::read_to_string(demo("brp.csv")).unwrap();
    let rows = text.lines().skip(1).enumerate().filter_map(|(at, line)| {
        let cells: Vec<&str> = line.split(',').collect();
        let [given, prefix, surname, sex, born] = [4, 5, 6, 7, 8].map(|cell| cells[cell]);
        let born = (born.len() == 8 && born < "2000").then(|| format!("{}-{}-{}", &born[..4], &born[4..6], &born[6..]));
        Some(format!("O{at},{given},{prefix},{surname},{sex},{},,,,,", born?))
    });
    fs::write(&path, [header].into_iter().chain(rows).collect::<Vec<_>>().join("\n") + "\n").unwrap();
    path
}

#[test]
fn an_epoch_whose_answers_would_tell_more_than_the_parties_accept_is_not_activated() {
    let house = House::empty();
    agree_on(&house, "0.4").unwrap();
    house.agree(EPOCH);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    assert!(reports(&house)[0].inference.is_none(), "one source alone is no answer");
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    // By hand: 234 households without a minor or senior; fewer than ten of them in the group count as ten; a shielded
    // one is answered undetermined, as 5 in 100 of all are: 10 / (10 + .05 * 224).
    let inference = inference(&house);
    assert_eq!((inference.worst, inference.bound), (0.47, 0.4));
    // Who sees that all tenants are registered knows that a shielded household was found.
    let registered = inference.registered.expect("the register is a view");
    assert_eq!((registered.worst, registered.bound), (1.0, 1.0));
    let forms: Vec<_> = inference.forms.iter().map(|(form, of)| (form.as_str(), of.worst, of.registered)).collect();
    assert_eq!(forms, [("consult", 0.47, 1.0), ("three-valued", 0.47, 1.0)]);
    let error = format!("{:#}", house.activate(EPOCH).unwrap_err());
    assert!(error.contains("posterior_bound") && error.contains("47 %") && error.contains("40 %"), "{error}");
    let refused: Vec<_> = house.log().into_iter().filter(|e| e.action == Action::EpochActivate).collect();
    assert_eq!(String::from(refused[0].result.clone()), "refused:posterior_bound");
    // Every party, the officers too, signs another bound: then it is accepted, and the log has the digest.
    agree_on(&house, "0.5").unwrap();
    house.activate(EPOCH).unwrap();
}

#[test]
fn a_version_whose_bound_the_registers_break_is_not_activated_over_them() {
    let house = House::open();
    let error = format!("{:#}", agree_on(&house, "0.4").unwrap_err());
    assert!(error.contains("posterior_bound"), "{error}");
    let question = value(&house.encoder(EPOCH), FAMILY);
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority", "the version before goes on");
}

#[test]
fn above_the_bound_answers_rest_on_the_population_alone_until_a_load_ends_that() {
    let mut house = House::open();
    let answers = |house: &House| {
        house.forget_counts();
        let (encoder, mut line) = (house.encoder(EPOCH), house.line(CORPORATION));
        [FAMILY, SINGLE].map(|contract| line.ask(&value(&encoder, contract)).answered().answer)
    };
    assert_eq!(answers(&house), ["priority", "no_priority"]);
    let half = half_the_town(&house);
    let args = |house: &House, input| LoadArgs { accept_shrink: true, ..house.load_args(CARE, Kind::Care, input) };
    load::load(&args(&house, &half)).unwrap();
    for _ in 0..2 {
        // A family is one without the list; of nobody is said that the list lacks him, and that costs no more than a no.
        assert_eq!(answers(&house), ["priority", "undetermined"]);
        assert_eq!(counted(&house), (2, 0));
        assert!(reports(&house).iter().all(|one| one.withheld));
        house.restart();
    }
    let loads = |house: &House| house.log().into_iter().filter(|entry| entry.action == Action::LoadOverBound).count();
    assert_eq!(loads(&house), 1);
    load::load(&args(&house, &demo("oggz.csv"))).unwrap();
    assert_eq!(answers(&house), ["priority", "no_priority"]);
    assert!(reports(&house).iter().all(|one| !one.withheld));
    assert_eq!(loads(&house), 1);
    house.verify(&[]).unwrap();
}

/// Everybody who is no minor, in a town without a tower.
fn without_minors(house: &House) -> std::path::PathBuf {
    let path = house.file("without-minors.csv");
    rows(&demo("brp.csv"), &path, |line| line.split(',').nth(8).is_some_and(|born| born < "2006"));
    path
}

#[test]
fn a_shielded_group_of_the_population_is_held_to_the_bound_where_the_care_list_is_told_to_nobody() {
    let house = House::lawless();
    amend(&house, "shield = false", "shield = true");
    serve_no_list(&house);
    amend(&house, "oggz_share = 0.03", "minor_share = 0.04\noggz_share = 0.03");
    house.activate_law().unwrap();
    house.agree(EPOCH);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    // A tower of children: of who is told undetermined hardly anybody has none.
    let told = reports(&house)[0].inference.clone().expect("of the shielded group alone");
    assert!(told.worst > 0.9 && told.bound == 0.5 && told.forms.is_empty(), "{told:?}");
    let error = format!("{:#}", house.activate(EPOCH).unwrap_err());
    assert!(error.contains("posterior_bound") && error.contains("accept 50 %"), "{error}");
    // With fewer it is activated, and what a later load brings above the bound is not told.
    let load =
        |input| LoadArgs { input, accept_shrink: true, ..house.load_args(POPULATION, Kind::Population, &house.town()) };
    load::load(&load(without_minors(&house))).unwrap();
    house.activate(EPOCH).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    let answers = || {
        house.forget_counts();
        let (encoder, mut line) = (house.encoder(EPOCH), house.line(CORPORATION));
        [FAMILY, SINGLE].map(|contract| {
            let before = counted(&house);
            let answer = line.ask(&value(&encoder, contract)).answered().answer;
            let after = counted(&house);
            (answer, (after.0 - before.0, after.1 - before.1))
        })
    };
    assert_eq!(answers()[1], ("no_priority".to_owned(), (1, 0)));
    load::load(&load(house.town())).unwrap();
    // A family with a minor and one without are told and charged alike.
    assert_eq!(answers(), [("undetermined".to_owned(), (1, 0)), ("undetermined".to_owned(), (1, 0))]);
    assert!(reports(&house)[0].withheld);
    let over = house.log().into_iter().filter(|entry| entry.action == Action::LoadOverBound).count();
    assert_eq!(over, 1);
}

#[test]
fn the_fourth_load_of_a_day_into_an_epoch_that_answers_is_refused() {
    let house = House::lawless();
    let file = house.law().join("regulation.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("loads_per_day = 100\n", "")).unwrap();
    house.sign_law();
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let population = || house.load(POPULATION, Kind::Population, &demo("brp.csv"));
    (0..3).for_each(|_| drop(population().unwrap()));
    let error = format!("{:#}", population().err().unwrap());
    assert!(error.contains("load_limit") && error.contains("3 times") && error.contains("tomorrow"), "{error}");
    let last = house.log().into_iter().rev().find(|entry| entry.action == Action::Load).unwrap();
    assert_eq!(String::from(last.result), "refused:load_limit");
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    house.pass(1);
    population().unwrap();
}

#[test]
fn officers_read_what_was_said_of_each_load_also_after_a_restart_and_nobody_else_does() {
    let mut house = House::empty();
    house.agree(EPOCH);
    let population = house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    let care = house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    house.activate(EPOCH).unwrap();
    house.restart();
    let reports: Vec<SourceReport> = house.client(OFFICER).get("epochs/haarlem-1/reports").unwrap();
    let told: Vec<_> = reports.iter().map(|one| (one.source.as_str(), one.records, one.persons)).collect();
    assert_eq!(told, [("population", 901 + TOWER as u64, population.persons), ("care", 18, care.persons)]);
    // Beside what its custodian was told, officers read what a list makes of the other register.
    let quality = care.quality.unwrap();
    assert!(quality.care.is_none() && reports[0].inference.is_none() && reports[1].inference.is_some());
    let linked = reports[1].quality.care;
    assert_eq!(linked.map(|care| (care.asked, care.linked, care.unsure, care.precision)), Some((20, 20, 0, None)));
    assert_eq!(
        (&reports[0].quality, &reports[1].quality),
        (&population.quality.unwrap(), &LoadQuality { care: linked, ..quality })
    );
    for stem in [ADMINISTRATOR, POPULATION, CARE, CORPORATION] {
        house.line(stem).get("/v1/epochs/haarlem-1/reports").is_problem(403, "refused");
    }
    house.line(OFFICER).get("/v1/epochs/haarlem-9/reports").is_problem(404, "unknown_epoch");
    let read = house.log().into_iter().filter(|e| e.action == Action::LogRead && e.epoch.is_some()).count();
    assert_eq!(read, 5, "reading is an entry, refused or not");
}
