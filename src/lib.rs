//! *Voorrang* answers one question of a housing corporation: does this household in rent arrears get priority care?
//! Custodians send codes made with a salt that this service never holds; it links codes, answers one word as the
//! regulation allows, and has the decision in a verifiable log before the word leaves.
//!
//! # The map
//!
//! ```text
//! cli ─▶ answer ─▶ regulate ─▶ link ─▶ (nothing of ours)      encode ─▶ (nothing of ours)      audit ─▶ (nothing of ours)
//!             └──▶ epoch, audit, store                         only cli and encode ever see plaintext
//! cli ─▶ privacy ─▶ (nothing of ours)                          attacks codes as whoever steals them would
//! cli ─▶ witness ─▶ audit                                      watches a log from outside the service
//! ```
//!
//! Shared words that every room may use: [`code`], [`ids`], [`profile`], [`clock`].
//!
//! # Invariants
//!
//! - Nothing that the service runs calls [`encode`] or [`epoch::share`]: it cannot make a code or open a salt.
//! - [`link`] is pure: no network, no database, no law, no file, no clock.
//! - [`regulate`] reads files when a regulation is loaded and does nothing else than decide afterwards. Only its
//!   `Permit` turns a finding into an answer.
//! - [`answer`] alone knows JSON shapes and, with the listener of [`witness`], actix and status codes; only [`store`]
//!   knows SQL.
//! - Nothing is answered before it is durably in the access log.
//! - `unsafe` stands in the kernels of `link/popcount`, `x86_64` and `neon`, and nowhere else.
//! - No key, salt, name, date or code is in a log line, an error or a metric.
//!
//! `tests/house.rs` holds the code to the arrows. What an attacker gains from each file: `SECURITY.md`.

pub mod answer;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod code;
pub mod config;
pub mod encode;
pub mod epoch;
pub mod ids;
pub mod link;
pub mod privacy;
pub mod profile;
pub mod regulate;
pub mod store;
pub mod telemetry;
pub mod witness;
