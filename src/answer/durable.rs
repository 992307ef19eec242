//! Around every handler: once the disk has failed, or the log was found changed, nothing is told any more, not even what
//! was recorded long ago. What the log holds is known again only when a restart has read it back from the disk.

use actix_web::ResponseError;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::App;
use super::problem::{Problem, trace_of};
use crate::store::Stats;

/// Looks before, so that nothing is done, and behind, so that an answer which the failure overtook does not leave.
pub(super) async fn durable(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let app = request.app_data::<Data<App>>().cloned().expect("every listener with routes has an app");
    if let Some(silence) = silence(app.store.stats()) {
        let trace = trace_of(request.request());
        return Ok(request.into_response(silence.traced(trace).error_response()));
    }
    let response = next.call(request).await?.map_into_boxed_body();
    if let Some(silence) = silence(app.store.stats()) {
        let trace = trace_of(response.request());
        return Ok(response.into_response(silence.traced(trace).error_response()));
    }
    Ok(response)
}

fn silence(stats: Stats) -> Option<Problem> {
    let (code, detail) = if stats.damaged {
        let detail = "the access log was changed outside the service, so nothing is recorded and nothing is told until \
                      its operator has put a backup back; then send the same request again, under the same \
                      Idempotency-Key";
        ("store_damaged", detail)
    } else if stats.wal_lost {
        let detail = "another program deleted the service's write-ahead log, so nothing is recorded and nothing is told until \
                      its operator has restarted it; then send the same request again, under the same Idempotency-Key";
        ("store_not_durable", detail)
    } else if stats.poisoned {
        let detail = "a commit failed, so nothing is recorded and nothing is told until the service was restarted on a \
                      disk that keeps what it is given; then send the same request again, under the same \
                      Idempotency-Key";
        ("store_not_durable", detail)
    } else {
        return None;
    };
    Some(Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail))
}
