//! Each row of the sources' table of rules, one by one, against the step that a regulation makes of it.

use std::collections::BTreeSet;

use serde::Deserialize;
use voorrang::regulate::{AppliesTo, By, Consent, Regulation, Step};

/// The first nine columns are as the table of the sources has them; the others are what we make of them.
#[derive(Deserialize)]
struct Row {
    rule: String,
    applies: String,
    trigger: String,
    deadline: String,
    source: String,
    regulation: String,
    corporations: String,
    months: Option<f64>,
    days: Option<u32>,
    by: String,
    condition: String,
    consent: String,
    consent_as_written: String,
    within_days: Option<u16>,
    gate: String,
    applies_to: String,
    ruling: String,
}

fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dossier_rules.csv");
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

/// The word that a value has in `regulation.toml`.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap_or_default().to_owned()
}

fn find<'a>(all: &'a [Regulation], row: &Row) -> (&'a Regulation, Option<&'a Step>) {
    let regulation = all.iter().find(|one| one.id().as_str() == row.regulation).expect("the city ships");
    (regulation, regulation.all_steps().iter().find(|step| step.id == row.rule))
}

#[test]
fn every_row_of_the_seven_cities_is_a_step_or_says_why_not() {
    let all = Regulation::built_in();
    let rows = rows();
    assert_eq!((rows.len(), all.len()), (58, 7));
    let mut without = Vec::new();
    for row in &rows {
        let (regulation, step) = find(&all, row);
        let Some(step) = step else {
            assert!(row.months.is_none() && !row.ruling.is_empty(), "{}", row.rule);
            without.push(row.rule.as_str());
            continue;
        };
        let names: BTreeSet<&str> =
            step.parties.iter().map(|oin| regulation.party(oin).unwrap().name.as_str()).collect();
        assert_eq!(names, row.corporations.split(';').collect(), "{}", row.rule);
        assert_eq!((Some(step.months), Some(step.days)), (row.months, row.days), "{}", row.rule);
        assert_eq!((word(step.by), word(step.consent)), (row.by.clone(), row.consent.clone()), "{}", row.rule);
        assert_eq!(step.condition.map_or_else(String::new, word), row.condition, "{}", row.rule);
        assert_eq!((step.within_days, step.gate), (row.within_days, row.gate == "1"), "{}", row.rule);
        assert_eq!(word(step.applies_to), row.applies_to, "{}", row.rule);
    }
    assert_eq!(without, ["HLM-OLD-2", "RTD-AGE"]);
}

/// What can be read from the sources' own words, without our columns.
#[test]
fn the_words_of_the_sources_agree_with_the_steps() {
    let all = Regulation::built_in();
    for row in &rows() {
        let (_, Some(step)) = find(&all, row) else { continue };
        match row.applies.chars().next() {
            Some('P') => assert_eq!(step.applies_to, AppliesTo::Priority, "{}", row.rule),
            Some('F') => assert_eq!(step.applies_to, AppliesTo::Families, "{}", row.rule),
            _ => assert_eq!(step.applies_to, AppliesTo::All, "{}", row.rule),
        }
        match row.consent_as_written.as_str() {
            "tenant wants" | "tenant signs" => assert_eq!(step.consent, Consent::OptIn, "{}", row.rule),
            "none stated" => assert_eq!(step.consent, Consent::OptOut, "{}", row.rule),
            "none" => assert_eq!(step.consent, Consent::None, "{}", row.rule),
            "n/a" => assert_eq!(step.consent, Consent::NotApplicable, "{}", row.rule),
            _ => {}
        }
        if let Some(months) = months_of(&row.trigger) {
            // "start of 3rd month" and "3 months" are a month apart; the ruling says which.
            assert!((step.months - months).abs() < 1e-9, "{}: {} {}", row.rule, row.trigger, step.months);
        }
        if let Some(days) = row.deadline.strip_prefix("within ").and_then(|rest| rest.strip_suffix(" week")) {
            assert_eq!(step.within_days, days.parse::<u16>().ok().map(|weeks| weeks * 7), "{}", row.rule);
        }
        assert_cites(row, step);
    }
}

/// "1.5 months" and "about 2 months" at the beginning of a trigger; "6 months after report" is no moment of arrears.
fn months_of(trigger: &str) -> Option<f64> {
    let rest = trigger.strip_prefix("about ").unwrap_or(trigger);
    let (number, unit) = rest.split_once(' ')?;
    (unit.starts_with("month") && !unit.contains("after")).then(|| number.parse().ok()).flatten()
}

/// The step's reference names the source and the first line of it that the table names.
fn assert_cites(row: &Row, step: &Step) {
    let first = row.source.trim_start_matches('(').split(['-', ',', ')']).next().unwrap();
    let (file, line) = first.split_once(':').unwrap();
    let cited = step.reference.contains(&format!("{file}:{line}"));
    assert!(cited, "{}: {} lacks {first}", row.rule, step.reference);
}

#[test]
fn a_corporation_is_told_its_own_steps_and_none_that_tells_a_group() {
    for regulation in Regulation::built_in() {
        for step in regulation.all_steps() {
            assert!(!step.parties.is_empty(), "{}", step.id);
            assert!(step.applies_to != AppliesTo::Families || step.by != By::Corporation, "{}", step.id);
        }
        for party in regulation.parties() {
            let late = voorrang::regulate::Arrears { months: 24.0, days: 0 };
            for answer in ["priority", "no_priority", "undetermined"] {
                let answer = voorrang::regulate::Answer::from_word(answer).unwrap();
                let due = regulation.steps(&party.oin, late, answer);
                assert!(due.iter().all(|step| step.by == By::Corporation && step.applies_to != AppliesTo::Families));
            }
        }
    }
}

#[test]
fn each_city_has_a_gate_for_priority_and_undetermined() {
    for regulation in Regulation::built_in() {
        let gate = regulation.all_steps().iter().find(|step| step.gate && step.applies_to == AppliesTo::Priority);
        assert!(gate.is_some(), "{}", regulation.id());
    }
}
