//! The access log as officers read it: entries verbatim, and the signed checkpoint over them. There is no route
//! that changes an entry.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Query};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::decision::store_problem;
use super::identity::Identity;
use super::problem::{Problem, trace_of};
use super::wire::LogPage;
use super::{App, Caller};
use crate::audit::{Action, Outcome};
use crate::regulate::{Act, Permit, Regulation, Role};

/// Most entries of one page.
const PAGE: u64 = 1000;

/// Which page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    from: u64,
}

/// The checkpoint alone.
pub(super) async fn checkpoint(app: Data<App>, identity: Identity, request: HttpRequest) -> Result<String, Problem> {
    let caller = Caller { identity, trace: trace_of(&request) };
    let _read = app.officer(&caller).await?;
    app.store.checkpoint().map_err(|error| store_problem(&error).traced(caller.trace))
}

/// A page of entries. Every page records that the log was read, so a reader stops at the first page's checkpoint.
pub(super) async fn entries(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    page: Query<From>,
) -> Result<Json<LogPage>, Problem> {
    let caller = Caller { identity, trace: trace_of(&request) };
    let (regulation, permit) = app.officer(&caller).await?;
    let from = page.from;
    let mut entry = app.entry(&caller, Some(&regulation), Action::LogRead, Outcome::Done);
    entry.articles = permit.articles().to_vec();
    app.record(entry).await?;
    let failed = |error| store_problem(&error).traced(caller.trace);
    let lines = app.store.entries(from..from.saturating_add(PAGE)).map_err(failed)?;
    let entries = lines.into_iter().map(|line| STANDARD.encode(line.entry.unwrap_or_default())).collect();
    Ok(Json(LogPage { from, entries, checkpoint: app.store.checkpoint().map_err(failed)? }))
}

impl App {
    /// The regulation under which this caller may read the log, and the permit. The log is one for all regulations of
    /// the service: its entries name nobody.
    pub(super) async fn officer(&self, caller: &Caller) -> Result<(Arc<Regulation>, Permit), Problem> {
        let role = |regulation: &Arc<Regulation>| regulation.party(&caller.identity.oin).map(|party| party.role);
        // One in which the caller is officer, else one that knows the caller, else any; by name where there are several.
        let rank = |regulation: &Arc<Regulation>| {
            let role = role(regulation);
            (role != Some(Role::PrivacyOfficer), role.is_none(), regulation.id().clone())
        };
        let regulation = self.laws.all(self.today()).into_iter().min_by_key(rank);
        let none = || {
            let detail = "no regulation was activated, so nobody is its officer yet";
            Problem::conflict("regulation_not_active", detail).traced(caller.trace)
        };
        let regulation = regulation.ok_or_else(none)?;
        let permit = self.permit(caller, &regulation, Act::ReadLog, None).await?;
        Ok((regulation, permit))
    }
}
