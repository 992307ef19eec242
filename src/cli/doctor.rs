//! `voorrang doctor`: whether everything is as the service needs it, and what to do where it is not.

use std::path::PathBuf;

use serde::Serialize;

use crate::answer::checkup::{Area, Finding, Grade, examine};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};

/// What `voorrang doctor` takes.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The service's configuration file
    #[arg(long)]
    pub config: PathBuf,
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
}

/// Not everything is as it should be; the findings were told.
#[derive(Debug, thiserror::Error)]
pub enum Ill {
    #[error("{n} error{}: the service does not start, or does not do what it should", several(*.0), n = .0)]
    Errors(usize),
    #[error("{n} warning{}", several(*.0), n = .0)]
    Warnings(usize),
}

/// The letter of more than one.
fn several(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[derive(Serialize)]
struct Report<'a> {
    grade: Grade,
    findings: &'a [Finding],
}

/// Looks at everything and tells it; changes nothing, also while the service runs.
///
/// # Errors
/// [`Ill`] if there is anything to do.
pub fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let findings = match Config::load(&args.config) {
        Ok(config) => examine(&config, &Clock::System),
        Err(error) => vec![unreadable(&error)],
    };
    let worst = findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Fine);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&Report { grade: worst, findings: &findings })?);
    } else {
        findings.iter().for_each(|finding| println!("{}", line(finding)));
    }
    let count = findings.iter().filter(|finding| finding.grade == worst).count();
    match worst {
        Grade::Fine => Ok(()),
        Grade::Warning => Err(Ill::Warnings(count).into()),
        Grade::Error => Err(Ill::Errors(count).into()),
    }
}

fn unreadable(error: &ConfigError) -> Finding {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let detail = format!("{error}{cause}");
    Finding { grade: Grade::Error, about: Area::Configuration, code: "configuration_unusable", detail }
}

fn line(finding: &Finding) -> String {
    let grade = match finding.grade {
        Grade::Fine => "ok",
        Grade::Warning => "WARNING",
        Grade::Error => "ERROR",
    };
    format!("{grade:<8} {:<13} {}", finding.about.as_str(), finding.detail)
}
