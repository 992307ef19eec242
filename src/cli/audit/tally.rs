//! Counts a log by party and month, and what stands out in it. Pure: entries in, counts out.

use std::collections::BTreeMap;

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
            *self.acts.entry(super::list::name(found)).or_default() += count;
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
        let month = format!("{:04}-{:02}", time.year(), u8::from(time.month()));
        self.0.entry((month, party)).or_default().add(found, time);
    }
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

/// A count as it may be published: small ones are hidden, and so are others where a small one could be computed from the
/// sum that stands beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Count(u64),
    /// Fewer than so many, perhaps none.
    Below(u64),
    /// Not small, but it would give a small one away; or small, where that is given away by which ones are.
    Hidden,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => f.pad(&count.to_string()),
            Self::Below(limit) => f.pad(&format!("<{limit}")),
            Self::Hidden => f.pad("hidden"),
        }
    }
}

/// The cells of counts whose sum is known; none is smaller than `limit`.
pub fn publishable(counts: &[u64], limit: u64) -> Vec<Cell> {
    let is_small = |count: u64| count < limit;
    let mut small: Vec<u64> = counts.iter().copied().filter(|&count| is_small(count)).collect();
    let mut rest: Vec<usize> = (0..counts.len()).filter(|&at| !is_small(counts[at])).collect();
    rest.sort_by_key(|&at| std::cmp::Reverse(counts[at]));
    let (few, mut hidden) = (small.len() as u64, Vec::new());
    while let Some(&next) = rest.last().filter(|_| few > 0 && limit > 1) {
        let (sum, others) = (small.iter().sum::<u64>(), hidden.len() as u64);
        // Whoever knows that sum, and that the others among it are neither small nor larger than what is shown.
        let most = few * (limit - 1);
        let upper = most.min(sum.saturating_sub(others * limit));
        let lower = if others == 0 { sum } else { sum.saturating_sub(others * counts[next]) };
        let told = upper == 0 || lower == most || (few == 1 && lower >= upper);
        if !told {
            break;
        }
        rest.pop();
        small.push(counts[next]);
        hidden.push(next);
    }
    // That several small ones are none, or as many as they can be, is told by which ones are small, too.
    let alike = few > 1 && !hidden.is_empty();
    let cell = |(at, &count): (usize, &u64)| match is_small(count) {
        true if !alike => Cell::Below(limit),
        false if !hidden.contains(&at) => Cell::Count(count),
        _ => Cell::Hidden,
    };
    counts.iter().enumerate().map(cell).collect()
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
    fn small_counts_are_hidden_and_cannot_be_computed_from_the_sum() {
        use Cell::{Below, Count, Hidden};
        assert_eq!(publishable(&[30, 20, 9], 5), [Count(30), Count(20), Count(9)]);
        assert_eq!(publishable(&[30, 20, 3], 5), [Count(30), Hidden, Below(5)]);
        assert_eq!(publishable(&[30, 0, 3], 5), [Count(30), Below(5), Below(5)]);
        assert_eq!(publishable(&[3], 5), [Below(5)]);
        // Of 17, two of which are below 5: both are 4. Of 30: both are 0.
        assert_eq!(publishable(&[9, 4, 4], 5), [Hidden, Hidden, Hidden]);
        assert_eq!(publishable(&[30, 0, 0], 5), [Hidden, Hidden, Hidden]);
        assert_eq!(publishable(&[6, 0, 0], 5), [Hidden, Hidden, Hidden]);
        assert_eq!(publishable(&[30, 9, 4, 4], 5), [Count(30), Hidden, Hidden, Hidden]);
        // One that is hidden is not small, and not larger than the next.
        assert_eq!(publishable(&[30, 5, 0], 5), [Hidden, Hidden, Below(5)]);
        assert_eq!(publishable(&[20, 20, 4], 5), [Hidden, Hidden, Below(5)]);
        assert_eq!(publishable(&[3, 0], 0), [Count(3), Count(0)]);
    }
}
