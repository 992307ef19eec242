//! `POST /v1/access-log/subjects`: how the log calls the households of one address, for an officer who answers a
//! person's request. The officer has no salt and the register holder has no log: the token comes from the one, the
//! pseudonym goes to the other, and the log records that it did.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::identity::Identity;
use super::json::Json;
use super::problem::{Problem, trace_of};
use super::wire::{SubjectQuestion, SubjectView};
use super::{App, Caller};
use crate::audit::{Action, Outcome};

/// The handler.
pub(super) async fn pseudonym(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    question: Json<SubjectQuestion>,
) -> Result<Json<SubjectView>, Problem> {
    let caller = Caller { identity, trace: trace_of(&request) };
    let (regulation, permit) = app.officer(&caller).await?;
    let mut entry = app.entry(&caller, Some(&regulation), Action::SubjectRead, Outcome::Done);
    entry.articles = permit.articles().to_vec();
    // An epoch that is gone has no pseudonym any more that anybody could ask for.
    let epoch = app.named_epoch(&caller, &question.epoch, Action::SubjectRead).await?;
    entry.epoch = Some(epoch.epoch.id.clone());
    let object = app.store.pseudonym(&question.address.0);
    entry.object = Some(object.clone());
    app.record(entry).await?;
    Ok(Json(SubjectView { object }))
}
