//! Each row of the sources' table of rules, one by one, against the step that a regulation makes of it.

use std::collections::BTreeSet;

use serde::Deserialize;
use voorrang::regulate::{Addressee, AppliesTo, By, Consent, Regulation, Role, Stage, Step};

/// The first nine columns are as the table of the sources has them; the others are what we make of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    rule: String,
    #[serde(rename = "where")]
    place: String,
    applies: String,
    trigger: String,
    step: String,
    from_to: String,
    deadline: String,
    source: String,
    regulation: String,
    corporations: String,
    code: String,
    stage: String,
    to: String,
    months: Option<f64>,
    days: Option<u32>,
    by: String,
    condition: String,
    consent: String,
    consent_as_written: String,
    within_days: Option<u16>,
    after_days: Option<u16>,
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
        assert_eq!((step.within_days, step.after_days), (row.within_days, row.after_days), "{}", row.rule);
        assert_eq!((&step.code, word(step.stage)), (&row.code, row.stage.clone()), "{}", row.rule);
        assert_eq!(step.to.iter().map(word).collect::<Vec<_>>().join(";"), row.to, "{}", row.rule);
        assert_eq!(step.gate, row.gate == "1", "{}", row.rule);
        assert_eq!(word(step.applies_to), row.applies_to, "{}", row.rule);
    }
    assert_eq!(without, ["HLM-OLD-2", "RTD-AGE"]);
}

/// Steps that stand in no row, and why they are there all the same.
const OF_NO_ROW: [(&str, &str); 10] = [
    ("RTD-GROUPS", "the groups of the covenant (RTD14:284-288), of which the table of rules has no row"),
    ("ZAA-PRIO", "our ruling: Haarlem's gate before the bailiff (HLM-G1), without which priority obliges to nothing"),
    ("SIT-PRIO", "the same"),
    ("DEV-PRIO", "the same"),
    ("GRO-PRIO", "the same"),
    ("AMS-PRIO", "the same"),
    ("ZAA-1-R", "the deadline of row ZAA-1: it is another party's to keep"),
    ("ZAA-2-R", "the deadline of row ZAA-2"),
    ("AMS-1-A", "the first deadline of row AMS-1"),
    ("AMS-1-C", "its second deadline"),
];

#[test]
fn every_step_of_the_seven_cities_is_a_row_or_one_of_the_listed_ten() {
    let all = Regulation::built_in();
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.rule).collect();
    let steps = all.iter().flat_map(|one| one.all_steps());
    let invented: BTreeSet<&str> = steps.map(|step| step.id.as_str()).filter(|id| !rows.contains(*id)).collect();
    assert_eq!(invented, OF_NO_ROW.iter().map(|(id, _)| *id).collect());
    // Each of them follows from something: the source that it cites, or the gate that it copies.
    for step in all.iter().flat_map(|one| one.all_steps()).filter(|step| invented.contains(step.id.as_str())) {
        assert!(!step.reference.is_empty() && !step.to.is_empty(), "{}", step.id);
        if step.id.ends_with("-PRIO") {
            assert!(step.gate && step.applies_to == AppliesTo::Priority, "{}", step.id);
            assert_eq!(
                (&step.to[..], step.stage),
                (&[Addressee::SocialDistrictTeam][..], Stage::Signal),
                "{}",
                step.id
            );
            assert!(step.reference.starts_with("our ruling"), "{}", step.id);
        }
    }
}

/// What the sources call each addressee.
const NAMES: [(&str, Addressee); 21] = [
    ("SWT", Addressee::SocialDistrictTeam),
    ("district team", Addressee::SocialDistrictTeam),
    ("SDV", Addressee::DebtService),
    ("GKB", Addressee::DebtService),
    ("BAD", Addressee::DebtService),
    ("EHBG", Addressee::DebtService),
    ("KBR", Addressee::DebtService),
    ("MPH", Addressee::EvictionPreventionDesk),
    ("Stedelijke Toegang", Addressee::MunicipalAccessDesk),
    ("Partners in Welzijn", Addressee::WelfareOrganisation),
    ("area team", Addressee::AreaTeam),
    ("BZT", Addressee::CareDesk),
    ("TTJ", Addressee::YouthAccessTeam),
    ("Team Toegang Jeugd", Addressee::YouthAccessTeam),
    ("shelter", Addressee::Shelter),
    ("Meldpunt", Addressee::NuisanceAndCareDesk),
    ("Woonkans", Addressee::SecondChanceDesk),
    ("Vroeg Eropaf", Addressee::EarlyOutreachDesk),
    ("municipality", Addressee::Municipality),
    ("tenant", Addressee::Tenant),
    ("corporation", Addressee::Corporation),
];

fn named(text: &str) -> Vec<Addressee> {
    // The desk is the credit bank's; a team beside the corporation is who sends.
    let text = text.replace("KBR/MPH", "MPH").replace("corporation/SWT", "corporation");
    NAMES.iter().filter(|(name, _)| text.contains(name)).map(|(_, who)| *who).collect()
}

/// Rows whose source names nobody: "all" who work together in Haarlem; in Amsterdam the corporation knows how a tenant
/// pays, and an eviction is stopped at the tenant's.
const UNNAMED: [(&str, Addressee); 5] = [
    ("HLM-PE-2e", Addressee::DebtService),
    ("HLM-PE-3b", Addressee::SocialDistrictTeam),
    ("HLM-PE-3b", Addressee::DebtService),
    ("AMS-2", Addressee::Corporation),
    ("AMS-BB", Addressee::Tenant),
];

#[test]
fn a_step_goes_to_whom_the_sources_name_and_to_nobody_else() {
    let all = Regulation::built_in();
    let mut above = String::new();
    let mut unnamed = BTreeSet::new();
    for row in rows() {
        let from_to = if row.from_to == "idem" { above.clone() } else { row.from_to.clone() };
        above.clone_from(&from_to);
        let (_, Some(step)) = find(&all, &row) else { continue };
        let may = named(&format!("{from_to}; {}", row.step));
        for who in &step.to {
            if !may.contains(who) {
                assert!(UNNAMED.contains(&(row.rule.as_str(), *who)), "{}: {who:?} stands nowhere", row.rule);
                unnamed.insert((row.rule.clone(), word(who)));
            }
        }
        for who in named(&from_to) {
            let itself = word(who) == word(step.by) || (who, step.by) == (Addressee::Corporation, By::Corporation);
            let talked_to = matches!(who, Addressee::Tenant | Addressee::Corporation);
            assert!(itself || talked_to || step.to.contains(&who), "{}: {who:?} is left out", row.rule);
        }
    }
    assert_eq!(unnamed.len(), UNNAMED.len(), "each exception is one: {unnamed:?}");
}

/// What can be read from the sources' own words, without our columns.
#[test]
fn the_words_of_the_sources_agree_with_the_steps() {
    let all = Regulation::built_in();
    for row in &rows() {
        let (regulation, Some(step)) = find(&all, row) else { continue };
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
        if row.deadline.ends_with(" months") && row.trigger.contains("after") {
            let months: u16 = row.deadline.trim_end_matches(" months").parse().unwrap();
            assert!(step.within_days.is_none(), "{}: later, and not sooner", row.rule);
            assert!(step.after_days.is_some_and(|days| days >= months * 30), "{}", row.rule);
        }
        assert_cites(row, step);
        assert_place(row, regulation, step);
        assert!(is_told(&row.step, &step.en), "{}: {} is not {}", row.rule, row.step, step.en);
        if let Some(stage) = stage_of(&row.trigger) {
            assert_eq!(step.stage, stage, "{}: {}", row.rule, row.trigger);
        }
    }
}

/// The city, and its corporations where the sources name some.
fn assert_place(row: &Row, regulation: &Regulation, step: &Step) {
    let (city, whose) = row.place.split_once(" · ").unwrap_or((&row.place, ""));
    assert!(city == "idem" || city == regulation.municipality().name, "{}: {city}", row.rule);
    let corporations = regulation.parties().iter().filter(|party| party.role == Role::Corporation);
    let named: Vec<_> = corporations.filter(|party| whose.contains(party.name.split(' ').next().unwrap())).collect();
    assert!(
        named.is_empty() || step.parties.iter().all(|oin| named.iter().any(|party| party.oin == *oin)),
        "{}: {whose}",
        row.rule
    );
    assert!(named.iter().all(|party| step.parties.contains(&party.oin)), "{}: {whose}", row.rule);
}

/// Whether the step's English has a word of the sources', by its first five letters.
fn is_told(source: &str, step: &str) -> bool {
    let stems = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 3);
        words.map(|word| word.chars().take(5).collect::<String>().to_lowercase()).collect()
    };
    !stems(source).is_disjoint(&stems(step))
}

/// Where the trigger says it.
fn stage_of(trigger: &str) -> Option<Stage> {
    let words = [
        ("ST1", Stage::Signal),
        ("before bailiff", Stage::Signal),
        ("bailiff unavoidable", Stage::Bailiff),
        ("bailiff phase", Stage::Bailiff),
        ("verdict", Stage::Verdict),
        ("before eviction", Stage::Eviction),
        ("planned eviction", Stage::Eviction),
        ("asks consent to evict", Stage::Eviction),
        ("first signs", Stage::Arrears),
        ("after arrears arise", Stage::Arrears),
        ("reminder", Stage::Arrears),
    ];
    words.into_iter().find(|(word, _)| trigger.contains(word)).map(|(_, stage)| stage)
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
