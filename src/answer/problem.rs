//! Every error of every layer as `application/problem+json` (RFC 9457), with a stable code and no content of the
//! request in it.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};

use super::wire::{Fault, ProblemBody};
use crate::ids::TraceId;

/// Why a request is not answered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    pub status: StatusCode,
    /// Stable code for clients, metrics and the access log.
    pub code: &'static str,
    /// What failed, where, and what to do.
    pub detail: String,
    /// The article that refused, if one did.
    pub article: Option<String>,
    /// Everything that does not fit the document.
    pub faults: Vec<Fault>,
    /// The request, for whoever searches the logs.
    pub trace_id: Option<TraceId>,
}

impl Problem {
    /// A problem without an article.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), article: None, faults: Vec::new(), trace_id: None }
    }

    /// 400: the request is malformed.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 422: well formed, but it makes no sense here.
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 404.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 409: it does not fit the present state.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 503: nothing is answered because nothing can be recorded.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// The document.
    pub fn body(&self) -> ProblemBody {
        ProblemBody {
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            detail: self.detail.clone(),
            article: self.article.clone(),
            errors: self.faults.clone(),
            trace_id: self.trace_id.map_or_else(String::new, |trace| trace.to_string()),
        }
    }

    /// The same problem, naming these faults.
    #[must_use]
    pub fn with(self, faults: Vec<Fault>) -> Self {
        Self { faults, ..self }
    }

    /// The same problem, with what else is wrong with the request.
    #[must_use]
    pub fn and(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        self.faults.extend(faults);
        self
    }

    /// The same problem, at this place of the body.
    #[must_use]
    pub fn at(self, pointer: &str) -> Self {
        let fault = Fault::body(pointer, &self.detail);
        self.with(vec![fault])
    }

    /// The same problem, naming the request.
    #[must_use]
    pub fn traced(mut self, trace: TraceId) -> Self {
        self.trace_id = Some(trace);
        self
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let body = self.body();
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((RETRY_AFTER, "10"));
        }
        response.body(serde_json::to_vec(&body).expect("plain data have a JSON form"))
    }
}

/// The trace id that the outermost layer gave this request.
pub fn trace_of(request: &HttpRequest) -> TraceId {
    request.extensions().get::<TraceId>().copied().unwrap_or_else(TraceId::random)
}

/// The part of a JSON error that repeats nothing of the input.
pub fn json_fault(cause: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", cause.line(), cause.column());
    let text = cause.to_string();
    let safe = ["missing field", "duplicate field"].iter().any(|start| text.starts_with(start));
    // serde names what it expected behind the last ", expected"; what stands before may be content.
    match text.rsplit_once(", expected ") {
        _ if safe => text,
        Some((_, expected)) if cause.is_data() => {
            let expected = expected.rsplit_once(" at line").map_or(expected, |(before, _)| before);
            format!("expected {expected} at {place}")
        }
        _ if cause.is_eof() => format!("it ends too early, at {place}"),
        _ => format!("not valid at {place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[expect(dead_code, reason = "read for its errors only")]
        number: u32,
    }

    #[test]
    fn a_json_error_never_repeats_the_body() {
        for body in
            [r#"{"number":"Jansen"}"#, r#"{"Jansen":1}"#, r#"{"number":1,"Jansen":2}"#, "{\"number\":Jansen", "{"]
        {
            let cause = serde_json::from_str::<Shape>(body).unwrap_err();
            let detail = json_fault(&cause);
            assert!(!detail.contains("Jansen") && detail.contains("line 1"), "{detail}");
        }
        let cause = serde_json::from_str::<Shape>("{}").unwrap_err();
        assert!(json_fault(&cause).contains("missing field `number`"));
    }
}
