//! How good links are, estimated without knowing who is who: for whoever cannot see the data.

use super::decide::Standing;
use super::register::Register;

/// What a register takes for a link, and what errors that leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Who can be found.
    pub persons: usize,
    /// People of the register who were looked for in it as if they were not there.
    pub sampled: usize,
    /// The passes that are compared with the whole register, in the order in which they may link.
    pub passes: Vec<PassQuality>,
    /// From here all codes together link who is in doubt elsewhere, in z.
    pub together: f64,
    /// From here all codes together link at an address of one person, of two, and so on up to eight.
    pub at_address: Vec<f64>,
    /// Expected false links per thousand people who are not in the register.
    pub false_links_per_thousand: f64,
}

/// One pass that is compared with the whole register.
#[derive(Clone, Debug, PartialEq)]
pub struct PassQuality {
    /// Position in the profile.
    pub pass: usize,
    /// Links from here, in z.
    pub link: f64,
    /// Nobody is sure from here, in z.
    pub unsure: f64,
    /// Expected per thousand people who are not in the register: linked to somebody else.
    pub linked_per_thousand: f64,
    /// And those about whom nobody is sure, the linked ones included.
    pub unsure_per_thousand: f64,
    /// Pairs of sampled people and others by z: from 4 on, a quarter a step.
    pub histogram: Vec<u64>,
}

/// How well people were linked, estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub asked: usize,
    pub linked: usize,
    pub unsure: usize,
    /// Expected among the linked.
    pub false_links: f64,
    /// Share of right links; none if nobody was linked.
    pub precision: Option<f64>,
    /// Share of those in the register who were linked; none if too few were found at their address to learn from.
    pub recall: Option<f64>,
}

/// People found at their address, at least, from whom the recall elsewhere is learned.
const FEWEST: usize = 30;

impl Register {
    /// The thresholds of this register and what they leave.
    pub fn quality(&self) -> Quality {
        let thresholds = self.thresholds();
        let pass = |(at, (pass, limits)): (usize, &(usize, super::thresholds::Limits))| {
            let histogram = thresholds.resembling.get(at).cloned().unwrap_or_default();
            let end = histogram.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
            PassQuality {
                pass: *pass,
                link: limits.link,
                unsure: limits.unsure,
                linked_per_thousand: thresholds.expected(self, at, limits.link),
                unsure_per_thousand: thresholds.expected(self, at, limits.unsure),
                histogram: histogram[..end].to_vec(),
            }
        };
        let passes: Vec<PassQuality> = thresholds.scanned.iter().enumerate().map(pass).collect();
        let of = &self.rule.per_thousand;
        Quality {
            persons: self.persons(),
            sampled: thresholds.sampled,
            together: thresholds.together,
            at_address: (1..=8).map(|people| thresholds.here(people).link).collect(),
            false_links_per_thousand: of.links_at_address
                + of.links_elsewhere
                + passes.iter().map(|pass| pass.linked_per_thousand).sum::<f64>(),
            passes,
        }
    }

    /// How well these people were linked to this register.
    ///
    /// Who was found at the address is known without the global code: the share of them whom that code alone would have
    /// linked is the share of those who moved that it finds, if people who move are like others. Who was not found is
    /// not in the register but for that share, and false links are as many as such people are expected to have.
    pub fn estimate<'a>(&self, standings: impl IntoIterator<Item = &'a Standing>) -> Estimate {
        let [mut asked, mut here, mut here_known, mut linked, mut far_known, mut unsure] = [0_usize; 6];
        for standing in standings {
            asked += 1;
            match *standing {
                Standing::Linked { at_address, by_names, .. } => {
                    linked += 1;
                    here += usize::from(at_address);
                    here_known += usize::from(at_address && by_names);
                    far_known += usize::from(!at_address && by_names);
                }
                Standing::Unsure => unsure += 1,
                Standing::Nobody => {}
            }
        }
        let quality = self.quality();
        let share = |per_thousand: f64| (per_thousand / 1000.0).min(0.5);
        let wrong = share(quality.false_links_per_thousand);
        let doubted = share(quality.passes.iter().map(|pass| pass.unsure_per_thousand).sum());
        let known = (here >= FEWEST && here_known > 0).then(|| here_known as f64 / here as f64);
        let moved = known.map_or(0.0, |known| far_known as f64 * (1.0 - known) / known);
        let strangers = ((asked - linked) as f64 - moved).max(0.0);
        let false_links = (strangers * wrong / (1.0 - wrong)).min(linked as f64);
        let right = linked as f64 - false_links;
        // Of those in doubt, who is in the register is one more than strangers account for.
        let missed = moved + (unsure as f64 - strangers * doubted).max(0.0);
        Estimate {
            asked,
            linked,
            unsure,
            false_links,
            precision: (linked > 0).then(|| right / linked as f64),
            recall: known.filter(|_| right > 0.0).map(|_| right / (right + missed)),
        }
    }
}
