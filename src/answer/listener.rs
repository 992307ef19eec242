//! The socket: TLS in front of HTTP/1.1, time limits, and word of every handshake that fails.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Request, Response, TlsAcceptorConfig};
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, map_config};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use rustix::net::sockopt::set_tcp_user_timeout;
use rustls::ServerConfig;

use super::identity;
use super::knocks::Refused;
use super::tls::{Door, failure};
use crate::config::Config;

/// A client that is silent in the handshake, or sends its request's head slower, is cut off.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(3);
pub(super) const REQUEST_HEAD: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client that takes nothing of what is sent is cut off (TCP_USER_TIMEOUT): actix waits for one for ever.
const UNREAD: Duration = Duration::from_secs(30);
/// For a client to take notice that its connection is closed.
const DISCONNECT: Duration = Duration::from_secs(1);

/// A server for this socket, not yet running. actix-web's own tells nobody of a handshake that failed, so the pieces of
/// it are put together here.
pub(super) fn listen<F, I, S, B>(
    socket: TcpListener,
    tls: ServerConfig,
    door: &Arc<Door>,
    config: &Config,
    factory: F,
) -> io::Result<ServerBuilder>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error, InitError = ()> + 'static,
    S::Future: 'static,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as actix_service::Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.workers > 0 { config.workers } else { cores() };
    let connections = config.limits.connections.div_ceil(workers);
    let builder = ServerBuilder::new().workers(workers).max_concurrent_connections(connections);
    let builder = builder.shutdown_timeout(config.shutdown_seconds);
    let (stopping, door) = (builder.graceful_shutdown_signal(), door.clone());
    builder.listen("voorrang", socket, move || {
        let (stopping, opened, told) = (stopping.clone(), door.clone(), door.clone());
        let stopped = move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        };
        let on_connect = move |io: &TlsStream<TcpStream>, data: &mut _| {
            if let Err(error) = set_tcp_user_timeout(io.get_ref().0, UNREAD.as_millis() as u32) {
                tracing::debug!(%error, "a client that reads nothing cannot be cut off");
            }
            identity::on_connect(io, data, &opened);
        };
        let service = factory().into_factory().map_err(|error: Error| error.error_response());
        HttpService::build()
            .graceful_shutdown_signal(stopped)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_HEAD)
            .client_disconnect_timeout(DISCONNECT)
            .on_connect_ext(on_connect)
            .finish(map_config(service, |()| AppConfig::default()))
            .rustls_0_23_with_config(tls.clone(), TlsAcceptorConfig::default().handshake_timeout(HANDSHAKE))
            .map_err(move |error| {
                if let Some(code) = code(&error) {
                    told.knocks().tell(Refused { code, fingerprint: String::new() });
                }
                error
            })
    })
}

/// The stable code of a handshake that was refused. One that was given up, as by whoever only looks whether the port is
/// open, is none.
fn code<E>(error: &TlsError<io::Error, E>) -> Option<&'static str> {
    match error {
        TlsError::Timeout => Some("tls_timeout"),
        TlsError::Tls(error) => failure(error.get_ref()?.downcast_ref()?),
        TlsError::Service(_) => None,
    }
}
