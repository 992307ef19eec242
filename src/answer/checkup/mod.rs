//! Whether everything is as the service needs it. A start, `/readyz` and `voorrang doctor` ask the same questions here,
//! so that none of them knows of a fault that the others do not.

mod kept;
mod machine;

use serde::Serialize;
use time::{Date, Duration, OffsetDateTime};

use super::epochs::Ageing;
use super::laws::Laws;
use super::profiles::Profiles;
use super::tls::Gate;
use super::{StartError, open_regulation};
use crate::clock::Clock;
use crate::config::{Config, Shipped};
use crate::epoch::{Epoch, State};
use crate::ids::EpochId;
use crate::store::Outbox;

/// How early the end of a certificate, list or regulation is worth a warning.
const CERTIFICATE: Duration = Duration::days(21);
const LISTS: Duration = Duration::hours(12);
const REGULATION: Duration = Duration::days(30);
/// How long a processing record may wait for its collector.
const RECORDS: Duration = Duration::HOUR;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    Configuration,
    Profile,
    Regulation,
    Tls,
    Listener,
    Clock,
    Disk,
    Permissions,
    Store,
    Log,
    Epoch,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Fine,
    /// Soon a fault, or to be mended.
    Warning,
    /// The service does not start, or does not do what it should.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub grade: Grade,
    pub about: Area,
    /// Stable.
    pub code: &'static str,
    /// What it is and what to do.
    pub detail: String,
}

impl Area {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Profile => "profile",
            Self::Regulation => "regulation",
            Self::Tls => "tls",
            Self::Listener => "listener",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Permissions => "permissions",
            Self::Store => "store",
            Self::Log => "log",
            Self::Epoch => "epoch",
        }
    }
}

impl Finding {
    pub(super) fn fine(about: Area, code: &'static str, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Fine, about, code, detail: detail.into() }
    }

    pub(super) fn warning(about: Area, code: &'static str, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Warning, ..Self::fine(about, code, detail) }
    }

    pub(super) fn error(about: Area, code: &'static str, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Error, ..Self::fine(about, code, detail) }
    }
}

/// Everything, also beside a service that runs: nothing is written, made or put right.
pub fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let runs = kept::runs(config);
    let mut found = surroundings(config, clock.now(), Who::Doctor { runs });
    add(&mut found, kept::look(config, clock));
    found
}

/// A folder of a regulation is read for itself and for what was activated of it: a fault is told once.
fn add(found: &mut Vec<Finding>, more: Vec<Finding>) {
    for finding in more {
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
}

/// All that keeps the service from starting, on one screen. The store is looked at only if there is something else: its
/// own way in checks it.
pub(super) fn before_start(config: &Config, clock: &Clock) -> Result<(), StartError> {
    let is_error = |finding: &Finding| finding.grade == Grade::Error;
    let mut found = surroundings(config, clock.now(), Who::Service);
    found.retain(is_error);
    if found.is_empty() {
        return Ok(());
    }
    add(&mut found, kept::look(config, clock));
    found.retain(is_error);
    Err(StartError::Faults(found))
}

/// Faults as a start tells them: one in a line, more in a list.
pub(super) fn screen(found: &[Finding]) -> String {
    match found {
        [one] => one.detail.clone(),
        all => {
            let lines = all.iter().map(|one| format!("\n  {}: {}", one.about.as_str(), one.detail));
            format!("{} faults keep the service from starting:{}", all.len(), lines.collect::<String>())
        }
    }
}

/// An error and what is behind it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

/// Who looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Service,
    /// Beside a service, whether it runs or not.
    Doctor {
        runs: bool,
    },
}

/// All but the store.
fn surroundings(config: &Config, now: OffsetDateTime, who: Who) -> Vec<Finding> {
    let mut found =
        vec![Finding::fine(Area::Configuration, "configuration", "every key is known and holds what it takes")];
    found.push(match Profiles::open(config) {
        Ok(profiles) => Finding::fine(Area::Profile, "profile", format!("{} can be used", profiles.names())),
        Err(error) => Finding::error(Area::Profile, "profile_unusable", chain(&error)),
    });
    found.extend(folders(&config.regulations));
    match Gate::open(&config.tls) {
        Ok(gate) => found.extend(of_gate(&gate, now)),
        Err(error) => found.push(Finding::error(Area::Tls, "tls_files", chain(&error))),
    }
    found.extend(machine::listeners(config, who == Who::Doctor { runs: true }));
    found.push(machine::files(config, who == Who::Service));
    found.extend(machine::permissions(config, who == Who::Service));
    found.extend(machine::disk(config));
    found
}

/// Regulations as they lie in their folders.
fn folders(places: &[Shipped]) -> Vec<Finding> {
    let (mut found, mut known) = (Vec::new(), Vec::new());
    if places.is_empty() {
        found.push(unusable(&StartError::NoRegulation));
    }
    for place in places {
        match open_regulation(place) {
            Ok(regulation) if known.contains(regulation.id()) => {
                found.push(unusable(&StartError::RegulationTwice(regulation.id().clone())));
            }
            Ok(regulation) => known.push(regulation.id().clone()),
            Err(error) => found.push(unusable(&error)),
        }
    }
    found
}

fn unusable(error: &StartError) -> Finding {
    Finding::error(Area::Regulation, "regulation_unusable", chain(error))
}

/// The service's certificate and its clients' revocation lists.
pub(super) fn of_gate(gate: &Gate, now: OffsetDateTime) -> Vec<Finding> {
    let days = (gate.own_until - now).whole_days();
    let own = if gate.own_until <= now {
        Finding::error(
            Area::Tls,
            "certificate_ended",
            "the service's certificate has ended: clients refuse it; renew it",
        )
    } else if gate.own_until <= now + CERTIFICATE {
        let detail = format!("the service's certificate ends within three weeks ({days} days); renew it");
        Finding::warning(Area::Tls, "certificate_ends", detail)
    } else {
        Finding::fine(Area::Tls, "certificate", format!("the service's certificate serves for {days} more days"))
    };
    let lists = match gate.lists.until {
        until if gate.is_closed() || until.is_some_and(|until| until <= now) => {
            let detail = "revocation cannot be judged and nobody is let in: fetch the lists of tls.crls anew";
            Finding::error(Area::Tls, "revocation_lists", detail)
        }
        Some(until) if until <= now + LISTS => Finding::warning(
            Area::Tls,
            "revocation_lists_end",
            "a list of tls.crls ends within twelve hours; fetch it anew",
        ),
        Some(until) => {
            let hours = (until - now).whole_hours();
            Finding::fine(Area::Tls, "revocation_lists_serve", format!("revocation lists serve for {hours} more hours"))
        }
        None if gate.without_lists => {
            Finding::fine(Area::Tls, "revocation_unchecked", "revocation is not checked, as tls.without_crls says")
        }
        None => {
            let detail = "whoever loses a key stays in until the certificate ends: name the authorities' revocation \
                          lists in tls.crls, or set tls.without_crls if there are none";
            Finding::warning(Area::Tls, "revocation_unchecked", detail)
        }
    };
    let mut found = vec![own, lists];
    if gate.lists.unlisted > 0 && !gate.is_closed() {
        let (of, all) = (gate.lists.unlisted, gate.roots());
        let detail = format!(
            "tls.crls holds no list of {of} of the {all} authorities of tls.client_roots: nobody comes in whom they \
             vouch for; fetch theirs"
        );
        let told = if of == all { Finding::error } else { Finding::warning };
        found.push(told(Area::Tls, "revocation_lists_of_others", detail));
    }
    if gate.lists.doubled > 0 && !gate.is_closed() {
        let detail = "tls.crls holds two lists of one authority: the newer one counts; take the older one away";
        found.push(Finding::warning(Area::Tls, "revocation_lists_doubled", detail));
    }
    if gate.lists.gone_back > 0 && !gate.is_closed() {
        let detail = "a list of tls.crls is older than the one that was there before, and whom that one revoked may be \
                      in again: fetch the newest";
        found.push(Finding::warning(Area::Tls, "revocation_lists_gone_back", detail));
    }
    found
}

/// Epochs that answer nothing for want of their key.
pub(super) fn epoch_key(id: &EpochId) -> Finding {
    let what = format!("{id} has no key that opens its registers: restore the key file, or begin a new epoch");
    Finding::error(Area::Epoch, "epoch_key", what)
}

/// A register from which an epoch does not answer much longer, or no more.
pub(super) fn of_age(id: &EpochId, Ageing { source, last, other_ages }: &Ageing, today: Date) -> Finding {
    let (source, since) = (source.as_str(), if *last < today { "since" } else { "after" });
    let why = match other_ages {
        true => "was made by other ages than the regulation has".to_owned(),
        false => format!("is too old to answer from {since} {last}"),
    };
    let what = format!(
        "{id}: {source} {why}, and whatever rests on it is undetermined: have its custodian run `voorrang load {source} \
         --epoch {id}`"
    );
    Finding::warning(Area::Epoch, "epoch_stale", what)
}

/// Room on the volumes that are written.
pub(super) fn of_disk(config: &Config) -> Vec<Finding> {
    machine::disk(config)
}

/// Nothing is answered by a day that cannot be right.
pub(super) fn clock_leapt() -> Finding {
    let detail = "the clock leapt ahead, and nothing is answered: set it right; if it is right, restart the service, and \
                  behind a leap of more than 31 days put today's date into clock_right_on before";
    Finding::error(Area::Clock, "clock_leapt", detail)
}

/// Which regulations are in force, and for how long.
pub(super) fn of_laws(laws: &Laws, today: Date) -> Vec<Finding> {
    let all = laws.all(today);
    if all.is_empty() {
        let detail = "no regulation is activated: every question is refused; all parties sign it, then two people \
                      activate it";
        return vec![Finding::warning(Area::Regulation, "no_regulation", detail)];
    }
    let each = all.iter().map(|regulation| {
        let (id, (from, until)) = (regulation.id(), regulation.validity());
        if !regulation.holds_on(today) {
            let detail = format!("{id} holds from {from} until {until} and not today: its questions are refused");
            Finding::warning(Area::Regulation, "regulation_not_in_force", detail)
        } else if until - today <= REGULATION {
            let detail = format!("{id} ends on {until}; have its successor signed and activated before");
            Finding::warning(Area::Regulation, "regulation_ends", detail)
        } else {
            Finding::fine(Area::Regulation, "regulation_in_force", format!("{id} is in force until {until}"))
        }
    });
    each.collect()
}

/// Of the epochs that answer: whether one does, and whether one goes on doing so.
pub(super) fn of_answering<'a>(answering: impl Iterator<Item = &'a Epoch>) -> Option<Finding> {
    let answering: Vec<&Epoch> = answering.collect();
    if answering.iter().any(|epoch| epoch.state == State::Active) {
        return None;
    }
    let Some(last) = answering.iter().max_by_key(|epoch| epoch.answers_until) else {
        let detail = "no epoch answers: no question is answered; see `voorrang epoch list`";
        return Some(Finding::warning(Area::Epoch, "no_epoch", detail));
    };
    let until = last.answers_until.map(|until| until.date().to_string()).unwrap_or_default();
    let detail = format!(
        "no epoch is active: {} answers until {until} and nothing does behind that; activate the next one before",
        last.id
    );
    Some(Finding::warning(Area::Epoch, "epoch_without_successor", detail))
}

/// Processing records that reach no log of theirs.
pub(super) fn of_outbox(stands: &Outbox, now: OffsetDateTime) -> Vec<Finding> {
    let mut found = Vec::new();
    if stands.refused > 0 {
        let detail = format!(
            "the collector refuses {} processing records by themselves: its log says why; they are kept, and sent again \
             after a restart",
            stands.refused
        );
        found.push(Finding::warning(Area::Log, "processing_records_refused", detail));
    }
    if stands.oldest.is_some_and(|oldest| now - oldest > RECORDS) {
        let detail =
            format!("{} processing records wait, the oldest for over an hour: see ldv.collector", stands.waiting);
        found.push(Finding::warning(Area::Log, "processing_records_wait", detail));
    }
    found
}
