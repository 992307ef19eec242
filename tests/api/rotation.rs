//! Rotations: the whole ceremony, cut-overs under questions, and what is refused on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use time::Duration;
use voorrang::answer::wire::law::BatchAnswers;
use voorrang::answer::wire::{EpochView, ProblemBody, Resealed, SourceReport};
use voorrang::audit::{Action, NoteSigner, NoteVerifier};
use voorrang::cli::client::{Client, PartyBook};
use voorrang::cli::epoch::{self, ActivateArgs, EndArgs, EpochCommand, FetchArgs, NewArgs, ResealArgs};
use voorrang::cli::load::Kind;
use voorrang::cli::query::{self, QueryArgs, Summary};
use voorrang::cli::regulation::confirm;
use voorrang::epoch::share;
use voorrang::ids::{EpochId, Oin};
use voorrang::profile::Profile;

use super::regulation::TEAM;
use super::support::*;

const THIRD: &str = "ymere";
const THIRD_OIN: &str = "00000099000000004001";
const LATER: &str = "pre-wonen";
const LATER_OIN: &str = "00000099000000004002";
const CARE_OIN: &str = "00000099000000003000";

fn view(house: &House, epoch: &str) -> EpochView {
    house.client(ADMINISTRATOR).get(&format!("epochs/{epoch}")).unwrap()
}

fn salt(house: &House, stem: &str, epoch: &str) -> anyhow::Result<Vec<u8>> {
    let epoch: EpochId = epoch.parse().unwrap();
    Ok(house.client(stem).salt(&epoch, &Profile::built_in())?.expose().to_vec())
}

/// Everybody's list of keys, changed: the parties told each other.
fn tell(house: &House, change: impl FnOnce(&mut PartyBook)) {
    let path = house.keys().join("parties.toml");
    let mut book = PartyBook::load(&path).unwrap();
    change(&mut book);
    fs::write(path, toml::to_string(&book).unwrap()).unwrap();
}

/// A new age key for a party, in its file and in everybody's list.
fn new_key(house: &House, stem: &str, oin: &str) {
    let (identity, public) = share::generate_identity();
    let path = house.keys().join(format!("{stem}.age"));
    fs::remove_file(&path).unwrap();
    voorrang::cli::pki::write_secret(&path, identity.as_bytes()).unwrap();
    let oin: Oin = oin.parse().unwrap();
    tell(house, |book| book.party.iter_mut().find(|p| p.oin == oin).unwrap().recipient = Some(public));
}

/// A house whose regulation lets a corporation contribute as well: three custodians of three organisations.
fn three() -> House {
    let mut house = House::built(false);
    let path = house.law().join("articles.cedar");
    let articles = fs::read_to_string(&path).unwrap();
    let more = "@id(\"third-share\")\n@title(\"A corporation contributes\")\npermit (principal is Corporation, \
                action == Action::\"contribute-share\", resource)\nwhen { principal.organisation == \"Ymere\" };\n";
    fs::write(&path, articles + "\n" + more).unwrap();
    house.sign_law();
    let key = house.regulation.parties().iter().find(|party| party.name == "Ymere").unwrap().key.clone();
    tell(&house, |book| book.party.iter_mut().find(|party| party.name == "Ymere").unwrap().verifier = key);
    house.start();
    house
}

fn end(house: &House, epoch: &str) -> EndArgs {
    EndArgs { epoch: house.epoch_args(ADMINISTRATOR, epoch), output: None }
}

/// By two people; the record.
fn abort(house: &House, epoch: &str) -> anyhow::Result<String> {
    let proposal = epoch::perform(&EpochCommand::Abort(end(house, epoch)))?;
    Ok(confirm(&proposal.trim().parse()?, &house.client(OFFICER))?.record.unwrap())
}

fn retire(house: &House, epoch: &str) {
    let proposal = epoch::perform(&EpochCommand::Retire(house.epoch_args(ADMINISTRATOR, epoch))).unwrap();
    confirm(&proposal.trim().parse().unwrap(), &house.client(OFFICER)).unwrap();
}

fn reseal(house: &House, by: &str, epoch: &str, party: &str) -> anyhow::Result<()> {
    let args = ResealArgs { epoch: house.epoch_args(by, epoch), party: party.parse().unwrap() };
    epoch::run(&EpochCommand::Reseal(args))
}

#[test]
fn the_whole_ceremony_with_three_custodians_one_that_never_comes_one_that_joins_and_one_that_lost_its_key() {
    let house = three();
    // The third custodian never contributes. The list says who is late, and the administrator gives up.
    house.announce("haarlem-0").unwrap();
    house.contribute(POPULATION, "haarlem-0").unwrap();
    house.contribute(CARE, "haarlem-0").unwrap();
    let waiting = view(&house, "haarlem-0");
    assert_eq!((waiting.state.as_str(), waiting.todo.len(), waiting.todo[0].name.as_str()), ("announced", 1, "Ymere"));
    assert!(!waiting.todo[0].overdue && waiting.todo[0].command == "epoch contribute haarlem-0");
    house.clock.pass(NOW + Duration::days(15));
    let late = view(&house, "haarlem-0").todo;
    assert!(late[0].overdue);
    assert_eq!((late[1].name.as_str(), late[1].command.as_str()), ("ICT-dienst Kennemerland", "epoch abort haarlem-0"));
    assert!(salt(&house, POPULATION, "haarlem-0").is_err(), "no salt without every share");
    let record = abort(&house, "haarlem-0").unwrap();
    assert!(record.starts_with("voorrang destruction record v1\nepoch haarlem-0\n"), "{record}");
    assert_eq!(view(&house, "haarlem-0").state, "destroyed");

    // Another one, without a corporation that joins later.
    let without = vec![LATER_OIN.parse().unwrap()];
    let new = NewArgs { without, ..NewArgs::of(house.epoch_args(ADMINISTRATOR, EPOCH)) };
    epoch::run(&EpochCommand::New(new)).unwrap();
    for stem in [POPULATION, CARE, THIRD] {
        assert_eq!(view(&house, EPOCH).state, "announced");
        house.contribute(stem, EPOCH).unwrap();
    }
    let complete = view(&house, EPOCH);
    assert_eq!((complete.state.as_str(), complete.contributed.len(), complete.missing.len()), ("loading", 3, 0));
    let agreed = salt(&house, POPULATION, EPOCH).unwrap();
    assert_eq!(salt(&house, CARE, EPOCH).unwrap(), agreed);
    assert_eq!(salt(&house, THIRD, EPOCH).unwrap(), agreed);

    // Who was left out opens nothing until a custodian seals the shares again; the administrator cannot.
    assert!(salt(&house, LATER, EPOCH).is_err());
    assert!(reseal(&house, ADMINISTRATOR, EPOCH, LATER_OIN).is_err());
    reseal(&house, THIRD, EPOCH, LATER_OIN).unwrap();
    assert_eq!(salt(&house, LATER, EPOCH).unwrap(), agreed);

    // The care custodian lost its key file, and has a new one.
    new_key(&house, CARE, CARE_OIN);
    let error = format!("{:#}", salt(&house, CARE, EPOCH).unwrap_err());
    assert!(error.contains("does not open with this identity"), "{error}");
    reseal(&house, POPULATION, EPOCH, CARE_OIN).unwrap();
    assert_eq!(salt(&house, CARE, EPOCH).unwrap(), agreed);
    assert_eq!(salt(&house, POPULATION, EPOCH).unwrap(), agreed, "the others open what they opened before");

    // The ways to keep it: a file of its owner's, the shell's environment, or nowhere.
    let fetch = |output, salt_file, print_salt| {
        let epoch = house.epoch_args(CARE, EPOCH);
        epoch::perform(&EpochCommand::Fetch(FetchArgs { epoch, output, salt_file, print_salt, profile: None })).unwrap()
    };
    let (envelope, file) = (house.file("envelope.json"), house.file("salt"));
    fetch(Some(envelope.clone()), Some(file.clone()), false);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    let written = format!("{EPOCH}:{}", hex::encode(&agreed));
    assert_eq!((mode & 0o777, fs::read_to_string(&file).unwrap().trim()), (0o600, written.as_str()));
    assert_eq!(fetch(None, None, true), format!("export VOORRANG_SALT={written}"));
    assert!(!fs::read_to_string(envelope).unwrap().contains(&hex::encode(&agreed)));

    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    let names: Vec<_> = view(&house, EPOCH).todo.into_iter().map(|todo| (todo.name, todo.command)).collect();
    assert_eq!(names[0], ("ICT-dienst Kennemerland".into(), format!("epoch activate {EPOCH}")));
    house.activate(EPOCH).unwrap();
    let question = value(&house.encoder(EPOCH), FAMILY);
    let answered = house.line(CORPORATION).ask(&question).answered();
    assert_eq!((answered.answer.as_str(), answered.epoch.as_str()), ("priority", EPOCH));

    // Every step has its entry, and the record of steps says which.
    let log = house.log();
    for (epoch, actions) in [
        ("haarlem-0", vec![Action::EpochAnnounce, Action::EpochAbort]),
        (EPOCH, vec![Action::EpochAnnounce, Action::EpochContribute, Action::EpochActivate]),
    ] {
        let steps = view(&house, epoch).steps;
        let logged: Vec<_> = steps.iter().map(|step| log[usize::try_from(step.log_index).unwrap()].action).collect();
        assert_eq!(logged, actions, "{epoch}");
    }
    house.verify(&[answered]).unwrap();
}

#[test]
fn a_share_sealed_again_is_still_the_contributor_s_and_for_the_key_that_the_sealer_knows() {
    let house = House::empty();
    house.agree(EPOCH);
    // Shares of somebody's own under a custodian's name are found out by the reader.
    let (identity, public) = share::generate_identity();
    let oin: Oin = "00000099000000004001".parse().unwrap();
    let forged = |from: &str| {
        let text = NoteSigner::generate("nobody")
            .unwrap()
            .0
            .sign(&share::draw(&EPOCH.parse().unwrap(), &from.parse().unwrap()));
        (from.parse().unwrap(), share::seal(&text, &[(oin.clone(), public.clone())].into()).unwrap())
    };
    let shares = BTreeMap::from([forged("00000099000000002000"), forged(CARE_OIN)]);
    let body = Resealed { recipient: public.clone(), shares };
    let path = format!("epochs/{EPOCH}/participants/{oin}");
    let _: Value = house.client(CARE).put(&path, &body).unwrap();
    // Who opens the contributors' own loses nothing by them.
    assert_eq!(salt(&house, CORPORATION, EPOCH).unwrap(), salt(&house, CARE, EPOCH).unwrap());
    let path_of_key = house.keys().join(format!("{CORPORATION}.age"));
    fs::write(&path_of_key, identity.as_bytes()).unwrap();
    let error = format!("{:#}", salt(&house, CORPORATION, EPOCH).unwrap_err());
    assert!(error.contains("is not signed with that party's key"), "{error}");
    // One that is right helps, whatever else was sealed.
    tell(&house, |book| book.party.iter_mut().find(|p| p.oin == oin).unwrap().recipient = Some(public.clone()));
    reseal(&house, CARE, EPOCH, oin.as_str()).unwrap();
    assert_eq!(salt(&house, CORPORATION, EPOCH).unwrap(), salt(&house, CARE, EPOCH).unwrap());
    // Half of the shares are refused.
    let half = Resealed { recipient: public.clone(), shares: BTreeMap::from([forged(CARE_OIN)]) };
    let error = house.client(CARE).put::<Value>(&path, &half).unwrap_err().to_string();
    assert!(error.contains("store_conflict"), "{error}");
    // A party that is in nobody's list of keys gets nothing.
    tell(&house, |book| book.party.retain(|party| party.oin.as_str() != LATER_OIN));
    let error = format!("{:#}", reseal(&house, CARE, EPOCH, LATER_OIN).unwrap_err());
    assert!(error.contains("parties.toml has no public key"), "{error}");
}

#[test]
fn an_administrator_of_a_participant_s_organisation_announces_nothing() {
    // A corporation opens the shares as a custodian does, whose organisation no regulation lets an administrator be of.
    let mut house = House::built(false);
    let path = house.law().join("regulation.toml");
    let text = fs::read_to_string(&path).unwrap();
    let own = "organisation = \"Gemeenschappelijke Regeling ICT Kennemerland\"";
    assert!(text.contains(own));
    fs::write(&path, text.replace(own, "organisation = \"Ymere\"")).unwrap();
    house.sign_law();
    house.start();
    let error = format!("{:#}", house.announce(EPOCH).unwrap_err());
    assert!(error.contains("administrator_is_custodian") && error.contains("change the regulation"), "{error}");
}

#[test]
fn a_custodian_that_was_left_out_of_an_epoch_seals_nothing_in_it() {
    let house = three();
    let epoch = house.epoch_args(ADMINISTRATOR, EPOCH);
    let without = |oins: &[&str]| {
        let without = oins.iter().map(|oin| oin.parse().unwrap()).collect();
        epoch::run(&EpochCommand::New(NewArgs { without, ..NewArgs::of(epoch.clone()) }))
    };
    // Whose register answers rest on is not left out: nobody could load it, and the epoch would never answer.
    for (oin, source) in [("00000099000000002000", "population"), (CARE_OIN, "care")] {
        let error = format!("{:#}", without(&[oin]).unwrap_err());
        assert!(error.contains("custodian_left_out") && error.contains(source), "{error}");
    }
    without(&[THIRD_OIN, LATER_OIN]).unwrap();
    for stem in [POPULATION, CARE] {
        house.contribute(stem, EPOCH).unwrap();
    }
    let recipient = house.client(LATER).identity().unwrap().public();
    let shares = ["00000099000000002000", CARE_OIN].map(|from: &str| {
        let from: Oin = from.parse().unwrap();
        let text = NoteSigner::generate("nobody").unwrap().0.sign(&share::draw(&EPOCH.parse().unwrap(), &from));
        let sealed = share::seal(&text, &[(LATER_OIN.parse().unwrap(), recipient.clone())].into()).unwrap();
        (from, sealed)
    });
    let body = json!(Resealed { recipient, shares: shares.into() });
    let path = format!("/v1/epochs/{EPOCH}/participants/{LATER_OIN}");
    let reply = house.line(THIRD).json("PUT", &path, &body);
    reply.is_problem(403, "not_a_contributor");
    assert_eq!(String::from(house.entry_of(&reply).unwrap().result), "refused:not_a_contributor");
    assert_eq!(house.line(CARE).json("PUT", &path, &body).status, 200);
}

#[test]
fn of_two_administrators_at_once_one_is_told_that_it_came_second() {
    let house = House::open();
    house.agree("haarlem-2");
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    let both = |act: fn(&House) -> anyhow::Result<()>| {
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| act(&house))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        results.into_iter().find_map(Result::err).unwrap().to_string()
    };
    assert!(both(|house| house.activate("haarlem-2")).contains("epoch_active"));
    assert!(both(|house| house.announce("haarlem-3")).contains("store_conflict"));
    assert_eq!(view(&house, EPOCH).state, "retiring");
}

#[test]
fn a_list_that_shrank_is_activated_only_if_somebody_accepts_that() {
    let house = House::open();
    house.agree("haarlem-2");
    let path = house.file("half.csv");
    let mut row = 0;
    rows(&demo("oggz.csv"), &path, |_| {
        row += 1;
        row % 2 == 0
    });
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &path).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    let error = format!("{:#}", house.activate("haarlem-2").unwrap_err());
    assert!(error.contains("source_changed") && error.contains("care") && error.contains("10 %"), "{error}");
    assert_eq!((view(&house, EPOCH).state, view(&house, "haarlem-2").state), ("active".into(), "loading".into()));
    let epoch = house.epoch_args(ADMINISTRATOR, "haarlem-2");
    epoch::run(&EpochCommand::Activate(ActivateArgs { accept_shrink: true, ..ActivateArgs::of(epoch) })).unwrap();
    let accepted: Vec<_> = house.log().into_iter().filter(|e| e.action == Action::EpochAcceptShrink).collect();
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0].epoch.as_ref().unwrap().as_str(), "haarlem-2");
}

/// A request that brings the header of codes.
pub struct WithHeader {
    stem: &'static str,
    method: &'static str,
    pub path: &'static str,
    body: Value,
    /// Where in the body the headers are.
    headers: &'static [&'static str],
}

/// Every one that there is, with the header of this question.
pub fn everywhere(question: &Value) -> Vec<WithHeader> {
    let header = &question["header"];
    let plan = json!({"header": header, "source": "population", "records": 1, "referenceDate": "2026-01-01",
                      "ages": ages()});
    let stock = json!({"header": header, "dwellings": 10, "addresses": "AAAA"});
    let batch = json!({"header": header, "purpose": question["purpose"], "questions": 1});
    let groups = json!({"case": 0, "leaf": STANDARD.encode([0; 32]), "question": question});
    let at = |stem, method, path, body, headers| WithHeader { stem, method, path, body, headers };
    vec![
        at(CORPORATION, "POST", "/v1/priority-questions", question.clone(), &["/header"]),
        at(
            CORPORATION,
            "POST",
            "/v1/priority-batches",
            json!({"questions": [question, question]}),
            &["/questions/0/header", "/questions/1/header"],
        ),
        at(CORPORATION, "POST", "/v1/question-batches", batch, &["/header"]),
        at(TEAM, "POST", "/v1/group-questions", groups, &["/question/header"]),
        at(POPULATION, "POST", "/v1/loads", plan, &["/header"]),
        at(CORPORATION, "PUT", "/v1/stock", stock, &["/header"]),
    ]
}

impl WithHeader {
    /// What it is refused with, each of a batch alike, if this member of the header is this.
    pub fn refused(&self, house: &House, member: &str, wrong: &Value) -> ProblemBody {
        let mut body = self.body.clone();
        for place in self.headers {
            body.pointer_mut(place).unwrap()[member] = wrong.clone();
        }
        let reply = house.line(self.stem).json(self.method, self.path, &body);
        if self.path != "/v1/priority-batches" {
            return reply.problem();
        }
        let told: BatchAnswers = serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", reply.text()));
        let mut problems: Vec<_> = told.answers.into_iter().map(|one| one.problem.unwrap()).collect();
        assert!(problems.windows(2).all(|two| two[0].code == two[1].code));
        problems.remove(0)
    }
}

/// Everything about a header that can be wrong, in every request that brings one.
#[test]
fn codes_of_another_epoch_profile_schema_or_salt_are_refused_with_the_remedy_wherever_they_come() {
    let house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    let all = everywhere(&question);
    for (member, wrong, status, code, remedy) in [
        ("epoch", json!("haarlem-9"), 404, "unknown_epoch", "GET /v1/service"),
        ("profile", json!("nl-household-0"), 422, "other_profile", "take the profile"),
        ("schemaHash", json!("00".repeat(32)), 422, "other_schema", "update the program"),
        ("keyCheck", json!("00".repeat(16)), 422, "other_salt", "fetch the envelope again"),
    ] {
        for request in &all {
            let (path, problem) = (request.path, request.refused(&house, member, &wrong));
            assert_eq!((problem.status, problem.code.as_str()), (status, code), "{path} {member}: {}", problem.detail);
            assert!(problem.detail.contains(remedy), "{path} {member}: {}", problem.detail);
            let logged = house.log().into_iter().find(|entry| entry.trace_id.to_string() == problem.trace_id).unwrap();
            assert_eq!(String::from(logged.result), format!("refused:{code}"), "{path}");
        }
    }
    // The key check is made with the salt for one epoch, profile and schema: moved into another epoch it does not fit.
    house.fill("haarlem-2");
    let mut moved = question.clone();
    moved["header"]["epoch"] = json!("haarlem-2");
    house.line(CORPORATION).ask(&moved).is_problem(422, "other_salt");
}

fn arrears(house: &House) -> (PathBuf, PathBuf) {
    let tenants = house.stock_of("C1");
    let ours: Vec<String> =
        fs::read_to_string(&tenants).unwrap().lines().filter_map(|l| l.split(',').next().map(str::to_owned)).collect();
    let path = house.file("arrears.csv");
    rows(&demo("achterstanden.csv"), &path, |line| ours.iter().any(|contract| line.starts_with(contract)));
    (path, tenants)
}

pub fn ask_all(house: &House, name: &str) -> anyhow::Result<Summary> {
    let (arrears, tenants) = arrears(house);
    query::ask_all(&QueryArgs {
        day: Some(NOW.date()),
        ..QueryArgs::new(arrears, tenants, house.party(CORPORATION), house.file(name))
    })
}

fn questions_counted(house: &House) -> u64 {
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    db.query_row("SELECT coalesce(sum(questions), 0) FROM budget", [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

/// Loads that were begun and are not complete.
fn staging(house: &House) -> i64 {
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    db.query_row("SELECT count(*) FROM load WHERE state = 'staging'", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_load_that_meets_the_end_of_its_epoch_goes_into_the_next_one_once() {
    let house = House::open();
    house.announce("haarlem-2").unwrap();
    house.contribute(POPULATION, "haarlem-2").unwrap();
    // Five towns, so that the end falls into the middle of sending them.
    let path = house.file("five-towns.csv");
    let text = fs::read_to_string(demo("brp.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let town = |town: usize| rows.lines().map(|row| format!("P{town}{}\n", &row[2..])).collect::<String>();
    fs::write(&path, format!("{header}\n{}", (1..6).map(town).collect::<String>())).unwrap();
    let loaded = std::thread::scope(|scope| {
        let loading = scope.spawn(|| house.load(POPULATION, Kind::Population, &path));
        while staging(&house) == 0 {
            assert!(!loading.is_finished(), "the load was over before the end of the epoch");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        house.contribute(CARE, "haarlem-2").unwrap();
        retire(&house, EPOCH);
        loading.join().unwrap().unwrap()
    });
    assert_eq!(loaded.records, 5 * 901 + TOWER);
    let records = |epoch: &str| -> Vec<u64> {
        let reports: Vec<SourceReport> = house.client(OFFICER).get(&format!("epochs/{epoch}/reports")).unwrap();
        reports.into_iter().map(|one| one.records).collect()
    };
    assert_eq!(
        (records(EPOCH), records("haarlem-2")),
        (vec![901 + TOWER as u64, 18], vec![(5 * 901 + TOWER) as u64]),
        "half a load counts for nothing"
    );
    let loads: Vec<_> = house.log().into_iter().filter(|entry| entry.action == Action::Load).collect();
    let refused = loads.iter().filter(|load| String::from(load.result.clone()) == "refused:epoch_not_loading").count();
    assert_eq!((loads.len() - refused, refused), (3, 1), "once refused, once loaded");
}

#[test]
fn a_run_of_questions_goes_on_over_a_cut_over_and_counts_none_twice() {
    let house = House::open();
    house.agree("haarlem-2");
    for (stem, kind, file) in [(POPULATION, Kind::Population, "brp.csv"), (CARE, Kind::Care, "oggz.csv")] {
        house.load(stem, kind, &demo(file)).unwrap();
    }
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    let summary = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_all(&house, "flags.csv").unwrap());
        while questions_counted(&house) < 3 {
            assert!(!asking.is_finished(), "the run was over before the cut-over");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        house.activate("haarlem-2").unwrap();
        // No grace at all: the run finds the epoch silent in its middle.
        retire(&house, EPOCH);
        asking.join().unwrap()
    });
    let answered: usize = summary.answers.values().sum();
    assert!(summary.refused.is_empty() && answered == summary.asked, "{summary:?}");
    let text = fs::read_to_string(house.file("flags.csv")).unwrap();
    let of = |epoch: &str| text.lines().filter(|line| line.split(',').nth(2) == Some(epoch)).count();
    assert!(of(EPOCH) >= 3 && of("haarlem-2") > 0, "{} {}", of(EPOCH), of("haarlem-2"));
    assert_eq!(of(EPOCH) + of("haarlem-2"), summary.asked);
    assert_eq!(questions_counted(&house), summary.asked as u64);
    // One question met the silence: refused, logged, not counted, asked again.
    let retired = house.log().into_iter().filter(|e| String::from(e.result.clone()) == "refused:epoch_retired").count();
    assert_eq!(retired, 1);
}

#[test]
fn who_has_no_stock_in_the_new_epoch_yet_is_answered_in_the_old_one() {
    let house = House::open();
    house.agree("haarlem-2");
    for (stem, kind, file) in [(POPULATION, Kind::Population, "brp.csv"), (CARE, Kind::Care, "oggz.csv")] {
        house.load(stem, kind, &demo(file)).unwrap();
    }
    let error = format!("{:#}", house.activate("haarlem-2").unwrap_err());
    assert!(error.contains("stock_missing") && error.contains("00000099000000004001"), "{error}");
    let args = ActivateArgs::of(house.epoch_args(ADMINISTRATOR, "haarlem-2"));
    epoch::perform(&EpochCommand::Activate(ActivateArgs { accept_missing_stock: true, ..args })).unwrap();
    let log = house.log();
    assert_eq!(log.iter().filter(|entry| entry.action == Action::EpochAcceptMissingStock).count(), 1);
    let epochs = |name: &str| -> BTreeSet<String> {
        let summary = ask_all(&house, name).unwrap();
        assert!(summary.asked > 0 && summary.refused.is_empty(), "{summary:?}");
        let text = fs::read_to_string(house.file(name)).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().to_owned()).collect()
    };
    assert_eq!(epochs("before.csv"), [EPOCH.to_owned()].into());
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    assert_eq!(epochs("after.csv"), ["haarlem-2".to_owned()].into());
}

#[test]
fn the_record_of_an_end_is_signed_by_the_log() {
    let house = House::empty();
    house.announce(EPOCH).unwrap();
    let told = abort(&house, EPOCH).unwrap();
    for _ in 0..2 {
        let args = EndArgs { output: Some(house.file("record")), ..end(&house, EPOCH) };
        epoch::run(&EpochCommand::Abort(args)).unwrap();
    }
    let record = fs::read_to_string(house.file("record")).unwrap();
    let client: Client = house.client(OFFICER);
    let verifier: NoteVerifier = client.log_keys().unwrap().current().clone();
    assert_eq!(record, told, "who asks again gets what the second person got");
    assert!(verifier.verify(&record).unwrap().contains("erased "), "{record}");
    assert!(verifier.verify(&record.replace("haarlem-1", "haarlem-2")).is_err());
}
