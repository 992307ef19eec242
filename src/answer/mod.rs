//! The HTTP edge: only this room knows actix, JSON shapes and status codes, and it alone brings the others
//! together. A request is decided by `regulate`, linked by `link`, recorded by `store`, and only then answered.
//!
//! Every handler follows one way: identity from the certificate, facts, decision, one durable log entry for permit
//! and refusal alike, answer.

mod ages;
mod aside;
mod asked;
mod background;
mod batches;
mod body;
mod budgets;
mod charge;
pub mod checkup;
mod chunks;
pub mod codes;
mod collector;
mod decision;
mod documentation;
mod durable;
mod ending;
mod epochs;
mod four_eyes;
mod framing;
mod groups;
mod guard;
mod handshakes;
mod identity;
mod internal;
mod json;
mod key;
mod knocks;
mod laws;
mod ldv;
mod limits;
mod listener;
mod loads;
mod log;
mod manager;
mod metrics;
mod negotiation;
pub mod openapi;
mod operation;
mod operations;
mod pace;
mod problem;
mod process;
mod processing;
mod profiles;
mod proposals;
pub mod quality;
mod question_batches;
mod questions;
mod repeats;
mod retention;
mod sealing;
pub mod server;
mod service;
mod shape;
mod spans;
mod steady;
mod sticky;
mod stock;
mod strangers;
mod subject;
mod tls;
mod today;
mod trace;
mod turns;
mod unsent;
pub mod upkeep;
pub mod wire;
mod wordless;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use actix_web::HttpRequest;

use crate::audit::{Action, Actor, Entry, Outcome, RegulationRef};
use crate::clock::Clock;
use crate::config::{Config, Shipped};
use crate::epoch::{Epoch, State};
use crate::ids::{EpochId, Oin, RegulationId, TraceId};
use crate::link::Registers;
use crate::profile::{Profile, ProfileError};
use crate::regulate::{Regulation, RegulationError};
use crate::store::{Folders, Load, Setup, Store, StoreError};
pub(crate) use identity::Identity;
use problem::{Problem, trace_of};
use repeats::Once;

/// Why the service does not start or stop as it should: each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}; is another service using it? See `{key}` in the configuration")]
    Listen { address: SocketAddr, key: &'static str, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    #[error("the access log does not have that the service stopped")]
    Unrecorded(#[source] StoreError),
    #[error("the regulation {place} cannot be used")]
    Regulation { place: String, source: RegulationError },
    #[error("there is no built-in {0}")]
    NotShipped(String),
    #[error("the regulation {0} is configured twice")]
    RegulationTwice(RegulationId),
    #[error("no regulation is configured: nothing could be answered. See `regulations` in the configuration")]
    NoRegulation,
    #[error("the profile {place} cannot be used")]
    Profile { place: String, source: ProfileError },
    #[error("the profile {0} is configured twice")]
    ProfileTwice(String),
    #[error(
        "the epoch {epoch} is {state} and has the profile {profile} of schema {schema_hash}, which is not configured: name \
         its file in `other_profiles` until that epoch is over"
    )]
    OtherProfile { epoch: EpochId, state: State, profile: String, schema_hash: String },
    #[error("cannot read {place}")]
    Read { place: String, source: std::io::Error },
    #[error(transparent)]
    NoOfficerKey(#[from] sealing::NoOfficerKey),
    #[error("{}", checkup::screen(.0))]
    Faults(Vec<checkup::Finding>),
    #[error("the server failed")]
    Server(#[source] std::io::Error),
}

/// Everything that handlers share.
pub struct App {
    clock: Clock,
    store: Store,
    profiles: profiles::Profiles,
    laws: laws::Laws,
    steady: steady::Steady,
    pace: pace::Pace,
    /// All epochs as the store has them, with their registers.
    epochs: RwLock<HashMap<EpochId, Arc<EpochInForce>>>,
    stocks: RwLock<HashMap<(EpochId, Oin), Arc<stock::Stock>>>,
    proposed: stock::Proposals,
    sealing: sealing::Sealing,
    /// URI of the register of processing activities, see [`crate::config::Ldv`].
    register: String,
    desk: question_batches::Desk,
    turns: turns::Turns,
    working: turns::Turns,
    commits: turns::Turns,
    knocks: Arc<knocks::Knocks>,
    metrics: Arc<metrics::Metrics>,
    /// Held from reading an epoch or stock to replacing it, the store's change in between: two changes at once would
    /// each leave out the other. Questions do not wait for it.
    changing: tokio::sync::Mutex<()>,
}

/// An epoch and what is loaded in it. Replaced as a whole, so a question sees one load or the next, never both.
struct EpochInForce {
    epoch: Epoch,
    /// Custodians whose share is there.
    contributed: Vec<Oin>,
    population: Option<Load>,
    care: Option<Load>,
    /// There once the population is loaded.
    registers: Option<Arc<Registers>>,
}

/// Who asks, in which request.
#[derive(Clone)]
struct Caller {
    identity: Identity,
    trace: TraceId,
    /// Whether what is asked may come again, and is then done once.
    once: Once,
}

impl Caller {
    fn of(identity: Identity, request: &HttpRequest) -> Self {
        Self { identity, trace: trace_of(request), once: Once::of(request) }
    }
}

impl App {
    /// Opens store, regulations and registers, and records the start.
    ///
    /// # Errors
    /// [`StartError`]: without a log, a regulation or a readable register nothing is answered.
    pub fn open(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let profiles = profiles::Profiles::open(config)?;
        let sealing = sealing::Sealing::default();
        let store = Store::open_with(&setup(config))?;
        let laws = laws::Laws::open(&config.regulations, store.regulations()?)?;
        let steady = steady::Steady::of(|take| store.times(take), config.clock_right_on(), &clock)?;
        let (epochs, stocks, pace, metrics, changing) = <(_, _, _, Arc<metrics::Metrics>, _)>::default();
        let knocks = Arc::new(knocks::Knocks::new(metrics.clone()));
        let register = config.ldv.register.clone();
        let desk = question_batches::Desk::new(&config.batches);
        let app = Self {
            clock,
            store,
            profiles,
            laws,
            steady,
            epochs,
            stocks,
            proposed: stock::Proposals::default(),
            pace,
            sealing,
            register,
            desk,
            turns: turns::Turns::of_questions(),
            working: turns::Turns::of_work(),
            commits: turns::Turns::of(1),
            knocks,
            metrics,
            changing,
        };
        app.bury_the_dead()?;
        for epoch in app.store.epochs()? {
            app.profiles.check(&epoch, app.latest())?;
            let id = epoch.id.clone();
            if let Err(error) = app.refresh(&id) {
                // The log and the other epochs must go on. This one answers undetermined until it is loaded again.
                tracing::error!(error = &error as &dyn std::error::Error, epoch = %id, "an epoch cannot be read back");
                let contributed = app.contributed(&id)?;
                app.replace(EpochInForce { epoch, contributed, population: None, care: None, registers: None });
            }
        }
        app.record_start()?;
        Ok(app)
    }

    fn record_start(&self) -> Result<(), StoreError> {
        let mut entries = vec![self.own_entry(Action::Start)];
        let today = self.today();
        for regulation in self.laws.all(today).iter().filter(|regulation| regulation.holds_on(today)) {
            let mut entry = self.own_entry(Action::RegulationActive);
            entry.regulation = Some(reference(regulation));
            entries.push(entry);
            tracing::info!(regulation.id = %regulation.id(), regulation.digest = regulation.digest(), "regulation in force");
        }
        let month = questions::month(self.settled().date());
        self.store.write(move |tx| {
            tx.forget_counts(&month)?;
            entries.iter().try_for_each(|entry| tx.append(entry).map(drop))
        })?;
        Ok(())
    }

    /// Records that the service stopped as it should.
    fn stopped(&self) -> Result<(), StartError> {
        let entry = self.own_entry(Action::Stop);
        let written = self.store.write(move |tx| tx.append(&entry).map(drop));
        written.map(drop).map_err(StartError::Unrecorded)
    }

    fn own_entry(&self, action: Action) -> Entry {
        Entry::new(self.clock.now(), TraceId::random(), Actor::service(), action, Outcome::Done)
    }

    /// The version of a regulation that counts today.
    fn regulation(&self, id: &RegulationId) -> Result<Arc<Regulation>, Problem> {
        self.knows_the_day()?;
        self.laws.find(id, self.today())
    }

    /// The same while the clock has leapt: for who looks, and is told nothing of a household.
    fn regulation_last_seen(&self, id: &RegulationId) -> Result<Arc<Regulation>, Problem> {
        self.laws.find(id, self.today())
    }

    /// An epoch.
    fn epoch(&self, id: &EpochId) -> Result<Arc<EpochInForce>, Problem> {
        let epochs = self.epochs.read().unwrap_or_else(|broken| broken.into_inner());
        epochs.get(id).cloned().ok_or_else(unknown_epoch)
    }

    /// All epochs, by name.
    fn all_epochs(&self) -> Vec<Arc<EpochInForce>> {
        let epochs = self.epochs.read().unwrap_or_else(|broken| broken.into_inner());
        let mut all: Vec<_> = epochs.values().cloned().collect();
        all.sort_by(|a, b| (a.epoch.announced_at, &a.epoch.id).cmp(&(b.epoch.announced_at, &b.epoch.id)));
        all
    }

    /// Those that answer now.
    fn all_answering(&self) -> Vec<Arc<EpochInForce>> {
        let (mut all, now) = (self.all_epochs(), self.latest());
        all.retain(|in_force| in_force.epoch.answers(now).is_ok());
        all
    }

    /// Reads an epoch back from the store, its registers included.
    fn refresh(&self, id: &EpochId) -> Result<(), loads::LoadError> {
        let epoch = self.store.epoch(id)?;
        let contributed = self.contributed(id)?;
        let load = |source: wire::Source| self.store.current_load(id, source.as_str());
        let (population, care) = (load(wire::Source::Population)?, load(wire::Source::Care)?);
        // One that is over answers nothing: its profile need not be there any more.
        let readable = self.profiles.of(&epoch).zip(population.as_ref());
        let assembled =
            |(profile, population): (&Profile, &Load)| loads::assemble(&self.store, profile, population, care.as_ref());
        let registers = readable.map(assembled).transpose()?.map(Arc::new);
        self.replace(EpochInForce { epoch, contributed, population, care, registers });
        Ok(())
    }

    /// Custodians whose share of the salt is there.
    fn contributed(&self, id: &EpochId) -> Result<Vec<Oin>, StoreError> {
        self.store.share_parties(id)
    }

    fn replace(&self, next: EpochInForce) {
        if let Some(registers) = &next.registers
            && !self
                .epoch(&next.epoch.id)
                .is_ok_and(|old| old.registers.as_ref().is_some_and(|r| Arc::ptr_eq(r, registers)))
        {
            let profile = self.profiles.of(&next.epoch).expect("registers were read with it");
            self.pace.measure(&next.epoch.id, profile, registers);
        }
        let mut epochs = self.epochs.write().unwrap_or_else(|broken| broken.into_inner());
        epochs.insert(next.epoch.id.clone(), Arc::new(next));
    }
}

fn setup(config: &Config) -> Setup {
    let credentials = Some(&config.epoch_credentials).filter(|path| !path.as_os_str().is_empty()).cloned();
    let folders = Folders { state: config.state.clone(), epoch_keys: config.epoch_keys.clone(), credentials };
    Setup {
        anchor: Some(config.access_log.anchor.clone()),
        witnessed: config.access_log.witnessed.clone(),
        witnesses: config.access_log.witnesses.clone(),
        outbox: config.ldv.collector().is_some(),
        ..Setup::new(folders, &config.log_origin)
    }
}

fn unknown_epoch() -> Problem {
    Problem::not_found("unknown_epoch", "no epoch of this name; see GET /v1/service for those in force")
}

fn open_regulation(place: &Shipped) -> Result<Regulation, StartError> {
    match place {
        Shipped::BuiltIn(name) => Regulation::built_in()
            .into_iter()
            .find(|regulation| regulation.id().as_str() == name)
            .ok_or_else(|| StartError::NotShipped(format!("regulation {name}"))),
        Shipped::Path(path) => Regulation::load(path)
            .map_err(|source| StartError::Regulation { place: path.display().to_string(), source }),
    }
}

fn open_profile(place: &Shipped) -> Result<Profile, StartError> {
    match place {
        Shipped::BuiltIn(name) => {
            let profile = Profile::built_in();
            if profile.id == *name { Ok(profile) } else { Err(StartError::NotShipped(format!("profile {name}"))) }
        }
        Shipped::Path(path) => {
            let place = path.display().to_string();
            let text =
                std::fs::read_to_string(path).map_err(|source| StartError::Read { place: place.clone(), source })?;
            Profile::from_toml(&text).map_err(|source| StartError::Profile { place, source })
        }
    }
}

fn reference(regulation: &Regulation) -> RegulationRef {
    RegulationRef { id: regulation.id().clone(), digest: regulation.digest().to_owned() }
}
