//! The encoder of clkhash 0.18.3, bit for bit: linkage schemas of version 3 (and 1 and 2, converted) and their CLKs,
//! for everybody who links with Anonlink or CODI today. What it does and its quirks: `docs/clkhash.md`.
//!
//! A plain CLK opens to published attacks; the hardened codes of the room above do not. Nothing of this module goes
//! into the service.
//!
//! A row becomes a CLK so: every value is checked and brought into its normal form (`format`, `date`, `number`,
//! `pattern`), cut into tokens (`token`, and `gram` for the common ones), each token's positions are set in one filter
//! (`hash`, `filter`), and the filter is folded. `worker` does so for row after row and remembers what it has met
//! (`memory`). `schema` reads the JSON, `old` the older versions; `rows` and `signs` read a file into a
//! `batch` after the other, and `file` writes the CLKs.

mod batch;
mod date;
mod file;
mod filter;
mod format;
mod gram;
mod hash;
mod json;
mod memory;
mod number;
mod old;
mod pattern;
mod problem;
mod rows;
mod schema;
mod signs;
mod token;
mod worker;

use std::fmt;

pub use file::{Header, encode_file};
pub use problem::{InputError, LineError, Problem, RowError, SetupError};
pub use schema::{Flaw, Schema, SchemaError};
pub use worker::Worker;

use format::Formatter;
use hash::Hasher;
use schema::{Hash, Rule, Strategy};
use token::Tokenizer;

/// Shortest secret and shortest derived key without a warning, in bytes: 128 bits, the security strength that NIST
/// SP 800-57 part 1 revision 5 (table 4) accepts beyond 2030. A password of 16 letters has far fewer.
pub const SHORTEST_KEY: usize = 16;

/// What is weak in a schema or a secret that clkhash accepts all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    #[error("the secret is empty: everybody can make these CLKs; use at least {SHORTEST_KEY} random bytes")]
    NoSecret,
    #[error("the secret has {bytes} bytes: it can be guessed; use at least {SHORTEST_KEY} random bytes")]
    ShortSecret { bytes: usize },
    #[error("/clkConfig/kdf/keySize: {bytes} bytes make keys that can be guessed; use at least {SHORTEST_KEY}")]
    ShortKeys { bytes: usize },
    #[error(
        "doubleHash is broken (Niedermeyer et al. 2014, Kroll and Steinmetzer 2015) and {features} features use it; \
         use blakeHash"
    )]
    DoubleHash { features: usize },
    #[error("/clkConfig/xorFolds: clkhash reads xor_folds and ignores this key, so nothing is folded as it says")]
    UnheardFolds,
}

/// Makes the CLKs of one schema and one secret. It holds the keys; its `Debug` shows none.
pub struct Encoder {
    clk_bits: usize,
    /// Length of the filter before folding.
    bits: usize,
    columns: Vec<Column>,
    weaknesses: Vec<Weakness>,
}

struct Column {
    identifier: String,
    feature: Option<Feature>,
}

struct Feature {
    formatter: Formatter,
    tokenizer: Tokenizer,
    encoding: schema::Encoding,
    strategy: Strategy,
    hasher: Hasher,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({} columns, {} bits)", self.columns.len(), self.clk_bits)
    }
}

impl Encoder {
    /// An encoder. The secret's bytes are taken as they are; it may be empty, as with clkhash.
    ///
    /// # Errors
    /// [`SetupError`], with the path in the schema.
    pub fn new(schema: &Schema, secret: &[u8]) -> Result<Self, SetupError> {
        let features = schema.features.len();
        if features == 0 {
            return Err(SetupError::NoFeatures);
        }
        if let Some(path) = &schema.float {
            return Err(SetupError::Float { path: path.clone() });
        }
        let keys = hash::derive(&schema.kdf, secret, features).ok_or(SetupError::TooManyKeys { features })?;
        let bits = schema.clk_bits << schema.folds;
        let pairs = keys.chunks_exact(2 * schema.kdf.key_bytes);
        let columns = schema.features.iter().zip(pairs).enumerate().map(|(at, (feature, pair))| {
            let (key0, key1) = pair.split_at(schema.kdf.key_bytes);
            let made = feature.rule.as_ref().map(|rule| Feature::new(rule, key0, key1, bits, at)).transpose()?;
            Ok(Column { identifier: feature.identifier.clone(), feature: made })
        });
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(Self { clk_bits: schema.clk_bits, bits, columns, weaknesses: weaknesses(schema, secret) })
    }

    /// What is weak, for a warning or a refusal.
    pub fn weaknesses(&self) -> &[Weakness] {
        &self.weaknesses
    }

    /// A worker for one thread. It remembers the values and tokens that it has met, in bounded memory.
    pub fn worker(&self) -> Worker<'_> {
        Worker::new(self)
    }
}

fn weaknesses(schema: &Schema, secret: &[u8]) -> Vec<Weakness> {
    let secret = match secret.len() {
        0 => Some(Weakness::NoSecret),
        bytes if bytes < SHORTEST_KEY => Some(Weakness::ShortSecret { bytes }),
        _ => None,
    };
    let bytes = schema.kdf.key_bytes;
    let keys = (bytes < SHORTEST_KEY).then_some(Weakness::ShortKeys { bytes });
    let features = schema.double_hashed();
    let double = (features > 0).then_some(Weakness::DoubleHash { features });
    let folds = schema.unheard_folds.then_some(Weakness::UnheardFolds);
    [secret, keys, double, folds].into_iter().flatten().collect()
}

impl Feature {
    fn new(rule: &Rule, key0: &[u8], key1: &[u8], bits: usize, at: usize) -> Result<Self, SetupError> {
        Ok(Self {
            formatter: Formatter::new(rule).ok_or(SetupError::DateFormat { feature: at })?,
            tokenizer: Tokenizer::new(&rule.comparison).ok_or(SetupError::Distance { feature: at })?,
            encoding: rule.encoding,
            strategy: rule.strategy,
            hasher: hasher(rule.hash, key0, key1, bits, at)?,
        })
    }
}

fn hasher(hash: Hash, key0: &[u8], key1: &[u8], bits: usize, feature: usize) -> Result<Hasher, SetupError> {
    match hash {
        Hash::Blake { prevent_singularity: Some(_) } => Err(SetupError::BlakeSingularity { feature }),
        Hash::Blake { .. } if !bits.is_power_of_two() => Err(SetupError::BlakeLength { feature }),
        Hash::Blake { .. } if key0.len() > hash::MOST_BLAKE_KEY => Err(SetupError::BlakeKey { feature }),
        Hash::Blake { .. } => Ok(Hasher::blake(key0)),
        Hash::Double { prevent_singularity: true } if bits == 1 => Err(SetupError::OneBit { feature }),
        Hash::Double { prevent_singularity } => Ok(Hasher::double(key0, key1, prevent_singularity)),
    }
}
