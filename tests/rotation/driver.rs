//! Plays every party of a rotation: looks at what `epoch list` says is next, and does it. So it can go on after any kill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use voorrang::answer::wire::{EpochView, Source};
use voorrang::audit::Action;
use voorrang::cli::epoch::{ActivateArgs, EndArgs, EpochCommand, NewArgs, perform};
use voorrang::cli::load::{Kind, LoadArgs, load};
use voorrang::cli::regulation::confirm;
use voorrang::regulate::Role;

use super::asking;
use super::model::{Epoch, register_of};
use super::records;
use super::town::{Town, today};

/// The states in the order of an epoch's life.
const STATES: [&str; 5] = ["announced", "loading", "active", "retiring", "destroyed"];

fn rank(state: &str) -> usize {
    STATES.iter().position(|known| *known == state).unwrap()
}

pub struct Driver<'a> {
    town: &'a Town,
    /// What is in force, for who asks.
    current: RwLock<Option<Arc<Epoch>>>,
    /// What will be once the old one is silent: so every cut-over meets questions that are still asked with the old one.
    next: Mutex<Option<Epoch>>,
    /// The furthest state of each epoch that the service has acknowledged.
    acknowledged: Mutex<BTreeMap<String, String>>,
}

impl<'a> Driver<'a> {
    pub fn new(town: &'a Town) -> Self {
        let driver = Self { town, current: RwLock::new(None), next: Mutex::default(), acknowledged: Mutex::default() };
        let active = driver.epochs().unwrap().into_iter().find(|epoch| epoch.state == "active");
        if let Some(active) = active {
            driver.publish(Epoch::open(town, active.id.as_str()).unwrap());
        }
        driver
    }

    pub fn current(&self) -> Option<Arc<Epoch>> {
        self.current.read().unwrap().clone()
    }

    fn publish(&self, epoch: Epoch) {
        *self.current.write().unwrap() = Some(Arc::new(epoch));
    }

    pub fn acknowledged(&self) -> BTreeMap<String, String> {
        self.acknowledged.lock().unwrap().clone()
    }

    pub fn epochs(&self) -> anyhow::Result<Vec<EpochView>> {
        Ok(self.town.client(Role::Administrator).service()?.epochs)
    }

    /// How many epochs have ever been active.
    pub fn active_count(&self) -> u32 {
        let was = |epoch: &EpochView| epoch.steps.iter().any(|step| step.state == "active");
        self.epochs().unwrap().iter().filter(|epoch| was(epoch)).count() as u32
    }

    pub fn until_active(&self, count: u32) {
        while self.active_count() < count || self.epochs().unwrap().iter().any(|epoch| epoch.state == "retiring") {
            self.step().unwrap();
        }
    }

    /// Does the next thing that has to be done.
    pub fn step(&self) -> anyhow::Result<()> {
        let epochs = self.epochs()?;
        let of = |state: &str| epochs.iter().find(|epoch| epoch.state == state);
        if let Some(retiring) = of("retiring") {
            let name = retiring.id.as_str();
            if retiring.answers {
                self.retire(name)?;
                // Long enough for questions to meet the silence.
                std::thread::sleep(Duration::from_millis(200));
                if let Some(next) = self.next.lock().unwrap().take() {
                    self.publish(next);
                }
                return Ok(());
            }
            let record = self.end(name)?;
            assert!(record.contains("erased "), "{record}");
            return self.saw(name, "destroyed");
        }
        if let Some(announced) = of("announced") {
            for role in [Role::PopulationCustodian, Role::CareCustodian] {
                let oin = &self.town.regulation.parties().iter().find(|party| party.role == role).unwrap().oin;
                if announced.missing.contains(oin) {
                    perform(&EpochCommand::Contribute(self.town.step(role, announced.id.as_str())))?;
                    return Ok(());
                }
            }
        }
        if let Some(loading) = of("loading") {
            return self.load_or_activate(loading);
        }
        let name = format!("rotation-{}", epochs.len() + 1);
        perform(&EpochCommand::New(NewArgs::of(self.town.step(Role::Administrator, &name))))?;
        self.saw(&name, "announced")
    }

    fn load_or_activate(&self, epoch: &EpochView) -> anyhow::Result<()> {
        let name = epoch.id.as_str();
        if !epoch.loaded.contains(&Source::Population) {
            return self.load(Role::PopulationCustodian, Kind::Population, register_of(name));
        }
        if !epoch.loaded.contains(&Source::Care) {
            return self.load(Role::CareCustodian, Kind::Care, "oggz.csv");
        }
        if epoch.stocks.is_empty() {
            return self.load(Role::Corporation, Kind::Stock, "stock.csv");
        }
        let next = Epoch::open(self.town, name)?;
        let step = self.town.step(Role::Administrator, name);
        perform(&EpochCommand::Activate(ActivateArgs { accept_shrink: true, ..ActivateArgs::of(step) }))?;
        match self.current() {
            Some(_) => *self.next.lock().unwrap() = Some(next),
            None => self.publish(next),
        }
        self.saw(name, "active")
    }

    fn load(&self, role: Role, kind: Kind, file: &str) -> anyhow::Result<()> {
        let loaded = load(&LoadArgs {
            reference_date: Some(today()),
            dwellings: (kind == Kind::Stock).then(|| self.dwellings()),
            ..LoadArgs::new(kind, self.town.file(file), self.town.config(role))
        })?;
        let officer = || self.town.client(Role::PrivacyOfficer);
        loaded.pending.map_or(Ok(()), |stock| confirm(&stock, &officer()).map(drop))
    }

    /// As many as live in the tower, or as there are addresses.
    fn dwellings(&self) -> u32 {
        let people = self.town.households.iter().flat_map(|(_, tenants)| tenants);
        let places = people.filter_map(|tenant| tenant.person.address.as_ref());
        let distinct: BTreeSet<_> = places.map(|one| (one.postcode().to_owned(), one.number())).collect();
        u32::try_from(self.town.tower.max(distinct.len() + 1)).unwrap()
    }

    pub fn retire(&self, name: &str) -> anyhow::Result<()> {
        let proposal = perform(&EpochCommand::Retire(self.town.step(Role::Administrator, name)))?;
        self.second(&proposal).map(drop)
    }

    /// Destroys an epoch; its record.
    pub fn end(&self, name: &str) -> anyhow::Result<String> {
        let args = EndArgs { epoch: self.town.step(Role::Administrator, name), output: None };
        let told = perform(&EpochCommand::destroy(args))?;
        // A kill may have come after the end and before the answer: then this is the record already.
        let record = if told.starts_with("voorrang") { Some(told) } else { self.second(&told)? };
        Ok(record.expect("a destroyed epoch has a record"))
    }

    /// Confirms as the second person.
    fn second(&self, proposal: &str) -> anyhow::Result<Option<String>> {
        let officer = self.town.client(Role::PrivacyOfficer);
        Ok(confirm(&proposal.trim().parse()?, &officer)?.record)
    }

    fn saw(&self, epoch: &str, state: &str) -> anyhow::Result<()> {
        self.acknowledged.lock().unwrap().insert(epoch.to_owned(), state.to_owned());
        Ok(())
    }

    /// What must hold whenever the service has just started.
    pub fn check_invariants(&self, acknowledged: &BTreeMap<String, String>) {
        let epochs = self.epochs().unwrap();
        assert!(epochs.iter().filter(|epoch| epoch.state == "active").count() <= 1, "two epochs are active");
        for (name, state) in acknowledged {
            let now = epochs.iter().find(|epoch| epoch.id.as_str() == name).map(|epoch| rank(&epoch.state));
            assert!(now >= Some(rank(state)), "{name} was {state}, and is no longer");
        }
        let log = asking::log(self.town);
        let begun = |epoch: &EpochView, state: &str| -> Vec<u64> {
            epoch.steps.iter().filter(|step| step.state == state).map(|step| step.log_index).collect()
        };
        records::check(self.town, &epochs, &log);
        let activated: BTreeSet<u64> = epochs.iter().flat_map(|epoch| begun(epoch, "active")).collect();
        for epoch in &epochs {
            let key = self.town.epoch_keys().join(format!("epoch-{}.key", epoch.id));
            assert_eq!(key.exists(), epoch.state != "destroyed", "{}: the wrapping key", epoch.id);
            let whole = epoch.loaded.len() == 2 || rank(&epoch.state) < 2 || epoch.state == "destroyed";
            assert!(whole, "{} is {} without a register", epoch.id, epoch.state);
            for step in &epoch.steps {
                let entry = &log[usize::try_from(step.log_index).unwrap()];
                let fits = match step.state.as_str() {
                    "announced" => entry.action == Action::EpochAnnounce,
                    "loading" => entry.action == Action::EpochContribute,
                    "active" => entry.action == Action::EpochActivate,
                    "retiring" => matches!(entry.action, Action::EpochRetire | Action::EpochSilent),
                    _ => entry.action == Action::EpochDestroy,
                };
                assert!(fits, "{}: {} is logged as {:?}", epoch.id, step.state, entry.action);
                // Who retires because another took over does so in the step of that other one: never half of it.
                let before = step.log_index.saturating_sub(1);
                let other = &log[usize::try_from(before).unwrap()];
                let together = entry.action == Action::EpochRetire
                    && (other.action, other.trace_id) == (Action::EpochActivate, entry.trace_id);
                assert!(!together || activated.contains(&before), "{}: retired by nobody", epoch.id);
            }
            if epoch.answers {
                asking::check_one(self.town, &Epoch::open(self.town, epoch.id.as_str()).unwrap());
            }
        }
    }
}
