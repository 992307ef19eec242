//! An epoch as its parties may see it: what is there, what is missing, and who must act.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use time::{Date, Duration};

use super::super::decision::store_problem;
use super::super::four_eyes::Waits;
use super::super::problem::Problem;
use super::super::wire::{self, EpochView, Source, StepTaken, Todo};
use super::super::{App, EpochInForce};
use super::cutover::{load_of, sources};
use super::{Ageing, End};
use crate::epoch::{Epoch, Participant, State};
use crate::ids::{EpochId, Oin};
use crate::profile::Profile;
use crate::regulate::{Party, Regulation, Role};
use crate::store::{StoreError, Taken};

impl App {
    /// An epoch as its parties may see it.
    pub(in super::super) fn epoch_view(&self, in_force: &EpochInForce) -> Result<EpochView, Problem> {
        let epoch = &in_force.epoch;
        let regulation = self.regulation_last_seen(&epoch.regulation)?;
        let stocks = self.store.stock_parties(&epoch.id).map_err(|error| store_problem(&error))?;
        let steps = self.store.steps(&epoch.id).map_err(|error| store_problem(&error))?;
        let participant =
            |one: &Participant| wire::Participant { oin: one.oin.clone(), recipient: one.recipient.clone() };
        let step = |step: Taken| StepTaken { state: step.state.to_string(), at: step.at, log_index: step.log_index };
        // Of one that is over nothing is missing any more.
        let awaited = |oin: &&Oin| epoch.state != State::Destroyed && !in_force.contributed.contains(oin);
        let missing: Vec<Oin> = epoch.contributors().filter(awaited).cloned().collect();
        let waiting = self.waiting_about(in_force, &regulation)?;
        let left_out = self.left_out(in_force, &regulation).map_err(|error| store_problem(&error))?;
        let todos = Todos {
            regulation: &regulation,
            in_force,
            waiting: &waiting,
            left_out: &left_out,
            ageing: &self.ageing(in_force, &regulation).map_err(|error| store_problem(&error))?,
            newer: self.newer(epoch).map_err(|error| store_problem(&error))?,
            in_the_way: self.unsettled(epoch).map_or_else(|| self.in_the_way(&epoch.id), |why| Ok(Some(why)))?,
            today: self.today(),
        };
        Ok(EpochView {
            id: epoch.id.clone(),
            regulation: epoch.regulation.clone(),
            profile: epoch.profile.clone(),
            schema_hash: epoch.schema_hash.clone(),
            key_check: epoch.key_check.clone(),
            state: epoch.state.to_string(),
            answers: epoch.answers(self.latest()).is_ok(),
            answers_until: epoch.answers_until,
            contribute_by: epoch.contribute_by,
            load_by: epoch.load_by,
            grace_days: epoch.grace_days,
            participants: epoch.participants.iter().map(participant).collect(),
            contributed: in_force.contributed.clone(),
            loaded: [Source::Population, Source::Care]
                .into_iter()
                .filter(|source| load_of(in_force, *source).is_some())
                .collect(),
            todo: todos.all(&missing, &stocks, epoch.answers(self.latest()).is_ok()),
            missing,
            stocks,
            steps: steps.into_iter().map(step).collect(),
        })
    }
}

const LOAD_STOCK: &str = "load stock";

/// The schema of a client that is given no profile file.
static USUAL: LazyLock<String> = LazyLock::new(|| Profile::built_in().schema_hash());

impl App {
    /// An epoch that was announced behind this one and began to answer. Its salt is the newer one: whoever goes back to the
    /// older brings back what it was made to be rid of.
    pub(super) fn newer(&self, epoch: &Epoch) -> Result<Option<EpochId>, StoreError> {
        let all = self.all_epochs();
        let later = |one: &&Epoch| one.regulation == epoch.regulation && one.announced_at > epoch.announced_at;
        for one in all.iter().map(|one| &one.epoch).filter(later) {
            if self.store.steps(&one.id)?.iter().any(|step| step.state == State::Active) {
                return Ok(Some(one.id.clone()));
            }
        }
        Ok(None)
    }

    /// Who can ask now in another epoch and has no part in this one, which could answer in its place.
    fn left_out(&self, in_force: &EpochInForce, regulation: &Regulation) -> Result<Vec<Oin>, StoreError> {
        // Somebody may ask in several of the others.
        let mut left_out = BTreeSet::new();
        if !in_force.epoch.state.takes_stocks() {
            return Ok(Vec::new());
        }
        let answers = |one: &&Arc<EpochInForce>| {
            let (other, this) = (&one.epoch, &in_force.epoch);
            other.id != this.id && other.regulation == this.regulation && other.answers(self.latest()).is_ok()
        };
        for other in self.all_epochs().iter().filter(answers) {
            let asking = self.store.stock_parties(&other.epoch.id)?.into_iter();
            left_out.extend(asking.filter(|oin| regulation.party(oin).is_some() && !in_force.epoch.has(oin)));
        }
        Ok(left_out.into_iter().collect())
    }
}

/// Who must do what next.
struct Todos<'a> {
    regulation: &'a Regulation,
    in_force: &'a EpochInForce,
    waiting: &'a [Waits],
    /// Who can ask now and takes no part.
    left_out: &'a [Oin],
    /// Sources to be loaded anew.
    ageing: &'a [Ageing],
    /// One that took over and was announced later.
    newer: Option<EpochId>,
    /// Of its destruction.
    in_the_way: Option<String>,
    today: Date,
}

impl Todos<'_> {
    /// What was proposed is to be confirmed, and no more to be done by who proposed it.
    fn all(&self, missing: &[Oin], stocks: &[Oin], answers: bool) -> Vec<Todo> {
        let mut all = self.steps(missing, stocks, answers);
        for act in self.waiting {
            let (proposed, by) = match act.end {
                Some(End::Destroy) => ("epoch destroy", None),
                Some(End::Abort) => ("epoch abort", None),
                Some(End::Retire) => ("epoch retire", None),
                None => (LOAD_STOCK, Some(&act.by)),
            };
            all.retain(|todo| !todo.command.starts_with(proposed) || by.is_some_and(|by| todo.oin != *by));
            let confirm = format!("regulation confirm {}", act.proposal);
            let todo = self.todo(act.seconds.iter().collect(), &confirm, Some(act.lapses.date()));
            all.extend(about(todo, &self.act(proposed, act)));
        }
        all
    }

    /// Which act it is, who proposed it, and what comes of it.
    fn act(&self, proposed: &str, act: &Waits) -> String {
        let name = self.regulation.party(&act.by).map_or("a party that left", |party| &party.name);
        let effect = act.effect.as_ref().map_or_else(String::new, |effect| format!(": {effect}"));
        format!("{proposed} {}, proposed by {name} ({}){effect}", self.in_force.epoch.id, act.by)
    }

    fn steps(&self, missing: &[Oin], stocks: &[Oin], answers: bool) -> Vec<Todo> {
        let epoch = &self.in_force.epoch;
        let step = |verb: &str| format!("epoch {verb} {}", epoch.id);
        match epoch.state {
            State::Announced => {
                let who = self.parties(|party| missing.contains(&party.oin));
                let mut todo = self.todo(who, &step("contribute"), Some(epoch.contribute_by));
                todo.extend(self.give_up(epoch.contribute_by));
                todo
            }
            State::Loading => {
                let is_old = |source| self.ageing.iter().any(|old| old.source == source);
                let lacks = |source: &Source| load_of(self.in_force, *source).is_none() || is_old(*source);
                let load = |source| self.load(source, epoch.load_by);
                let mut todo: Vec<Todo> = sources(self.regulation).filter(lacks).flat_map(load).collect();
                if let Some(newer) = &self.newer {
                    let who = self.parties(|party| party.role == Role::Administrator);
                    return about(
                        self.todo(who, &step("abort"), None),
                        &format!("{newer}, announced later, took over"),
                    );
                }
                if todo.is_empty() {
                    let who = self.parties(|party| party.role == Role::Administrator);
                    todo.extend(self.todo(who, &step("activate"), None));
                } else {
                    todo.extend(self.give_up(epoch.load_by));
                }
                // Before a load, no stock can be taken.
                todo.extend(epoch.key_check.iter().flat_map(|_| self.stocks(stocks)));
                todo.extend(self.let_in());
                todo
            }
            State::Active => self.renew().chain(self.stocks(stocks)).chain(self.let_in()).collect(),
            State::Retiring if !answers => {
                let who = self.parties(|party| party.role == Role::Administrator);
                let kept = Duration::days(i64::from(self.regulation.retention().register_days));
                let todo = self.todo(who, &step("destroy"), epoch.answers_until.map(|until| until.date() + kept));
                let todo = if let Some(way) = &self.in_the_way { about(todo, way) } else { todo };
                self.keep_salt().into_iter().chain(todo).collect()
            }
            State::Retiring => self.renew().collect(),
            State::Destroyed => Vec::new(),
        }
    }

    fn load(&self, source: Source, by: Date) -> Vec<Todo> {
        let who = self.parties(|party| party.role == custodian(source));
        self.todo(who, &format!("load {} {}", source.as_str(), self.into()), Some(by))
    }

    /// Of an epoch that answers, what must be loaded anew so that it goes on doing so.
    fn renew(&self) -> impl Iterator<Item = Todo> {
        self.ageing.iter().flat_map(|old| self.load(old.source, old.last))
    }

    /// Of an epoch that is late, what is left to the administrator, who reminds the others first.
    fn give_up(&self, by: Date) -> Vec<Todo> {
        let late = self.parties(|party| by < self.today && party.role == Role::Administrator);
        self.todo(late, &format!("epoch abort {}", self.in_force.epoch.id), None)
    }

    /// Before an epoch ends: with its salt only is found who asked about a person in it.
    fn keep_salt(&self) -> Vec<Todo> {
        let epoch = &self.in_force.epoch;
        let who = self.parties(|party| party.role == Role::PopulationCustodian && epoch.has(&party.oin));
        let command = format!("epoch fetch {0} --salt-file {0}.salt{1}", epoch.id, self.profile());
        let kept = Duration::days(i64::from(self.regulation.retention().log_days));
        let until = epoch.answers_until.map(|until| until.date() + kept);
        let until = until.map_or_else(String::new, |until| format!(" until {until}"));
        about(
            self.todo(who, &command, None),
            &format!(
                "keep it offline{until}: without it no person learns who asked \
            about her in it"
            ),
        )
    }

    /// Corporations that are not yet able to ask in this epoch.
    fn stocks(&self, there: &[Oin]) -> Vec<Todo> {
        let epoch = &self.in_force.epoch;
        let lacks =
            |party: &Party| party.role == Role::Corporation && epoch.has(&party.oin) && !there.contains(&party.oin);
        self.todo(self.parties(lacks), &format!("{LOAD_STOCK} {}", self.into()), None)
    }

    /// Where a load goes, and with which profile.
    fn into(&self) -> String {
        format!("--epoch {}{}", self.in_force.epoch.id, self.profile())
    }

    /// What names the profile to a client.
    fn profile(&self) -> String {
        let Epoch { profile, schema_hash, .. } = &self.in_force.epoch;
        if *schema_hash == *USUAL { String::new() } else { format!(" --profile {profile}.toml") }
    }

    /// One that contributed lets in who would lose its answers with the epoch before.
    fn let_in(&self) -> Vec<Todo> {
        let epoch = &self.in_force.epoch;
        let contributor = epoch.contributors().find_map(|oin| self.regulation.party(oin));
        let todo = |oin: &Oin| {
            self.todo(contributor.into_iter().collect(), &format!("epoch reseal {} --for {oin}", epoch.id), None)
        };
        self.left_out.iter().flat_map(todo).collect()
    }

    fn parties(&self, wanted: impl Fn(&Party) -> bool) -> Vec<&Party> {
        self.regulation.parties().iter().filter(|party| wanted(party)).collect()
    }

    fn todo(&self, who: Vec<&Party>, command: &str, by: Option<Date>) -> Vec<Todo> {
        let todo = |party: &Party| Todo {
            oin: party.oin.clone(),
            name: party.name.clone(),
            command: command.to_owned(),
            by,
            overdue: by.is_some_and(|by| by < self.today),
            about: None,
        };
        who.into_iter().map(todo).collect()
    }
}

fn about(todos: Vec<Todo>, what: &str) -> Vec<Todo> {
    todos.into_iter().map(|todo| Todo { about: Some(what.to_owned()), ..todo }).collect()
}

/// Who loads a source.
pub(super) fn custodian(source: Source) -> Role {
    match source {
        Source::Population => Role::PopulationCustodian,
        Source::Care => Role::CareCustodian,
    }
}
