//! An answer on its way out, in pieces: so much of it is beside the whole in a connection's buffers, and as long as
//! it is not taken it counts as its party's.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::web::Bytes;

use super::limits::{Entered, Held};

/// actix takes pieces until it has 32 KiB that wait for the connection.
const PIECE: usize = 16 << 10;

/// What of an answer nobody has taken yet.
struct Unsent {
    rest: Bytes,
    _held: Held,
}

/// The response, of which a long body is metered until the connection has it.
pub(super) fn metered(response: ServiceResponse<BoxBody>, entered: &Entered) -> ServiceResponse<BoxBody> {
    let held = |length| entered.body.answer(length);
    response.map_body(|_, body| match body.try_into_bytes() {
        Ok(rest) if rest.len() > PIECE => BoxBody::new(Unsent { _held: held(rest.len()), rest }),
        Ok(short) => BoxBody::new(short),
        Err(stream) => stream,
    })
}

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.rest.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(self.rest.split_to(length))))
    }
}
