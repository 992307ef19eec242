//! What a request's head must be like before anybody looks at what it asks: one host, a short address, few headers, a
//! length in one spelling. Where two readers could understand a request differently, neither gets it.

use actix_web::ResponseError;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{RequestHead, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderValue, UPGRADE};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;

use super::problem::{Problem, trace_of};

/// Bytes of path and query.
const URI_BYTES: usize = 2048;
const HEADERS: usize = 64;
/// Bytes of all headers, names included.
const HEADER_BYTES: usize = 16 << 10;
const HOST_BYTES: usize = 255;
/// Of what says one thing, two readers could take either.
const ONCE: [&str; 4] = ["accept", "content-digest", "content-type", "traceparent"];

/// What is wrong with a head, if anything is.
pub(super) fn fault(head: &RequestHead) -> Option<Problem> {
    let bad = |code, detail: &str| Some(Problem::bad_request(code, detail));
    if head.uri.scheme().is_some() || head.uri.authority().is_some() {
        return bad("absolute_uri", "begin the request with the path; this service is no proxy");
    }
    if head.uri.path_and_query().map_or(0, |text| text.as_str().len()) > URI_BYTES {
        let detail = format!("path and query have {URI_BYTES} bytes at most");
        return Some(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail));
    }
    let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if head.headers.len() > HEADERS || bytes > HEADER_BYTES {
        let detail = format!("a request has {HEADERS} headers of {HEADER_BYTES} bytes in all at most");
        return Some(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail));
    }
    if has_needless_escape(head.uri.path()) {
        return bad("escape", "write letters, digits and -._~ of the path as they are, without a percent sign");
    }
    if head.headers.contains_key(UPGRADE) {
        return bad("upgrade", "this service speaks HTTP/1.1 over TLS and changes to nothing else");
    }
    // What actix keeps itself (RFC 9110, 10.1.1).
    if head.headers.get_all(EXPECT).any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        let detail = "expect 100-continue or nothing";
        return Some(Problem::new(StatusCode::EXPECTATION_FAILED, "expectation", detail));
    }
    match only(&head.headers, &HOST).map(HeaderValue::as_bytes) {
        Some(host) if is_host(host) => {}
        _ => return bad("host", "send one Host header with the service's name"),
    }
    let has_length = head.headers.contains_key(CONTENT_LENGTH);
    if has_length && !only(&head.headers, &CONTENT_LENGTH).is_some_and(|value| is_length(value.as_bytes())) {
        return bad("content_length", "send one Content-Length, a number without leading zeros");
    }
    if let Some(name) = ONCE.iter().find(|name| head.headers.get_all(**name).count() > 1) {
        return bad("header_twice", &format!("send the header {name} once"));
    }
    None
}

/// Lets proper heads through, on listeners that nobody guards.
pub(super) async fn well_formed(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match fault(request.request().head()) {
        Some(problem) => {
            let mut refusal = problem.traced(trace_of(request.request())).error_response();
            refusal.head_mut().set_connection_type(ConnectionType::Close);
            Ok(request.into_response(refusal))
        }
        None => Ok(next.call(request).await?.map_into_boxed_body()),
    }
}

/// A header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &actix_web::http::header::HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}

/// Whether a character is written with a percent sign that stands for itself (RFC 3986, 2.3): a second spelling of a
/// path would be another path to whoever compares.
fn has_needless_escape(path: &str) -> bool {
    let mut parts = path.split('%');
    parts.next();
    parts.any(|rest| {
        let byte = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_none_or(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    })
}

fn is_host(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(byte);
    (1..=HOST_BYTES).contains(&text.len()) && text.iter().all(plain)
}

fn is_length(text: &[u8]) -> bool {
    text == b"0" || (text.iter().all(u8::is_ascii_digit) && text.first().is_some_and(|first| *first != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::Method;
    use actix_web::test::TestRequest;

    fn code(request: TestRequest) -> Option<(u16, &'static str)> {
        fault(request.to_srv_request().head()).map(|problem| (problem.status.as_u16(), problem.code))
    }

    fn get(path: &str) -> TestRequest {
        TestRequest::with_uri(path).insert_header((HOST, "localhost:8443"))
    }

    #[test]
    fn an_ordinary_head_passes() {
        for host in ["localhost", "localhost:8443", "[::1]:8443", "voorrang.example"] {
            assert_eq!(code(TestRequest::with_uri("/v1/ping").insert_header((HOST, host))), None, "{host}");
        }
        assert_eq!(code(get("/v1/access-log/entries?from=7").insert_header((CONTENT_LENGTH, "0"))), None);
        assert_eq!(code(get("/v1/loads").method(Method::POST).insert_header((CONTENT_LENGTH, "1024"))), None);
    }

    #[test]
    fn each_bound_of_a_head_is_refused_one_beyond() {
        let bad = |request| code(request);
        assert_eq!(bad(TestRequest::with_uri("/v1/ping")), Some((400, "host")));
        for host in ["localhost, evil", "a b", "", "local/host", &"a".repeat(HOST_BYTES + 1)] {
            assert_eq!(bad(TestRequest::with_uri("/").insert_header((HOST, host))), Some((400, "host")), "{host}");
        }
        assert_eq!(bad(get("/").append_header((HOST, "evil"))), Some((400, "host")));
        for length in ["005", "5, 5", "+5", "", "5 "] {
            assert_eq!(
                bad(get("/").insert_header((CONTENT_LENGTH, length))),
                Some((400, "content_length")),
                "{length}"
            );
        }
        for name in ["Accept", "Content-Digest", "Content-Type", "traceparent"] {
            let same = get("/").append_header((name, "application/json")).append_header((name, "application/json"));
            assert_eq!(bad(same), Some((400, "header_twice")), "{name}");
            assert_eq!(bad(get("/").append_header((name, "a, b"))), None, "{name}");
        }
        assert_eq!(bad(get("https://localhost/v1/ping")), Some((400, "absolute_uri")));
        for path in ["/v1/priority-batche%73", "/v1/%2e%2E/x", "/v1/p%7Eq", "/v1/%", "/v1/%4", "/v1/%zz"] {
            assert_eq!(bad(get(path)), Some((400, "escape")), "{path}");
        }
        assert_eq!(bad(get("/v1/regulations/a%20b%2Fc")), None);
        assert_eq!(bad(get("/v1/ping").insert_header((UPGRADE, "h2c"))), Some((400, "upgrade")));
        for expected in ["x", "100-continue, x", "", "200-ok"] {
            let other = get("/v1/ping").append_header((EXPECT, "100-continue")).append_header((EXPECT, expected));
            assert_eq!(bad(other), Some((417, "expectation")), "{expected}");
        }
        assert_eq!(bad(get("/v1/ping").insert_header((EXPECT, "100-Continue"))), None);
        let path = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert_eq!((bad(get(&path(URI_BYTES))), bad(get(&path(URI_BYTES + 1)))), (None, Some((414, "uri_too_long"))));
        let many = |count: usize| (1..count).fold(get("/"), |all, at| all.insert_header((format!("x-{at}"), "1")));
        assert_eq!((bad(many(HEADERS)), bad(many(HEADERS + 1))), (None, Some((431, "headers_too_large"))));
        let long = |length: usize| get("/").insert_header(("x", "a".repeat(length - 1 - "hostlocalhost:8443".len())));
        assert_eq!((bad(long(HEADER_BYTES)), bad(long(HEADER_BYTES + 1))), (None, Some((431, "headers_too_large"))));
    }
}
