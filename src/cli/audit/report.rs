//! `voorrang audit report`: per party and month what was asked, refused and answered, and what stands out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::str::FromStr;

use serde_json::{Value, json};
use time::Date;
use time::macros::format_description;

use super::LogArgs;
use super::filter::Filter;
use super::list::{harmless, wanted};
use super::tally::{Cell, Tallies, Tally, month_of, publishable};
use crate::answer::wire::BudgetView;
use crate::cli::client::{Client, ClientConfig, PartyBook};
use crate::ids::Oin;

/// Part of the housing stock that asking about in a month is an alarm, where the regulation's own is not known.
const ALARM_PART: f64 = 0.1;

/// Loads of a party on a day that stand out, done or refused.
const MANY_LOADS: u64 = 3;

/// Acts of which officers should know, whoever did them.
const TOLD: [&str; 19] = [
    "connect",
    "log-export",
    "subject-read",
    "probing",
    "budget-alarm",
    "tap-open",
    "clock-back",
    "clock-ahead",
    "ask-again",
    "log-hold",
    "log-hold-end",
    "log-key",
    "backup",
    "restore",
    "load-accept-shrink",
    "load-over-bound",
    "epoch-accept-shrink",
    "epoch-accept-missing-stock",
    "epoch-accept-unread",
];

/// What reporting takes.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub filter: Filter,
    /// Counts of answers below this are hidden, and all of a month that is not over or not wanted as a whole; 0 for the
    /// working group, which may see them all
    #[arg(long, default_value_t = 5)]
    pub small: u64,
    /// More questions than this about one household in a month stand out
    #[arg(long, default_value_t = 3)]
    pub repeats: u64,
    /// Dwellings of a party, which the log does not hold: OIN=NUMBER, for the part of its stock that it asked about
    /// [default: what it registered, which --offline does not know]
    #[arg(long, value_name = "OIN=DWELLINGS")]
    pub stock: Vec<Stock>,
    /// As JSON, a party and month a line
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// As CSV
    #[arg(long)]
    pub csv: bool,
}

/// How many dwellings a party lets.
#[derive(Clone, Debug)]
pub struct Stock {
    oin: Oin,
    dwellings: u64,
}

impl FromStr for Stock {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('=').and_then(|(oin, dwellings)| Some((oin.parse().ok()?, dwellings.parse().ok()?)));
        let (oin, dwellings) = parts.ok_or("a stock is written as OIN=DWELLINGS")?;
        Ok(Self { oin, dwellings })
    }
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let config = ClientConfig::load(&args.log.config)?;
    let parties = PartyBook::load(&config.parties)?;
    let mut reading = args.filter.reading(&args.log)?;
    let mut budgets = budgets(args)?;
    budgets.retain(|budget| budget.regulation == config.regulation);
    let mut tallies = Tallies::default();
    wanted(&mut reading, &args.filter, |found| {
        tallies.add(&found);
        Ok(())
    })?;
    let rows: Vec<Row> = tallies
        .0
        .iter()
        .map(|((month, party), tally)| Row::new(month, party, tally, args, (&parties, &budgets)))
        .collect();
    let mut out = io::stdout().lock();
    if args.json {
        rows.iter().try_for_each(|row| writeln!(out, "{}", row.json()))?;
    } else if args.csv {
        csv(&rows, out)?;
    } else {
        text(&rows, &mut out)?;
    }
    Ok(reading.sound()?)
}

/// What each party may ask as the service has it; none without the service.
fn budgets(args: &ReportArgs) -> anyhow::Result<Vec<BudgetView>> {
    if args.log.offline { Ok(Vec::new()) } else { Client::open(&args.log.config)?.get("access-log/budgets") }
}

/// Whether a month (`2026-11`) is over, and the report has all of it.
fn is_whole(month: &str, args: &ReportArgs) -> bool {
    let first = Date::parse(&format!("{month}-01"), format_description!("[year]-[month]-[day]")).ok();
    let bounds = first.and_then(|first| {
        let last = first.replace_day(first.month().length(first.year())).ok()?;
        Some((first.midnight().assume_utc(), last.next_day()?.midnight().assume_utc()))
    });
    bounds.is_some_and(|(begins, ends)| ends <= args.log.clock.now() && args.filter.covers(begins, ends))
}

/// One party in one month, as it may be published.
struct Row<'a> {
    month: &'a str,
    party: &'a str,
    name: Option<&'a str>,
    tally: &'a Tally,
    answers: BTreeMap<&'a str, Cell>,
    repeats: (u64, u64),
    /// Part of the stock that was asked about.
    part: Option<f64>,
    budget: Option<&'a BudgetView>,
    /// Misses near what closes the tap, in the month in which it is.
    near_tap: bool,
}

impl<'a> Row<'a> {
    fn new(
        month: &'a str,
        party: &'a str,
        tally: &'a Tally,
        args: &ReportArgs,
        (parties, budgets): (&'a PartyBook, &'a [BudgetView]),
    ) -> Self {
        let oin = party.parse().ok();
        let name = oin.as_ref().and_then(|oin| parties.find(oin)).map(|party| party.name.as_str());
        // A word that was never answered is a count of none, which may be small too.
        let words: BTreeSet<&str> = ["no_priority", "priority", "undetermined"]
            .into_iter()
            .chain(tally.answers.keys().map(String::as_str))
            .collect();
        let counts: Vec<u64> = words.iter().map(|&word| tally.answers.get(word).copied().unwrap_or(0)).collect();
        // Two reports of a month that differ by a few answers would tell which those were.
        let cells = if args.small == 0 || is_whole(month, args) {
            publishable(&counts, args.small)
        } else {
            vec![Cell::Hidden; counts.len()]
        };
        let answers = words.into_iter().zip(cells).collect();
        let budget = budgets.iter().find(|budget| Some(&budget.oin) == oin.as_ref());
        let given = args.stock.iter().find(|stock| Some(&stock.oin) == oin.as_ref()).map(|stock| stock.dwellings);
        let stock = given.or(budget.map(|budget| budget.dwellings));
        let part = stock.map(|dwellings| tally.households() as f64 / dwellings.max(1) as f64);
        let near_tap = budget.is_some_and(|budget| budget.near_tap) && month == month_of(args.log.clock.now());
        Self { month, party, name, tally, answers, repeats: tally.repeats(args.repeats), part, budget, near_tap }
    }

    /// Whether there is anything to say of answers.
    fn asks(&self) -> bool {
        self.tally.questions > 0
    }

    /// What counts against the budget: answers, and questions about addresses that are not in the stock.
    fn spent(&self) -> u64 {
        let elsewhere = self.tally.refused.iter().filter(|(code, _)| code.contains("stock")).map(|(_, count)| count);
        self.tally.answered + elsewhere.sum::<u64>()
    }

    /// What an officer should look at.
    fn alarms(&self) -> Vec<String> {
        let Tally { nights, refused, failed, acts, loads, loads_refused, .. } = self.tally;
        let mut alarms = Vec::new();
        let mut say = |count: u64, what: String| {
            if count > 0 {
                alarms.push(what)
            }
        };
        say(*nights, format!("{nights} questions at night (22 to 6 o'clock, Dutch time)"));
        for (day, count) in self.tally.bursts() {
            say(count, format!("{count} questions on {day}, more than three times the middle day"));
        }
        let (households, most) = self.repeats;
        say(households, format!("{households} addresses asked about again and again, one {most} times"));
        let objected = self.tally.after_objection.len() as u64;
        say(objected, format!("{objected} addresses answered after an objection"));
        for (code, count) in refused.iter().filter(|(code, _)| code.contains("stock") || code.contains("budget")) {
            say(*count, format!("{count} questions refused by {code}"));
        }
        say(*failed, format!("{failed} questions that the service could not answer"));
        match (self.budget, self.part) {
            (Some(budget), _) if self.spent() >= budget.alarm.max(1) => {
                say(1, format!("{} questions of the budget, the alarm is at {}", self.spent(), budget.alarm));
            }
            (None, Some(part)) if part > ALARM_PART => {
                say(1, format!("asked about {:.1} % of its stock", 100.0 * part))
            }
            _ => {}
        }
        if self.near_tap {
            say(1, "questions miss: half as many as close the tap, and in their share".into());
        }
        for (day, count) in loads.iter().filter(|(_, count)| **count >= MANY_LOADS) {
            say(*count, format!("{count} loads on {day}"));
        }
        for (code, count) in loads_refused.iter().filter(|(_, count)| **count > 1) {
            say(*count, format!("{count} loads refused by {code}"));
        }
        for name in TOLD {
            let count = acts.get(name).copied().unwrap_or(0);
            say(count, format!("{count} times {name}"));
        }
        alarms
    }

    fn json(&self) -> Value {
        let answers: BTreeMap<_, _> = self.answers.iter().map(|(word, cell)| (word, cell.to_string())).collect();
        json!({
            "month": self.month, "party": self.party, "name": self.name,
            "questions": self.tally.questions, "answered": self.tally.answered, "answers": answers,
            "refused": self.tally.refused, "failed": self.tally.failed, "addresses": self.tally.households(),
            "partOfStock": self.part, "budget": self.budget.map(|budget| budget.stop), "acts": self.tally.acts, "alarms": self.alarms(),
        })
    }
}

fn csv(rows: &[Row<'_>], out: impl Write) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["month", "party", "name", "what", "which", "count"])?;
    for row in rows {
        let mut write = |what: &str, which: &str, count: &str| {
            let cells = [row.month, row.party, row.name.unwrap_or_default(), what, which, count];
            csv.write_record(cells.map(|cell| harmless(cell).into_owned()))
        };
        let Tally { questions, answered, failed, .. } = row.tally;
        for (what, count) in [
            ("questions", *questions),
            ("answered", *answered),
            ("failed", *failed),
            ("addresses", row.tally.households()),
        ]
        .into_iter()
        .chain(row.budget.map(|budget| ("budget", budget.stop)))
        {
            write(what, "", &count.to_string())?;
        }
        for (word, cell) in row.answers.iter().filter(|_| row.asks()) {
            write("answer", word, &cell.to_string())?;
        }
        for (what, counts) in [("refused", &row.tally.refused), ("act", &row.tally.acts)] {
            counts.iter().try_for_each(|(which, count)| write(what, which, &count.to_string()))?;
        }
        row.alarms().iter().try_for_each(|alarm| write("alarm", alarm, ""))?;
    }
    Ok(csv.flush()?)
}

fn text(rows: &[Row<'_>], out: &mut impl Write) -> anyhow::Result<()> {
    let mut month = "";
    for row in rows {
        if row.month != month {
            month = row.month;
            writeln!(out, "{month}")?;
        }
        match row.name {
            Some(name) => writeln!(out, "  {name} ({})", row.party)?,
            None => writeln!(out, "  {}", row.party)?,
        }
        if row.asks() {
            let Tally { questions, answered, .. } = row.tally;
            writeln!(out, "    {questions} questions about {} addresses, {answered} answered", row.tally.households())?;
            let part =
                row.part.map(|part| format!("    that is {:.1} % of its stock\n", 100.0 * part)).unwrap_or_default();
            write!(out, "{part}")?;
            if let Some(BudgetView { stop, alarm, .. }) = row.budget {
                let (spent, part) = (row.spent(), 100.0 * row.spent() as f64 / (*stop).max(1) as f64);
                writeln!(
                    out,
                    "    {spent} of the {stop} questions of a month's budget ({part:.0} %); alarm from {alarm}"
                )?;
            }
        }
        for (word, cell) in row.answers.iter().filter(|_| row.tally.answered > 0) {
            writeln!(out, "      {cell:>7} {word}")?;
        }
        for (code, count) in &row.tally.refused {
            writeln!(out, "      {count:>7} refused by {code}")?;
        }
        for (name, count) in &row.tally.acts {
            writeln!(out, "      {count:>7} {name}")?;
        }
        for alarm in row.alarms() {
            writeln!(out, "    ! {alarm}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, ONE, START};
    use super::*;
    use crate::audit::{Action, Actor, Entry, Line, Outcome};
    use crate::clock::Clock;
    use crate::ids::TraceId;

    /// The service's own alarms stand out in the row of whom they are about.
    #[test]
    fn what_the_service_alarms_of_and_what_the_budget_says_stand_out() {
        let mut log = Log::new().grown(3);
        for action in [Action::Probing, Action::BudgetAlarm, Action::TapOpen, Action::ClockBack, Action::Restore] {
            let actor = Actor { oin: ONE.parse().ok(), ..Actor::service() };
            let entry = Entry::new(START, TraceId::random(), actor, action, Outcome::Done);
            log.lines.push(Line::Entry(entry.to_bytes()));
        }
        let (_home, mut reading) = log.reading();
        let mut tallies = Tallies::default();
        reading
            .each(|found| {
                tallies.add(&found);
                Ok(())
            })
            .unwrap();
        let (regulation, oin) = ("haarlem".parse().unwrap(), ONE.parse().unwrap());
        let budgets = [BudgetView { regulation, oin, declared: 10, dwellings: 10, alarm: 2, stop: 4, near_tap: true }];
        let log = LogArgs { clock: Clock::standing(START), ..LogArgs::new("officer.toml".into()) };
        let (filter, stock) = (Filter::default(), Vec::new());
        let args = ReportArgs { log, filter, small: 5, repeats: 9, stock, json: false, csv: false };
        let parties = PartyBook::default();
        let tally = &tallies.0[&("2026-11".to_owned(), ONE.to_owned())];
        let row = Row::new("2026-11", ONE, tally, &args, (&parties, &budgets));
        let alarms = row.alarms().join("\n");
        for act in ["probing", "budget-alarm", "tap-open", "clock-back", "restore"] {
            assert!(alarms.contains(&format!("1 times {act}")), "{act}: {alarms}");
        }
        assert!(alarms.contains("3 questions of the budget, the alarm is at 2"), "{alarms}");
        assert!(alarms.contains("questions miss: half as many as close the tap"), "{alarms}");
        let later = LogArgs { clock: Clock::standing(START + time::Duration::days(31)), ..args.log.clone() };
        let later = ReportArgs { log: later, filter: Filter::default(), stock: Vec::new(), ..args };
        let row = Row::new("2026-11", ONE, tally, &later, (&parties, &budgets));
        assert!(!row.alarms().iter().any(|alarm| alarm.contains("questions miss")), "that month is over");
        let mut out = Vec::new();
        text(&[row], &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("3 of the 4 questions of a month's budget (75 %); alarm from 2"), "{out}");
        assert!(out.contains("10.0 % of its stock"), "one address of ten dwellings: {out}");
    }

    /// Whoever learns from a load what is in another register needs many.
    #[test]
    fn many_loads_on_a_day_repeated_refusals_and_loads_above_the_bound_stand_out() {
        let mut log = Log::new();
        let refused = || Outcome::Refused("load_limit".into());
        let load = |action, result| {
            let actor = Actor { oin: ONE.parse().ok(), ..Actor::service() };
            Line::Entry(Entry::new(START, TraceId::random(), actor, action, result).to_bytes())
        };
        let alarms = |log: &mut Log| {
            let mut tallies = Tallies::default();
            let (_home, mut reading) = std::mem::replace(log, Log::new()).reading();
            reading
                .each(|found| {
                    tallies.add(&found);
                    Ok(())
                })
                .unwrap();
            let args = LogArgs::new("officer.toml".into());
            let (filter, stock) = (Filter::default(), Vec::new());
            let args = ReportArgs { log: args, filter, small: 5, repeats: 9, stock, json: false, csv: false };
            let tally = &tallies.0[&("2026-11".to_owned(), ONE.to_owned())];
            Row::new("2026-11", ONE, tally, &args, (&PartyBook::default(), &[])).alarms()
        };
        log.lines.extend([load(Action::Load, Outcome::Done), load(Action::Load, refused())]);
        assert!(alarms(&mut log).is_empty());
        log.lines.extend([load(Action::Load, Outcome::Done), load(Action::LoadOverBound, Outcome::Done)]);
        log.lines.extend([load(Action::Load, refused()), load(Action::Load, refused())]);
        let told = alarms(&mut log).join("\n");
        for what in ["4 loads on 2026-11-", "2 loads refused by load_limit", "1 times load-over-bound"] {
            assert!(told.contains(what), "{what}: {told}");
        }
    }

    #[test]
    fn answers_are_counted_in_whole_months_that_are_over_or_not_at_all() {
        use time::macros::datetime;
        let mut tally = Tally::default();
        (tally.questions, tally.answered) = (60, 60);
        tally.answers = ["no_priority", "priority", "undetermined"].map(|word| (word.to_owned(), 20)).into();
        let shown = |now, filter: Filter, small| {
            let log = LogArgs { clock: Clock::standing(now), ..LogArgs::new("officer.toml".into()) };
            let args = ReportArgs { log, filter, small, repeats: 9, stock: Vec::new(), json: false, csv: false };
            let parties = PartyBook::default();
            let row = Row::new("2026-11", ONE, &tally, &args, (&parties, &[]));
            row.answers.values().all(|cell| *cell == Cell::Count(20))
        };
        let (over, before) = (datetime!(2026-12-01 0:00 UTC), datetime!(2026-11-30 23:59 UTC));
        let all = Filter::default;
        assert!(shown(over, all(), 5) && !shown(before, all(), 5) && shown(before, all(), 0));
        let begins = datetime!(2026-11-01 0:00 UTC);
        assert!(shown(over, Filter { from: Some(begins), until: Some(over), ..all() }, 5));
        assert!(!shown(over, Filter { from: Some(begins + time::Duration::SECOND), ..all() }, 5));
        assert!(!shown(over, Filter { until: Some(before), ..all() }, 5));
        assert!(!shown(over, Filter { article: Some("corporation-asks".into()), ..all() }, 5));
        assert!(shown(over, Filter { party: ONE.parse().ok(), ..all() }, 5));
    }
}
