//! `POST /v1/priority-batches`: questions about several households in one request, each decided, charged and recorded
//! as if it came alone. A regulation can want a minimum, so that nobody is singled out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::ContentType;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::aside::aside;
use super::guard::Refusals;
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::question_batches::one_of_many;
use super::questions::Reached;
use super::wire::law::{Batch, BatchAnswer, MOST_AT_ONCE as MOST};
use super::wire::{Answered, Fault, Question};
use super::{App, Caller};
use crate::link::MAX_TENANTS;
use crate::store::RepeatKey;

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
    check_sizes(&questions).map_err(|problem| problem.traced(caller.trace))?;
    let (counting, asker) = (app.clone(), caller.clone());
    let counted = aside(move || (households(&counting, &asker, &questions), questions)).await;
    let stopping = |_| Problem::unavailable("the service is stopping").traced(caller.trace);
    let (households, questions) = counted.map_err(stopping)?;
    let keys = app.claim(&caller, &questions).await.map_err(|problem| problem.traced(caller.trace))?;
    let mut answers = Vec::with_capacity(questions.len());
    for (question, key) in questions.into_iter().zip(keys) {
        let one = answer_one(&app, &caller, question, households, Ok(key)).await;
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

/// What does not fit the document is refused as a whole, before anything is charged: by a count here, by all else where
/// the body is read.
fn check_sizes(questions: &[Question]) -> Result<(), Problem> {
    if !(1..=MOST).contains(&questions.len()) {
        return Err(Problem::unprocessable("batch_size", format!("a batch has 1 to {MOST} questions")));
    }
    let wrong = questions.iter().enumerate().filter(|(_, one)| !(1..=MAX_TENANTS).contains(&one.tenants.len()));
    let faults: Vec<Fault> = wrong
        .map(|(place, _)| Fault {
            within: "body".into(),
            pointer: format!("/questions/{place}/tenants"),
            detail: format!("has not 1 to {MAX_TENANTS} items"),
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    let detail = "a question has too few or too many tenants; nothing of the batch was asked";
    Err(Problem::unprocessable("tenant_count", detail).with(faults))
}

/// Different households, by address: the same one a hundred times is one. One that is refused anyway hides nobody. At
/// least one: no request is about none.
fn households(app: &App, caller: &Caller, questions: &[Question]) -> u32 {
    let answered = questions.iter().filter(|question| app.would_answer(caller, question));
    let addresses: HashSet<_> = answered.filter_map(|question| question.address.map(|token| token.0)).collect();
    u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1)
}

/// Decides, records and releases one question of a request with so many households; under a key that was answered
/// before, that answer. An answer's time tells nothing of whether somebody was found.
pub(super) async fn answer_one(
    app: &Data<App>,
    caller: &Caller,
    question: Question,
    households: u32,
    repeat: Result<Option<Arc<RepeatKey>>, Problem>,
) -> Result<Answered, Problem> {
    let (started, epoch, tenants) = (Instant::now(), question.header.epoch.clone(), question.tenants.len());
    // Where another question took the last of the budget in between, the second decision is the refusal.
    for left in [true, false] {
        let (deciding, caller, question, repeat) = (app.clone(), caller.clone(), question.clone(), repeat.clone());
        let reached = aside(move || {
            let _first = deciding.desk.ahead();
            deciding.reach(&caller, question, households, repeat)
        });
        let reached = reached.await.map_err(|_| Problem::unavailable("the service is stopping"))?;
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
