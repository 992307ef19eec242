//! How many questions may be asked.

use serde::Deserialize;

use super::RegulationError;
use super::regulation::demand;

/// Most households that one request may be wanted to ask about.
const MOST_BATCH: u32 = 100;

/// How many questions may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    /// Share of the stock asked about in a month, 0 to 1, from which the officers are told.
    pub alarm_share: f64,
    /// Share of the stock asked about in a month, 0 to 1, from which every question is refused.
    pub stop_share: f64,
    /// The most questions of each corporation in a month, whatever its stock. Left out: its stock alone counts.
    pub most_questions: Option<u32>,
    /// Questions about one household in a month.
    pub household_per_month: u32,
    /// Households that one request must at least ask about, so that nobody can be singled out. 1: no minimum.
    pub minimum_batch: u32,
    care_alarm: Option<u32>,
    care_stop: Option<u32>,
}

/// Left out: an assumption. Some five cases a working day are usual for a whole city's care side, a dozen are not.
const CARE_ALARM: u32 = 100;
const CARE_STOP: u32 = 250;

impl Budgets {
    /// Questions of each party of the care side in a month from which the officers are told.
    pub fn care_alarm(&self) -> u32 {
        self.care_alarm.unwrap_or(CARE_ALARM)
    }

    /// The most questions of each of them in a month.
    pub fn care_stop(&self) -> u32 {
        self.care_stop.unwrap_or(CARE_STOP)
    }

    /// The keys that the file leaves out, and what holds for them.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let keys = [("care_alarm", self.care_alarm, CARE_ALARM), ("care_stop", self.care_stop, CARE_STOP)];
        keys.into_iter().filter(|(_, given, _)| given.is_none()).map(|(key, _, holds)| (key, holds))
    }

    /// Questions in a month from which the officers are told, for a stock of `dwellings`. Of [`Self::most_questions`] it is
    /// the part that the alarm's share is of the stop's, so that the alarm comes as long before it.
    pub fn alarm(&self, dwellings: u64) -> u64 {
        share_of(self.alarm_share, dwellings).min(self.most_alarm().unwrap_or(u64::MAX))
    }

    /// The most questions in a month, for a stock of `dwellings`.
    pub fn stop(&self, dwellings: u64) -> u64 {
        share_of(self.stop_share, dwellings).min(self.most_questions.map_or(u64::MAX, u64::from))
    }

    /// From how many of [`Self::most_questions`] the officers are told, whatever the stock.
    pub fn most_alarm(&self) -> Option<u64> {
        self.most_questions.map(|most| share_of(self.alarm_share / self.stop_share, most.into()))
    }

    pub(super) fn check(&self) -> Result<(), RegulationError> {
        demand(&[
            (0.0 < self.alarm_share && self.alarm_share <= 1.0, "budget.alarm_share must be above 0, at most 1"),
            (0.0 < self.stop_share && self.stop_share <= 1.0, "budget.stop_share must be above 0, at most 1"),
            (self.alarm_share <= self.stop_share, "budget.alarm_share must not exceed budget.stop_share"),
            (
                self.most_questions.is_none_or(|most| (1..=100_000).contains(&most)),
                "budget.most_questions must be 1 to 100000",
            ),
            ((1..=31).contains(&self.household_per_month), "budget.household_per_month must be 1 to 31"),
            ((1..=MOST_BATCH).contains(&self.minimum_batch), "budget.minimum_batch must be 1 to 100"),
            ((1..=100_000).contains(&self.care_stop()), "budget.care_stop must be 1 to 100000"),
            ((1..=self.care_stop()).contains(&self.care_alarm()), "budget.care_alarm must be 1 to budget.care_stop"),
        ])
    }
}

/// Rounded up, so that a corporation with three dwellings can ask at all. No stock nears 2^52, where floats stop counting.
fn share_of(share: f64, dwellings: u64) -> u64 {
    (share * dwellings as f64).ceil() as u64
}

#[cfg(test)]
mod tests {
    use crate::regulate::Facts;
    use crate::regulate::tests::{CEDAR_TEXT, TOML_TEXT, YMERE, question, read, replaced};

    #[test]
    fn the_lesser_of_share_and_number_is_the_most() {
        let with = |most: u32| {
            let line = format!("stop_share = 0.25\nmost_questions = {most}");
            read(&replaced(TOML_TEXT, "stop_share = 0.25", &line), CEDAR_TEXT).unwrap()
        };
        for (most, dwellings, stop, alarm) in [
            (100, 1_000, 100, 40),
            (100, 400, 100, 40),
            (100, 396, 99, 40),
            (100, 200, 50, 20),
            (250, 1_000, 250, 100),
            (100_000, 1_000, 250, 100),
            (1, 1_000, 1, 1),
            (100, 0, 0, 0),
        ] {
            let regulation = with(most);
            let budgets = regulation.budgets();
            assert_eq!((budgets.stop(dwellings), budgets.alarm(dwellings)), (stop, alarm), "{most} {dwellings}");
            let asks = |asked_this_month| {
                let facts = Facts { asked_this_month, stock: Some(dwellings), ..question(YMERE) };
                regulation.decide(&facts).map_err(|refusal| refusal.article)
            };
            assert!(stop == 0 || asks(stop - 1).is_ok(), "{most} {dwellings}");
            assert_eq!(asks(stop).unwrap_err(), "budget");
        }
    }

    #[test]
    fn an_article_that_lets_more_through_than_the_number_is_refused() {
        let toml = replaced(TOML_TEXT, "stop_share = 0.25", "stop_share = 0.25\nmost_questions = 100");
        let from = "context.askedThisMonth >= context.mostThisMonth";
        for (line, is_held) in [(101, false), (100, true)] {
            let to = format!("context.mostThisMonth == 0 || context.askedThisMonth >= {line}");
            assert_eq!(read(&toml, &replaced(CEDAR_TEXT, from, &to)).is_ok(), is_held, "{line}");
        }
    }
}
