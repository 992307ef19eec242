//! A matrix of role, purpose, stage, conditions, consent, date, limits and group, decided twice: by the regulation, and
//! by the plain table below, which reads the file on its own and shares no code with `regulate`.

use time::{Date, Duration};
use toml::{Table, Value};
use voorrang::code::Group;
use voorrang::ids::Oin;
use voorrang::link::{Finding, Groups};
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
const LIMITS: [(bool, bool, u64, u64, u32); 7] = [
    (true, false, 0, 0, 1),
    (false, false, 0, 0, 1),
    (true, true, 0, 0, 1),
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
        let most = (budget["stop_share"].as_float().unwrap() * facts.stock.unwrap() as f64).ceil();
        facts.in_stock == Some(true)
            && !facts.tap_closed
            && (facts.asked_this_month as f64) < most
            && (facts.asked_household_this_month as i64) < budget["household_per_month"].as_integer().unwrap()
            && i64::from(facts.batch) >= budget["minimum_batch"].as_integer().unwrap()
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

    fn answer(&self, role: &str, finding: Option<(bool, &Groups)>) -> &'static str {
        let form = self.list("disclosure").find(|told| told["recipient"].as_str() == Some(role));
        let Some(form) = form.and_then(|told| told["form"].as_str()) else { return "undetermined" };
        let word = match finding {
            None => "undetermined",
            Some((certain, groups)) => match self.seen(role, groups) {
                (_, _, 0) => "undetermined",
                (_, open, _) if !open.is_empty() => "priority",
                (all, _, _) if !all.is_empty() || !certain => "undetermined",
                _ => "no_priority",
            },
        };
        if form == "consult" && word == "undetermined" { "priority" } else { word }
    }

    fn told(&self, role: &str, finding: Option<(bool, &Groups)>) -> Vec<(String, &'static str)> {
        let form = self.list("disclosure").find(|told| told["recipient"].as_str() == Some(role));
        if form.and_then(|told| told["form"].as_str()) != Some("groups") {
            return Vec::new();
        }
        let all = Groups { minor: true, senior_tenant: true, senior_resident: true, oggz: true };
        let names = self.seen(role, &all).0.into_iter().map(str::to_owned);
        let word = |name: &str| match finding {
            None => "undetermined",
            Some((certain, groups)) => match (self.seen(role, groups).0.contains(&name), certain) {
                (true, _) => "yes",
                (false, true) => "no",
                (false, false) => "undetermined",
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
        ("whose = \"registered\"", "whose = \"address\""),
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
    let found = |groups, certain| Some(Finding { tenants: vec![], certain, groups, households: 1, moved: None });
    [None].into_iter().chain(groups().flat_map(|groups| [false, true].map(|certain| found(groups, certain)))).collect()
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
                                let seen = finding.as_ref().map(|found| (found.certain, &found.groups));
                                let answer = permit.disclose(&regulation, finding.as_ref(), true);
                                assert_eq!(answer.as_str(), plain.answer(party.role.as_str(), seen));
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
fn every_finding_young_or_old_at_home_or_elsewhere_gets_the_answer_of_the_independent_table() {
    let mut compared = 0;
    for (regulation, plain) in regulations() {
        let address = plain.file["household"]["whose"].as_str() == Some("address");
        let moves: Vec<Option<Groups>> = [None].into_iter().chain(groups().map(Some)).collect();
        for party in regulation.parties().iter().filter(|party| party.role == Role::Corporation) {
            let best = facts(&party.oin, regulation.validity().0);
            let best = combined(&best, STAGES[7], PURPOSES[1], CONDITIONS[0], LIMITS[6]);
            for found in findings().into_iter().flatten() {
                for (moved, households, fresh) in moves
                    .iter()
                    .flat_map(|moved| (1..=3).flat_map(move |n| [true, false].map(|fresh| (*moved, n, fresh))))
                {
                    let found = Finding { moved, households, ..found.clone() };
                    let answer = regulation.decide(&best).unwrap().disclose(&regulation, Some(&found), fresh);
                    // Of more households than two people have, nothing is told; of who lives elsewhere, no certain no.
                    let seen = match moved {
                        _ if !fresh || households > 2 => None,
                        Some(staying) if address => Some((false, staying)),
                        _ => Some((found.certain, found.groups)),
                    };
                    let seen = seen.as_ref().map(|(certain, groups)| (*certain, groups));
                    assert_eq!(answer.as_str(), plain.answer("corporation", seen), "{} {found:?}", regulation.id());
                    compared += 1;
                }
            }
        }
    }
    println!("{compared} findings compared");
    assert!(compared >= 50_000, "{compared}");
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
            for finding in &findings {
                let seen = finding.as_ref().map(|found| (found.certain, &found.groups));
                let best = Facts {
                    action: Act::AskGroups,
                    in_case: true,
                    purpose: Some("eviction-prevention".parse().unwrap()),
                    ..facts(&party.oin, today)
                };
                let Ok(permit) = regulation.decide(&best) else { continue };
                let told = permit.disclose_groups(&regulation, finding.as_ref(), true);
                let name = |group: &Group| match group {
                    Group::Minor => "minor",
                    Group::Senior => "senior",
                    Group::Oggz => "oggz",
                };
                let told: Vec<_> = told.iter().map(|(group, told)| (name(group).to_owned(), told.as_str())).collect();
                assert_eq!(told, plain.told(party.role.as_str(), seen));
                assert!(party.role.as_str() == "care-custodian" || !told.iter().any(|(name, _)| name == "oggz"));
                compared += 1;
            }
        }
    }
    assert!(compared >= 500, "{compared}");
}
