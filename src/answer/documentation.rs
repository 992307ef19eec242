//! The second listener: the interface's document and its pages, for everybody. It asks for no certificate, knows no
//! party and no register, and answers nothing else.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ContentType, HeaderValue, LOCATION,
    REFERRER_POLICY,
};
use actix_web::middleware::{Next, from_fn};
use actix_web::web;
use actix_web::{App as Web, HttpResponse, HttpServer};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::version::TLS13;
use utoipa_swagger_ui::{Config as Pages, SwaggerUi};

use super::listener::{HANDSHAKE, REQUEST_HEAD};
use super::openapi::published;
use super::server::{at_path, envelope, no_such_path};
use super::tls::{Door, TlsError};
use super::{StartError, operation};

/// Below the listener's root.
const DOCUMENT: &str = "/v1/openapi.json";
const PAGES: &str = "/docs/";

/// What the pages load is theirs, but for pictures that are in them.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'";

/// Listens; the server runs once it is awaited, in an actix system.
pub(super) fn listen(address: SocketAddr) -> Result<(Bound, SocketAddr), StartError> {
    let cannot_listen = |source| StartError::Listen { address, key: "documentation.listen", source };
    let listener = TcpListener::bind(address).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    Ok((Bound(listener), address))
}

/// A listener that nobody is answered from yet.
pub(super) struct Bound(TcpListener);

impl Bound {
    /// The server. It ends with the system that it runs in.
    pub(super) fn run(self, door: &Arc<Door>) -> Result<Server, StartError> {
        let factory = || Web::new().wrap(from_fn(envelope)).wrap(from_fn(for_everybody)).configure(routes);
        let server = HttpServer::new(factory).workers(1).disable_signals().shutdown_timeout(1);
        let server = server.tls_handshake_timeout(HANDSHAKE).client_request_timeout(REQUEST_HEAD);
        Ok(server.listen_rustls_0_23(self.0, tls(door)?).map_err(StartError::Server)?.run())
    }
}

/// The service's own certificate, as it is when somebody connects, and none asked of the other side.
fn tls(door: &Arc<Door>) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).map_err(TlsError::Protocol)?;
    Ok(builder.with_no_client_auth().with_cert_resolver(door.clone()))
}

fn routes(config: &mut web::ServiceConfig) {
    let pages = SwaggerUi::new("/docs/{file:.*}").config(Pages::new([DOCUMENT]).validator_url("none"));
    config
        .service(at_path(DOCUMENT, vec![operation::get(DOCUMENT, document)]))
        .service(at_path("/", vec![operation::get("/", to_pages)]))
        .service(pages)
        .default_service(web::to(no_such_path));
}

/// The document.
pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(published())
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
