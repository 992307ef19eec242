//! The `Idempotency-Key` of a request: its form, and what is wrong with one.

use actix_web::http::header::HeaderMap;

use super::problem::Problem;
use super::wire::Fault;

pub(super) const HEADER: &str = "idempotency-key";

/// What a key looks like.
pub(super) const FORM: &str = "^[A-Za-z0-9_-]{16,64}$";

/// The key of a request, if it came with one.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    // Of two a reader could take either.
    let only = values.next().is_none().then(|| value.to_str().ok()).flatten();
    let key = only.map(|text| text.trim_matches('"')).filter(|key| is_key(key));
    let detail = "an Idempotency-Key is there once and has 16 to 64 characters of A-Z, a-z, 0-9, hyphen and underscore, as a UUID has";
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        let fault = Fault::of("header", "/Idempotency-Key", "is not one key");
        Problem::bad_request("idempotency_key", detail).with(vec![fault])
    })
}

/// What is wrong with the key of a request, if anything is.
pub(super) fn fault_of_key(headers: &HeaderMap) -> Vec<Fault> {
    key_of(headers).err().map(|problem| problem.faults).unwrap_or_default()
}

fn is_key(text: &str) -> bool {
    (16..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
