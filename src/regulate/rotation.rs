//! What a regulation says of salt epochs: how long each part of a rotation may take, and how much the registers may
//! change with it.

use serde::Deserialize;

use super::RegulationError;
use super::regulation::value;

/// `[rotation]` in `regulation.toml`. What is left out is as here: [`Rotation::default`].
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// Days after the announcement by which every custodian contributes.
    pub contribute_days: u32,
    /// Days after the announcement by which every source is loaded.
    pub load_days: u32,
    /// Days that the old epoch answers beside the new one.
    pub grace_days: u32,
    /// Most that a source may have more or fewer records than in the epoch before, as a share of those, 0 to 1.
    pub most_change: f64,
    /// Most loads of a party on a day into an epoch that answers.
    pub loads_per_day: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { contribute_days: 14, load_days: 28, grace_days: 30, most_change: 0.1, loads_per_day: 3 }
    }
}

impl Rotation {
    /// Whether a source with `after` records may take the place of one with `before`.
    pub fn allows(&self, before: u64, after: u64) -> bool {
        before.abs_diff(after) as f64 <= self.most_change * before as f64
    }

    pub(super) fn check(&self) -> Result<(), RegulationError> {
        let days = |n: u32| n <= 366;
        for (holds, what) in [
            (days(self.contribute_days), "rotation.contribute_days must be 0 to 366"),
            (
                days(self.load_days) && self.load_days >= self.contribute_days,
                "rotation.load_days must be contribute_days to 366",
            ),
            (days(self.grace_days), "rotation.grace_days must be 0 to 366"),
            ((0.0..=1.0).contains(&self.most_change), "rotation.most_change must be 0 to 1"),
            ((1..=100).contains(&self.loads_per_day), "rotation.loads_per_day must be 1 to 100"),
        ] {
            if !holds {
                return Err(value(what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_may_change_by_the_agreed_share_both_ways() {
        let rotation = Rotation { most_change: 0.1, ..Rotation::default() };
        for (before, after, want) in
            [(100, 90, true), (100, 89, false), (100, 110, true), (100, 111, false), (0, 0, true), (0, 1, false)]
        {
            assert_eq!(rotation.allows(before, after), want, "{before} {after}");
        }
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused_by_name() {
        for (text, key) in [
            ("grace_days = 400", "grace_days"),
            ("most_change = 1.5", "most_change"),
            ("most_change = nan", "most_change"),
            ("contribute_days = 30", "load_days"),
            ("loads_per_day = 0", "loads_per_day"),
        ] {
            let rotation: Rotation = toml::from_str(text).unwrap();
            assert!(rotation.check().unwrap_err().to_string().contains(key), "{text}");
        }
        assert!(Rotation::default().check().is_ok());
    }
}
