//! The access log as officers read it: entries verbatim, tiles, proofs, and the signed checkpoint over them. There is no
//! route that changes an entry.

use std::sync::Arc;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use utoipa::ToSchema;

use super::aside::aside;
use super::decision::{only, store_problem};
use super::identity::Identity;
use super::json::{Json, Plain, Query};
use super::problem::Problem;
use super::repeats::{Kept, receipt_of};
use super::wire::{ExpiredLine, LogPage, NewExport};
use super::{App, Caller};
use crate::audit::{Action, Entry, Hash, Outcome, Range, Receipt, TILE_WIDTH, bundle};
use crate::regulate::{Act, Permit, Regulation, Role};
use crate::store::{LogLine, StoreError, Tx};

/// Most entries of one page.
const PAGE: u64 = 1000;

/// Which page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    #[schema(maximum = 9007199254740991_u64)]
    from: u64,
}

/// The checkpoint alone.
pub(super) async fn checkpoint(app: Data<App>, identity: Identity, request: HttpRequest) -> Result<String, Problem> {
    let caller = Caller::of(identity, &request);
    let _permit = app.officer(&caller).await?;
    let found = read(&app, |app| app.store.checkpoint()).await;
    found.and_then(|found| found.map_err(|error| store_problem(&error))).map_err(|problem| problem.traced(caller.trace))
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
    let lines = read_entries(&app, &caller, from..from.saturating_add(PAGE)).await?;
    let gone = lines.iter().filter(|line| line.entry.is_none());
    let expired = gone.map(|line| ExpiredLine { index: line.index, leaf: line.leaf }).collect();
    let entries = lines.into_iter().map(|line| STANDARD.encode(line.entry.unwrap_or_default())).collect();
    // Behind the entries: it covers them all.
    let found = read(&app, |app| app.store.checkpoint()).await;
    let checkpoint = found.and_then(|found| found.map_err(|error| store_problem(&error)));
    Ok(Json(LogPage {
        from,
        entries,
        expired,
        checkpoint: checkpoint.map_err(|problem| problem.traced(caller.trace))?,
    }))
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
        read(&app, move |app| app.store.hashes(0, from..from + width)).await?.map_err(failed)?;
        let lines = read_entries(&app, &caller, from..from + width).await?;
        let gone = || {
            let detail = "contents of this bundle have expired; GET /v1/access-log/entries shows the rest";
            Problem::new(actix_web::http::StatusCode::GONE, "expired", detail).traced(caller.trace)
        };
        let texts: Option<Vec<_>> = lines.iter().map(|line| line.entry.as_deref()).collect();
        bundle(texts.ok_or_else(gone)?).map_err(|error| failed(error.into()))?
    } else {
        let level = kind.parse().ok().filter(|level| *level < 8 && kind.len() == 1).ok_or_else(none)?;
        let from = index.checked_mul(TILE_WIDTH as u64).ok_or_else(none)?;
        let hashes = read(&app, move |app| app.store.hashes(level, from..from + width)).await?.map_err(failed)?;
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

/// Takes note that entries leave as files, before they do.
pub(super) async fn export(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    new: Json<NewExport>,
) -> Result<Json<Receipt>, Problem> {
    let caller = Caller::of(identity, &request);
    let mut entry = app.officer_entry(&caller, Action::LogExport).await?;
    if new.from > new.to {
        let detail = "an export begins before it ends: `from` is the first entry, `to` the one behind the last";
        return Err(app.refuse(entry, Problem::unprocessable("export", detail)).await);
    }
    entry.entries = Some(Range { from: new.from, to: new.to });
    let (once, now) = (caller.once, app.clock.now());
    let written = app.store.write_async(move |tx: &Tx<'_>| {
        let receipt = receipt_of(tx.append(&entry)?);
        once.keep(tx, &Kept::body(&receipt), now)
    });
    let written = written.await.map_err(|error: StoreError| store_problem(&error).traced(caller.trace))?;
    Ok(Json(only(written.receipts)))
}

/// What whoever has a receipt knows of its entry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Leaf {
    /// The entry's leaf hash, hexadecimal: 64 digits.
    #[schema(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    leaf: Option<Spelled>,
}

/// A hash in hexadecimal, in its one spelling.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Spelled(Hash);

impl TryFrom<String> for Spelled {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = hex::decode(&text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let hash = bytes.filter(|_| !text.bytes().any(|byte| byte.is_ascii_uppercase()));
        hash.map(|bytes| Self(bytes.into())).ok_or("is not 64 hexadecimal digits in lower case")
    }
}

/// Proof that an entry is in the log of the newest checkpoint (c2sp.org/tlog-proof): for officers, for a party about
/// what it did itself, and for whoever names the leaf hash, which is salted and stands in the receipt. So a receipt can
/// be proved when the entry's contents have expired. An officer's is recorded; whoever has a receipt learns nothing new.
pub(super) async fn proof(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    index: Path<Plain<u64>>,
    known: Query<Leaf>,
) -> Result<String, Problem> {
    let caller = Caller::of(identity, &request);
    let failed = |error: StoreError| match error {
        StoreError::Entry(_) => no_such_entry(),
        error => store_problem(&error),
    };
    let traced = |problem: Problem| problem.traced(caller.trace);
    let Plain(index) = index.into_inner();
    let line = read(&app, move |app| app.store.entries(index..index.saturating_add(1))).await.map_err(traced)?;
    let line = line.map_err(|error| traced(failed(error)))?.pop();
    let Some(line) = line else {
        let entry = app.officer_entry(&caller, Action::LogRead).await?;
        return Err(app.refuse(entry, no_such_entry()).await);
    };
    if !(did(&caller, &line) || known.is_of(&line)) {
        app.read_log(&caller, Some(Range { from: index, to: index + 1 })).await?;
    }
    let found = read(&app, move |app| app.store.inclusion(index)).await.map_err(traced)?;
    let found = found.map_err(|error| traced(failed(error)))?;
    Ok(format!("c2sp.org/tlog-proof@v1\nindex {index}\n{}\n{}", lines(&found.proof), found.checkpoint))
}

impl Leaf {
    fn is_of(&self, line: &LogLine) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| leaf.0 == line.leaf)
    }
}

/// Whether the caller is who acted in this entry.
fn did(caller: &Caller, line: &LogLine) -> bool {
    let entry = line.entry.as_deref().and_then(|bytes| Entry::from_bytes(bytes).ok());
    entry.is_some_and(|entry| entry.actor.oin.as_ref() == Some(&caller.identity.oin))
}

/// Which older log.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Old {
    #[schema(maximum = 9007199254740991_u64)]
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
    let found = read(&app, move |app| app.store.consistency(old.old)).await?.map_err(failed)?;
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

    /// Records that an officer reads of the log: these entries, or, without any, what stands beside them.
    pub(super) async fn read_log(&self, caller: &Caller, entries: Option<Range>) -> Result<(), Problem> {
        let entry = self.officer_entry(caller, Action::LogRead).await?;
        self.record(Entry { entries, ..entry }).await.map(drop)
    }

    /// An entry for what an officer does with the log.
    pub(super) async fn officer_entry(&self, caller: &Caller, action: Action) -> Result<Entry, Problem> {
        let (regulation, permit) = self.officer(caller).await?;
        let mut entry = self.entry(caller, Some(&regulation), action, Outcome::Done);
        entry.articles = permit.articles().to_vec();
        Ok(entry)
    }
}

/// Reads off the threads that answer: a read may wait for the disk.
async fn read<T: Send + 'static>(
    app: &Data<App>,
    work: impl FnOnce(&App) -> Result<T, StoreError> + Send + 'static,
) -> Result<Result<T, StoreError>, Problem> {
    let worker = app.clone();
    aside(move || work(&worker)).await.map_err(|_| Problem::unavailable("the service is stopping"))
}

/// Entries for an officer, who is recorded before she gets them: those up to the record of that, which is the last one, and
/// no others.
async fn read_entries(app: &Data<App>, caller: &Caller, range: std::ops::Range<u64>) -> Result<Vec<LogLine>, Problem> {
    let entry = app.officer_entry(caller, Action::LogRead).await?;
    let recorded = app.store.write_async(move |tx: &Tx<'_>| {
        let to = range.end.min(tx.log_size() + 1);
        let range = Range { from: range.start.min(to), to };
        tx.append(&Entry { entries: Some(range), ..entry })?;
        Ok::<_, StoreError>(range)
    });
    let range = recorded.await.map_err(|error| store_problem(&error).traced(caller.trace))?.value;
    let lines = read(app, move |app| app.store.entries(range.from..range.to)).await;
    lines.and_then(|lines| lines.map_err(|error| store_problem(&error))).map_err(|problem| problem.traced(caller.trace))
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
