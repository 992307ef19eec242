//! What every regulation must refuse, whatever its articles say. At load the articles are tried with acts that no
//! agreement can make right; a forgotten or mistyped article shows here, not in the first wrong answer. It is a net,
//! not a proof: an article written to evade it can. That is what the parties' signatures are for.

use super::{Act, Arrears, Conditions, Consent, Facts, Regulation, RegulationError, Role};
use crate::ids::{Oin, Purpose};
use crate::link::Source;

impl Regulation {
    pub(super) fn check_floor(&self) -> Result<(), RegulationError> {
        let last = self.validity().1.previous_day().unwrap_or(self.validity().0);
        for party in self.parties() {
            for best in self.best_questions(&party.oin) {
                // On the last day as on the first.
                for best in [Facts { today: last, ..best.clone() }, best.clone()] {
                    self.refuses(self.forbidden(&party.oin, party.role, &best))?;
                }
                for best in self.circumstances(&best) {
                    self.refuses(self.forbidden_questions(&party.oin, party.role, &best))?;
                }
                for best in self.circumstances(&Facts { action: Act::AskGroups, ..best }) {
                    self.refuses(self.forbidden_groups(party.role, &best))?;
                }
            }
        }
        Ok(())
    }

    /// That the articles refuse all of it, by themselves.
    fn refuses(&self, forbidden: Vec<(&'static str, Facts)>) -> Result<(), RegulationError> {
        let mut forbidden = forbidden.into_iter();
        let permitted = forbidden.find(|(_, facts)| self.articles.decide(facts, &self.document).is_ok());
        permitted.map_or(Ok(()), |(why, _)| Err(RegulationError::Floor(why)))
    }

    /// Questions that must be refused.
    fn forbidden_questions(&self, actor: &Oin, role: Role, best: &Facts) -> Vec<(&'static str, Facts)> {
        let mut all = vec![
            ("an act before the regulation holds", self.with_day_before(best)),
            ("an act after the regulation holds", Facts { today: self.validity().1, ..best.clone() }),
        ];
        if role != Role::Corporation {
            all.push(("a question of a party that is no corporation", best.clone()));
            return all;
        }
        all.extend(self.flawed(best));
        if self.budgets().minimum_batch > 1 {
            let batch = self.budgets().minimum_batch - 1;
            all.push(("a question below the minimum batch", Facts { batch, ..best.clone() }));
        }
        if let Some(days) = self.days_too_few(actor) {
            let arrears = Some(Arrears { months: 0.0, days });
            all.push(("a question before the moment of asking", Facts { arrears, ..best.clone() }));
        }
        if self.consent().model == Consent::OptIn {
            let mut facts = best.clone();
            facts.conditions.tenant_agrees = false;
            all.push(("a question without the tenant's consent", facts));
        }
        all
    }

    /// Questions for groups that must be refused.
    fn forbidden_groups(&self, role: Role, best: &Facts) -> Vec<(&'static str, Facts)> {
        let groups = Facts { action: Act::AskGroups, ..best.clone() };
        let mut all = vec![
            ("groups told before the regulation holds", self.with_day_before(&groups)),
            ("groups told after the regulation holds", Facts { today: self.validity().1, ..groups.clone() }),
            ("groups told for no purpose", Facts { purpose: None, ..groups.clone() }),
            ("groups told for a purpose that it does not list", Facts { purpose: Some(unlisted()), ..groups.clone() }),
            ("groups of a household that is no case", Facts { in_case: false, ..groups.clone() }),
        ];
        if !role.is_care_side() {
            all.push(("groups told to others than the care side", groups));
        }
        all
    }

    /// What this party could do that must be refused, and why: each one thing other than in `best`.
    fn forbidden(&self, actor: &Oin, role: Role, best: &Facts) -> Vec<(&'static str, Facts)> {
        let other = |action| Facts { action, ..best.clone() };
        let mut all = self.forbidden_questions(actor, role, best);
        all.extend(self.forbidden_groups(role, best));
        if role != Role::PopulationCustodian {
            all.push(("population records from another party", other(Act::Load(Source::Population))));
        }
        if role != Role::CareCustodian {
            all.push(("care records from another party", other(Act::Load(Source::Care))));
        }
        if matches!(role, Role::Administrator | Role::PrivacyOfficer) {
            all.push(("the salt in the hands of who loads and asks nothing", other(Act::FetchShares)));
            all.push(("a share of the salt from who loads nothing", other(Act::ContributeShare)));
        }
        let alone = |action| Facts { action, second: None, ..best.clone() };
        all.push(("a housing stock that nobody else stands behind", alone(Act::RegisterStock)));
        let others = self.parties().iter().filter(|party| !self.document.is_municipal_officer(party));
        all.extend(others.map(|party| {
            let facts = Facts { action: Act::RegisterStock, second: Some(party.oin.clone()), ..best.clone() };
            ("a housing stock that somebody else than the municipality's officer confirms", facts)
        }));
        all.push(("a regulation that one person alone activates", alone(Act::ActivateRegulation)));
        all.push(("a closed tap that one person alone opens", alone(Act::OpenTap)));
        all.push(("an epoch that one person alone ends", alone(Act::EndEpoch)));
        if role != Role::PrivacyOfficer {
            all.push(("the access log open to others than privacy officers", other(Act::ReadLog)));
        }
        all
    }

    /// A question with nothing against it.
    pub(super) fn best_question(&self, actor: &Oin) -> Facts {
        Facts {
            purpose: self.purposes().first().map(|purpose| purpose.id.clone()),
            arrears: Some(Arrears { months: 24.0, days: 366 }),
            conditions: Conditions::MET,
            in_stock: Some(true),
            stock: Some(1_000),
            batch: u32::MAX,
            in_case: true,
            second: self.parties().iter().map(|party| &party.oin).find(|oin| *oin != actor).cloned(),
            ..Facts::new(actor.clone(), Act::Ask, self.validity().0)
        }
    }

    /// That question for each purpose.
    pub(super) fn best_questions(&self, actor: &Oin) -> Vec<Facts> {
        let best = self.best_question(actor);
        let each = self.purposes().iter().map(|purpose| Some(purpose.id.clone()));
        each.map(|purpose| Facts { purpose, ..best.clone() }).collect()
    }

    fn with_day_before(&self, facts: &Facts) -> Facts {
        let first = self.validity().0;
        let today = first.previous_day().unwrap_or(first);
        Facts { today, ..facts.clone() }
    }

    /// Arrears of the last day on which this corporation may not ask yet.
    fn days_too_few(&self, actor: &Oin) -> Option<u32> {
        let days = self.document.moment(actor)?.arrears().in_days() - 1;
        u32::try_from(days).ok()
    }

    /// The best question with one thing wrong: where the regulation draws a line, just beyond it.
    pub(super) fn flawed(&self, best: &Facts) -> Vec<(&'static str, Facts)> {
        let without = |change: fn(&mut Conditions)| {
            let mut facts = best.clone();
            change(&mut facts.conditions);
            facts
        };
        let budgets = self.budgets();
        let most = budgets.stop(best.stock.unwrap_or(0));
        let often = u64::from(budgets.household_per_month);
        vec![
            ("a question without a purpose", Facts { purpose: None, ..best.clone() }),
            ("a question for a purpose that it does not list", Facts { purpose: Some(unlisted()), ..best.clone() }),
            ("a question without arrears", Facts { arrears: None, ..best.clone() }),
            ("a question without personal contact first", without(|c| c.personal_contact = false)),
            ("a question without an offer of help first", without(|c| c.help_offered = false)),
            ("a question without a reminder first", without(|c| c.reminder_sent = false)),
            ("a question over an objection", without(|c| c.no_objection = false)),
            ("a question about an address outside the stock", Facts { in_stock: Some(false), ..best.clone() }),
            ("a question about an unknown address", Facts { in_stock: None, ..best.clone() }),
            ("a question of a corporation without stock", Facts { stock: None, ..best.clone() }),
            ("a question beyond the month's budget", Facts { asked_this_month: most, ..best.clone() }),
            ("a question after probing closed the tap", Facts { tap_closed: true, ..best.clone() }),
            ("a question too often about one household", Facts { asked_household_this_month: often, ..best.clone() }),
        ]
    }
}

fn unlisted() -> Purpose {
    "not-in-any-regulation".parse().expect("it is kebab-case")
}
