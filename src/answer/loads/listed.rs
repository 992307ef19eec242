//! Loads in progress, as the custodian who may go on with them sees them.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::super::decision::store_problem;
use super::super::identity::Identity;
use super::super::json::Json;
use super::super::problem::Problem;
use super::super::wire::LoadView;
use super::super::{App, Caller, chunks};
use super::{CHUNK_BYTES, source_of};
use crate::regulate::Act;
use crate::store::{Load, StoreError};

/// For a client that lost the name of one.
pub(in super::super) async fn in_progress(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
) -> Result<Json<Vec<LoadView>>, Problem> {
    let caller = Caller::of(identity, &request);
    let (worker, asker) = (app.clone(), caller.clone());
    let found = app.in_turn(&caller.identity.oin, move || {
        let loads = worker.store.loads_in_progress()?.into_iter().filter(|load| worker.may_go_on(&asker, load));
        loads.map(|load| worker.load_view(&load)).collect::<Result<_, StoreError>>()
    });
    let found = found.await.map_err(|problem| problem.traced(caller.trace))?;
    found.map(Json).map_err(|error| store_problem(&error).traced(caller.trace))
}

impl App {
    /// Whether this caller may load this source, and its epoch takes loads. Nobody is refused anything, so nothing is logged.
    fn may_go_on(&self, caller: &Caller, load: &Load) -> bool {
        let Ok(in_force) = self.epoch(&load.epoch) else { return false };
        let Ok(regulation) = self.regulation(&in_force.epoch.regulation) else { return false };
        let act = Act::Load(source_of(load).into());
        self.check_loading(&in_force).is_ok() && regulation.decide(&self.facts(caller, act)).is_ok()
    }

    /// A load in progress, and which of its chunks are there.
    pub(super) fn load_view(&self, load: &Load) -> Result<LoadView, StoreError> {
        let chunks = self.store.chunks_there(&load.id)?.into_iter().map(chunks::kept).collect();
        let source = source_of(load);
        Ok(LoadView { load: load.id, source, records: load.records, chunk_bytes: CHUNK_BYTES, chunks })
    }
}
