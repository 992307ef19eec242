//! Positions of the log as a person reads them: `46, 50 to 52`.

use std::fmt::{self, Display};

use crate::audit::Range;

/// Most ranges of one text; a program gets them all.
const MOST: usize = 20;

/// Positions in order, as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(pub Vec<Range>);

impl FromIterator<u64> for Spans {
    fn from_iter<T: IntoIterator<Item = u64>>(positions: T) -> Self {
        let mut ranges: Vec<Range> = Vec::new();
        for at in positions {
            match ranges.last_mut() {
                Some(last) if last.to == at => last.to += 1,
                _ => ranges.push(Range { from: at, to: at + 1 }),
            }
        }
        Self(ranges)
    }
}

impl Spans {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many positions.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.to - range.from).sum()
    }

    /// The first of them.
    pub fn first(&self) -> Option<u64> {
        self.0.first().map(|range| range.from)
    }

    /// Pairs, the second one behind the last position, as `audit verify --json` has them.
    pub fn pairs(&self) -> Vec<[u64; 2]> {
        self.0.iter().map(|range| [range.from, range.to]).collect()
    }
}

impl Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().take(MOST).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            match range.to - range.from {
                1 => write!(f, "{comma}{}", range.from)?,
                _ => write!(f, "{comma}{} to {}", range.from, range.to - 1)?,
            }
        }
        match self.0.len().saturating_sub(MOST) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_ranges_and_not_without_end() {
        let some: Spans = [3, 4, 5, 9].into_iter().collect();
        assert_eq!((some.to_string().as_str(), some.count(), some.first()), ("3 to 5, 9", 4, Some(3)));
        assert_eq!(some.pairs(), [[3, 6], [9, 10]]);
        let many: Spans = (0..50).map(|at| 2 * at).collect();
        assert!(many.to_string().ends_with("38, and 30 more"), "{many}");
    }
}
