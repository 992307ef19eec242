//! `POST /v1/group-questions`: the care side asks for the groups of a household, of a case that a corporation brought.
//! It learns those groups alone for which the regulation gives it a ground of its own: a district team the minors,
//! the care network its own clients.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web::{self, Data};

use super::decision::{only, refusal_problem, refused, store_problem, unanswered};
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::questions::{check_header, framed};
use super::repeats::{Kept, receipt_of};
use super::wire::law::{GroupQuestion, GroupsTold};
use super::{App, Caller};
use crate::audit::{Action, Disclosed, Entry, Outcome};
use crate::code::Group;
use crate::ids::RegulationId;
use crate::regulate::{Act, Facts, Told};
use crate::store::{StoreError, Tx};

/// What was decided, before anybody is told.
type Decided = (Entry, Result<Vec<(Group, Told)>, Problem>);

/// The handler: decides off the event loop, records, then releases.
pub(super) async fn ask(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    question: Json<GroupQuestion>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let trace = caller.trace;
    let (deciding, question, once) = (app.clone(), question.into_inner(), caller.once.clone());
    let decided = web::block(move || deciding.decide_groups(&caller, question)).await;
    let (entry, told) = decided.map_err(|_| Problem::unavailable("the service is stopping").traced(trace))?;
    let told = match told {
        Ok(told) => told,
        Err(problem) => {
            app.record(entry).await?;
            return Err(problem.traced(trace));
        }
    };
    let word = |(group, told): (Group, Told)| (name(group).to_owned(), told.as_str().to_owned());
    let groups: BTreeMap<_, _> = told.into_iter().map(word).collect();
    let now = app.clock.now();
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        let told = GroupsTold { groups, receipt: receipt_of(tx.append(&entry)?) };
        once.keep(tx, &Kept::body(&told), now).map(|()| told)
    });
    let written = written.await.map_err(|error: StoreError| store_problem(&error).traced(trace))?;
    framed(&GroupsTold { receipt: only(written.receipts), ..written.value })
}

impl App {
    fn decide_groups(&self, caller: &Caller, question: GroupQuestion) -> Decided {
        let started = std::time::Instant::now();
        let (epoch, tenants) = (question.question.header.epoch.clone(), question.question.tenants.len());
        let mut entry = self.entry(caller, None, Action::AskGroups, Outcome::Done);
        let told = self.groups_of(&mut entry, caller, question);
        match &told {
            Ok(_) => self.pace.hold(&epoch, started, tenants),
            Err(problem) if matches!(entry.result, Outcome::Done) => entry.result = unanswered(problem),
            Err(_) => {}
        }
        entry.latency = Some(caller.identity.latency());
        (entry, told)
    }

    fn groups_of(
        &self,
        entry: &mut Entry,
        caller: &Caller,
        GroupQuestion { case, question }: GroupQuestion,
    ) -> Result<Vec<(Group, Told)>, Problem> {
        let in_force = self.epoch(&question.header.epoch)?;
        let regulation = self.regulation(&in_force.epoch.regulation)?;
        *entry = self.entry(caller, Some(&regulation), Action::AskGroups, Outcome::Done);
        entry.epoch = Some(in_force.epoch.id.clone());
        self.check_state(&in_force)?;
        check_header(&in_force, &question.header)?;
        let household = self.household(&question)?;
        let object = self.object(&household);
        let purpose = question.purpose.as_deref().and_then(|text| text.parse().ok());
        entry.purpose.clone_from(&purpose);
        let in_case = self.is_case(case, regulation.id(), &object)?;
        entry.object = Some(object);
        let facts = Facts { purpose, in_case, ..self.facts(caller, Act::AskGroups) };
        let permit = regulation.decide(&facts).map_err(|refusal| {
            entry.articles.clone_from(&refusal.articles);
            entry.result = refused(&refusal);
            refusal_problem(&refusal)
        })?;
        entry.articles = permit.articles().to_vec();
        let finding = in_force.registers.as_ref().map(|registers| registers.find(&household));
        let told = permit.disclose_groups(&regulation, finding.as_ref(), self.is_fresh(&regulation, &in_force));
        let words = told.iter().map(|(group, told)| format!("{}-{}", name(*group), &told.as_str()[..1]));
        let disclosed = Disclosed { answer: "groups".into(), groups: words.collect() };
        entry.sealed = Some(self.seal(&regulation, entry, &disclosed)?);
        entry.result = Outcome::Answered;
        Ok(told)
    }

    /// Whether this entry of the log is a corporation's answered question about the same household.
    fn is_case(&self, case: u64, regulation: &RegulationId, object: &str) -> Result<bool, Problem> {
        if i64::try_from(case).is_err() {
            return Ok(false);
        }
        let lines = self.store.entries(case..case + 1);
        let lines = lines.map_err(|error| store_problem(&error))?;
        let entry = lines.into_iter().find_map(|line| Entry::from_bytes(&line.entry?).ok());
        Ok(entry.is_some_and(|entry| {
            entry.action == Action::Ask
                && entry.result == Outcome::Answered
                && entry.regulation.is_some_and(|of| of.id == *regulation)
                && entry.object.as_deref() == Some(object)
        }))
    }
}

fn name(group: Group) -> &'static str {
    match group {
        Group::Minor => "minor",
        Group::Senior => "senior",
        Group::Oggz => "oggz",
    }
}
