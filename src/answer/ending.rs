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
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use rustix::net::{Shutdown, shutdown};
use tokio::task::yield_now;

/// What the requests of a connection, and whoever writes to it, know of its end.
#[derive(Clone, Default)]
pub(super) struct Ending {
    stage: Rc<Cell<Stage>>,
    /// Of a connection that nobody looks after who asks [`Ending::is_cut`].
    socket: Option<Rc<OwnedFd>>,
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
    let response = next.call(request).await?.map_into_boxed_body();
    if is_last || response.response().head().connection_type() == ConnectionType::Close {
        ending.stage.set(Stage::Said);
    }
    Ok(response)
}
