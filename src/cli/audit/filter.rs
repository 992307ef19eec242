//! Which entries an officer wants to see.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

use super::LogArgs;
use super::index::{BEGINNING, Index};
use super::reading::Reading;
use crate::audit::{Action, Entry, Outcome};
use crate::cli::client::{ClientConfig, PartyBook};
use crate::ids::{EpochId, Oin};

/// Every filter that is given must fit.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Filter {
    /// From this moment on: a day, or RFC 3339; UTC
    #[arg(long, value_parser = moment)]
    pub from: Option<OffsetDateTime>,
    /// Before this moment; a day counts with its whole length
    #[arg(long, value_parser = end_of)]
    pub until: Option<OffsetDateTime>,
    /// OIN of the party that acted
    #[arg(long)]
    pub party: Option<Oin>,
    /// What was done, as the log names it, for example ask
    #[arg(long, value_parser = action)]
    pub action: Option<Action>,
    /// How it ended: done, answered, refused, failed, or one of the last two with its code, refused:stock
    #[arg(long, value_parser = result)]
    pub result: Option<String>,
    /// An article that decided
    #[arg(long)]
    pub article: Option<String>,
    /// Epoch
    #[arg(long)]
    pub epoch: Option<EpochId>,
}

/// No entry could ever fit.
#[derive(Debug, thiserror::Error)]
pub enum NoSuchFilter {
    #[error("--from is not before --until: no moment is in between")]
    Time,
    #[error("{0} is no party: no entry of this log and nobody in the party book has that OIN")]
    Party(Oin),
}

impl Filter {
    /// Opens the log for these filters.
    ///
    /// # Errors
    /// As [`LogArgs::reading`]; [`NoSuchFilter`] for a time that ends before it begins, and for a party of which neither the
    /// log nor the officer's party book knows: a slip of the pen must not read as "nobody asked".
    pub fn reading(&self, log: &LogArgs) -> anyhow::Result<Reading> {
        if self.from.zip(self.until).is_some_and(|(from, until)| from >= until) {
            return Err(NoSuchFilter::Time.into());
        }
        let mut reading = log.reading()?;
        if let Some(party) = &self.party {
            let parties = PartyBook::load(&ClientConfig::load(&log.config)?.parties)?;
            if parties.find(party).is_none() && !self.acted(party, &mut reading)? {
                return Err(NoSuchFilter::Party(party.clone()).into());
            }
        }
        Ok(reading)
    }

    /// Whether a party stands in the log. Reads all of it.
    fn acted(&self, party: &Oin, reading: &mut Reading) -> anyhow::Result<bool> {
        let (alone, mut acted) = (Self { party: Some(party.clone()), ..Self::default() }, false);
        reading.each(|found| {
            acted |= alone.wants(&found.entry);
            Ok(())
        })?;
        Ok(acted)
    }

    /// Whether every entry is wanted.
    pub fn wants_all(&self) -> bool {
        let Self { from, until, party, action, result, article, epoch } = self;
        from.is_none()
            && until.is_none()
            && party.is_none()
            && action.is_none()
            && result.is_none()
            && article.is_none()
            && epoch.is_none()
    }

    /// Whether everything is wanted that a party did in this time.
    pub fn covers(&self, begins: OffsetDateTime, ends: OffsetDateTime) -> bool {
        let Self { from, until, party: _, action, result, article, epoch } = self;
        from.is_none_or(|from| from <= begins)
            && until.is_none_or(|until| ends <= until)
            && (action.is_none() && result.is_none() && article.is_none() && epoch.is_none())
    }

    /// What was asked for by a name that nothing in the log has: a slip of the pen must not read as "nobody asked". Reads
    /// the whole log.
    ///
    /// # Errors
    /// As [`Reading::each`].
    pub fn unknown(&self, reading: &mut Reading) -> anyhow::Result<Vec<String>> {
        let code = |result: &str| result.contains(':').then(|| result.to_owned());
        let mut unknown = [
            (Self { article: self.article.clone(), ..Self::default() }, self.article.clone(), "the article"),
            (
                Self { epoch: self.epoch.clone(), ..Self::default() },
                self.epoch.as_ref().map(EpochId::to_string),
                "the epoch",
            ),
            (
                Self { result: self.result.clone(), ..Self::default() },
                self.result.as_deref().and_then(code),
                "the result",
            ),
        ]
        .into_iter()
        .filter_map(|(alone, name, what)| Some((alone, format!("{what} {}", name?))))
        .collect::<Vec<_>>();
        if !unknown.is_empty() {
            reading.each(|found| {
                unknown.retain(|(alone, _)| !alone.wants(&found.entry));
                Ok(())
            })?;
        }
        Ok(unknown.into_iter().map(|(_, what)| what).collect())
    }

    /// Positions that the index leaves over; `None` where it can leave out none.
    pub fn positions(&self, index: &Index) -> Option<Vec<u64>> {
        let seconds = |moment: Option<OffsetDateTime>| moment.map(OffsetDateTime::unix_timestamp);
        let (from, until) =
            (seconds(self.from), self.until.map(|until| (until - Duration::NANOSECOND).unix_timestamp() + 1));
        if from.is_none() && until.is_none() {
            return None;
        }
        Some(index.between(from.unwrap_or(BEGINNING), until.unwrap_or(i64::MAX)))
    }

    /// Whether an entry is wanted.
    pub fn wants(&self, entry: &Entry) -> bool {
        let time = OffsetDateTime::parse(&entry.time, &Rfc3339).ok();
        let in_time = |holds: &dyn Fn(OffsetDateTime) -> bool| time.is_some_and(holds);
        let result = entry.result.to_string();
        let class = result.split(':').next().unwrap_or_default();
        self.from.is_none_or(|from| in_time(&|time| time >= from))
            && self.until.is_none_or(|until| in_time(&|time| time < until))
            && self.party.as_ref().is_none_or(|party| entry.actor.oin.as_ref() == Some(party))
            && self.action.is_none_or(|action| entry.action == action)
            && self.result.as_ref().is_none_or(|wanted| *wanted == result || wanted == class)
            && self.article.as_ref().is_none_or(|article| entry.articles.contains(article))
            && self.epoch.as_ref().is_none_or(|epoch| entry.epoch.as_ref() == Some(epoch))
    }
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    day(text).map(|day| day.midnight().assume_utc())
}

/// A day ends with the next one's beginning.
fn end_of(text: &str) -> Result<OffsetDateTime, String> {
    match day(text) {
        Ok(day) => day.next_day().map(|next| next.midnight().assume_utc()).ok_or_else(|| "that day has no next".into()),
        Err(_) => moment(text),
    }
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| "a moment is written as 2026-01-31 or 2026-01-31T09:00:00Z".into())
}

fn action(text: &str) -> Result<Action, String> {
    let known = |error: serde_json::Error| {
        let error = error.to_string();
        // serde lists them all behind this word.
        let names = error.split_once("expected one of ").map_or("docs/access-log.md names them", |(_, names)| names);
        format!("the log has no such action; there are {}", names.replace('`', ""))
    };
    serde_json::from_value(text.into()).map_err(known)
}

fn result(text: &str) -> Result<String, String> {
    let is_class = ["done", "answered", "refused", "failed"].contains(&text);
    if is_class || text.parse::<Outcome>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("the log has no such result; there are done, answered, refused, failed, refused:CODE and failed:CODE".into())
}
