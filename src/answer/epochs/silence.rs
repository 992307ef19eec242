//! An epoch falls silent by the clock, whoever looks; that it did is in its record and in the log once, when the service
//! notices.

use std::collections::HashSet;

use super::super::App;
use super::super::proposals::drop_overtaken;
use crate::audit::Action;
use crate::epoch::{State, Step};
use crate::ids::EpochId;
use crate::store::{StoreError, Taken};

impl App {
    /// Records each epoch whose grace has ended; `told` are those of which that is in the log.
    pub(in super::super) fn record_silences(&self, told: &mut HashSet<EpochId>) {
        let silent = |state, until| state == State::Retiring && until <= Some(self.latest());
        let all = self.all_epochs();
        let news = all.iter().map(|one| &one.epoch).filter(|one| silent(one.state, one.answers_until));
        for epoch in news.filter(|one| !told.contains(&one.id)).collect::<Vec<_>>() {
            match self.record_silence(&epoch.id) {
                Ok(()) => drop(told.insert(epoch.id.clone())),
                // The next round tries again.
                Err(error) => tracing::warn!(code = error.code(), "the silence of an epoch could not be recorded"),
            }
        }
    }

    fn record_silence(&self, id: &EpochId) -> Result<(), StoreError> {
        let last = self.store.steps(id)?.pop().filter(|step| step.state == State::Retiring);
        // A step behind the end says it: this one, or of who retired it at once.
        let Some(last) = last.filter(|step| step.answers_until.is_some_and(|until| step.at < until)) else {
            return Ok(());
        };
        let step = Step::FallSilent.from(last.state).expect("a retiring epoch falls silent");
        let mut entry = self.own_entry(Action::EpochSilent);
        entry.epoch = Some(id.clone());
        let (id, at) = (id.clone(), self.latest());
        self.store.write(move |tx| {
            let log_index = tx.append(&entry)?.index;
            drop_overtaken(tx, &entry, step.to(), false, at)?;
            tx.take_step(&id, step, &Taken { at, log_index, ..last })
        })?;
        Ok(())
    }
}
