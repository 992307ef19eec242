//! A salt that administrators rotate and never see.

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use voorrang::answer::wire::Envelope;
use voorrang::audit::NoteSigner;
use voorrang::cli::client::{PartyBook, open_envelope};
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::epoch::share;
use voorrang::profile::Profile;

use super::support::*;

fn view(house: &House, epoch: &str) -> Value {
    let reply = house.line(ADMINISTRATOR).get(&format!("/v1/epochs/{epoch}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// The note of a share that whoever made it up signed.
fn note() -> String {
    let text = share::draw(&EPOCH.parse().unwrap(), &"00000099000000002000".parse().unwrap());
    NoteSigner::generate("nobody").unwrap().0.sign(&text)
}

/// A share that its form lets pass.
fn share(house: &House) -> Value {
    let parties = house.client(CARE).parties().unwrap().party;
    let keys = parties.into_iter().filter_map(|party| Some((party.oin, party.recipient?)));
    json!({ "sealed": share::seal(&note(), &keys.collect()).unwrap() })
}

#[test]
fn one_contribution_is_not_enough_and_a_second_of_the_same_party_is_refused() {
    let house = House::empty();
    house.announce(EPOCH).unwrap();
    let shares = format!("/v1/epochs/{EPOCH}/shares");
    house.line(CORPORATION).get(&shares).is_problem(409, "epoch_incomplete");
    house.contribute(POPULATION, EPOCH).unwrap();
    assert_eq!(view(&house, EPOCH)["missing"], json!(["00000099000000003000"]));
    for stem in [POPULATION, CARE, CORPORATION] {
        let reply = house.line(stem).get(&shares);
        reply.is_problem(409, "epoch_incomplete");
        assert!(!reply.text().contains("AGE ENCRYPTED"));
    }
    assert!(house.client(CORPORATION).salt(&EPOCH.parse().unwrap(), &Profile::built_in()).is_err());
    let reply = house.line(POPULATION).json("PUT", &format!("/v1/epochs/{EPOCH}/share"), &share(&house));
    reply.is_problem(409, "store_conflict");
    assert_eq!(String::from(house.entry_of(&reply).unwrap().result), "refused:store_conflict");
    assert_eq!(view(&house, EPOCH)["state"], "announced");
    assert!(house.load(POPULATION, Kind::Population, &demo("brp.csv")).is_err(), "no epoch that loads");
    house.contribute(CARE, EPOCH).unwrap();
    assert_eq!(view(&house, EPOCH)["state"], "loading");
    let reply = house.line(POPULATION).json("PUT", &format!("/v1/epochs/{EPOCH}/share"), &share(&house));
    reply.is_problem(409, "epoch_complete");
    // What was refused changed nothing: all still open the same salt.
    let salts = [POPULATION, CARE, CORPORATION]
        .map(|stem| house.client(stem).salt(&EPOCH.parse().unwrap(), &Profile::built_in()).unwrap());
    assert!(salts.iter().all(|salt| salt.expose() == salts[0].expose()));
}

#[test]
fn contributions_at_once_complete_the_epoch() {
    for round in 0..8 {
        let house = House::empty();
        house.announce(EPOCH).unwrap();
        std::thread::scope(|scope| {
            let put = |stem: &'static str| {
                let house = &house;
                scope.spawn(move || {
                    house.line(stem).json("PUT", &format!("/v1/epochs/{EPOCH}/share"), &share(house)).status
                })
            };
            let both = [put(POPULATION), put(CARE)];
            assert_eq!(both.map(|thread| thread.join().unwrap()), [200, 200]);
        });
        assert_eq!(view(&house, EPOCH)["state"], "loading", "round {round}");
    }
}

#[test]
fn administrators_and_officers_cannot_fetch_shares() {
    let house = House::empty();
    house.agree(EPOCH);
    for stem in [ADMINISTRATOR, OFFICER] {
        let reply = house.line(stem).get(&format!("/v1/epochs/{EPOCH}/shares"));
        reply.is_problem(403, "refused");
        assert!(!reply.text().contains("AGE ENCRYPTED"));
        assert_eq!(String::from(house.entry_of(&reply).unwrap().result), "refused:default");
    }
}

#[test]
fn a_share_that_the_service_slipped_in_opens_for_nobody() {
    let house = House::empty();
    house.announce(EPOCH).unwrap();
    house.contribute(POPULATION, EPOCH).unwrap();
    // Rightly sealed, but not signed by the care network.
    let recipients =
        house.client(CARE).parties().unwrap().party.into_iter().filter_map(|p| Some((p.oin, p.recipient?)));
    let sealed = share::seal(&note(), &recipients.collect()).unwrap();
    let reply = house.line(CARE).json("PUT", &format!("/v1/epochs/{EPOCH}/share"), &json!({ "sealed": sealed }));
    assert_eq!(reply.status, 200);
    let error = house.client(CORPORATION).salt(&EPOCH.parse().unwrap(), &Profile::built_in()).unwrap_err();
    assert!(format!("{error:#}").contains("00000099000000003000"), "{error:#}");
}

#[test]
fn a_share_that_was_not_sealed_for_exactly_the_participants_is_refused_and_not_kept() {
    let house = House::empty();
    house.announce(EPOCH).unwrap();
    let (begin, end) = ("-----BEGIN AGE ENCRYPTED FILE-----", "-----END AGE ENCRYPTED FILE-----");
    let (plain, good) = (note(), share(&house)["sealed"].as_str().unwrap().to_owned());
    let base64 = STANDARD.encode(&plain);
    let lines = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    let base64: String = lines.collect();
    let (_, stranger) = share::generate_identity();
    let one = share::seal(&plain, &[("00000099000000004001".parse().unwrap(), stranger)].into()).unwrap();
    for (wrong, why) in [
        (format!("{begin}\n{plain}{end}\n"), "one armored age file"),
        (format!("{begin}\n{base64}{end}\n"), "was it sealed"),
        (format!("{good}{plain}"), "nothing beside it"),
        (one, "participants"),
    ] {
        let reply = house.line(CARE).json("PUT", &format!("/v1/epochs/{EPOCH}/share"), &json!({ "sealed": wrong }));
        let problem = reply.is_problem(422, "share");
        assert!(problem.detail.contains(why) && !reply.text().contains(plain.lines().nth(3).unwrap()), "{problem:?}");
    }
    assert_eq!(view(&house, EPOCH)["contributed"], json!([]));
    let reply = house.line(CARE).json("PUT", &format!("/v1/epochs/{EPOCH}/share"), &json!({ "sealed": good }));
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn an_envelope_opens_only_whole_and_for_its_own_epoch_and_schema() {
    let house = House::empty();
    house.agree(EPOCH);
    let client = house.client(CORPORATION);
    let (identity, profile) = (client.identity().unwrap(), Profile::built_in());
    let envelope = client.envelope(&EPOCH.parse().unwrap()).unwrap();
    let mut book = client.parties().unwrap();
    let salt = open_envelope(&envelope, &profile, &identity, &book).unwrap();
    let refused = |envelope: &Envelope, book: &PartyBook| {
        format!("{:#}", open_envelope(envelope, &profile, &identity, book).unwrap_err())
    };
    let mut other = envelope.clone();
    other.epoch = "haarlem-2".parse().unwrap();
    assert!(refused(&other, &book).contains("another epoch"));
    other = envelope.clone();
    other.schema_hash = "00".repeat(32);
    assert!(refused(&other, &book).contains("another schema"));
    // A service that leaves a custodian's share out would need one party less to know the salt.
    let third = "00000099000000003333".parse().unwrap();
    let mut custodian = book.party.iter().find(|party| party.verifier.is_some()).unwrap().clone();
    custodian.oin = third;
    book.party.push(custodian);
    assert!(refused(&envelope, &book).contains("00000099000000003333"));
    book.party.pop();
    assert_eq!(open_envelope(&envelope, &profile, &identity, &book).unwrap().expose(), salt.expose());
}

#[test]
fn an_epoch_is_not_activated_with_sources_that_are_too_old_to_answer_from() {
    let house = House::empty();
    house.agree(EPOCH);
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.clock.pass(NOW + time::Duration::days(32));
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    let error = format!("{:#}", house.activate(EPOCH).unwrap_err());
    assert!(error.contains("source_stale") && error.contains("population"), "{error}");
}

#[test]
fn an_epoch_is_not_activated_while_a_source_is_missing() {
    let house = House::empty();
    house.announce(EPOCH).unwrap();
    let activate = |code: &str, names: &[&str]| {
        let reply = house.line(ADMINISTRATOR).json("POST", &format!("/v1/epochs/{EPOCH}/activate"), &json!({}));
        let problem = reply.is_problem(409, code);
        assert!(names.iter().all(|name| problem.detail.contains(name)), "{}", problem.detail);
        assert_eq!(String::from(house.entry_of(&reply).unwrap().result), format!("refused:{code}"));
    };
    activate("epoch_not_loading", &["announced"]);
    house.contribute(POPULATION, EPOCH).unwrap();
    house.contribute(CARE, EPOCH).unwrap();
    activate("source_missing", &["population", "care"]);
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    activate("source_missing", &["population"]);
    // Until then nobody is answered.
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    let question = value(&house.encoder(EPOCH), FAMILY);
    house.line(CORPORATION).ask(&question).is_problem(409, "epoch_not_active");
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.line(CORPORATION).ask(&question).is_problem(409, "epoch_not_active");
    house.activate(EPOCH).unwrap();
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority");
    activate("epoch_active", &["active"]);
}

#[test]
fn a_load_and_a_stock_go_into_the_epoch_that_is_named() {
    let house = House::open();
    house.agree("haarlem-2");
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    let stocks = |epoch: &str| view(&house, epoch)["stocks"].as_array().unwrap().len();
    assert_eq!((view(&house, "haarlem-2")["loaded"].clone(), stocks("haarlem-2")), (json!(["population"]), 0));
    let steps =
        |epoch: &str| house.log().iter().filter(|e| e.epoch.as_ref().is_some_and(|id| id.as_str() == epoch)).count();
    let (old, new) = (steps(EPOCH), steps("haarlem-2"));
    let named = |epoch: &str, stem: &str, kind: Kind, input: &std::path::Path| {
        load::load(&LoadArgs { epoch: Some(epoch.parse().unwrap()), ..house.load_args(stem, kind, input) })
    };
    named(EPOCH, POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    named(EPOCH, CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    assert!(steps(EPOCH) > old && steps("haarlem-2") == new, "nothing went into the one that is being prepared");
    let error = format!("{:#}", named("haarlem-9", CARE, Kind::Care, &demo("oggz.csv")).err().unwrap());
    assert!(error.contains("unknown_epoch"), "{error}");
    house.announce("haarlem-3").unwrap();
    let error = format!("{:#}", named("haarlem-3", CARE, Kind::Care, &demo("oggz.csv")).err().unwrap());
    assert!(error.contains("is announced and takes no loads"), "{error}");
}

#[test]
fn after_a_rotation_both_epochs_answer_and_the_old_one_retires() {
    let mut house = House::open();
    let old = value(&house.encoder(EPOCH), FAMILY);
    house.agree("haarlem-2");
    assert_eq!(house.line(CORPORATION).ask(&old).answered().answer, "priority", "while the next one is prepared");
    house.load(POPULATION, Kind::Population, &demo("brp.csv")).unwrap();
    house.load(CARE, Kind::Care, &demo("oggz.csv")).unwrap();
    assert_eq!(view(&house, "haarlem-2")["loaded"], json!(["population", "care"]));
    house.load(CORPORATION, Kind::Stock, &house.stock_of("C1")).unwrap();
    house.activate("haarlem-2").unwrap();
    let new = value(&house.encoder("haarlem-2"), FAMILY);
    assert_ne!(old["header"]["keyCheck"], new["header"]["keyCheck"]);
    assert_ne!(old["address"], new["address"], "nothing of one epoch can be compared with the other");
    for restarted in [false, true] {
        assert_eq!(
            (&view(&house, EPOCH)["state"], &view(&house, "haarlem-2")["state"]),
            (&json!("retiring"), &json!("active"))
        );
        let mut line = house.line(CORPORATION);
        let (from_old, from_new) = (line.ask(&old).answered(), line.ask(&new).answered());
        assert_eq!((from_old.answer.as_str(), from_old.epoch.as_str()), ("priority", EPOCH), "{restarted}");
        assert_eq!((from_new.answer.as_str(), from_new.epoch.as_str()), ("priority", "haarlem-2"), "{restarted}");
        house.verify(&[from_old, from_new]).unwrap();
        if !restarted {
            house.restart();
        }
    }
    // Codes of one do not pass as the other's.
    let mut mixed = old.clone();
    mixed["header"]["epoch"] = json!("haarlem-2");
    house.line(CORPORATION).ask(&mixed).is_problem(422, "other_salt");
}

#[test]
fn an_announcement_with_a_foreign_key_stops_the_contribution() {
    let house = House::empty();
    // The administrator's book names a key of its own for the corporation.
    let path = house.keys().join("parties.toml");
    let book = fs::read_to_string(&path).unwrap();
    let own = house.client(CORPORATION).identity().unwrap().public();
    let (_, foreign) = share::generate_identity();
    assert!(book.contains(&own));
    fs::write(&path, book.replace(&own, &foreign)).unwrap();
    house.announce(EPOCH).unwrap();
    fs::write(&path, book).unwrap();
    for stem in [POPULATION, CARE] {
        let error = house.contribute(stem, EPOCH).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("00000099000000004001") && text.contains("nothing was contributed"), "{text}");
    }
    assert_eq!(view(&house, EPOCH)["contributed"], json!([]));
}

#[test]
fn an_announcement_that_makes_no_salt_is_refused_and_logged() {
    let house = House::open();
    let view = view(&house, EPOCH);
    let new = |id: &str, participants: Value| {
        json!({"id": id, "regulation": "haarlem", "profile": view["profile"], "schemaHash": view["schemaHash"],
               "participants": participants})
    };
    let all = &view["participants"];
    let with = |oin: &str| all.as_array().unwrap().iter().find(|p| p["oin"] == oin).unwrap().clone();
    let (population, care) = (with("00000099000000002000"), with("00000099000000003000"));
    let officer = json!({"oin": "00000099000000005001", "recipient": population["recipient"]});
    let mut other = new("haarlem-2", all.clone());
    other["schemaHash"] = json!("00".repeat(32));
    for (body, status, code) in [
        (new("haarlem-2", json!([])), 422, "too_few_custodians"),
        (new("haarlem-2", json!([population])), 422, "too_few_custodians"),
        (new("haarlem-2", json!([population, population, care])), 422, "participant"),
        (new("haarlem-2", json!([population, care, officer])), 422, "participant"),
        (new("haarlem-2", json!([population, care])), 422, "participant_left_out"),
        (other, 422, "other_profile"),
        (new(EPOCH, all.clone()), 409, "store_conflict"),
    ] {
        let reply = house.line(ADMINISTRATOR).json("POST", "/v1/epochs", &body);
        reply.is_problem(status, code);
        assert_eq!(String::from(house.entry_of(&reply).unwrap().result), format!("refused:{code}"));
    }
    assert_eq!(house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered().answer, "priority");
}
