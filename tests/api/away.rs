//! A service that is away for a while, as the client at night meets it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use voorrang::audit::Outcome;
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::cli::query::{self, QueryArgs};

use super::support::*;

/// Something before the service that takes connections and passes nothing on while it is shut.
pub struct Gate {
    is_open: Arc<AtomicBool>,
    service: Arc<AtomicU16>,
    port: u16,
}

impl Gate {
    pub fn new(service: u16, open: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, is_open) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(open)));
        let service = Arc::new(AtomicU16::new(service));
        let (gate, behind) = (is_open.clone(), service.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if gate.load(Ordering::SeqCst) {
                    let server = TcpStream::connect(("127.0.0.1", behind.load(Ordering::SeqCst))).unwrap();
                    pass(client.try_clone().unwrap(), server.try_clone().unwrap(), gate.clone());
                    pass(server, client, gate.clone());
                }
            }
        });
        Self { is_open, service, port }
    }

    /// The service was started again, on another port.
    pub fn lead_to(&self, service: u16) {
        self.service.store(service, Ordering::SeqCst);
    }

    pub fn set(&self, open: bool) {
        self.is_open.store(open, Ordering::SeqCst);
    }

    fn opens_in(&self, seconds: u64) {
        let is_open = self.is_open.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(seconds));
            is_open.store(true, Ordering::SeqCst);
        });
    }

    /// A party's client.toml that leads here, and waits for so many seconds.
    pub fn config(&self, house: &House, stem: &str, patience: u32) -> PathBuf {
        let text = fs::read_to_string(house.party(stem)).unwrap();
        let text = text.replace(&format!(":{}", house.port()), &format!(":{}", self.port));
        let path = house.keys().join(format!("{stem}-away.toml"));
        fs::write(&path, text.replace(&format!("seconds = {PATIENCE}"), &format!("seconds = {patience}"))).unwrap();
        path
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, is_open: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(got @ 1..) = from.read(&mut buffer) {
            if !is_open.load(Ordering::SeqCst) || to.write_all(&buffer[..got]).is_err() {
                break;
            }
        }
        // Whoever was done first has closed it already.
        drop(from.shutdown(Shutdown::Both).and_then(|()| to.shutdown(Shutdown::Both)));
    });
}

pub fn arrears(house: &House, contracts: &[String], config: PathBuf) -> QueryArgs {
    let arrears = house.file("arrears.csv");
    let rows: String = contracts.iter().map(|contract| format!("{contract},3\n")).collect();
    fs::write(&arrears, format!("contract_id,maanden\n{rows}")).unwrap();
    QueryArgs::new(arrears, house.stock_of("C1"), config, house.file("flags.csv"))
}

#[test]
fn who_starts_before_the_service_waits_for_it() {
    let house = House::open();
    let gate = Gate::new(house.port(), false);
    let args = arrears(&house, &contracts()[..3], gate.config(&house, CORPORATION, 30));
    gate.opens_in(2);
    assert_eq!(query::ask_all(&args).unwrap().answers.values().sum::<usize>(), 3);
    gate.set(false);
    let config = gate.config(&house, POPULATION, 30);
    let args = LoadArgs { config, ..house.load_args(POPULATION, Kind::Population, &demo("brp.csv")) };
    gate.opens_in(2);
    assert!(load::load(&args).unwrap().receipt.is_some());
}

#[test]
fn a_service_that_is_away_in_the_middle_for_longer_than_a_restart_is_waited_for() {
    let house = House::open();
    let gate = Gate::new(house.port(), true);
    let contracts = contracts();
    for batch in [false, true] {
        let args = QueryArgs { batch, ..arrears(&house, &contracts, gate.config(&house, CORPORATION, 60)) };
        thread::scope(|scope| {
            let asking = scope.spawn(|| query::ask_all(&args));
            let answered = || house.log().iter().filter(|entry| entry.result == Outcome::Answered).count();
            let before = answered();
            while answered() < before + 2 && !asking.is_finished() {
                thread::sleep(Duration::from_millis(5));
            }
            gate.set(false);
            // Once for longer than the longest restart.
            gate.opens_in(if batch { 3 } else { 18 });
            let summary = asking.join().unwrap().unwrap();
            assert_eq!((summary.answers.values().sum::<usize>(), summary.refused.len()), (contracts.len(), 0));
        });
        assert!(!house.file("flags.part.csv").exists());
    }
}

#[test]
fn patience_ends_and_a_wrong_root_is_not_waited_for() {
    let house = House::open();
    let gate = Gate::new(house.port(), false);
    let since = std::time::Instant::now();
    let args = arrears(&house, &contracts()[..1], gate.config(&house, CORPORATION, 1));
    let error = query::ask_all(&args).unwrap_err();
    assert!(format!("{error:#}").contains("no answer") && since.elapsed() < Duration::from_secs(10), "{error:#}");
    let config = house.keys().join("other-root.toml");
    let text = fs::read_to_string(house.party(CORPORATION)).unwrap();
    fs::write(&config, text.replace("ca = \"ca.pem\"", &format!("ca = \"{POPULATION}.pem\""))).unwrap();
    let since = std::time::Instant::now();
    let error = format!("{:#}", query::ask_all(&QueryArgs { config, ..args }).unwrap_err());
    assert!(error.contains("no answer") && since.elapsed() < Duration::from_secs(5), "{error}");
}
