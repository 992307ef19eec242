//! What `regulation.toml` states, and what no agreement can make right, is held here, whatever the articles say: an
//! article can be stricter than a gate and never looser. A regulation whose articles permit what a gate shuts off is
//! refused when it is read, where the sweep finds it: they would tell who signs something else than what is done.

use super::disclose::{GroupRule, GroupSource};
use super::regulation::Document;
use super::{Act, Consent, Facts, Form, Party, Refusal, Regulation, RegulationError, Role};
use crate::link::Source;

/// One protection. It bears the name of the article that says the same in the shipped regulations, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Role,
    Minimisation,
    Validity,
    Purpose,
    Case,
    Moment,
    LandlordDuties,
    Objection,
    Stock,
    Budget,
    HouseholdLimit,
    MinimumBatch,
    Probing,
    FourEyes,
    StockCountersigned,
}

impl Gate {
    pub(super) const ALL: [Self; 15] = [
        Self::Role,
        Self::Minimisation,
        Self::Validity,
        Self::Purpose,
        Self::Case,
        Self::Moment,
        Self::LandlordDuties,
        Self::Objection,
        Self::Stock,
        Self::Budget,
        Self::HouseholdLimit,
        Self::MinimumBatch,
        Self::Probing,
        Self::FourEyes,
        Self::StockCountersigned,
    ];

    /// Whether it lets this party's act through.
    fn is_open(self, document: &Document, party: &Party, facts: &Facts) -> bool {
        let asks = facts.action == Act::Ask;
        let second = || facts.second.as_ref().and_then(|second| document.second(&facts.actor, second));
        match self {
            Self::Role => may(party.role, facts.action),
            Self::Minimisation => match facts.action {
                Act::Load(source) => is_needed(document, source),
                _ => true,
            },
            // Supervision outlives the covenant, what is left is ended, and what follows is activated before it begins.
            Self::Validity => match facts.action {
                Act::ReadLog | Act::EndEpoch => true,
                Act::ActivateRegulation => facts.today < document.valid_until,
                _ => (document.valid_from..document.valid_until).contains(&facts.today),
            },
            Self::Purpose => {
                let listed = || document.purposes.iter().any(|purpose| Some(&purpose.id) == facts.purpose.as_ref());
                !matches!(facts.action, Act::Ask | Act::AskGroups) || listed()
            }
            Self::Case => facts.action != Act::AskGroups || facts.in_case,
            Self::Moment => {
                let come = |from: i64| facts.arrears.is_some_and(|arrears| arrears.in_days() >= from);
                !asks || document.moment(&party.oin).is_some_and(|moment| come(moment.arrears().in_days()))
            }
            Self::LandlordDuties => {
                let done = facts.conditions;
                !asks || (done.personal_contact && done.help_offered && done.reminder_sent)
            }
            Self::Objection => {
                let said = facts.conditions;
                !asks || (said.no_objection && (document.consent.model != Consent::OptIn || said.tenant_agrees))
            }
            Self::Stock => !asks || facts.in_stock == Some(true),
            Self::Budget => !asks || facts.asked_this_month < facts.stock.map_or(0, |n| document.budget.stop(n)),
            Self::HouseholdLimit => {
                !asks || facts.asked_household_this_month < u64::from(document.budget.household_per_month)
            }
            Self::MinimumBatch => !asks || facts.batch >= document.budget.minimum_batch,
            Self::Probing => !asks || !facts.tap_closed,
            Self::FourEyes => {
                !matches!(facts.action, Act::ActivateRegulation | Act::OpenTap | Act::EndEpoch) || second().is_some()
            }
            Self::StockCountersigned => {
                facts.action != Act::RegisterStock || second().is_some_and(|one| document.is_municipal_officer(one))
            }
        }
    }

    /// Id and title of the refusal.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Role => ("default", "No regulation gives this to a party of this role"),
            Self::Minimisation => ("minimisation", "The regulation tells nobody anything of this register"),
            Self::Validity => ("validity", "The regulation does not hold today"),
            Self::Purpose => ("purpose", "The regulation does not list this purpose"),
            Self::Case => ("case", "The household is not one of a reported case"),
            Self::Moment => ("moment", "The arrears have not come far enough to ask"),
            Self::LandlordDuties => ("landlord-duties", "The landlord has not yet done what the law asks first"),
            Self::Objection => {
                ("objection", "The tenant objects, was not asked, or has not agreed where that is needed")
            }
            Self::Stock => ("stock", "The address is not in the corporation's registered housing stock"),
            Self::Budget => ("budget", "The corporation has used up its questions for this month"),
            Self::HouseholdLimit => ("household-limit", "This household has been asked about too often this month"),
            Self::MinimumBatch => ("minimum-batch", "The request asks about too few households at once"),
            Self::Probing => ("probing", "Too many questions missed, and the tap is closed"),
            Self::FourEyes => ("four-eyes", "One person alone may not do this"),
            Self::StockCountersigned => {
                ("stock-countersigned", "The municipality's privacy officer has not confirmed this housing stock")
            }
        }
    }

    /// The refusal where the articles permit.
    pub(super) fn refusal(self) -> Refusal {
        let (id, title) = self.words();
        let remedy =
            "The service holds this whatever the articles say; read regulation.toml with your privacy officer.";
        Refusal { article: id.into(), title: title.into(), remedy: remedy.into(), articles: vec![id.into()] }
    }
}

/// What no regulation can give to other roles. Of the acts that are not named here the articles decide alone.
fn may(role: Role, act: Act) -> bool {
    match act {
        Act::Ask => role == Role::Corporation,
        Act::AskGroups => role.is_care_side(),
        Act::Load(Source::Population) => role == Role::PopulationCustodian,
        Act::Load(Source::Care) => role == Role::CareCustodian,
        // The salt in the hands of who loads and asks nothing.
        Act::FetchShares | Act::ContributeShare => !matches!(role, Role::Administrator | Role::PrivacyOfficer),
        Act::ReadLog => role == Role::PrivacyOfficer,
        _ => true,
    }
}

/// Data minimisation (GDPR article 5(1)(c)): whether anybody who may ask is told something that rests on these records. A
/// group of the care list is told of a household, and the population register makes it.
fn is_needed(document: &Document, source: Source) -> bool {
    let asks = |party: &&Party| may(party.role, Act::Ask) || may(party.role, Act::AskGroups);
    // Groups are told in the form that is for them, which no other role has; all else is told as one word.
    let forms =
        |role: Role| document.disclosures.iter().filter(move |told| told.recipient == role).map(|told| told.form);
    let is_told = |role: Role| forms(role).any(|form| (form == Form::Groups) == role.is_care_side());
    let rests = |group: &&GroupRule| source == Source::Population || group.source == GroupSource::Care;
    let served = |group: &GroupRule| {
        document.parties.iter().filter(asks).any(|party| group.is_served_to(party.role) && is_told(party.role))
    };
    document.groups.iter().filter(rests).any(served)
}

impl Regulation {
    /// Whether anybody who may ask is told something that rests on these records.
    pub fn needs(&self, source: Source) -> bool {
        is_needed(&self.document, source)
    }

    /// The first gate that is shut for this act.
    pub(super) fn shut(&self, party: &Party, facts: &Facts) -> Option<Gate> {
        Gate::ALL.into_iter().find(|gate| !gate.is_open(&self.document, party, facts))
    }

    /// Refuses articles that permit what a gate shuts off, tried where the regulation and its articles draw lines. That
    /// tells mistakes; what it does not meet is refused all the same when it happens.
    pub(super) fn check_gates(&self) -> Result<(), RegulationError> {
        let last = self.validity().1.previous_day().unwrap_or(self.validity().0);
        for party in self.parties() {
            let also = |facts: Facts| {
                let late = Facts { today: last, ..facts.clone() };
                // A request of the usual size.
                let few = Facts { batch: facts.batch.min(self.budgets().minimum_batch), ..facts.clone() };
                [facts, late, few]
            };
            for facts in self.sweep(&party.oin).into_iter().flat_map(also) {
                if let Some(gate) = self.shut(party, &facts)
                    && self.articles.decide(&facts, &self.document).is_ok()
                {
                    let (id, title) = gate.words();
                    return Err(RegulationError::Gate { act: facts.action.as_str(), id, title });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::super::article::Articles;
    use super::super::tests::{CEDAR_TEXT, TOML_TEXT, YMERE, question, read, replaced};
    use super::super::{Arrears, Conditions};
    use super::*;

    /// The regulation with other articles, which nobody read before.
    fn drafted(toml: &str, cedar: &str) -> Regulation {
        let mut regulation = read(toml, CEDAR_TEXT).unwrap();
        regulation.articles = Articles::read(&regulation.document, cedar).unwrap();
        regulation
    }

    const OBJECTION: &str = "context.noObjection && (!resource.optIn || context.tenantAgrees)";
    const DUTIES: &str = "context.personalContact && context.helpOffered && context.reminderSent";
    const LISTED: &str = "context has purpose && resource.purposes.contains(context.purpose)";
    const SMALLEST: &str = "context.batch == resource.minimumBatch";
    const LARGER: &str = "context.batch > resource.minimumBatch";

    type Flaw = fn(&mut Facts);

    /// An article of Haarlem with one condition that lets more through, and a question that it lets through.
    fn loose() -> Vec<(&'static str, String, Flaw, &'static str)> {
        let or = |held: &'static str, more: &str| (held, format!("(({held}) || ({more}))"));
        let and = |held: &'static str, more: &str| (held, format!("({held} && {more})"));
        let not_objecting: [(&str, Flaw); 9] = [
            (SMALLEST, |_| {}),
            ("!context.tenantAgrees", |_| {}),
            ("context.today > resource.validFrom && context.today + 5000 < resource.validUntil", |_| {}),
            ("context.askedHousehold == resource.minimumBatch", |f| f.asked_household_this_month = 1),
            ("context.askedThisMonth > resource.householdLimit", |f| f.asked_this_month = 5),
            ("context.batch == context.askedThisMonth", |f| f.asked_this_month = 1),
            ("context has arrearsDays && context.arrearsDays + 20260000 == context.today", |f| f.arrears = days(115)),
            ("context has arrearsDays && context.arrearsDays < principal.askFromDay + principal.askFromDay", |f| {
                f.arrears = days(45)
            }),
            (
                "context.askedThisMonth > 7 && context.batch == 3 && context has arrearsDays && context.arrearsDays > \
                 44 && context.today > 20260101 && context.askedHousehold == 2 && context.mostThisMonth > 200",
                |f| (f.asked_this_month, f.batch, f.asked_household_this_month) = (8, 3, 2),
            ),
        ];
        let objecting = not_objecting.into_iter().map(|(more, so)| (or(OBJECTION, more), so, "objection"));
        let others: [((&str, String), Flaw, &str); 14] = [
            (or(DUTIES, SMALLEST), |f| f.conditions.personal_contact = false, "landlord-duties"),
            (or(DUTIES, SMALLEST), |f| f.conditions.help_offered = false, "landlord-duties"),
            (or(DUTIES, SMALLEST), |f| f.conditions.reminder_sent = false, "landlord-duties"),
            (or("context.inStock", SMALLEST), |f| f.in_stock = Some(false), "stock"),
            (and("context.tapClosed", LARGER), |f| f.tap_closed = true, "probing"),
            (and("context.askedThisMonth >= context.mostThisMonth", LARGER), |f| f.asked_this_month = 250, "budget"),
            (
                and("context.askedHousehold >= resource.householdLimit", LARGER),
                |f| f.asked_household_this_month = 4,
                "household-limit",
            ),
            (
                and("context.today >= resource.validUntil", "context.today == resource.validUntil"),
                |f| f.today = date!(2027 - 07 - 02),
                "validity",
            ),
            (or(LISTED, "context has purpose"), |f| f.purpose = "letting".parse().ok(), "purpose"),
            (or("context.arrearsDays >= principal.askFromDay", "true"), |f| f.arrears = days(37), "moment"),
            (and("context.batch < resource.minimumBatch", "context.batch > 0"), |f| f.batch = 0, "minimum-batch"),
            (or("context.inCase", "context.today == 20260115"), |f| f.action = Act::AskGroups, "case"),
            (
                or("context.seconded", "context.today < resource.validUntil"),
                |f| f.action = Act::ActivateRegulation,
                "four-eyes",
            ),
            (
                or("context.countersigned", "context.seconded"),
                |f| (f.action, f.second) = (Act::RegisterStock, "00000099000000004002".parse().ok()),
                "stock-countersigned",
            ),
        ];
        objecting.chain(others).map(|((from, to), flaw, gate)| (from, to, flaw, gate)).collect()
    }

    #[test]
    fn no_article_switches_off_what_the_regulation_states() {
        for (from, to, flaw, gate) in loose() {
            let draft = drafted(TOML_TEXT, &replaced(CEDAR_TEXT, from, &to));
            let actor = match gate {
                "case" => "00000099000000003000",
                "four-eyes" => "00000099000000001000",
                _ => YMERE,
            };
            let mut facts = question(actor);
            facts.conditions.no_objection = gate != "objection";
            flaw(&mut facts);
            assert!(draft.articles.decide(&facts, &draft.document).is_ok(), "the articles permit it: {to}");
            assert_eq!(draft.decide(&facts).unwrap_err().article, gate, "{to}");
        }
    }

    fn days(days: u32) -> Option<Arrears> {
        Some(Arrears { months: 0.0, days })
    }

    const ALL: &str = "@id(\"all\")\n@title(\"All\")\npermit (principal, action, resource);\n";

    /// Each shipped regulation, and Haarlem with the other choices, beside itself with one article that permits all.
    fn beside_open() -> Vec<[Regulation; 2]> {
        let mut texts: Vec<[String; 2]> =
            Regulation::built_in().iter().map(|one| one.texts().map(str::to_owned)).collect();
        for (from, to) in [("model = \"opt-out\"", "model = \"opt-in\""), ("minimum_batch = 1", "minimum_batch = 20")] {
            texts.push([replaced(TOML_TEXT, from, to), CEDAR_TEXT.to_owned()]);
        }
        let both = |[toml, cedar]: [String; 2]| {
            let id = Regulation::built_in().into_iter().find(|one| toml.contains(&format!("\nid = \"{}\"", one.id())));
            let id = id.unwrap().id().clone();
            let shipped = Regulation::from_texts(&id, &toml, &cedar).unwrap();
            let mut open = Regulation::from_texts(&id, &toml, &cedar).unwrap();
            open.articles = Articles::read(&open.document, ALL).unwrap();
            [shipped, open]
        };
        texts.into_iter().map(both).collect()
    }

    #[test]
    fn articles_that_permit_everything_let_nothing_more_be_asked_loaded_or_read() {
        let mut compared = 0;
        for [shipped, open] in beside_open() {
            for party in shipped.parties() {
                for facts in shipped.sweep(&party.oin) {
                    let (agreed, anything) = (shipped.decide(&facts), open.decide(&facts).is_ok());
                    // Which role announces, activates or registers the articles decide alone.
                    if agreed.as_ref().is_err_and(|refusal| refusal.article == "default")
                        && may(party.role, facts.action)
                    {
                        continue;
                    }
                    assert_eq!(agreed.is_ok(), anything, "{} {facts:?}", shipped.id());
                    compared += 1;
                }
            }
        }
        assert!(compared > 10_000, "{compared}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn whatever_is_asked_articles_that_permit_everything_permit_no_more(
            month in 0.0..5.0_f64, day in -400_i64..800, asked in 0..300_u64, household in 0..8_u64, batch in 0..3_u32,
            stock: Option<u16>, said: [bool; 5], in_stock: Option<bool>, tap_closed in proptest::bool::weighted(0.2),
            listed in proptest::bool::weighted(0.8),
        ) {
            static BOTH: std::sync::LazyLock<Vec<[Regulation; 2]>> = std::sync::LazyLock::new(beside_open);
            let [personal_contact, help_offered, reminder_sent, no_objection, tenant_agrees] = said;
            let conditions =
                Conditions { personal_contact, help_offered, reminder_sent, no_objection, tenant_agrees };
            for [shipped, open] in BOTH.iter() {
                for party in shipped.parties().iter().filter(|party| party.role == Role::Corporation) {
                    let letting = || "letting".parse().unwrap();
                    let facts = Facts {
                        purpose: Some(if listed { shipped.purposes()[0].id.clone() } else { letting() }),
                        today: shipped.validity().0 + time::Duration::days(day),
                        arrears: Some(Arrears { months: month, days: 0 }),
                        conditions,
                        asked_this_month: asked, asked_household_this_month: household, batch: batch * 10,
                        stock: stock.map(u64::from), in_stock, tap_closed,
                        ..question(party.oin.as_str())
                    };
                    prop_assert_eq!(shipped.decide(&facts).is_ok(), open.decide(&facts).is_ok(), "{:?}", facts);
                }
            }
        }
    }
}
