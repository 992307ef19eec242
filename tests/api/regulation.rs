//! The regulation at work: signed by all, activated by two, in force within its validity; acts that need a second
//! person; groups for the care side; and the prober.

use std::fs;

use serde_json::{Value, json};
use time::macros::datetime;
use voorrang::answer::wire;
use voorrang::answer::wire::law::{BatchAnswers, GroupsTold, Pending, ProposalView, RegulationTexts, StepView};
use voorrang::audit::{Action, Entry, NoteSigner, Outcome, Receipt};
use voorrang::cli::client::Client;
use voorrang::cli::load::Kind;
use voorrang::cli::regulation::{self, sign};
use voorrang::encode::read;
use voorrang::profile::Profile;
use voorrang::regulate::{Regulation, Role};

use crate::support::{
    ADMINISTRATOR, CARE, CORPORATION, EPOCH, FAMILY, House, NOW, OFFICER, POPULATION, SINGLE, contracts, demo, value,
};

pub const CARE_OFFICER: &str = "functionaris-gegevensbescherming-van-het-zorgnetwerk";
pub const TEAM: &str = "sociaal-wijkteam-haarlem";
const YMERE: &str = "00000099000000004001";

fn actions(house: &House, action: Action) -> usize {
    house.log().iter().filter(|entry| entry.action == action).count()
}

/// Changes the regulation in the service's folder, and has everybody sign it again.
pub fn amend(house: &House, from: &str, to: &str) {
    let file = house.law().join("regulation.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(&file, text.replacen(from, to, 1)).unwrap();
    // The old lines are void; each party replaces its own.
    house.sign_law();
}

/// Tells nobody who is on the care list; then no article may load one.
pub fn serve_no_list(house: &House) {
    let path = house.law().join("articles.cedar");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find("@id(\"care-network-loads-care\")").unwrap();
    let end = at + text[at..].find(";\n").unwrap() + 2;
    fs::write(&path, format!("{}{}", &text[..at], &text[end..])).unwrap();
    amend(house, "recipients = [\"corporation\", \"care-custodian\"]", "recipients = []");
}

#[test]
fn without_an_activated_regulation_nothing_is_answered() {
    let house = House::lawless();
    let error = format!("{:#}", house.announce(EPOCH).unwrap_err());
    assert!(error.contains("regulation_not_active"), "{error}");
    house.line(OFFICER).get("/v1/access-log/entries").is_problem(409, "regulation_not_active");
    house.activate_law().unwrap();
    house.announce(EPOCH).unwrap();
}

#[test]
fn activation_is_refused_while_a_signature_is_missing_or_a_byte_changed() {
    let house = House::lawless();
    let refused = |house: &House, says: &str| {
        let error = format!("{:#}", house.activate_law().unwrap_err());
        assert!(error.contains(says), "{error}");
    };
    let note = house.law().join("signatures.note");
    let signed = fs::read_to_string(&note).unwrap();
    let lines: Vec<&str> = signed.lines().collect();
    fs::write(&note, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    refused(&house, "missing");
    fs::remove_file(&note).unwrap();
    refused(&house, "regulation_unsigned");
    fs::write(&note, &signed).unwrap();
    let articles = house.law().join("articles.cedar");
    let text = fs::read_to_string(&articles).unwrap();
    fs::write(&articles, format!("{text} ")).unwrap();
    refused(&house, "void");
    fs::write(&articles, text).unwrap();
    house.activate_law().unwrap();
}

#[test]
fn answers_are_sealed_for_the_officers_whom_all_parties_signed_and_for_nobody_else() {
    let house = House::lawless();
    let file = house.law().join("regulation.toml");
    let signed = fs::read_to_string(&file).unwrap();
    let officer = signed.lines().find(|line| line.starts_with("recipient = \"age1")).unwrap();
    let (_, stranger) = voorrang::epoch::share::generate_identity();
    // Whoever runs the service puts a key of their own into the file: the signatures are void.
    fs::write(&file, signed.replace(officer, &format!("recipient = \"{stranger}\""))).unwrap();
    assert!(format!("{:#}", house.activate_law().unwrap_err()).contains("regulation_unsigned"));
    // All sign a version with an officer who could read nothing.
    fs::write(&file, signed.replace(&format!("{officer}\n"), "")).unwrap();
    house.sign_law();
    let error = format!("{:#}", house.activate_law().unwrap_err());
    assert!(error.contains("officer_key_missing") && error.contains("recipient"), "{error}");
    // And one whose key has the form of one, and is none.
    let none = format!("recipient = \"age1{}\"", "q".repeat(58));
    fs::write(&file, signed.replace(officer, &none)).unwrap();
    house.sign_law();
    assert!(format!("{:#}", house.activate_law().unwrap_err()).contains("officer_key_missing"));
    fs::write(&file, signed).unwrap();
    house.sign_law();
    house.activate_law().unwrap();
}

#[test]
fn activation_takes_two_of_different_parties_and_stands_in_the_log_with_its_digest() {
    let mut house = House::lawless();
    let pending = regulation::activate(&house.law(), &house.client(ADMINISTRATOR)).unwrap();
    let path = format!("/v1/proposals/{}/confirm", pending.proposal);
    let alone = house.line(ADMINISTRATOR).json("POST", &path, &json!({}));
    assert_eq!(alone.is_problem(403, "refused").article.as_deref(), Some("four-eyes"));
    let waiting: Vec<ProposalView> = house.client(OFFICER).get("proposals").unwrap();
    assert_eq!((waiting.len(), waiting[0].about.as_str()), (1, house.regulation.digest()));
    regulation::confirm(&pending.proposal, &house.client(OFFICER)).unwrap();
    house.line(OFFICER).json("POST", &path, &json!({})).is_problem(404, "unknown_proposal");
    let twice = house.activate_law().unwrap_err();
    assert!(format!("{twice:#}").contains("regulation_active"), "{twice:#}");
    let log = house.log();
    let activated: Vec<_> =
        log.iter().filter(|e| (e.action, &e.result) == (Action::RegulationActive, &Outcome::Done)).collect();
    let digest = activated.last().unwrap().regulation.as_ref().map(|of| of.digest.clone());
    assert_eq!(digest.as_deref(), Some(house.regulation.digest()));
    assert!(log.iter().any(|entry| entry.action == Action::Propose));
    // It stays in force, and its signatures are checked again at the start.
    house.restart();
    assert_eq!(house.client(OFFICER).service().unwrap().regulations.len(), 1);
}

#[test]
fn overlapping_validity_is_refused_unless_the_new_one_replaces_the_old() {
    let house = House::empty();
    amend(&house, "household_per_month = 4", "household_per_month = 3");
    let overlap = format!("{:#}", house.activate_law().unwrap_err());
    assert!(overlap.contains("regulation_overlap"), "{overlap}");
    let digest = house.regulation.digest().to_owned();
    amend(&house, "valid_from =", &format!("replaces = \"{digest}\"\nvalid_from ="));
    house.activate_law().unwrap();
    let texts: RegulationTexts = house.client(OFFICER).get("regulations/haarlem").unwrap();
    assert!(texts.toml.contains("household_per_month = 3"));
    assert_eq!(texts.history.len(), 2, "history is kept");
    assert_eq!(texts.history[0].digest, digest);
}

#[test]
fn the_next_version_is_activated_before_it_begins_and_answers_from_its_first_day() {
    let house = House::lawless();
    amend(&house, "valid_until = 2999-01-01", "valid_until = 2026-01-16");
    house.activate_law().unwrap();
    amend(&house, "valid_until = 2026-01-16", "valid_until = 2999-01-01");
    amend(&house, "valid_from = 2020-01-01", "valid_from = 2026-01-16");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let (encoder, mut line) = (house.encoder(EPOCH), house.line(CORPORATION));
    for moment in [datetime!(2026-01-15 23:59:59 UTC), datetime!(2026-01-16 0:00 UTC)] {
        house.clock.pass(moment);
        line.ask(&value(&encoder, FAMILY)).answered();
    }
    let log = house.log();
    let digests: Vec<_> = log.iter().filter(|entry| entry.action == Action::Ask).map(|e| &e.regulation).collect();
    assert!(digests.len() == 2 && digests[0] != digests[1], "each by the version of its day");
}

#[test]
fn a_list_from_which_nobody_is_told_anything_is_not_waited_for_and_not_taken() {
    let house = House::lawless();
    serve_no_list(&house);
    house.activate_law().unwrap();
    house.agree(EPOCH);
    assert!(house.activate(EPOCH).is_err(), "the register is");
    let refused = format!("{:#}", house.load(CARE, Kind::Care, &demo("oggz.csv")).err().unwrap());
    assert!(refused.contains("403"), "{refused}");
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.activate(EPOCH).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    assert_eq!(house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered().answer, "priority");
}

/// Signs the folder anew with every key that its parties have, and these.
pub fn sign_anew(house: &House, also: &[&NoteSigner]) {
    fs::remove_file(house.law().join("signatures.note")).unwrap();
    let files = fs::read_dir(house.keys()).unwrap().map(|file| file.unwrap().path());
    let parties = files.filter(|file| file.extension().is_some_and(|of| of == "toml"));
    let signers: Vec<_> = parties.filter_map(|file| Client::open(&file).ok()?.signer().ok()).collect();
    for signer in signers.iter().chain(also.iter().copied()) {
        // One whose key the text no longer names cannot.
        let _ = sign(&house.law(), signer);
    }
}

#[test]
fn the_key_of_a_party_changes_only_with_a_signature_by_the_old_one_and_nobody_is_left_out() {
    let house = House::empty();
    let file = house.law().join("regulation.toml");
    let before = fs::read_to_string(&file).unwrap();
    let officer = house.regulation.parties().iter().find(|party| party.role == Role::PrivacyOfficer).unwrap();
    let old = officer.key.clone().unwrap();
    let (new, _) = NoteSigner::generate(old.split('+').next().unwrap()).unwrap();
    let next =
        before.replacen("valid_from =", &format!("replaces = \"{}\"\nvalid_from =", house.regulation.digest()), 1);
    let key = format!("key = \"{old}\"");
    let put = |text: String| {
        assert_ne!(text, next);
        fs::write(&file, text).unwrap();
        sign_anew(&house, &[&new]);
        house.activate_law().map_err(|error| format!("{error:#}"))
    };
    let newer = format!("key = \"{}\"", new.verifier().vkey());
    let alone = put(next.replacen(&key, &newer, 1)).unwrap_err();
    assert!(alone.contains("regulation_keys") && alone.contains(&officer.name), "{alone}");
    let gone = next.replacen(&format!("oin = \"{}\"", officer.oin), "oin = \"00000099000000009999\"", 1);
    assert!(put(gone).unwrap_err().contains("regulation_keys"));
    put(next.replacen(&key, &format!("{newer}\nformer_{key}"), 1)).unwrap();
}

#[test]
fn it_holds_until_midnight_in_the_middle_of_a_batch_and_a_clock_that_goes_back_revives_nothing() {
    let mut house = House::lawless();
    amend(&house, "valid_until = 2999-01-01", "valid_until = 2026-01-16");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    house.clock.pass(datetime!(2026-01-15 23:59:59 UTC));
    line.ask(&value(&encoder, FAMILY)).answered();
    house.clock.pass(datetime!(2026-01-16 0:00 UTC));
    let refused = line.ask(&value(&encoder, SINGLE)).is_problem(403, "refused");
    assert_eq!(refused.article.as_deref(), Some("validity"));
    house.clock.set(NOW);
    let refused = line.ask(&value(&encoder, SINGLE)).is_problem(403, "refused");
    assert_eq!(refused.article.as_deref(), Some("validity"), "the latest day that was seen counts");
    assert_eq!(actions(&house, Action::ClockBack), 1, "told once");
    // Entries written in the meantime are younger than they say, and no restart forgets it.
    drop(line);
    house.restart();
    let refused = house.line(CORPORATION).ask(&value(&encoder, SINGLE)).is_problem(403, "refused");
    assert_eq!(refused.article.as_deref(), Some("validity"));
}

#[test]
fn a_stock_counts_once_the_municipality_s_officer_confirmed_it() {
    let house = House::empty();
    house.agree(EPOCH);
    house.load(crate::support::POPULATION, Kind::Population, &crate::support::demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &crate::support::demo("oggz.csv")).unwrap();
    house.activate(EPOCH).unwrap();
    let args = house.load_args(CORPORATION, Kind::Stock, &house.stock_of("C1"));
    let before = voorrang::cli::load::load(&args).unwrap().pending.unwrap();
    let pending = voorrang::cli::load::load(&args).unwrap().pending.unwrap();
    assert_eq!(pending, before, "the same one again");
    let waiting: Vec<ProposalView> = house.client(OFFICER).get("proposals").unwrap();
    assert_eq!(waiting.iter().map(|one| one.proposal).collect::<Vec<_>>(), [pending]);
    let encoder = house.encoder(EPOCH);
    let ask = || house.line(CORPORATION).ask(&value(&encoder, FAMILY));
    assert_eq!(ask().is_problem(403, "refused").article.as_deref(), Some("stock"));
    let path = format!("/v1/proposals/{pending}/confirm");
    for stem in [CORPORATION, CARE_OFFICER, ADMINISTRATOR, "elan-wonen"] {
        let refused = house.line(stem).json("POST", &path, &json!({})).is_problem(403, "refused");
        assert_eq!(refused.article.as_deref(), Some("stock-countersigned"), "{stem}");
    }
    regulation::confirm(&pending, &house.client(OFFICER)).unwrap();
    ask().answered();
}

#[test]
fn the_steps_of_a_stage_are_a_table_that_names_nobody() {
    let house = House::empty();
    let steps = |stem: &str, query: &str| -> Vec<StepView> {
        let reply = house.line(stem).get(&format!("/v1/regulations/haarlem/steps?{query}"));
        serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", reply.text()))
    };
    let ids = |all: Vec<StepView>| all.into_iter().map(|step| step.id).collect::<Vec<_>>();
    assert!(ids(steps(CORPORATION, "months=1&days=8&answer=priority")).contains(&"HLM-YM-1".into()));
    assert!(!ids(steps(CORPORATION, "months=1&days=7&answer=priority")).contains(&"HLM-YM-1".into()));
    assert_eq!(
        ids(steps(CORPORATION, "months=3&answer=undetermined")),
        ids(steps(CORPORATION, "months=3&answer=priority"))
    );
    assert!(steps(OFFICER, "months=3&answer=priority").is_empty());
    let bad = house.line(CORPORATION).get("/v1/regulations/haarlem/steps?months=3&answer=perhaps");
    bad.is_problem(400, "query");
}

/// What `voorrang regulation show` prints, and its exit code.
fn shown(house: &House, stem: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_voorrang"));
    let output = program.args(["regulation", "show", "--config"]).arg(house.party(stem)).args(more).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn show_says_which_version_is_in_force_which_is_not_yet_and_which_has_ended() {
    let house = House::lawless();
    let (code, page, error) = shown(&house, CORPORATION, &[]);
    assert_eq!((code, page.as_str()), (Some(3), ""), "{error}");
    assert!(error.contains("regulation_not_active") && error.contains("no version"), "{error}");
    amend(&house, "valid_from = 2020-01-01", "valid_from = 2026-01-16");
    amend(&house, "valid_until = 2999-01-01", "valid_until = 2026-01-17");
    house.activate_law().unwrap();
    let first = Regulation::load(&house.law()).unwrap().digest().to_owned();
    amend(&house, "valid_until = 2026-01-17", "valid_until = 2026-01-19");
    amend(&house, "valid_from = 2026-01-16", "valid_from = 2026-01-17");
    house.activate_law().unwrap();
    let second = Regulation::load(&house.law()).unwrap().digest().to_owned();
    amend(&house, "valid_from = 2026-01-17", &format!("replaces = \"{second}\"\nvalid_from = 2026-01-18"));
    house.activate_law().unwrap();
    let third = Regulation::load(&house.law()).unwrap().digest().to_owned();
    let none = "No version is in force today: nothing is answered.";
    for (moment, digest, states, in_force) in [
        (datetime!(2026-01-15 23:59:59 UTC), &first, ["not yet", "not yet", "not yet"], false),
        (datetime!(2026-01-16 0:00 UTC), &first, ["in force", "not yet", "not yet"], true),
        (datetime!(2026-01-17 0:00 UTC), &second, ["ended", "in force", "not yet"], true),
        (datetime!(2026-01-18 0:00 UTC), &third, ["ended", "replaced", "in force"], true),
        (datetime!(2026-01-19 0:00 UTC), &third, ["ended", "ended", "ended"], false),
    ] {
        house.clock.pass(moment);
        let steps = house.line(CORPORATION).get("/v1/regulations/haarlem/steps?months=1&days=8&answer=priority");
        assert_eq!(steps.status, if in_force { 200 } else { 403 }, "{moment}: {}", steps.text());
        let (code, page, error) = shown(&house, CORPORATION, &[]);
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!((code, error.as_str()), (Some(0), ""), "{moment}");
        assert!(lines[0].starts_with("haarlem: Working agreements"), "{page}");
        assert_eq!(lines[1].trim_start(), "Werkafspraken Preventie Huisuitzettingen Haarlem", "{page}");
        assert_eq!(lines[2], format!("digest {digest}"), "{moment}");
        for ((line, state), version) in lines[3..].iter().zip(states).zip([&first, &second, &third]) {
            assert!(line.starts_with(&format!("{state:<9} {}  valid 2026-01-1", &version[..16])), "{moment}: {line}");
        }
        assert_eq!((lines.len(), lines.last() == Some(&none)), (6 + usize::from(!in_force), !in_force), "{page}");
        let stage = ["--months", "1", "--days", "8", "--answer", "undetermined"];
        let (code, page, error) = shown(&house, CORPORATION, &stage);
        if in_force {
            assert_eq!((code, error.as_str()), (Some(0), ""), "{moment}");
            assert!(page.starts_with("HLM-G1 ") && page.contains("(gate: before the next stage)"), "{page}");
        } else {
            assert_eq!((code, page.as_str()), (Some(3), ""), "{moment}: {error}");
        }
    }
}

/// A question about the groups of the household that a corporation referred with its receipt.
pub fn of_case(receipt: &Receipt, question: &Value) -> Value {
    json!({"case": receipt.index, "leaf": receipt.leaf, "question": question})
}

pub fn told(house: &House, stem: &str, case: &Receipt, question: &Value) -> GroupsTold {
    let reply = house.line(stem).json("POST", "/v1/group-questions", &of_case(case, question));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.body.len(), voorrang::answer::wire::ANSWER_BYTES);
    serde_json::from_slice(&reply.body).unwrap()
}

/// The largest whole number that every reader of JSON knows (RFC 8259, section 6).
const LAST_WHOLE: u64 = (1 << 53) - 1;

#[test]
fn the_care_side_learns_the_groups_that_it_has_a_ground_for_of_cases_alone() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let (family, single) = (value(&encoder, FAMILY), value(&encoder, SINGLE));
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    let team = told(&house, TEAM, &case, &family);
    assert_eq!(team.groups.into_iter().collect::<Vec<_>>(), [("minor".to_owned(), "yes".to_owned())]);
    let care = told(&house, CARE, &case, &family);
    assert_eq!(care.groups.keys().collect::<Vec<_>>(), ["oggz"]);
    // Another household under this case, no case at all, and a corporation.
    for (stem, index, question, article) in [
        (TEAM, case.index, &single, "case"),
        (TEAM, 0, &family, "case"),
        (TEAM, LAST_WHOLE, &family, "case"),
        (CORPORATION, case.index, &family, "default"),
        // Whether it is a case is told to nobody who may not ask.
        (CORPORATION, 0, &family, "default"),
    ] {
        let body = of_case(&Receipt { index, ..case.clone() }, question);
        let refused = house.line(stem).json("POST", "/v1/group-questions", &body).is_problem(403, "refused");
        assert!(refused.article.as_deref() == Some(article), "{stem} {index}: {refused:?}");
    }
    let body = of_case(&Receipt { index: LAST_WHOLE + 1, ..case }, &family);
    house.line(TEAM).json("POST", "/v1/group-questions", &body).is_problem(400, "json");
    assert_eq!(actions(&house, Action::AskGroups), 7, "refusals too, and nothing of what cannot be read");
}

#[test]
fn a_minimum_batch_refuses_single_questions_and_answers_each_of_a_batch() {
    let house = House::lawless();
    amend(&house, "minimum_batch = 1", "minimum_batch = 3");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    let refused = house.line(CORPORATION).ask(&value(&encoder, FAMILY)).is_problem(403, "refused");
    assert_eq!(refused.article.as_deref(), Some("minimum-batch"));
    let ask = |questions: &[Value]| -> BatchAnswers {
        let reply = house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({"questions": questions}));
        serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", reply.text()))
    };
    let all: Vec<Value> = contracts().iter().take(4).map(|contract| value(&encoder, contract)).collect();
    assert!(ask(&all).answers.iter().all(|one| one.answered.is_some() && one.problem.is_none()));
    let same = vec![all[0].clone(); 4];
    assert!(ask(&same).answers.iter().all(|one| one.answered.is_none()), "one household four times is one");
    house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({"questions": []})).is_problem(400, "json");
}

#[test]
fn a_batch_with_one_question_without_tenants_is_refused_as_a_whole_and_says_which() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut questions: Vec<Value> = contracts().iter().take(3).map(|contract| value(&encoder, contract)).collect();
    questions[1]["tenants"] = json!([]);
    let reply = house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({"questions": questions}));
    let pointers: Vec<String> = reply.is_problem(400, "json").errors.into_iter().map(|fault| fault.pointer).collect();
    assert_eq!(pointers, ["/questions/1/tenants"]);
    assert_eq!(actions(&house, Action::Ask), 0, "none was asked");
}

/// A corporation with the salt forges households: it knows addresses of its stock and of others, and guesses people whom
/// nobody knows. One that names real people is in `probing`.
/// `CAMPAIGN_PROBES` sets how many; 20,000 take some minutes.
#[test]
fn a_prober_with_the_salt_is_bounded_and_the_officers_are_told_before_one_in_twenty() {
    let probes: usize = std::env::var("CAMPAIGN_PROBES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    // The rate of refusals, which slows such a prober sooner (`floods`), stands aside.
    let house = House::limited(&[("refusals_per_minute_each", 1_000_000)]);
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    // Each probe another invented person, in turn at an address of the stock and at one that somebody else lets.
    let ours: Vec<Value> = contracts().iter().map(|contract| value(&encoder, contract)).collect();
    let (profile, people) = (Profile::built_in(), read::tenants(&demo("huurders.csv")).unwrap());
    let mut line = house.line(CORPORATION);
    let (mut learned, mut refused_by) = (0_usize, std::collections::BTreeMap::<String, usize>::new());
    for n in 0..probes {
        let (mut forged, mut invented) = (ours[n % ours.len()].clone(), people[n % people.len()].clone());
        invented.person.surname.extend(n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')));
        let (codes, address) = encoder.tenants(std::slice::from_ref(&invented)).remove(0);
        forged["tenants"] = json!([{ "codes": wire::by_name(codes, &profile) }]);
        if n % 2 == 1 {
            forged["address"] = json!(address);
        }
        let reply = line.ask(&forged);
        if reply.status == 200 {
            // Each word tells something, undetermined too.
            learned += 1;
        } else {
            *refused_by.entry(reply.problem().article.unwrap_or_default()).or_default() += 1;
        }
    }
    let log = house.log();
    let asks: Vec<usize> = (0..log.len()).filter(|&at| log[at].action == Action::Ask).collect();
    let alarm = log.iter().position(|entry| matches!(entry.action, Action::Probing | Action::BudgetAlarm));
    let before = asks.iter().filter(|&&at| at < alarm.expect("the officers are told")).count();
    println!("{probes} probes: learned {learned}, alarm after {before}, refused {refused_by:?}");
    assert!(before <= 100, "alarm after {before} questions");
    assert!(learned <= 50, "{learned}");
    assert_eq!(actions(&house, Action::Probing), 1, "told once");
    assert!(refused_by.values().sum::<usize>() >= probes - 100, "{refused_by:?}");
    // Two open the tap again, of whom none is the corporation; until then its own questions stay refused.
    assert_eq!(line.ask(&ours[0]).is_problem(403, "refused").article.as_deref(), Some("probing"));
    let pending: Pending = regulation::open_tap(&YMERE.parse().unwrap(), &house.client(OFFICER)).unwrap();
    // Anybody else of another party may confirm it.
    let path = format!("/v1/proposals/{}/confirm", pending.proposal);
    let own = house.line(CORPORATION).json("POST", &path, &json!({}));
    assert_eq!(own.is_problem(403, "refused").article.as_deref(), Some("four-eyes"));
    assert_eq!(String::from(house.entry_of(&own).unwrap().result), "refused:four-eyes");
    regulation::confirm(&pending.proposal, &house.client(CARE_OFFICER)).unwrap();
    line.ask(&ours[0]).answered();
    let opened = |entry: &Entry| entry.action == Action::TapOpen && entry.result == Outcome::Done;
    assert_eq!(house.log().iter().filter(|entry| opened(entry)).count(), 1);
}

#[test]
fn a_tap_that_is_to_be_opened_is_one_of_a_corporation_of_the_regulation() {
    let house = House::empty();
    for oin in ["00000099000000001000", "00000099000000009999"] {
        let refused = house.line(OFFICER).json("POST", "/v1/regulations/haarlem/taps", &json!({ "oin": oin }));
        refused.is_problem(422, "no_corporation");
        let entry = house.entry_of(&refused).unwrap();
        assert_eq!((entry.action, String::from(entry.result)), (Action::TapOpen, "refused:no_corporation".to_owned()));
    }
    assert_eq!(house.client(OFFICER).get::<Vec<ProposalView>>("proposals").unwrap().len(), 0);
    regulation::open_tap(&YMERE.parse().unwrap(), &house.client(OFFICER)).unwrap();
}

#[test]
fn nobody_signs_what_a_check_ends_with_errors() {
    let house = House::lawless();
    amend(&house, "log_days = 1825", "log_days = 100");
    let note = fs::read_to_string(house.law().join("signatures.note")).unwrap();
    let sign = || {
        let args = regulation::SignArgs { folder: house.law(), config: house.party(CORPORATION) };
        regulation::run(&regulation::RegulationCommand::Sign(args))
    };
    let error = sign().unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), voorrang::cli::exit_code(&error)),
        ("1 errors in the regulation; nobody should sign it like this", 4)
    );
    assert_eq!(fs::read_to_string(house.law().join("signatures.note")).unwrap(), note);
    amend(&house, "log_days = 100", "log_days = 1825");
    sign().unwrap();
}

#[test]
fn the_same_question_has_the_same_answer_within_a_load_and_each_is_counted() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let question = value(&encoder, FAMILY);
    let answers: Vec<String> = (0..4).map(|_| line.ask(&question).answered().answer).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let fifth = line.ask(&question);
    if fifth.status != 200 {
        assert_eq!(fifth.is_problem(403, "refused").article.as_deref(), Some("household-limit"));
    }
}
