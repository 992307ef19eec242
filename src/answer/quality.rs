//! The JSON shape of what a load says about how well it can be linked: counts and rates, nobody's codes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::link::{Estimate, Quality, Register};
use crate::profile::Profile;

/// How well a register can be linked, estimated without knowing who is who.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadQuality {
    /// Who can be found.
    pub persons: usize,
    /// People of the register who were looked for in it as if they were not there.
    pub sampled: usize,
    pub passes: Vec<PassLimits>,
    /// From here all codes together link elsewhere, in z.
    pub together: f64,
    /// From here all codes together link at an address of one person, of two, and so on.
    pub at_address: Vec<f64>,
    /// Expected false links per thousand people who are not in the register.
    pub false_links_per_thousand: f64,
    /// How well the care list was linked to the population, where both are loaded: in what officers read.
    #[serde(default)]
    pub care: Option<LinkEstimate>,
}

/// One pass that is compared with the whole register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PassLimits {
    pub pass: String,
    /// Links from here, and nobody is sure from here, in z.
    pub link: f64,
    pub unsure: f64,
    /// Expected per thousand people who are not in the register.
    pub linked_per_thousand: f64,
    pub unsure_per_thousand: f64,
    /// Pairs of sampled people and others by z: from 4 on, a quarter a step.
    pub histogram: Vec<u64>,
}

/// How well people were linked, estimated, and as coarse as officers read it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkEstimate {
    pub asked: usize,
    pub linked: usize,
    pub unsure: usize,
    pub false_links: f64,
    /// Absent where nobody was linked, or too few to learn from.
    pub precision: Option<f64>,
    pub recall: Option<f64>,
}

impl LoadQuality {
    /// Of a register alone.
    pub fn of(profile: &Profile, register: &Register) -> Self {
        let Quality { persons, sampled, passes, together, at_address, false_links_per_thousand } = register.quality();
        let limits = |pass: crate::link::PassQuality| PassLimits {
            pass: profile.passes[pass.pass].name.clone(),
            link: pass.link,
            unsure: pass.unsure,
            linked_per_thousand: pass.linked_per_thousand,
            unsure_per_thousand: pass.unsure_per_thousand,
            histogram: pass.histogram,
        };
        Self {
            persons,
            sampled,
            passes: passes.into_iter().map(limits).collect(),
            together,
            at_address,
            false_links_per_thousand,
            care: None,
        }
    }
}

/// Shares of fewer people than this tell of single ones.
const FEW: usize = 100;

impl LinkEstimate {
    /// Coarse: counts to tens, shares to whole percents and none of a short list, so that one person more or less seldom shows.
    pub fn protected(of: Estimate) -> Self {
        let tens = |count: usize| (count + 5) / 10 * 10;
        let percent = |share: f64| (share * 100.0).round() / 100.0;
        let share = |share: Option<f64>| share.filter(|_| of.asked >= FEW).map(percent);
        Self {
            asked: tens(of.asked),
            linked: tens(of.linked),
            unsure: tens(of.unsure),
            false_links: of.false_links.round(),
            precision: share(of.precision),
            recall: share(of.recall),
        }
    }
}

impl From<Estimate> for LinkEstimate {
    fn from(estimate: Estimate) -> Self {
        let Estimate { asked, linked, unsure, false_links, precision, recall } = estimate;
        Self { asked, linked, unsure, false_links, precision, recall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_more_or_less_of_a_list_seldom_shows_in_what_officers_read() {
        let told = |asked, linked| {
            let (precision, recall) = (Some(linked as f64 / (linked as f64 + 0.3)), Some(0.9 + 0.0001 * linked as f64));
            LinkEstimate::protected(Estimate { asked, linked, unsure: 0, false_links: 0.3, precision, recall })
        };
        assert_eq!(told(18, 16), told(18, 15));
        assert_eq!((told(99, 80).precision, told(99, 80).recall), (None, None));
        assert_eq!(told(150, 132), told(150, 131));
        assert_eq!(
            (told(150, 131).linked, told(150, 131).precision, told(150, 131).false_links),
            (130, Some(1.0), 0.0)
        );
        assert_ne!(told(150, 131), told(150, 121));
    }
}
