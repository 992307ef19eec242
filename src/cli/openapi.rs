//! `voorrang openapi`: the interface's OpenAPI document, as the service publishes it.

use std::io::Write as _;

use anyhow::Context;

use crate::answer::openapi::document;

/// Prints the document.
///
/// # Errors
/// If standard output cannot be written.
pub fn run() -> anyhow::Result<()> {
    let text = document().to_pretty_json().context("the document has a JSON form")?;
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}
