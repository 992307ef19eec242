//! The ceremony where it does not go as the default: dates by hand, two of one organisation, a custodian that left, a party
//! of the administrator's, a second answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::{Duration as Wait, Instant};

use serde_json::{Value, json};
use time::{Date, Duration};
use voorrang::answer::upkeep::{back_up, restore};
use voorrang::answer::wire::{EpochView, Resealed};
use voorrang::audit::{Action, NoteSigner, Outcome};
use voorrang::cli::client::PartyBook;
use voorrang::cli::epoch::{self, ActivateArgs, EndArgs, EpochArgs, EpochCommand, NewArgs, ResealArgs};
use voorrang::cli::load::Kind;
use voorrang::cli::query::{self, QueryArgs};
use voorrang::cli::regulation::confirm;
use voorrang::epoch::share;
use voorrang::ids::Oin;
use voorrang::profile::Profile;
use voorrang::regulate::Regulation;
use voorrang::store::Terms;

use super::regulation::{TEAM, amend, of_case, told};
use super::support::*;

const NEXT: &str = "haarlem-2";
const CARE_OIN: &str = "00000099000000003000";
const LEAVER: &str = "pre-wonen";
const LEAVER_OIN: &str = "00000099000000004002";

fn view(house: &House, epoch: &str) -> EpochView {
    house.client(ADMINISTRATOR).get(&format!("epochs/{epoch}")).unwrap()
}

fn second(house: &House, command: &EpochCommand) {
    let proposal = epoch::perform(command).unwrap();
    confirm(&proposal.trim().parse().unwrap(), &house.client(OFFICER)).unwrap();
}

fn retire(house: &House, epoch: &str) {
    second(house, &EpochCommand::Retire(house.epoch_args(ADMINISTRATOR, epoch)));
}

fn loaded(house: &House) {
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
}

/// What the program says to `epoch new` with these options.
fn announce(house: &House, epoch: &str, options: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    command.args(["epoch", "new", epoch, "--config"]).arg(house.party(ADMINISTRATOR)).args(options);
    let done = command.output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

fn day(days: i64) -> Date {
    (NOW + Duration::days(days)).date()
}

#[test]
fn an_epoch_has_the_dates_that_it_was_announced_with() {
    let house = House::empty();
    let (by, load, next) = (day(3).to_string(), day(9).to_string(), day(40).to_string());
    let (done, said) = announce(&house, EPOCH, &["--contribute-by", &by, "--load-by", &load, "--grace-days", "35"]);
    assert!(done && said.contains(&format!("must contribute by {by}")), "{said}");
    assert!(said.contains("Its grace of 35 days is longer than a register answers (31 days)"), "{said}");
    house.contribute(POPULATION, EPOCH).unwrap();
    assert!(!view(&house, EPOCH).todo[0].overdue);
    house.clock.pass(NOW + Duration::days(4));
    let late = view(&house, EPOCH);
    assert_eq!((late.contribute_by.to_string(), late.load_by.to_string(), late.grace_days), (by, load, 35));
    assert!(late.todo[0].overdue, "later is late, not refused");
    house.contribute(CARE, EPOCH).unwrap();
    loaded(&house);
    house.activate(EPOCH).unwrap();
    // Its own grace counts when another takes over. A day to contribute by that is later than the usual one to load by moves
    // that as well.
    let (done, said) = announce(&house, NEXT, &["--contribute-by", &next]);
    assert!(done && !said.contains("grace"), "{said}");
    assert_eq!((view(&house, NEXT).load_by.to_string(), view(&house, NEXT).grace_days), (next, 30));
    house.contribute(POPULATION, NEXT).unwrap();
    house.contribute(CARE, NEXT).unwrap();
    loaded(&house);
    house.activate(NEXT).unwrap();
    let question = value(&house.encoder(EPOCH), FAMILY);
    let until = view(&house, EPOCH).answers_until.unwrap();
    assert_eq!(until.date(), day(39));
    house.clock.pass(NOW + Duration::days(38));
    house.line(CORPORATION).ask(&question).answered();
    house.clock.pass(NOW + Duration::days(40));
    house.line(CORPORATION).ask(&question).is_problem(410, "epoch_retired");
}

#[test]
fn dates_in_another_order_are_refused_and_leave_no_epoch() {
    let house = House::empty();
    let text = |days: i64| day(days).to_string();
    for (options, why) in [
        (vec!["--contribute-by", &text(-1)], "in this order"),
        (vec!["--load-by", &text(3)], "in this order"),
        (vec!["--contribute-by", &text(9), "--load-by", &text(8)], "in this order"),
        (vec!["--load-by", &text(367)], "within a year"),
        (vec!["--contribute-by", &text(367)], "within a year"),
        (vec!["--grace-days", "29"], "shorter than the 30 of the regulation, which all parties signed"),
    ] {
        let (done, said) = announce(&house, EPOCH, &options);
        assert!(!done && said.contains("epoch_dates") && said.contains(why), "{options:?}: {said}");
    }
    let (done, said) = announce(&house, EPOCH, &["--grace-days", "367"]);
    assert!(!done && said.contains("/graceDays is more than 366"), "{said}");
    let (done, said) = announce(&house, EPOCH, &["--contribute-by", "2026-02-30"]);
    assert!(!done && !said.contains("epoch_dates"), "no day at all: {said}");
    house.line(ADMINISTRATOR).get(&format!("/v1/epochs/{EPOCH}")).is_problem(404, "unknown_epoch");
    let refused: Vec<String> = house.log().into_iter().map(|entry| String::from(entry.result)).collect();
    assert_eq!(refused.iter().filter(|result| *result == "refused:epoch_dates").count(), 6);
    // The borders themselves are in order.
    let (done, said) =
        announce(&house, EPOCH, &["--contribute-by", &text(0), "--load-by", &text(366), "--grace-days", "366"]);
    assert!(done, "{said}");
}

/// A house in whose regulation this stands instead.
fn amended(changes: &[(&str, &str)]) -> House {
    let mut house = House::built(false);
    changes.iter().for_each(|(from, to)| amend(&house, from, to));
    house.start();
    house
}

/// A house whose regulation lets corporations of this organisation contribute as well; whose it is, stands there too.
fn three(organisation: &str) -> House {
    let mut house = House::built(false);
    let path = house.law().join("articles.cedar");
    let articles = fs::read_to_string(&path).unwrap();
    let more = format!(
        "@id(\"third-share\")\n@title(\"A corporation contributes\")\npermit (principal is Corporation, action == \
         Action::\"contribute-share\", resource)\nwhen {{ principal.organisation == \"{organisation}\" }};\n"
    );
    fs::write(&path, articles + "\n" + &more).unwrap();
    amend(&house, "organisation = \"Pré Wonen\"", &format!("organisation = \"{organisation}\""));
    let key = house.regulation.parties().iter().find(|party| party.name == "Pré Wonen").unwrap().key.clone();
    tell(&house, |book| {
        book.party.iter_mut().find(|party| party.oin.as_str() == LEAVER_OIN).unwrap().verifier = key;
    });
    house.start();
    house
}

#[test]
fn two_contributors_of_one_organisation_make_no_salt() {
    // The two who load are of different ones, or there is no regulation.
    let house = House::built(false);
    let path = house.law().join("regulation.toml");
    let text = fs::read_to_string(&path).unwrap();
    let own = "organisation = \"Zorgnetwerk Haarlem\"";
    fs::write(&path, text.replacen(own, "organisation = \"Gemeente Haarlem\"", 1)).unwrap();
    let error = Regulation::load(&house.law()).unwrap_err().to_string();
    assert!(error.contains("organisation of the two custodians must differ"), "{error}");
    // A corporation of the municipality is no second organisation beside it.
    let house = three("Gemeente Haarlem");
    let epoch = house.epoch_args(ADMINISTRATOR, EPOCH);
    let without = vec![CARE_OIN.parse().unwrap()];
    let error = epoch::run(&EpochCommand::New(NewArgs { without, ..NewArgs::of(epoch.clone()) })).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("too_few_custodians") && error.contains("different organisations"), "{error}");
    house.line(ADMINISTRATOR).get(&format!("/v1/epochs/{EPOCH}")).is_problem(404, "unknown_epoch");
    epoch::run(&EpochCommand::New(NewArgs::of(epoch))).unwrap();
    assert_eq!(view(&house, EPOCH).missing.len(), 3, "beside the care network's it is one share more");
}

/// Everybody's list of keys, changed: the parties told each other.
fn tell(house: &House, change: impl FnOnce(&mut PartyBook)) {
    let path = house.keys().join("parties.toml");
    let mut book = PartyBook::load(&path).unwrap();
    change(&mut book);
    fs::write(path, toml::to_string(&book).unwrap()).unwrap();
}

fn salt(house: &House, stem: &str, epoch: &str) -> anyhow::Result<Vec<u8>> {
    Ok(house.client(stem).salt(&epoch.parse().unwrap(), &Profile::built_in())?.expose().to_vec())
}

#[test]
fn the_next_epoch_goes_its_whole_way_without_a_custodian_that_left() {
    let house = three("Pré Wonen");
    house.announce(EPOCH).unwrap();
    for stem in [POPULATION, CARE, LEAVER] {
        house.contribute(stem, EPOCH).unwrap();
    }
    loaded(&house);
    house.activate(EPOCH).unwrap();
    let old = salt(&house, LEAVER, EPOCH).unwrap();

    let without = vec![LEAVER_OIN.parse().unwrap()];
    let new = NewArgs { without, ..NewArgs::of(house.epoch_args(ADMINISTRATOR, NEXT)) };
    epoch::run(&EpochCommand::New(new)).unwrap();
    assert!(view(&house, NEXT).missing.iter().all(|oin| oin.as_str() != LEAVER_OIN));
    // It was announced without it, and the service takes nothing of it.
    let error = format!("{:#}", house.contribute(LEAVER, NEXT).unwrap_err());
    assert!(error.contains("none of the epoch's participants"), "{error}");
    let participants = view(&house, NEXT).participants;
    let keys = participants.into_iter().map(|one| (one.oin, one.recipient)).collect();
    let text = share::draw(&NEXT.parse().unwrap(), &LEAVER_OIN.parse().unwrap());
    let sealed = share::seal(&NoteSigner::generate(LEAVER).unwrap().0.sign(&text), &keys).unwrap();
    let reply = house.line(LEAVER).json("PUT", &format!("/v1/epochs/{NEXT}/share"), &json!({ "sealed": sealed }));
    reply.is_problem(404, "store_not_found");
    for stem in [POPULATION, CARE] {
        house.contribute(stem, NEXT).unwrap();
    }
    assert_eq!((view(&house, NEXT).state.as_str(), view(&house, NEXT).contributed.len()), ("loading", 2));
    // Who stays still waits for its share, until its own list says that it left.
    let error = format!("{:#}", salt(&house, POPULATION, NEXT).unwrap_err());
    assert!(error.contains(LEAVER_OIN) && error.contains("take it out of parties.toml"), "{error}");
    tell(&house, |book| book.party.retain(|party| party.oin.as_str() != LEAVER_OIN));
    let agreed = salt(&house, POPULATION, NEXT).unwrap();
    assert_eq!(salt(&house, CORPORATION, NEXT).unwrap(), agreed);
    assert_ne!(agreed, old);
    assert!(salt(&house, LEAVER, NEXT).is_err(), "what it has opens nothing of it");
    loaded(&house);
    house.activate(NEXT).unwrap();
    let answered = house.line(CORPORATION).ask(&value(&house.encoder(NEXT), FAMILY)).answered();
    assert_eq!((answered.answer.as_str(), answered.epoch.as_str()), ("priority", NEXT));
    retire(&house, EPOCH);
    second(&house, &EpochCommand::destroy(EndArgs { epoch: house.epoch_args(ADMINISTRATOR, EPOCH), output: None }));
    assert_eq!(view(&house, EPOCH).state, "destroyed");
    house.verify(&[answered]).unwrap();
}

#[test]
fn nobody_seals_shares_again_for_an_administrator_or_for_a_party_of_its_organisation() {
    // A corporation of the administrator's organisation takes no part; nobody lets it in later.
    let own = "organisation = \"Gemeenschappelijke Regeling ICT Kennemerland\"";
    let house = amended(&[(own, "organisation = \"Pré Wonen\"")]);
    let without = vec![LEAVER_OIN.parse().unwrap()];
    epoch::run(&EpochCommand::New(NewArgs { without, ..NewArgs::of(house.epoch_args(ADMINISTRATOR, EPOCH)) })).unwrap();
    for stem in [POPULATION, CARE] {
        house.contribute(stem, EPOCH).unwrap();
    }
    let args = ResealArgs { epoch: house.epoch_args(CARE, EPOCH), party: LEAVER_OIN.parse().unwrap() };
    let error = format!("{:#}", epoch::run(&EpochCommand::Reseal(args)).unwrap_err());
    assert!(error.contains("administrator_is_custodian"), "{error}");
    let entry = house.log().into_iter().rfind(|entry| entry.action == Action::EpochReseal).unwrap();
    assert_eq!(String::from(entry.result), "refused:administrator_is_custodian");
    assert!(salt(&house, LEAVER, EPOCH).is_err());
    // The administrator itself, for that party and for itself, with shares of its own making.
    let administrator: Oin = "00000099000000001000".parse().unwrap();
    let (_, public) = share::generate_identity();
    let forged = |from: &str, to: &Oin| {
        let text = share::draw(&EPOCH.parse().unwrap(), &from.parse().unwrap());
        let note = NoteSigner::generate("administrator").unwrap().0.sign(&text);
        (from.parse().unwrap(), share::seal(&note, &[(to.clone(), public.clone())].into()).unwrap())
    };
    for to in [LEAVER_OIN.parse().unwrap(), administrator.clone()] {
        let shares = [forged("00000099000000002000", &to), forged(CARE_OIN, &to)].into();
        let body = json!(Resealed { recipient: public.clone(), shares });
        let path = format!("/v1/epochs/{EPOCH}/participants/{to}");
        house.line(ADMINISTRATOR).json("PUT", &path, &body).is_problem(403, "refused");
        if to == administrator {
            house.line(CARE).json("PUT", &path, &body).is_problem(422, "participant");
        }
    }
    house.line(ADMINISTRATOR).get(&format!("/v1/epochs/{EPOCH}/shares")).is_problem(403, "refused");
    assert_eq!(view(&house, EPOCH).participants.len(), 5);
}

/// The care custodian's list has a key that the register holder had before.
#[test]
fn shares_sealed_again_for_an_outdated_key_lock_nobody_out() {
    let house = House::empty();
    house.agree(EPOCH);
    let agreed = salt(&house, POPULATION, EPOCH).unwrap();
    let register: Oin = "00000099000000002000".parse().unwrap();
    let own = PartyBook::load(&house.keys().join("parties.toml")).unwrap().find(&register).unwrap().recipient.clone();
    let known = |key: &str| {
        let set = |book: &mut PartyBook| {
            book.party.iter_mut().find(|party| party.oin == register).unwrap().recipient = Some(key.into());
        };
        tell(&house, set);
    };
    let reseal = |by: &str| {
        let args = ResealArgs { epoch: house.epoch_args(by, EPOCH), party: register.clone() };
        epoch::perform(&EpochCommand::Reseal(args))
    };
    known(&share::generate_identity().1);
    reseal(CARE).unwrap();
    assert_eq!(salt(&house, POPULATION, EPOCH).unwrap(), agreed);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    // It puts its key right by itself.
    known(own.as_ref().unwrap());
    reseal(POPULATION).unwrap();
    // With a new key, and the old one in somebody's list again.
    let (identity, public) = share::generate_identity();
    known(&public);
    reseal(CARE).unwrap();
    fs::write(house.keys().join(format!("{POPULATION}.age")), identity.as_bytes()).unwrap();
    known(own.as_ref().unwrap());
    reseal(CARE).unwrap();
    assert_eq!(salt(&house, POPULATION, EPOCH).unwrap(), agreed);
}

/// As the tool announces it; and as one would that does not look.
#[test]
fn an_epoch_is_announced_with_whole_keys_of_which_no_two_are_the_same() {
    let house = House::empty();
    let path = house.keys().join("parties.toml");
    let good = PartyBook::load(&path).unwrap();
    let key = |oin: &str| good.find(&oin.parse().unwrap()).unwrap().recipient.clone().unwrap();
    let whole = key(LEAVER_OIN);
    for (wrong, says) in [(&whole[..whole.len() - 3], "has no valid public key"), (&key(CARE_OIN), "the same key for")]
    {
        tell(&house, |book| {
            book.party.iter_mut().find(|party| party.oin.as_str() == LEAVER_OIN).unwrap().recipient =
                Some(wrong.into());
        });
        let (done, said) = announce(&house, EPOCH, &[]);
        assert!(!done && said.contains(says) && said.contains(LEAVER_OIN), "{said}");
        fs::write(&path, toml::to_string(&good).unwrap()).unwrap();
    }
    let profile = Profile::built_in();
    let participant = |oin: &str, recipient: &str| json!({"oin": oin, "recipient": recipient});
    let care = key(CARE_OIN);
    let (register, twice) = ("00000099000000002000", format!("{care} "));
    let body = json!({"id": EPOCH, "regulation": "haarlem", "profile": profile.id, "schemaHash": profile.schema_hash(),
        "participants": [participant(register, &key(register)), participant(CARE_OIN, &care),
            participant(LEAVER_OIN, &twice)]});
    let problem = house.line(ADMINISTRATOR).json("POST", "/v1/epochs", &body).is_problem(422, "recipient");
    assert!(problem.detail.contains("have the same key"), "{}", problem.detail);
    house.agree(EPOCH);
    // Nor does a key come to a second party later.
    let shares: BTreeMap<Oin, String> = BTreeMap::new();
    let body = json!(Resealed { recipient: care, shares });
    let path = format!("/v1/epochs/{EPOCH}/participants/{LEAVER_OIN}");
    house.line(CARE).json("PUT", &path, &body).is_problem(422, "recipient");
}

#[test]
fn a_custodian_that_contributes_again_is_told_that_its_share_is_there() {
    let house = House::empty();
    house.announce(EPOCH).unwrap();
    let again = |stem: &str| epoch::perform(&EpochCommand::Contribute(house.epoch_args(stem, EPOCH))).unwrap();
    assert!(again(POPULATION).starts_with("Contributed a share"));
    let said = again(POPULATION);
    assert!(said.contains("is there already and stays") && said.contains(CARE_OIN), "{said}");
    again(CARE);
    let agreed = salt(&house, POPULATION, EPOCH).unwrap();
    for stem in [POPULATION, CARE] {
        let said = again(stem);
        assert!(said.contains("the salt is complete, and the epoch is loading"), "{said}");
    }
    assert_eq!(salt(&house, CORPORATION, EPOCH).unwrap(), agreed);
    assert_eq!(house.log().iter().filter(|entry| entry.action == Action::EpochContribute).count(), 2);
}

#[test]
fn a_case_whose_answer_was_lost_is_told_again_behind_a_cut_over_and_counted_once() {
    let house = House::open();
    let family = value(&house.encoder(EPOCH), FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    let body = of_case(&case, &family).to_string();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "0123456789abcdef")];
    let ask = || house.line(TEAM).send("POST", "/v1/group-questions", &headers, body.as_bytes()).unwrap();
    let first: Value = serde_json::from_slice(&ask().body).unwrap();
    house.fill(NEXT);
    retire(&house, EPOCH);
    let again: Value = serde_json::from_slice(&ask().body).unwrap();
    assert_eq!((&again["groups"], &again["receipt"]["index"]), (&first["groups"], &first["receipt"]["index"]));
    let answered =
        |entry: &&voorrang::audit::Entry| entry.action == Action::AskGroups && entry.result == Outcome::Answered;
    assert_eq!(house.log().iter().filter(answered).count(), 1);
    // A case that the corporation brings in the epoch that took over is asked about there.
    let family = value(&house.encoder(NEXT), FAMILY);
    let case = house.line(CORPORATION).ask(&family).answered().receipt;
    assert_eq!(told(&house, TEAM, &case, &family).groups["minor"], "yes");
}

#[test]
fn households_whom_a_cut_over_leaves_out_of_a_batch_are_asked_about_in_a_second_one() {
    let house = House::lawless();
    amend(&house, "household_per_month = 4", "household_per_month = 31");
    amend(&house, "minimum_batch = 1", "minimum_batch = 5");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    house.agree(NEXT);
    loaded(&house);
    // Each contract six times under other numbers, so that the batch takes a while.
    let (tenants, arrears) = (house.file("tenants.csv"), house.file("arrears.csv"));
    let stock = fs::read_to_string(house.stock_of("C1")).unwrap();
    let (header, rows) = stock.split_once('\n').unwrap();
    let copies: String = (0..6).flat_map(|n| rows.lines().map(move |row| format!("K{n}{}\n", &row[2..]))).collect();
    fs::write(&tenants, format!("{header}\n{copies}")).unwrap();
    let contracts: BTreeSet<&str> = copies.lines().filter_map(|row| row.split(',').next()).collect();
    let asked: String = contracts.iter().map(|contract| format!("{contract},3\n")).collect();
    fs::write(&arrears, format!("contract_id,maanden\n{asked}")).unwrap();
    let args = QueryArgs {
        batch: true,
        ..QueryArgs::new(arrears, tenants, house.party(CORPORATION), house.file("flags.csv"))
    };
    let counted = || -> i64 {
        let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
        db.busy_timeout(Wait::from_secs(20)).unwrap();
        db.query_row("SELECT count(*) FROM result", [], |row| row.get(0)).unwrap()
    };
    let summary = std::thread::scope(|scope| {
        let asking = scope.spawn(|| query::ask_all(&args).unwrap());
        while counted() == 0 {
            assert!(!asking.is_finished(), "the run was over before the cut-over");
            std::thread::sleep(Wait::from_millis(1));
        }
        house.activate(NEXT).unwrap();
        house.clock.pass(NOW + Duration::days(31));
        asking.join().unwrap()
    });
    assert_eq!((summary.answers.values().sum::<usize>(), summary.refused.len()), (contracts.len(), 0), "{summary:?}");
    let mut reader = csv::Reader::from_path(&args.output).unwrap();
    let epochs: Vec<String> = reader.records().map(|row| row.unwrap()[2].to_owned()).collect();
    let of = |epoch: &str| epochs.iter().filter(|one| *one == epoch).count();
    assert!(of(EPOCH) > 0 && of(NEXT) > 0 && of(EPOCH) + of(NEXT) == contracts.len(), "{} {}", of(EPOCH), of(NEXT));
    let log = house.log();
    let asks = |result: &str| {
        log.iter().filter(|one| one.action == Action::Ask && String::from(one.result.clone()) == result).count()
    };
    assert_eq!((asks("answered"), asks("refused:epoch_retired")), (contracts.len(), of(NEXT)));
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let batches: i64 = db.query_row("SELECT count(*) FROM batch", [], |row| row.get(0)).unwrap();
    assert_eq!(batches, 2);
    house.verify(&[]).unwrap();
}

#[test]
fn a_backup_from_before_an_abort_revives_nothing_when_everything_of_it_has_expired() {
    let mut house = House::open();
    house.agree(NEXT);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    let question = value(&house.encoder(EPOCH), FAMILY);
    house.line(CORPORATION).ask(&question).answered();
    let backup = house.file("backup");
    back_up(&house.config(), &house.clock, &backup, &[]).unwrap();
    second(&house, &EpochCommand::Abort(EndArgs { epoch: house.epoch_args(ADMINISTRATOR, NEXT), output: None }));
    // The pseudonyms of an epoch in which nobody was asked about end with the next look; its key is in no backup.
    let expire = |house: &House| house.line(OFFICER).json("POST", "/v1/access-log/expire", &Value::Null).status;
    assert_eq!(expire(&house), 200);
    let gone = [format!("keys/subject-{NEXT}.key")].map(|name| house.state().join(name));
    assert!(gone.iter().all(|path| !path.exists()));
    house.stop();
    for name in ["voorrang.db", "voorrang.db-wal", "voorrang.db-shm"] {
        let path = house.state().join(name);
        assert!(fs::remove_file(&path).is_ok() || !path.exists());
    }
    let lost = restore(&house.config(), &house.clock, &backup, Terms { loss: true, identity: None }).unwrap().lost;
    assert!(lost > 0);
    house.start();
    assert_eq!(view(&house, NEXT).state, "destroyed");
    assert!(!house.keys().join(format!("epoch-keys/epoch-{NEXT}.key")).exists());
    assert!(salt(&house, POPULATION, NEXT).is_err());
    let activate = ActivateArgs::of(EpochArgs { epoch: NEXT.parse().unwrap(), config: house.party(ADMINISTRATOR) });
    let error = format!("{:#}", epoch::perform(&EpochCommand::Activate(activate)).unwrap_err());
    assert!(error.contains("epoch_destroyed"), "{error}");
    let said: Vec<_> = house.log().into_iter().filter(|one| one.action == Action::EpochDestroy).collect();
    assert_eq!(String::from(said[0].result.clone()), "failed:restored_after_destruction");
    // The one that answered goes on, and a further start changes nothing.
    assert_eq!(house.line(CORPORATION).ask(&question).answered().epoch.as_str(), EPOCH);
    house.restart();
    assert_eq!((expire(&house), view(&house, NEXT).state.as_str()), (200, "destroyed"));
}

/// What each role typed, and how long it waited.
#[derive(Default)]
struct Typed(BTreeMap<&'static str, (usize, Wait)>);

impl Typed {
    /// Types a command; what it said on both of its outputs.
    fn types(&mut self, house: &House, role: &'static str, stem: &str, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
        let begun = Instant::now();
        let done = command.args(words).arg("--config").arg(house.party(stem)).output().unwrap();
        let (commands, waited) = self.0.entry(role).or_default();
        *commands += 1;
        *waited += begun.elapsed();
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{words:?}: {said}");
        said
    }
}

/// `cargo test --release --test api ceremony::a_rotation_is -- --nocapture` prints the figures of docs/rotation.md.
#[test]
fn a_rotation_is_a_few_commands_of_each_role() {
    let house = House::open();
    let mut typed = Typed::default();
    let proposed = |said: &str| {
        let words = said.split_whitespace().collect::<Vec<_>>();
        let at = words.iter().position(|word| *word == "confirm").unwrap();
        words[at + 1].to_owned()
    };
    let (register, list, stock) = (house.town(), demo("oggz.csv"), house.stock_of("C1"));
    let [register, list, stock] = [&register, &list, &stock].map(|path| path.to_str().unwrap());
    let (admin, population, care) = ("administrator", "population custodian", "care custodian");
    let (corporation, officer) = ("corporation", "privacy officer");
    let day = house.reference().to_string();
    typed.types(&house, admin, ADMINISTRATOR, &["epoch", "new", NEXT]);
    typed.types(&house, population, POPULATION, &["epoch", "contribute", NEXT]);
    typed.types(&house, care, CARE, &["epoch", "contribute", NEXT]);
    typed.types(&house, population, POPULATION, &["load", "population", register, "--reference-date", &day]);
    typed.types(&house, care, CARE, &["load", "care", list, "--reference-date", &day]);
    let said = typed.types(&house, corporation, CORPORATION, &["load", "stock", stock, "--dwellings", "200"]);
    typed.types(&house, officer, OFFICER, &["regulation", "confirm", &proposed(&said)]);
    let said = typed.types(&house, admin, ADMINISTRATOR, &["epoch", "list"]);
    assert!(said.contains(&format!("epoch activate {NEXT}")), "{said}");
    typed.types(&house, admin, ADMINISTRATOR, &["epoch", "activate", NEXT]);
    // The grace ends by itself. Who asked about a person in it is answered with its salt.
    house.clock.pass(NOW + Duration::days(31));
    let kept = house.file("haarlem-1.salt");
    let keep = ["epoch", "fetch", EPOCH, "--salt-file", kept.to_str().unwrap()];
    typed.types(&house, population, POPULATION, &keep);
    let said = typed.types(&house, admin, ADMINISTRATOR, &["epoch", "destroy", EPOCH]);
    assert!(said.contains("epoch fetch haarlem-1 --salt-file haarlem-1.salt"), "{said}");
    let said = typed.types(&house, officer, OFFICER, &["regulation", "confirm", &proposed(&said)]);
    assert!(said.contains("voorrang destruction record v1"), "{said}");
    assert_eq!((view(&house, EPOCH).state.as_str(), view(&house, NEXT).state.as_str()), ("destroyed", "active"));
    for (role, (commands, waited)) in &typed.0 {
        eprintln!("{role}: {commands} commands, {:.1} s", waited.as_secs_f64());
    }
    let all: usize = typed.0.values().map(|(commands, _)| commands).sum();
    let waited: Wait = typed.0.values().map(|(_, waited)| *waited).sum();
    eprintln!("all: {all} commands, {:.1} s", waited.as_secs_f64());
    assert!(all == 12 && typed.0.values().all(|(commands, _)| *commands <= 4) && waited < Wait::from_mins(5));
}
