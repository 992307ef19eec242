//! The process: how it starts, stops, is killed, and what it leaves on the disk.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use voorrang::answer::wire::Answered;
use voorrang::audit::Action;
use voorrang::cli::load::Kind;
use voorrang::encode::read;
use voorrang::profile::Profile;

use super::support::*;

#[test]
fn a_hangup_while_it_starts_ends_nothing() {
    let house = House::built(true);
    let file = fs::File::create(house.stderr()).unwrap();
    let mut child = serve(&house.keys().join("voorrang.toml")).stderr(file).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let listens = || fs::read_to_string(house.stderr()).unwrap().contains("the service listens");
    while !listens() {
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "it starts");
        // It has begun, and does not listen yet.
        if house.state().exists() {
            kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "the last one ended nothing either");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success(), "it stops as it should");
}

#[test]
fn every_line_of_the_operational_log_is_an_object_where_that_is_asked_for() {
    let house = House::built(true);
    house.configure(|table| table["log"]["format"] = "json".into());
    let file = fs::File::create(house.stderr()).unwrap();
    let mut child = serve(&house.keys().join("voorrang.toml")).stderr(file).spawn().unwrap();
    let lines = || fs::read_to_string(house.stderr()).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while !lines().contains("the service listens") {
        assert!(Instant::now() < until && child.try_wait().unwrap().is_none(), "{}", lines());
        std::thread::sleep(Duration::from_millis(10));
    }
    let of_start: Value = serde_json::from_str(lines().lines().last().unwrap()).unwrap();
    let (_, port) = of_start["fields"]["address"].as_str().unwrap().rsplit_once(':').unwrap();
    let mut line = Line::open(port.parse().unwrap(), house.tls(Some(&house.card(CORPORATION)))).unwrap();
    assert_eq!(line.get("/v1/nothing").status, 404);
    signal("TERM", &child);
    assert!(child.wait().unwrap().success());
    let all: Vec<Value> = lines().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let request = all.iter().find(|line| line["fields"]["message"] == "request").unwrap();
    assert_eq!((request["level"].as_str(), request["fields"]["status"].as_u64()), (Some("INFO"), Some(404)));
}

/// Length tells nothing of an answer, so nothing is packed, whatever a client can unpack.
#[test]
fn no_answer_is_compressed() {
    let house = House::open();
    for path in ["/v1/service", "/v1/openapi.json"] {
        let mut line = house.line(CORPORATION);
        let plain = line.get(path);
        let reply = line.send("GET", path, &[("Accept-Encoding", "gzip, deflate, br, zstd")], b"").unwrap();
        assert_eq!((reply.status, reply.header("content-encoding")), (200, None), "{path}");
        assert_eq!(reply.body.len(), plain.body.len(), "{path}");
    }
}

#[test]
fn the_service_manager_is_told_when_it_answers_reloads_and_stops() {
    let mut house = House::built(true);
    let place = house.file("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let heard = || {
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).expect("it is told");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = serve(&house.keys().join("voorrang.toml"));
    command.env("NOTIFY_SOCKET", &place);
    house.command = Some(command);
    house.start();
    assert_eq!(heard(), "READY=1");
    house.signal("HUP");
    assert_eq!([heard(), heard()], ["RELOADING=1", "READY=1"]);
    house.terminate();
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(house.exit_code(), Some(0));
}

#[test]
fn sigterm_finishes_what_runs_and_ends_with_an_entry() {
    let mut house = House::outside();
    let question = value(&house.encoder(EPOCH), FAMILY).to_string();
    let mut idle = house.line(OFFICER);
    assert_eq!(idle.get("/v1/ping").status, 204);
    let mut running = house.line(CORPORATION);
    let headers = [("Content-Type", "application/json")];
    running.head("POST", "/v1/priority-questions", &headers, question.len()).unwrap();
    running.write(&question.as_bytes()[..100]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let told = Instant::now();
    house.terminate();
    std::thread::sleep(Duration::from_millis(500));
    let fresh = Line::open(house.port(), house.tls(Some(&house.card(CORPORATION))));
    assert!(fresh.and_then(|mut line| line.send("GET", "/v1/ping", &[], b"")).is_err(), "nobody new is let in");
    running.write(&question.as_bytes()[100..]).unwrap();
    let answered = running.reply("POST").unwrap().answered();
    assert_eq!(house.exit_code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(15), "an idle connection holds nothing up: {:?}", told.elapsed());
    house.start();
    let log = house.log();
    let stop = log.iter().position(|entry| entry.action == Action::Stop).unwrap();
    assert!(stop as u64 > answered.receipt.index, "the answer before the stop");
    assert_eq!(log[stop + 1].action, Action::Start);
    house.verify(&[answered]).unwrap();
}

#[test]
fn a_kill_between_answers_loses_none_of_them() {
    let mut house = House::outside();
    let encoder = house.encoder(EPOCH);
    let contracts = contracts();
    let mut answered: Vec<Answered> = Vec::new();
    for round in 0..5 {
        let questions: Vec<_> = contracts.iter().skip(round * 5).take(5).map(|c| value(&encoder, c)).collect();
        let (port, deadline) = (house.port(), Duration::from_millis(40 + 35 * round as u64));
        let got = std::thread::scope(|scope| {
            let (house, questions) = (&house, &questions);
            let ask = move |from: usize| {
                let mut got = Vec::new();
                let Ok(mut line) = Line::open(port, house.tls(Some(&house.card(CORPORATION)))) else { return got };
                let headers = [("Content-Type", "application/json")];
                for at in from..from + 3 {
                    let body = questions[at % questions.len()].to_string();
                    match line.send("POST", "/v1/priority-questions", &headers, body.as_bytes()) {
                        Ok(reply) if reply.status == 200 => got.push(reply.answered()),
                        Ok(_) => {}
                        Err(_) => return got,
                    }
                }
                got
            };
            let threads: Vec<_> = (0..4).map(|from| scope.spawn(move || ask(from))).collect();
            std::thread::sleep(deadline);
            house.kill_now();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        house.kill();
        answered.extend(got);
        house.start();
        // The officer's tool also holds the log against every checkpoint that it saw before.
        house.verify(&answered).unwrap();
    }
    assert!(!answered.is_empty());
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_restart_answers_as_before_and_the_log_goes_on() {
    let mut house = House::open();
    let encoder = house.encoder(EPOCH);
    let questions: Vec<_> = contracts().iter().take(12).map(|contract| value(&encoder, contract)).collect();
    let ask = |house: &House| {
        let mut line = house.line(CORPORATION);
        questions.iter().map(|question| line.ask(question).answered()).collect::<Vec<_>>()
    };
    let before = ask(&house);
    assert!(house.stop());
    house.start();
    let after = ask(&house);
    let words =
        |answers: &[Answered]| -> Vec<String> { answers.iter().map(|answered| answered.answer.clone()).collect() };
    assert_eq!(words(&before), words(&after));
    let answers: Vec<_> = before.into_iter().chain(after).collect();
    assert!(answers[12].receipt.index > answers[11].receipt.index);
    house.verify(&answers).unwrap();
}

/// Runs the service in the hope that it does not start; its one line.
#[track_caller]
fn refuses(config: &Path) -> String {
    refuses_by(config, 1)
}

fn refuses_by(config: &Path, code: i32) -> String {
    let output = serve(config).stderr(std::process::Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("voorrang: ")).collect();
    assert_eq!((lines.len(), text.lines().count()), (1, 1), "{text}");
    text
}

#[test]
fn what_keeps_it_from_starting_is_said_in_one_line() {
    let house = House::built(true);
    let path = house.keys().join("voorrang.toml");
    let good = fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}: {good}");
        fs::write(&path, good.replace(from, to)).unwrap();
        refuses(&path)
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = with("listen = \"127.0.0.1:0\"\nlog_origin", &format!("listen = \"{address}\"\nlog_origin"));
    assert!(said.contains(&address) && said.contains("listen"), "{said}");
    for bad in ["/proc/self/state", "voorrang.toml/state"] {
        let said = with("state = \"state\"", &format!("state = \"{bad}\""));
        assert!(said.contains("cannot write in") && said.contains("0700"), "{said}");
    }
    for (key, file) in [("certificate", "server.pem"), ("key", "server.key"), ("client_roots", "roots.pem")] {
        let said = with(&format!("{key} = \"{file}\""), &format!("{key} = \"missing.pem\""));
        assert!(said.contains("missing.pem") && said.contains("[tls]"), "{said}");
    }
    let said = with("certificate = \"server.pem\"", "certificate = \"server.key\"");
    assert!(said.contains("server.key"), "{said}");
    let said = with("key = \"server.key\"", "key = \"ymere.key\"");
    assert!(said.contains("do not work together"), "{said}");
    let said = with("workers = 0", "workers = 0\nsurprise = \"CANARY\"");
    assert!(said.contains("surprise") && said.contains("line ") && !said.contains("CANARY"), "{said}");
    let said = with("workers = 0", "workers = \"CANARY\"");
    assert!(said.contains("line ") && !said.contains("CANARY"), "{said}");
    let start = good.find("regulations = ").unwrap();
    let list = good[start..].lines().next().unwrap().to_owned();
    assert!(with(&list, "regulations = []").contains("no regulation is configured"));
    assert!(with(&list, "regulations = [\"built-in:atlantis\"]").contains("atlantis"));
    assert!(with(&list, "regulations = [\"nowhere\"]").contains("nowhere"));
    assert!(with(&list, "regulations = [\"built-in:haarlem\", \"built-in:haarlem\"]").contains("twice"));
    fs::remove_file(&path).unwrap();
    assert!(refuses(&path).contains("--config"));
}

#[test]
fn a_second_process_on_the_same_state_is_refused_and_the_first_goes_on() {
    let house = House::outside();
    let said = refuses(&house.keys().join("voorrang.toml"));
    assert!(said.contains("in use by another process"), "{said}");
    let question = value(&house.encoder(EPOCH), FAMILY);
    house.line(CORPORATION).ask(&question).answered();
    house.verify(&[]).unwrap();
}

#[test]
fn a_log_that_was_changed_on_the_disk_keeps_the_service_from_starting() {
    let mut house = House::outside();
    let question = value(&house.encoder(EPOCH), FAMILY);
    let index = house.line(CORPORATION).ask(&question).answered().receipt.index;
    assert!(house.stop());
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let at = i64::try_from(index).unwrap();
    let changed = "UPDATE entry SET text = replace(text, 'answered', 'done') WHERE idx = ?1";
    assert_eq!(db.execute(changed, [at]).unwrap(), 1);
    drop(db);
    let said = refuses_by(&house.keys().join("voorrang.toml"), 5);
    assert!(said.contains("damaged or was changed"), "{said}");
}

#[test]
fn an_epoch_whose_key_is_lost_answers_nobody_and_the_rest_goes_on() {
    let mut house = House::open();
    let question = value(&house.encoder(EPOCH), FAMILY);
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority");
    house.stop();
    fs::remove_file(house.keys().join(format!("epoch-keys/epoch-{EPOCH}.key"))).unwrap();
    house.start();
    // Neither register nor stock can be read: nobody may be answered, and nobody is told "no".
    house.line(CORPORATION).ask(&question).is_problem(409, "store_epoch_key");
    let view = house.line(ADMINISTRATOR).get(&format!("/v1/epochs/{EPOCH}")).text();
    assert!(view.contains("\"loaded\":[]"), "{view}");
    house.fill("haarlem-2");
    let question = value(&house.encoder("haarlem-2"), FAMILY);
    assert_eq!(house.line(CORPORATION).ask(&question).answered().answer, "priority");
    house.verify(&[]).unwrap();
}

/// Every file of a folder, as bytes.
fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn nothing_of_a_person_or_the_salt_is_on_the_disk_or_in_the_operational_log() {
    let mut house = House::built(true);
    let path = house.keys().join("voorrang.toml");
    let config = fs::read_to_string(&path).unwrap();
    assert!(config.contains("level = \"info\""));
    fs::write(&path, config.replace("level = \"info\"", "level = \"debug\"")).unwrap();
    house.start();
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let mut needles: Vec<(String, Vec<u8>)> = Vec::new();
    for contract in contracts().iter().take(6) {
        let question = value(&encoder, contract);
        line.ask(&question).answered();
        let mut wrong = question.clone();
        wrong["purpose"] = "CANARY-purpose".into();
        line.ask(&wrong).problem();
        wrong["CANARY-field"] = 1.into();
        line.ask(&wrong).problem();
        for text in ["names", "home"].map(|pass| question["tenants"][0]["codes"][pass][0].as_str().unwrap().to_owned())
        {
            // From the middle: a code split over two pages of the file still shows a part.
            needles.push(("a code's base64".into(), text.as_bytes()[30..54].to_vec()));
            needles.push(("a code's bytes".into(), STANDARD.decode(text).unwrap()[24..40].to_vec()));
        }
    }
    // A bad line of a load is as personal as a good one.
    drop(house.load(POPULATION, Kind::Population, &demo("oggz.csv")));
    for resident in read::residents(&demo("brp.csv")).unwrap().iter().take(100) {
        let codes = encoder.codes(voorrang::encode::Source::Population, &resident.id, &resident.person);
        let bytes = codes.passes[0][0].to_bytes();
        needles.push(("a resident's code".into(), bytes[100..116].to_vec()));
        needles.push(("a resident's code in base64".into(), STANDARD.encode(bytes).as_bytes()[100..124].to_vec()));
        let household = encoder.household(&resident.household);
        needles.push(("a household's token".into(), household.0.to_vec()));
        needles.push(("a household's token in base64".into(), STANDARD.encode(household.0).into_bytes()));
    }
    let text = fs::read_to_string(demo("brp.csv")).unwrap();
    for row in text.lines().skip(1).take(300) {
        let fields: Vec<&str> = row.split(',').collect();
        // Identifier, number, names, birth date, street; a short word could stand anywhere by chance.
        for place in [0, 1, 4, 6, 8, 13] {
            if fields[place].len() >= 8 {
                needles.push((format!("column {place}"), fields[place].as_bytes().to_vec()));
            }
        }
    }
    let epoch = EPOCH.parse().unwrap();
    let salt = house.client(CORPORATION).salt(&epoch, &Profile::built_in()).unwrap();
    needles.push(("the salt".into(), salt.expose().to_vec()));
    needles.push(("the salt in hexadecimal".into(), hex::encode(salt.expose()).into_bytes()));
    needles.push(("the salt in base64".into(), STANDARD.encode(salt.expose()).into_bytes()));
    let envelope: voorrang::answer::wire::Envelope =
        house.client(CORPORATION).get(&format!("epochs/{EPOCH}/shares")).unwrap();
    let identity = house.client(CORPORATION).identity().unwrap();
    for (from, sealed) in &envelope.shares {
        let share = identity.open(sealed, from).unwrap();
        let secret = share.lines().find(|line| line.len() == 44 && STANDARD.decode(line).is_ok()).unwrap().to_owned();
        needles.push(("a share's bytes".into(), STANDARD.decode(&secret).unwrap()));
        needles.push(("a share".into(), secret.into_bytes()));
    }
    needles.push(("a purpose".into(), b"CANARY".to_vec()));
    let mut hay = Vec::new();
    // While it runs, with what is in the write-ahead log only, and after it has stopped.
    files(&house.state(), &mut hay);
    assert!(house.stop());
    files(&house.state(), &mut hay);
    hay.push(("stderr".into(), fs::read(house.stderr()).unwrap()));
    assert!(hay.iter().any(|(name, bytes)| name.ends_with("voorrang.db-wal") && bytes.len() > 1 << 20), "the load");
    assert!(hay.iter().any(|(_, bytes)| has(bytes, b"refused:purpose")), "the search finds what is there");
    let stderr = fs::read_to_string(house.stderr()).unwrap();
    assert!(stderr.lines().filter(|line| line.contains("trace.id=")).count() > 20, "{stderr}");
    for (name, bytes) in &hay {
        for (what, needle) in &needles {
            assert!(!has(bytes, needle), "{what} in {name}");
        }
    }
}

fn has(hay: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = hay[from..].iter().position(|&byte| byte == first) {
        if hay[from + at..].starts_with(needle) {
            return true;
        }
        from += at + 1;
    }
    false
}
