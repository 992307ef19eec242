//! `POST /v1/priority-batches`: questions about several households in one request, each decided, charged and recorded
//! as if it came alone. A regulation can want a minimum, so that nobody is singled out.

use std::collections::HashSet;

use actix_web::HttpRequest;
use actix_web::web::{self, Data, Json};

use super::identity::Identity;
use super::problem::{Problem, trace_of};
use super::wire::law::{Batch, BatchAnswer, BatchAnswers};
use super::wire::{Answered, Question};
use super::{App, Caller};

/// Most households of one request.
const MOST: usize = 100;

/// The handler. The answers come in the order of the questions.
pub(super) async fn ask(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    batch: Json<Batch>,
) -> Result<Json<BatchAnswers>, Problem> {
    let caller = Caller { identity, trace: trace_of(&request) };
    let questions = batch.into_inner().questions;
    if !(1..=MOST).contains(&questions.len()) {
        let detail = format!("a batch has 1 to {MOST} questions");
        return Err(Problem::unprocessable("batch_size", detail).traced(caller.trace));
    }
    let households = households(&questions);
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        let one = answer_one(&app, &caller, question, households).await;
        answers.push(match one {
            Ok(answered) => BatchAnswer { answered: Some(answered), problem: None },
            Err(problem) => BatchAnswer { answered: None, problem: Some(problem.traced(caller.trace).body()) },
        });
    }
    Ok(Json(BatchAnswers { answers }))
}

/// Different households, by address: the same one a hundred times is one.
fn households(questions: &[Question]) -> u32 {
    let addresses: HashSet<_> = questions.iter().filter_map(|question| question.address.map(|token| token.0)).collect();
    u32::try_from(addresses.len()).unwrap_or(u32::MAX)
}

/// Decides, records and releases one question of a request with so many households.
pub(super) async fn answer_one(
    app: &Data<App>,
    caller: &Caller,
    question: Question,
    households: u32,
) -> Result<Answered, Problem> {
    // Where another question took the last of the budget in between, the second decision is the refusal.
    for _ in 0..2 {
        let (deciding, caller, question) = (app.clone(), caller.clone(), question.clone());
        let decision = web::block(move || deciding.decide_on_schedule(&caller, question, households));
        let decision = decision.await.map_err(|_| Problem::unavailable("the service is stopping"))?;
        if let Some(answered) = app.release(decision).await? {
            return Ok(answered);
        }
    }
    Err(Problem::unavailable("too many questions at the same moment; ask again"))
}
