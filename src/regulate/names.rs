//! Names that stand in articles. Cedar checks types: a party that does not exist has the right one, and so has a purpose
//! that nobody agreed on. Each must be one of the regulation.

use cedar_policy::{EntityUid, Policy};
use serde_json::Value;

use super::regulation::Document;

impl Document {
    /// What this policy names that the regulation does not have, as it is written there, and what is wrong with it.
    pub(super) fn unknown_name(
        &self,
        policy: &Policy,
        is_there: impl Fn(&EntityUid) -> bool,
    ) -> Option<(String, String)> {
        if let Some(stranger) = policy.entity_literals().into_iter().find(|uid| !is_there(uid)) {
            let name = stranger.to_string();
            return Some((name.clone(), format!("{name} is nobody and nothing of this regulation")));
        }
        let text = policy.to_json().unwrap_or_default();
        let mut names = Vec::new();
        texts_in(&text["conditions"], &mut names);
        let unknown = names.into_iter().find(|name| name.is_none_or(|name| !self.names(name)))?;
        let Some(name) = unknown else {
            return Some(("like".into(), "an article compares whole names: write == instead of like".into()));
        };
        let written = format!("\"{name}\"");
        Some((written.clone(), format!("{written} is no [[purpose]] and no organisation of a [[party]]")))
    }

    fn names(&self, name: &str) -> bool {
        self.purposes.iter().any(|purpose| purpose.id.as_str() == name)
            || self.parties.iter().any(|party| party.organisation == name)
    }
}

/// Every text that conditions compare something with, `None` for a pattern.
fn texts_in<'a>(value: &'a Value, found: &mut Vec<Option<&'a str>>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("Value", Value::String(text)) => found.push(Some(text)),
                    ("like", _) => found.push(None),
                    _ => texts_in(value, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| texts_in(value, found)),
        _ => {}
    }
}
