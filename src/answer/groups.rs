//! `POST /v1/group-questions`: the care side asks for the groups of a household, of a case that a corporation brought.
//! It learns those groups alone for which the regulation gives it a ground of its own: a district team the minors,
//! the care network its own clients. A case is what a corporation referred: number and leaf hash of its receipt, which
//! is salted and nobody guesses. Whose codes come with it is the care side's to say, so that it could ask about anybody:
//! it is told of nobody who is registered elsewhere, and asks about a case, and about a household, as often as a
//! corporation may about any. A wrong case counts for the household as a right one does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;

use super::aside::aside;
use super::asked::{Count, most_asked};
use super::charge::{CareMonth, Unpaid};
use super::decision::{only, refusal_problem, refused, store_problem, unanswered};
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::questions::{check_header, framed};
use super::repeats::{Kept, receipt_of};
use super::sticky::{Asker, Sticky};
use super::wire::law::{GroupQuestion, GroupsTold};
use super::{App, Caller};
use crate::audit::{Action, DayKey, Disclosed, Entry, Hash, Outcome};
use crate::code::Group;
use crate::ids::{EpochId, RegulationId};
use crate::regulate::{Act, Facts, Regulation, Told};
use crate::store::{StoreError, Tx};

/// What was decided, before anybody is told; and what it counts for.
struct Decided {
    entry: Entry,
    told: Result<Groups, Problem>,
    counts: Vec<Count>,
    month: Option<CareMonth>,
}

/// What is told unless an earlier answer sticks, and what seals it.
struct Groups {
    each: Vec<(Group, Told, Option<Sticky>)>,
    key: Arc<DayKey>,
}

impl Groups {
    /// What is told in the end; the entry has it sealed.
    fn settle(&self, tx: &Tx<'_>, entry: &Entry) -> Result<(BTreeMap<String, String>, Entry), StoreError> {
        let mut groups = BTreeMap::new();
        for (group, told, sticky) in &self.each {
            let stuck = sticky.as_ref().map(|sticky| sticky.holds(tx, *told != Told::Undetermined)).transpose()?;
            let told = if stuck == Some(true) { Told::Undetermined } else { *told };
            groups.insert(name(*group).to_owned(), told.as_str().to_owned());
        }
        let words = groups.iter().map(|(group, told)| format!("{group}-{}", &told[..1])).collect();
        let sealed = Some(self.key.seal(entry, &Disclosed { answer: "groups".into(), groups: words })?);
        Ok((groups, Entry { sealed, ..entry.clone() }))
    }
}

/// The handler: decides off the event loop, records, then releases.
pub(super) async fn ask(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    question: Json<GroupQuestion>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let turn = app.turns.take(&caller.identity.oin).await;
    let (started, trace) = (Instant::now(), caller.trace);
    let (epoch, tenants) = (question.question.header.epoch.clone(), question.question.tenants.len());
    let (deciding, question, once) = (app.clone(), question.into_inner(), caller.once.clone());
    let decided = aside(move || deciding.decide_groups(&caller, question)).await;
    drop(turn);
    let Decided { entry, told, counts, month } =
        decided.map_err(|_| Problem::unavailable("the service is stopping").traced(trace))?;
    let told = match told {
        Ok(told) => told,
        Err(problem) => {
            let written = app.store.write_async(move |tx: &Tx<'_>| {
                counts.iter().try_for_each(|count| count.charge(tx).map(drop))?;
                match month.map_or(Err(Unpaid::Spent), |month| month.charge(tx, &entry)) {
                    // Nothing to pay, or nothing to pay it with.
                    Err(Unpaid::Spent) => tx.append(&entry).map(drop),
                    Err(Unpaid::Store(error)) => Err(error),
                    Ok(_) => Ok(()),
                }
            });
            written.await.map_err(|error: StoreError| store_problem(&error).traced(trace))?;
            return Err(problem.traced(trace));
        }
    };
    let (now, refusal) = (app.clock.now(), entry.clone());
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        for count in &counts {
            if !count.charge(tx)? {
                return Err(Unpaid::Spent);
            }
        }
        let (groups, entry) = told.settle(tx, &entry)?;
        let month = month.as_ref().expect("whoever is answered is charged");
        let told = GroupsTold { groups, receipt: receipt_of(month.charge(tx, &entry)?) };
        Ok(once.keep(tx, &Kept::Groups(told.clone()), now).map(|()| told)?)
    });
    let written = match written.await {
        Ok(written) => written,
        Err(Unpaid::Spent) => return Err(app.refuse(refusal, too_often()).await),
        Err(Unpaid::Store(error)) => return Err(store_problem(&error).traced(trace)),
    };
    app.pace.hold(&epoch, started, tenants).await;
    framed(&GroupsTold { receipt: only(written.receipts), ..written.value })
}

impl App {
    fn decide_groups(&self, caller: &Caller, question: GroupQuestion) -> Decided {
        let mut entry = self.entry(caller, None, Action::AskGroups, Outcome::Done);
        let (mut counts, mut month) = (Vec::new(), None);
        let told = self.groups_of(&mut entry, (&mut counts, &mut month), caller, question);
        if let Err(problem) = &told
            && matches!(entry.result, Outcome::Done)
        {
            entry.result = unanswered(problem);
        }
        // A failure of ours is no question of theirs.
        if told.as_ref().is_err_and(|problem| problem.status.is_server_error()) {
            (counts, month) = (Vec::new(), None);
        }
        entry.latency = Some(caller.identity.latency());
        Decided { entry, told, counts, month }
    }

    fn groups_of(
        &self,
        entry: &mut Entry,
        (counts, month_of): (&mut Vec<Count>, &mut Option<CareMonth>),
        caller: &Caller,
        GroupQuestion { case, leaf, question }: GroupQuestion,
    ) -> Result<Groups, Problem> {
        let in_force = self.epoch(&question.header.epoch)?;
        let regulation = self.regulation(&in_force.epoch.regulation)?;
        *entry = self.entry(caller, Some(&regulation), Action::AskGroups, Outcome::Done);
        entry.epoch = Some(in_force.epoch.id.clone());
        self.check_state(&in_force, self.latest())?;
        check_header(&in_force, &question.header)?;
        let household = self.household(&question)?;
        let object = self.object(&in_force, &household)?;
        let purpose = question.purpose.as_deref().and_then(|text| text.parse().ok());
        entry.purpose = regulation.listed(purpose.as_ref());
        entry.object = Some(object.clone());
        let mut decide = |in_case| {
            let facts = Facts { purpose: purpose.clone(), in_case, ..self.facts(caller, Act::AskGroups) };
            regulation.decide(&facts).map_err(|refusal| {
                entry.articles.clone_from(&refusal.articles);
                entry.result = refused(&refusal);
                refusal_problem(&refusal)
            })
        };
        // Everything else first: whoever may not ask at all learns of no case whether it is one.
        let _permit = decide(true)?;
        // Before it is looked whether it is a case: so a household is not found by trying cases.
        let asks = (&caller.identity.oin, &*regulation);
        let about = self.counts_of(asks, &in_force, &household, &object)?;
        let asked = most_asked(&about, &self.store).map_err(|error| store_problem(&error))?;
        if asked >= u64::from(regulation.budgets().household_per_month) {
            return Err(too_often());
        }
        let paid = self.care_month(caller, &regulation);
        if paid.is_spent(&self.store).map_err(|error| store_problem(&error))? {
            return Err(month_spent());
        }
        *month_of = Some(paid);
        counts.extend(about);
        let in_case = match self.referred(case, &leaf, regulation.id())? {
            // Pseudonyms are of an epoch: those of two cannot be compared.
            Some(entry) if entry.epoch.as_ref() != Some(&in_force.epoch.id) => return Err(self.of_another(&entry)),
            referred => referred.is_some_and(|entry| entry.object == Some(object)),
        };
        let permit = decide(in_case)?;
        entry.articles = permit.articles().to_vec();
        // No pseudonym of an address looks like it.
        let about = self.count(asks.0, asks.1, format!("case {case}"));
        if about.is_spent(&self.store).map_err(|error| store_problem(&error))? {
            counts.clear();
            *month_of = None;
            return Err(too_often());
        }
        counts.push(about);
        let finding = in_force.registers.as_ref().map(|registers| registers.find(&household));
        let role = permit.role();
        let fresh = self.is_fresh(&regulation, &in_force, role);
        let told = permit.disclose_groups(&regulation, finding.as_ref(), fresh);
        let each = told.into_iter().map(|(group, told)| {
            let asker = Asker { oin: &caller.identity.oin, role, what: name(group) };
            let found = finding.as_ref().filter(|_| fresh);
            let sticky = found.and_then(|found| self.sticky(&regulation, &in_force, &household, found, &asker));
            (group, told, sticky)
        });
        let groups = Groups { each: each.collect(), key: self.day_key(&regulation)? };
        entry.result = Outcome::Answered;
        Ok(groups)
    }

    /// What this party of the care side may ask in the month.
    fn care_month(&self, caller: &Caller, regulation: &Regulation) -> CareMonth {
        let (budgets, oin) = (regulation.budgets(), caller.identity.oin.clone());
        let (alarm, most) = (budgets.care_alarm().into(), budgets.care_stop().into());
        CareMonth { regulation: regulation.id().clone(), oin, today: self.today(), alarm, most }
    }

    /// This entry of the log, if it is a corporation's answered question and whoever asks has its receipt.
    fn referred(&self, case: u64, leaf: &Hash, regulation: &RegulationId) -> Result<Option<Entry>, Problem> {
        if i64::try_from(case).is_err() {
            return Ok(None);
        }
        let lines = self.store.entries(case..case + 1);
        let lines = lines.map_err(|error| store_problem(&error))?;
        let lines = lines.into_iter().filter(|line| line.leaf == *leaf);
        let entry = lines.filter_map(|line| Entry::from_bytes(&line.entry?).ok()).next();
        Ok(entry.filter(|entry| {
            entry.action == Action::Ask
                && entry.result == Outcome::Answered
                && entry.regulation.as_ref().is_some_and(|of| of.id == *regulation)
        }))
    }

    /// The case was answered in another epoch than that of the question: what to do instead.
    fn of_another(&self, case: &Entry) -> Problem {
        let answers = |epoch: &EpochId| self.epoch(epoch).is_ok_and(|it| it.epoch.answers(self.latest()).is_ok());
        let detail = match &case.epoch {
            Some(epoch) if answers(epoch) => format!("this case is of the epoch {epoch}; ask with codes of that epoch"),
            _ => {
                "this case is of an epoch that answers no more; the corporation asks anew and refers with that receipt"
                    .into()
            }
        };
        Problem::conflict("case_epoch", detail)
    }
}

fn month_spent() -> Problem {
    let detail = "the month's questions of your organisation are spent; the privacy officers were told before";
    Problem::new(StatusCode::FORBIDDEN, "budget_spent", detail)
}

fn too_often() -> Problem {
    let detail =
        "this case, or its household, has been asked about too often this month; use the answer that you have, or wait";
    Problem::new(StatusCode::FORBIDDEN, "household_limit", detail)
}

fn name(group: Group) -> &'static str {
    match group {
        Group::Minor => "minor",
        Group::Senior => "senior",
        Group::Oggz => "oggz",
    }
}
