//! The service as its parties and its enemies meet it: over mutual TLS, nothing of the inside assumed.

mod age_tool;
mod answers;
mod audit;
mod authority;
mod backups;
mod campaign;
mod doctor;
mod document;
mod ends;
mod epochs;
mod identity;
mod interface;
mod limits;
mod loads;
mod log;
mod matrix;
mod operations;
mod questions;
mod regulation;
mod repeats;
mod reports;
mod rotation;
mod spans;
mod support;
mod walls;
