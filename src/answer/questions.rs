//! `POST /v1/priority-questions`: one household in, one word out.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use time::OffsetDateTime;

use super::asked::{Count, most_asked};
use super::batches::{Within, answer_one};
use super::charge::{Charge, Unpaid};
use super::decision::{only, refusal_problem, refused, store_problem, unanswered};
use super::epochs::usable;
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::sticky::{Asker, Granted};
use super::wire::{ANSWER_BYTES, Answered, Question};
use super::{App, Caller, EpochInForce, repeats};
use crate::audit::{Action, Consent, Entry, Outcome};
use crate::code::{AddressToken, CodeHeader};
use crate::epoch::Silent;
use crate::link::{Finding, HouseholdQuestion};
use crate::regulate::{Act, Answer, Arrears, Conditions, Cost, Facts, Permit, Regulation};
use crate::store::{Appended, RepeatKey, StoreError, Tx};

/// The handler: decides off the event loop, records, then releases.
pub(super) async fn ask(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    question: Json<Question>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let question = question.into_inner();
    let repeat = app.repeat_key(&caller, &request, &question).map(|key| key.map(Arc::new));
    let within = Within { households: 1, since: app.latest() };
    let answered = answer_one(&app, &caller, question, within, repeat).await;
    framed(&answered.map_err(|problem| problem.traced(caller.trace))?)
}

/// What a question came to.
pub(super) enum Reached {
    /// It was answered before, under the same key.
    Again(Answered),
    Decided(Box<Decision>),
}

/// What was decided, before anybody is told.
pub(super) struct Decision {
    entry: Entry,
    outcome: Result<Granted, Problem>,
    /// Whom it costs something; a refusal costs only where it is about somebody else's address.
    charge: Option<Charge>,
    repeat: Option<Arc<RepeatKey>>,
}

/// A question that can be read, and what the articles look at.
struct Weighed {
    in_force: Arc<EpochInForce>,
    regulation: Arc<Regulation>,
    household: HouseholdQuestion,
    today: time::Date,
    /// Questions about it and its tenants.
    about: Vec<Count>,
    facts: Facts,
}

/// A question that the articles allow. Nobody has been looked for yet.
struct Allowed {
    entry: Entry,
    in_force: Arc<EpochInForce>,
    regulation: Arc<Regulation>,
    household: HouseholdQuestion,
    permit: Permit,
    charge: Charge,
}

impl App {
    /// The answer that was given before, or a decision. A key that cannot be used is a decision too: a refusal.
    pub(super) fn reach(
        &self,
        caller: &Caller,
        question: Question,
        within: Within,
        repeat: Result<Option<Arc<RepeatKey>>, Problem>,
    ) -> Result<Reached, Problem> {
        let known = match &repeat {
            Ok(Some(key)) => self.answered_before(caller, key),
            Ok(None) => Ok(None),
            Err(problem) => Err(problem.clone()),
        };
        let decision = match known {
            Ok(Some(answered)) => return Ok(Reached::Again(answered)),
            Ok(None) => {
                let decided = self.decide_each(caller, std::slice::from_ref(&question), within).pop();
                let decision = decided.expect("a question has a decision");
                Decision { repeat: repeat.ok().flatten(), ..decision }
            }
            Err(problem) if problem.status.is_server_error() => return Err(problem),
            Err(problem) => {
                let entry = self.entry(caller, None, Action::Ask, unanswered(&problem));
                Decision { entry, outcome: Err(problem), charge: None, repeat: None }
            }
        };
        Ok(Reached::Decided(Box::new(decision)))
    }

    /// Decides questions that came in one request, in their order. First the articles, then one scan for all tenants of
    /// whom they allow to learn something.
    pub(super) fn decide_each(&self, caller: &Caller, questions: &[Question], within: Within) -> Vec<Decision> {
        let permitted: Vec<_> = questions.iter().map(|question| self.allow(caller, question, within)).collect();
        let mut found = look_for(permitted.iter().flatten().map(|allowed| &**allowed)).into_iter();
        let decision = |one: Result<Box<Allowed>, Box<Decision>>| {
            let allowed = one.map(|allowed| self.conclude(caller, *allowed, found.next().flatten().as_ref()));
            let mut decision = allowed.unwrap_or_else(|refused| *refused);
            decision.entry.latency = Some(caller.identity.latency());
            decision
        };
        permitted.into_iter().map(decision).collect()
    }

    /// What the articles say; nobody is looked for. A refusal is a decision.
    fn allow(&self, caller: &Caller, question: &Question, within: Within) -> Result<Box<Allowed>, Box<Decision>> {
        let mut entry = self.entry(caller, None, Action::Ask, Outcome::Done);
        let mut charge = None;
        match self.allow_into(&mut entry, &mut charge, caller, question, within) {
            Ok((weighed, permit, charge)) => {
                let Weighed { in_force, regulation, household, .. } = weighed;
                Ok(Box::new(Allowed { entry, in_force, regulation, household, permit, charge }))
            }
            Err(problem) => {
                if matches!(entry.result, Outcome::Done) {
                    entry.result = unanswered(&problem);
                }
                Err(Box::new(Decision { entry, outcome: Err(problem), charge, repeat: None }))
            }
        }
    }

    fn allow_into(
        &self,
        entry: &mut Entry,
        charge: &mut Option<Charge>,
        caller: &Caller,
        question: &Question,
        within: Within,
    ) -> Result<(Weighed, Permit, Charge), Problem> {
        let weighed = self.weigh(entry, caller, question, within)?;
        let Weighed { regulation, today, about, facts, .. } = &weighed;
        let budgets = regulation.budgets();
        let costs = || Charge {
            regulation: regulation.id().clone(),
            oin: caller.identity.oin.clone(),
            today: *today,
            most: budgets.stop(facts.stock.unwrap_or(0)),
            about: about.clone(),
            alarm: budgets.alarm(facts.stock.unwrap_or(0)),
            probing: *regulation.probing(),
            now: self.clock.now(),
        };
        match regulation.decide(facts) {
            Ok(permit) => {
                entry.articles = permit.articles().to_vec();
                let charge = costs();
                Ok((weighed, permit, charge))
            }
            Err(refusal) => {
                entry.articles.clone_from(&refusal.articles);
                entry.result = refused(&refusal);
                // Somebody else's address: to try is to probe. A closed tap counts no more.
                let probes = facts.in_stock == Some(false) && facts.stock.is_some() && !facts.tap_closed;
                *charge = probes.then(costs);
                Err(refusal_problem(&refusal))
            }
        }
    }

    /// What may be told of what was found.
    fn conclude(&self, caller: &Caller, allowed: Allowed, found: Option<&Finding>) -> Decision {
        let Allowed { mut entry, in_force, regulation, household, permit, charge } = allowed;
        let (role, epoch) = (permit.role(), in_force.epoch.id.clone());
        let fresh = self.is_fresh(&regulation, &in_force, role);
        let (counted, seen) = found.map(|found| usable(&regulation, &in_force, found)).unzip();
        let cost = regulation.cost(role, counted.as_ref(), fresh);
        let answer = permit.disclose(&regulation, seen.as_ref(), fresh);
        let nothing = (regulation.told_nothing(role), Cost::untold(household.tenants().len()));
        let asker = Asker { oin: &caller.identity.oin, role, what: "word" };
        let sticky = counted.filter(|_| fresh && regulation.tells(role)).and_then(|found| {
            let sticky = self.sticky(&regulation, &in_force, &household, &found, &asker)?;
            Some((sticky, !regulation.leaves_open(role, &found)))
        });
        let key = self.day_key(&regulation);
        let granted = key.map(|key| Granted { epoch, found: (answer, cost), nothing, sticky, key });
        if let Err(problem) = &granted {
            entry.result = unanswered(problem);
        }
        let charge = Some(charge).filter(|_| granted.is_ok());
        Decision { entry, outcome: granted, charge, repeat: None }
    }

    /// Whether a question would be answered in a request that is large enough, with an open tap and a budget that lasts
    /// for such a request: those end for all questions of a request alike.
    pub(super) fn would_answer(&self, caller: &Caller, question: &Question, since: OffsetDateTime) -> bool {
        let mut entry = self.entry(caller, None, Action::Ask, Outcome::Done);
        let within = Within { households: u32::MAX, since };
        self.weigh(&mut entry, caller, question, within).is_ok_and(|Weighed { regulation, mut facts, .. }| {
            facts.asked_this_month += u64::from(regulation.budgets().minimum_batch - 1);
            facts.tap_closed = false;
            regulation.decide(&facts).is_ok()
        })
    }

    /// What the articles look at; the entry says as much of it as is known.
    fn weigh(
        &self,
        entry: &mut Entry,
        caller: &Caller,
        question: &Question,
        within: Within,
    ) -> Result<Weighed, Problem> {
        let in_force = self.epoch(&question.header.epoch)?;
        let regulation = self.regulation(&in_force.epoch.regulation)?;
        *entry = self.entry(caller, Some(&regulation), Action::Ask, Outcome::Done);
        entry.epoch = Some(in_force.epoch.id.clone());
        entry.stage = stage(question);
        entry.consent = Some(consent(question));
        // An epoch that is over may have no pseudonyms any more; it says so below.
        let called = |address: AddressToken| self.store.pseudonym(&in_force.epoch.id, &address.0).ok();
        entry.object = question.address.and_then(called);
        self.check_state(&in_force, within.since)?;
        check_header(&in_force, &question.header)?;
        let purpose = question.purpose.as_deref().and_then(|text| text.parse().ok());
        entry.purpose = regulation.listed(purpose.as_ref());
        if purpose.is_none() {
            let detail = "a question names its purpose, as the regulation lists it";
            return Err(Problem::unprocessable("purpose_missing", detail));
        }
        let household = self.household(question)?;
        let object = self.object(&in_force, &household)?;
        let about = self.counts_of((&caller.identity.oin, &regulation), &in_force, &household, &object)?;
        entry.object = Some(object);
        let today = self.today();
        let month = month(today);
        let stock = self.stock(&in_force.epoch.id, &caller.identity.oin).map_err(|error| store_problem(&error))?;
        let counted = |count: Result<u64, StoreError>| count.map_err(|error| store_problem(&error));
        let facts = Facts {
            purpose,
            arrears: Some(Arrears { months: question.arrears.months, days: question.arrears.days }),
            conditions: Conditions {
                personal_contact: question.conditions.personal_contact,
                help_offered: question.conditions.help_offered,
                reminder_sent: question.conditions.reminder_sent,
                no_objection: question.conditions.no_objection,
                tenant_agrees: question.conditions.tenant_agrees,
            },
            in_stock: Some(stock.as_ref().is_some_and(|stock| stock.holds(question.address.as_ref()))),
            asked_this_month: counted(self.store.questions(regulation.id(), &caller.identity.oin, &month))?,
            stock: stock.as_ref().map(|stock| stock.counted(&in_force)),
            asked_household_this_month: counted(most_asked(&about, &self.store))?,
            batch: within.households,
            tap_closed: self
                .store
                .tap_closed(regulation.id(), &caller.identity.oin)
                .map_err(|error| store_problem(&error))?,
            ..self.facts(caller, Act::Ask)
        };
        Ok(Weighed { in_force, regulation, household, today, about, facts })
    }

    /// Whether the epoch answers what was asked at this time.
    pub(super) fn check_state(&self, in_force: &EpochInForce, asked: OffsetDateTime) -> Result<(), Problem> {
        in_force.epoch.answers(asked).map_err(|silent| {
            let status = if silent == Silent::NotYet { StatusCode::CONFLICT } else { StatusCode::GONE };
            Problem::new(status, silent.code(), silent.to_string())
        })
    }

    /// The keyed pseudonym that a household has in the log: of its address, or of its codes where it has none.
    pub(super) fn object(&self, in_force: &EpochInForce, household: &HouseholdQuestion) -> Result<String, Problem> {
        let called = |subject: &[u8]| self.store.pseudonym(&in_force.epoch.id, subject);
        let object = match household.address() {
            Some(address) => called(&address.0),
            None => called(&household.tenants()[0].passes[0][0].to_bytes()),
        };
        object.map_err(|error| store_problem(&error))
    }

    /// Records, then answers: nothing leaves unrecorded. `None` if the budget was spent in between, or the same question
    /// under the same key was faster; then nothing is recorded.
    pub(super) async fn release(&self, decision: Decision) -> Result<Option<Answered>, Problem> {
        let now = self.clock.now();
        let (epoch, repeat) = match &decision.outcome {
            Ok(granted) => (Ok(granted.epoch.clone()), decision.repeat.clone()),
            Err(problem) => (Err(problem.clone()), None),
        };
        let of = epoch.as_ref().ok().cloned();
        let written = self.store.write_async(move |tx: &Tx<'_>| {
            let (appended, answer) = decision.record(tx)?;
            let kept = answer.zip(of).map(|(answer, epoch)| repeats::kept(answer, &epoch));
            match repeat.zip(kept).map_or(Ok(()), |(key, kept)| tx.keep_answer(&key, &kept, Some(appended), now)) {
                Err(StoreError::Conflict(_)) => Err(Unpaid::Spent),
                done => done.map(|()| answer).map_err(Unpaid::Store),
            }
        });
        match written.await {
            Ok(written) => {
                let (epoch, answer) = (epoch?, written.value.expect("who is answered is told a word"));
                Ok(Some(Answered { answer: answer.as_str().into(), epoch, receipt: only(written.receipts) }))
            }
            Err(Unpaid::Spent) => Ok(None),
            Err(Unpaid::Store(error)) => Err(store_problem(&error)),
        }
    }
}

impl Decision {
    /// Whether it is answered, or why not.
    pub(super) fn outcome(&self) -> Result<(), &Problem> {
        self.outcome.as_ref().map(|_| ())
    }

    /// The refusal of a question that is permitted, and that what is left does not pay for. Whoever asks is told, and the
    /// log is: a decision that is neither recorded nor given up is made again without end.
    pub(super) fn unpaid(&self) -> Self {
        let detail = "the budget was spent while this was decided; use the answers that you have, or wait";
        let problem = Problem::new(StatusCode::FORBIDDEN, "budget_spent", detail);
        let entry =
            Entry { result: unanswered(&problem), sealed: None, salt: Entry::fresh_salt(), ..self.entry.clone() };
        Self { entry, outcome: Err(problem), charge: None, repeat: None }
    }

    /// The same decision, of which nobody awaits the end.
    pub(super) fn unawaited(mut self) -> Self {
        self.entry.latency = None;
        self
    }

    /// Settles what is told, charges what it costs and puts it into the log.
    pub(super) fn record(&self, tx: &Tx<'_>) -> Result<(Appended, Option<Answer>), Unpaid> {
        match (&self.outcome, &self.charge) {
            (Ok(granted), Some(charge)) => {
                let (answer, cost, entry) = granted.settle(tx, &self.entry)?;
                Ok((charge.answered(tx, &entry, cost)?, Some(answer)))
            }
            (Ok(_), None) => unreachable!("whoever is answered is charged"),
            (Err(_), Some(charge)) => Ok((charge.refused(tx, &self.entry)?, None)),
            (Err(_), None) => Ok((tx.append(&self.entry)?, None)),
        }
    }
}

/// Who is found, per question; one scan a register.
fn look_for<'a>(allowed: impl Iterator<Item = &'a Allowed>) -> Vec<Option<Finding>> {
    let allowed: Vec<_> = allowed.collect();
    let of_one_register = allowed.chunk_by(|one, other| Arc::ptr_eq(&one.in_force, &other.in_force));
    let find = |allowed: &[&Allowed]| {
        let households: Vec<_> = allowed.iter().map(|one| &one.household).collect();
        let registers = allowed[0].in_force.registers.as_ref();
        registers.map_or(vec![None; households.len()], |registers| {
            registers.find_each(&households).into_iter().map(Some).collect()
        })
    };
    of_one_register.flat_map(find).collect()
}

/// Households that share the question's address, at least 1.
pub(super) fn neighbours(in_force: &EpochInForce, household: &HouseholdQuestion) -> u64 {
    let registers = in_force.registers.as_ref().zip(household.address());
    registers.map_or(1, |(registers, address)| registers.population().households_at(address).max(1) as u64)
}

/// All answers are equally long.
pub(super) fn framed(answered: &impl serde::Serialize) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().insert_header(ContentType::json()).body(padded(answered, ANSWER_BYTES)))
}

/// Plain data as JSON of so many bytes, the rest white space.
pub(super) fn padded(data: &impl serde::Serialize, bytes: usize) -> Vec<u8> {
    let mut body = serde_json::to_vec(data).expect("plain data have a JSON form");
    assert!(body.len() <= bytes, "an answer of {} bytes does not fit its frame", body.len());
    body.resize(bytes, b' ');
    body
}

pub(super) fn check_header(in_force: &EpochInForce, header: &CodeHeader) -> Result<(), Problem> {
    in_force
        .epoch
        .accepts(header)
        .map_err(|mismatch| Problem::unprocessable(mismatch.code(), format!("the codes were {mismatch}")))
}

fn consent(question: &Question) -> Consent {
    match (question.conditions.no_objection, question.conditions.tenant_agrees) {
        (true, true) => Consent::Agrees,
        (true, false) => Consent::NoObjection,
        (false, _) => Consent::NotStated,
    }
}

fn stage(question: &Question) -> Option<f64> {
    let months = question.arrears.months + f64::from(question.arrears.days) / 30.0;
    (0.0..=1200.0).contains(&months).then_some(months)
}

/// A month as budgets name it, `2026-11`.
pub(super) fn month(day: time::Date) -> String {
    format!("{:04}-{:02}", day.year(), u8::from(day.month()))
}
