//! The sockets that are open to others: TLS in front of HTTP/1.1, time limits, and word of every handshake that fails.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, map_config};
use actix_tls::accept::rustls_0_23::{Acceptor, AcceptorService, TlsStream};
use actix_tls::accept::{TlsError, max_concurrent_tls_connect};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions};
use actix_web::rt::net::TcpStream;
use rustix::net::sockopt::{set_socket_send_buffer_size, set_tcp_user_timeout};
use rustls::ServerConfig;
use tokio::time::timeout;

use super::handshakes::{Crowded, Handshakes, PATIENCE};
use super::tls::failure;
use super::wordless::Worded;

/// A client that sends its request's head slower is cut off.
const REQUEST_HEAD: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client that takes nothing of what is sent is cut off (TCP_USER_TIMEOUT): actix waits for one for ever.
const UNREAD: Duration = Duration::from_secs(30);
/// What the kernel keeps for one (it doubles this), and what rustls does before that.
const UNREAD_BYTES: usize = 64 << 10;
const UNREAD_TLS_BYTES: usize = 32 << 10;
/// For a client to take notice that its connection is closed.
const DISCONNECT: Duration = Duration::from_secs(1);

/// A bound socket, and how much of the machine it may take.
pub(super) struct Socket {
    pub(super) name: &'static str,
    pub(super) listener: TcpListener,
    pub(super) tls: ServerConfig,
    /// Where those under way are counted.
    pub(super) handshakes: Arc<Handshakes>,
    pub(super) workers: usize,
    /// Open at once, of all clients together.
    pub(super) connections: usize,
    /// How long a stop waits for requests under way, in seconds.
    pub(super) shutdown: u64,
}

/// A server for this socket, not yet running. actix-web's own tells nobody of a handshake that failed, so the pieces of
/// it are put together here. `opened` sees every connection after its handshake, `failed` the code of one that failed.
pub(super) fn listen<F, I, S, B>(
    socket: Socket,
    opened: impl Fn(&TlsStream<TcpStream>, &mut Extensions) + Clone + Send + 'static,
    failed: impl Fn(&'static str) + Clone + Send + 'static,
    factory: F,
) -> io::Result<ServerBuilder>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error, InitError = ()> + 'static,
    S::Future: 'static,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let Socket { name, listener, mut tls, handshakes, workers, connections, shutdown } = socket;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Whoever is silent keeps nobody else from a handshake: connections are bounded, and what an address has of them.
    max_concurrent_tls_connect(usize::MAX >> 1);
    let builder = ServerBuilder::new().workers(workers).max_concurrent_connections(connections.div_ceil(workers));
    let builder = builder.shutdown_timeout(shutdown);
    let stopping = builder.graceful_shutdown_signal();
    builder.listen(name, listener, move || {
        let (stopping, opened, failed) = (stopping.clone(), opened.clone(), failed.clone());
        let stopped = move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        };
        let on_connect = move |io: &Worded<TlsStream<TcpStream>>, data: &mut Extensions| {
            data.insert(io.ending());
            let io = io.get_ref();
            if let Err(error) = set_tcp_user_timeout(io.get_ref().0, UNREAD.as_millis() as u32) {
                tracing::debug!(%error, "a client that reads nothing cannot be cut off");
            }
            if let Err(error) = set_socket_send_buffer_size(io.get_ref().0, UNREAD_BYTES) {
                tracing::debug!(%error, "what a client does not take is not bounded");
            }
            opened(io, data);
        };
        let service = factory().into_factory().map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(stopped)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_HEAD)
            .client_disconnect_timeout(DISCONNECT)
            .on_connect_ext(on_connect)
            .finish(map_config(service, |()| AppConfig::default()));
        accepting(tls.clone(), handshakes.clone())
            .map_err(TlsError::into_service_error)
            .map(|mut io: TlsStream<TcpStream>| {
                io.get_mut().1.set_buffer_limit(Some(UNREAD_TLS_BYTES));
                let tcp = io.get_ref().0;
                // Best effort, as actix does it.
                drop(tcp.set_nodelay(true));
                let peer = tcp.peer_addr().ok();
                (Worded::new(io), Protocol::Http1, peer)
            })
            .and_then(http.map_err(TlsError::Service))
            .map_err(move |error| {
                if let Some(code) = code(&error) {
                    failed(code);
                }
                error
            })
    })
}

/// The handshake, if its address may have one more.
fn accepting(
    tls: ServerConfig,
    handshakes: Arc<Handshakes>,
) -> impl ServiceFactory<
    TcpStream,
    Config = (),
    Response = TlsStream<TcpStream>,
    Error = TlsError<io::Error, Infallible>,
    InitError = (),
> {
    let mut acceptor = Acceptor::new(tls);
    acceptor.set_handshake_timeout(PATIENCE);
    apply_fn_factory::<_, _, _, _, _, TcpStream, _, _>(acceptor, move |tcp: TcpStream, acceptor: &AcceptorService| {
        let begun = tcp.peer_addr().map(|peer| handshakes.begin(peer.ip()));
        let accepted = acceptor.call(tcp);
        async move {
            let begun = begun.map_err(TlsError::Tls)?;
            let under_way = begun.map_err(|crowded| TlsError::Tls(io::Error::other(crowded)))?;
            timeout(under_way.patience, accepted).await.unwrap_or(Err(TlsError::Timeout))
        }
    })
}

/// The stable code of a handshake that was refused. One that was given up, as by whoever only looks whether the port is
/// open, is none.
fn code<E>(error: &TlsError<io::Error, E>) -> Option<&'static str> {
    match error {
        TlsError::Timeout => Some("tls_timeout"),
        TlsError::Tls(error) if error.get_ref()?.is::<Crowded>() => Some("too_many_handshakes"),
        TlsError::Tls(error) => failure(error.get_ref()?.downcast_ref()?),
        TlsError::Service(_) => None,
    }
}
