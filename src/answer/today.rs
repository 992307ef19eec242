//! Which time it is for regulations, budgets and epochs, and what is done about a clock that cannot be right.

use actix_web::http::StatusCode;
use time::{Date, OffsetDateTime};

use super::App;
use super::problem::Problem;
use super::steady::{Hands, Moment};
use crate::audit::Action;
use crate::regulate::Regulation;
use crate::store::Tx;

impl App {
    /// The day of [`App::latest`].
    pub(super) fn today(&self) -> Date {
        self.latest().date()
    }

    /// Now, or the latest moment that was seen where the clock went back or has leapt.
    pub(super) fn latest(&self) -> OffsetDateTime {
        self.moment().at
    }

    /// By which what cannot be undone is done.
    pub(super) fn settled(&self) -> OffsetDateTime {
        self.moment().settled
    }

    /// Whether the clock has leapt and nobody knows yet what day it is.
    pub(super) fn has_leapt(&self) -> bool {
        self.moment().hands == Hands::Ahead
    }

    /// Refuses while nobody knows what holds today.
    pub(super) fn knows_the_day(&self) -> Result<(), Problem> {
        if !self.has_leapt() {
            return Ok(());
        }
        let detail = "the service's clock has leapt ahead, and what holds today cannot be told until its operator has \
                      looked at it; try again later";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "clock_leapt", detail))
    }

    /// Refuses to say what a regulation obliges to that does not hold today.
    pub(super) fn holds_today(&self, regulation: &Regulation) -> Result<(), Problem> {
        if regulation.holds_on(self.today()) {
            return Ok(());
        }
        let detail = "the regulation does not hold today, and its steps oblige nobody";
        Err(Problem::new(StatusCode::FORBIDDEN, "regulation_ended", detail))
    }

    /// What time it is; the log is told of a clock that cannot be right.
    pub(super) fn moment(&self) -> Moment {
        let moment = self.steady.at(&self.clock);
        let action = match moment.hands {
            Hands::Back => Action::ClockBack,
            Hands::Ahead => Action::ClockAhead,
            Hands::Right => return moment,
        };
        if moment.is_news {
            tracing::error!(?action, "the clock cannot be right: the service goes by the latest time that it saw");
            let entry = self.own_entry(action);
            // Not waited for: who asks did not move the clock. If it cannot be written, nothing else can either.
            drop(self.store.write_async(move |tx: &Tx<'_>| tx.append(&entry).map(drop)));
        }
        moment
    }
}
