//! Another profile: nothing answers with one that is not the epoch's, and a rotation leads from one to the other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use voorrang::answer::checkup::{Grade, examine};
use voorrang::answer::server;
use voorrang::answer::wire::EpochView;
use voorrang::cli::audit::LogArgs;
use voorrang::cli::audit::subject::{self, KeptSalt, SubjectArgs, TokenArgs};
use voorrang::cli::client::Refused;
use voorrang::cli::epoch::{self, EndArgs, EpochCommand, FetchArgs, NewArgs};
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::cli::people::PeopleArgs;
use voorrang::cli::query::{self, QueryArgs};
use voorrang::cli::regulation::confirm;
use voorrang::encode::Encoder;
use voorrang::ids::EpochId;
use voorrang::profile::Profile;

use super::rotation;
use super::support::*;

const NEXT: &str = "haarlem-2";

/// The shipped profile with longer codes of the address, under another name.
fn other(house: &House) -> (PathBuf, Profile) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/profiles/nl-household-1.toml");
    let text = fs::read_to_string(shipped).unwrap().replacen("nl-household-1", "nl-household-2", 1);
    let (before, home) = text.split_once("name = \"home\"").unwrap();
    let home = home.replacen("filter_bits = 512", "filter_bits = 1024", 1);
    let home = home.replacen("code_bits = 512", "code_bits = 1024", 1);
    let twice = "{ surname = 216, initial = 110, birth-date = 148, birth-digits = 46, sex = 34 }";
    let home = home.replacen("{ surname = 108, initial = 55, birth-date = 74, birth-digits = 23, sex = 17 }", twice, 1);
    let text = format!("{before}name = \"home\"{home}");
    let profile = Profile::from_toml(&text).unwrap();
    let path = house.file("other.toml");
    fs::write(&path, text).unwrap();
    (path, profile)
}

fn configure(house: &House, profile: &Path, others: &[&str]) {
    let others: Vec<toml::Value> = others.iter().map(|one| (*one).into()).collect();
    house.configure(|table| {
        table.insert("profile".into(), profile.display().to_string().into());
        table.insert("other_profiles".into(), others.into());
    });
}

fn load(house: &House, stem: &str, kind: Kind, file: &Path, profile: Option<PathBuf>) -> anyhow::Result<load::Loaded> {
    let args = house.load_args(stem, kind, file);
    load::load(&LoadArgs { epoch: Some(NEXT.parse().unwrap()), profile, ..args })
}

/// The next epoch, of the profile in this file: announced and loaded.
fn prepare(house: &mut House, path: &Path) {
    configure(house, Path::new("built-in:nl-household-1"), &[path.to_str().unwrap()]);
    house.restart();
    let new = NewArgs { profile: Some(path.to_owned()), ..NewArgs::of(house.epoch_args(ADMINISTRATOR, NEXT)) };
    epoch::run(&EpochCommand::New(new)).unwrap();
    house.contribute(POPULATION, NEXT).unwrap();
    house.contribute(CARE, NEXT).unwrap();
    let view: EpochView = house.client(ADMINISTRATOR).get(&format!("epochs/{NEXT}")).unwrap();
    let command = format!("load population --epoch {NEXT} --profile nl-household-2.toml");
    assert!(view.todo.iter().any(|todo| todo.command == command), "{:?}", view.todo);
    load(house, POPULATION, Kind::Population, &demo("brp.csv"), Some(path.to_owned())).unwrap();
    load(house, CARE, Kind::Care, &demo("oggz.csv"), Some(path.to_owned())).unwrap();
    let stock = load(house, CORPORATION, Kind::Stock, &house.stock_of("C1"), Some(path.to_owned())).unwrap();
    confirm(&stock.pending.unwrap(), &house.client(OFFICER)).unwrap();
}

/// The corporation's encoder of the next epoch.
fn encoder(house: &House, profile: &Profile) -> Encoder {
    let id: EpochId = NEXT.parse().unwrap();
    let salt = house.client(CORPORATION).salt(&id, profile).unwrap();
    Encoder::new(profile, salt.expose(), &id)
}

#[test]
fn a_service_without_the_profile_of_an_epoch_that_answers_does_not_start_and_says_which() {
    let mut house = House::open();
    let (path, _) = other(&house);
    configure(&house, &path, &[]);
    house.stop();
    let error = server::start(house.config(), house.clock.clone()).err().unwrap().to_string();
    for word in [EPOCH, "active", "nl-household-1", &Profile::built_in().schema_hash(), "other_profiles"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let told = examine(&house.config(), &house.clock);
    assert!(told.iter().any(|one| (one.grade, one.code) == (Grade::Error, "epoch_profile")), "{told:#?}");
    configure(&house, &path, &["built-in:nl-household-1"]);
    let told = examine(&house.config(), &house.clock);
    assert!(told.iter().all(|one| one.grade != Grade::Error), "{told:#?}");
    house.start();
    let question = value(&house.encoder(EPOCH), FAMILY);
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority");
    house.stop();
    configure(&house, &path, &[path.to_str().unwrap()]);
    let error = server::start(house.config(), house.clock.clone()).err().unwrap();
    assert!(error.to_string().contains("twice"), "{error}");
    configure(&house, &path, &["built-in:nl-household-1"]);
    house.start();
}

#[test]
fn a_rotation_to_another_profile_leaves_no_question_without_an_answer() {
    let mut house = House::open();
    let (path, profile) = other(&house);
    prepare(&mut house, &path);
    let error = load(&house, POPULATION, Kind::Population, &demo("brp.csv"), None).err().unwrap();
    assert!(format!("{error:#}").contains("wants the profile nl-household-2"), "{error:#}");
    let old = value(&house.encoder(EPOCH), FAMILY);
    assert_eq!(house.line(CORPORATION).ask(&old).answered().answer, "priority");
    house.activate(NEXT).unwrap();
    let new = value(&encoder(&house, &profile), FAMILY);
    for restarted in [false, true] {
        for (question, epoch) in [(&old, EPOCH), (&new, NEXT)] {
            let answered = house.line(CORPORATION).ask(question).answered();
            assert_eq!((answered.answer.as_str(), answered.epoch.as_str()), ("priority", epoch), "{restarted}");
        }
        if !restarted {
            // The other way round: the next one is the usual one by now.
            configure(&house, &path, &["built-in:nl-household-1"]);
            house.restart();
        }
    }
    // Who has no other profile yet is answered in the old epoch meanwhile.
    let asked = |profile: Option<PathBuf>, name: &str| {
        let tenants = house.stock_of("C1");
        let arrears = house.file("arrears.csv");
        rows(&demo("achterstanden.csv"), &arrears, |line| line.starts_with(FAMILY) || line.starts_with(SINGLE));
        let args = QueryArgs::new(arrears, tenants, house.party(CORPORATION), house.file(name));
        let summary = query::ask_all(&QueryArgs { profile, day: Some(NOW.date()), ..args }).unwrap();
        assert!(summary.refused.is_empty() && summary.asked > 0, "{summary:?}");
        let text = fs::read_to_string(house.file(name)).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(asked(None, "before.csv"), [EPOCH.to_owned()].into());
    assert_eq!(asked(Some(path.clone()), "after.csv"), [NEXT.to_owned()].into());
    let mut mixed = new.clone();
    mixed["header"]["epoch"] = EPOCH.into();
    house.line(CORPORATION).ask(&mixed).is_problem(422, "other_profile");
    // Once the old one is silent, its profile may go.
    house.clock.pass(NOW + time::Duration::days(31));
    configure(&house, &path, &[]);
    house.restart();
    let silent = |house: &House, code: &str, load: &str| {
        for request in rotation::everywhere(&old) {
            let problem = request.refused(house, "epoch", &json!(EPOCH));
            // Who loads is told what is wrong with a load.
            let wanted = if ["/v1/loads", "/v1/stock"].contains(&request.path) { load } else { code };
            assert_eq!(problem.code, wanted, "{}: {}", request.path, problem.detail);
            assert!(Refused(problem).is_cut_over(), "{}: the client goes on with the next epoch", request.path);
        }
    };
    silent(&house, "epoch_retired", "epoch_not_loading");
    // What cannot be undone waits until the clock is sure.
    house.clock.pass(NOW + time::Duration::days(33));
    let args = EndArgs { epoch: house.epoch_args(ADMINISTRATOR, EPOCH), output: None };
    let proposal = epoch::perform(&EpochCommand::destroy(args)).unwrap();
    confirm(&proposal.trim().parse().unwrap(), &house.client(OFFICER)).unwrap();
    silent(&house, "epoch_destroyed", "epoch_not_loading");
}

/// Each epoch is searched with its own profile; where that is not at hand the reply says so, and nothing of a salt.
#[test]
fn who_was_asked_about_in_epochs_of_two_profiles_is_found_in_one_reply() {
    let mut house = House::open();
    let (path, profile) = other(&house);
    prepare(&mut house, &path);
    house.activate(NEXT).unwrap();
    for encoder in [house.encoder(EPOCH), encoder(&house, &profile)] {
        house.line(CORPORATION).ask(&value(&encoder, FAMILY)).answered();
    }
    let (person, tokens, reply) = (house.file("person.csv"), house.file("token.json"), house.file("reply"));
    rows(&demo("brp.csv"), &person, |row| row.contains(",Lange Haversingel,58,"));
    let salt = |epoch: &str| -> KeptSalt {
        let (of, file) = (house.epoch_args(POPULATION, epoch), house.file(&format!("{epoch}.salt")));
        let profile = Some(path.clone()).filter(|_| epoch == NEXT);
        let keep = FetchArgs { epoch: of, output: None, salt_file: Some(file.clone()), print_salt: false, profile };
        epoch::perform(&EpochCommand::Fetch(keep)).unwrap();
        (epoch.parse().unwrap(), file)
    };
    let (salts, log) = ([salt(EPOCH), salt(NEXT)], || LogArgs::new(house.party(OFFICER)));
    let about = |profile: Vec<PathBuf>, salt: &[KeptSalt], json: bool| {
        let (people, config, salt) = (PeopleArgs::default(), house.party(POPULATION), salt.to_vec());
        let made = TokenArgs { person: person.clone(), people, config, output: tokens.clone(), profile, salt };
        subject::token(&made).unwrap();
        subject::run(&SubjectArgs { tokens: tokens.clone(), log: log(), output: reply.clone(), json }).unwrap();
        fs::read_to_string(&reply).unwrap()
    };
    for salts in [&[][..], &salts[1..], &salts] {
        let found: Value = serde_json::from_str(&about(vec![path.clone()], salts, true)).unwrap();
        let asked = found["found"].as_array().unwrap().iter().filter(|row| row["action"] == "ask");
        let epochs: Vec<_> = asked.map(|row| row["epoch"].as_str().unwrap()).collect();
        assert_eq!((epochs, &found["notSearched"]), (vec![EPOCH, NEXT], &json!({})), "{found}");
        let found: Value = serde_json::from_str(&about(vec![], salts, true)).unwrap();
        assert_eq!(found["notSearched"], json!({ NEXT: "no-profile" }));
    }
    let letter = about(vec![], &salts, false);
    let line = "**haarlem-2: niet doorzocht, de registerhouder gaf het profiel van deze periode niet op";
    assert!(letter.contains(line) && !letter.contains("geen zout"), "{letter}");
}
