//! Every answer is in the log before it leaves, exactly once, and looks like every other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use serde_json::{Value, json};
use time::macros::datetime;
use voorrang::answer::wire::law::BatchAnswers;
use voorrang::answer::wire::{ANSWER_BYTES, Answered, BudgetView};
use voorrang::audit::{Action, Consent, Outcome, leaf_hash};
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::cli::query::{self, QueryArgs};
use voorrang::cli::regulation;

use super::regulation::amend;
use super::support::*;

#[test]
fn all_answers_are_equally_long_and_hold_the_documented_members_only() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let mut seen = BTreeMap::new();
    for contract in contracts().iter().take(20) {
        let reply = line.ask(&value(&encoder, contract));
        let answered = reply.answered();
        assert_eq!(reply.body.len(), ANSWER_BYTES);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        reply.assert_headers();
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(members(&body), ["answer", "epoch", "receipt"].map(String::from).into());
        assert_eq!(members(&body["receipt"]), ["checkpoint", "index", "leaf"].map(String::from).into());
        *seen.entry(answered.answer).or_insert(0) += 1;
    }
    // Whoever the register does not know looks like everybody else.
    let mut strangers = value(&encoder, STRANGERS);
    strangers["address"] = value(&encoder, FAMILY)["address"].clone();
    let reply = line.ask(&strangers);
    assert_eq!((reply.answered().answer.as_str(), reply.body.len()), ("undetermined", ANSWER_BYTES));
    assert!(seen["priority"] > 0 && seen["no_priority"] > 0, "{seen:?}");
}

#[test]
fn batches_of_as_many_answers_are_equally_long_whatever_the_words() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut strangers = value(&encoder, STRANGERS);
    strangers["address"] = value(&encoder, &contracts()[2])["address"].clone();
    let each = [value(&encoder, FAMILY), value(&encoder, SINGLE), strangers];
    let ask = |questions: &[Value]| {
        let reply = house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({ "questions": questions }));
        let told: BatchAnswers = serde_json::from_slice(&reply.body).unwrap();
        let words: Vec<String> = told.answers.into_iter().map(|one| one.answered.unwrap().answer).collect();
        assert_eq!(reply.header("content-type"), Some("application/json"));
        (words, reply.body.len())
    };
    let (words, lengths): (Vec<_>, BTreeSet<_>) = each.iter().map(|one| ask(std::slice::from_ref(one))).unzip();
    assert_eq!(words.concat(), ["priority", "no_priority", "undetermined"]);
    assert_eq!(lengths.len(), 1, "{lengths:?}");
    let [first, second, third] = &each;
    let [one, other] = [[first, second], [second, third]].map(|pair| ask(&pair.map(Value::clone)).1);
    assert_eq!(one, other);
}

#[test]
fn every_answer_has_one_entry_at_the_index_of_its_receipt() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let questions: Vec<Value> = contracts().iter().take(24).map(|contract| value(&encoder, contract)).collect();
    let answers: Vec<Answered> = std::thread::scope(|scope| {
        let ask = |part: &[Value]| {
            let mut line = house.line(CORPORATION);
            let answers = part.iter().map(|question| line.ask(question).answered());
            answers.collect::<Vec<_>>()
        };
        let threads: Vec<_> = questions.chunks(6).map(|part| scope.spawn(move || ask(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let log = house.log();
    let mut places = BTreeSet::new();
    for Answered { receipt, .. } in &answers {
        let entry = &log[usize::try_from(receipt.index).unwrap()];
        assert_eq!(leaf_hash(&entry.to_bytes()), receipt.leaf);
        assert_eq!(entry.result, Outcome::Answered);
        assert!(entry.sealed.is_some() && entry.latency.is_some() && entry.consent == Some(Consent::NoObjection));
        assert_eq!(entry.purpose.as_ref().unwrap().as_str(), "eviction-prevention");
        assert!(entry.articles.contains(&"corporation-asks".to_owned()) && entry.object.is_some());
        assert!(places.insert(receipt.index), "two answers, one entry");
    }
    let answered = log.iter().filter(|entry| matches!(entry.result, Outcome::Answered)).count();
    assert_eq!((places.len(), answered), (24, 24));
    let report = house.verify(&answers).unwrap();
    assert_eq!(report.receipts, 24);
    // The officer's tool refuses a receipt of another entry: the check above is one.
    let mut false_one = answers[0].clone();
    false_one.receipt.index = answers[1].receipt.index;
    assert!(house.verify(&[false_one]).is_err());
    assert!(house.verify(&[]).unwrap().remembered_size > 0, "and remembers what it saw");
}

#[test]
fn a_repeated_question_gets_the_same_answer_until_the_households_limit() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let question = value(&encoder, FAMILY);
    let answered: Vec<_> = (0..4)
        .map(|_| {
            let answered = line.ask(&question).answered();
            assert_eq!(answered.answer, "priority");
            answered
        })
        .collect();
    assert_eq!(answered.iter().map(|r| r.receipt.index).collect::<BTreeSet<_>>().len(), 4, "each is logged");
    let reply = line.ask(&question);
    assert_eq!(reply.is_problem(403, "refused").article.as_deref(), Some("household-limit"));
    assert_eq!(String::from(house.entry_of(&reply).unwrap().result), "refused:household-limit");
    // The same household without one of its marks, or as another tenant, is the same household.
    let mut other = value(&encoder, SINGLE);
    other["address"] = question["address"].clone();
    assert_eq!(line.ask(&other).is_problem(403, "refused").article.as_deref(), Some("household-limit"));
    house.verify(&answered).unwrap();
    house.clock.pass(datetime!(2026-02-01 0:00 UTC));
    assert_eq!(line.ask(&question).answered().answer, "priority", "the next month begins anew");
}

/// Registers the corporation's stock with its own number of dwellings: 28, so a budget of 7.
pub fn small_stock(house: &House) {
    stock_of(house, 28);
}

/// Registers the corporation's stock with so many dwellings.
pub fn stock_of(house: &House, dwellings: u32) {
    let stock = house.stock_of("C1");
    let mut args = LoadArgs { dwellings: Some(dwellings), ..house.load_args(CORPORATION, Kind::Stock, &stock) };
    if dwellings <= 51 {
        // As many as households are registered there, without the tower.
        args.input = stock;
    }
    let pending = load::load(&args).unwrap().pending.unwrap();
    regulation::confirm(&pending, &house.client(OFFICER)).unwrap();
}

#[test]
fn the_budget_stops_questions_and_survives_a_restart() {
    let mut house = House::open();
    small_stock(&house);
    let encoder = house.encoder(EPOCH);
    let questions: Vec<Value> = contracts().iter().map(|contract| value(&encoder, contract)).collect();
    let mut line = house.line(CORPORATION);
    let mut wrong = questions[0].clone();
    wrong["purpose"] = "marketing".into();
    line.ask(&wrong).is_problem(403, "refused");
    for question in &questions[..7] {
        line.ask(question).answered();
    }
    let reply = line.ask(&questions[7]);
    assert_eq!(reply.is_problem(403, "refused").article.as_deref(), Some("budget"));
    assert_eq!(String::from(house.entry_of(&reply).unwrap().result), "refused:budget");
    house.restart();
    let mut line = house.line(CORPORATION);
    assert_eq!(line.ask(&questions[8]).is_problem(403, "refused").article.as_deref(), Some("budget"));
}

#[test]
fn parallel_questions_cannot_overdraw_the_budget() {
    let house = House::open();
    small_stock(&house);
    ask_at_once(&house, 7);
}

#[test]
fn a_number_of_questions_stops_a_corporation_whatever_its_stock() {
    let house = House::lawless();
    amend(&house, "stop_share = 0.25", "stop_share = 0.25\nmost_questions = 5");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let reply = house.line(OFFICER).get("/v1/access-log/budgets");
    let budgets: Vec<BudgetView> = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((budgets[0].dwellings, budgets[0].alarm, budgets[0].stop), (1400, 2, 5));
    ask_at_once(&house, 5);
    let alarms = house.log().iter().filter(|entry| entry.action == Action::BudgetAlarm).count();
    assert_eq!(alarms, 1, "the officers were told before the end");
}

/// Asks twenty questions at once, of which so many are answered.
fn ask_at_once(house: &House, most: usize) {
    let encoder = house.encoder(EPOCH);
    // Of one tenant each: a question about several may count twice.
    let alone = |question: &Value| question["tenants"].as_array().is_some_and(|tenants| tenants.len() == 1);
    let questions = contracts().into_iter().map(|contract| value(&encoder, &contract)).filter(alone).take(20);
    let questions: Vec<Value> = questions.collect();
    assert_eq!(questions.len(), 20);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            questions.iter().map(|question| scope.spawn(move || house.line(CORPORATION).ask(question))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), most);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        let problem = reply.problem();
        assert!(problem.code == "budget" || problem.article.as_deref() == Some("budget"), "{problem:?}");
        let result = String::from(house.entry_of(reply).unwrap().result);
        assert_eq!(result, "refused:budget");
    }
    let answered = house.log().into_iter().filter(|entry| matches!(entry.result, Outcome::Answered)).count();
    assert_eq!(answered, most);
}

#[test]
fn a_register_that_is_too_old_answers_undetermined() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    for (now, want) in
        [(datetime!(2026-02-01 9:00 UTC), "no_priority"), (datetime!(2026-02-02 9:00 UTC), "undetermined")]
    {
        house.clock.pass(now);
        assert_eq!(line.ask(&value(&encoder, SINGLE)).answered().answer, want, "{now}");
    }
}

/// Passes connections on to the service until it has sent this many bytes back, then cuts them and takes no more.
pub fn cut_after(bytes: usize, service: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        drop(listener);
        let mut server = TcpStream::connect(("127.0.0.1", service)).unwrap();
        let (mut questions, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut questions, &mut to_server));
        let mut left = bytes;
        let mut buffer = [0; 1024];
        while left > 0 {
            let Ok(got @ 1..) = server.read(&mut buffer) else { break };
            client.write_all(&buffer[..got.min(left)]).unwrap();
            left = left.saturating_sub(got);
        }
        // Whoever was done first has closed it already.
        drop(client.shutdown(Shutdown::Both).and_then(|()| server.shutdown(Shutdown::Both)));
    });
    port
}

#[test]
fn a_run_that_is_cut_keeps_its_answers_and_goes_on_where_it_was() {
    let house = House::open();
    let tenants = house.stock_of("C1");
    let contracts: Vec<String> =
        fs::read_to_string(&tenants).unwrap().lines().skip(1).map(|line| line[..8].to_owned()).collect();
    let arrears = house.file("arrears.csv");
    let asked: BTreeSet<&String> = contracts.iter().collect();
    let rows: String = asked.iter().map(|contract| format!("{contract},3\n")).collect();
    fs::write(&arrears, format!("contract_id,maanden\n{rows}")).unwrap();
    let mut args = QueryArgs::new(arrears, tenants, house.party(CORPORATION), house.file("flags.csv"));
    // Enough for the handshake, the salt and some answers.
    let through = cut_after(40_000, house.port());
    let cut = fs::read_to_string(&args.config).unwrap().replace(&format!(":{}", house.port()), &format!(":{through}"));
    args.config = house.keys().join("cut.toml");
    fs::write(&args.config, cut).unwrap();
    let error = format!("{:#}", query::ask_all(&args).unwrap_err());
    assert!(error.contains("answers are kept in") && error.contains("--resume"), "{error}");
    assert!(!args.output.exists(), "no half file under the final name");
    let kept = fs::read_to_string(house.file("flags.part.csv")).unwrap();
    let before = kept.lines().count() - 1;
    assert!(before > 0 && before < asked.len(), "{before} of {}", asked.len());
    let charged = house.log().iter().filter(|entry| matches!(entry.result, Outcome::Answered)).count();
    assert!((before..=before + 1).contains(&charged), "at most the answer that was under way is lost");

    args.config = house.party(CORPORATION);
    args.resume = true;
    let summary = query::ask_all(&args).unwrap();
    assert_eq!((summary.asked, &summary.refused), (asked.len(), &BTreeMap::new()));
    let flags = fs::read_to_string(&args.output).unwrap();
    assert!(kept.lines().all(|line| flags.contains(line)), "what was answered stays as it was");
    assert_eq!(flags.lines().count(), asked.len() + 1);
    assert!(!house.file("flags.part.csv").exists());
    let again = house.log().iter().filter(|entry| matches!(entry.result, Outcome::Answered)).count();
    assert_eq!(again, asked.len(), "nobody is asked about twice, the answer that was lost included");
}

#[test]
fn a_file_of_refusals_goes_when_nothing_is_refused() {
    let house = House::open();
    let (tenants, arrears) = (house.stock_of("C1"), house.file("arrears.csv"));
    let contract = fs::read_to_string(&tenants).unwrap().lines().nth(1).unwrap()[..8].to_owned();
    fs::write(&arrears, format!("contract_id,maanden\n{contract},3\n")).unwrap();
    let ask = |purpose: Option<&str>| {
        query::ask_all(&QueryArgs {
            purpose: purpose.map(str::to_owned),
            ..QueryArgs::new(arrears.clone(), tenants.clone(), house.party(CORPORATION), house.file("flags.csv"))
        })
        .unwrap()
    };
    assert_eq!(ask(Some("marketing")).refused["purpose"], 1);
    assert!(house.file("flags.refused.csv").exists());
    assert!(ask(None).refused.is_empty());
    assert!(!house.file("flags.refused.csv").exists());
}

#[test]
fn each_row_s_statements_count_for_that_household_alone() {
    let house = House::open();
    let (tenants, arrears) = (house.stock_of("C1"), house.file("arrears.csv"));
    let text = fs::read_to_string(&tenants).unwrap();
    let contracts: BTreeSet<&str> = text.lines().skip(1).map(|line| &line[..8]).collect();
    let contracts: Vec<&str> = contracts.into_iter().take(6).collect();
    let said = ["ja,", "nee,", ",nee", ",", "Nee,ja", "ja,nee"];
    let rows: String = contracts.iter().zip(said).map(|(contract, said)| format!("{contract},3,{said}\n")).collect();
    fs::write(&arrears, format!("contract_id,maanden,bezwaar,herinnering_gestuurd\n{rows}")).unwrap();
    let silent = house.keys().join("silent.toml");
    let config = fs::read_to_string(house.party(CORPORATION)).unwrap();
    assert!(config.contains("noObjection = true"));
    fs::write(&silent, config.replace("noObjection = true", "noObjection = false")).unwrap();
    for (config, batch, objection, duties) in [
        // Where the file is silent its party's statement counts.
        (house.party(CORPORATION), false, 1, 2),
        (house.party(CORPORATION), true, 1, 2),
        (silent, false, 2, 2),
    ] {
        let args =
            QueryArgs { batch, ..QueryArgs::new(arrears.clone(), tenants.clone(), config, house.file("flags.csv")) };
        let summary = query::ask_all(&args).unwrap();
        let refused = |article: &str| summary.refused.get(article).copied().unwrap_or(0);
        assert_eq!((refused("objection"), refused("landlord-duties")), (objection, duties), "{:?}", summary.refused);
        assert_eq!(summary.answers.values().sum::<usize>(), 6 - objection - duties);
    }
    fs::write(&arrears, format!("contract_id,maanden,bezwaar\n{},3,misschien\n", contracts[0])).unwrap();
    let args = QueryArgs::new(arrears, tenants, house.party(CORPORATION), house.file("flags.csv"));
    let error = format!("{:#}", query::ask_all(&args).unwrap_err());
    assert!(error.contains("line 2, column bezwaar") && !error.contains("misschien"), "{error}");
}

#[test]
fn a_memory_that_cannot_be_read_stops_the_reader() {
    let house = House::open();
    house.verify(&[]).unwrap();
    let memory = house.keys().join(format!("{OFFICER}.memory"));
    for name in ["log.vkey", "checkpoints"] {
        let good = fs::read(memory.join(name)).unwrap();
        fs::write(memory.join(name), [0xff]).unwrap();
        assert!(house.verify(&[]).is_err(), "{name}");
        assert_eq!(fs::read(memory.join(name)).unwrap(), [0xff], "{name}: what was remembered is not replaced");
        fs::write(memory.join(name), good).unwrap();
    }
    house.verify(&[]).unwrap();
}
