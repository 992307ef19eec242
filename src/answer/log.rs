//! The access log as officers read it: entries verbatim, tiles, proofs, and the signed checkpoint over them. There is no
//! route that changes an entry.

use std::sync::Arc;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use utoipa::ToSchema;

use super::decision::store_problem;
use super::identity::Identity;
use super::json::{Json, Query};
use super::problem::Problem;
use super::wire::{ExpiredLine, LogPage};
use super::{App, Caller};
use crate::audit::{Action, Entry, Hash, Outcome, Range, TILE_WIDTH, bundle};
use crate::regulate::{Act, Permit, Regulation, Role};
use crate::store::{LogLine, StoreError};

/// Most entries of one page.
const PAGE: u64 = 1000;

/// Which page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    from: u64,
}

/// The checkpoint alone.
pub(super) async fn checkpoint(app: Data<App>, identity: Identity, request: HttpRequest) -> Result<String, Problem> {
    let caller = Caller::of(identity, &request);
    let _permit = app.officer(&caller).await?;
    app.store.checkpoint().map_err(|error| store_problem(&error).traced(caller.trace))
}

/// A page of entries. Every page records that the log was read, so a reader stops at the first page's checkpoint.
pub(super) async fn entries(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    page: Query<From>,
) -> Result<Json<LogPage>, Problem> {
    let caller = Caller::of(identity, &request);
    let from = page.from;
    let lines = app.read_entries(&caller, from..from.saturating_add(PAGE)).await?;
    let failed = |error| store_problem(&error).traced(caller.trace);
    let gone = lines.iter().filter(|line| line.entry.is_none());
    let expired = gone.map(|line| ExpiredLine { index: line.index, leaf: line.leaf }).collect();
    let entries = lines.into_iter().map(|line| STANDARD.encode(line.entry.unwrap_or_default())).collect();
    Ok(Json(LogPage { from, entries, expired, checkpoint: app.store.checkpoint().map_err(failed)? }))
}

/// `tile/<level>/<n>` and `tile/entries/<n>` of c2sp.org/tlog-tiles. Hashes tell nothing of an entry; bundles are
/// entries, so reading one is recorded.
pub(super) async fn tile(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let caller = Caller::of(identity, &request);
    let _permit = app.officer(&caller).await?;
    let none =
        || Problem::not_found("no_such_tile", "the log has no such tile, see its checkpoint").traced(caller.trace);
    let failed = |error: StoreError| match error {
        StoreError::Entry(_) => none(),
        error => store_problem(&error).traced(caller.trace),
    };
    let (kind, place) = path.into_inner();
    let (index, width) = numbered(&place).ok_or_else(none)?;
    let bytes = if kind == "entries" {
        let from = index.checked_mul(TILE_WIDTH as u64).ok_or_else(none)?;
        // A tile shows what is signed, never more.
        app.store.hashes(0, from..from + width).map_err(failed)?;
        let lines = app.read_entries(&caller, from..from + width).await?;
        let gone = || {
            let detail = "contents of this bundle have expired; GET /v1/access-log/entries shows the rest";
            Problem::new(actix_web::http::StatusCode::GONE, "expired", detail).traced(caller.trace)
        };
        let texts: Option<Vec<_>> = lines.iter().map(|line| line.entry.as_deref()).collect();
        bundle(texts.ok_or_else(gone)?).map_err(|error| failed(error.into()))?
    } else {
        let level = kind.parse().ok().filter(|level| *level < 8 && kind.len() == 1).ok_or_else(none)?;
        let from = index.checked_mul(TILE_WIDTH as u64).ok_or_else(none)?;
        let hashes = app.store.hashes(level, from..from + width).map_err(failed)?;
        hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    };
    Ok(HttpResponse::Ok().insert_header(ContentType::octet_stream()).body(bytes))
}

/// An index and a width of a tile's path: `x001/x234/067` or `x001/x234/067.p/112`.
fn numbered(path: &str) -> Option<(u64, u64)> {
    let (path, width) = match path.split_once(".p/") {
        Some((path, width)) => {
            (path, width.parse().ok().filter(|w: &u64| (1..256).contains(w) && w.to_string() == width)?)
        }
        None => (path, TILE_WIDTH as u64),
    };
    let parts: Vec<&str> = path.split('/').collect();
    let (last, first) = parts.split_last()?;
    let mut index = 0_u64;
    for part in first.iter().map(|part| part.strip_prefix('x')).chain([Some(*last)]) {
        let digits = part.filter(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))?;
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    let canonical = first.first().is_none_or(|part| *part != "x000");
    (canonical && parts.len() <= 5).then_some((index, width))
}

/// Proof that an entry is in the log of the newest checkpoint (c2sp.org/tlog-proof), for officers, and for a party about
/// what it did itself.
pub(super) async fn proof(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    index: Path<u64>,
) -> Result<String, Problem> {
    let caller = Caller::of(identity, &request);
    let failed = |error: StoreError| match error {
        StoreError::Entry(_) => no_such_entry(),
        error => store_problem(&error),
    };
    let traced = |problem: Problem| problem.traced(caller.trace);
    let index = index.into_inner();
    if !app.did(&caller, index).map_err(|error| traced(failed(error)))? {
        let _permit = app.officer(&caller).await?;
    }
    let found = app.store.inclusion(index).map_err(|error| traced(failed(error)))?;
    Ok(format!("c2sp.org/tlog-proof@v1\nindex {index}\n{}\n{}", lines(&found.proof), found.checkpoint))
}

/// Which older log.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Old {
    old: u64,
}

/// Proof that the log of the newest checkpoint extends an older one: proof lines, an empty line, the checkpoint, as the
/// body of a witness's add-checkpoint has them (c2sp.org/tlog-witness).
pub(super) async fn consistency(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    old: Query<Old>,
) -> Result<String, Problem> {
    let caller = Caller::of(identity, &request);
    let _permit = app.officer(&caller).await?;
    let larger = || Problem::unprocessable("old_size", "the log never had that many entries; see its checkpoint");
    let failed = |error: StoreError| match error {
        StoreError::Entry(_) => larger().traced(caller.trace),
        error => store_problem(&error).traced(caller.trace),
    };
    let found = app.store.consistency(old.old).map_err(failed)?;
    Ok(format!("old {}\n{}\n{}", found.old_size, lines(&found.proof), found.checkpoint))
}

fn lines(proof: &[Hash]) -> String {
    proof.iter().map(|hash| format!("{hash}\n")).collect()
}

fn no_such_entry() -> Problem {
    Problem::not_found("no_such_entry", "the log has no such entry; see its checkpoint")
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

    /// An entry for what an officer does with the log.
    pub(super) async fn officer_entry(&self, caller: &Caller, action: Action) -> Result<Entry, Problem> {
        let (regulation, permit) = self.officer(caller).await?;
        let mut entry = self.entry(caller, Some(&regulation), action, Outcome::Done);
        entry.articles = permit.articles().to_vec();
        Ok(entry)
    }

    /// Entries for an officer, who is recorded before she gets them.
    async fn read_entries(&self, caller: &Caller, range: std::ops::Range<u64>) -> Result<Vec<LogLine>, Problem> {
        let mut entry = self.officer_entry(caller, Action::LogRead).await?;
        entry.entries = Some(Range { from: range.start, to: range.end });
        self.record(entry).await?;
        self.store.entries(range).map_err(|error| store_problem(&error).traced(caller.trace))
    }

    /// Whether the caller is who acted in this entry.
    fn did(&self, caller: &Caller, index: u64) -> Result<bool, StoreError> {
        let lines = self.store.entries(index..index.saturating_add(1))?;
        let entry = lines.first().and_then(|line| Entry::from_bytes(line.entry.as_deref()?).ok());
        Ok(entry.is_some_and(|entry| entry.actor.oin.as_ref() == Some(&caller.identity.oin)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{bundle_path, tile_path};

    #[test]
    fn a_tile_is_found_by_the_path_that_its_maker_gives_it_and_no_other() {
        for (index, width) in [(0, 256), (7, 1), (999, 255), (1000, 256), (1_234_067, 112)] {
            let path = tile_path(0, index, width);
            assert_eq!(numbered(path.strip_prefix("tile/0/").unwrap()), Some((index, width as u64)), "{path}");
            let path = bundle_path(index, width);
            assert_eq!(numbered(path.strip_prefix("tile/entries/").unwrap()), Some((index, width as u64)));
        }
        for bad in ["", "1", "0001", "x000/001", "001/002", "001.p/0", "001.p/256", "001.p/07", "x001", "a01", "001.p/"]
        {
            assert_eq!(numbered(bad), None, "{bad}");
        }
    }
}
