//! The second listener: the interface's document and its pages, for everybody. It asks for no certificate, knows no
//! party and no register, and answers nothing else.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ContentType, HeaderValue, LOCATION,
    REFERRER_POLICY,
};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App as Web, HttpResponse};
use utoipa_swagger_ui::{Config as Pages, SwaggerUi};

use super::ending::nothing_behind;
use super::framing::well_formed;
use super::listener::{self, Socket};
use super::negotiation::negotiated;
use super::openapi::Published;
use super::server::{at_path, envelope, no_such_path};
use super::strangers::{Strangers, paced};
use super::tls::{self, Door};
use super::{StartError, operation};

/// Readers at once, strangers all of them; more wait.
const CONNECTIONS: usize = 512;

/// Below the listener's root.
const DOCUMENT: &str = "/v1/openapi.json";
const PAGES: &str = "/docs/";
const ALL_PAGES: &str = "/docs/{file:.*}";

/// What the pages load is theirs, but for pictures that are in them.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'";

/// Answers on a bound socket, once the server is awaited in an actix system, with which it ends.
pub(super) fn listen(listener: TcpListener, door: &Arc<Door>, document: Data<Published>) -> Result<Server, StartError> {
    let strangers = Data::new(Strangers::default());
    let proper = || Web::new().wrap(from_fn(negotiated)).wrap(from_fn(well_formed)).wrap(from_fn(paced));
    let wrapped = move || proper().wrap(from_fn(envelope)).wrap(from_fn(for_everybody));
    let factory = move || {
        let web = wrapped().wrap(from_fn(nothing_behind));
        web.app_data(strangers.clone()).app_data(document.clone()).configure(routes)
    };
    let (tls, handshakes) = (tls::public(door)?, Arc::default());
    let socket =
        Socket { name: "documentation", listener, tls, workers: 1, connections: CONNECTIONS, handshakes, shutdown: 1 };
    // Whoever reads a document is nobody's business, and no entry of the access log.
    let server = listener::listen(socket, |_, _| {}, |_| {}, factory).map_err(StartError::Server)?;
    Ok(server.disable_signals().run())
}

fn routes(config: &mut web::ServiceConfig) {
    let pages = SwaggerUi::new(ALL_PAGES).config(Pages::new([DOCUMENT]).validator_url("none"));
    config
        .service(at_path(DOCUMENT, vec![operation::get(DOCUMENT, document)]))
        .service(at_path("/", vec![operation::get("/", to_pages)]))
        .service(pages)
        // The pages' own resource has no other method than this, and says so by there being nothing.
        .service(at_path(ALL_PAGES, vec![operation::get(ALL_PAGES, no_such_path)]))
        .default_service(web::to(no_such_path));
}

/// The document.
pub(super) async fn document(text: Data<Published>) -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(text.0.clone())
}

async fn to_pages() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, PAGES)).finish()
}

/// Headers that pages need, and that let pages of others read the document.
async fn for_everybody(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if is_page {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    }
    Ok(response)
}
