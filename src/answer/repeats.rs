//! `Idempotency-Key`: the same key with the same question gets the same answer, one entry and one charge, also when the
//! first answer was lost on the way or the service was killed behind it.

use actix_web::HttpRequest;
use time::Duration;

use super::decision::store_problem;
use super::problem::Problem;
use super::wire::{Answered, Question};
use super::{App, Caller};
use crate::audit::Receipt;
use crate::ids::EpochId;
use crate::regulate::Answer;
use crate::store::{RepeatKey, Repeated, StoreError};

const HEADER: &str = "idempotency-key";

/// What a key looks like.
pub(super) const FORM: &str = "^[A-Za-z0-9_-]{16,64}$";

/// How long an answer can be had again.
pub(super) const KEPT: Duration = Duration::DAY;

/// What is kept of an answer.
pub(super) fn kept(answer: Answer, epoch: &EpochId) -> String {
    format!("{} {epoch}", answer.as_str())
}

impl App {
    /// The key of this question, if it came with one.
    pub(super) fn repeat_key(
        &self,
        caller: &Caller,
        request: &HttpRequest,
        question: &Question,
    ) -> Result<Option<RepeatKey>, Problem> {
        let Some(value) = request.headers().get(HEADER) else { return Ok(None) };
        let key = value.to_str().ok().map(|text| text.trim_matches('"')).filter(|key| is_key(key));
        let detail =
            "an Idempotency-Key has 16 to 64 characters of A-Z, a-z, 0-9, hyphen and underscore, as a UUID has";
        let key = key.ok_or_else(|| Problem::bad_request("idempotency_key", detail))?;
        // Re-spelled, so that white space makes no other question.
        let body = serde_json::to_vec(question).expect("plain data have a JSON form");
        Ok(Some(self.store.repeat_key(&caller.identity.oin, key, &body)))
    }

    /// The answer that this key and question got before.
    pub(super) fn answered_before(&self, key: &RepeatKey) -> Result<Option<Answered>, Problem> {
        let failed = |error: StoreError| store_problem(&error);
        let (kept, entry) = match self.store.repeated(key).map_err(failed)? {
            Repeated::First => return Ok(None),
            Repeated::Other => {
                let detail = "this Idempotency-Key came with another question before; take a new one for each question";
                return Err(Problem::unprocessable("idempotency_key_reused", detail));
            }
            Repeated::Same { kept, entry } => (kept, entry),
        };
        let damaged = || failed(StoreError::Damaged { what: "an answer that was kept for a repeated question" });
        let (answer, epoch) = kept.split_once(' ').ok_or_else(damaged)?;
        let epoch = epoch.parse().map_err(|_| damaged())?;
        // Newer than the one of the first answer, and covers the same entry.
        let checkpoint = self.store.checkpoint().map_err(failed)?;
        let receipt = Receipt { index: entry.index, leaf: entry.leaf, checkpoint };
        Ok(Some(Answered { answer: answer.to_owned(), epoch, receipt }))
    }
}

fn is_key(text: &str) -> bool {
    (16..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
