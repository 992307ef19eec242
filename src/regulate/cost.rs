//! What an answered question counts as, towards budget and tap.
//!
//! Like the answer, it never says of people who are told nothing whether a shield hides them or no register knows them.
//! Such people are `undetermined` however many ask together, which costs the same wherever they live; beside others who
//! are told something they live apart, which costs the same whether they are found or not.

use super::{Answer, Regulation, Role};
use crate::link::Finding;

/// What an answered question counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Two about several people, unless they are told something of one household.
    pub questions: u32,
    /// Whether it was told nothing, named people apart, or hit somebody who lives elsewhere. The stock holds addresses,
    /// not people: anybody can be named at one.
    pub missed: bool,
}

impl Cost {
    /// Of a question about so many people that was told nothing.
    pub fn untold(tenants: usize) -> Self {
        Self { questions: 1 + u32::from(tenants > 1), missed: true }
    }
}

impl Regulation {
    /// Whether a question of this role is told nothing though the registers could tell something.
    pub fn leaves_open(&self, recipient: Role, finding: &Finding) -> bool {
        self.word(recipient, finding) == Answer::Undetermined
    }

    /// What a question of this role costs; `finding` and `fresh` as [`super::Permit::disclose`] has them.
    pub fn cost(&self, recipient: Role, finding: Option<&Finding>, fresh: bool) -> Cost {
        let Some(finding) = finding.filter(|_| fresh && self.tells(recipient)) else {
            // Where nobody at all is told anything, that is no fault of the question.
            return Cost { questions: 1, missed: false };
        };
        if self.leaves_open(recipient, finding) {
            return Cost::untold(finding.tenants.len());
        }
        Cost { questions: 1 + u32::from(finding.apart), missed: finding.apart || finding.moved.is_some() }
    }
}
