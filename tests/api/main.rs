//! The service as its parties and its enemies meet it: over mutual TLS, nothing of the inside assumed.

mod questions;
mod support;
