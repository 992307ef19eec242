//! `voorrang evaluate`: how well tenants are linked and households answered, measured against who is who.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Link F1 that no change may go below.
const LEAST_F1: f64 = 0.985;
/// Share of all contracts that may be answered `undetermined`.
const MOST_UNDETERMINED: f64 = 0.06;

type Rows = Vec<BTreeMap<String, String>>;

struct Evaluated {
    answers: Rows,
    links: Rows,
}

fn evaluate(data: &Path, more: &[&str]) -> Evaluated {
    let out = tempfile::tempdir().unwrap();
    voorrang().arg("evaluate").arg(data).arg("-o").arg(out.path()).args(more).assert().success().stdout("");
    Evaluated { answers: rows(&out.path().join("answers.csv")), links: rows(&out.path().join("links.csv")) }
}

impl Evaluated {
    /// Harmonic mean of precision and recall of tenant to person. A tenant counts as findable who is in the
    /// register and alive.
    fn link_f1(&self, data: &Path) -> f64 {
        let key = |row: &BTreeMap<String, String>| (row["contract_id"].clone(), row["volgnr"].clone());
        let truth = rows(&data.join("truth_huurders.csv"));
        let findable = |row: &&BTreeMap<String, String>| {
            !row["person_id"].is_empty() && !["niet_in_brp", "overleden"].contains(&row["situatie"].as_str())
        };
        let positives = truth.iter().filter(findable).count();
        let truth: BTreeMap<_, _> = truth.iter().map(|row| (key(row), row)).collect();
        let made: Vec<_> = self.links.iter().filter(|row| !row["person_id"].is_empty()).collect();
        let right = |row: &&&BTreeMap<String, String>| {
            let truth = truth[&key(row)];
            truth["person_id"] == row["person_id"] && truth["situatie"] != "niet_in_brp"
        };
        let right = made.iter().filter(right).count();
        2.0 * right as f64 / (made.len() + positives) as f64
    }

    fn undetermined(&self) -> f64 {
        let count = self.answers.iter().filter(|row| row["answer"] == "undetermined").count();
        count as f64 / self.answers.len() as f64
    }

    /// Contracts whose household has this group by the truth and that got this answer.
    fn answered(&self, data: &Path, group: &str, answer: &str) -> BTreeSet<String> {
        let truth = rows(&data.join("truth_contracten.csv"));
        let with: BTreeSet<_> =
            truth.iter().filter(|row| row[group] == "1").map(|row| row["contract_id"].clone()).collect();
        assert!(!with.is_empty(), "{group}");
        let got = self.answers.iter().filter(|row| row["answer"] == answer).map(|row| row["contract_id"].clone());
        got.filter(|contract| with.contains(contract)).collect()
    }
}

fn nl10k() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/nl10k");
    data.join("truth_huurders.csv").exists().then_some(data)
}

#[test]
fn the_shipped_people_are_linked_and_no_family_is_overlooked() {
    let data = demo_data();
    let all = evaluate(&data, &["--all-contracts"]);
    let f1 = all.link_f1(&data);
    assert!(f1 >= LEAST_F1, "{f1}");
    assert_eq!(all.answered(&data, "kind", "no_priority"), BTreeSet::new());
    // Who is in no register is undetermined, and so few people hold many of those.
    assert!(all.undetermined() < 0.10, "{}", all.undetermined());
    for group in ["kind", "ouder65", "oggz"] {
        assert!(!all.answered(&data, group, "priority").is_empty(), "{group}");
    }
}

#[test]
fn ten_thousand_people_are_linked_and_no_family_is_overlooked() {
    let Some(data) = nl10k() else {
        eprintln!("skipped: ../shared/data/nl10k is not here");
        return;
    };
    let all = evaluate(&data, &["--all-contracts"]);
    let f1 = all.link_f1(&data);
    assert!(f1 >= LEAST_F1, "{f1}");
    assert!(all.undetermined() <= MOST_UNDETERMINED, "{}", all.undetermined());
    assert_eq!(all.answered(&data, "kind", "no_priority"), BTreeSet::new());
}

#[test]
fn every_contract_in_arrears_has_one_answer_and_every_tenant_of_it_one_link() {
    let data = demo_data();
    let contracts = |rows: &Rows| rows.iter().map(|row| row["contract_id"].clone()).collect::<Vec<_>>();
    let arrears: BTreeSet<_> = contracts(&rows(&data.join("achterstanden.csv"))).into_iter().collect();
    let tenants = rows(&data.join("huurders.csv"));
    let persons: BTreeSet<_> = rows(&data.join("brp.csv")).into_iter().map(|mut row| row.remove("person_id")).collect();
    for (asked, more) in
        [(arrears, &[][..]), (contracts(&tenants).into_iter().collect::<BTreeSet<_>>(), &["--all-contracts"][..])]
    {
        let Evaluated { answers, links } = evaluate(&data, more);
        assert_eq!(contracts(&answers), asked.iter().cloned().collect::<Vec<_>>());
        for row in &answers {
            assert!(["priority", "no_priority", "undetermined"].contains(&row["answer"].as_str()));
            let groups: Vec<_> = ["minors", "seniors", "oggz"].iter().map(|group| row[*group].as_str()).collect();
            assert!(groups.iter().all(|group| ["0", "1"].contains(group)));
            assert_eq!(groups.contains(&"1"), row["answer"] == "priority", "{row:?}");
        }
        let of = |rows: &Rows| {
            let ours = rows.iter().filter(|row| asked.contains(&row["contract_id"]));
            ours.map(|row| (row["contract_id"].clone(), row["volgnr"].clone())).collect::<BTreeSet<_>>()
        };
        assert_eq!(of(&links), of(&tenants));
        assert_eq!(links.len(), of(&tenants).len());
        let linked = links.into_iter().filter_map(|mut row| row.remove("person_id").filter(|id| !id.is_empty()));
        assert!(linked.map(Some).all(|id| persons.contains(&id)));
    }
}

#[test]
fn without_a_care_list_every_answer_that_rests_on_it_is_undetermined() {
    let folder = workplace();
    let data = folder.path().join("data");
    fs::remove_file(data.join("oggz.csv")).unwrap();
    let without = evaluate(&data, &["--all-contracts"]);
    assert!(without.answers.iter().all(|row| row["answer"] == "undetermined"), "missing never means no");
    assert!(without.link_f1(&demo_data()) >= LEAST_F1, "links rest on the register alone");

    // A covenant that tells corporations nothing of the care list.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/regulations/haarlem");
    let regulation = folder.path().join("haarlem");
    fs::create_dir(&regulation).unwrap();
    fs::copy(shipped.join("articles.cedar"), regulation.join("articles.cedar")).unwrap();
    let text = fs::read_to_string(shipped.join("regulation.toml")).unwrap();
    let (before, oggz) = text.split_once("group = \"oggz\"").unwrap();
    let oggz = oggz.replacen("\"corporation\", ", "", 1);
    fs::write(regulation.join("regulation.toml"), format!("{before}group = \"oggz\"{oggz}")).unwrap();
    let without = evaluate(&data, &["--all-contracts", "--regulation", regulation.to_str().unwrap()]);
    let answers: BTreeSet<_> = without.answers.iter().map(|row| row["answer"].as_str()).collect();
    assert_eq!(answers, ["no_priority", "priority", "undetermined"].into());
}

/// Answers that differ. Filling bits follow the salt, so a household at the margin can fall on either side.
fn different(one: &Evaluated, other: &Evaluated) -> usize {
    assert_eq!(one.answers.len(), other.answers.len());
    one.answers.iter().zip(&other.answers).filter(|(a, b)| a != b).count()
}

#[test]
fn without_meta_json_the_day_is_an_option_or_today() {
    let folder = workplace();
    let data = folder.path().join("data");
    let with = evaluate(&data, &["--all-contracts"]);
    fs::remove_file(data.join("meta.json")).unwrap();
    let same = evaluate(&data, &["--all-contracts", "--reference-date", "2026-01-01"]);
    assert!(different(&with, &same) * 20 <= with.answers.len());
    // Children grow up.
    let minors = |evaluated: &Evaluated| evaluated.answers.iter().filter(|row| row["minors"] == "1").count();
    let later = evaluate(&data, &["--all-contracts", "--reference-date", "2050-01-01"]);
    assert!(minors(&later) < minors(&same) / 4, "{} {}", minors(&later), minors(&same));
    assert_eq!(evaluate(&data, &[]).answers.len(), 37);
}

#[test]
fn another_salt_changes_hardly_an_answer() {
    let once = evaluate(&demo_data(), &["--all-contracts"]);
    let again = evaluate(&demo_data(), &["--all-contracts"]);
    let different = different(&once, &again);
    assert!(different * 20 <= once.answers.len(), "{different}");
}

#[test]
fn arrears_are_not_needed_to_ask_for_all_contracts() {
    let folder = workplace();
    let data = folder.path().join("data");
    fs::remove_file(data.join("achterstanden.csv")).unwrap();
    assert_eq!(evaluate(&data, &["--all-contracts"]).answers.len(), 214);
}
