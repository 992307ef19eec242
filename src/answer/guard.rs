//! What every request passes before it is routed: its head's form, the certificate behind it, the caller's share of the
//! service, and its body's pace.

use std::cell::Cell;
use std::rc::Rc;

use actix_http::BoxedPayloadStream;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, HeaderValue, RETRY_AFTER};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};

use super::body::{Body, Cut};
use super::ending::Ending;
use super::identity::{self, Admitted};
use super::json::too_large;
use super::knocks::Refused;
use super::limits::{Entered, Excess, Meters, Work};
use super::operations::{has_no_query, is_recorded};
use super::problem::{Problem, trace_of};
use super::tls::Door;
use super::unsent::metered;
use super::{App, framing, key};

/// What ends in this brings many questions at once, or has them counted.
const BATCHES: [&str; 2] = ["-batches", "/question-batches/{batch}/commit"];

/// What ends in this leaves a kept answer where it has a key, and else nothing that was not announced.
const CHUNKS: &str = "/chunks/{number}";

/// The parts that judge a request.
struct Judges {
    app: Data<App>,
    door: Data<Door>,
    meters: Data<Meters>,
}

/// Nothing is routed that has no place here.
pub(super) async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let (admitted, entered) = match admit(request.request()).await {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(request.into_response(response_of(refusal))),
    };
    request.extensions_mut().insert(admitted.identity.clone());
    let cut = Rc::new(Cell::new(None));
    match request.take_payload() {
        Payload::None => {}
        payload => {
            let (judges, trace) = (Judges::of(request.request()), trace_of(request.request()));
            let ending = request.conn_data::<Ending>().cloned();
            // Asked at the body's end.
            let still = Box::new(move || {
                ending.as_ref().and_then(Ending::take_unread);
                admitted.still(&judges.app, &judges.door, trace)
            });
            let body: BoxedPayloadStream = Box::pin(Body::new(payload, entered.body.clone(), cut.clone(), still));
            request.set_payload(Payload::Stream { payload: body });
        }
    }
    let response = next.call(request).await?.map_into_boxed_body();
    entered.refused(refusals(&response));
    // Whatever the handler made of half a body: the reason is that it was cut.
    let refusal = match cut.take() {
        Some(Cut::Excess(excess)) => excess_of(response.request(), excess),
        Some(Cut::Refused(problem)) => (*problem, None),
        None => return Ok(metered(response, &entered)),
    };
    let mut refusal = response_of(refusal);
    // The rest of the body may still be on its way.
    refusal.head_mut().set_connection_type(ConnectionType::Close);
    Ok(response.into_response(refusal))
}

/// What was refused of a request, of which the access log has an entry each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusals(pub u32);

fn refusals(response: &ServiceResponse<BoxBody>) -> u32 {
    let of_many = response.response().extensions().get::<Refusals>().map(|refusals| refusals.0);
    // Others were not understood, and have no entry.
    of_many.unwrap_or_else(|| u32::from(matches!(response.status().as_u16(), 403 | 404 | 409 | 410 | 422)))
}

/// A refusal, and after how many seconds to come again.
type Refusal = (Problem, Option<u64>);

async fn admit(request: &HttpRequest) -> Result<(Admitted, Entered), Refusal> {
    let trace = trace_of(request);
    if let Some(problem) = framing::fault(request.head()) {
        return Err((problem.traced(trace), None));
    }
    let judges = Judges::of(request);
    let admitted = identity::admit(request, &judges.app, &judges.door).map_err(|problem| (problem, None))?;
    let identity = &admitted.identity;
    let party = admitted.is_party.then_some(&identity.oin);
    let meters = judges.meters.clone().into_inner();
    let excess = |excess: Excess| {
        match excess {
            // Not the caller's fault.
            Excess::Busy => judges.app.metrics.refused(excess.code()),
            _ => judges.app.knocks.tell(Refused { code: excess.code(), fingerprint: identity.fingerprint.clone() }),
        }
        excess_of(request, excess)
    };
    let place = identity::place(&admitted, party, &meters).map_err(excess)?;
    let entered = place.enter(work_of(request)).await.map_err(excess)?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let path = request.match_pattern().unwrap_or_default();
    if !request.query_string().is_empty() && has_no_query(request.method(), &path) {
        let detail = "this resource has no query parameters";
        return Err((Problem::bad_request("query", detail).traced(trace), None));
    }
    // Whoever came again would hear the same.
    entered.body.could_fit(length.unwrap_or(0)).map_err(|most| (too_large(most).traced(trace), None))?;
    entered.body.has_room(length.unwrap_or(0)).map_err(excess)?;
    Ok((admitted, entered))
}

fn work_of(request: &HttpRequest) -> Work {
    let Some(path) = request.match_pattern() else { return Work::default() };
    let is_batch = request.method() != Method::GET && BATCHES.iter().any(|end| path.ends_with(end));
    let is_kept = path.ends_with(CHUNKS) && request.headers().contains_key(key::HEADER);
    Work { is_batch, is_recorded: is_kept || is_recorded(request.method(), &path) }
}

impl Judges {
    fn of(request: &HttpRequest) -> Self {
        let found = || {
            let (app, door, meters) = (request.app_data()?, request.app_data()?, request.app_data()?);
            Some(Self { app: Data::clone(app), door: Data::clone(door), meters: Data::clone(meters) })
        };
        found().expect("every listener with routes has an app, a door and meters")
    }
}

fn excess_of(request: &HttpRequest, excess: Excess) -> Refusal {
    let (problem, seconds) = excess.problem();
    (problem.traced(trace_of(request)), seconds)
}

/// The refusal as a response. Whoever only came too early may stay.
fn response_of((problem, seconds): Refusal) -> HttpResponse {
    let mut response = problem.error_response();
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if seconds.is_none() || problem.code == Excess::Connections.code() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}
