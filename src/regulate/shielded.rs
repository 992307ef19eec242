//! What a reader may infer of a shielded group of the population, minors or seniors, who knows that no other group explains
//! `undetermined`. The parties estimate how common it is; without that estimate nothing is reckoned, and check says so. A
//! common group hides badly: of a quarter of the households a shield leaves hardly a doubt.

use super::disclose::{GroupRule, Posterior};
use super::inference::Cells;
use super::regulation::value;
use super::{Regulation, RegulationError, Role};
use crate::code::Group;

impl Posterior {
    /// The shielded groups of the population that corporations are told of, with the parties' estimate of each.
    fn shielded<'a>(&'a self, groups: &'a [GroupRule]) -> impl Iterator<Item = (Group, Option<f64>)> + 'a {
        let told = |rule: &&GroupRule| rule.shield && rule.is_served_to(Role::Corporation);
        groups.iter().filter(told).filter_map(|rule| match rule.group {
            Group::Minor => Some((Group::Minor, self.minor_share)),
            Group::Senior => Some((Group::Senior, self.senior_share)),
            Group::Oggz => None,
        })
    }

    /// The posterior by the parties' own estimate, `None` where there is none.
    pub(super) fn estimated(&self, groups: &[GroupRule]) -> Vec<(Group, Option<f64>)> {
        let of = |share: f64| share / (share + (1.0 - share) * self.undetermined_share);
        self.shielded(groups).map(|(group, share)| (group, share.map(of))).collect()
    }

    pub(super) fn check_shielded(&self, groups: &[GroupRule]) -> Result<(), RegulationError> {
        for (name, share) in [("minor_share", self.minor_share), ("senior_share", self.senior_share)] {
            if share.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
                return Err(value(format!("posterior.{name} must be above 0 and below 1")));
            }
        }
        let known: Vec<f64> = self.estimated(groups).into_iter().filter_map(|(_, posterior)| posterior).collect();
        if known.iter().any(|posterior| *posterior > self.bound) {
            return Err(value(
                "posterior.bound is exceeded for a shielded group of the population: open it, serve it to no corporation, or \
                 have the bound agreed",
            ));
        }
        if !known.is_empty() && self.bound_registered() < 1.0 {
            return Err(value(
                "posterior.bound_registered is exceeded: a shield hides nothing from who has the register at hand",
            ));
        }
        Ok(())
    }
}

impl Cells {
    /// The worst posterior of the shielded groups of the population that the parties estimated, from the counts of loads.
    pub fn worst_shielded(&self, regulation: &Regulation) -> Option<f64> {
        let [minor, senior, neither] = self.households.map(|(all, _)| all);
        let of = |group: Group| {
            // Households with both are counted with the minors alone: never too low.
            let members = self.at_least_small(if group == Group::Minor { minor } else { senior });
            let unsure = self.undetermined_share.clamp(0.0, 1.0) * neither as f64;
            if members + unsure > 0.0 { members / (members + unsure) } else { 0.0 }
        };
        let estimated = regulation.posterior().shielded(regulation.groups()).filter(|(_, share)| share.is_some());
        estimated.map(|(group, _)| of(group)).max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regulate::check::Severity;
    use crate::regulate::tests::{CEDAR_TEXT, TOML_TEXT, read, replaced};

    /// Minors behind a shield, which the shipped examples do not have.
    fn shielded(posterior: &str) -> Result<Regulation, RegulationError> {
        let toml = replaced(TOML_TEXT, "shield = false", "shield = true");
        read(&replaced(&toml, "bound = 0.5", posterior), CEDAR_TEXT)
    }

    fn says(regulation: &Regulation, severity: Severity, what: &str) -> bool {
        regulation.remarks().iter().any(|remark| remark.severity == severity && remark.what.contains(what))
    }

    #[test]
    fn a_shielded_group_of_the_population_is_reckoned_with_where_the_parties_estimate_it() {
        let without = shielded("bound = 0.50").unwrap();
        assert!(says(&without, Severity::Warning, "group minor is shielded, and no figure"));
        // A quarter of the households: .25 / (.25 + .75 * .05).
        assert!(shielded("bound = 0.5\nminor_share = 0.25").is_err());
        let told = shielded("bound = 0.9\nminor_share = 0.25").unwrap();
        assert!(says(&told, Severity::Note, "group minor is shielded: a reader may become 87.0 % sure"));
        assert!(!says(&told, Severity::Warning, "group minor is shielded"));
        assert!(shielded("bound = 0.5\nminor_share = 0.04").is_ok(), "a rare one hides");
        for wrong in ["0.0", "1.0", "-0.2", "nan"] {
            assert!(shielded(&format!("bound = 0.5\nminor_share = {wrong}")).is_err(), "{wrong}");
        }
        assert!(
            read(&replaced(TOML_TEXT, "bound = 0.5", "bound = 0.5\nminor_share = 0.25"), CEDAR_TEXT).is_ok(),
            "open"
        );
    }

    #[test]
    fn the_counts_of_a_load_decide_whatever_the_parties_estimated() {
        let cells = |minors| Cells { households: [(minors, 0), (0, 0), (10_000, 0)], undetermined_share: 0.05 };
        let rare = shielded("bound = 0.5\nminor_share = 0.04").unwrap();
        // By hand: 400 of 400 + .05 * 10,000; small counts are counted as ten.
        assert!((cells(400).worst_shielded(&rare).unwrap() - 400.0 / 900.0).abs() < 1e-12);
        assert_eq!(cells(3).worst_shielded(&rare), cells(10).worst_shielded(&rare));
        assert!(!cells(400).worst(&rare).exceeds(rare.posterior()));
        assert!(cells(600).worst(&rare).exceeds(rare.posterior()));
        let silent = shielded("bound = 0.50").unwrap();
        assert_eq!(cells(600).worst_shielded(&silent), None);
        assert!(!cells(600).worst(&silent).exceeds(silent.posterior()), "a warning, as check says");
    }
}
