//! After the first failed commit nothing is told until a restart has read the log back, not even what is long recorded.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use voorrang::ids::BatchId;

use super::question_batches::{send, wait};
use super::regulation::{TEAM, of_case};
use super::support::*;
use super::walls::{inside, logged_port};

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// What was told while the disk was whole: an answer, groups, a batch.
struct Told {
    family: Value,
    groups: Value,
    batch: BatchId,
}

fn under(house: &House, stem: &str, path: &str, body: &Value) -> Reply {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", KEY)];
    house.line(stem).send("POST", path, &headers, body.to_string().as_bytes()).unwrap()
}

impl Told {
    fn by(house: &House) -> Self {
        let family = value(&house.encoder(EPOCH), FAMILY);
        let case = under(house, CORPORATION, "/v1/priority-questions", &family).answered().receipt;
        let groups = of_case(&case, &family);
        assert_eq!(under(house, TEAM, "/v1/group-questions", &groups).status, 200);
        let batch = send(house, std::slice::from_ref(&family), 1);
        wait(house, batch);
        let told = Self { family, groups, batch };
        assert!(told.again(house).iter().all(|reply| reply.status == 200));
        told
    }

    /// Everything that was told once, asked for again.
    fn again(&self, house: &House) -> Vec<Reply> {
        let results = format!("/v1/question-batches/{}/results", self.batch);
        let mut told = vec![
            under(house, CORPORATION, "/v1/priority-questions", &self.family),
            under(house, TEAM, "/v1/group-questions", &self.groups),
            house.line(CORPORATION).get(&results),
            house.line(CORPORATION).get(&format!("/v1/access-log/proofs/{}", self.groups["case"])),
        ];
        for path in ["entries?from=0", "checkpoint", "holds"] {
            told.push(house.line(OFFICER).get(&format!("/v1/access-log/{path}")));
        }
        told
    }

    fn nothing_is_told(&self, house: &House, code: &str) {
        for reply in self.again(house) {
            reply.is_problem(503, code);
            assert_eq!(reply.header("retry-after"), Some("10"));
            for word in ["priority\"", "undetermined", "receipt", "minor"] {
                assert!(!reply.text().contains(word), "{}", reply.text());
            }
        }
    }

    fn all_is_told_again(&self, house: &House) {
        let answered = under(house, CORPORATION, "/v1/priority-questions", &self.family).answered();
        assert_eq!(Some(answered.receipt.index), self.groups["case"].as_u64());
        assert!(self.again(house).iter().all(|reply| reply.status == 200));
        house.verify(&[answered]).unwrap();
    }
}

#[test]
fn when_the_log_cannot_be_written_nothing_is_told_until_a_restart() {
    let mut house = House::open();
    let told = Told::by(&house);
    let size = house.log().len();
    // The entry is written, and the checkpoint over it is not.
    let thief = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let raise = "CREATE TRIGGER full BEFORE UPDATE ON checkpoint BEGIN SELECT RAISE(ABORT, 'full'); END";
    thief.execute_batch(raise).unwrap();
    house.line(CORPORATION).ask(&told.family).is_problem(503, "store_not_durable");
    thief.execute_batch("DROP TRIGGER full").unwrap();
    drop(thief);
    // What the disk holds is known only after a restart.
    let mut wrong = told.family.clone();
    wrong["purpose"] = "marketing".into();
    for question in [&told.family, &wrong] {
        // A line each: a refusal that comes before the body ends its connection.
        house.line(CORPORATION).ask(question).is_problem(503, "store_not_durable");
    }
    let activate = house.line(ADMINISTRATOR).json("POST", "/v1/epochs/haarlem-1/activate", &Value::Null);
    activate.is_problem(503, "store_not_durable");
    told.nothing_is_told(&house, "store_not_durable");
    house.restart();
    let since = house.log().split_off(size);
    assert!(since.iter().all(|entry| entry.object.is_none()), "nothing was answered, nothing stands there");
    told.all_is_told_again(&house);
}

#[test]
fn while_something_else_holds_the_database_nothing_is_told_and_then_all_goes_on() {
    let house = House::open();
    let told = Told::by(&house);
    let size = house.log().len();
    let thief = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    // For longer than the service waits.
    thief.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = house.line(CORPORATION).ask(&told.family);
    refused.is_problem(503, "unavailable");
    thief.execute_batch("ROLLBACK").unwrap();
    let since = house.log().split_off(size);
    assert!(since.iter().all(|entry| entry.object.is_none()), "nothing was answered, nothing stands there");
    house.line(CORPORATION).ask(&told.family).answered();
}

#[test]
fn a_row_that_was_changed_is_noticed_by_whoever_asks_for_its_proof_and_ends_all_telling() {
    for sql in [
        "UPDATE entry SET text = replace(text, 'answered', 'done') WHERE idx = ?1",
        "UPDATE leaf SET hash = zeroblob(32) WHERE idx = ?1",
        "UPDATE entry SET text = '{' WHERE idx = ?1",
        "UPDATE entry SET text = CAST(x'7BFF' AS TEXT) WHERE idx = ?1",
        "UPDATE leaf SET hash = x'00' WHERE idx = ?1",
    ] {
        let mut house = House::outside();
        let inner = logged_port(&house, "internal=");
        let told = Told::by(&house);
        let thief = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
        // What holds back a careless hand is no bar to others.
        thief.execute_batch("DROP INDEX entry_sealed_by; PRAGMA ignore_check_constraints = ON").unwrap();
        assert_eq!(thief.execute(sql, [told.groups["case"].as_i64().unwrap()]).unwrap(), 1);
        let proof = format!("/v1/access-log/proofs/{}", told.groups["case"]);
        house.line(CORPORATION).get(&proof).is_problem(503, "store_damaged");
        told.nothing_is_told(&house, "store_damaged");
        // Only a backup ends it: nobody goes on asking, and an officer's timer learns it.
        let since = std::time::Instant::now();
        for error in [
            house.verify(&[]).unwrap_err(),
            house.client(CORPORATION).patiently(|| house.client(CORPORATION).service()).unwrap_err(),
        ] {
            assert_eq!(voorrang::cli::exit_code(&error), 5, "{error:#}");
        }
        assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
        let (status, ready) = inside(inner, "GET /readyz");
        assert!(status == 503 && ready.contains("store_damaged") && !ready.contains("store_not_durable"), "{ready}");
        let (_, numbers) = inside(inner, "GET /metrics");
        assert!(numbers.contains(r#"voorrang_finding{code="store_damaged",grade="error"} 1"#), "{numbers}");
        assert_eq!(inside(inner, "GET /livez").0, 503);
        drop(thief);
        assert_eq!(house.stopped().code(), Some(5));
        let stderr = std::fs::read_to_string(house.stderr()).unwrap();
        assert_eq!(stderr.matches("the access log was changed under the service").count(), 1, "{stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(last.contains("changed outside the service") && !last.contains("make room"), "{stderr}");
    }
}

/// A program that closes the database and takes itself for the last one does that.
#[test]
fn a_write_ahead_log_that_was_deleted_under_the_service_ends_all_telling_and_a_restart_has_every_entry() {
    let mut house = House::outside();
    let inner = logged_port(&house, "internal=");
    let told = Told::by(&house);
    assert_eq!(inside(inner, "GET /readyz").0, 200);
    let size = house.log().len();
    std::fs::remove_file(house.state().join("voorrang.db-wal")).unwrap();
    let (status, ready) = inside(inner, "GET /readyz");
    assert!(status == 503 && ready.contains("store_not_durable") && ready.contains("deleted or replaced"), "{ready}");
    let refused = house.line(CORPORATION).ask(&told.family);
    assert!(refused.is_problem(503, "store_not_durable").detail.contains("deleted"), "{}", refused.text());
    told.nothing_is_told(&house, "store_not_durable");
    assert_eq!(house.stopped().code(), Some(1));
    let stderr = std::fs::read_to_string(house.stderr()).unwrap();
    assert!(stderr.lines().last().unwrap().contains("voorrang.db-wal"), "{stderr}");
    house.start();
    assert!(house.log().len() > size, "what was still open is in the database");
    told.all_is_told_again(&house);
}

/// Has every sync of the service fail while it runs; `None` where strace is not here or may not look.
fn failing_syncs(house: &House) -> Option<Child> {
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-o", "/dev/null"])
        .args(["-p", &house.process().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let status = format!("/proc/{}/status", house.process());
    let traced = || std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("TracerPid:\t0\n"));
    let until = Instant::now() + Duration::from_secs(10);
    while !traced() && Instant::now() < until {
        if strace.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // All of its threads, too.
    std::thread::sleep(Duration::from_millis(500));
    Some(strace)
}

#[test]
fn the_first_sync_that_fails_ends_all_telling_though_the_next_ones_would_succeed() {
    let mut house = House::outside();
    let inner = logged_port(&house, "internal=");
    let told = Told::by(&house);
    assert_eq!(inside(inner, "GET /livez").0, 200);
    let Some(mut strace) = failing_syncs(&house) else {
        eprintln!("skipped: strace is not here or may not look into another process, so no sync was made to fail");
        return;
    };
    house.line(CORPORATION).ask(&told.family).is_problem(503, "store_not_durable");
    assert!(Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap().success());
    strace.wait().unwrap();
    // The disk is whole again, and what it holds is as unknown as before.
    house.line(CORPORATION).ask(&told.family).is_problem(503, "store_not_durable");
    told.nothing_is_told(&house, "store_not_durable");
    // Whoever watches over it restarts it.
    assert_eq!((inside(inner, "GET /livez").0, inside(inner, "GET /readyz").0), (503, 503));
    house.kill();
    house.start();
    told.all_is_told_again(&house);
    assert_eq!(inside(logged_port(&house, "internal="), "GET /livez").0, 200);
}

#[test]
fn a_service_does_not_start_on_a_log_with_a_damaged_row_and_says_which_and_what_to_do() {
    let mut house = House::outside();
    assert!(house.stop());
    let database = house.state().join("voorrang.db");
    let whole = std::fs::read(&database).unwrap();
    for (sql, says) in [
        ("UPDATE entry SET text = '{' WHERE idx = 5", "entry 5 of the access log was changed"),
        ("DELETE FROM entry WHERE idx = 7; DELETE FROM leaf WHERE idx = 7", "entry 7 of the access log is missing"),
        ("UPDATE leaf SET hash = zeroblob(32) WHERE idx = 6", "entry 6 of the access log was changed"),
        // The anchor outside the database knows how long it was.
        ("DELETE FROM entry WHERE idx > 8; DELETE FROM leaf WHERE idx > 8", "the log holds 9 entries and "),
    ] {
        let db = rusqlite::Connection::open(&database).unwrap();
        db.execute_batch("PRAGMA foreign_keys = OFF; DROP INDEX entry_sealed_by").unwrap();
        db.execute_batch(sql).unwrap();
        drop(db);
        let refused = serve(&house.keys().join("voorrang.toml")).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(5), "{text}");
        assert!(text.contains(says) && !text.contains("panicked") && !text.contains("listens"), "{text}");
        assert!(
            text.contains("keep a copy") && text.contains("privacy officers") && text.contains("restore"),
            "{text}"
        );
        std::fs::write(&database, &whole).unwrap();
        for companion in ["voorrang.db-wal", "voorrang.db-shm"] {
            drop(std::fs::remove_file(house.state().join(companion)));
        }
    }
    house.start();
    house.verify(&[]).unwrap();
}
