//! In which form a request comes and an answer may leave. Behind whatever asks who sends it: no header goes round that.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_ENCODING, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, ResponseError};

use super::problem::{Problem, trace_of};

/// Media that a client may ask for.
const SPOKEN: [&str; 8] = [
    "*/*",
    "application/*",
    "application/json",
    "application/problem+json",
    "application/x-ndjson",
    "application/octet-stream",
    "text/*",
    "text/plain",
];

/// What the outermost layer could not read, for the caller once it is known who that is.
pub(super) struct Unread(pub(super) Problem);

/// Around every handler.
pub(super) async fn negotiated(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match fault(&request) {
        Some(problem) => {
            let trace = trace_of(request.request());
            Ok(request.into_response(problem.traced(trace).error_response()))
        }
        None => Ok(next.call(request).await?.map_into_boxed_body()),
    }
}

fn fault(request: &ServiceRequest) -> Option<Problem> {
    if let Some(Unread(problem)) = request.extensions_mut().remove() {
        return Some(problem);
    }
    if is_coded(request.headers()) {
        // Nothing here unpacks: a body is what it says it is, and no small one becomes a large one.
        let detail = "send the body as it is, without Content-Encoding";
        return Some(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_coding", detail));
    }
    let detail = "answers are JSON, NDJSON, plain text or bytes; accept application/json at least";
    (!accepts(request.headers())).then(|| Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail))
}

/// Whether a body is said to be packed.
fn is_coded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether an `Accept` header, if there is one, leaves room for JSON, in which every answer or its problem is.
fn accepts(headers: &HeaderMap) -> bool {
    let mut ranges = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let fits = |range: &str| {
        let range = range.to_ascii_lowercase();
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0)));
        !refused && SPOKEN.contains(&kind)
    };
    !headers.contains_key(ACCEPT) || ranges.any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        values.iter().for_each(|value| map.append(name.clone(), HeaderValue::from_static(value)));
        map
    }

    #[test]
    fn a_weight_of_nothing_is_a_no_in_whatever_case() {
        let accepted = |values: &[&'static str]| accepts(&headers(ACCEPT, values));
        for yes in [&["Application/JSON;Q=0.5"][..], &["text/html, */*;q=0.1"], &["text/html", "*/*"], &[]] {
            assert!(accepted(yes), "{yes:?}");
        }
        for no in [&["application/json;q=0"][..], &["application/json;Q=0"], &["*/* ; Q=0.000"], &["text/html"]] {
            assert!(!accepted(no), "{no:?}");
        }
    }

    #[test]
    fn a_body_as_it_is_may_say_so() {
        let coded = |values: &[&'static str]| is_coded(&headers(CONTENT_ENCODING, values));
        assert!(!coded(&[]) && !coded(&["identity"]) && !coded(&["Identity"]));
        assert!(coded(&["gzip"]) && coded(&["identity", "gzip"]) && coded(&["identity, gzip"]) && coded(&[""]));
    }
}
