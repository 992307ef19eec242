//! Example questions: who would get what, under which article. Nothing is asked of a service.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::ids::Purpose;
use crate::link::{Finding, Groups};
use crate::regulate::{Act, Answer, Arrears, Conditions, Facts, Permit, Regulation};

/// One file, `*.toml`. What is left out speaks against who asks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    /// Name of the party that asks, as the regulation has it.
    party: String,
    /// Any act of the articles; `ask` if left out.
    #[serde(default = "ask")]
    act: String,
    /// The day; the regulation's first one if left out.
    day: Option<toml::value::Datetime>,
    purpose: Option<Purpose>,
    months: Option<f64>,
    #[serde(default)]
    days: u32,
    #[serde(default)]
    personal_contact: bool,
    #[serde(default)]
    help_offered: bool,
    #[serde(default)]
    reminder_sent: bool,
    #[serde(default)]
    no_objection: bool,
    #[serde(default)]
    tenant_agrees: bool,
    #[serde(default)]
    in_stock: bool,
    #[serde(default)]
    in_case: bool,
    /// Dwellings of its stock; 1,000 if left out.
    dwellings: Option<u64>,
    /// Its questions this month, this one not counted,
    #[serde(default)]
    asked_this_month: u64,
    /// and those about this household.
    #[serde(default)]
    asked_about_household: u64,
    /// Households in the request; as many as the regulation wants at least if left out.
    households: Option<u32>,
    /// Whether its questions missed so often that its tap is closed.
    #[serde(default)]
    tap_closed: bool,
    /// Whether a register on which the answer rests is older than the regulation lets it be.
    #[serde(default)]
    register_too_old: bool,
    /// Name of the party that stands behind the act too.
    second: Option<String>,
    /// What linking would find; nobody if left out.
    household: Option<Household>,
}

fn ask() -> String {
    Act::Ask.as_str().into()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Household {
    certain: bool,
    /// The tenant is registered at another address, and so is the household; nobody of a group is left at the one asked about.
    elsewhere: bool,
    minor: bool,
    senior_tenant: bool,
    senior_resident: bool,
    oggz: bool,
}

/// Prints the table of a folder's questions, by file name.
///
/// # Errors
/// A file that is no question, with its line.
pub(super) fn run(regulation: &Regulation, folder: &Path) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read {}", folder.display());
    let entries =
        fs::read_dir(folder).with_context(unreadable)?.collect::<Result<Vec<_>, _>>().with_context(unreadable)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    ensure!(!files.is_empty(), "{} holds no question: a file *.toml each", folder.display());
    let mut table = vec![HEAD.map(str::to_owned)];
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let example: Example = toml::from_str(&text).with_context(|| file.display().to_string())?;
        let row = row(regulation, &example).with_context(|| file.display().to_string())?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        table.push([name, example.party, example.act, row.articles, row.told]);
    }
    let widths: [usize; 4] =
        std::array::from_fn(|at| table.iter().map(|row| row[at].chars().count()).max().unwrap_or_default());
    for row in &table {
        let cells: String = row.iter().zip(widths).map(|(text, width)| format!("  {text:<width$}")).collect();
        println!("{}", format!("{cells}  {}", row[4]).trim_end());
    }
    Ok(())
}

const HEAD: [&str; 5] = ["question", "who", "act", "articles", "told, and the steps that it obliges to"];

struct Row {
    articles: String,
    told: String,
}

fn row(regulation: &Regulation, example: &Example) -> anyhow::Result<Row> {
    let facts = facts(regulation, example)?;
    Ok(match regulation.decide(&facts) {
        Err(refusal) => Row { articles: refusal.articles.join(", "), told: "refused".into() },
        Ok(permit) => {
            let articles = permit.articles().join(", ");
            Row { articles, told: told(regulation, example, &facts, permit) }
        }
    })
}

fn facts(regulation: &Regulation, example: &Example) -> anyhow::Result<Facts> {
    let find = |name: &str| {
        let party = regulation.parties().iter().find(|party| party.name == name);
        party.map(|party| party.oin.clone()).context("the regulation has no party of that name")
    };
    let act = Act::ALL.into_iter().find(|act| act.as_str() == example.act).context("no such act in the articles")?;
    let day = example.day.as_ref().map(|day| super::super::inputs::parse_day(&day.to_string())).transpose();
    let day = day.map_err(anyhow::Error::msg)?.unwrap_or(regulation.validity().0);
    Ok(Facts {
        purpose: example.purpose.clone(),
        arrears: example.months.map(|months| Arrears { months, days: example.days }),
        conditions: Conditions {
            personal_contact: example.personal_contact,
            help_offered: example.help_offered,
            reminder_sent: example.reminder_sent,
            no_objection: example.no_objection,
            tenant_agrees: example.tenant_agrees,
        },
        in_stock: Some(example.in_stock),
        in_case: example.in_case,
        stock: Some(example.dwellings.unwrap_or(1_000)),
        asked_this_month: example.asked_this_month,
        asked_household_this_month: example.asked_about_household,
        batch: example.households.unwrap_or(regulation.budgets().minimum_batch),
        tap_closed: example.tap_closed,
        second: example.second.as_deref().map(find).transpose()?,
        ..Facts::new(find(&example.party)?, act, day)
    })
}

const NOBODY: Groups = Groups { minor: false, senior_tenant: false, senior_resident: false, oggz: false };

fn told(regulation: &Regulation, example: &Example, facts: &Facts, permit: Permit) -> String {
    let finding = example.household.as_ref().map(|found| Finding {
        tenants: Vec::new(),
        certain: found.certain,
        care_certain: found.certain,
        groups: Groups {
            minor: found.minor,
            senior_tenant: found.senior_tenant,
            senior_resident: found.senior_resident,
            oggz: found.oggz,
        },
        apart: false,
        moved: found.elsewhere.then_some(NOBODY),
    });
    let fresh = !example.register_too_old;
    match facts.action {
        Act::Ask => {
            let answer = permit.disclose(regulation, finding.as_ref(), fresh);
            let steps = facts.arrears.map(|arrears| due(regulation, facts, arrears, answer)).unwrap_or_default();
            format!("{}; {steps}", answer.as_str())
        }
        Act::AskGroups => {
            let groups = permit.disclose_groups(regulation, finding.as_ref(), fresh);
            let groups = groups.iter().map(|(group, told)| format!("{group:?} {}", told.as_str()).to_lowercase());
            groups.collect::<Vec<_>>().join(", ")
        }
        _ => "permitted".into(),
    }
}

fn due(regulation: &Regulation, facts: &Facts, arrears: Arrears, answer: Answer) -> String {
    let steps = regulation.steps(&facts.actor, arrears, answer);
    steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>().join(" ")
}
