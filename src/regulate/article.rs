//! The articles: Cedar policies, parsed and validated once, asked for every decision.
//!
//! A Cedar policy that fails while it is evaluated is skipped, and a skipped `forbid` would let something through.
//! So any failure refuses; strict validation at load and numbers far from overflow make it unlikely.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    Policy, PolicyId, PolicySet, Request, RestrictedExpression, Schema, ValidationMode, Validator,
};
use time::Date;

use super::plain::{flaw, is_plain};
use super::regulation::Document;
use super::{Act, Consent, Facts, Party, Refusal, RegulationError, Role, bounds};
use crate::ids::{Oin, Purpose};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(include_str!("articles.cedarschema"))
        .expect("the shipped schema is valid: every test that loads a regulation reads it");
    schema
});

/// One article: a policy and its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Article {
    /// For example `purpose`.
    pub id: String,
    /// In English, in plain words.
    pub title: String,
    /// In Dutch; empty where the article has none.
    pub titel: String,
    /// What to do after it refused; empty for an article that permits.
    pub remedy: String,
    /// Where it is agreed; empty where the article does not say.
    pub source: String,
    /// Whether it refuses, instead of permitting.
    pub forbids: bool,
}

/// All articles of one regulation, ready to decide.
#[derive(Debug)]
pub(super) struct Articles {
    pub list: Vec<Article>,
    positions: HashMap<PolicyId, usize>,
    entities: Entities,
    resource: EntityUid,
    principals: HashMap<Oin, EntityUid>,
    /// Each act with its action and the policies that can apply to it: the others need not be asked every time.
    actions: Vec<(Act, EntityUid, PolicySet)>,
    authorizer: Authorizer,
}

impl Articles {
    pub(super) fn read(document: &Document, text: &str) -> Result<Self, RegulationError> {
        if let Some((offset, what)) = bounds::exceeded(text) {
            return Err(RegulationError::Article { line: line_at(text, offset), what: what.into() });
        }
        let parsed: PolicySet =
            text.parse().map_err(|e: cedar_policy::ParseErrors| article_error(text, &DetailedError::from(&e)))?;
        if let Some(template) = parsed.templates().next() {
            let line = line_of(text, &template.to_cedar());
            return Err(RegulationError::Article { line, what: "a template with a slot decides nothing".into() });
        }
        let (list, policies, positions) = name_policies(text, &parsed)?;
        validate(text, &policies)?;
        let resource = uid("Regulation", document.id.as_str());
        let principals = document.parties.iter().map(|p| (p.oin.clone(), uid(entity_type(p.role), p.oin.as_str())));
        let principals: HashMap<_, _> = principals.collect();
        let entities = entities(document, &resource, &principals)?;
        let actions: Vec<_> = Act::ALL
            .map(|act| {
                let action = uid("Action", act.as_str());
                let applicable = applicable(&policies, &action);
                (act, action, applicable)
            })
            .into();
        let is_there = |uid: &EntityUid| {
            *uid == resource
                || actions.iter().any(|(_, one, _)| one == uid)
                || principals.values().any(|one| one == uid)
        };
        check_names(document, text, &policies, is_there)?;
        let authorizer = Authorizer::new();
        Ok(Self { list, positions, entities, resource, principals, actions, authorizer })
    }

    /// Each article's id and the text that was read for it.
    pub(super) fn texts(&self) -> impl Iterator<Item = (String, String)> {
        let named = self.actions.iter().flat_map(|(.., policies)| policies.policies());
        named.map(|policy| (AsRef::<str>::as_ref(policy.id()).to_owned(), policy.to_cedar().unwrap_or_default()))
    }

    /// The text of one article.
    pub(super) fn text_of(&self, id: &str) -> String {
        self.texts().find(|(named, _)| named == id).map_or_else(String::new, |(_, text)| text)
    }

    /// The texts of all articles, one after the other.
    pub(super) fn all_text(&self) -> String {
        let each: BTreeMap<String, String> = self.texts().collect();
        each.into_values().collect::<Vec<_>>().join("\n")
    }

    /// The acts that an article can be about.
    pub(super) fn acts_of(&self, id: &str) -> impl Iterator<Item = Act> {
        let id = PolicyId::new(id);
        self.actions.iter().filter(move |(.., policies)| policies.policy(&id).is_some()).map(|(act, ..)| *act)
    }

    /// Ids of the articles that permit, in the file's order, or the refusal.
    pub(super) fn decide(&self, facts: &Facts, document: &Document) -> Result<Vec<String>, Refusal> {
        let Some(principal) = self.principals.get(&facts.actor) else {
            return Err(Refusal::by_default("Who asks is no party to this regulation"));
        };
        let (_, action, policies) =
            self.actions.iter().find(|(act, ..)| *act == facts.action).expect("every act has an action: Act::ALL");
        let context =
            Context::from_pairs(pairs(facts, document)).expect("plain values with different names are a context");
        // Without a schema to check against: the pairs have its names and types, a test compares them.
        let request = Request::new(principal.clone(), action.clone(), self.resource.clone(), context, None)
            .expect("only a schema could refuse a request");
        let response = self.authorizer.is_authorized(&request, policies, &self.entities);
        let diagnostics = response.diagnostics();
        if diagnostics.errors().next().is_some() {
            return Err(Refusal {
                article: "unsound".into(),
                title: "An article could not be evaluated".into(),
                remedy: "Tell the administrator: the regulation or the request is out of range.".into(),
                articles: vec!["unsound".into()],
            });
        }
        let mut positions: Vec<usize> = diagnostics.reason().map(|id| self.positions[id]).collect();
        positions.sort_unstable();
        let ids = positions.iter().map(|&i| self.list[i].id.clone()).collect();
        match (response.decision(), positions.first()) {
            (Decision::Allow, _) => Ok(ids),
            (Decision::Deny, None) => Err(Refusal::by_default("Nothing in the regulation allows this")),
            (Decision::Deny, Some(&first)) => {
                let Article { id, title, remedy, .. } = self.list[first].clone();
                Err(Refusal { article: id, title, remedy, articles: ids })
            }
        }
    }
}

/// What the articles see of the facts; the names are those of `articles.cedarschema`.
fn pairs(facts: &Facts, document: &Document) -> Vec<(String, RestrictedExpression)> {
    let long = |name: &str, n: i64| (name.to_owned(), RestrictedExpression::new_long(n));
    let count = |name: &str, n: u64| long(name, i64::try_from(n).unwrap_or(i64::MAX));
    let bool = |name: &str, b: bool| (name.to_owned(), RestrictedExpression::new_bool(b));
    let mut pairs = vec![long("today", day_number(facts.today))];
    let second = facts.second.as_ref().and_then(|second| document.second(&facts.actor, second));
    match facts.action {
        Act::Ask => {}
        Act::AskGroups => {
            pairs.extend(facts.purpose.as_ref().map(purpose_pair));
            pairs.push(bool("inCase", facts.in_case));
            return pairs;
        }
        _ => {
            pairs.push(bool("seconded", second.is_some()));
            pairs.push(bool("countersigned", second.is_some_and(|party| document.is_municipal_officer(party))));
            return pairs;
        }
    }
    let conditions = &facts.conditions;
    pairs.extend([
        bool("personalContact", conditions.personal_contact),
        bool("helpOffered", conditions.help_offered),
        bool("reminderSent", conditions.reminder_sent),
        bool("noObjection", conditions.no_objection),
        bool("tenantAgrees", conditions.tenant_agrees),
        bool("inStock", facts.in_stock == Some(true)),
        count("askedThisMonth", facts.asked_this_month),
        count("mostThisMonth", facts.stock.map_or(0, |dwellings| document.budget.stop(dwellings))),
        count("askedHousehold", facts.asked_household_this_month),
        count("batch", u64::from(facts.batch)),
        bool("tapClosed", facts.tap_closed),
    ]);
    pairs.extend(facts.purpose.as_ref().map(purpose_pair));
    if let Some(arrears) = facts.arrears {
        pairs.push(long("arrearsDays", arrears.in_days()));
    }
    pairs
}

fn purpose_pair(purpose: &Purpose) -> (String, RestrictedExpression) {
    ("purpose".to_owned(), RestrictedExpression::new_string(purpose.as_str().to_owned()))
}

/// 2025-07-01 becomes 20250701: an officer can read it, and it sorts.
fn day_number(day: Date) -> i64 {
    i64::from(day.year()) * 10_000 + i64::from(u8::from(day.month())) * 100 + i64::from(day.day())
}

fn entity_type(role: Role) -> &'static str {
    match role {
        Role::Administrator => "Administrator",
        Role::PopulationCustodian => "PopulationCustodian",
        Role::CareCustodian => "CareCustodian",
        Role::Corporation => "Corporation",
        Role::PrivacyOfficer => "PrivacyOfficer",
        Role::DistrictTeam => "DistrictTeam",
    }
}

fn uid(kind: &str, id: &str) -> EntityUid {
    let kind: EntityTypeName = kind.parse().expect("the kinds are plain names of the schema");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}

fn entities(
    document: &Document,
    resource: &EntityUid,
    principals: &HashMap<Oin, EntityUid>,
) -> Result<Entities, RegulationError> {
    let long = RestrictedExpression::new_long;
    let purposes = document.purposes.iter().map(|p| RestrictedExpression::new_string(p.id.as_str().to_owned()));
    let regulation = HashMap::from([
        ("validFrom".to_owned(), long(day_number(document.valid_from))),
        ("validUntil".to_owned(), long(day_number(document.valid_until))),
        ("purposes".to_owned(), RestrictedExpression::new_set(purposes)),
        ("householdLimit".to_owned(), long(document.budget.household_per_month.into())),
        ("minimumBatch".to_owned(), long(document.budget.minimum_batch.into())),
        ("optIn".to_owned(), RestrictedExpression::new_bool(document.consent.model == Consent::OptIn)),
    ]);
    let party = |party: &Party| {
        let organisation = RestrictedExpression::new_string(party.organisation.clone());
        let mut attributes = HashMap::from([("organisation".to_owned(), organisation)]);
        if let (Role::Corporation, Some(moment)) = (party.role, document.moment(&party.oin)) {
            attributes.insert("askFromDay".to_owned(), long(moment.arrears().in_days()));
        }
        (principals[&party.oin].clone(), attributes)
    };
    let all = document.parties.iter().map(party).chain([(resource.clone(), regulation)]);
    let built = all.map(|(uid, attributes)| {
        Entity::new(uid, attributes, HashSet::new()).expect("plain values are no expressions that can fail")
    });
    Entities::from_entities(built, Some(&SCHEMA))
        .map_err(|e| RegulationError::Value(format!("parties do not fit: {e}")))
}

/// The first name, in the file's order, that is none of the regulation.
fn check_names(
    document: &Document,
    text: &str,
    policies: &PolicySet,
    is_there: impl Fn(&EntityUid) -> bool,
) -> Result<(), RegulationError> {
    let unknown = policies.policies().filter_map(|policy| {
        let (name, what) = document.unknown_name(policy, &is_there)?;
        let source = policy.to_cedar().unwrap_or_default();
        let offset = text.find(&source).unwrap_or(0) + source.rfind(&name).unwrap_or(0);
        Some((line_at(text, offset), what))
    });
    unknown.min().map_or(Ok(()), |(line, what)| Err(RegulationError::Article { line, what }))
}

/// The policies whose scope does not leave this action out. There are no groups of actions in the schema.
fn applicable(policies: &PolicySet, action: &EntityUid) -> PolicySet {
    let may_apply = |policy: &&Policy| match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(only) => only == *action,
        ActionConstraint::In(some) => some.contains(action),
    };
    let some = policies.policies().filter(may_apply).cloned();
    PolicySet::from_policies(some).expect("a part of a policy set is one")
}

type Named = (Vec<Article>, PolicySet, HashMap<PolicyId, usize>);

/// Gives each policy the id of its article, in the file's order.
fn name_policies(text: &str, parsed: &PolicySet) -> Result<Named, RegulationError> {
    let source = |policy: &Policy| policy.to_cedar().unwrap_or_default();
    let mut in_order: Vec<_> = parsed.policies().map(|policy| (number(policy.id()), policy)).collect();
    in_order.sort_by_key(|(number, _)| *number);
    let (mut list, mut policies, mut positions) = (Vec::new(), PolicySet::new(), HashMap::new());
    let mut searched = 0;
    for (_, policy) in in_order {
        let start = searched + text[searched..].find(&source(policy)).unwrap_or(0);
        let line = line_at(text, start);
        searched = start + source(policy).len().min(text.len() - start);
        let article = article(policy).map_err(|what| RegulationError::Article { line, what: what.into() })?;
        let id = PolicyId::new(&article.id);
        if positions.insert(id.clone(), list.len()).is_some() {
            return Err(RegulationError::Article { line, what: format!("the id {} is there twice", article.id) });
        }
        policies.add(policy.new_id(id)).expect("its id was just found to be new");
        list.push(article);
    }
    Ok((list, policies, positions))
}

/// Cedar counts the policies of a text: `policy0`, `policy1` and so on.
fn number(id: &PolicyId) -> usize {
    AsRef::<str>::as_ref(id).trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn article(policy: &Policy) -> Result<Article, &'static str> {
    const KNOWN: [&str; 5] = ["id", "title", "titel", "remedy", "source"];
    if !policy.annotations().all(|(_, text)| is_plain(text)) {
        return Err("a text has a sign that is not seen; it stands in one line of plain letters");
    }
    if let Some(what) = policy.annotations().find_map(|(name, text)| flaw(name, text)) {
        return Err(what);
    }
    if policy.annotations().any(|(name, _)| !KNOWN.contains(&name)) {
        return Err("an annotation is none of @id, @title, @titel, @remedy and @source");
    }
    let words = |name: &str| policy.annotation(name).unwrap_or_default().trim().to_owned();
    let forbids = policy.effect() == Effect::Forbid;
    let [id, title, titel, remedy, source] = KNOWN.map(words);
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match () {
        () if id.is_empty() => Err("the article has no @id"),
        () if id.len() > 40 || !id.bytes().all(plain) => Err("an @id has up to 40 of a-z, 0-9 and hyphens"),
        () if id == "default" || id == "unsound" => Err("the ids default and unsound are the service's own"),
        () if title.is_empty() => Err("the article has no @title"),
        () if forbids && remedy.is_empty() => Err("an article that forbids needs a @remedy: what to do now"),
        () => Ok(Article { id, title, titel, remedy, source, forbids }),
    }
}

/// Stack of the validator, in bytes.
const VALIDATOR_STACK: usize = 32 << 20;

/// Strict, and warnings count: an article that can never apply misleads who reads it.
///
/// Danger: where Cedar's validator runs short of stack it stops looking and reports nothing. So it has a stack of its
/// own, far larger than the longest article that `bounds` lets through needs.
fn validate(text: &str, policies: &PolicySet) -> Result<(), RegulationError> {
    std::thread::scope(|scope| {
        let validator = std::thread::Builder::new().stack_size(VALIDATOR_STACK);
        let validator = validator.spawn_scoped(scope, || mistake(text, policies)).expect("a thread can be started");
        validator.join().expect("the validator does not panic")
    })
}

fn mistake(text: &str, policies: &PolicySet) -> Result<(), RegulationError> {
    let result = Validator::new(SCHEMA.clone()).validate(policies, ValidationMode::Strict);
    let errors = result.validation_errors().map(DetailedError::from);
    let warnings = result.validation_warnings().map(DetailedError::from);
    // One mistake can be reported several times; the shortest span is nearest to it.
    let span = |e: &DetailedError| e.source_locations.iter().map(|l| (l.loc.end - l.loc.start, l.loc.start)).min();
    let nearest = errors.chain(warnings).min_by_key(|e| span(e).unwrap_or((usize::MAX, 0)));
    nearest.map_or(Ok(()), |e| Err(article_error(text, &e)))
}

fn article_error(text: &str, error: &DetailedError) -> RegulationError {
    let start = error.source_locations.iter().map(|label| label.loc.start).min();
    let what = match &error.help {
        Some(help) => format!("{} ({help})", error.message),
        None => error.message.clone(),
    };
    RegulationError::Article { line: line_at(text, start.unwrap_or(0)), what }
}

fn line_of(text: &str, part: &str) -> usize {
    line_at(text, text.find(part).unwrap_or(0))
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&b| b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regulate::{Arrears, Regulation};

    #[test]
    fn the_pairs_of_every_act_fit_the_schema() {
        let haarlem = Regulation::built_in().remove(0);
        let articles = &haarlem.articles;
        for (act, action, _) in &articles.actions {
            for given in [true, false] {
                let facts = Facts {
                    purpose: given.then(|| haarlem.purposes()[0].id.clone()),
                    arrears: given.then_some(Arrears { months: 1.5, days: 0 }),
                    asked_this_month: u64::MAX,
                    stock: given.then_some(u64::MAX),
                    second: given.then(|| haarlem.parties()[0].oin.clone()),
                    ..Facts::new(haarlem.parties()[3].oin.clone(), *act, haarlem.validity().0)
                };
                let context = Context::from_pairs(pairs(&facts, &haarlem.document)).unwrap();
                let principal = articles.principals[&facts.actor].clone();
                let request =
                    Request::new(principal, action.clone(), articles.resource.clone(), context, Some(&SCHEMA));
                assert!(request.is_ok(), "{act:?}: {request:?}");
            }
        }
    }

    #[test]
    fn days_become_numbers_that_sort() {
        assert_eq!(day_number(time::macros::date!(2025 - 07 - 01)), 20_250_701);
    }
}
