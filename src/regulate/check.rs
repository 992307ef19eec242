//! What is wrong with a regulation though it can be read: what is missing, what contradicts itself, which article never
//! decides anything. For `voorrang regulation check`, before anybody signs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Act, AppliesTo, Arrears, Conditions, Facts, Form, Party, Regulation, Role};

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

/// How often an article decided in a sweep over every party, act and flaw.
pub type Decided = BTreeMap<String, usize>;

impl Regulation {
    /// Everything that `regulation check` has to say, the worst first.
    pub fn remarks(&self) -> Vec<Remark> {
        let mut all = Vec::new();
        let mut say = |severity, what: String| all.push(Remark { severity, what });
        self.check_people(&mut say);
        self.check_groups(&mut say);
        self.check_asking(&mut say);
        for (article, count) in self.decided() {
            if count == 0 {
                say(Severity::Error, format!("article {article} never decides anything; it cannot be reached"));
            }
        }
        let worst = self.worst_estimated();
        if worst > self.posterior().bound {
            say(Severity::Error, format!("a reader may become {worst:.2} sure of the OGGZ group; the bound is lower"));
        }
        all.sort();
        all
    }

    /// What a reader may at most infer by the regulation's own estimates.
    pub fn worst_estimated(&self) -> f64 {
        super::Cells::estimated(self.posterior()).worst(self)
    }

    /// How often each article decided, over every party, every act, every flaw and every second person.
    pub fn decided(&self) -> Decided {
        let mut decided: Decided = self.articles().iter().map(|article| (article.id.clone(), 0)).collect();
        for party in self.parties() {
            for facts in self.sweep(&party.oin) {
                let articles = match self.decide(&facts) {
                    Ok(permit) => permit.articles().to_vec(),
                    Err(refusal) => refusal.articles,
                };
                articles.iter().for_each(|article| *decided.entry(article.clone()).or_default() += 1);
            }
        }
        // `default` is no article of the file.
        decided.retain(|article, _| self.articles().iter().any(|known| known.id == *article));
        decided
    }

    fn sweep(&self, actor: &crate::ids::Oin) -> Vec<Facts> {
        let best = self.best_question(actor);
        let mut variants = vec![best.clone(), Facts { today: self.validity().1, ..best.clone() }];
        variants.extend(self.flawed(&best).into_iter().map(|(_, facts)| facts));
        variants.push(Facts { batch: 0, ..best.clone() });
        variants.push(Facts { in_case: false, ..best.clone() });
        let mut disagreeing = best.clone();
        disagreeing.conditions.tenant_agrees = false;
        variants.push(disagreeing);
        // Below, at and above each moment, whether or not the tenant agrees: an article may look at both.
        let moments = self.moments().iter().map(super::steps::Moment::arrears);
        for arrears in moments.chain([0.0, 1.0, 2.0, 3.0, 6.0].map(|months| Arrears { months, days: 0 })) {
            for tenant_agrees in [true, false] {
                let conditions = Conditions { tenant_agrees, ..best.conditions };
                variants.push(Facts { arrears: Some(arrears), conditions, ..best.clone() });
            }
        }
        let seconds = self.parties().iter().map(|party| Some(party.oin.clone())).chain([None]);
        variants.extend(seconds.map(|second| Facts { second, ..best.clone() }));
        let acts = |facts: Facts| Act::ALL.map(move |action| Facts { action, ..facts.clone() });
        variants.into_iter().flat_map(acts).collect()
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

    fn check_groups(&self, say: &mut impl FnMut(Severity, String)) {
        for rule in self.groups() {
            let group = format!("{:?}", rule.group).to_lowercase();
            if rule.legal_basis.trim().is_empty() || rule.recipients.is_empty() {
                say(Severity::Note, format!("group {group} is served to nobody: it lacks a legal basis or recipients"));
                continue;
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
            if let Err(refusal) = self.decide(&self.best_question(&party.oin)) {
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
        let (from, until) = self.validity();
        let anchor = self.evaluation().anchor;
        if anchor < from || anchor >= until {
            say(Severity::Warning, "evaluation.anchor lies outside the validity".into());
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
    fn a_group_for_who_is_told_nothing_is_an_error() {
        let toml = replaced(TOML_TEXT, "\"corporation\", \"district-team\"", "\"corporation\", \"privacy-officer\"");
        let found = errors(&toml, CEDAR_TEXT);
        assert!(found.iter().any(|what| what.contains("tells that role nothing")), "{found:?}");
    }
}
