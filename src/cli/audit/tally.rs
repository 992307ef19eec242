//! Counts a log by party and month, and what stands out in it. Pure: entries in, counts out.

use std::collections::{BTreeMap, BTreeSet};

use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, Month, OffsetDateTime, Time};

use super::reading::Found;
use crate::audit::{Action, Outcome};

/// Hours in which nobody at an office asks, Dutch time: from 22 to 6.
const NIGHT: std::ops::Range<u8> = 6..22;

/// What one party did in one month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Questions, whatever became of them.
    pub questions: u64,
    pub answered: u64,
    /// By the answer's word; `sealed` where it does not open.
    pub answers: BTreeMap<String, u64>,
    /// By article or code.
    pub refused: BTreeMap<String, u64>,
    /// Not answered for a reason of the service.
    pub failed: u64,
    /// Questions at night.
    pub nights: u64,
    /// Other acts than questions, by name.
    pub acts: BTreeMap<String, u64>,
    /// Loads of registers on each day, done or refused.
    pub loads: BTreeMap<Date, u64>,
    /// Of them, the refused ones by article or code.
    pub loads_refused: BTreeMap<String, u64>,
    /// Households of which a question was refused by an objection,
    objected: BTreeSet<u64>,
    /// and those of them of which a later one was answered.
    pub after_objection: BTreeSet<u64>,
    /// Questions about each household.
    households: BTreeMap<u64, u64>,
    /// Questions on each day.
    days: BTreeMap<Date, u64>,
}

impl Tally {
    /// Households that were asked about.
    pub fn households(&self) -> u64 {
        self.households.len() as u64
    }

    /// Households that were asked about more than `often` times, and the most questions about one.
    pub fn repeats(&self, often: u64) -> (u64, u64) {
        let over = self.households.values().filter(|&&questions| questions > often).count();
        (over as u64, self.households.values().copied().max().unwrap_or(0))
    }

    /// Days with more than three times the questions of the party's middle day, where it has at least three.
    pub fn bursts(&self) -> Vec<(Date, u64)> {
        let mut counts: Vec<u64> = self.days.values().copied().collect();
        counts.sort_unstable();
        let middle = counts.get(counts.len() / 2).copied().unwrap_or(0);
        let enough = counts.len() >= 3;
        self.days
            .iter()
            .filter(|&(_, &count)| enough && count > 3 * middle)
            .map(|(day, count)| (*day, *count))
            .collect()
    }

    fn add(&mut self, found: &Found, time: OffsetDateTime) {
        let entry = &found.entry;
        let count = u64::from(entry.count.unwrap_or(1));
        if entry.action != Action::Ask {
            let mut name = super::list::name(found);
            // Nobody ended anything.
            if entry.action == Action::LogHoldEnd && matches!(entry.result, Outcome::Refused(_)) {
                name += " refused";
            }
            *self.acts.entry(name).or_default() += count;
            if matches!(entry.action, Action::Load | Action::LoadOverBound) {
                *self.loads.entry(dutch(time).date()).or_default() += count;
                let code = entry.result.code().map(str::to_owned);
                code.into_iter().for_each(|code| *self.loads_refused.entry(code).or_default() += count);
            }
            return;
        }
        self.questions += count;
        match &entry.result {
            Outcome::Answered => {
                self.answered += count;
                *self.answers.entry(found.told.word().to_owned()).or_default() += count;
            }
            Outcome::Refused(code) => *self.refused.entry(code.clone()).or_default() += count,
            Outcome::Failed(_) => self.failed += count,
            Outcome::Done => {}
        }
        let local = dutch(time);
        if !NIGHT.contains(&local.hour()) {
            self.nights += count;
        }
        *self.days.entry(local.date()).or_default() += count;
        // 64 bits of a pseudonym tell millions of households apart.
        if let Some(household) =
            entry.object.as_deref().and_then(|object| u64::from_str_radix(object.get(..16)?, 16).ok())
        {
            *self.households.entry(household).or_default() += count;
            match &entry.result {
                Outcome::Refused(code) if code.contains("objection") => drop(self.objected.insert(household)),
                Outcome::Answered if self.objected.contains(&household) => drop(self.after_objection.insert(household)),
                _ => {}
            }
        }
    }
}

/// By month (`2026-11`, UTC, as budgets count it) and party: an OIN, or a role where the service itself acted.
#[derive(Debug, Default)]
pub struct Tallies(pub BTreeMap<(String, String), Tally>);

impl Tallies {
    /// Counts one entry. One without a readable time is no entry of a verified log.
    pub fn add(&mut self, found: &Found) {
        let entry = &found.entry;
        let Ok(time) = OffsetDateTime::parse(&entry.time, &Rfc3339) else { return };
        let party = entry.actor.oin.as_ref().map_or_else(|| entry.actor.role.clone(), ToString::to_string);
        self.0.entry((month_of(time), party)).or_default().add(found, time);
    }
}

/// The month of a time, `2026-11`, as it counts in tallies and budgets.
pub fn month_of(time: OffsetDateTime) -> String {
    format!("{:04}-{:02}", time.year(), u8::from(time.month()))
}

/// Central European time: summer time from the last Sunday of March to that of October, 1:00 UTC (directive 2000/84/EC).
fn dutch(time: OffsetDateTime) -> OffsetDateTime {
    let change =
        |month| last_sunday(time.year(), month).map(|day| day.with_time(Time::MIDNIGHT).assume_utc() + Duration::HOUR);
    let summer =
        change(Month::March).zip(change(Month::October)).is_some_and(|(from, until)| (from..until).contains(&time));
    time + Duration::hours(if summer { 2 } else { 1 })
}

fn last_sunday(year: i32, month: Month) -> Option<Date> {
    let last = Date::from_calendar_date(year, month, 31).ok()?;
    let back = i64::from(last.weekday().number_days_from_sunday());
    last.checked_sub(Duration::days(back))
}

/// A count as it may be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Count(u64),
    /// Small, or one among which a small one is hidden.
    Hidden,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => f.pad(&count.to_string()),
            Self::Hidden => f.pad("hidden"),
        }
    }
}

/// The cells of counts whose sum is known. Those below `limit` are hidden, and of the others the smallest, until two are
/// hidden that differ: in another order they would be published alike, so none of them can be computed. Counts that are
/// alike are hidden together, for which of them was chosen would tell where the small one is.
pub fn publishable(counts: &[u64], limit: u64) -> Vec<Cell> {
    let mut largest = counts.iter().copied().filter(|&count| count < limit).max();
    let differ = |largest: u64| {
        let mut hidden = counts.iter().filter(|&&count| count <= largest);
        let first = hidden.next();
        hidden.any(|count| Some(count) != first)
    };
    while let Some(most) = largest.filter(|&most| !differ(most)) {
        let Some(next) = counts.iter().copied().filter(|&count| count > most).min() else { break };
        largest = Some(next);
    }
    let cell = |&count: &u64| if largest.is_some_and(|most| count <= most) { Cell::Hidden } else { Cell::Count(count) };
    counts.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Log, ONE, OTHER};
    use super::*;
    use time::macros::{date, datetime};

    fn tallies(mut log: Log) -> Tallies {
        let (_home, mut reading) = log.reading();
        let mut tallies = Tallies::default();
        reading
            .each(|found| {
                tallies.add(&found);
                Ok(())
            })
            .unwrap();
        tallies
    }

    fn of(tallies: &Tallies, month: &str, party: &str) -> Tally {
        tallies.0[&(month.to_owned(), party.to_owned())].clone()
    }

    #[test]
    fn questions_are_counted_by_party_and_month() {
        let day = datetime!(2026-11-02 9:00 UTC);
        let log = Log::new()
            .ask(day, ONE, 1, Ok("priority"))
            .ask(day, ONE, 1, Ok("priority"))
            .ask(day, ONE, 2, Err("stock"))
            .ask(day, OTHER, 1, Ok("undetermined"))
            .ask(datetime!(2026-12-01 9:00 UTC), ONE, 1, Ok("priority"));
        let all = tallies(log);
        let one = of(&all, "2026-11", ONE);
        assert_eq!((one.questions, one.answered, one.households()), (3, 2, 2));
        assert_eq!((one.answers["priority"], one.refused["stock"]), (2, 1));
        assert_eq!(one.repeats(1), (1, 2));
        assert_eq!(of(&all, "2026-11", OTHER).questions, 1);
        assert_eq!(of(&all, "2026-12", ONE).questions, 1);
        assert_eq!(of(&all, "2026-11", "service").acts["day-key"], 1);
    }

    #[test]
    fn who_is_answered_after_an_objection_is_counted_once_and_who_was_answered_before_it_is_not() {
        let day = datetime!(2026-11-02 9:00 UTC);
        let log = Log::new()
            .ask(day, ONE, 1, Ok("priority"))
            .ask(day, ONE, 1, Err("objection"))
            .ask(day, ONE, 2, Err("objection"))
            .ask(day, ONE, 2, Err("stock"))
            .ask(day, ONE, 2, Ok("priority"))
            .ask(day, ONE, 2, Ok("priority"))
            .ask(day, ONE, 3, Ok("priority"))
            .ask(day, OTHER, 1, Ok("priority"));
        let all = tallies(log);
        assert_eq!(of(&all, "2026-11", ONE).after_objection.len(), 1);
        assert!(of(&all, "2026-11", OTHER).after_objection.is_empty(), "another landlord");
    }

    #[test]
    fn nights_are_dutch_in_summer_and_winter() {
        for (time, night) in [
            (datetime!(2026-11-02 20:59 UTC), false),
            (datetime!(2026-11-02 21:00 UTC), true),
            (datetime!(2026-11-02 4:59 UTC), true),
            (datetime!(2026-11-02 5:00 UTC), false),
            (datetime!(2026-07-02 20:00 UTC), true),
            (datetime!(2026-07-02 4:00 UTC), false),
            // The night of the change: 6 o'clock is 5:00 UTC before it, 4:00 after it.
            (datetime!(2026-03-28 4:30 UTC), true),
            (datetime!(2026-03-29 4:30 UTC), false),
            (datetime!(2026-10-25 4:30 UTC), true),
        ] {
            let all = tallies(Log::new().ask(time, ONE, 1, Ok("priority")));
            let month = format!("2026-{:02}", u8::from(time.month()));
            assert_eq!(of(&all, &month, ONE).nights, u64::from(night), "{time}");
        }
    }

    #[test]
    fn a_day_far_above_the_middle_one_is_a_burst() {
        let mut log = Log::new();
        for (day, questions) in [(2, 2), (3, 2), (4, 7), (5, 1)] {
            let time = datetime!(2026-11-01 9:00 UTC) + Duration::days(day - 1);
            for _ in 0..questions {
                log = log.ask(time, ONE, 1, Ok("priority"));
            }
        }
        assert_eq!(of(&tallies(log), "2026-11", ONE).bursts(), [(date!(2026 - 11 - 04), 7)]);
    }

    #[test]
    fn small_counts_are_hidden_and_others_among_which_they_are() {
        use Cell::{Count, Hidden};
        assert_eq!(publishable(&[30, 20, 9], 5), [Count(30), Count(20), Count(9)]);
        assert_eq!(publishable(&[30, 20, 3], 5), [Count(30), Hidden, Hidden]);
        assert_eq!(publishable(&[30, 0, 3], 5), [Count(30), Hidden, Hidden]);
        for all_hidden in [[9, 4, 4], [30, 0, 0], [20, 20, 4], [4, 4, 4]] {
            assert_eq!(publishable(&all_hidden, 5), [Hidden; 3], "{all_hidden:?}");
        }
        assert_eq!(publishable(&[3, 0], 0), [Count(3), Count(0)]);
        assert_eq!(publishable(&[3], 5), [Hidden]);
    }

    /// Of whoever knows the sum and this very rule: every list of counts with that sum that is published alike is tried.
    #[test]
    fn no_hidden_count_can_be_computed_from_what_is_published() {
        for (limit, most) in [(5, 30), (3, 20), (2, 12), (1, 12)] {
            let mut alike: BTreeMap<(u64, Vec<Cell>), Vec<[u64; 3]>> = BTreeMap::new();
            for at in 0..(most + 1_u64).pow(3) {
                let counts = [at % (most + 1), at / (most + 1) % (most + 1), at / (most + 1).pow(2)];
                let sum = counts.iter().sum();
                // Where nobody was answered there is nobody to hide; a larger sum has lists that are not tried.
                if (1..=most).contains(&sum) {
                    alike.entry((sum, publishable(&counts, limit))).or_default().push(counts);
                }
            }
            for ((sum, cells), lists) in alike {
                for at in (0..3).filter(|&at| cells[at] == Cell::Hidden) {
                    let first = lists[0][at];
                    assert!(lists.iter().any(|list| list[at] != first), "{first} of {sum} at {at}: {cells:?}");
                }
            }
        }
    }
}
