//! Long runs in a short form; the long one stands in docs/access-log.md, "Seen from outside".

mod killed;
mod order;

/// The long form.
const KILLS: &str = "CAMPAIGN_KILLS";
