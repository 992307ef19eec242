//! `POST /v1/access-log/subjects`: how the log calls the households of one address, for an officer who answers a
//! person's request. The officer has no salt and the register holder has no log: the token comes from the one, the
//! pseudonym goes to the other, and the log records that it did.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::decision::store_problem;
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::repeats::Kept;
use super::wire::{SubjectQuestion, SubjectView};
use super::{App, Caller};
use crate::audit::{Action, Outcome};
use crate::store::{StoreError, Tx};

/// The handler.
pub(super) async fn pseudonym(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    question: Json<SubjectQuestion>,
) -> Result<Json<SubjectView>, Problem> {
    let caller = Caller::of(identity, &request);
    let (regulation, permit) = app.officer(&caller).await?;
    let mut entry = app.entry(&caller, Some(&regulation), Action::SubjectRead, Outcome::Done);
    entry.articles = permit.articles().to_vec();
    // One that was destroyed has pseudonyms as long as the log has an entry with one.
    let epoch = app.named_epoch(&caller, &question.epoch, Action::SubjectRead).await?;
    entry.epoch = Some(epoch.epoch.id.clone());
    let object = match app.store.pseudonym(&epoch.epoch.id, &question.address.0) {
        Ok(object) => object,
        Err(error) => return Err(app.refuse(entry, store_problem(&error)).await),
    };
    entry.object = Some(object.clone());
    let view = SubjectView { object };
    let (once, told, now) = (caller.once, view.clone(), app.clock.now());
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        let index = tx.append(&entry)?.index;
        once.keep(tx, &Kept::found(&told, index), now)
    });
    written.await.map_err(|error: StoreError| store_problem(&error).traced(caller.trace))?;
    Ok(Json(view))
}
