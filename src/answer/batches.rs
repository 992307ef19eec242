//! `POST /v1/priority-batches`: questions about several households in one request, each decided, charged and recorded
//! as if it came alone. A regulation can want a minimum, so that nobody is singled out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::ContentType;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use time::{Duration, OffsetDateTime};

use super::aside::aside;
use super::guard::Refusals;
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::question_batches::one_of_many;
use super::questions::Reached;
use super::wire::law::{Batch, BatchAnswer};
use super::wire::{Answered, Fault, Question};
use super::{App, Caller};
use crate::audit::{Action, Entry, Outcome};
use crate::ids::EpochId;
use crate::store::{RepeatKey, Repeated};

/// Bytes of a batch: it may be as long as its questions.
pub(super) const BYTES: usize = 8 << 20;

/// The handler. The answers come in the order of the questions.
pub(super) async fn ask(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    batch: Json<Batch>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let questions = batch.into_inner().questions;
    let judge = app.clone();
    let checked = aside(move || (judge.check_alike(&questions), questions)).await;
    let stopping = |_| Problem::unavailable("the service is stopping").traced(caller.trace);
    let (alike, questions) = checked.map_err(stopping)?;
    if let Err(problem) = alike {
        return Err(app.refuse(app.mixed_entry(&caller, &questions[0]), problem).await);
    }
    let now = app.latest();
    let keys = app.claim(&caller, &questions).await.map_err(|problem| problem.traced(caller.trace))?;
    let (counting, asker) = (app.clone(), caller.clone());
    let counted = aside(move || (within(&counting, &asker, &questions, &keys, now), questions, keys)).await;
    let (within, questions, keys) = counted.map_err(stopping)?;
    let mut answers = Vec::with_capacity(questions.len());
    for (question, key) in questions.into_iter().zip(keys) {
        let within = within[&question.header.epoch];
        let one = answer_one(&app, &caller, question, within, Ok(key)).await;
        answers.push(match one {
            Ok(answered) => BatchAnswer { answered: Some(answered), problem: None },
            Err(problem) => BatchAnswer { answered: None, problem: Some(problem.traced(caller.trace).body()) },
        });
    }
    let mut response = HttpResponse::Ok().insert_header(ContentType::json()).body(body(&answers));
    let refused = answers.iter().filter(|one| one.problem.is_some()).count();
    response.extensions_mut().insert(Refusals(u32::try_from(refused).unwrap_or(u32::MAX)));
    Ok(response)
}

/// `BatchAnswers`, of which each answer is equally long: were it not, a batch of one would show its word on the wire.
fn body(answers: &[BatchAnswer]) -> Vec<u8> {
    let each: Vec<Vec<u8>> = answers.iter().map(|one| one_of_many(one, one.answered.is_some())).collect();
    [br#"{"answers":["#, &*each.join(&b','), b"]}"].concat()
}

fn fault(place: usize, member: &str, detail: &str) -> Fault {
    Fault::body(&format!("/questions/{place}/{member}"), detail)
}

/// The request in which a question came.
#[derive(Clone, Copy)]
pub(super) struct Within {
    /// Different households in it, and at least one: no request is about none.
    pub households: u32,
    /// When it came. An epoch that answered then answers all of it: silence in its middle would single out who came first.
    pub since: OffsetDateTime,
}

/// What a request is in each epoch that it names: an address has another token in each, and would count twice.
fn within(
    app: &App,
    caller: &Caller,
    questions: &[Question],
    keys: &[Option<Arc<RepeatKey>>],
    now: OffsetDateTime,
) -> BTreeMap<EpochId, Within> {
    let claimed = app.claimed_at(caller);
    let was_told = |key: &Option<Arc<RepeatKey>>| {
        claimed.is_some()
            && key.as_ref().is_some_and(|key| matches!(app.store.repeated(key), Ok(Repeated::Same { .. })))
    };
    let mut of_epoch: BTreeMap<&EpochId, Vec<(&Question, bool)>> = BTreeMap::new();
    for (question, key) in questions.iter().zip(keys) {
        of_epoch.entry(&question.header.epoch).or_default().push((question, was_told(key)));
    }
    let one = |(epoch, ours): (&EpochId, Vec<(&Question, bool)>)| {
        let told = addresses(ours.iter().filter(|(_, told)| *told).map(|(question, _)| *question));
        // What was cut below the minimum is brought to its end, as of when it first came. The store keeps whole seconds, of
        // the end of an epoch as well: what was answered in the second of the silence came before it.
        let cut = claimed.filter(|_| (1..app.least_at_once(epoch)).contains(&told));
        let since = cut.map_or(now, |came| came - Duration::SECOND);
        // Who is refused anyway hides nobody.
        let counted = ours.iter().filter(|(question, told)| *told || app.would_answer(caller, question, since));
        (epoch.clone(), Within { households: addresses(counted.map(|(question, _)| *question)).max(1), since })
    };
    of_epoch.into_iter().map(one).collect()
}

/// Different addresses: the same one a hundred times is one.
fn addresses<'a>(questions: impl Iterator<Item = &'a Question>) -> u32 {
    let tokens: HashSet<_> = questions.filter_map(|question| question.address.map(|token| token.0)).collect();
    u32::try_from(tokens.len()).unwrap_or(u32::MAX)
}

impl App {
    /// Whether the questions are of one epoch, salt and purpose, with codes that are codes: half a batch would tell what is
    /// wrong with the other half.
    fn check_alike(&self, questions: &[Question]) -> Result<(), Problem> {
        let first = &questions[0];
        let mut mixed = Vec::new();
        for (place, one) in questions.iter().enumerate() {
            if one.header != first.header {
                mixed.push(fault(place, "header", "is not that of the first question"));
            }
            if one.purpose != first.purpose {
                mixed.push(fault(place, "purpose", "is not that of the first question"));
            }
        }
        if !mixed.is_empty() {
            let detail = "all questions of a batch have one epoch, profile, salt and purpose; nothing of it was asked";
            return Err(Problem::unprocessable("batch_mixed", detail).with(mixed));
        }
        // Each is told so as if it came alone, and what the silence has cut is brought to its end.
        if self.check_fit(&first.header).is_err() {
            return Ok(());
        }
        let (mut why, mut shapeless) = (None, Vec::new());
        for (place, one) in questions.iter().enumerate() {
            if let Err(problem) = self.household(one) {
                shapeless.push(fault(place, "tenants", &problem.detail));
                why.get_or_insert(problem);
            }
        }
        why.map_or(Ok(()), |problem| {
            let detail = format!("{}; nothing of the batch was asked", problem.detail);
            Err(Problem { detail, ..problem }.with(shapeless))
        })
    }

    /// The entry of a batch that is refused as a whole.
    fn mixed_entry(&self, caller: &Caller, first: &Question) -> Entry {
        let in_force = self.epoch(&first.header.epoch).ok();
        let regulation = in_force.as_ref().and_then(|in_force| self.regulation(&in_force.epoch.regulation).ok());
        let mut entry = self.entry(caller, regulation.as_deref(), Action::Ask, Outcome::Done);
        entry.epoch = in_force.map(|in_force| in_force.epoch.id.clone());
        entry
    }

    /// Different households that a request in this epoch must at least be about.
    fn least_at_once(&self, epoch: &EpochId) -> u32 {
        let regulation = self.epoch(epoch).and_then(|in_force| self.regulation(&in_force.epoch.regulation));
        regulation.map_or(1, |regulation| regulation.budgets().minimum_batch)
    }
}

/// Decides, records and releases one question of a request; under a key that was answered
/// before, that answer. An answer's time tells nothing of whether somebody was found.
pub(super) async fn answer_one(
    app: &Data<App>,
    caller: &Caller,
    question: Question,
    within: Within,
    repeat: Result<Option<Arc<RepeatKey>>, Problem>,
) -> Result<Answered, Problem> {
    let (epoch, tenants) = (question.header.epoch.clone(), question.tenants.len());
    // Where another question took the last of the budget in between, the second decision is the refusal.
    for left in [true, false] {
        let turn = app.turns.take(&caller.identity.oin).await;
        let started = Instant::now();
        let (deciding, caller, question, repeat) = (app.clone(), caller.clone(), question.clone(), repeat.clone());
        let reached = aside(move || {
            let _first = deciding.desk.ahead();
            deciding.reach(&caller, question, within, repeat)
        });
        let reached = reached.await;
        drop(turn);
        let reached = reached.map_err(|_| Problem::unavailable("the service is stopping"))?;
        let answered = match reached? {
            Reached::Again(answered) => Some(answered),
            Reached::Decided(decision) => {
                let unpaid = decision.unpaid();
                match app.release(*decision).await? {
                    None if left => None,
                    None => app.release(unpaid).await?,
                    released => released,
                }
            }
        };
        if let Some(answered) = answered {
            app.pace.hold(&epoch, started, tenants).await;
            return Ok(answered);
        }
    }
    Err(Problem::unavailable("too many questions at the same moment; ask again"))
}
