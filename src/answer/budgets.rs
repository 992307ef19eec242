//! `GET /v1/access-log/budgets`: what officers hold the questions of a month against.

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::aside::aside;
use super::decision::store_problem;
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::questions::month;
use super::wire::BudgetView;
use super::{App, Caller};
use crate::epoch::State;

/// The handler, for officers.
pub(super) async fn view(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
) -> Result<Json<Vec<BudgetView>>, Problem> {
    let caller = Caller::of(identity, &request);
    app.read_log(&caller, None).await?;
    let worker = app.clone();
    let found = aside(move || worker.budgets()).await;
    let found = found.map_err(|_| Problem::unavailable("the service is stopping"));
    found.and_then(|found| found).map(Json).map_err(|problem| problem.traced(caller.trace))
}

impl App {
    /// By regulation and party, of the epoch that came last where several answer. Blocks.
    fn budgets(&self) -> Result<Vec<BudgetView>, Problem> {
        let (failed, today) = (|error| store_problem(&error), self.today());
        let mut all = BTreeMap::new();
        for in_force in self.all_epochs().iter().filter(|one| one.epoch.state == State::Active) {
            let regulation = self.regulation_last_seen(&in_force.epoch.regulation)?;
            for oin in self.store.stock_parties(&in_force.epoch.id).map_err(failed)? {
                let stock = self.stock(&in_force.epoch.id, &oin).map_err(failed)?;
                let (declared, dwellings) =
                    stock.map_or((0, 0), |stock| (stock.dwellings.into(), stock.counted(in_force)));
                let (id, budgets) = (regulation.id().clone(), regulation.budgets());
                let (alarm, stop) = (budgets.alarm(dwellings), budgets.stop(dwellings));
                let asked = self.store.asked(&id, &oin, &month(today), today.day()).map_err(failed)?;
                let nears = |misses, questions| regulation.probing().nears(misses, questions);
                let near_tap = nears(asked.misses, asked.questions) || nears(asked.day_misses, asked.day_questions);
                let (regulation, party) = (id.clone(), oin.clone());
                let view = BudgetView { regulation, oin: party, declared, dwellings, alarm, stop, near_tap };
                all.insert((id, oin), view);
            }
        }
        Ok(all.into_values().collect())
    }
}
