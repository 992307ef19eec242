//! `Idempotency-Key`: the same key with the same body is done once and answered alike, also when the first answer was
//! lost on the way or the service was killed behind it. What is kept is written in the job that does what was asked.
//!
//! A question is answered from what [`App::answered_before`] finds; a batch is claimed under its key, and each of its
//! questions has a key of its own made from it; any other write is answered here before its handler sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::aside::aside;
use super::decision::store_problem;
use super::identity::Identity;
use super::json::{created, whole_body};
use super::key::key_of;
use super::operations::{Keyed, keyed};
use super::problem::{Problem, trace_of};
use super::questions::framed;
use super::wire::law::GroupsTold;
use super::wire::{Answered, ChunkKept, Question};
use super::{App, Caller, epochs, question_batches};
use crate::audit::{Action, Entry, Outcome, Range, Receipt};
use crate::ids::{BatchId, EpochId, RegulationId};
use crate::regulate::{Answer, Role};
use crate::store::{Appended, RepeatKey, Repeated, StoreError, Tx};

/// How long an answer can be had again.
pub(super) const KEPT: Duration = Duration::DAY;

/// What is kept of a question's answer.
pub(super) fn kept(answer: Answer, epoch: &EpochId) -> String {
    format!("{} {epoch}", answer.as_str())
}

/// What is kept of the answer to another write.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kept {
    /// The body. A receipt in it lacks its checkpoint, which is not known before the job is durable.
    Body(Value),
    /// What was made, and where it is.
    Created(Value, String),
    /// What an officer looked up, and the entry that says so.
    Found(Value, u64),
    /// What the care side was told, which is framed. Its receipt lacks its checkpoint, too.
    Groups(GroupsTold),
    /// An epoch was changed: it is shown as it is now.
    Epoch(EpochId),
    /// An epoch was announced: it is shown likewise.
    Announced(EpochId),
    /// An epoch was destroyed: the body gets its record, which is made behind the job.
    Ended(EpochId, Value),
    /// A batch was begun: its questions are kept one by one.
    Claimed,
    /// A batch that is answered in the background was begun.
    Begun(BatchId),
    /// A batch was changed: it is shown as it is now.
    Batch(BatchId),
    /// A chunk came.
    Chunk(ChunkKept),
}

impl Kept {
    /// A body, with a receipt that gets its checkpoint later.
    pub(super) fn body(body: &impl Serialize) -> Self {
        Self::Body(serde_json::to_value(body).expect("plain data have a JSON form"))
    }

    /// What was made, at this place below `/v1`.
    pub(super) fn created(body: &impl Serialize, place: String) -> Self {
        Self::Created(serde_json::to_value(body).expect("plain data have a JSON form"), place)
    }

    /// What was looked up, as the entry at this position says.
    pub(super) fn found(body: &impl Serialize, index: u64) -> Self {
        Self::Found(serde_json::to_value(body).expect("plain data have a JSON form"), index)
    }
}

/// A receipt whose checkpoint is not known yet.
pub(super) fn receipt_of(appended: Appended) -> Receipt {
    Receipt { index: appended.index, leaf: appended.leaf, checkpoint: String::new() }
}

/// A request that came with a key.
pub(super) struct Sent {
    caller: Caller,
    key: String,
    once: Arc<RepeatKey>,
    /// Whether it came before, as a batch that was begun.
    claimed: bool,
    /// Whether the same request, which came at the same time, was faster.
    outrun: AtomicBool,
}

/// Keeps the answer of a request that came with a key, in the job that does what it asks.
#[derive(Clone, Default)]
pub(super) struct Once(Option<Arc<Sent>>);

impl Once {
    /// What the outer layer found of this request.
    pub(super) fn of(request: &HttpRequest) -> Self {
        Self(request.extensions().get::<Arc<Sent>>().cloned())
    }

    /// Keeps what is answered.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the same request was faster: then none of it is done a second time.
    pub(super) fn keep(&self, tx: &Tx<'_>, answer: &Kept, now: OffsetDateTime) -> Result<(), StoreError> {
        let Some(sent) = &self.0 else { return Ok(()) };
        let kept = serde_json::to_string(answer).expect("plain data have a JSON form");
        tx.keep_answer(&sent.once, &kept, None, now).inspect_err(|error| {
            sent.outrun.fetch_or(matches!(error, StoreError::Conflict(_)), Ordering::Relaxed);
        })
    }
}

/// Around every handler: a write under a key that was done before is answered as it was then.
pub(super) async fn once(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let trace = trace_of(request.request());
    match found(&mut request).await {
        Ok(None) => {
            let sent = request.extensions().get::<Arc<Sent>>().cloned();
            let response = next.call(request).await?.map_into_boxed_body();
            // The answer of the faster one is that of both.
            let outrun = sent.filter(|sent| sent.outrun.load(Ordering::Relaxed) && !response.status().is_success());
            let Some(outrun) = outrun else { return Ok(response) };
            let answer = after_all(response.request(), &outrun).await;
            Ok(response.into_response(answer.unwrap_or_else(|problem| problem.traced(trace).error_response())))
        }
        Ok(Some(answer)) => Ok(request.into_response(answer)),
        Err(problem) => Ok(request.into_response(problem.traced(trace).error_response())),
    }
}

pub(super) const REUSED: &str = "idempotency_key_reused";

/// The answer that this request got before; else it goes on to its handler, with its key beside it.
async fn found(request: &mut ServiceRequest) -> Result<Option<HttpResponse>, Problem> {
    let Some((pattern, place, keyed)) = place_of(request) else { return Ok(None) };
    let Some(app) = request.app_data::<Data<App>>().cloned() else { return Ok(None) };
    let Some(key) = key_of(request.headers()).transpose() else { return Ok(None) };
    let (parts, payload) = request.parts_mut();
    // Whoever is nobody is told so by the handler.
    let Ok(identity) = Identity::from_request(parts, payload).await else { return Ok(None) };
    let body = web::Payload::from_request(parts, payload).await.map_err(|_| unread())?;
    let body = whole_body(parts, body, keyed.most_bytes).await?;
    let key = match key {
        Ok(key) => key,
        Err(problem) => {
            let faults = aside(move || (keyed.faults)(&body)).await.unwrap_or_default();
            return Err(problem.and(faults));
        }
    };
    let caller = Caller { identity, trace: trace_of(request.request()), once: Once::default() };
    let (worker, oin, sent, bytes) = (app.clone(), caller.identity.oin.clone(), key.clone(), body.clone());
    let looked = aside(move || {
        let mut spelled = Vec::with_capacity(place.len() + bytes.len());
        spelled.extend(place.bytes().chain(without_spaces(&bytes)));
        let once = worker.store.repeat_key(&oin, &sent, &spelled);
        worker.kept_before(&once).map(|kept| (once, kept))
    });
    let looked = looked.await.map_err(|_| Problem::unavailable("the service is stopping"))?;
    let (once, kept) = match looked {
        Err(problem) if problem.code == REUSED => {
            let entry = app.entry(&caller, None, action_of(&pattern), Outcome::Done);
            return Err(app.refuse(entry, problem).await);
        }
        looked => looked?,
    };
    let claimed = matches!(kept, Some(Kept::Claimed));
    if let Some(kept) = kept.filter(|_| !claimed) {
        return again(&app, &caller, kept).await.map(Some);
    }
    request.extensions_mut().insert(Arc::new(Sent {
        caller,
        key,
        once: Arc::new(once),
        claimed,
        outrun: AtomicBool::new(false),
    }));
    request.set_payload(Payload::from(body));
    Ok(None)
}

/// The answer of the same request that was faster.
async fn after_all(request: &HttpRequest, outrun: &Sent) -> Result<HttpResponse, Problem> {
    let app = request.app_data::<Data<App>>().cloned().ok_or_else(damaged)?;
    match app.kept_before(&outrun.once)? {
        None | Some(Kept::Claimed) => Err(Problem::unavailable("the same request is being worked on; send it again")),
        Some(kept) => again(&app, &outrun.caller, kept).await,
    }
}

/// JSON without the spaces between its words, which make no other request.
fn without_spaces(body: &[u8]) -> impl Iterator<Item = u8> {
    let (mut in_text, mut escaped) = (false, false);
    let is_kept = move |byte: &u8| {
        in_text ^= *byte == b'"' && !escaped;
        escaped = in_text && *byte == b'\\' && !escaped;
        in_text || !b" \t\r\n".contains(byte)
    };
    body.iter().copied().filter(is_kept)
}

/// The answer once more.
async fn again(app: &Data<App>, caller: &Caller, kept: Kept) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::Ok();
    Ok(match kept {
        Kept::Body(body) => response.json(app.with_checkpoint(body)?),
        Kept::Created(body, place) => created(&body, &place),
        Kept::Found(body, index) => {
            // Whoever was officer then may be none now.
            let _permit = app.officer(caller).await?;
            app.record_again(caller, index).await?;
            response.json(body)
        }
        Kept::Groups(told) => {
            if let Err(problem) = app.still_told(caller, told.receipt.index) {
                return Err(app.refuse(app.entry(caller, None, Action::AskGroups, Outcome::Done), problem).await);
            }
            app.record_again(caller, told.receipt.index).await?;
            let checkpoint = app.store.checkpoint().map_err(|error| store_problem(&error))?;
            return framed(&GroupsTold { receipt: Receipt { checkpoint, ..told.receipt }, ..told });
        }
        Kept::Epoch(id) => response.json(app.epoch_view(&*app.epoch(&id)?)?),
        Kept::Announced(id) => created(&app.epoch_view(&*app.epoch(&id)?)?, &epochs::place(&id)),
        Kept::Ended(id, body) => {
            // The first one may be at it still: two at once would not know what became of the key.
            let _changing = app.changing.lock().await;
            // What a crash cut short is long: a register's pages are overwritten. Others are answered meanwhile.
            let (worker, now) = (app.clone(), app.clock.now());
            let erased = aside(move || worker.store.erase(&id, now)).await;
            let done = erased.map_err(|_| Problem::unavailable("the service is stopping"))?;
            let mut body = app.with_checkpoint(body)?;
            body["record"] = Value::String(done.map_err(|error| store_problem(&error))?.note);
            response.json(body)
        }
        Kept::Begun(id) => question_batches::begun(id),
        Kept::Batch(id) => response.json(app.batch_view(&id)?),
        Kept::Claimed | Kept::Chunk(_) => return Err(damaged()),
    })
}

/// What a request is about and what its body may be, if it is one of those that are answered here: a question and a
/// chunk have ways of their own, and what is no operation at all is refused as such, whatever
/// its key.
fn place_of(request: &ServiceRequest) -> Option<(String, String, Keyed)> {
    let pattern = request.match_pattern().filter(|path| path != "/v1/priority-questions")?;
    let keyed = keyed(request.method(), &pattern)?;
    let place = format!("{} {}\n", request.method(), request.path());
    Some((pattern, place, keyed))
}

fn unread() -> Problem {
    Problem::bad_request("body", "the body could not be read to its end")
}

fn reused() -> Problem {
    let detail = "this Idempotency-Key came with another request before; take a new one for each";
    Problem::unprocessable(REUSED, detail)
}

/// How a request of this path stands in the log.
fn action_of(pattern: &str) -> Action {
    let of = |start: &str| pattern.starts_with(start);
    match pattern {
        "/v1/group-questions" => Action::AskGroups,
        "/v1/stock" => Action::Stock,
        _ if of("/v1/loads") => Action::Load,
        _ if pattern.ends_with("/share") => Action::EpochContribute,
        _ if pattern.ends_with("/activate") && of("/v1/epochs") => Action::EpochActivate,
        _ if of("/v1/epochs") => Action::EpochAnnounce,
        _ if of("/v1/access-log") => Action::LogRead,
        _ if of("/v1/priority") || of("/v1/question") => Action::Ask,
        _ => Action::RegulationActive,
    }
}

pub(super) fn damaged() -> Problem {
    store_problem(&StoreError::Damaged { what: "an answer that was kept for a repeated request" })
}

impl App {
    /// The key of this question, if it came with one.
    pub(super) fn repeat_key(
        &self,
        caller: &Caller,
        request: &HttpRequest,
        question: &Question,
    ) -> Result<Option<RepeatKey>, Problem> {
        Ok(key_of(request.headers())?.map(|key| self.key_of_question(caller, &key, question)))
    }

    fn key_of_question(&self, caller: &Caller, key: &str, question: &Question) -> RepeatKey {
        // Re-spelled, so that white space makes no other question.
        let body = serde_json::to_vec(question).expect("plain data have a JSON form");
        self.store.repeat_key(&caller.identity.oin, key, &body)
    }

    /// The keys of a batch's questions, made from that of the batch. The batch is claimed first, so that another one under
    /// its key is refused whatever became of this one.
    pub(super) async fn claim(
        &self,
        caller: &Caller,
        questions: &[Question],
    ) -> Result<Vec<Option<Arc<RepeatKey>>>, Problem> {
        // Who may not ask is refused whatever the key, and leaves nothing behind but that.
        let may_ask = self.roles(&caller.identity.oin).contains(&Role::Corporation);
        let Some(sent) = caller.once.0.clone().filter(|_| may_ask) else { return Ok(vec![None; questions.len()]) };
        if !sent.claimed {
            let (once, now) = (caller.once.clone(), self.clock.now());
            let claimed = self.store.write_async(move |tx: &Tx<'_>| once.keep(tx, &Kept::Claimed, now));
            match claimed.await {
                Ok(_) => {}
                // The same batch, or another one under the same key, was faster. Its questions are done once each.
                Err(StoreError::Conflict(_)) if self.kept_before(&sent.once)?.is_some() => {}
                Err(error) => return Err(store_problem(&error)),
            }
        }
        let key = |(n, question)| Some(Arc::new(self.key_of_question(caller, &format!("{}.{n}", sent.key), question)));
        Ok(questions.iter().enumerate().map(key).collect())
    }

    /// When a request first came, if it is a batch that was begun before under the same key.
    pub(super) fn claimed_at(&self, caller: &Caller) -> Option<OffsetDateTime> {
        let sent = caller.once.0.as_ref().filter(|sent| sent.claimed)?;
        self.store.first_came(&sent.once).ok().flatten()
    }

    /// The answer that this key and question got before. Blocks, for a sync where somebody else of the party asks.
    pub(super) fn answered_before(&self, caller: &Caller, key: &RepeatKey) -> Result<Option<Answered>, Problem> {
        let failed = |error: StoreError| store_problem(&error);
        let (kept, entry) = match self.store.repeated(key).map_err(failed)? {
            Repeated::First => return Ok(None),
            Repeated::Other => return Err(reused()),
            Repeated::Same { kept, entry } => (kept, entry.ok_or_else(damaged)?),
        };
        let (answer, epoch) = kept.split_once(' ').ok_or_else(damaged)?;
        let epoch = epoch.parse().map_err(|_| damaged())?;
        self.still_told(caller, entry.index)?;
        if let Some(again) = self.asked_again(caller, entry.index).map_err(failed)? {
            self.store.write(move |tx: &Tx<'_>| tx.append(&again).map(drop)).map_err(failed)?;
        }
        // Newer than the one of the first answer, and covers the same entry.
        let checkpoint = self.store.checkpoint().map_err(failed)?;
        Ok(Some(Answered { answer: answer.to_owned(), epoch, receipt: Receipt { checkpoint, ..receipt_of(entry) } }))
    }

    /// Records that an answer goes to another certificate or person, if it does.
    async fn record_again(&self, caller: &Caller, index: u64) -> Result<(), Problem> {
        match self.asked_again(caller, index).map_err(|error| store_problem(&error))? {
            Some(again) => self.record(again).await.map(drop),
            None => Ok(()),
        }
    }

    /// Whether what this entry is about may be told once more.
    fn still_told(&self, caller: &Caller, index: u64) -> Result<(), Problem> {
        let first = self.entry_at(index).map_err(|error| store_problem(&error))?;
        // Of an entry whose contents are gone it is not known which one it was.
        self.told_under(caller, first.and_then(|entry| entry.regulation).map(|of| of.id).as_ref())
    }

    /// Whether what was told under this regulation may be told once more: where one of that name, or of any, is in force
    /// still, and whoever asks is a party to it.
    pub(super) fn told_under(&self, caller: &Caller, regulation: Option<&RegulationId>) -> Result<(), Problem> {
        let (today, oin) = (self.today(), &caller.identity.oin);
        let all = self.laws.all(today);
        let mut same = all.iter().filter(|one| regulation.is_none_or(|id| id == one.id()));
        if same.any(|one| one.holds_on(today) && one.party(oin).is_some()) {
            return Ok(());
        }
        let detail = "the regulation under which it was told is in force no more, or names you as a party no more";
        Err(Problem::new(StatusCode::FORBIDDEN, "regulation_ended", detail))
    }

    fn entry_at(&self, index: u64) -> Result<Option<Entry>, StoreError> {
        let line = self.store.entries(index..index.saturating_add(1))?.pop();
        Ok(line.and_then(|line| Entry::from_bytes(&line.entry?).ok()))
    }

    /// An entry for an answer that goes to another certificate or person than its first time, which is this entry's.
    fn asked_again(&self, caller: &Caller, index: u64) -> Result<Option<Entry>, StoreError> {
        let first = self.entry_at(index)?;
        let now = &caller.identity;
        let is_same =
            |first: &Entry| (&first.actor.certificate, &first.actor.person) == (&now.fingerprint, &now.person);
        if first.as_ref().is_some_and(is_same) {
            return Ok(None);
        }
        let mut again = self.entry(caller, None, Action::AskAgain, Outcome::Answered);
        again.entries = Some(Range { from: index, to: index.saturating_add(1) });
        if let Some(first) = first {
            again.actor.role = first.actor.role;
            (again.object, again.purpose, again.epoch) = (first.object, first.purpose, first.epoch);
            (again.regulation, again.articles) = (first.regulation, first.articles);
        }
        Ok(Some(again))
    }

    pub(super) fn kept_before(&self, key: &RepeatKey) -> Result<Option<Kept>, Problem> {
        match self.store.repeated(key).map_err(|error| store_problem(&error))? {
            Repeated::First => Ok(None),
            Repeated::Other => Err(reused()),
            Repeated::Same { kept, .. } => serde_json::from_str(&kept).map(Some).map_err(|_| damaged()),
        }
    }

    /// An answer whose receipt, if it has one, names the newest checkpoint.
    fn with_checkpoint(&self, mut body: Value) -> Result<Value, Problem> {
        let checkpoint = self.store.checkpoint().map_err(|error| store_problem(&error))?;
        // A receipt is a member of the answer, or the answer itself.
        let receipt = if body.get("receipt").is_some() { &mut body["receipt"] } else { &mut body };
        if receipt.get("leaf").is_some() {
            receipt["checkpoint"] = Value::String(checkpoint);
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_between_words_make_no_other_request_and_those_of_a_text_do() {
        let spelled = |text: &str| String::from_utf8(without_spaces(text.as_bytes()).collect()).unwrap();
        assert_eq!(spelled("{ \"a b\" :\t[1,\r\n 2] }\n"), r#"{"a b":[1,2]}"#);
        assert_eq!(spelled(r#"{"a\" b": "c\\" , "d": 1}"#), r#"{"a\" b":"c\\","d":1}"#);
        assert_ne!(spelled(r#"{"a":" "}"#), spelled(r#"{"a":""}"#));
    }
}
