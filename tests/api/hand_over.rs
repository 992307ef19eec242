//! The log gets a new key while clients ask: they wait for the restart, and nobody who remembers the log cries out.

use std::fs;
use std::thread;
use std::time::Duration;

use voorrang::answer::upkeep::rotate_log_key;
use voorrang::audit::Outcome;
use voorrang::cli::audit::witness;
use voorrang::cli::audit::{LogArgs, VerifyArgs, verify};
use voorrang::cli::query::{self, QueryArgs};

use super::away::{Gate, arrears};
use super::support::*;

/// Stops the service, gives its log a new key, and starts it again behind the gate.
fn hand_over(house: &mut House, gate: &Gate) -> String {
    gate.set(false);
    assert!(house.stop());
    let new = rotate_log_key(&house.config(), &house.clock).unwrap();
    house.start();
    gate.lead_to(house.port());
    gate.set(true);
    new
}

#[test]
fn clients_ask_on_through_a_new_key_of_the_log_and_nobody_who_remembers_the_old_one_cries_out() {
    let mut house = House::open();
    let before = house.line(CORPORATION).ask(&value(&house.encoder(EPOCH), FAMILY)).answered();
    house.verify(std::slice::from_ref(&before)).unwrap();
    let (watcher, cosigned) = (house.witness(), house.file("cosigned"));
    fs::write(&cosigned, witness::look(&watcher, &house.party(OFFICER)).unwrap()).unwrap();
    let gate = Gate::new(house.port(), true);
    let config = gate.config(&house, CORPORATION, 60);
    let contracts = contracts();
    for (batch, keys) in [(false, 2), (true, 3)] {
        let asked = arrears(&house, &contracts, config.clone());
        let args = QueryArgs { batch, output: house.file(&format!("flags-{batch}.csv")), ..asked };
        let new = thread::scope(|scope| {
            let asking = scope.spawn(|| query::ask_all(&args));
            let answered = || house.log().iter().filter(|entry| entry.result == Outcome::Answered).count();
            let already = answered();
            while answered() < already + 5 && !asking.is_finished() {
                thread::sleep(Duration::from_millis(5));
            }
            assert!(!asking.is_finished(), "the key changes while they ask");
            let new = hand_over(&mut house, &gate);
            let summary = asking.join().unwrap().unwrap();
            assert_eq!((summary.answers.values().sum::<usize>(), summary.refused.len()), (contracts.len(), 0));
            new
        });
        // The witness, who saw the old key only, and the officer's memory, copy and older checkpoints.
        let note = witness::look(&watcher, &house.party(OFFICER)).unwrap();
        assert_eq!(note.lines().filter(|line| line.starts_with("— officer.example/w1 ")).count(), 1);
        for (fresh, offline) in [(false, false), (true, false), (false, true)] {
            let log = LogArgs { fresh, offline, clock: house.clock.clone(), ..LogArgs::new(house.party(OFFICER)) };
            let receipts = vec![args.output.clone(), house.file("receipts.csv")];
            let checkpoint = vec![cosigned.clone()];
            let args = VerifyArgs { log, checkpoint, ..VerifyArgs::new(house.party(OFFICER), receipts) };
            assert_eq!(verify(&args).unwrap().receipts, contracts.len() as u64 + 1);
        }
        for stem in [CORPORATION, OFFICER] {
            let known = house.client(stem).log_keys().unwrap();
            assert_eq!((known.current().vkey(), known.to_string().lines().count()), (new.clone(), keys), "{stem}");
        }
    }
}
