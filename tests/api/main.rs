//! The service as its parties and its enemies meet it: over mutual TLS, nothing of the inside assumed.

mod answers;
mod audit;
mod campaign;
mod epochs;
mod identity;
mod loads;
mod log;
mod operations;
mod questions;
mod support;
