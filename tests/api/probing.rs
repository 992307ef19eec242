//! What a corporation tries that holds the salt and wants to know more than it may: nothing of it tells more, and what
//! costs others nothing costs it its questions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use voorrang::answer::wire::BudgetView;
use voorrang::answer::wire::law::{BatchAnswer, BatchAnswers, ProposalView};
use voorrang::audit::Action;
use voorrang::cli::load::{self, Kind, LoadArgs};
use voorrang::cli::regulation;
use voorrang::encode::read;
use voorrang::ids::ProposalId;

use super::answers::{small_stock, stock_of};
use super::question_batches::{results, send, wait};
use super::regulation::amend;
use super::support::*;

/// In the OGGZ group alone, so shielded.
pub const SHIELDED: &str = "K0000043";
/// Registered nowhere.
pub const UNKNOWN: &str = "K0000040";
/// Households of their own, as [`FAMILY`] and [`SINGLE`] are.
const OTHERS: [&str; 2] = ["K0000051", "K0000164"];
/// Two who rent together and live together.
pub const COUPLE: &str = "K0000042";

/// The question about one contract with the tenants of others beside its own.
pub fn beside(question: &Value, others: &[&Value]) -> Value {
    let mut more = question.clone();
    let tenants = others.iter().flat_map(|other| other["tenants"].as_array().unwrap().clone());
    more["tenants"].as_array_mut().unwrap().extend(tenants);
    more
}

/// Questions and misses of the month, as the service has counted them.
pub fn counted(house: &House) -> (i64, i64) {
    let db = rusqlite::Connection::open(house.state().join("voorrang.db")).unwrap();
    let sum = "SELECT coalesce(sum(questions), 0), coalesce(sum(misses), 0) FROM budget";
    db.query_row(sum, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn of_three_households_in_one_question_nothing_is_told_and_people_apart_are_a_miss() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    let [family, single] = [FAMILY, SINGLE].map(|contract| value(&encoder, contract));
    let others = OTHERS.map(|contract| value(&encoder, contract));
    assert_eq!(line.ask(&family).answered().answer, "priority");
    assert_eq!(line.ask(&beside(&family, &[&others[0]])).answered().answer, "priority", "two are one contract");
    let before = counted(&house);
    for more in [vec![&others[0], &others[1]], vec![&single, &others[0], &others[1]]] {
        assert_eq!(line.ask(&beside(&family, &more)).answered().answer, "undetermined");
    }
    assert_eq!(counted(&house), (before.0 + 4, before.1 + 2), "each counts as two, and misses");
}

#[test]
fn a_question_about_two_households_counts_as_two_alone_and_in_every_kind_of_batch() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let couple = value(&encoder, COUPLE);
    let other = value(&encoder, OTHERS[0]);
    let both = beside(&value(&encoder, SINGLE), &[&other]);
    let mut line = house.line(CORPORATION);
    line.ask(&couple).answered();
    assert_eq!(counted(&house).0, 1, "two people of one household");
    line.ask(&both).answered();
    assert_eq!(counted(&house).0, 3);
    assert_eq!(line.json("POST", "/v1/priority-batches", &json!({"questions": [both, couple]})).status, 200);
    assert_eq!(counted(&house).0, 6);
    let batch = send(&house, &[both.clone(), couple], 1);
    assert_eq!(wait(&house, batch).answered, 2);
    assert_eq!(counted(&house).0, 9);
}

#[test]
fn a_budget_lasts_half_as_many_questions_about_two_households() {
    for batched in [false, true] {
        let house = House::open();
        small_stock(&house);
        let encoder = house.encoder(EPOCH);
        let other = value(&encoder, OTHERS[0]);
        // Seven questions a month: three of these, and one more for the last that is left.
        let both: Vec<Value> = ["K0000037", "K0000039", "K0000041", "K0000042", "K0000043", "K0000044"]
            .map(|contract| beside(&value(&encoder, contract), &[&other]))
            .into();
        let answered = if batched {
            let batch = send(&house, &both, 6);
            wait(&house, batch).answered as usize
        } else {
            let mut line = house.line(CORPORATION);
            both.iter().filter(|question| line.ask(question).status == 200).count()
        };
        assert_eq!((answered, counted(&house).0), (4, 8), "batched: {batched}");
    }
}

/// Real residents of addresses of others, each named at an address of the corporation's own stock.
fn misplaced(encoder: &voorrang::encode::Encoder) -> Vec<Value> {
    let ours = contracts();
    let all = read::tenants(&demo("huurders.csv")).unwrap().into_iter().map(|tenant| tenant.contract);
    let mut others: Vec<String> = all.filter(|contract| !ours.contains(contract)).collect();
    others.dedup();
    let named = others.iter().zip(ours.iter().cycle()).map(|(other, ours)| {
        let tenants = value(encoder, other)["tenants"].clone();
        let mut question = value(encoder, ours);
        question["tenants"] = tenants;
        question
    });
    named.collect()
}

#[test]
fn whoever_names_residents_of_other_addresses_at_its_own_closes_its_tap_and_the_officers_are_told() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let probes = misplaced(&encoder);
    let mut line = house.line(CORPORATION);
    let mut answers = BTreeMap::<String, usize>::new();
    let open = probes.iter().map(|question| line.ask(question)).take_while(|reply| reply.status == 200);
    open.for_each(|reply| *answers.entry(reply.answered().answer).or_default() += 1);
    let told: usize = answers.values().sum();
    println!("the tap closes after {told} of {} probes: {answers:?}", probes.len());
    // Fifty misses, or a few questions more.
    assert!((45..=60).contains(&told) && probes.len() > 150, "{told} of {}", probes.len());
    assert_eq!(line.ask(&probes[150]).is_problem(403, "refused").article.as_deref(), Some("probing"));
    let log = house.log();
    let notices = log.iter().filter(|entry| entry.action == Action::Probing).count();
    assert_eq!(notices, 1, "the officers are told, once");
}

#[test]
fn nobody_is_answered_behind_the_entry_that_closes_its_tap_however_many_ask_at_once() {
    let house = House::open();
    let probes = misplaced(&house.encoder(EPOCH));
    std::thread::scope(|scope| {
        for part in probes[..160].chunks(20) {
            let house = &house;
            scope.spawn(move || {
                let mut line = house.line(CORPORATION);
                part.iter().for_each(|question| drop(line.ask(question)));
            });
        }
    });
    let log = house.log();
    let closed = log.iter().position(|entry| entry.action == Action::Probing).expect("the tap closes");
    let behind = log[closed..].iter().filter(|entry| entry.action == Action::Ask);
    assert!(behind.clone().count() > 20);
    assert!(behind.into_iter().all(|entry| String::from(entry.result.clone()) == "refused:probing"));
}

/// The patient prober: three households of its own for one of somebody else's, so that its misses stay below the share
/// that closes a tap. What it learns is a quarter of what it may ask, and the officers hear of it on the way.
#[test]
fn whoever_hides_probes_among_its_own_questions_learns_of_a_quarter_of_its_budget_at_most() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let own = hits(&house);
    let mut own = own.iter().cycle().take(4 * own.len());
    let probes = misplaced(&encoder);
    let mut line = house.line(CORPORATION);
    let mut learned = 0;
    for probe in probes {
        let honest = own.by_ref().take(4).filter(|question| line.ask(question).status == 200).count();
        if honest < 4 || line.ask(&probe).status != 200 {
            break;
        }
        learned += 1;
    }
    let (questions, misses) = counted(&house);
    println!("{learned} households learned of with {questions} questions");
    assert!(learned > 20 && learned * 4 <= questions && misses * 4 <= questions, "{learned} {misses} {questions}");
    let log = house.log();
    assert!(log.iter().all(|entry| entry.action != Action::Probing), "it stays below");
    assert_eq!(alarms(&house), 1, "the officers are told of so many questions");
}

/// Before the tap closes.
#[test]
fn at_half_of_the_misses_that_close_the_tap_the_officers_report_says_so() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let stranger = value(&encoder, STRANGERS);
    let ours: Vec<Value> = contracts().iter().take(25).map(|contract| value(&encoder, contract)).collect();
    let mut line = house.line(CORPORATION);
    let near = || -> Vec<bool> {
        let budgets: Vec<BudgetView> = house.client(OFFICER).get("access-log/budgets").unwrap();
        budgets.iter().map(|budget| budget.near_tap).collect()
    };
    let mut nobody = ours.iter().map(|ours| {
        let mut question = ours.clone();
        question["tenants"] = stranger["tenants"].clone();
        question
    });
    nobody.by_ref().take(24).for_each(|question| drop(line.ask(&question).answered()));
    assert_eq!((counted(&house).1, near()), (24, vec![false]));
    line.ask(&nobody.next().unwrap()).answered();
    assert_eq!((counted(&house).1, near()), (25, vec![true]));
}

#[test]
fn an_honest_corporation_asks_about_all_its_contracts_and_its_tap_stays_open() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let mut line = house.line(CORPORATION);
    for _ in 0..4 {
        for contract in contracts() {
            let reply = line.ask(&value(&encoder, &contract));
            assert!(reply.status == 200 || reply.problem().article.as_deref() == Some("household-limit"));
        }
    }
    let (questions, misses) = counted(&house);
    println!("{questions} questions, {misses} misses");
    assert!(questions >= 200 && misses * 4 < questions, "{misses} of {questions}");
    assert!(house.log().iter().all(|entry| entry.action != Action::Probing));
}

/// Alarms about a corporation's questions that stand in the log.
fn alarms(house: &House) -> usize {
    house.log().iter().filter(|entry| entry.action == Action::BudgetAlarm).count()
}

/// Questions that hit somebody who lives where he is asked about, and that are told something. About one tenant each, so
/// that each counts as one also where somebody is in doubt.
fn hits(house: &House) -> Vec<Value> {
    let encoder = house.encoder(EPOCH);
    let miss = ["K0000040", SHIELDED, "K0000045", "K0000054", "K0000177", "K0000209", "K0000213"];
    let mut hits: Vec<Value> =
        contracts().iter().filter(|one| !miss.contains(&one.as_str())).map(|one| value(&encoder, one)).collect();
    hits.iter_mut().for_each(|question| question["tenants"].as_array_mut().unwrap().truncate(1));
    hits
}

#[test]
fn at_a_tenth_of_the_stock_the_officers_are_told_once_also_of_questions_that_all_hit() {
    let house = House::open();
    stock_of(&house, 300);
    let (questions, mut line) = (hits(&house), house.line(CORPORATION));
    for (n, want) in [(0..29, 0), (29..30, 1), (30..40, 1)] {
        questions[n.clone()].iter().for_each(|question| drop(line.ask(question).answered()));
        assert_eq!(alarms(&house), want, "{n:?}");
    }
    assert_eq!(counted(&house).0, 40);
    house.clock.pass(time::macros::datetime!(2026-02-01 0:00 UTC));
    questions[..30].iter().for_each(|question| drop(line.ask(question).answered()));
    assert_eq!(alarms(&house), 2, "each month anew");
}

/// What a party is shown of a proposal.
fn shown(house: &House, stem: &str, pending: ProposalId) -> String {
    let waiting: Vec<ProposalView> = house.client(stem).get("proposals").unwrap();
    waiting.into_iter().find(|one| one.proposal == pending).unwrap().about
}

/// A stock of one address would count the households at any.
#[test]
fn only_who_may_confirm_a_stock_is_shown_how_many_households_are_registered_there() {
    let house = House::open();
    let (stock, part) = (house.stock_of("C1"), house.file("part.csv"));
    for last in ["K0000037", "K0000177"] {
        rows(&stock, &part, |line| line <= last || line.starts_with(last));
        let args =
            LoadArgs { dwellings: Some(50), ..LoadArgs::new(Kind::Stock, part.clone(), house.party(CORPORATION)) };
        let pending = load::load(&args).unwrap().pending.unwrap();
        let officers = shown(&house, OFFICER, pending);
        assert!(officers.contains(" households registered there, "), "{officers}");
        for other in
            [CORPORATION, ADMINISTRATOR, POPULATION, CARE, "functionaris-gegevensbescherming-van-het-zorgnetwerk"]
        {
            let others = shown(&house, other, pending);
            assert!(others.starts_with("50 dwellings at ") && !others.contains("registered"), "{other}: {others}");
        }
    }
}

/// Alarm and stop are shares of what the register has at the addresses, were fifty times as many declared.
#[test]
fn who_declares_more_dwellings_than_there_are_households_has_no_question_more() {
    let house = House::open();
    let stock = house.stock_of("C1");
    let args = LoadArgs { input: stock.clone(), ..house.load_args(CORPORATION, Kind::Stock, &stock) };
    let pending = load::load(&args).unwrap().pending.unwrap();
    for _again in 0..2 {
        let said = "1400 dwellings at 28 addresses, 51 households registered there, epoch haarlem-1";
        assert_eq!(shown(&house, OFFICER, pending), said);
    }
    regulation::confirm(&pending, &house.client(OFFICER)).unwrap();
    let (questions, mut line) = (hits(&house), house.line(CORPORATION));
    let answered = questions.iter().take_while(|question| line.ask(question).status == 200).count();
    assert_eq!((answered, counted(&house).0, alarms(&house)), (13, 13, 1), "a quarter of 51");
    assert_eq!(line.ask(&questions[13]).is_problem(403, "refused").article.as_deref(), Some("budget"));
    let budgets: Vec<BudgetView> = house.client(OFFICER).get("access-log/budgets").unwrap();
    let budget = &budgets[0];
    assert_eq!((budget.declared, budget.dwellings, budget.alarm, budget.stop), (1400, 51, 6, 13));
}

#[test]
fn a_stock_that_shrinks_below_what_was_asked_does_not_jump_the_alarm() {
    let house = House::open();
    stock_of(&house, 600);
    let questions = hits(&house);
    let ask = |part: &[Value]| {
        let mut line = house.line(CORPORATION);
        part.iter().for_each(|question| drop(line.ask(question).answered()));
    };
    ask(&questions[..40]);
    assert_eq!(alarms(&house), 0);
    stock_of(&house, 300);
    ask(&questions[40..41]);
    assert_eq!(alarms(&house), 1);
    ask(&questions[41..43]);
    assert_eq!(alarms(&house), 1);
}

/// What became of these questions in one request: the answers, and the articles that refused. At once, or in the
/// background.
fn asked_together(house: &House, questions: &[Value], at_once: bool) -> (usize, BTreeSet<String>) {
    let came: Vec<BatchAnswer> = if at_once {
        let reply = house.line(CORPORATION).json("POST", "/v1/priority-batches", &json!({ "questions": questions }));
        serde_json::from_slice::<BatchAnswers>(&reply.body).unwrap().answers
    } else {
        let batch = send(house, questions, 2);
        wait(house, batch);
        let lines = results(house, batch).into_iter();
        lines.map(|line| BatchAnswer { answered: line.answered, problem: line.problem }).collect()
    };
    let answered = came.iter().filter(|one| one.answered.is_some()).count();
    (answered, came.into_iter().filter_map(|one| one.problem?.article).collect())
}

#[test]
fn questions_that_are_refused_anyway_make_no_minimum_batch() {
    let house = House::lawless();
    amend(&house, "minimum_batch = 1", "minimum_batch = 3");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let questions = hits(&house);
    let bound_to_fail = |part: &[Value]| -> Vec<Value> {
        let mut part = part.to_vec();
        part.iter_mut().for_each(|question| question["conditions"]["reminderSent"] = json!(false));
        part
    };
    let articles = |all: &[&str]| all.iter().map(|article| (*article).to_owned()).collect::<BTreeSet<_>>();
    for at_once in [true, false] {
        let alone = [questions[..1].to_vec(), bound_to_fail(&questions[1..6])].concat();
        let refused = asked_together(&house, &alone, at_once);
        assert_eq!(refused, (0, articles(&["landlord-duties", "minimum-batch"])), "at once: {at_once}");
        let enough = [questions[..3].to_vec(), bound_to_fail(&questions[3..4])].concat();
        assert_eq!(asked_together(&house, &enough, at_once), (3, articles(&["landlord-duties"])));
    }
    assert_eq!(counted(&house).0, 6, "what is refused is charged nothing");
    // Seven a month: one is left, and would be answered alone.
    small_stock(&house);
    assert_eq!(asked_together(&house, &questions[6..9], true).0, 0);
}

/// A house whose tap closes with the sixth miss among the questions that it has had.
fn at_the_brink() -> House {
    let house = House::lawless();
    amend(&house, "misses = 50", "misses = 5");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let strangers = value(&house.encoder(EPOCH), STRANGERS);
    let own = hits(&house);
    let mut line = house.line(CORPORATION);
    own[..15].iter().for_each(|question| drop(line.ask(question).answered()));
    // With some salts one of them is in doubt, which is a miss: a guess less then.
    let doubtful = usize::try_from(counted(&house).1).unwrap();
    for (n, question) in own[15..20].iter().enumerate() {
        let mut question = question.clone();
        if n >= doubtful {
            question["tenants"] = strangers["tenants"].clone();
        }
        line.ask(&question).answered();
    }
    house
}

#[test]
fn whether_the_tap_closes_tells_no_shielded_household_from_one_that_is_registered_nowhere() {
    let closes = [SHIELDED, UNKNOWN].map(|contract| {
        let house = at_the_brink();
        let encoder = house.encoder(EPOCH);
        let mut line = house.line(CORPORATION);
        assert_eq!(line.ask(&value(&encoder, contract)).answered().answer, "undetermined");
        line.ask(&value(&encoder, FAMILY)).status
    });
    assert_eq!(closes, [403, 403]);
}

#[test]
fn whoever_guesses_a_housemate_of_a_tenant_of_its_own_misses_each_time() {
    let house = House::open();
    let encoder = house.encoder(EPOCH);
    let (single, nobody) = (value(&encoder, SINGLE), value(&encoder, STRANGERS));
    let mut line = house.line(CORPORATION);
    assert_eq!(line.ask(&single).answered().answer, "no_priority");
    let before = counted(&house);
    for _ in 0..3 {
        line.ask(&beside(&single, &[&nobody])).answered();
    }
    let (questions, misses) = counted(&house);
    assert_eq!((questions - before.0, misses - before.1), (6, 3), "each is a miss");
}

#[test]
fn a_long_honest_month_pays_for_no_burst_of_misses_on_one_day() {
    let house = House::lawless();
    amend(&house, "misses = 50", "misses = 5");
    house.activate_law().unwrap();
    house.fill(EPOCH);
    let encoder = house.encoder(EPOCH);
    let strangers = value(&encoder, STRANGERS);
    let guesses: Vec<Value> = hits(&house)
        .into_iter()
        .map(|mut question| {
            question["tenants"] = strangers["tenants"].clone();
            question
        })
        .collect();
    let own = hits(&house);
    let mut line = house.line(CORPORATION);
    own[..40].iter().for_each(|question| drop(line.ask(question).answered()));
    // A ninth of the day.
    guesses[..5].iter().for_each(|question| drop(line.ask(question).answered()));
    house.clock.pass(NOW + time::Duration::DAY);
    let mut line = house.line(CORPORATION);
    // A guess hits somebody now and then, with some salts.
    let closed = guesses[5..].iter().map(|question| line.ask(question)).find(|reply| reply.status != 200).unwrap();
    assert_eq!(closed.is_problem(403, "refused").article.as_deref(), Some("probing"));
    let (questions, misses) = counted(&house);
    assert!(misses >= 5 && misses * 4 < questions, "of the month it is less than a quarter: {misses} of {questions}");
    assert_eq!(house.log().iter().filter(|entry| entry.action == Action::Probing).count(), 1);
}
