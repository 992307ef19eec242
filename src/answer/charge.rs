//! What a question costs: in the job that answers, so that nobody is answered beyond a budget; and what officers are
//! told of it: that a corporation passed the alarm, or that its questions missed so often that its tap is closed.

use time::{Date, OffsetDateTime};

use super::asked::Count;
use super::questions::month;
use crate::audit::{Action, Entry, Outcome};
use crate::ids::{Oin, RegulationId};
use crate::regulate::{Cost, Probing};
use crate::store::{Appended, Asked, Store, StoreError, Tx};

/// Who pays for a question, and the most that may have been spent after it.
pub(super) struct Charge {
    pub regulation: RegulationId,
    pub oin: Oin,
    pub today: Date,
    /// Questions of the party in the month.
    pub most: u64,
    /// Those about the household and its tenants.
    pub about: Vec<Count>,
    /// Questions from which officers are told.
    pub alarm: u64,
    pub probing: Probing,
    pub now: OffsetDateTime,
}

/// Why a question that was permitted is not charged after all.
pub(super) enum Unpaid {
    /// Another question of the same party was faster: it spent the budget, or closed the tap.
    Spent,
    Store(StoreError),
}

impl From<StoreError> for Unpaid {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Charge {
    /// Charges an answered question and appends its entry.
    pub(super) fn answered(&self, tx: &Tx<'_>, entry: &Entry, cost: Cost) -> Result<Appended, Unpaid> {
        // What was decided at the same time as the question that closed the tap was not told yet.
        if tx.tap_closed(&self.regulation, &self.oin)? {
            return Err(Unpaid::Spent);
        }
        let asked = self.count(tx, cost)?;
        // One question was left, of two that it counts as: whether two are needed is known only when they are found.
        if asked.questions >= self.most + u64::from(cost.questions) {
            return Err(Unpaid::Spent);
        }
        for count in &self.about {
            if !count.charge(tx)? {
                return Err(Unpaid::Spent);
            }
        }
        let appended = tx.append(entry)?;
        self.watch(tx, entry, asked)?;
        Ok(appended)
    }

    /// Charges a question that was refused because it is about somebody else's address: trying costs, too.
    pub(super) fn refused(&self, tx: &Tx<'_>, entry: &Entry) -> Result<Appended, StoreError> {
        let asked = self.count(tx, Cost { questions: 1, missed: true })?;
        let appended = tx.append(entry)?;
        self.watch(tx, entry, asked)?;
        Ok(appended)
    }

    fn count(&self, tx: &Tx<'_>, Cost { questions, missed }: Cost) -> Result<Asked, StoreError> {
        let misses = u32::from(missed);
        tx.charge(&self.regulation, &self.oin, &month(self.today), self.today.day(), questions, misses)
    }

    /// Tells officers what the counts say, behind the question's own entry.
    fn watch(&self, tx: &Tx<'_>, entry: &Entry, asked: Asked) -> Result<(), StoreError> {
        // Not only where they meet: a question may count as two, and a stock may shrink below what was asked.
        let alarming = asked.questions >= self.alarm.max(1);
        if alarming && tx.raise_alarm(&self.regulation, &self.oin, &month(self.today))? {
            tx.append(&notice(entry, Action::BudgetAlarm))?;
        }
        let closes = self.probing.closes(asked.misses, asked.questions)
            || self.probing.closes(asked.day_misses, asked.day_questions);
        if closes && tx.close_tap(&self.regulation, &self.oin, self.now)? {
            tx.append(&notice(entry, Action::Probing))?;
        }
        Ok(())
    }
}

/// A month's questions of a party of the care side.
pub(super) struct CareMonth {
    pub regulation: RegulationId,
    pub oin: Oin,
    pub today: Date,
    /// Questions from which officers are told, and the most.
    pub alarm: u64,
    pub most: u64,
}

impl CareMonth {
    /// Whether one more is too many.
    pub(super) fn is_spent(&self, store: &Store) -> Result<bool, StoreError> {
        Ok(store.questions(&self.regulation, &self.oin, &month(self.today))? >= self.most)
    }

    /// Counts one more and appends its entry, or nothing at all if it is too many.
    pub(super) fn charge(&self, tx: &Tx<'_>, entry: &Entry) -> Result<Appended, Unpaid> {
        let month = month(self.today);
        let asked = tx.charge(&self.regulation, &self.oin, &month, self.today.day(), 1, 0)?.questions;
        if asked > self.most {
            return Err(Unpaid::Spent);
        }
        let appended = tx.append(entry)?;
        if asked >= self.alarm && tx.raise_alarm(&self.regulation, &self.oin, &month)? {
            tx.append(&notice(entry, Action::BudgetAlarm))?;
        }
        Ok(appended)
    }
}

/// An entry about a party's questions as a whole: it names no household.
fn notice(entry: &Entry, action: Action) -> Entry {
    Entry {
        action,
        object: None,
        stage: None,
        consent: None,
        articles: Vec::new(),
        result: Outcome::Done,
        latency: None,
        sealed: None,
        salt: Entry::fresh_salt(),
        ..entry.clone()
    }
}
