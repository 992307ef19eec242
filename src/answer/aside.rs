//! Work off the threads that answer.

use actix_web::error::BlockingError;
use actix_web::web;

use crate::code::leaving_nothing;

/// Does what takes time, or waits for a disk, on a thread of its own. Records and questions pass over that thread's stack:
/// what they leave there is overwritten, so that nothing of an epoch outlives it.
///
/// # Errors
/// [`BlockingError`] where the service is stopping.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BlockingError> {
    web::block(move || leaving_nothing(work)).await
}
