//! What is wrong with a regulation though it can be read: what is missing, what contradicts itself, which article never
//! decides anything. For `voorrang regulation check`, before anybody signs.

use std::collections::BTreeSet;

use super::{AppliesTo, Form, Party, Regulation, Role};

/// How bad a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody should sign this.
    Error,
    /// Read it again before signing.
    Warning,
    /// As it is meant, probably.
    Note,
}

impl Severity {
    /// For tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that whoever signs should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    pub severity: Severity,
    pub what: String,
}

impl Regulation {
    /// Everything that `regulation check` has to say, the worst first.
    pub fn remarks(&self) -> Vec<Remark> {
        let mut all = Vec::new();
        let mut say = |severity, what: String| all.push(Remark { severity, what });
        self.check_people(&mut say);
        self.check_groups(&mut say);
        self.check_asking(&mut say);
        self.check_numbers(&mut say);
        for article in self.articles().iter().filter(|article| article.titel.is_empty()) {
            say(Severity::Warning, format!("article {} has no @titel: no Dutch reader knows what it says", article.id));
        }
        for (article, _) in self.decided().into_iter().filter(|(_, count)| *count == 0) {
            match self.is_reachable(&article) {
                Some(true) => {}
                Some(false) => {
                    say(Severity::Error, format!("article {article} never decides anything; it cannot be reached"));
                }
                None => say(
                    Severity::Warning,
                    format!("article {article} decided nothing in what was tried of very many circumstances"),
                ),
            }
        }
        let (worst, bounds) = (self.worst_estimated(), self.posterior());
        for (reader, worst, bound) in [
            ("a reader", worst.unseen, bounds.bound),
            ("a reader with the register", worst.registered, bounds.bound_registered()),
        ] {
            if worst > bound {
                let why = format!("{reader} may become {worst:.2} sure of the OGGZ group; the bound is lower");
                say(Severity::Error, why);
            }
        }
        if worst.registered > bounds.bound {
            let (severity, then) = match bounds.bound_registered {
                None => (Severity::Warning, "write posterior.bound_registered down if the parties accept that"),
                Some(_) => (Severity::Note, "serve the group to no corporation if that is too much"),
            };
            let worst = worst.registered;
            say(severity, format!("who has the register at hand may become {worst:.2} sure of the OGGZ group; {then}"));
        }
        all.sort();
        all
    }

    /// What readers may at most infer by the regulation's own estimates.
    pub fn worst_estimated(&self) -> super::Worst {
        super::Cells::estimated(self.posterior()).worst(self)
    }

    fn check_people(&self, say: &mut impl FnMut(Severity, String)) {
        let keyless = self.parties().iter().filter(|party| party.key.is_none()).count();
        if keyless > 0 {
            let all = self.parties().len();
            say(Severity::Warning, format!("{keyless} of {all} parties have no key: it cannot be activated like this"));
        }
        let blind = |party: &&Party| party.role == Role::PrivacyOfficer && party.recipient.is_none();
        let blind = self.parties().iter().filter(blind).count();
        if blind > 0 {
            let why = format!("{blind} privacy officers have no recipient to seal answers for: it cannot be activated");
            say(Severity::Warning, why);
        }
        for party in self.parties() {
            let mut facts = self.sweep(&party.oin).into_iter();
            if !facts.any(|facts| self.decide(&facts).is_ok()) {
                say(Severity::Warning, format!("nothing is permitted to {}", party.name));
            }
        }
        let officers = self.parties().iter().filter(|party| party.role == Role::PrivacyOfficer);
        let officers: BTreeSet<&str> = officers.map(|party| party.organisation.as_str()).collect();
        if officers.len() < 2 {
            say(Severity::Warning, "all privacy officers are of one organisation: nobody else watches it".into());
        }
    }

    /// Numbers that every regulation may have, and that protect hardly anybody.
    fn check_numbers(&self, say: &mut impl FnMut(Severity, String)) {
        let (budgets, probing, (from, until)) = (self.budgets(), self.probing(), self.validity());
        let percent = |share: f64| 100.0 * share;
        let (alarm, stop, missed) =
            (percent(budgets.alarm_share), percent(budgets.stop_share), percent(probing.miss_share));
        let years = (until - from).whole_days() * 4 / 1461;
        let odd = [
            (alarm > 10.0, format!("budget.alarm_share: officers are told at {alarm:.0} % of the stock, above 10 %")),
            (alarm >= stop, format!("budget.alarm_share: the alarm at {alarm:.0} % comes no sooner than the stop")),
            (stop > 50.0, format!("budget.stop_share: {stop:.0} % of the stock may be asked about in a month")),
            (probing.misses > 1_000, format!("probing.misses: {} misses close no tap", probing.misses - 1)),
            (missed > 50.0, format!("probing.miss_share: {missed:.0} % of the questions may miss")),
            (years >= 10, format!("it is valid for {years} years, without the parties signing anew")),
        ];
        odd.into_iter().filter(|(is_odd, _)| *is_odd).for_each(|(_, what)| say(Severity::Warning, what));
        for (key, holds) in budgets.left_out() {
            say(Severity::Note, format!("budget.{key} is left out: {holds} questions of each party of the care side"));
        }
        for moment in self.moments().iter().filter(|moment| moment.arrears().in_days() < 1) {
            let who: Vec<&str> = moment.parties.iter().filter_map(|oin| Some(self.party(oin)?.name.as_str())).collect();
            say(Severity::Warning, format!("[[moment]]: {} may ask about who has no arrears", who.join(", ")));
        }
    }

    fn check_groups(&self, say: &mut impl FnMut(Severity, String)) {
        if let Some(basis) = self.restricted_basis() {
            let why = format!("people with a disclosure restriction may be loaded and linked, on this basis: {basis}");
            say(Severity::Warning, why);
        }
        for rule in self.groups() {
            let group = format!("{:?}", rule.group).to_lowercase();
            if rule.legal_basis.trim().is_empty() || rule.recipients.is_empty() {
                say(Severity::Note, format!("group {group} is served to nobody: it lacks a legal basis or recipients"));
                continue;
            }
            let estimated = self.posterior().estimated(self.groups()).into_iter();
            match estimated.filter(|(group, _)| *group == rule.group).map(|(_, posterior)| posterior).next() {
                Some(Some(posterior)) => {
                    let percent = 100.0 * posterior;
                    let why = format!("group {group} is shielded: a reader may become {percent:.1} % sure of it");
                    say(Severity::Note, why);
                }
                Some(None) => {
                    let why = format!(
                        "group {group} is shielded, and no figure here says what a reader may infer of it: estimate \
                         posterior.{group}_share"
                    );
                    say(Severity::Warning, why);
                }
                None => {}
            }
            if rule.legal_basis.starts_with("EXAMPLE") {
                say(Severity::Warning, format!("group {group} has an example for a legal basis"));
            }
            for role in &rule.recipients {
                if !self.disclosures().iter().any(|told| told.recipient == *role) {
                    let role = role.as_str();
                    say(
                        Severity::Error,
                        format!("group {group} is for {role}, and [[disclosure]] tells that role nothing"),
                    );
                }
            }
        }
        for told in self.disclosures() {
            let role = told.recipient;
            if !self.parties().iter().any(|party| party.role == role) {
                say(Severity::Warning, format!("[[disclosure]] is for {}, and no party has that role", role.as_str()));
            }
            if told.form == Form::Groups && !self.groups().iter().any(|rule| rule.is_served_to(role)) {
                say(Severity::Warning, format!("{} may ask for groups, and is served none", role.as_str()));
            }
        }
    }

    fn check_asking(&self, say: &mut impl FnMut(Severity, String)) {
        for party in self.parties().iter().filter(|party| party.role == Role::Corporation) {
            let mut good = self.good_acts(&party.oin).into_iter().map(|facts| self.decide(&facts));
            if let Some(Err(refusal)) = good.next()
                && good.all(|decided| decided.is_err())
            {
                let why =
                    format!("{} can never ask: article {} refuses its best question", party.name, refusal.article);
                say(Severity::Error, why);
            }
            let gated = |step: &&super::Step| step.gate && step.parties.contains(&party.oin);
            if !self.all_steps().iter().filter(gated).any(|step| step.applies_to == AppliesTo::Priority) {
                say(
                    Severity::Warning,
                    format!("priority keeps no file of {} from the bailiff: no step is a gate", party.name),
                );
            }
        }
        for purpose in self.purposes() {
            let asks = |party: &&Party| party.role == Role::Corporation;
            let mut good = self.parties().iter().filter(asks).flat_map(|party| self.good_acts(&party.oin));
            if !good.any(|facts| facts.purpose.as_ref() == Some(&purpose.id) && self.decide(&facts).is_ok()) {
                say(Severity::Warning, format!("nobody can ask for the purpose {}", purpose.id));
            }
        }
        let (from, until) = self.validity();
        let anchor = self.evaluation().anchor;
        if anchor < from || anchor >= until {
            say(Severity::Warning, "evaluation.anchor lies outside the validity".into());
        }
        let (kept, period) = (self.retention().log_days, self.evaluation().longest_days(until));
        if i64::from(kept) <= period {
            let why = format!(
                "retention.log_days: contents of the log are deleted after {kept} days, and an evaluation looks back up to \
                 {period}"
            );
            say(Severity::Error, why);
        }
        if self.retention().reference.starts_with("EXAMPLE") {
            say(Severity::Warning, "retention has an example for its legal reference".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regulate::tests::{CEDAR_TEXT, TOML_TEXT, read, replaced};

    fn errors(toml: &str, cedar: &str) -> Vec<String> {
        let all = read(toml, cedar).unwrap().remarks();
        all.into_iter().filter(|remark| remark.severity == Severity::Error).map(|remark| remark.what).collect()
    }

    #[test]
    fn the_shipped_cities_have_no_error_and_say_that_they_are_examples() {
        for regulation in Regulation::built_in() {
            let remarks = regulation.remarks();
            assert!(remarks.iter().all(|remark| remark.severity != Severity::Error), "{remarks:?}");
            assert!(remarks.iter().any(|remark| remark.what.contains("no key")));
            assert!(remarks.iter().any(|remark| remark.what.contains("example")));
        }
    }

    #[test]
    fn an_article_that_cannot_be_reached_is_an_error() {
        let dead = "\n@id(\"dead\")\n@title(\"Never\")\n@remedy(\"None.\")\nforbid (principal is Corporation, \
                    action == Action::\"ask\", resource)\nwhen { context.today < 10 };\n";
        assert_eq!(errors(TOML_TEXT, &format!("{CEDAR_TEXT}{dead}")).len(), 1);
        assert!(errors(TOML_TEXT, &format!("{CEDAR_TEXT}{dead}"))[0].contains("dead"));
    }

    #[test]
    fn that_people_with_a_disclosure_restriction_are_linked_is_told_and_needs_its_ground() {
        let says = |toml: &str| {
            let remarks = read(toml, CEDAR_TEXT).unwrap().remarks();
            remarks.iter().any(|remark| remark.what.ends_with("on this basis: Wet BRP art. 3.21"))
        };
        let with = |basis: &str| {
            replaced(TOML_TEXT, "[household]", &format!("[restricted]\nlegal_basis = \"{basis}\"\n\n[household]"))
        };
        assert!(!says(TOML_TEXT) && says(&with("Wet BRP art. 3.21")));
        for none in ["", "art"] {
            assert!(read(&with(none), CEDAR_TEXT).is_err(), "{none}");
        }
    }

    #[test]
    fn an_article_without_a_dutch_title_is_told() {
        let says = |cedar: &str| -> Vec<String> {
            let remarks = read(TOML_TEXT, cedar).unwrap().remarks();
            remarks.into_iter().map(|remark| remark.what).filter(|what| what.contains("@titel")).collect()
        };
        assert_eq!(says(CEDAR_TEXT), [""; 0]);
        let titel = "@titel(\"De huurachterstand is nog niet ver genoeg om te vragen\")\n";
        let without = replaced(CEDAR_TEXT, titel, "");
        assert_eq!(says(&without), ["article moment has no @titel: no Dutch reader knows what it says"]);
    }

    #[test]
    fn an_article_about_early_arrears_of_who_did_not_agree_is_reached() {
        let early = "\n@id(\"early\")\n@title(\"Early\")\n@remedy(\"Wait.\")\nforbid (principal is Corporation, \
                     action == Action::\"ask\", resource)\nwhen { context has arrearsDays && \
                     context.arrearsDays < 60 && !context.tenantAgrees };\n";
        let found = errors(TOML_TEXT, &format!("{CEDAR_TEXT}{early}"));
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn articles_that_contradict_each_other_are_an_error() {
        let never = "\n@id(\"never\")\n@title(\"Never\")\n@remedy(\"None.\")\nforbid (principal is Corporation, \
                     action == Action::\"ask\", resource);\n";
        let found = errors(TOML_TEXT, &format!("{CEDAR_TEXT}{never}"));
        assert!(found.iter().any(|what| what.contains("Ymere can never ask: article never")), "{found:?}");
    }

    #[test]
    fn a_log_that_is_deleted_before_the_evaluation_that_needs_it_is_an_error() {
        // From 1 July to 31 December are 184 days, longer than from January to June.
        for (log_days, months, until, contradicts) in [
            (1825, 6, "2027-07-01", false),
            (184, 6, "2027-07-01", true),
            (185, 6, "2027-07-01", false),
            // From July 2027 to June 2028 lies 29 February.
            (366, 12, "2027-07-01", false),
            (366, 12, "2029-07-01", true),
            (367, 12, "2029-07-01", false),
            (1825, 60, "2029-07-01", true),
        ] {
            let toml = TOML_TEXT.replace("log_days = 1825", &format!("log_days = {log_days}"));
            let toml = toml.replace("every_months = 6", &format!("every_months = {months}"));
            let toml = toml.replace("valid_until = 2027-07-01", &format!("valid_until = {until}"));
            let found = errors(&toml, CEDAR_TEXT);
            assert_eq!(
                found.iter().any(|what| what.contains("retention.log_days")),
                contradicts,
                "{log_days} {found:?}"
            );
        }
    }

    #[test]
    fn numbers_that_disarm_a_regulation_are_told() {
        let shipped = read(TOML_TEXT, CEDAR_TEXT).unwrap().remarks();
        for (from, to, says) in [
            ("alarm_share = 0.10", "alarm_share = 0.11", "told at 11 % of the stock, above 10 %"),
            ("stop_share = 0.25", "stop_share = 0.10", "the alarm at 10 % comes no sooner than the stop"),
            ("stop_share = 0.25", "stop_share = 0.51", "51 % of the stock"),
            ("months = 1.0\ndays = 8", "months = 0.0\ndays = 0", "Ymere may ask about who has no arrears"),
            ("misses = 50", "misses = 1001", "1000 misses close no tap"),
            ("miss_share = 0.25", "miss_share = 0.51", "51 % of the questions may miss"),
            ("valid_until = 2027-07-01", "valid_until = 2999-01-01", "valid for 973 years"),
        ] {
            let what = |remark: &Remark| remark.severity == Severity::Warning && remark.what.contains(says);
            let remarks = read(&replaced(TOML_TEXT, from, to), CEDAR_TEXT).unwrap().remarks();
            assert!(remarks.iter().any(what) && !shipped.iter().any(what), "{to}: {remarks:?}");
        }
    }

    #[test]
    fn a_budget_of_the_care_side_that_nobody_signed_is_told() {
        let left_out = |toml: &str| -> Vec<String> {
            let remarks = read(toml, CEDAR_TEXT).unwrap().remarks();
            remarks.into_iter().map(|remark| remark.what).filter(|what| what.contains("is left out")).collect()
        };
        assert_eq!(left_out(TOML_TEXT), [""; 0]);
        let without = replaced(TOML_TEXT, "care_alarm = 100\n", "");
        assert_eq!(left_out(&without), ["budget.care_alarm is left out: 100 questions of each party of the care side"]);
        let without = replaced(&without, "care_stop = 250\n", "");
        assert!(left_out(&without)[1].starts_with("budget.care_stop is left out: 250 questions"), "both");
    }

    #[test]
    fn a_shield_that_no_figure_measures_is_told() {
        let says = |toml: &str| {
            let remarks = read(toml, CEDAR_TEXT).unwrap().remarks();
            remarks.iter().any(|remark| remark.what.starts_with("group minor is shielded, and no figure"))
        };
        assert!(!says(TOML_TEXT));
        assert!(says(&replaced(TOML_TEXT, "shield = false", "shield = true")));
    }

    #[test]
    fn a_purpose_for_which_nobody_can_ask_is_told() {
        let never = "\n@id(\"never\")\n@title(\"Never\")\n@remedy(\"None.\")\nforbid (principal is Corporation, action \
                     == Action::\"ask\", resource) when { context has purpose && context.purpose == \"debt-help\" };\n";
        let second = "[[purpose]]\nid = \"debt-help\"\nnl = \"Hulp\"\nen = \"Help\"\n\n[[party]]";
        let toml = replaced(TOML_TEXT, "[[party]]", second);
        for (cedar, told) in [(CEDAR_TEXT.to_owned(), false), (format!("{CEDAR_TEXT}{never}"), true)] {
            let remarks = read(&toml, &cedar).unwrap().remarks();
            assert_eq!(remarks.iter().any(|remark| remark.what == "nobody can ask for the purpose debt-help"), told);
            assert!(remarks.iter().all(|remark| remark.severity != Severity::Error), "{remarks:?}");
        }
    }

    #[test]
    fn what_who_has_the_register_may_infer_is_told_and_held_to_its_bound() {
        let says = |toml: &str| {
            let all = read(toml, CEDAR_TEXT).map(|regulation| regulation.remarks());
            let mut told = all.unwrap().into_iter().filter(|remark| remark.what.contains("register at hand"));
            told.next().map(|remark| remark.severity)
        };
        assert_eq!(says(TOML_TEXT), Some(Severity::Note));
        assert_eq!(says(&replaced(TOML_TEXT, "bound_registered = 1.0\n", "")), Some(Severity::Warning));
        let strict = replaced(TOML_TEXT, "bound_registered = 1.0", "bound_registered = 0.5");
        assert!(read(&strict, CEDAR_TEXT).is_err(), "a shield does not help");
        let told = "recipients = [\"corporation\", \"care-custodian\"]";
        assert_eq!(says(&replaced(&strict, told, "recipients = [\"care-custodian\"]")), None);
    }

    #[test]
    fn a_group_for_who_is_told_nothing_is_an_error() {
        let toml = replaced(TOML_TEXT, "\"corporation\", \"district-team\"", "\"corporation\", \"privacy-officer\"");
        let found = errors(&toml, CEDAR_TEXT);
        assert!(found.iter().any(|what| what.contains("tells that role nothing")), "{found:?}");
    }
}
