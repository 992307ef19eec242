//! What codes tell to whoever steals them. The room reads codes as an attacker would, black box: it knows every
//! parameter of the profile, it can encode people with keys of its own, and it has no key of the victim.
//!
//! `statistics` needs the codes alone. The attacks need a [`Sample`]: stolen codes in a secret order, and the same
//! people encoded by the attacker, another key each time.
//!
//! - [`known_pairs`]: some stolen codes are known by name, the others are predicted from them (kriging) and looked up.
//! - [`signature`]: no pair is known; households are recognised by the similarities inside them.
//! - [`Statistics`]: no pair is known; the span of the codes shows the image of their diffusion.
//! - [`graph_match`]: no pair is known; the graph of similarities is matched to the attacker's own.
//!
//! An attack that cannot break undiffused filters proves nothing about hardened codes, so each runs on those too.

mod covariance;
mod entropy;
mod gate;
mod graph;
mod known;
mod sample;
mod signature;
mod similarity;
mod span;
mod statistics;
#[cfg(test)]
mod testing;

pub use covariance::Covariance;
pub use entropy::Entropy;
pub use gate::{Gate, Score};
pub use graph::graph_match;
pub use known::{KnownPairs, View, known_pairs};
pub use sample::{Attacker, Sample, draw};
pub use signature::signature;
pub use statistics::{PassStatistics, Statistics};

/// Why an attack cannot be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivacyError {
    #[error("{people} people are too few for an attack; give at least {least}")]
    TooFew { people: usize, least: usize },
    #[error("{known} known pairs leave too few of {people} people to look for; give fewer")]
    TooManyKnown { known: usize, people: usize },
    #[error("the codes of one pass are not all of one length; encode them again")]
    Widths,
}

/// Fewer people than this say nothing about a success rate.
pub const LEAST_PEOPLE: usize = 50;
