//! Schemas of versions 1 and 2, as clkhash 0.18.3 converts them: checked for what would be lost in the conversion,
//! and rewritten to version 3, which is checked as a whole afterwards.

use serde_json::{Map, Value, json};

use super::json::Node;
use super::schema::{Flaw, SchemaError};

/// `weight * k` becomes `bitsPerToken`, rounded to even; a weight of 0 ignores the feature.
pub(super) fn from_v1(root: &Node, schema: &Value) -> Result<Value, SchemaError> {
    let config = root.need("clkConfig")?;
    let k = config.need("k")?.integer(1, u64::from(u32::MAX))?;
    let hash = &schema["clkConfig"]["hash"];
    config.need("hash")?.object()?;
    let mut kept = Map::new();
    for key in ["l", "xor_folds", "kdf"] {
        kept.extend(schema["clkConfig"].get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let mut features = Vec::new();
    for (node, feature) in described(root, schema)? {
        features.push(match node {
            None => feature,
            Some(node) => v1_feature(&node, feature, k, hash)?,
        });
    }
    Ok(json!({"version": 3, "clkConfig": kept, "features": features}))
}

fn v1_feature(node: &Node, mut feature: Value, k: u64, hash: &Value) -> Result<Value, SchemaError> {
    let hashing = node.need("hashing")?;
    let weight = match hashing.at("weight") {
        Some(weight) => weight.number()?.as_f64().filter(|weight| *weight >= 0.0),
        None => Some(1.0),
    };
    let weight = weight.ok_or_else(|| hashing.flaw(Flaw::Kind("a weight of 0 or more")))?;
    if weight == 0.0 {
        return Ok(json!({"identifier": feature["identifier"], "ignored": true}));
    }
    let bits = (weight * k as f64).round_ties_even() as u64;
    if let Some(hashing) = feature["hashing"].as_object_mut() {
        hashing.remove("weight");
        hashing.insert("strategy".to_owned(), json!({"bitsPerToken": bits}));
        hashing.insert("hash".to_owned(), hash.clone());
    }
    compare(node, feature)
}

/// `k` becomes `bitsPerToken`, `numBits` becomes `bitsPerFeature`.
pub(super) fn from_v2(root: &Node, schema: &Value) -> Result<Value, SchemaError> {
    let mut features = Vec::new();
    for (node, feature) in described(root, schema)? {
        features.push(match node {
            None => feature,
            Some(node) => v2_feature(&node, feature)?,
        });
    }
    root.need("clkConfig")?.object()?;
    Ok(json!({"version": 3, "clkConfig": schema["clkConfig"], "features": features}))
}

fn v2_feature(node: &Node, mut feature: Value) -> Result<Value, SchemaError> {
    let hashing = node.need("hashing")?;
    hashing.only(&["hash", "strategy", "ngram", "positional", "missingValue"])?;
    let strategy = hashing.need("strategy")?;
    strategy.only(&["k", "numBits"])?;
    if strategy.has("k") == strategy.has("numBits") {
        return Err(strategy.flaw(Flaw::OneOf(["k", "numBits"])));
    }
    let old = &feature["hashing"]["strategy"];
    feature["hashing"]["strategy"] = match old.get("k") {
        Some(k) => json!({"bitsPerToken": k}),
        None => json!({"bitsPerFeature": old["numBits"]}),
    };
    compare(node, feature)
}

/// Features with their place; without one if ignored, and then nothing is left to convert.
fn described<'a>(root: &Node<'a>, schema: &Value) -> Result<Vec<(Option<Node<'a>>, Value)>, SchemaError> {
    let nodes = root.need("features")?.items()?;
    let values = schema["features"].as_array().into_iter().flatten().cloned();
    nodes.into_iter().zip(values).map(|(node, value)| Ok((is_described(&node)?.then_some(node), value))).collect()
}

fn is_described(node: &Node) -> Result<bool, SchemaError> {
    node.object()?;
    let ignored = node.at("ignored").is_some_and(|ignored| ignored.is_true());
    if ignored && node.has("format") && node.has("hashing") {
        return Err(node.flaw(Flaw::IgnoredAndDescribed));
    }
    Ok(!ignored)
}

/// `ngram` and `positional` become a comparison.
fn compare(node: &Node, mut feature: Value) -> Result<Value, SchemaError> {
    node.need("hashing")?.need("ngram")?;
    if let Some(hashing) = feature["hashing"].as_object_mut() {
        let n = hashing.remove("ngram");
        let positional = hashing.remove("positional").unwrap_or(Value::Bool(false));
        hashing.insert("comparison".to_owned(), json!({"type": "ngram", "n": n, "positional": positional}));
    }
    Ok(feature)
}
