//! Loads: begun, sent in chunks, committed. A load is whole, or changes the one that answers. Until the commit nobody is
//! answered from it; after it everybody is.

mod listed;
mod packed;
mod parts;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::aside::aside;
use super::chunks::{self, Arrived};
use super::decision::{only, store_problem};
use super::epochs::{changed, counts_of, too_changed};
use super::identity::Identity;
use super::json::{Json, Plain, created};
use super::problem::Problem;
use super::quality::{LinkEstimate, LoadQuality};
use super::questions::month;
use super::repeats::{Kept, receipt_of};
use super::wire::{
    Ages, Changes, ChunkKept, LoadBegun, LoadCommit, LoadPlan, LoadReport, LoadSummary, LoadView, Source,
};
use super::{App, Caller, EpochInForce};
use crate::audit::{Action, Entry, Outcome};
use crate::code::CodeHeader;
use crate::epoch::{Epoch, State};
use crate::ids::{LoadId, Oin};
use crate::link::{self, Registers};
use crate::profile::Profile;
use crate::regulate::Act;
use crate::store::{Load, LoadState, NewLoad, Store, StoreError, Tx};
pub(super) use listed::in_progress;
pub use parts::LoadError;
use parts::Read;

/// Most bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = 4 << 20;

/// Superseded chunks that are deleted, and zeroed, in one go: at most 16 MiB, so that answers wait for little.
const SWEEP: u32 = 4;

/// How often one load is read to be committed. Whoever is refused more often sends it again, which takes longer than
/// reading it: a large load that is never taken keeps nobody waiting for ever.
const READINGS: u32 = 5;

impl From<Source> for link::Source {
    fn from(source: Source) -> Self {
        match source {
            Source::Population => Self::Population,
            Source::Care => Self::Care,
        }
    }
}

/// What is said of a load that was read.
struct Reported {
    /// Of this load alone.
    lines: u64,
    changes: Option<Changes>,
    records: usize,
    persons: usize,
    quality: LoadQuality,
    /// How well the care list was linked: for officers.
    linked: Option<LinkEstimate>,
}

/// Begins a load.
pub(super) async fn begin(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    plan: Json<LoadPlan>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let in_force = app.named_epoch(&caller, &plan.header.epoch, Action::Load).await?;
    let entry = app.load_entry(&caller, &in_force.epoch, plan.source).await?;
    if let Err(problem) = app.check_plan(&in_force, &plan) {
        return Err(app.refuse(entry, problem).await);
    }
    let new = NewLoad {
        epoch: in_force.epoch.id.clone(),
        source: plan.source.as_str().into(),
        header: serde_json::to_string(&plan.header).expect("plain data have a JSON form"),
        base: plan.base,
        lines: plan.records,
        reference_date: plan.reference_date,
        ages: plan.ages.map(Ages::kept),
        begun_at: app.clock.now(),
    };
    let (once, now) = (caller.once, app.clock.now());
    let begun = app.store.write_async(move |tx: &Tx<'_>| {
        let begun = LoadBegun { load: tx.begin_load(&new)?, chunk_bytes: CHUNK_BYTES };
        once.keep(tx, &Kept::created(&begun, place(&begun.load)), now).map(|()| begun)
    });
    let begun = begun.await.map_err(|error: StoreError| store_problem(&error).traced(caller.trace))?;
    Ok(created(&begun.value, &place(&begun.value.load)))
}

/// Where a load is.
fn place(id: &LoadId) -> String {
    format!("loads/{id}")
}

/// A load in progress.
pub(super) async fn view(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<LoadId>,
) -> Result<Json<LoadView>, Problem> {
    let caller = Caller::of(identity, &request);
    let (load, _) = app.own_load(&caller, &id).await?;
    if load.state != LoadState::Staging {
        return Err(no_load(&StoreError::NotFound("load")).traced(caller.trace));
    }
    app.load_view(&load).map(Json).map_err(|error| store_problem(&error).traced(caller.trace))
}

/// Takes a chunk: NDJSON, one record a line. The same chunk again replaces the first.
pub(super) async fn put_chunk(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    place: Path<(LoadId, Plain<u32>)>,
    body: Payload,
) -> Result<Json<ChunkKept>, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    chunks::check_media(&request).map_err(traced)?;
    let (id, Plain(number)) = place.into_inner();
    let (load, entry) = app.own_load(&caller, &id).await?;
    let in_force = app.epoch(&load.epoch).map_err(traced)?;
    // Read only now: nobody without the right to load fills this machine's memory.
    let (body, digest) = chunks::whole(&request, body, CHUNK_BYTES).await.map_err(traced)?;
    let key = match app.arrived(&caller, &request, &digest, || Ok(entry)).await? {
        Arrived::New(key) => key,
        Arrived::Again(told) => return Ok(Json(told)),
    };
    let worker = app.clone();
    let sealed = app.in_turn(&caller.identity.oin, move || {
        let (records, kept) = parts::check(&body, number as usize, worker.profile_of(&in_force.epoch)?, &load)?;
        Ok::<_, LoadError>((worker.store.seal_chunk(&id, number, records, *digest.as_bytes(), &kept)?, records))
    });
    let (sealed, records) = sealed.await.map_err(traced)?.map_err(|error| traced(load_problem(&error)))?;
    let told = ChunkKept { chunk: number, records, digest };
    app.keep_chunk(key, told, move |tx| tx.put_chunk(&sealed)).await.map_err(traced)
}

/// Makes a complete load the one that answers. What its custodian is told, refusals included, rests on its own records
/// and on what is public: else one load after the other would tell who is in the other register.
pub(super) async fn commit(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<LoadId>,
    plan: Json<LoadCommit>,
) -> Result<Json<LoadReport>, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    let (load, entry) = app.own_load(&caller, &id).await?;
    if load.chunks != plan.chunks {
        let detail =
            format!("{} chunks have arrived, the commit names {}; send what is missing", load.chunks, plan.chunks);
        return Err(app.refuse(entry, Problem::conflict("load_incomplete", detail)).await);
    }
    // Before anything is read, and before all other changes wait for it.
    if let Err(error) = app.store.check_whole(&load.id, load.lines) {
        return Err(app.refuse(entry, incomplete(&error)).await);
    }
    let id = load.id;
    let readings = app.store.write_async(move |tx: &Tx<'_>| tx.count_reading(&id)).await;
    if readings.map_err(|error: StoreError| traced(no_load(&error)))?.value > READINGS {
        let detail = format!("this load was refused {READINGS} times; begin another one");
        return Err(app.refuse(entry, Problem::conflict("load_spent", detail)).await);
    }
    let _changing = app.changing.lock().await;
    let in_force = app.epoch(&load.epoch).map_err(traced)?;
    let before = in_force.clone();
    let answering = in_force.epoch.state != State::Loading;
    let today = app.today();
    let counted = (caller.identity.oin.clone(), format!("load {}", today.day()), month(today));
    if answering && let Err(problem) = app.check_loads(&in_force, &counted) {
        return Err(app.refuse(entry, problem).await);
    }
    // The epoch may have moved on since the load was begun; another load may have told its salt.
    let header = header_of(&load).map_err(|error| traced(store_problem(&error)))?;
    let fits = app.check_records(&in_force, &header).and_then(|()| app.check_ages_of(&in_force, &load));
    if let Err(problem) = fits {
        return Err(app.refuse(entry, problem).await);
    }
    let (worker, read) = (app.clone(), load.clone());
    let next = aside(move || worker.with_load(&in_force, load));
    let next = next.await.map_err(|_| traced(stopping()))?;
    let (next, report) = match next {
        Ok(next) => next,
        Err(LoadError::Store(error @ StoreError::NotFound(_))) => {
            return Err(app.refuse(entry, incomplete(&error)).await);
        }
        Err(error) => return Err(app.refuse(entry, load_problem(&error)).await),
    };
    // In an epoch that answers this load answers at once; another one is judged at its activation.
    let complete = report.lines == read.lines;
    let judged = if complete && answering { app.check_answering(&before, &next, &read, *plan) } else { Ok(false) };
    let changed = match judged {
        Ok(changed) => changed,
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    let Reported { records, persons, quality, linked, changes, .. } = report;
    let inference = app.inference(&next);
    let (ages, inferred) = (Ages::kept_with(&read), LoadQuality { care: linked, ..quality.clone() });
    let summary = LoadSummary { persons, ages, inference, quality: inferred };
    let summary = serde_json::to_string(&summary).expect("plain data have a JSON form");
    let (now, epoch) = (app.clock.now(), next.epoch.id.clone());
    let key_check = next.epoch.key_check.clone().expect("a load brings the key-check value");
    let mut done = entry.clone();
    // One entry whatever it says: another one more would show in the next receipt.
    if answering && app.tells_too_much(&next) {
        done.action = Action::LoadOverBound;
    }
    let once = caller.once.clone();
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        tx.set_key_check(&epoch, &key_check)?;
        tx.commit_load(&read, records as u64, now, &summary)?;
        if answering {
            let (oin, day, month) = &counted;
            tx.charge_household(oin, day, month)?;
        }
        let receipt = receipt_of(tx.append(&done)?);
        if changed {
            tx.append(&Entry { action: Action::LoadAcceptShrink, salt: Entry::fresh_salt(), ..done })?;
        }
        let report = LoadReport { records, persons, changes, quality, receipt };
        once.keep(tx, &Kept::body(&report), now).map(|()| report)
    });
    let written = match written.await {
        Ok(written) => written,
        Err(error) => return Err(app.refuse(entry, store_problem(&error)).await),
    };
    app.replace(next);
    actix_web::rt::spawn(sweep(app.clone()));
    Ok(Json(LoadReport { receipt: only(written.receipts), ..written.value }))
}

/// Deletes superseded loads bit by bit, behind the answers.
async fn sweep(app: Data<App>) {
    let more = || app.store.write_async(|tx: &Tx<'_>| tx.sweep_loads(SWEEP));
    loop {
        match more().await {
            Ok(written) if written.value => {}
            Ok(_) => return,
            Err::<_, StoreError>(error) => {
                // What is left is deleted at the next start.
                tracing::warn!(code = error.code(), "a superseded load could not be deleted");
                return;
            }
        }
    }
}

fn incomplete(error: &StoreError) -> Problem {
    match error {
        StoreError::NotFound(_) => {
            Problem::conflict("load_incomplete", "a chunk is missing; send it, then commit again")
        }
        error => store_problem(error),
    }
}

fn no_load(error: &StoreError) -> Problem {
    match error {
        StoreError::NotFound(_) => Problem::not_found("unknown_load", "there is no such load of yours in progress"),
        error => store_problem(error),
    }
}

impl App {
    /// An entry for this load, if the regulation lets this caller load this source.
    async fn load_entry(&self, caller: &Caller, epoch: &Epoch, source: Source) -> Result<Entry, Problem> {
        let regulation = self.regulation(&epoch.regulation).map_err(|problem| problem.traced(caller.trace))?;
        let permit = self.permit(caller, &regulation, Act::Load(source.into()), Some(&epoch.id)).await?;
        let mut entry = self.entry(caller, Some(&regulation), Action::Load, Outcome::Done);
        entry.epoch = Some(epoch.id.clone());
        entry.articles = permit.articles().to_vec();
        Ok(entry)
    }

    /// A load in progress that this caller may go on with.
    async fn own_load(&self, caller: &Caller, id: &LoadId) -> Result<(Load, Entry), Problem> {
        let load = self.store.load(id).map_err(|error| no_load(&error).traced(caller.trace))?;
        let in_force = self.epoch(&load.epoch).map_err(|problem| problem.traced(caller.trace))?;
        // That somebody else's load is there is not told; the log has the refusal.
        let hidden = |problem: Problem| match problem.status {
            StatusCode::FORBIDDEN => no_load(&StoreError::NotFound("load")).traced(caller.trace),
            _ => problem,
        };
        let entry = self.load_entry(caller, &in_force.epoch, source_of(&load)).await.map_err(hidden)?;
        match self.check_loading(&in_force) {
            Ok(()) => Ok((load, entry)),
            Err(problem) => Err(self.refuse(entry, problem).await),
        }
    }

    /// Whether the epoch takes records with this header.
    fn check_records(&self, in_force: &EpochInForce, header: &CodeHeader) -> Result<(), Problem> {
        self.check_loading(in_force)?;
        in_force
            .epoch
            .accepts(header)
            .map_err(|mismatch| Problem::unprocessable(mismatch.code(), format!("the records were {mismatch}")))
    }

    fn check_loading(&self, in_force: &EpochInForce) -> Result<(), Problem> {
        if in_force.epoch.takes_loads(self.latest()) {
            return Ok(());
        }
        let state = in_force.epoch.state;
        let detail =
            format!("the epoch is {state} and takes no loads; load into the one in force, see GET /v1/service");
        Err(Problem::conflict("epoch_not_loading", detail))
    }

    fn check_plan(&self, in_force: &EpochInForce, plan: &LoadPlan) -> Result<(), Problem> {
        self.check_records(in_force, &plan.header)?;
        self.check_ages(in_force, plan)?;
        parts::check_base(&self.store, in_force, plan)?;
        if plan.records == 0 && plan.base.is_none() {
            let detail = "a load that is whole has at least one record";
            return Err(Problem::unprocessable("load_records", detail).at("/records"));
        }
        if plan.reference_date > self.today() {
            let detail = "the reference date lies in the future";
            return Err(Problem::unprocessable("reference_date", detail).at("/referenceDate"));
        }
        Ok(())
    }

    /// Whether this party may load once more today into an epoch that answers.
    fn check_loads(&self, in_force: &EpochInForce, (oin, day, month): &(Oin, String, String)) -> Result<(), Problem> {
        let most = self.regulation(&in_force.epoch.regulation)?.rotation().loads_per_day;
        let loaded = self.store.household_questions(oin, day, month).map_err(|error| store_problem(&error))?;
        if loaded < u64::from(most) {
            return Ok(());
        }
        let detail =
            format!("this party loaded {most} times today, as often as the regulation allows; load again tomorrow");
        Err(Problem::new(StatusCode::FORBIDDEN, "load_limit", detail))
    }

    /// Whether a load may answer at once: as young, and as large beside the one before, as a cut-over asks of it. Whether
    /// it has another size, which was accepted.
    fn check_answering(
        &self,
        before: &EpochInForce,
        next: &EpochInForce,
        load: &Load,
        how: LoadCommit,
    ) -> Result<bool, Problem> {
        let regulation = self.regulation(&next.epoch.regulation)?;
        if !self.is_young(&regulation, load, source_of(load)) {
            let detail = "the register is too old to answer from, and the epoch answers; read it anew, and load that";
            return Err(Problem::conflict("source_stale", detail));
        }
        let changed = changed(&regulation, next, &counts_of(before));
        if !changed.is_empty() && !how.accept_shrink {
            return Err(too_changed(&regulation, &changed, "in the load that answers"));
        }
        Ok(!changed.is_empty())
    }

    /// The profile of an epoch that loads: without it the service does not start.
    fn profile_of(&self, epoch: &Epoch) -> Result<&Profile, LoadError> {
        self.profiles.of(epoch).ok_or(LoadError::Store(StoreError::Damaged { what: "the profile of an epoch" }))
    }

    /// The epoch as it will be with this load, and what is said of the load.
    fn with_load(&self, in_force: &EpochInForce, load: Load) -> Result<(EpochInForce, Reported), LoadError> {
        let mut epoch = in_force.epoch.clone();
        epoch.key_check = Some(header_of(&load)?.key_check);
        let (mut population, mut care) = (in_force.population.clone(), in_force.care.clone());
        let is_population = source_of(&load) == Source::Population;
        let profile = self.profile_of(&epoch)?;
        let Read { register, lines, changes } = parts::read(&self.store, profile, &load)?;
        let load = Load { records: register.records() as u64, ..load };
        *(if is_population { &mut population } else { &mut care }) = Some(load);
        let read = Arc::new(register);
        let loaded = read.clone();
        // Only what changed is joined again. A care list that came first waits for the population.
        let registers = match &in_force.registers {
            Some(before) if is_population => Some(before.rejoin(read, before.care().cloned())),
            Some(before) => Some(before.rejoin(before.population().clone(), Some(read))),
            None if is_population => {
                let care = care.as_ref().map(|care| parts::read(&self.store, profile, care)).transpose()?;
                Some(Registers::join(read, care.map(|care| Arc::new(care.register))))
            }
            None => None,
        };
        let registers = registers.map(Arc::new);
        let quality = LoadQuality::of(profile, &loaded);
        let linked = registers.as_deref().and_then(Registers::care_estimate).map(LinkEstimate::protected);
        let (records, persons) = (loaded.records(), loaded.persons());
        let report = Reported { lines, changes, records, persons, quality, linked };
        let contributed = in_force.contributed.clone();
        Ok((EpochInForce { epoch, contributed, population, care, registers }, report))
    }
}

fn header_of(load: &Load) -> Result<CodeHeader, StoreError> {
    serde_json::from_str(&load.header).map_err(|_| StoreError::Damaged { what: "the header of a load" })
}

/// The registers of an epoch from its stored loads.
///
/// # Errors
/// [`LoadError`].
pub(super) fn assemble(
    store: &Store,
    profile: &Profile,
    population: &Load,
    care: Option<&Load>,
) -> Result<Registers, LoadError> {
    let population = parts::read(store, profile, population)?.register;
    let care = care.map(|care| parts::read(store, profile, care)).transpose()?;
    Ok(Registers::join(population.into(), care.map(|care| Arc::new(care.register))))
}

pub(super) fn source_of(load: &Load) -> Source {
    if load.source == Source::Population.as_str() { Source::Population } else { Source::Care }
}

fn load_problem(error: &LoadError) -> Problem {
    match error {
        LoadError::Line(bad) => {
            Problem::unprocessable("record", format!("{error}; nothing was loaded")).with(bad.faults.clone())
        }
        LoadError::NotThere(_) => Problem::unprocessable("record_not_there", error.to_string()),
        LoadError::Link(error) => Problem::unprocessable(error.code(), format!("{error}; nothing was loaded")),
        LoadError::Store(error) => store_problem(error),
    }
}

fn stopping() -> Problem {
    Problem::unavailable("the service is stopping")
}
