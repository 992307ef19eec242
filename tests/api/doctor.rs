//! What the doctor finds, and that a start tells all of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process;

use assert_cmd::Command;
use time::{Date, Duration};
use voorrang::answer::checkup::{Finding, Grade, examine};
use voorrang::answer::server;
use voorrang::answer::upkeep::back_up;
use voorrang::audit::Action;
use voorrang::clock::Clock;
use voorrang::config::Config;

use super::support::*;

fn look(house: &House) -> Vec<Finding> {
    examine(&house.config(), &house.clock)
}

/// Codes of what is wrong, but for the volume: a test has one.
fn ill(found: &[Finding]) -> Vec<(Grade, &'static str)> {
    let ill = found.iter().filter(|one| one.grade != Grade::Fine && one.code != "keys_beside_database");
    ill.map(|one| (one.grade, one.code)).collect()
}

fn mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_service_at_work_is_well_and_the_look_changes_nothing() {
    let mut house = House::open();
    let before = house.log().len();
    let found = look(&house);
    assert_eq!(ill(&found), [], "{found:#?}");
    for code in
        ["configuration", "profile", "regulation_in_force", "certificate", "disk", "store", "log", "clock", "epoch"]
    {
        assert!(found.iter().any(|one| one.code == code), "{code}: {found:#?}");
    }
    assert!(found.iter().any(|one| one.code == "service_runs"));
    assert_eq!(house.log().len(), before + 1, "but for the reading of the log just before");
    house.stop();
    assert_eq!(ill(&look(&house)), []);
    house.start();
}

#[test]
fn what_is_wrong_is_found_by_its_code() {
    use Grade::{Error, Warning};
    let mut house = House::open();
    house.stop();
    let found = |house: &House| ill(&look(house));
    let at = |house: &House, later: Duration| ill(&examine(&house.config(), &Clock::standing(NOW + later)));
    let (key, log_key) = (house.keys().join("server.key"), house.state().join("keys/log.key"));
    mode(&key, 0o644);
    assert_eq!(found(&house), [(Warning, "open_to_others")]);
    // The group is that of whoever runs this, who is in it.
    mode(&key, 0o640);
    assert_eq!(found(&house), [(Warning, "open_to_others")]);
    mode(&key, 0o600);
    mode(&log_key, 0o644);
    assert_eq!(found(&house), [(Error, "store_key")]);
    mode(&log_key, 0o600);
    let roots = house.keys().join("roots.pem");
    mode(&roots, 0o666);
    assert_eq!(found(&house), [(Warning, "writable_by_others")]);
    mode(&roots, 0o644);
    assert_eq!(at(&house, -Duration::DAY), [(Error, "clock_back")]);
    assert_eq!(at(&house, Duration::days(32)), [(Error, "clock_leapt")]);
    let codes = |found: Vec<(Grade, &'static str)>| -> Vec<_> { found.into_iter().map(|(_, code)| code).collect() };
    let law = |day: Date| {
        let config = Config { clock_right_on: day.to_string(), ..house.config() };
        ill(&examine(&config, &Clock::standing(day.midnight().assume_utc())))
    };
    assert!(codes(law(time::macros::date!(2998 - 12 - 20))).contains(&"regulation_ends"));
    let ended = codes(law(time::macros::date!(2999 - 01 - 02)));
    assert!(ended.contains(&"regulation_not_in_force") && ended.contains(&"certificate_ended"), "{ended:?}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    house.configure(|table| drop(table.insert("listen".into(), address.into())));
    assert_eq!(found(&house), [(Error, "cannot_listen")]);
    house.configure(|table| drop(table.insert("listen".into(), "127.0.0.1:0".into())));
    let wrapping = house.keys().join(format!("epoch-keys/epoch-{EPOCH}.key"));
    fs::rename(&wrapping, house.file("away")).unwrap();
    assert_eq!(found(&house), [(Error, "epoch_key")]);
    fs::rename(house.file("away"), &wrapping).unwrap();
    fs::write(house.keys().join(format!("epoch-keys/epoch-{EPOCH}.destroyed")), "x").unwrap();
    assert_eq!(found(&house), [(Warning, "epoch_restored")]);
}

#[test]
fn what_everybody_can_change_or_the_service_cannot_is_told() {
    use Grade::{Error, Warning};
    let mut house = House::open();
    house.stop();
    let look = |house: &House| ill(&look(house));
    let database = house.state().join("voorrang.db");
    mode(&database, 0o640);
    assert_eq!(look(&house), [(Warning, "open_to_others")]);
    mode(&database, 0o600);
    let anchor = house.keys().join("anchor");
    for (path, open, closed) in [
        (anchor.clone(), 0o777, 0o755),
        (anchor.join("checkpoint"), 0o666, 0o644),
        (house.law(), 0o777, 0o755),
        (house.law().join("regulation.toml"), 0o666, 0o644),
    ] {
        mode(&path, open);
        assert_eq!(look(&house), [(Warning, "writable_by_others")], "{}", path.display());
        mode(&path, closed);
    }
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let give = |path: &std::path::Path, to: u32| std::os::unix::fs::chown(path, Some(to), Some(to)).unwrap();
    let all = [house.state(), database.clone(), house.state().join("keys"), anchor.clone()];
    all.iter().for_each(|path| give(path, 65534));
    assert_eq!(look(&house), [(Warning, "not_writable")], "the folder of wrapping keys");
    give(&house.keys().join("epoch-keys"), 65534);
    assert_eq!(look(&house), []);
    for path in [&database, &anchor] {
        give(path, 0);
        assert_eq!(look(&house), [(Error, "not_writable")], "{}", path.display());
        give(path, 65534);
    }
}

#[test]
fn an_epoch_that_waits_or_answers_nothing_is_told() {
    let house = House::empty();
    assert_eq!(ill(&look(&house)), [(Grade::Warning, "no_epoch")]);
    house.announce(EPOCH).unwrap();
    for days in [30, 60, 90] {
        house.clock.pass(NOW + Duration::days(days));
        house.log();
    }
    assert_eq!(ill(&look(&house)), ["no_epoch", "epoch_late"].map(|code| (Grade::Warning, code)));
    // The days are for people: what comes late is taken, and the log has its time.
    house.contribute(POPULATION, EPOCH).unwrap();
    house.contribute(CARE, EPOCH).unwrap();
    let late = house.log().into_iter().filter(|entry| entry.action == Action::EpochContribute).collect::<Vec<_>>();
    assert!(late.len() == 2 && late.iter().all(|entry| entry.time.starts_with("2026-04-15")), "{late:?}");
    let new = House::built(false);
    assert!(look(&new).iter().any(|one| one.code == "store_new" && one.grade == Grade::Fine));
    assert!(!new.state().exists(), "nothing is made");
}

#[test]
fn a_start_says_all_that_is_wrong_on_one_screen() {
    let mut house = House::open();
    let backup = house.file("backup");
    back_up(&house.config(), &house.clock, &backup, &[]).unwrap();
    house.log();
    house.stop();
    fs::copy(backup.join("voorrang.db"), house.state().join("voorrang.db")).unwrap();
    assert!(!house.state().join("voorrang.db-wal").exists(), "a stop leaves everything in the database");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    house.configure(|table| {
        table.insert("listen".into(), address.clone().into());
        table.insert("regulations".into(), vec!["nowhere".to_owned(), "built-in:atlantis".to_owned()].into());
        table["tls"].as_table_mut().unwrap().insert("certificate".into(), "missing.pem".into());
    });
    let output = serve(&house.keys().join("voorrang.toml")).stderr(std::process::Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("voorrang: 5 faults keep the service from starting:\n"), "{text}");
    for part in ["nowhere", "atlantis", "missing.pem", &address, "it was set back"] {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
    let doctor = |config: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
        command.args(["doctor", "--json", "--config"]).arg(config).output().unwrap()
    };
    let output = doctor(&house.keys().join("voorrang.toml"));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let errors = said["findings"].as_array().unwrap().iter().filter(|one| one["grade"] == "error").count();
    assert_eq!((output.status.code(), &said["grade"], errors), (Some(1), &"error".into(), 5), "{said:#}");
    house.configure(|table| {
        table.insert("workers".into(), 9999.into());
        table.insert("log_origin".into(), "https://x".into());
    });
    let output = doctor(&house.keys().join("voorrang.toml"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("workers is") && text.contains("log_origin is"), "{text}");
}

/// A port of 127.0.0.1 and of all addresses at once, which each alone could have.
fn overlapping(house: &House) -> String {
    let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    house.configure(|table| {
        let section = |text: String| toml::Table::from_iter([("listen".to_owned(), text.into())]);
        table.insert("documentation".into(), section(format!("0.0.0.0:{port}")).into());
        table.insert("internal".into(), section(format!("127.0.0.1:{port}")).into());
    });
    format!("127.0.0.1:{port}")
}

#[test]
fn two_listeners_that_want_one_port_are_found_and_leave_no_entry_of_a_start() {
    let mut house = House::empty();
    let starts = |house: &House| house.log().into_iter().filter(|entry| entry.action == Action::Start).count();
    let before = starts(&house);
    house.stop();
    let good = fs::read_to_string(house.keys().join("voorrang.toml")).unwrap();
    let address = overlapping(&house);
    let found = look(&house);
    assert_eq!(ill(&found), [(Grade::Error, "cannot_listen"), (Grade::Warning, "no_epoch")], "{found:#?}");
    let told = found.iter().find(|one| one.code == "cannot_listen").unwrap();
    assert!(told.detail.contains(&address) && told.detail.contains("documentation.listen"), "{}", told.detail);
    for _ in 0..3 {
        let error = server::start(house.config(), house.clock.clone()).err().expect("it does not start");
        assert!(error.to_string().contains(&address), "{error}");
    }
    fs::write(house.keys().join("voorrang.toml"), good).unwrap();
    house.start();
    assert_eq!(starts(&house), before + 1, "of the starts that failed there is no entry");
}

#[test]
fn the_addresses_of_the_shipped_configuration_can_be_had_together() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.toml")).unwrap();
    let (_, example) = text.split_once("For example \"0.0.0.0:").unwrap();
    let example: u16 = example.split('"').next().unwrap().parse().unwrap();
    let config = Config::default();
    let taken = [Some(config.listen), config.internal.address()].map(|address| address.unwrap().port());
    assert!(!taken.contains(&example), "{example} is one of {taken:?}");
}

#[test]
fn warnings_alone_have_an_exit_code_of_their_own() {
    let mut house = House::built(true);
    house.start();
    house.stop();
    let mut command = Command::new(env!("CARGO_BIN_EXE_voorrang"));
    let config = house.keys().join("voorrang.toml");
    let output = command.args(["doctor", "--config"]).arg(config).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7), "{text}");
    let warnings = text.lines().filter(|line| line.starts_with("WARNING")).count();
    let told = String::from_utf8(output.stderr).unwrap();
    let (one, many) = ("1 warning\n".to_owned(), format!("{warnings} warnings\n"));
    assert!(told.ends_with(if warnings == 1 { &one } else { &many }), "{told}");
    assert!(
        text.lines().any(|line| line.starts_with("WARNING  epoch         no epoch answers: no question is answered")),
        "{text}"
    );
    assert!(text.lines().any(|line| line.starts_with("ok       log           ")), "{text}");
}

#[test]
fn no_party_s_connections_take_the_last_file() {
    let limited = |house: &House, limit: &str| {
        let mut command = process::Command::new("sh");
        let script = format!(r#"{limit}; exec "$0" serve --config "$1""#);
        command.args(["-c", &script, env!("CARGO_BIN_EXE_voorrang")]).arg(house.keys().join("voorrang.toml"));
        command.stdin(process::Stdio::null()).stdout(process::Stdio::null());
        command
    };
    let mut house = House::built(true);
    let ended = limited(&house, "ulimit -n 1000").output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains("1000 files may be open"), "{told}");
    // What may be raised is.
    house.command = Some(limited(&house, "ulimit -Sn 256"));
    house.start();
    let open: Vec<Line> = (0..400).map(|_| house.line(CORPORATION)).collect();
    assert_eq!(house.line(OFFICER).get("/v1/ping").status, 204, "another party");
    drop(open);
}
