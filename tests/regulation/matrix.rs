//! A matrix of role, purpose, stage, conditions, consent, date, limits and group, decided twice: by the regulation, and
//! by the plain table below, which reads the file on its own and shares no code with `regulate`.

use time::{Date, Duration};
use toml::{Table, Value};
use voorrang::code::Group;
use voorrang::ids::Oin;
use voorrang::link::{Finding, Groups, Standing, Z};
use voorrang::regulate::{Act, Arrears, Conditions, Facts, Regulation, Role};

/// `(months, days)`; the third is none given.
const STAGES: [Option<(f64, u32)>; 8] = [
    None,
    Some((0.0, 0)),
    Some((0.0, 6)),
    Some((1.0, 7)),
    Some((1.0, 8)),
    Some((1.5, 0)),
    Some((2.0, 0)),
    Some((3.5, 0)),
];
const PURPOSES: [Option<&str>; 3] = [None, Some("eviction-prevention"), Some("letting")];
/// Contact, help, reminder, no objection, agrees.
const CONDITIONS: [[bool; 5]; 7] = [
    [true, true, true, true, true],
    [true, true, true, true, false],
    [false, true, true, true, true],
    [true, false, true, true, true],
    [true, true, false, true, true],
    [true, true, true, false, true],
    [false; 5],
];
/// In stock, tap closed, asked this month, asked about the household, households in the request.
const LIMITS: [(bool, bool, u64, u64, u32); 9] = [
    (true, false, 0, 0, 1),
    (false, false, 0, 0, 1),
    (true, true, 0, 0, 1),
    (true, false, 119, 0, 1),
    (true, false, 120, 0, 1),
    (true, false, 249, 3, 1),
    (true, false, 250, 0, 1),
    (true, false, 0, 4, 1),
    (true, false, 0, 0, 25),
];

/// The second implementation: plain values of the file, and a list of ifs.
struct Plain {
    file: Table,
}

impl Plain {
    fn list<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Value> {
        self.file.get(name).and_then(Value::as_array).into_iter().flatten()
    }

    fn role(&self, oin: &str) -> &str {
        let party = self.list("party").find(|party| party["oin"].as_str() == Some(oin)).unwrap();
        party["role"].as_str().unwrap()
    }

    fn day(&self, key: &str) -> String {
        self.file[key].to_string()
    }

    fn asks(&self, facts: &Facts, stage: Option<(f64, u32)>) -> bool {
        let oin = facts.actor.as_str();
        if self.role(oin) != "corporation" {
            return false;
        }
        let today = facts.today.to_string();
        if today < self.day("valid_from") || today >= self.day("valid_until") {
            return false;
        }
        let purpose = facts.purpose.as_ref().map(|purpose| purpose.as_str());
        if !self.list("purpose").any(|listed| listed["id"].as_str() == purpose) {
            return false;
        }
        let moment = self
            .list("moment")
            .find(|moment| moment["parties"].as_array().unwrap().iter().any(|party| party.as_str() == Some(oin)));
        let moment = moment.unwrap();
        let days = |months: f64, days: f64| months * 30.0 + days + 1e-6;
        let from = days(moment["months"].as_float().unwrap(), moment["days"].as_integer().unwrap() as f64) - 2e-6;
        if !stage.is_some_and(|(months, more)| days(months, f64::from(more)) >= from) {
            return false;
        }
        let said = facts.conditions;
        if !(said.personal_contact && said.help_offered && said.reminder_sent && said.no_objection) {
            return false;
        }
        if self.file["consent"]["model"].as_str() == Some("opt-in") && !said.tenant_agrees {
            return false;
        }
        let budget = &self.file["budget"];
        let share = (budget["stop_share"].as_float().unwrap() * facts.stock.unwrap() as f64).ceil();
        let number = budget.get("most_questions").map_or(share, |most| most.as_integer().unwrap() as f64);
        let most = if number < share { number } else { share };
        facts.in_stock == Some(true)
            && !facts.tap_closed
            && (facts.asked_this_month as f64) < most
            && (facts.asked_household_this_month as i64) < budget["household_per_month"].as_integer().unwrap()
            && i64::from(facts.batch) >= budget["minimum_batch"].as_integer().unwrap()
    }

    /// The care side, about a case.
    fn asks_groups(&self, oin: &str, day: Date, purpose: Option<&str>, in_case: bool) -> bool {
        let today = day.to_string();
        ["district-team", "care-custodian"].contains(&self.role(oin))
            && today >= self.day("valid_from")
            && today < self.day("valid_until")
            && self.list("purpose").any(|listed| listed["id"].as_str() == purpose)
            && in_case
    }

    /// `minor`, `senior` and `oggz` that the role is served and the household is in; then which of them are open.
    fn seen(&self, role: &str, groups: &Groups) -> (Vec<&str>, Vec<&str>, usize) {
        let (mut all, mut open, mut served) = (Vec::new(), Vec::new(), 0);
        for group in self.list("group") {
            let basis = group.get("legal_basis").and_then(Value::as_str).unwrap_or_default().trim();
            let to = group["recipients"].as_array().unwrap().iter().any(|one| one.as_str() == Some(role));
            if basis.is_empty() || !to {
                continue;
            }
            served += 1;
            let name = group["group"].as_str().unwrap();
            let resident = group.get("whose_age").and_then(Value::as_str) == Some("resident");
            let is_in = match name {
                "minor" => groups.minor,
                "senior" => groups.senior_tenant || (resident && groups.senior_resident),
                _ => groups.oggz,
            };
            if is_in {
                all.push(name);
                if group["shield"].as_bool() == Some(false) {
                    open.push(name);
                }
            }
        }
        (all, open, served)
    }

    /// Whether the role is served a group that comes from this source.
    fn rests_on(&self, role: &str, source: &str) -> bool {
        let all = Groups { minor: true, senior_tenant: true, senior_resident: true, oggz: true };
        let served = self.seen(role, &all).0;
        let of = |group: &&Value| group["source"].as_str() == Some(source);
        self.list("group").filter(of).any(|group| served.contains(&group["group"].as_str().unwrap()))
    }

    /// Before the form that it has.
    fn word(&self, role: &str, finding: Option<&Seen>) -> &'static str {
        match finding {
            None => "undetermined",
            Some(found) => match self.seen(role, &found.groups) {
                (_, _, 0) => "undetermined",
                (_, open, _) if !open.is_empty() => "priority",
                (all, _, _) if !all.is_empty() || !found.certain => "undetermined",
                _ if self.rests_on(role, "care") && !found.care_certain => "undetermined",
                _ => "no_priority",
            },
        }
    }

    fn answer(&self, role: &str, finding: Option<&Seen>) -> &'static str {
        let form = self.list("disclosure").find(|told| told["recipient"].as_str() == Some(role));
        let Some(form) = form.and_then(|told| told["form"].as_str()) else { return "undetermined" };
        let word = self.word(role, finding);
        if form == "consult" && word == "undetermined" { "priority" } else { word }
    }

    /// Questions that it counts as, and misses: of people in one household who are told a word one, and a miss if they
    /// live elsewhere; of one person who is told nothing one and a miss; of all others two and a miss.
    fn cost(&self, role: &str, finding: Option<&Seen>, found: &Finding, fresh: bool) -> (u32, bool) {
        if !fresh || !(self.rests_on(role, "care") || self.rests_on(role, "population")) {
            return (1, false);
        }
        match (found.tenants.len(), found.apart, self.word(role, finding)) {
            (1, _, "undetermined") => (1, true),
            (_, false, "priority" | "no_priority") => (1, found.moved.is_some()),
            _ => (2, true),
        }
    }

    fn told(&self, role: &str, finding: Option<&Seen>) -> Vec<(String, &'static str)> {
        let form = self.list("disclosure").find(|told| told["recipient"].as_str() == Some(role));
        if form.and_then(|told| told["form"].as_str()) != Some("groups") {
            return Vec::new();
        }
        let all = Groups { minor: true, senior_tenant: true, senior_resident: true, oggz: true };
        let names = self.seen(role, &all).0.into_iter().map(str::to_owned);
        let word = |name: &str| match finding {
            None => "undetermined",
            Some(found) => match (self.seen(role, &found.groups).0.contains(&name), name) {
                (true, _) => "yes",
                (false, "oggz") if found.certain && found.care_certain => "no",
                (false, "minor" | "senior") if found.certain => "no",
                _ => "undetermined",
            },
        };
        names
            .map(|name| {
                let said = word(&name);
                (name, said)
            })
            .collect()
    }
}

/// What counts of a finding.
struct Seen {
    certain: bool,
    care_certain: bool,
    groups: Groups,
}

impl Seen {
    fn all(found: &Finding) -> Self {
        Self { certain: found.certain, care_certain: found.care_certain, groups: found.groups }
    }

    /// At the address alone, where others count no more; of three people apart nothing.
    fn of(found: &Finding, fresh: bool, address: bool) -> Option<Self> {
        match found.moved {
            _ if !fresh || (found.apart && found.tenants.len() > 2) => None,
            Some(groups) if address => Some(Self { certain: false, care_certain: found.care_certain, groups }),
            _ => Some(Self::all(found)),
        }
    }
}

/// Regulations of the matrix: the cities, and Haarlem with the other choices of each key.
fn regulations() -> Vec<(Regulation, Plain)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config/regulations/");
    let read = |city: &str, file: &str| std::fs::read_to_string(format!("{folder}{city}/{file}")).unwrap();
    let mut texts: Vec<(String, String)> =
        ["haarlem", "rotterdam", "zaanstad", "sittard-geleen", "deventer", "groningen", "amsterdam"]
            .iter()
            .map(|city| (read(city, "regulation.toml"), read(city, "articles.cedar")))
            .collect();
    for change in [
        ("model = \"opt-out\"", "model = \"opt-in\""),
        ("whose_age = \"tenant\"", "whose_age = \"resident\""),
        ("form = \"three-valued\"", "form = \"consult\""),
        ("minimum_batch = 1", "minimum_batch = 20"),
        ("stop_share = 0.25", "stop_share = 0.25\nmost_questions = 120"),
        ("whose = \"registered\"", "whose = \"address\""),
        ("recipients = [\"corporation\", \"care-custodian\"]", "recipients = [\"care-custodian\"]"),
    ] {
        let text = texts[0].0.replacen(change.0, change.1, 1);
        assert_ne!(text, texts[0].0);
        texts.push((text, texts[0].1.clone()));
    }
    texts
        .into_iter()
        .map(|(toml, cedar)| {
            let file: Table = toml.parse().unwrap();
            let id = file["id"].as_str().unwrap().parse().unwrap();
            (Regulation::from_texts(&id, &toml, &cedar).unwrap(), Plain { file })
        })
        .collect()
}

fn days(regulation: &Regulation) -> [Date; 4] {
    let (from, until) = regulation.validity();
    [from - Duration::DAY, from, until - Duration::DAY, until]
}

fn facts(actor: &Oin, day: Date) -> Facts {
    Facts { stock: Some(1_000), in_stock: Some(true), batch: 25, ..Facts::new(actor.clone(), Act::Ask, day) }
}

/// All sixteen.
fn groups() -> impl Iterator<Item = Groups> {
    (0..16_u8).map(|bits| {
        let bit = |n: u8| bits & (1 << n) != 0;
        Groups { minor: bit(0), senior_tenant: bit(1), senior_resident: bit(2), oggz: bit(3) }
    })
}

fn findings() -> Vec<Option<Finding>> {
    let found = |groups, (certain, care_certain)| {
        Some(Finding { tenants: people(1), certain, care_certain, groups, apart: false, moved: None })
    };
    let sure = [(false, false), (false, true), (true, false), (true, true)];
    [None].into_iter().chain(groups().flat_map(|groups| sure.map(|sure| found(groups, sure)))).collect()
}

/// Tenants; who they are says nothing.
fn people(count: usize) -> Vec<Standing> {
    vec![Standing::Nobody; count]
}

#[test]
fn every_combination_gets_the_decision_and_the_answer_of_the_independent_table() {
    let findings = findings();
    let (mut decisions, mut answers, mut permits) = (0_usize, 0_usize, 0_usize);
    for (regulation, plain) in regulations() {
        for party in regulation.parties() {
            for day in days(&regulation) {
                for stage in STAGES {
                    for purpose in PURPOSES {
                        // Who may not ask at all is not asked why.
                        let every = if party.role == Role::Corporation { usize::MAX } else { 1 };
                        for conditions in CONDITIONS.into_iter().take(every) {
                            for limits in LIMITS.into_iter().take(every) {
                                let facts = combined(&facts(&party.oin, day), stage, purpose, conditions, limits);
                                let decided = regulation.decide(&facts);
                                decisions += 1;
                                assert_eq!(decided.is_ok(), plain.asks(&facts, stage), "{} {facts:?}", regulation.id());
                                let Ok(permit) = decided else { continue };
                                permits += 1;
                                // The same permit for one finding after the other; each takes one.
                                let finding = &findings[permits % findings.len()];
                                let seen = finding.as_ref().map(Seen::all);
                                let answer = permit.disclose(&regulation, finding.as_ref(), true);
                                assert_eq!(answer.as_str(), plain.answer(party.role.as_str(), seen.as_ref()));
                                answers += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    println!("{decisions} combinations decided, {permits} permitted, {answers} answers compared");
    assert!(decisions >= 10_000 && answers >= 1_000, "{decisions} {answers}");
}

#[test]
fn every_question_of_the_care_side_gets_the_decision_of_the_independent_table() {
    let (mut decisions, mut permits) = (0_usize, 0_usize);
    for (regulation, plain) in regulations() {
        for party in regulation.parties() {
            for day in days(&regulation) {
                for purpose in PURPOSES {
                    for in_case in [true, false] {
                        // Stage, conditions and limits are a corporation's: they change nothing here.
                        for (stage, conditions, limits) in besides() {
                            let facts = combined(&facts(&party.oin, day), stage, purpose, conditions, limits);
                            let facts = Facts { action: Act::AskGroups, in_case, ..facts };
                            let want = plain.asks_groups(party.oin.as_str(), day, purpose, in_case);
                            assert_eq!(regulation.decide(&facts).is_ok(), want, "{} {facts:?}", regulation.id());
                            decisions += 1;
                            permits += usize::from(want);
                        }
                    }
                }
            }
        }
    }
    println!("{decisions} questions of the care side decided, {permits} permitted");
    assert!(decisions >= 10_000 && permits >= 500, "{decisions} {permits}");
}

type Besides = (Option<(f64, u32)>, [bool; 5], (bool, bool, u64, u64, u32));

/// Each stage, each conditions and each limits once.
fn besides() -> impl Iterator<Item = Besides> {
    let most = STAGES.len().max(CONDITIONS.len()).max(LIMITS.len());
    (0..most).map(|at| (STAGES[at % STAGES.len()], CONDITIONS[at % CONDITIONS.len()], LIMITS[at % LIMITS.len()]))
}

#[test]
fn every_finding_young_or_old_together_or_apart_gets_the_answer_and_the_cost_of_the_independent_table() {
    let mut compared = 0;
    for (regulation, plain) in regulations() {
        let address = plain.file["household"]["whose"].as_str() == Some("address");
        for party in regulation.parties().iter().filter(|party| party.role == Role::Corporation) {
            let best = facts(&party.oin, regulation.validity().0);
            let best = combined(&best, STAGES[7], PURPOSES[1], CONDITIONS[0], LIMITS[8]);
            for found in findings().into_iter().flatten() {
                for (found, fresh) in variants(&found) {
                    let answer = regulation.decide(&best).unwrap().disclose(&regulation, Some(&found), fresh);
                    let seen = Seen::of(&found, fresh, address);
                    let want = plain.answer("corporation", seen.as_ref());
                    assert_eq!(answer.as_str(), want, "{} {found:?}", regulation.id());
                    let cost = regulation.cost(Role::Corporation, Some(&found), fresh);
                    let want = plain.cost("corporation", seen.as_ref(), &found, fresh);
                    assert_eq!((cost.questions, cost.missed), want, "{} {found:?}", regulation.id());
                    compared += 1;
                }
            }
        }
    }
    println!("{compared} findings compared");
    assert!(compared >= 300_000, "{compared}");
}

/// A finding with all that may be true beside its groups: somebody elsewhere, one tenant or several, together or apart,
/// sources young or old. Whether tenants are linked, unsure or nobody (as who has a disclosure restriction, and so stands in
/// no load) says nothing of its own.
fn variants(found: &Finding) -> impl Iterator<Item = (Finding, bool)> {
    let linked = Standing::Linked { row: 0, z: Z::from_distance(0, 81), at_address: true, by_names: true };
    let standings = [linked, Standing::Unsure, Standing::Nobody];
    let contracts = [(1, false), (2, false), (2, true), (3, false), (3, true)];
    let moves = [None].into_iter().chain(groups().map(Some));
    let each = moves.flat_map(move |moved| contracts.map(|contract| (moved, contract)));
    let each = each.flat_map(move |one| standings.map(|standing| (one, standing)));
    each.flat_map(|((moved, (tenants, apart)), standing)| {
        let found = Finding { moved, tenants: vec![standing; tenants], apart, ..found.clone() };
        [(found.clone(), true), (found, false)]
    })
}

fn combined(
    from: &Facts,
    stage: Option<(f64, u32)>,
    purpose: Option<&str>,
    said: [bool; 5],
    (in_stock, tap_closed, asked, household, batch): (bool, bool, u64, u64, u32),
) -> Facts {
    let [personal_contact, help_offered, reminder_sent, no_objection, tenant_agrees] = said;
    Facts {
        purpose: purpose.map(|text| text.parse().unwrap()),
        arrears: stage.map(|(months, days)| Arrears { months, days }),
        conditions: Conditions { personal_contact, help_offered, reminder_sent, no_objection, tenant_agrees },
        in_stock: Some(in_stock),
        tap_closed,
        asked_this_month: asked,
        asked_household_this_month: household,
        batch,
        ..from.clone()
    }
}

#[test]
fn every_group_of_a_finding_reaches_exactly_the_recipients_with_a_ground() {
    let findings = findings();
    let mut compared = 0;
    for (regulation, plain) in regulations() {
        let today = regulation.validity().0;
        for party in regulation.parties() {
            let nobody = [(None, true), (None, false)];
            let found = findings.iter().flatten().flat_map(variants).map(|(found, fresh)| (Some(found), fresh));
            for (finding, fresh) in nobody.into_iter().chain(found) {
                // A case is a household at its address, whatever the regulation says of a corporation's question.
                let seen = finding.as_ref().and_then(|found| Seen::of(found, fresh, true));
                let best = Facts {
                    action: Act::AskGroups,
                    in_case: true,
                    purpose: Some("eviction-prevention".parse().unwrap()),
                    ..facts(&party.oin, today)
                };
                // Who may not ask is not asked about each finding.
                let Ok(permit) = regulation.decide(&best) else { break };
                let told = permit.disclose_groups(&regulation, finding.as_ref(), fresh);
                let name = |group: &Group| match group {
                    Group::Minor => "minor",
                    Group::Senior => "senior",
                    Group::Oggz => "oggz",
                };
                let told: Vec<_> = told.iter().map(|(group, told)| (name(group).to_owned(), told.as_str())).collect();
                assert_eq!(told, plain.told(party.role.as_str(), seen.as_ref()), "{} {finding:?}", regulation.id());
                assert!(party.role.as_str() == "care-custodian" || !told.iter().any(|(name, _)| name == "oggz"));
                compared += 1;
            }
        }
    }
    println!("{compared} findings of cases compared");
    assert!(compared >= 300_000, "{compared}");
}
