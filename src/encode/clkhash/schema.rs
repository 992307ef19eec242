//! The linkage schema: its types, and its parser for version 3, which refuses what the JSON schema of clkhash 0.18.3
//! refuses. Versions 1 and 2 are converted first (`old`).

use std::collections::HashSet;

use num_bigint::BigInt;
use serde_json::Value;

use super::json::Node;
use super::old;
use super::pattern::Pattern;

/// Longest filter before folding, in bits: 2 MiB for each thread.
pub const MOST_FILTER_BITS: u64 = 1 << 24;
/// Most insertions for a token or a feature.
const MOST_INSERTIONS: u64 = 1 << 20;
/// Largest n of an n-gram, most tokens to a side of a number and most digits behind its point: enough for any use,
/// little enough for a bounded memory.
const MOST_SIZE: u64 = 1_000;
/// Longest derived key, in bytes.
const MOST_KEY_BYTES: u64 = 1 << 20;

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("is not JSON; it goes wrong at line {line}, column {column}")]
    Syntax { line: usize, column: usize },
    #[error("/version: is not one of 1, 2 and 3; use a schema of one of these versions")]
    Version,
    #[error("{}: {flaw}", if .path.is_empty() { "the document" } else { .path })]
    At { path: String, flaw: Flaw },
    #[error(
        "{path}: {flaw} (the path is that in the schema converted from version {version} to 3; correct the part that \
         it was made from)"
    )]
    Converted { version: u8, path: String, flaw: Flaw },
}

/// What is wrong at a place of a schema. It never repeats the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("{0} is missing; add it")]
    Missing(&'static str),
    #[error("is not {0}; write it so")]
    Kind(&'static str),
    #[error("is not an integer from {least} to {most}; choose one")]
    Range { least: u64, most: u64 },
    #[error("is not above 0; choose a larger number")]
    Positive,
    #[error("is not one of {}; choose one", .0.join(", "))]
    Choice(&'static [&'static str]),
    #[error("is not known here; remove it (known are {})", .0.join(", "))]
    Unknown(&'static [&'static str]),
    #[error("needs exactly one of {} and {}; keep one", .0[0], .0[1])]
    OneOf([&'static str; 2]),
    #[error("is not base64; correct it")]
    Base64,
    #[error("is not a regular expression that this program can read; rewrite it")]
    Pattern,
    #[error("the filter before folding is longer than {MOST_FILTER_BITS} bits; choose a smaller l or fewer folds")]
    FilterBits,
    #[error("is both ignored and described, which versions 1 and 2 do not allow; remove one")]
    IgnoredAndDescribed,
}

/// A checked linkage schema.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Length of a CLK in bits, after folding.
    pub(super) clk_bits: usize,
    /// How often the filter is folded: `clkConfig.xor_folds`, as clkhash reads it.
    pub(super) folds: u32,
    /// Whether `clkConfig.xorFolds` asks for folds that clkhash never makes.
    pub(super) unheard_folds: bool,
    pub(super) kdf: Kdf,
    pub(super) features: Vec<Feature>,
    /// Path of a number that is an integer and written as a float, where clkhash cannot use one.
    pub(super) float: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Kdf {
    pub(super) sha512: bool,
    pub(super) salt: Vec<u8>,
    pub(super) info: Vec<u8>,
    /// Bytes of each derived key.
    pub(super) key_bytes: usize,
}

/// A column. Ignored ones take part in the derivation of keys and in nothing else.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    pub(super) identifier: String,
    pub(super) rule: Option<Rule>,
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) comparison: Comparison,
    pub(super) strategy: Strategy,
    pub(super) hash: Hash,
    pub(super) missing: Option<Missing>,
}

#[derive(Clone, Debug)]
pub(super) enum Format {
    Text { case: Case, least: Option<u64>, most: Option<u64> },
    Pattern(Pattern),
    Integer { least: Option<BigInt>, most: Option<BigInt> },
    Date(String),
    Enum(HashSet<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    Mixed,
}

/// How a token becomes bytes. The two wide ones begin every token with a byte order mark, as Python's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Ascii,
    Utf8,
    Utf16,
    Utf32,
}

#[derive(Clone, Debug)]
pub(super) enum Comparison {
    NGram { n: usize, positional: bool },
    Exact,
    Numeric { distance: Distance, resolution: u32, precision: u32 },
}

/// Written with a point or an exponent, a number is a float to Python.
#[derive(Clone, Debug)]
pub(super) enum Distance {
    Whole(BigInt),
    Float(f64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Strategy {
    BitsPerToken(usize),
    BitsPerFeature(usize),
}

/// The option of double hashing is kept for both, because clkhash refuses it with BLAKE2b when it builds the encoder.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hash {
    Blake { prevent_singularity: Option<bool> },
    Double { prevent_singularity: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) sentinel: String,
    pub(super) replacement: String,
}

impl Schema {
    /// Reads a schema of version 3, or one of version 1 or 2 as clkhash converts it.
    ///
    /// # Errors
    /// [`SchemaError`], with the path in the JSON.
    pub fn parse(json: &[u8]) -> Result<Self, SchemaError> {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| SchemaError::Syntax { line: error.line(), column: error.column() })?;
        let root = Node::root(&value, json);
        root.object()?;
        // 3.0 is 3 to Python.
        match root.need("version")?.number()?.as_f64() {
            Some(3.0) => parse(&root),
            Some(2.0) => converted(2, &old::from_v2(&root, &value)?, json),
            Some(1.0) => converted(1, &old::from_v1(&root, &value)?, json),
            _ => Err(SchemaError::Version),
        }
    }

    /// Names of the columns, in order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.features.iter().map(|feature| feature.identifier.as_str())
    }

    /// Columns that use double hashing.
    pub(super) fn double_hashed(&self) -> usize {
        let double = |rule: &Rule| matches!(rule.hash, Hash::Double { .. });
        self.features.iter().filter(|feature| feature.rule.as_ref().is_some_and(double)).count()
    }
}

/// What keeps its path in the conversion keeps its digits in the document.
fn converted(version: u8, value: &Value, json: &[u8]) -> Result<Schema, SchemaError> {
    parse(&Node::root(value, json)).map_err(|error| match error {
        SchemaError::At { path, flaw } => SchemaError::Converted { version, path, flaw },
        other => other,
    })
}

fn parse(root: &Node) -> Result<Schema, SchemaError> {
    let config = root.need("clkConfig")?;
    let clk_bits = config.need("l")?.integer(1, MOST_FILTER_BITS)?;
    let folds = optional(&config, "xor_folds", |node| node.integer(0, 64))?.unwrap_or(0) as u32;
    let unheard = optional(&config, "xorFolds", |node| node.integer(0, u64::MAX))?.unwrap_or(0);
    let fits = 1_u64.checked_shl(folds).and_then(|times| clk_bits.checked_mul(times));
    if fits.is_none_or(|bits| bits > MOST_FILTER_BITS) {
        return Err(config.flaw(Flaw::FilterBits));
    }
    Ok(Schema {
        clk_bits: clk_bits as usize,
        folds,
        unheard_folds: unheard > 0 && unheard != u64::from(folds),
        kdf: kdf(&config.need("kdf")?)?,
        features: root.need("features")?.items()?.iter().map(feature).collect::<Result<_, _>>()?,
        float: float(root),
    })
}

/// The first of the integers that clkhash counts with, if it is written as a float: its schema allows 1024.0, and its
/// encoder does not.
fn float(root: &Node) -> Option<String> {
    let config = root.at("clkConfig")?;
    let sizes = [config.at("l"), config.at("xor_folds"), config.at("kdf")?.at("keySize")];
    let features = root.at("features")?.items().ok()?;
    let used = features.iter().filter(|feature| !feature.at("ignored").is_some_and(|ignored| ignored.is_true()));
    let all = sizes.into_iter().chain(used.map(counted)).flatten();
    all.into_iter().find_map(|node| node.float().map(str::to_owned))
}

/// What a feature's comparison counts with.
fn counted<'a>(feature: &Node<'a>) -> Option<Node<'a>> {
    let comparison = feature.at("hashing")?.at("comparison")?;
    match comparison.at("type")?.text().ok()? {
        "ngram" => comparison.at("n"),
        "numeric" => comparison.at("resolution"),
        _ => None,
    }
}

fn optional<'a, T>(
    node: &Node<'a>,
    key: &str,
    read: impl FnOnce(&Node<'a>) -> Result<T, SchemaError>,
) -> Result<Option<T>, SchemaError> {
    node.at(key).map(|found| read(&found)).transpose()
}

fn kdf(node: &Node) -> Result<Kdf, SchemaError> {
    node.need("type")?.word(&["HKDF"])?;
    let hash = optional(node, "hash", |node| node.word(&["SHA256", "SHA512"]))?;
    let bytes = |node: &Node| base64(node.text()?).ok_or_else(|| node.flaw(Flaw::Base64));
    Ok(Kdf {
        sha512: hash == Some("SHA512"),
        salt: optional(node, "salt", bytes)?.unwrap_or_default(),
        info: optional(node, "info", bytes)?.unwrap_or_default(),
        key_bytes: optional(node, "keySize", |node| node.integer(1, MOST_KEY_BYTES))?.unwrap_or(64) as usize,
    })
}

/// Base64 as Python's `b64decode` reads it: letters of no meaning are skipped, and so is all behind the padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
    let (mut kept, mut pads) = (Vec::new(), 0);
    for byte in text.bytes() {
        match byte {
            b'=' if kept.len() % 4 >= 2 => {
                pads += 1;
                if kept.len() % 4 + pads >= 4 {
                    break;
                }
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                pads = 0;
                kept.push(byte);
            }
            _ => {}
        }
    }
    let whole = kept.len() % 4 == 0 || kept.len() % 4 + pads >= 4;
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    whole.then(|| GeneralPurpose::new(&STANDARD, config).decode(&kept).ok()).flatten().filter(|_| text.is_ascii())
}

fn feature(node: &Node) -> Result<Feature, SchemaError> {
    let identifier = node.need("identifier")?.text()?.to_owned();
    optional(node, "description", |node| node.text().map(drop))?;
    let ignored = optional(node, "ignored", Node::boolean)?.unwrap_or(false);
    let described = node.has("format") || node.has("hashing");
    if ignored && !described {
        node.only(&["identifier", "ignored", "description"])?;
        return Ok(Feature { identifier, rule: None });
    }
    let rule = rule(&node.need("format")?, &node.need("hashing")?)?;
    Ok(Feature { identifier, rule: Some(rule).filter(|_| !ignored) })
}

fn rule(form: &Node, hashing: &Node) -> Result<Rule, SchemaError> {
    let (format, encoding) = format(form)?;
    hashing.only(&["comparison", "strategy", "hash", "missingValue"])?;
    Ok(Rule {
        format,
        encoding,
        comparison: comparison(&hashing.need("comparison")?)?,
        strategy: strategy(&hashing.need("strategy")?)?,
        hash: optional(hashing, "hash", hash)?.unwrap_or(Hash::Blake { prevent_singularity: None }),
        missing: optional(hashing, "missingValue", missing)?,
    })
}

fn format(node: &Node) -> Result<(Format, Encoding), SchemaError> {
    let kind = node.need("type")?.word(&["string", "integer", "date", "enum"])?;
    optional(node, "description", |node| node.text().map(drop))?;
    let format = match kind {
        "string" => return Ok((text(node)?, encoding(node)?)),
        "integer" => {
            node.only(&["type", "minimum", "maximum", "description"])?;
            let bound = |key| optional(node, key, Node::any_integer);
            Format::Integer { least: bound("minimum")?, most: bound("maximum")? }
        }
        "date" => {
            node.only(&["type", "format", "description"])?;
            Format::Date(node.need("format")?.text()?.to_owned())
        }
        _ => {
            node.only(&["type", "values", "description"])?;
            let values = node.need("values")?.items()?;
            Format::Enum(values.iter().map(|value| value.text().map(str::to_owned)).collect::<Result<_, _>>()?)
        }
    };
    Ok((format, Encoding::Utf8))
}

fn text(node: &Node) -> Result<Format, SchemaError> {
    if let Some(pattern) = node.at("pattern") {
        node.only(&["type", "encoding", "pattern", "description"])?;
        return Pattern::new(pattern.text()?).map(Format::Pattern).ok_or_else(|| pattern.flaw(Flaw::Pattern));
    }
    node.only(&["type", "encoding", "case", "minLength", "maxLength", "description"])?;
    let case = match optional(node, "case", |node| node.word(&["upper", "lower", "mixed"]))? {
        Some("upper") => Case::Upper,
        Some("lower") => Case::Lower,
        _ => Case::Mixed,
    };
    Ok(Format::Text {
        case,
        least: optional(node, "minLength", |node| node.integer(0, u64::MAX))?,
        most: optional(node, "maxLength", |node| node.integer(1, u64::MAX))?,
    })
}

fn encoding(node: &Node) -> Result<Encoding, SchemaError> {
    let word = optional(node, "encoding", |node| node.word(&["ascii", "utf-8", "utf-16", "utf-32"]))?;
    Ok(match word {
        Some("ascii") => Encoding::Ascii,
        Some("utf-16") => Encoding::Utf16,
        Some("utf-32") => Encoding::Utf32,
        _ => Encoding::Utf8,
    })
}

fn comparison(node: &Node) -> Result<Comparison, SchemaError> {
    match node.need("type")?.word(&["ngram", "exact", "numeric"])? {
        "ngram" => Ok(Comparison::NGram {
            n: node.need("n")?.integer(1, MOST_SIZE)? as usize,
            positional: optional(node, "positional", Node::boolean)?.unwrap_or(false),
        }),
        "exact" => Ok(Comparison::Exact),
        _ => numeric(node),
    }
}

fn numeric(node: &Node) -> Result<Comparison, SchemaError> {
    let distance = node.need("thresholdDistance")?;
    let float = distance.number()?.as_f64().filter(|value| *value > 0.0);
    let float = float.ok_or_else(|| distance.flaw(Flaw::Positive))?;
    let precision = optional(node, "fractional_precision", |node| node.integer(0, MOST_SIZE))?;
    Ok(Comparison::Numeric {
        distance: distance.exact().map_or(Distance::Float(float), Distance::Whole),
        resolution: node.need("resolution")?.integer(1, MOST_SIZE)? as u32,
        precision: precision.unwrap_or(0) as u32,
    })
}

fn strategy(node: &Node) -> Result<Strategy, SchemaError> {
    node.only(&["bitsPerToken", "bitsPerFeature"])?;
    let bits = |node: Node| Ok(node.integer(1, MOST_INSERTIONS)? as usize);
    match (node.at("bitsPerToken"), node.at("bitsPerFeature")) {
        (Some(count), None) => bits(count).map(Strategy::BitsPerToken),
        (None, Some(count)) => bits(count).map(Strategy::BitsPerFeature),
        _ => Err(node.flaw(Flaw::OneOf(["bitsPerToken", "bitsPerFeature"]))),
    }
}

fn hash(node: &Node) -> Result<Hash, SchemaError> {
    let kind = node.need("type")?.word(&["blakeHash", "doubleHash"])?;
    if kind == "doubleHash" {
        let prevent_singularity = optional(node, "prevent_singularity", Node::boolean)?.unwrap_or(false);
        return Ok(Hash::Double { prevent_singularity });
    }
    Ok(Hash::Blake { prevent_singularity: node.at("prevent_singularity").map(|node| node.is_true()) })
}

fn missing(node: &Node) -> Result<Missing, SchemaError> {
    let sentinel = node.need("sentinel")?.text()?.to_owned();
    let replacement = optional(node, "replaceWith", |node| node.text().map(str::to_owned))?;
    // Without a replacement the sentinel itself is hashed.
    Ok(Missing { replacement: replacement.unwrap_or_else(|| sentinel.clone()), sentinel })
}
