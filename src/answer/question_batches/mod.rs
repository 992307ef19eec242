//! `/v1/question-batches`: up to 500,000 questions, sent in chunks as a load is, answered behind the commit one by one as
//! if each came alone, read as far as they are. All or nothing until the commit: a batch with a question that does not
//! belong to it is refused as a whole. Behind it every question is decided, charged and recorded by itself.

mod desk;
mod judge;
mod told;
mod work;

use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use desk::Desk;
pub(super) use told::one_of_many;
pub(super) use work::answer;

use super::chunks::{self, Arrived};
use super::decision::{store_problem, unanswered};
use super::identity::{Identity, chain_of};
use super::json::{Json, Plain, Query};
use super::problem::Problem;
use super::repeats::Kept;
use super::tls::Shown;
use super::wire::batches::{BatchBegun, BatchCommit, BatchPlan, BatchView};
use super::wire::{ChunkKept, ProblemBody};
use super::{App, Caller};
use crate::audit::{Action, Entry, Outcome};
use crate::ids::{BatchId, TraceId};
use crate::store::{Batch, BatchState, NewBatch, StoreError, Tx};
use desk::Seen;
use judge::BadChunk;

/// Most bytes of a chunk: one is in memory while its questions are answered, then another batch has its turn.
const CHUNK_BYTES: usize = 1 << 20;

/// Who committed a batch, as it is kept beside it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asker {
    trace: TraceId,
    certificate: String,
    person: Option<String>,
    /// What its connection showed, DER in base64, the asker's own first: it is judged again while the batch is answered.
    chain: Vec<String>,
}

impl Asker {
    fn shown(&self) -> Shown {
        let chain = self.chain.iter().filter_map(|one| STANDARD.decode(one).ok()).map(CertificateDer::from);
        Shown::new(&chain.collect::<Vec<_>>())
    }
}

/// What is kept of a question: one of both.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Came {
    Answer(String),
    Problem(ProblemBody),
}

/// Begins a batch.
pub(super) async fn begin(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    plan: Json<BatchPlan>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let in_force = app.named_epoch(&caller, &plan.header.epoch, Action::Ask).await?;
    let regulation = app.regulation(&in_force.epoch.regulation).map_err(|problem| problem.traced(caller.trace))?;
    let mut entry = app.batch_entry(&caller, &regulation, &plan);
    if let Err(problem) = app.check_batch(&caller, &in_force, &regulation, &plan, &mut entry) {
        // An article that refuses has said so in the entry.
        if matches!(entry.result, Outcome::Done) {
            entry.result = unanswered(&problem);
        }
        app.record(entry).await?;
        return Err(problem.traced(caller.trace));
    }
    let now = app.clock.now();
    let new = NewBatch {
        epoch: in_force.epoch.id.clone(),
        oin: caller.identity.oin.clone(),
        plan: serde_json::to_string(&*plan).expect("plain data have a JSON form"),
        questions: plan.questions,
        begun_at: now,
        expires_at: now + time::Duration::hours(app.desk.bounds.open_hours.into()),
    };
    let once = caller.once;
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        let id = tx.begin_batch(&new)?;
        once.keep(tx, &Kept::Begun(id), now).map(|()| id)
    });
    let written = written.await.map_err(|error: StoreError| store_problem(&error).traced(caller.trace))?;
    Ok(begun(written.value))
}

/// What is answered to who began a batch.
pub(super) fn begun(batch: BatchId) -> HttpResponse {
    let mut response = HttpResponse::Accepted();
    response.insert_header((LOCATION, format!("/v1/question-batches/{batch}")));
    response.json(BatchBegun { batch, chunk_bytes: CHUNK_BYTES })
}

/// The caller's batches, for one that lost the name of one.
pub(super) async fn list(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
) -> Result<Json<Vec<BatchView>>, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    let (worker, oin) = (app.clone(), caller.identity.oin.clone());
    let views = app.in_turn(&caller.identity.oin, move || worker.batch_views(&oin)).await.map_err(traced)?;
    views.map(Json).map_err(|error| traced(store_problem(&error)))
}

/// How far a batch is.
pub(super) async fn view(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<BatchId>,
) -> Result<Json<BatchView>, Problem> {
    let caller = Caller::of(identity, &request);
    let view = app.own_batch(&caller, &id).and_then(|_| app.batch_view(&id));
    view.map(Json).map_err(|problem| problem.traced(caller.trace))
}

/// Takes a chunk: NDJSON, one question a line. The same chunk again replaces the first.
pub(super) async fn put_chunk(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    place: Path<(BatchId, Plain<u32>)>,
    body: Payload,
) -> Result<Json<ChunkKept>, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    chunks::check_media(&request).map_err(traced)?;
    let (id, Plain(number)) = place.into_inner();
    let batch = app.own_batch(&caller, &id).map_err(traced)?;
    let (body, digest) = chunks::whole(&request, body, CHUNK_BYTES).await.map_err(traced)?;
    let key = match app.arrived(&caller, &request, &digest, || app.entry_of(&caller, &batch)).await? {
        Arrived::New(key) => key,
        Arrived::Again(told) => return Ok(Json(told)),
    };
    let batch = check_open(batch).map_err(traced)?;
    let (worker, read) = (app.clone(), batch.clone());
    let sealed = app.in_turn(&caller.identity.oin, move || worker.seal_questions(&read, number, &body));
    let (sealed, records) = match sealed.await.map_err(traced)? {
        Ok(sealed) => sealed,
        Err(BadChunk::Unreadable(problem)) => return Err(traced(problem)),
        Err(BadChunk::Refused(problem)) => return Err(app.refuse_batch(&caller, &batch, problem).await),
    };
    let told = ChunkKept { chunk: number, records, digest };
    app.keep_chunk(key, told, move |tx| tx.put_questions(&id, &sealed)).await.map_err(traced)
}

/// Has a complete batch answered.
pub(super) async fn commit(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<BatchId>,
    plan: Json<BatchCommit>,
) -> Result<Json<BatchView>, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    // Of the commits of a party that come together one is worked on; the others find the batch as that leaves it.
    let _turn = app.commits.take(&caller.identity.oin).await;
    let batch = app.own_batch(&caller, &id).and_then(check_open).map_err(traced)?;
    // Before a question is read: all of them are counted, which takes as long as they were sent.
    let is_whole = app.store.check_whole(&batch.id, batch.questions.into());
    match is_whole {
        Ok(()) if batch.chunks == plan.chunks => {}
        Ok(()) | Err(StoreError::NotFound(_) | StoreError::LoadIncomplete { .. }) => {
            return Err(app.incomplete(&caller, &batch, plan.chunks).await);
        }
        Err(error) => return Err(traced(store_problem(&error))),
    }
    let (worker, read, asker) = (app.clone(), batch.clone(), caller.clone());
    let households = app.in_turn(&caller.identity.oin, move || worker.count_households(&asker, &read)).await;
    let households = households.map_err(traced)?.map_err(|error| traced(store_problem(&error)))?;
    let asker = Asker {
        trace: caller.trace,
        certificate: caller.identity.fingerprint.clone(),
        person: caller.identity.person.clone(),
        chain: chain_of(&request).iter().map(|one| STANDARD.encode(one)).collect(),
    };
    let asker = serde_json::to_string(&asker).expect("plain data have a JSON form");
    let (once, now, read) = (caller.once.clone(), app.clock.now(), batch.clone());
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        tx.commit_batch(&read, households, &asker)?;
        once.keep(tx, &Kept::Batch(read.id), now)
    });
    match written.await {
        Ok(_) => {}
        Err(StoreError::LoadIncomplete { .. }) => return Err(app.incomplete(&caller, &batch, plan.chunks).await),
        Err(error) => return Err(traced(store_problem(&error))),
    }
    app.desk.wake();
    app.batch_view(&id).map(Json).map_err(traced)
}

/// From which question on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// Number of a question, from 0.
    #[serde(default)]
    #[schema(maximum = 4294967295_u32)]
    from: u32,
}

/// What became of the questions so far, in their order. Whoever of the party reads some is recorded before, once an
/// hour for the same page: each record is an entry.
pub(super) async fn results(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<BatchId>,
    query: Query<From>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    let from = query.0.from;
    let batch = app.own_batch(&caller, &id).map_err(traced)?;
    let entry = app.entry_of(&caller, &batch).map_err(traced)?;
    // As an answer that is asked for again under its key: what was told under a regulation is not told behind its end.
    let again = app.told_under(&caller, entry.regulation.as_ref().map(|of| &of.id));
    let result = again.as_ref().map_or_else(unanswered, |()| entry.result.clone());
    let (worker, read, withheld) = (app.clone(), batch.clone(), again.err().map(traced));
    let page = app.in_turn(&caller.identity.oin, move || worker.result_lines(&read, from, withheld.as_ref())).await;
    let page = page.map_err(traced)?.map_err(|error| traced(store_problem(&error)))?;
    let view = Seen {
        batch: batch.id,
        page: (from, page.count),
        certificate: caller.identity.fingerprint.clone(),
        told: result == Outcome::Done,
    };
    if page.entries.is_some() && !app.desk.was_recorded(&view, app.clock.now()) {
        let entry = Entry { action: Action::ResultsRead, entries: page.entries, result, ..entry };
        let read = app.store.write_async(move |tx: &Tx<'_>| {
            tx.append(&entry)?;
            tx.note_read(&batch.id, from, page.count)
        });
        read.await.map_err(|error: StoreError| traced(store_problem(&error)))?;
        app.desk.recorded(view, app.clock.now());
    }
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").body(page.lines))
}

/// Ends a batch: what is not asked yet never is. Where a regulation wants several households at once, not between the
/// first answer and so many of them: a batch that ends behind its first question has singled somebody out.
pub(super) async fn cancel(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    id: Path<BatchId>,
    // Read to its end, though it says nothing: a connection with an unread body is closed behind the answer.
    _body: web::Bytes,
) -> Result<Json<BatchView>, Problem> {
    let caller = Caller::of(identity, &request);
    let traced = |problem: Problem| problem.traced(caller.trace);
    let batch = app.own_batch(&caller, &id).map_err(traced)?;
    let (worker, read) = (app.clone(), batch.clone());
    let enough = app.in_turn(&caller.identity.oin, move || worker.has_minimum(&read)).await.map_err(traced)?;
    let enough = enough.map_err(traced)?;
    let (once, now, expires) = (caller.once.clone(), app.clock.now(), app.results_expire());
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        if !tx.cancel_batch(&batch.id, enough, now, expires)? {
            return Ok(false);
        }
        once.keep(tx, &Kept::Batch(batch.id), now).map(|()| true)
    });
    let written = written.await.map_err(|error: StoreError| traced(store_problem(&error)))?;
    if !written.value {
        let detail = "fewer households were answered than the regulation wants at once; cancel it later, or let it end";
        return Err(traced(Problem::conflict("batch_below_minimum", detail)));
    }
    app.desk.wake();
    app.batch_view(&id).map(Json).map_err(traced)
}

fn damaged() -> StoreError {
    StoreError::Damaged { what: "a batch of questions" }
}

fn check_open(batch: Batch) -> Result<Batch, Problem> {
    if batch.state == BatchState::Open {
        return Ok(batch);
    }
    let detail = format!("the batch is {} and takes nothing more; begin another one", batch.state.as_str());
    Err(Problem::conflict("batch_not_open", detail))
}
