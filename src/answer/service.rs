//! `GET /v1/service` and `GET /v1/ping`: what a client needs before its first question.

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::App;
use super::decision::store_problem;
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::wire::{HandOver, RegulationView, ServiceView};

/// Nothing but the connection and the certificate: what mutual TLS costs without a question.
pub(super) async fn ping(_: Identity) -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// The regulations in which the caller takes part, and their epochs.
pub(super) async fn view(app: Data<App>, identity: Identity) -> Result<Json<ServiceView>, Problem> {
    let ours = |regulation: &std::sync::Arc<crate::regulate::Regulation>| regulation.party(&identity.oin).is_some();
    let mut regulations = app.laws.all(app.today());
    regulations.retain(ours);
    let epochs = app.all_epochs();
    let epochs = epochs.iter().filter(|e| regulations.iter().any(|r| *r.id() == e.epoch.regulation));
    let hand_over = |known: crate::store::HandOver| HandOver { key: known.new, checkpoint: known.checkpoint };
    let log_hand_overs = app.store.hand_overs().map_err(|error| store_problem(&error))?;
    let log_hand_overs = log_hand_overs.into_iter().map(hand_over).collect();
    Ok(Json(ServiceView {
        version: env!("CARGO_PKG_VERSION").into(),
        log_key: app.store.verifier().vkey(),
        log_hand_overs,
        register: app.register.clone(),
        epochs: epochs.map(|epoch| app.epoch_view(epoch)).collect::<Result<_, _>>()?,
        regulations: regulations
            .into_iter()
            .map(|regulation| {
                let (minor_below, senior_from) = regulation.ages();
                RegulationView {
                    id: regulation.id().clone(),
                    title: regulation.title().en.clone(),
                    digest: regulation.digest().into(),
                    minor_below,
                    senior_from,
                    minimum_batch: regulation.budgets().minimum_batch,
                }
            })
            .collect(),
    }))
}
