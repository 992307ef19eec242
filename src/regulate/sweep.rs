//! Circumstances in which `regulation check` tries the articles: at the regulation's own edges, just before and just
//! behind them, for every purpose. An article that decided nothing there is tried in every combination of what it looks
//! at, so that none is called unreachable because its circumstances are rare.

use std::collections::{BTreeMap, BTreeSet};

use time::{Date, Month};

use super::{Act, Arrears, Conditions, Facts, Regulation};
use crate::ids::{Oin, Purpose};

/// How often an article decided in a sweep over every party, act, purpose and flaw.
pub type Decided = BTreeMap<String, usize>;

/// Most combinations in which one article is tried: a second or two of one core.
const MOST_TRIED: usize = 50_000;

/// Prime, so that steps of so many meet combinations of all kinds.
const STRIDE: usize = 7_368_787;

/// More than any count of questions, and far from where Cedar's numbers overflow.
const VERY_MANY: u64 = 1_000_000;

/// Gives one circumstance a value.
type Change = Box<dyn Fn(&mut Facts)>;

impl Regulation {
    /// How often each article decided, over every party, act, purpose, flaw, second person and edge.
    pub fn decided(&self) -> Decided {
        let mut decided: Decided = self.articles().iter().map(|article| (article.id.clone(), 0)).collect();
        for party in self.parties() {
            for facts in self.sweep(&party.oin) {
                // `default` is no article of the file.
                for article in self.deciding(&facts) {
                    decided.entry(article).and_modify(|count| *count += 1);
                }
            }
        }
        decided
    }

    /// Whether an article that decided nothing in the sweep ever does; `None` if there are too many combinations to try
    /// them all, and it did in none that was tried.
    pub(super) fn is_reachable(&self, article: &str) -> Option<bool> {
        let text = self.articles.text_of(article);
        let mut dimensions = Edges::new(self, &text).dimensions(self, &Words::of(&text));
        dimensions.push(self.articles.acts_of(article).map(|act| change(move |f| f.action = act)).collect());
        // The last first: all others are differences from a question with nothing against it.
        dimensions.push(self.parties().iter().flat_map(|party| self.good_acts(&party.oin)).map(whole).collect());
        let combinations = dimensions.iter().map(Vec::len).fold(1_usize, usize::saturating_mul);
        let mut facts = self.best_question(&self.parties()[0].oin);
        let is_reached = spread(&dimensions).any(|values| {
            values.into_iter().for_each(|change| change(&mut facts));
            self.deciding(&facts).iter().any(|id| id == article)
        });
        (is_reached || combinations <= MOST_TRIED).then_some(is_reached)
    }

    /// A question with nothing against it.
    fn best_question(&self, actor: &Oin) -> Facts {
        Facts {
            purpose: self.purposes().first().map(|purpose| purpose.id.clone()),
            arrears: Some(Arrears { months: 24.0, days: 366 }),
            conditions: Conditions::MET,
            in_stock: Some(true),
            stock: Some(1_000),
            batch: u32::MAX,
            in_case: true,
            second: self.parties().iter().map(|party| &party.oin).find(|oin| *oin != actor).cloned(),
            ..Facts::new(actor.clone(), Act::Ask, self.validity().0)
        }
    }

    /// That question for each purpose.
    fn best_questions(&self, actor: &Oin) -> Vec<Facts> {
        let best = self.best_question(actor);
        let each = self.purposes().iter().map(|purpose| Some(purpose.id.clone()));
        each.map(|purpose| Facts { purpose, ..best.clone() }).collect()
    }

    /// What a party may do at its best: for each purpose, at the beginning, in the middle and at the end, with the second
    /// person who can confirm most.
    pub(super) fn good_acts(&self, actor: &Oin) -> Vec<Facts> {
        let (from, until) = self.validity();
        let days = [from, from + (until - from) / 2, until.previous_day().unwrap_or(from)];
        let officer = self.parties().iter().find(|party| self.document.is_municipal_officer(party));
        let officer = officer.filter(|party| party.oin != *actor).map(|party| party.oin.clone());
        let all = self.best_questions(actor).into_iter();
        let all = all.map(|best| Facts { second: officer.clone().or(best.second.clone()), ..best });
        all.flat_map(|best| days.map(|today| Facts { today, ..best.clone() })).collect()
    }

    /// The articles that decide; none where they permit and a gate is shut.
    fn deciding(&self, facts: &Facts) -> Vec<String> {
        match self.articles.decide(facts, &self.document) {
            Ok(_) if self.decide(facts).is_err() => Vec::new(),
            Ok(articles) => articles,
            Err(refusal) => refusal.articles,
        }
    }

    /// Acts of one party, each in one way other than the best question.
    pub(super) fn sweep(&self, actor: &Oin) -> Vec<Facts> {
        let edges = Edges::new(self, &self.articles.all_text());
        let seconds = || self.parties().iter().map(|party| Some(party.oin.clone())).chain([None]);
        let mut all = Vec::new();
        for best in self.best_questions(actor) {
            let mut variants = vec![best.clone()];
            variants.extend(edges.days.iter().map(|day| Facts { today: *day, ..best.clone() }));
            variants.extend(self.flawed(&best));
            variants.push(Facts { in_case: false, ..best.clone() });
            variants.extend(seconds().map(|second| Facts { second, ..best.clone() }));
            for facts in variants {
                all.extend(Act::ALL.map(|action| Facts { action, ..facts.clone() }));
            }
            // What only a question has.
            all.push(Facts { batch: self.budgets().minimum_batch - 1, ..best.clone() });
            for (arrears, tenant_agrees) in edges.arrears.iter().flat_map(|days| [(*days, true), (*days, false)]) {
                let conditions = Conditions { tenant_agrees, ..best.conditions };
                all.push(Facts { arrears, conditions, ..best.clone() });
            }
        }
        all
    }

    /// The best question with one thing wrong: where the regulation draws a line, just beyond it.
    fn flawed(&self, best: &Facts) -> Vec<Facts> {
        let without = |change: fn(&mut Conditions)| {
            let mut facts = best.clone();
            change(&mut facts.conditions);
            facts
        };
        let budgets = self.budgets();
        let unlisted = "not-in-any-regulation".parse().expect("it is kebab-case");
        vec![
            Facts { purpose: None, ..best.clone() },
            Facts { purpose: Some(unlisted), ..best.clone() },
            Facts { arrears: None, ..best.clone() },
            without(|c| c.personal_contact = false),
            without(|c| c.help_offered = false),
            without(|c| c.reminder_sent = false),
            without(|c| c.no_objection = false),
            Facts { in_stock: Some(false), ..best.clone() },
            Facts { in_stock: None, ..best.clone() },
            Facts { stock: None, ..best.clone() },
            Facts { asked_this_month: budgets.stop(best.stock.unwrap_or(0)), ..best.clone() },
            Facts { tap_closed: true, ..best.clone() },
            Facts { asked_household_this_month: budgets.household_per_month.into(), ..best.clone() },
        ]
    }
}

/// Where a regulation, or one of its articles, draws lines: each with what lies just before and just behind it.
struct Edges {
    days: BTreeSet<Date>,
    arrears: Vec<Option<Arrears>>,
    purposes: Vec<Option<Purpose>>,
    /// Whole numbers that stand in the text.
    numbers: BTreeSet<u64>,
}

impl Edges {
    /// Those of the regulation and those of the text.
    fn new(regulation: &Regulation, text: &str) -> Self {
        let Words { numbers, quoted, .. } = Words::of(text);
        let (from, until) = regulation.validity();
        let agreed = [from, until, regulation.evaluation().anchor].into_iter();
        let days = numbers.iter().filter_map(|number| day_of(*number)).chain(agreed).flat_map(around).collect();
        let steps = regulation.all_steps().iter().map(super::Step::arrears);
        let agreed = regulation.moments().iter().map(super::Moment::arrears).chain(steps);
        let agreed: BTreeSet<i64> = agreed.map(Arrears::in_days).collect();
        // An article may name a number of days, or so many behind the moment of asking.
        let named: Vec<i64> =
            numbers.iter().copied().filter(|n| *n <= 3_650).filter_map(|n| n.try_into().ok()).collect();
        let later = agreed.iter().flat_map(|day| named.iter().map(move |more| day + more));
        let lines: BTreeSet<i64> = agreed.iter().copied().chain(named.iter().copied()).chain(later).collect();
        let beside: BTreeSet<u32> =
            lines.iter().flat_map(|day| [day - 1, *day, day + 1]).filter_map(|day| day.try_into().ok()).collect();
        let arrears = beside.into_iter().map(|days| Some(Arrears { months: 0.0, days })).chain([None]).collect();
        let listed = regulation.purposes().iter().map(|purpose| purpose.id.clone());
        let named = quoted.iter().filter_map(|text| text.parse().ok());
        let purposes: BTreeSet<Purpose> = listed.chain(named).collect();
        Self { days, arrears, purposes: purposes.into_iter().map(Some).chain([None]).collect(), numbers }
    }

    /// Each number with its neighbours, and these beside.
    fn counts(&self, beside: &[u64]) -> BTreeSet<u64> {
        let written = self.numbers.iter().filter(|number| **number < VERY_MANY);
        let lines = written.chain(beside).flat_map(|n| [n.saturating_sub(1), *n, n + 1]);
        lines.chain([0, VERY_MANY]).collect()
    }

    /// The values of each circumstance that an article of these words looks at.
    fn dimensions(&self, regulation: &Regulation, words: &Words<'_>) -> Vec<Vec<Change>> {
        let budgets = regulation.budgets();
        let looks = |word: &str| words.names.contains(word);
        let mut all: Vec<Vec<Change>> = Vec::new();
        if looks("today") {
            all.push(self.days.iter().copied().map(|day| change(move |f| f.today = day)).collect());
        }
        if looks("purpose") {
            let one = |purpose: Option<Purpose>| change(move |f| f.purpose.clone_from(&purpose));
            all.push(self.purposes.iter().cloned().map(one).collect());
        }
        if looks("arrearsDays") {
            let best = regulation.best_question(&regulation.parties()[0].oin).arrears;
            let one = |arrears: Option<Arrears>| change(move |f| f.arrears = arrears);
            all.push(self.arrears.iter().copied().chain([best]).map(one).collect());
        }
        let asked = YES_OR_NO.into_iter().filter(|(word, _)| looks(word));
        all.extend(asked.map(|(_, set)| [true, false].map(|yes| change(move |f| set(f, yes))).into()));
        let mut count = |word: &str, beside: &[u64], set: fn(&mut Facts, u64)| {
            if looks(word) {
                all.push(self.counts(beside).into_iter().map(|n| change(move |f| set(f, n))).collect());
            }
        };
        let (stock, per_household) = (1_000, u64::from(budgets.household_per_month));
        count("askedThisMonth", &[budgets.alarm(stock), budgets.stop(stock)], |f, n| f.asked_this_month = n);
        count("askedHousehold", &[per_household], |f, n| f.asked_household_this_month = n);
        count("batch", &[budgets.minimum_batch.into()], |f, n| f.batch = u32::try_from(n).unwrap_or(u32::MAX));
        if looks("mostThisMonth") {
            // So many dwellings that the most questions are the number that is named.
            let of = |most: u64| (most as f64 / budgets.stop_share) as u64;
            let stocks = self.counts(&[]).into_iter().map(|most| Some(of(most))).chain([None, Some(1), Some(stock)]);
            all.push(stocks.map(|stock| change(move |f| f.stock = stock)).collect());
        }
        if looks("seconded") || looks("countersigned") {
            let seconds = regulation.parties().iter().map(|party| Some(party.oin.clone())).chain([None]);
            all.push(seconds.map(|second| change(move |f| f.second.clone_from(&second))).collect());
        }
        all
    }
}

type SetIt = fn(&mut Facts, bool);

/// What is so or is not, by its name in the articles.
const YES_OR_NO: [(&str, SetIt); 8] = [
    ("personalContact", |f, yes| f.conditions.personal_contact = yes),
    ("helpOffered", |f, yes| f.conditions.help_offered = yes),
    ("reminderSent", |f, yes| f.conditions.reminder_sent = yes),
    ("noObjection", |f, yes| f.conditions.no_objection = yes),
    ("tenantAgrees", |f, yes| f.conditions.tenant_agrees = yes),
    ("inStock", |f, yes| f.in_stock = Some(yes)),
    ("tapClosed", |f, yes| f.tap_closed = yes),
    ("inCase", |f, yes| f.in_case = yes),
];

/// Combinations of one value of each dimension, all of them or [`MOST_TRIED`] that are spread over all.
fn spread(dimensions: &[Vec<Change>]) -> impl Iterator<Item = Vec<&Change>> {
    let combinations = dimensions.iter().map(Vec::len).fold(1_usize, usize::saturating_mul);
    let tried = combinations.min(MOST_TRIED);
    (0..tried).map(move |n| {
        let mut rest = if tried < combinations { n.wrapping_mul(STRIDE) % combinations } else { n };
        let value = |values: &'_ Vec<Change>| {
            let at = rest % values.len();
            rest /= values.len();
            at
        };
        let at: Vec<usize> = dimensions.iter().rev().map(value).collect();
        dimensions.iter().rev().zip(at).map(|(values, at)| &values[at]).collect()
    })
}

fn around(day: Date) -> impl Iterator<Item = Date> {
    [day.previous_day(), Some(day), day.next_day()].into_iter().flatten()
}

fn change(set: impl Fn(&mut Facts) + 'static) -> Change {
    Box::new(set)
}

fn whole(good: Facts) -> Change {
    change(move |facts| facts.clone_from(&good))
}

/// The day that a number such as 20260131 stands for.
fn day_of(number: u64) -> Option<Date> {
    let part = |of: u64| u8::try_from(of % 100).ok();
    let month = Month::try_from(part(number / 100)?).ok()?;
    Date::from_calendar_date(i32::try_from(number / 10_000).ok()?, month, part(number)?).ok()
}

/// What stands in a text. A few too many, of comments and titles, do no harm.
struct Words<'a> {
    names: BTreeSet<&'a str>,
    numbers: BTreeSet<u64>,
    quoted: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        let part = |first| text.split('"').skip(first).step_by(2);
        let plain = part(0).flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        let quoted: Vec<&str> = part(1).collect();
        let numbers = plain.clone().filter_map(|word| word.parse().ok()).collect();
        // `context["today"]` is `context.today`.
        Self { names: plain.chain(quoted.iter().copied()).collect(), numbers, quoted }
    }
}

#[cfg(test)]
mod tests {
    use crate::regulate::tests::{CEDAR_TEXT, TOML_TEXT, read, replaced};
    use crate::regulate::{Regulation, Severity};

    /// The words of a purpose that Haarlem does not have.
    const SECOND_PURPOSE: &str = "[[purpose]]\nid = \"debt-help\"\nnl = \"Hulp\"\nen = \"Help\"\n\n[[party]]";

    fn with(effect: &str, condition: &str) -> Regulation {
        let head = "\n@id(\"rare\")\n@title(\"Rare\")\n@remedy(\"Wait.\")\n";
        let scope = format!("{effect} (principal is Corporation, action == Action::\"ask\", resource)");
        let toml = replaced(TOML_TEXT, "[[party]]", SECOND_PURPOSE);
        read(&toml, &format!("{CEDAR_TEXT}{head}{scope}\nwhen {{ {condition} }};\n")).unwrap()
    }

    fn errors(regulation: &Regulation) -> Vec<String> {
        let errors = regulation.remarks().into_iter().filter(|remark| remark.severity == Severity::Error);
        errors.map(|remark| remark.what).collect()
    }

    #[test]
    fn an_article_is_reached_however_rare_its_circumstances() {
        for condition in [
            "context has purpose && context.purpose == \"debt-help\"",
            "context has purpose && context.purpose == \"debt-help\" && context.tapClosed",
            "context.today == 20260315",
            "context.today > 20260315 && context.today < 20260317",
            "context[\"today\"] == 20270630",
            "context has arrearsDays && context.arrearsDays == principal.askFromDay + 17",
            "context has arrearsDays && context.arrearsDays > 399 && context.arrearsDays < 401",
            "context has purpose && context.purpose == \"debt-help\" && context.today >= 20260901 && context has \
             arrearsDays && context.arrearsDays < 45 && !context.tenantAgrees && context.askedHousehold == 2",
            "context.askedThisMonth == 33 && context.batch == 7 && context.today < 20250901",
            "context.mostThisMonth > 600 && context.mostThisMonth < 700",
            "principal.organisation == \"Ymere\" && context.today == 20251225 && !context.helpOffered",
        ] {
            let found = errors(&with("forbid", condition));
            assert!(found.is_empty(), "{condition}: {found:?}");
            let found = errors(&with("permit", condition));
            let impossible = ["tapClosed", "helpOffered"].iter().any(|flaw| condition.contains(flaw));
            assert_eq!(found.is_empty(), !impossible, "{condition}: {found:?}");
        }
    }

    #[test]
    fn an_article_that_can_never_apply_is_found_whatever_it_looks_at() {
        for condition in [
            "context.today < 10",
            "context.today > 20260315 && context.today < 20260316",
            "context.askedHousehold < 0",
            "context has arrearsDays && context.arrearsDays > 40 && context.arrearsDays < 41 && context.today > 20260101",
            "principal.organisation == \"Ymere\" && principal.organisation == \"Pré Wonen\"",
        ] {
            let found = errors(&with("forbid", condition));
            assert!(found.len() == 1 && found[0].contains("article rare never decides"), "{condition}: {found:?}");
        }
    }

    #[test]
    fn a_corporation_that_may_ask_for_the_second_purpose_or_from_the_second_month_alone_can_ask() {
        for condition in
            ["context has purpose && context.purpose == \"eviction-prevention\"", "context.today < 20250801"]
        {
            let found = errors(&with("forbid", condition));
            assert!(found.is_empty(), "{condition}: {found:?}");
        }
    }

    #[test]
    fn every_shipped_article_is_reached_in_the_plain_sweep() {
        for regulation in Regulation::built_in() {
            assert!(regulation.decided().values().all(|count| *count > 0), "{:?}", regulation.decided());
        }
    }
}
