//! Which regulations are in force: those that were activated, on a day within their validity. A folder in the
//! configuration only says which may be activated. `GET /v1/regulations/{id}` and its steps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, RwLock};

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use time::Date;
use time::format_description::well_known::Rfc3339;

use super::decision::store_problem;
use super::identity::Identity;
use super::json::{Json, Query};
use super::problem::{Problem, trace_of};
use super::sealing::officers_of;
use super::wire::law::{Activate, Pending, RegulationTexts, Standing, StepView, Version};
use super::{App, Caller, StartError, four_eyes::Proposed};
use crate::audit::{Action, Entry, Outcome};
use crate::config::Shipped;
use crate::ids::RegulationId;
use crate::regulate::{Act, Arrears, Party, Regulation, RegulationError, Signatures};
use crate::store::ActivatedRegulation;

/// Regulations by name.
pub(super) struct Laws {
    /// Where a version that may be activated lies.
    places: BTreeMap<RegulationId, Shipped>,
    /// Activated versions, in the order of activation.
    versions: RwLock<HashMap<RegulationId, Vec<Arc<Regulation>>>>,
}

impl Laws {
    /// Reads the configured folders, and the versions that were activated of them.
    pub(super) fn open(places: &[Shipped], activated: Vec<ActivatedRegulation>) -> Result<Self, StartError> {
        let mut known = BTreeMap::new();
        for place in places {
            let regulation = super::open_regulation(place)?;
            if known.insert(regulation.id().clone(), place.clone()).is_some() {
                return Err(StartError::RegulationTwice(regulation.id().clone()));
            }
        }
        if known.is_empty() {
            return Err(StartError::NoRegulation);
        }
        let mut versions: HashMap<_, Vec<_>> = HashMap::new();
        for row in activated.into_iter().filter(|row| known.contains_key(&row.id)) {
            let place = format!("activated version of {}", row.id);
            let regulation = read(&row).map_err(|source| StartError::Regulation { place, source })?;
            officers_of(&regulation)?;
            versions.entry(row.id).or_default().push(Arc::new(regulation));
        }
        Ok(Self { places: known, versions: RwLock::new(versions) })
    }

    /// The version of each activated regulation that counts on this day, by name.
    pub(super) fn all(&self, today: Date) -> Vec<Arc<Regulation>> {
        self.places.keys().filter_map(|id| self.find(id, today).ok()).collect()
    }

    /// The version that counts on this day. Where none holds, the nearest one is asked: its own article refuses, names
    /// the reason, and lets officers read the log.
    pub(super) fn find(&self, id: &RegulationId, today: Date) -> Result<Arc<Regulation>, Problem> {
        if !self.places.contains_key(id) {
            return Err(unknown());
        }
        let versions = self.versions.read().unwrap_or_else(|broken| broken.into_inner());
        let all = versions.get(id).map_or(&[][..], Vec::as_slice);
        // The one activated last, because it may replace another.
        let holds = (0..all.len()).rev().find(|&at| all[at].holds_on(today) && today < end(all, at));
        // One that was replaced may hold by its own text; it is not to be asked.
        let silent = || (0..all.len()).filter(|&at| !all[at].holds_on(today));
        let ended = || silent().filter(|&at| end(all, at) <= today).max_by_key(|&at| end(all, at));
        let first = || silent().min_by_key(|&at| all[at].validity().0);
        holds.or_else(ended).or_else(first).map(|at| all[at].clone()).ok_or_else(|| {
            let detail =
                "no version of this regulation was activated; all parties sign it, then two people activate it";
            Problem::conflict("regulation_not_active", detail)
        })
    }

    /// The activated versions that began no later than this one.
    pub(super) fn until(&self, regulation: &Regulation) -> Vec<Arc<Regulation>> {
        let versions = self.versions.read().unwrap_or_else(|broken| broken.into_inner());
        let all = versions.get(regulation.id()).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|version| version.validity().0 <= regulation.validity().0).cloned().collect()
    }

    /// What an activated version is on this day.
    fn state(&self, id: &RegulationId, digest: &str, today: Date) -> &'static str {
        let versions = self.versions.read().unwrap_or_else(|broken| broken.into_inner());
        let all = versions.get(id).map_or(&[][..], Vec::as_slice);
        match all.iter().position(|version| version.digest() == digest) {
            Some(at) if today < all[at].validity().0 => "not-yet",
            Some(at) if today < end(all, at) => "in-force",
            Some(at) if all[at].holds_on(today) => "replaced",
            _ => "ended",
        }
    }

    /// Whether a new version may stand beside those that were activated.
    pub(super) fn admits(&self, new: &Regulation) -> Result<(), Problem> {
        let versions = self.versions.read().unwrap_or_else(|broken| broken.into_inner());
        let all = versions.get(new.id()).map_or(&[][..], Vec::as_slice);
        if all.iter().any(|version| version.digest() == new.digest()) {
            return Err(Problem::conflict("regulation_active", "this version was activated already"));
        }
        let (from, until) = new.validity();
        let overlaps = |version: &&Arc<Regulation>| from < version.validity().1 && version.validity().0 < until;
        let replaced =
            |digest: &str| new.replaces() == Some(digest) || all.iter().any(|v| v.replaces() == Some(digest));
        if all.iter().filter(overlaps).any(|version| !replaced(version.digest())) {
            let detail = "its validity overlaps that of an activated version; begin when that one ends, or name its \
                          digest as `replaces`";
            return Err(Problem::conflict("regulation_overlap", detail));
        }
        match lost(all, new) {
            None => Ok(()),
            Some(lost) => {
                let detail = format!(
                    "{} has neither the key with which it signed the version before nor that key as `former_key`; a \
                     party leaves when every version that names it has ended",
                    lost.name
                );
                Err(Problem::conflict("regulation_keys", detail))
            }
        }
    }

    pub(super) fn add(&self, regulation: Regulation) {
        let mut versions = self.versions.write().unwrap_or_else(|broken| broken.into_inner());
        versions.entry(regulation.id().clone()).or_default().push(Arc::new(regulation));
    }

    /// The version that lies in the configured folder.
    fn in_folder(&self, id: &RegulationId) -> Result<Regulation, Problem> {
        let place = self.places.get(id).ok_or_else(unknown)?;
        super::open_regulation(place)
            .map_err(|error| Problem::conflict("regulation_unreadable", super::checkup::chain(&error)))
    }

    /// The signatures of that version, by every party.
    fn signatures(&self, regulation: &Regulation) -> Result<String, Problem> {
        let Some(Shipped::Path(folder)) = self.places.get(regulation.id()) else {
            let detail =
                "a built-in regulation is an example: it names no keys and nobody signed it; configure a folder";
            return Err(Problem::conflict("regulation_unsigned", detail));
        };
        let note = std::fs::read_to_string(folder.join("signatures.note"));
        let note = note.map_err(|_| unsigned("signatures.note is not there; each party signs first"))?;
        check(regulation, &note)?;
        Ok(note)
    }
}

/// The first day on which a version counts no more: that of its text, or that on which another one took its place. For
/// good: if that one ends sooner, this one does not come back.
fn end(all: &[Arc<Regulation>], at: usize) -> Date {
    let until = all[at].validity().1;
    replaced_from(all, at).map_or(until, |from| from.min(until))
}

/// The day from which a version is replaced, by one that was activated behind it or by what replaces that one.
fn replaced_from(all: &[Arc<Regulation>], at: usize) -> Option<Date> {
    let behind = (at + 1..all.len()).filter(|&next| all[next].replaces() == Some(all[at].digest()));
    behind.flat_map(|next| [Some(all[next].validity().0), replaced_from(all, next)]).flatten().min()
}

/// The first party that a new version loses. Parties vouched for each other's keys; two of them cannot write the others
/// anew, not by way of a version in between either. So all versions count whose days it shares or ends, not one alone.
fn lost<'a>(all: &'a [Arc<Regulation>], new: &Regulation) -> Option<&'a Party> {
    let (from, until) = new.validity();
    let mut ends = HashSet::new();
    let mut next = new.replaces();
    while let Some(at) = next.and_then(|digest| all.iter().position(|version| version.digest() == digest)) {
        let new = ends.insert(at);
        next = all[at].replaces().filter(|_| new);
    }
    let (mut before, lasting): (Vec<_>, Vec<_>) = (0..all.len()).partition(|&at| end(all, at) <= from);
    let meets = |at: &usize| all[*at].validity().0 < until || ends.contains(at);
    let lasting = lasting.into_iter().filter(meets);
    let gone = lasting.filter_map(|at| Party::first_lost(all[at].parties(), new.parties(), false)).next();
    // Each party of before by the last version that names it: whoever left comes back with a key of its own.
    before.sort_by_key(|&at| Reverse((end(all, at), at)));
    let mut named = HashSet::new();
    let newest = before.into_iter().flat_map(|at| all[at].parties()).filter(|party| named.insert(&party.oin));
    let mut newest =
        newest.filter(|party| Party::first_lost(std::slice::from_ref(*party), new.parties(), true).is_some());
    gone.or_else(|| newest.next())
}

fn unknown() -> Problem {
    Problem::not_found("unknown_regulation", "no regulation of this name is configured here")
}

/// A stored version, its signatures checked again: who changed the database changed no law.
fn read(row: &ActivatedRegulation) -> Result<Regulation, RegulationError> {
    let regulation = Regulation::activated(&row.id, &row.toml, &row.cedar)?;
    Signatures::from_note(&row.signatures)?.check(&regulation)?;
    Ok(regulation)
}

fn unsigned(detail: impl Into<String>) -> Problem {
    Problem::conflict("regulation_unsigned", detail)
}

/// Whether every party signed.
pub(super) fn check(regulation: &Regulation, note: &str) -> Result<(), Problem> {
    let checked = Signatures::from_note(note).and_then(|signatures| signatures.check(regulation));
    checked.map_err(|error| unsigned(error.to_string()))
}

/// Proposes to activate the version in the folder; a second person confirms.
pub(super) async fn activate(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<RegulationId>,
    body: Json<Activate>,
) -> Result<Json<Pending>, Problem> {
    let caller = Caller::of(identity, &request);
    let regulation = match app.laws.in_folder(&id) {
        Ok(regulation) if regulation.party(&caller.identity.oin).is_none() => Err(unknown()),
        read => read,
    };
    let regulation = match regulation {
        Ok(regulation) => regulation,
        Err(problem) => return Err(app.refuse(app.activation(&caller), problem).await),
    };
    // The role first: what lies in the folder, and who signed it, is told to who may activate it.
    let _permit = app.confirmable(&caller, &regulation, Act::ActivateRegulation, None).await?;
    let note = match app.may_activate(&regulation, &body.digest) {
        Ok(note) => note,
        Err(problem) => return Err(app.refuse(app.activation(&caller), problem).await),
    };
    let [toml, cedar] = regulation.texts().map(str::to_owned);
    let proposed = Proposed::Regulation { toml, cedar, signatures: note };
    app.propose(&caller, &regulation, Act::ActivateRegulation, proposed, None).await.map(Json)
}

/// The version in force and its history, for its parties.
pub(super) async fn view(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<RegulationId>,
) -> Result<Json<RegulationTexts>, Problem> {
    let trace = trace_of(&request);
    let regulation = app.visible_regulation(&identity, &id).map_err(|problem| problem.traced(trace))?;
    let rows = app.store.regulations().map_err(|error| store_problem(&error).traced(trace))?;
    let rows: Vec<_> = rows.into_iter().filter(|row| row.id == *id).collect();
    let version = |row: &ActivatedRegulation| {
        let regulation = read(row).ok()?;
        let (valid_from, valid_until) = regulation.validity();
        let activated_at = row.activated_at.format(&Rfc3339).ok()?;
        let state = app.laws.state(&id, &row.digest, app.today()).to_owned();
        Some(Version { digest: row.digest.clone(), activated_at, valid_from, valid_until, state })
    };
    let signatures = rows.iter().find(|row| row.digest == regulation.digest()).map(|row| row.signatures.clone());
    let [toml, cedar] = regulation.texts().map(str::to_owned);
    Ok(Json(RegulationTexts {
        digest: regulation.digest().into(),
        toml,
        cedar,
        signatures: signatures.unwrap_or_default(),
        history: rows.iter().filter_map(version).collect(),
        id: id.into_inner(),
    }))
}

/// The steps that stage and answer oblige the caller to: a table of the regulation, no person involved.
pub(super) async fn steps(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<RegulationId>,
    standing: Query<Standing>,
) -> Result<Json<Vec<StepView>>, Problem> {
    let trace = trace_of(&request);
    let regulation = app.visible_regulation(&identity, &id).map_err(|problem| problem.traced(trace))?;
    app.holds_today(&regulation).map_err(|problem| problem.traced(trace))?;
    let arrears = Arrears { months: standing.months, days: standing.days };
    let steps = regulation.steps(&identity.oin, arrears, standing.answer);
    let view = steps.into_iter().map(|step| StepView {
        id: step.id.clone(),
        code: step.code.clone(),
        stage: word(&step.stage),
        condition: step.condition.as_ref().map(word),
        to: step.to.iter().map(word).collect(),
        consent: word(&step.consent),
        within_days: step.within_days,
        after_days: step.after_days,
        gate: step.gate,
        nl: step.nl.clone(),
        en: step.en.clone(),
        reference: step.reference.clone(),
    });
    Ok(Json(view.collect()))
}

/// The word that a value has in `regulation.toml`.
fn word<T: serde::Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).expect("a word has a JSON form");
    value.as_str().unwrap_or_default().to_owned()
}

impl App {
    fn activation(&self, caller: &Caller) -> Entry {
        self.entry(caller, None, Action::RegulationActive, Outcome::Done)
    }

    /// The signatures of the version in the folder, if it is the one that is meant and may stand beside the others.
    fn may_activate(&self, regulation: &Regulation, digest: &str) -> Result<String, Problem> {
        let note = self.laws.signatures(regulation)?;
        if regulation.digest() != digest {
            let detail = "the service's folder holds another version than the one whose digest was given; compare both";
            return Err(Problem::conflict("regulation_differs", detail));
        }
        self.laws.admits(regulation)?;
        self.check_inferences(regulation)?;
        officers_of(regulation).map_err(|error| Problem::conflict("officer_key_missing", error.to_string()))?;
        Ok(note)
    }

    /// The version in force of a regulation in which this party takes part; to others it does not exist.
    pub(super) fn visible_regulation(
        &self,
        identity: &Identity,
        id: &RegulationId,
    ) -> Result<Arc<Regulation>, Problem> {
        let regulation = self.regulation(id)?;
        if regulation.party(&identity.oin).is_none() {
            return Err(unknown());
        }
        Ok(regulation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    /// Haarlem's example, which names no keys, with other days and whatever else is changed.
    fn version(days: [&str; 2], replaces: Option<&Regulation>, change: impl Fn(String) -> String) -> Regulation {
        let shipped = Regulation::built_in().remove(0);
        let [toml, cedar] = shipped.texts();
        let replaces = replaces.map_or(String::new(), |of| format!("replaces = \"{}\"\n", of.digest()));
        let from = format!("{replaces}valid_from = {}", days[0]);
        let toml = toml.replacen("valid_from = 2025-07-01", &from, 1);
        let toml = toml.replacen("valid_until = 2027-07-01", &format!("valid_until = {}", days[1]), 1);
        Regulation::from_texts(shipped.id(), &change(toml), cedar).unwrap()
    }

    fn as_it_is(text: String) -> String {
        text
    }

    /// The privacy officers become others, invented ones.
    fn others(text: String) -> String {
        text.replace("00000099000000005001", "00000099000000009001")
            .replace("00000099000000005002", "00000099000000009002")
    }

    fn laws() -> Laws {
        let shipped = Regulation::built_in().remove(0).id().clone();
        let places = BTreeMap::from([(shipped, Shipped::Path("unread".into()))]);
        Laws { places, versions: RwLock::default() }
    }

    fn put(laws: &Laws, new: Regulation) -> Result<(), &'static str> {
        laws.admits(&new).map_err(|problem| problem.code)?;
        laws.add(new);
        Ok(())
    }

    #[test]
    fn nobody_is_written_anew_by_way_of_a_version_that_begins_later() {
        let first = || version(["2025-07-01", "2027-07-01"], None, as_it_is);
        let later = || version(["2027-07-01", "2028-07-01"], None, others);
        let laws = laws();
        put(&laws, first()).unwrap();
        put(&laws, later()).unwrap();
        let second = version(["2026-01-01", "2027-07-01"], Some(&first()), others);
        assert_eq!(put(&laws, second), Err("regulation_keys"));
        // Nor by one of days that are over, which ends what replaces what is in force.
        let over = version(["2019-01-01", "2019-01-02"], Some(&first()), others);
        assert_eq!(put(&laws, over), Err("regulation_keys"));
        // Who stays with the first is not bound to whom the later one names.
        put(&laws, version(["2026-01-01", "2027-07-01"], Some(&first()), as_it_is)).unwrap();
    }

    #[test]
    fn what_replaces_a_later_version_ends_no_earlier_one_without_its_parties() {
        let first = || version(["2025-07-01", "2027-07-01"], None, as_it_is);
        let later = || version(["2027-07-01", "2028-07-01"], Some(&first()), others);
        let laws = laws();
        put(&laws, first()).unwrap();
        put(&laws, later()).unwrap();
        for days in [["2019-01-01", "2019-01-02"], ["2026-01-01", "2027-07-01"], ["2026-01-01", "2029-01-01"]] {
            assert_eq!(put(&laws, version(days, Some(&later()), others)), Err("regulation_keys"), "{days:?}");
        }
        assert_eq!(laws.find(first().id(), date!(2026 - 06 - 01)).unwrap().digest(), first().digest());
    }

    #[test]
    fn whoever_left_comes_back_with_the_key_of_before() {
        let keyed = |key: &str| {
            let key = format!("oin = \"00000099000000005002\"\nkey = \"{key}\"");
            move |text: String| text.replacen("oin = \"00000099000000005002\"", &key, 1)
        };
        let laws = laws();
        put(&laws, version(["2025-07-01", "2026-07-01"], None, keyed("a"))).unwrap();
        put(&laws, version(["2026-07-01", "2027-07-01"], None, others)).unwrap();
        let next = |key| version(["2027-07-01", "2028-07-01"], None, keyed(key));
        assert_eq!(put(&laws, next("b")), Err("regulation_keys"));
        put(&laws, next("a")).unwrap();
    }

    #[test]
    fn a_version_that_was_replaced_does_not_come_back_when_its_successor_ends() {
        let first = || version(["2025-07-01", "2999-01-01"], None, as_it_is);
        let second = || version(["2026-01-01", "2026-03-01"], Some(&first()), as_it_is);
        let laws = laws();
        put(&laws, first()).unwrap();
        put(&laws, second()).unwrap();
        let on = |day| laws.find(first().id(), day).unwrap();
        assert_eq!(on(date!(2025 - 12 - 31)).digest(), first().digest());
        assert_eq!(on(date!(2026 - 01 - 01)).digest(), second().digest());
        for day in [date!(2026 - 03 - 01), date!(2030 - 01 - 01)] {
            assert!(!on(day).holds_on(day), "{day}: nothing holds");
        }
        put(&laws, version(["2026-03-01", "2027-01-01"], None, as_it_is)).unwrap();
        assert!(on(date!(2026 - 03 - 01)).holds_on(date!(2026 - 03 - 01)));
    }
}
