//! A connection that was said to end answers nothing more. actix works on whatever came behind in the same piece, also
//! behind a head that was refused because two readers could understand it differently: there a request could hide.

use std::any::Any;
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use rustix::net::{Shutdown, shutdown};
use tokio::task::yield_now;

use super::App;
use crate::ids::TraceId;

/// Code of a body that cannot be read to its end.
pub(super) const UNREAD: &str = "body";

/// What the requests of a connection, and whoever writes to it, know of its end.
#[derive(Clone, Default)]
pub(super) struct Ending {
    stage: Rc<Cell<Stage>>,
    /// Of a connection that nobody looks after who asks [`Ending::is_cut`].
    socket: Option<Rc<OwnedFd>>,
    /// The request whose body comes in chunks and is not at its end, while nothing is answered.
    unread: Rc<Cell<Option<TraceId>>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The last answer says that it ends, or the request did.
    Said,
    /// More came all the same.
    Cut,
}

impl Ending {
    /// Whether nothing may be written any more.
    pub(super) fn is_cut(&self) -> bool {
        self.stage.get() == Stage::Cut
    }

    /// The request that is cut off in its body, if one is. Once.
    pub(super) fn take_unread(&self) -> Option<TraceId> {
        self.unread.take()
    }

    fn cut(&self) {
        self.stage.set(Stage::Cut);
        if let Some(Err(error)) = self.socket.as_ref().map(|socket| shutdown(socket, Shutdown::Both)) {
            tracing::debug!(%error, "a connection has ended by itself");
        }
    }
}

/// For a listener without TLS, whose connections are plain sockets.
pub(super) fn on_connect(connection: &dyn Any, data: &mut Extensions) {
    let socket = connection.downcast_ref::<TcpStream>().and_then(|tcp| tcp.as_fd().try_clone_to_owned().ok());
    data.insert(Ending { socket: socket.map(Rc::new), ..Ending::default() });
}

/// Around all else: the first request behind the end cuts the connection, once the last answer has left.
pub(super) async fn nothing_behind(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let ending = request.conn_data::<Ending>().cloned().unwrap_or_default();
    if ending.stage.get() != Stage::Open {
        yield_now().await;
        ending.cut();
        // Nobody gets it.
        return Ok(request.into_response(HttpResponse::BadRequest().finish()));
    }
    let is_last = request.head().connection_type() == ConnectionType::Close;
    let under_way = UnderWay::of(&request, &ending);
    let response = next.call(request).await;
    if let Some(under_way) = under_way {
        under_way.answered();
    }
    let response = response?.map_into_boxed_body();
    if is_last || response.response().head().connection_type() == ConnectionType::Close {
        ending.stage.set(Stage::Said);
    }
    Ok(response)
}

/// A request in chunks that is not answered. actix takes chunks that it cannot read for a connection that broke, and
/// drops both at once: then this is dropped before there is an answer, and whoever writes to the connection says so.
struct UnderWay {
    ending: Ending,
    app: Option<Data<App>>,
    trace: TraceId,
}

impl UnderWay {
    fn of(request: &ServiceRequest, ending: &Ending) -> Option<Self> {
        request.headers().contains_key(TRANSFER_ENCODING).then(|| {
            let trace = TraceId::random();
            ending.unread.set(Some(trace));
            Self { ending: ending.clone(), app: request.app_data().cloned(), trace }
        })
    }

    fn answered(self) {
        self.ending.unread.take();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.ending.unread.get().is_none() {
            return;
        }
        if let Some(app) = &self.app {
            app.metrics.refused(UNREAD);
            tracing::info!(trace.id = %self.trace, status = 400, code = UNREAD, "a request's body could not be read");
        }
    }
}
