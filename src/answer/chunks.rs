//! Numbered chunks of lines (NDJSON), as loads and batches of questions take them: whole, in time, with their digest.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, Payload};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, SHA512, digest};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::decision::store_problem;
use super::json::Json;
use super::key::key_of;
use super::problem::{Problem, json_fault};
use super::repeats::{Kept, REUSED, damaged};
use super::wire::{ChunkKept, Fault};
use super::{App, Caller, shape};
use crate::audit::{Entry, Hash};
use crate::store::{self, RepeatKey, StoreError, Tx};

/// Most bytes of a line; a record of the shipped profile has under 4 KiB, a question of eight tenants under 32 KiB.
const LINE_BYTES: usize = 64 << 10;

/// Slowest that a chunk may arrive.
const CHUNK_TIME: Duration = Duration::from_secs(60);

/// The first line that is not what it should be, by its place; and all that is wrong with the chunk.
#[derive(Debug, thiserror::Error)]
#[error("chunk {chunk}, line {line}: {what}")]
pub struct BadLine {
    pub chunk: usize,
    pub line: usize,
    pub what: String,
    /// Whether it could be read, and was not taken. A chunk with a line that cannot be read is told that first.
    pub is_read: bool,
    pub faults: Vec<Fault>,
}

/// Whether lines are what is sent.
pub(super) fn check_media(request: &HttpRequest) -> Result<(), Problem> {
    if request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-ndjson") {
        return Ok(());
    }
    let detail = "send Content-Type: application/x-ndjson";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", detail))
}

/// A chunk's body of at most so many bytes, and its SHA-256, which is that of its `Content-Digest`, if it has one.
pub(super) async fn whole(request: &HttpRequest, body: Payload, most: usize) -> Result<(Bytes, Hash), Problem> {
    let too_large = || {
        let detail = format!("a chunk may have {most} bytes at most");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > most) {
        return Err(too_large());
    }
    let slow =
        |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", "the chunk took more than a minute; send it again");
    let read = tokio::time::timeout(CHUNK_TIME, body.to_bytes_limited(most)).await.map_err(slow)?;
    let cut = |_| Problem::bad_request("body", "the body could not be read to its end");
    let body = read.map_err(|_| too_large())?.map_err(cut)?;
    let digest = check_digest(request, &body)?;
    Ok((body, digest))
}

/// SHA-256 of a chunk, which is the one of its `Content-Digest` (RFC 9530), if it has one.
fn check_digest(request: &HttpRequest, body: &[u8]) -> Result<Hash, Problem> {
    let digest: [u8; 32] = digest(&SHA256, body).as_ref().try_into().expect("SHA-256 has 32 bytes");
    let digest = Hash::from(digest);
    let Some(named) = request.headers().get("content-digest") else { return Ok(digest) };
    let wrong = |detail: &str| Err(Problem::bad_request("digest", detail));
    for one in named.to_str().unwrap_or_default().split(',') {
        let (kind, text) = one.trim().split_once('=').unwrap_or_default();
        let text = text.trim_matches(':');
        let is_its = match kind {
            "sha-256" => text.parse() == Ok(digest),
            "sha-512" => STANDARD.decode(text).is_ok_and(|named| named == ring::digest::digest(&SHA512, body).as_ref()),
            _ => return wrong("name the chunk's sha-256 or sha-512 in its Content-Digest; no other is looked at"),
        };
        if !is_its {
            return wrong("the chunk is not the one of its Content-Digest; send it again");
        }
    }
    Ok(digest)
}

/// A chunk whose body was read and whose right to come was found.
pub(super) enum Arrived {
    /// To be kept, under its `Idempotency-Key` if it has one.
    New(Option<Arc<RepeatKey>>),
    /// It came under this key before, and this was answered.
    Again(ChunkKept),
}

impl App {
    /// Whether a chunk of this digest came before under the key of the request. A chunk without a key is new each time:
    /// it replaces the one of its number.
    ///
    /// # Errors
    /// 400 for what is no key; 422 for the key of another request, which stands in the log as this entry.
    pub(super) async fn arrived(
        &self,
        caller: &Caller,
        request: &HttpRequest,
        digest: &Hash,
        entry: impl FnOnce() -> Result<Entry, Problem>,
    ) -> Result<Arrived, Problem> {
        let traced = |problem: Problem| problem.traced(caller.trace);
        let Some(key) = key_of(request.headers()).map_err(traced)? else { return Ok(Arrived::New(None)) };
        let spelled = format!("{} {}\n{digest}", request.method(), request.path());
        let key = self.store.repeat_key(&caller.identity.oin, &key, spelled.as_bytes());
        match self.kept_before(&key) {
            Ok(None) => Ok(Arrived::New(Some(Arc::new(key)))),
            Ok(Some(Kept::Chunk(told))) => Ok(Arrived::Again(told)),
            Ok(Some(_)) => Err(traced(damaged())),
            Err(problem) if problem.code == REUSED => Err(self.refuse(entry().map_err(traced)?, problem).await),
            Err(problem) => Err(traced(problem)),
        }
    }

    /// Writes a chunk, and in the same job what is answered under its key.
    ///
    /// # Errors
    /// Those of writing it; 422 if another chunk under the key was faster.
    pub(super) async fn keep_chunk(
        &self,
        key: Option<Arc<RepeatKey>>,
        told: ChunkKept,
        put: impl FnOnce(&Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<Json<ChunkKept>, Problem> {
        let (sent, now) = (key.clone(), self.clock.now());
        let kept = serde_json::to_string(&Kept::Chunk(told.clone())).expect("plain data have a JSON form");
        let written = self.store.write_async(move |tx: &Tx<'_>| {
            put(tx)?;
            sent.map_or(Ok(()), |key| tx.keep_answer(&key, &kept, None, now))
        });
        match (written.await, key) {
            (Ok(_), _) => Ok(Json(told)),
            // The same one under the same key came at the same time.
            (Err(StoreError::Conflict(_)), Some(key)) if self.kept_before(&key)?.is_some() => Ok(Json(told)),
            (Err(error), _) => Err(store_problem(&error)),
        }
    }
}

/// A line, or why it cannot be read, and all that is wrong with it.
pub(super) type Line<T> = Result<T, (String, Vec<Fault>)>;

/// Takes each line of a chunk; returns how many there were.
///
/// # Errors
/// [`BadLine`] if one cannot be read, or is not taken.
pub(super) fn each_line<T: DeserializeOwned + ToSchema + 'static>(
    chunk: &[u8],
    number: usize,
    take: impl FnMut(T) -> Result<(), String>,
) -> Result<u32, BadLine> {
    each(lines_of(chunk), number, take)
}

/// As [`each_line`], of lines that are read already.
pub(super) fn each<T>(
    lines: impl IntoIterator<Item = Line<T>>,
    number: usize,
    mut take: impl FnMut(T) -> Result<(), String>,
) -> Result<u32, BadLine> {
    let (mut count, mut faults) = (0, Vec::new());
    let (mut unread, mut untaken) = (None, None);
    for (line, read) in (1..).zip(lines) {
        count += 1;
        let is_read = read.is_ok();
        let taken = read.and_then(|read| take(read).map_err(|what| (what, Vec::new())));
        let Err((what, mut told)) = taken else { continue };
        if told.is_empty() {
            told.push(Fault::body("", &what));
        }
        faults.extend(told.into_iter().map(|fault| Fault { line: Some(line), ..fault }));
        let first = if is_read { &mut untaken } else { &mut unread };
        first.get_or_insert((line as usize, what, is_read));
        if faults.len() >= shape::MOST {
            faults.truncate(shape::MOST);
            break;
        }
    }
    match unread.or(untaken) {
        None => Ok(count),
        Some((line, what, is_read)) => Err(BadLine { chunk: number, line, what, is_read, faults }),
    }
}

/// The lines of a chunk.
pub(super) fn lines_of<T: DeserializeOwned + ToSchema + 'static>(chunk: &[u8]) -> impl Iterator<Item = Line<T>> {
    let lines = chunk.strip_suffix(b"\n").unwrap_or(chunk).split(|&byte| byte == b'\n');
    lines.map(|text| match text.len() {
        0..=LINE_BYTES => {
            serde_json::from_slice(text).map_err(|cause| (json_fault(&cause), shape::faults_of_body::<T>(text)))
        }
        _ => Err((format!("longer than {LINE_BYTES} bytes"), Vec::new())),
    })
}

/// A chunk that is there, as its party is told of it.
pub(super) fn kept(chunk: store::ChunkKept) -> ChunkKept {
    ChunkKept { chunk: chunk.n, records: chunk.records, digest: chunk.digest.into() }
}
