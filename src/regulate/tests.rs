//! What the shipped regulations allow and refuse, and what is refused as a regulation.

use std::time::Instant;

use proptest::prelude::*;
use time::macros::date;

use super::*;
use crate::link::{Finding, Groups, Standing};

pub(super) const TOML_TEXT: &str = include_str!("../../config/regulations/haarlem/regulation.toml");
pub(super) const CEDAR_TEXT: &str = include_str!("../../config/regulations/haarlem/articles.cedar");
pub(super) const YMERE: &str = "00000099000000004001";
const ELAN: &str = "00000099000000004003";

pub(super) fn haarlem() -> Regulation {
    Regulation::built_in().remove(0)
}

fn two() -> [Regulation; 2] {
    let mut all = Regulation::built_in();
    all.truncate(2);
    all.try_into().unwrap()
}

pub(super) fn activated(toml: &str, cedar: &str) -> Regulation {
    Regulation::activated(&"haarlem".parse().unwrap(), toml, cedar).unwrap()
}

pub(super) fn read(toml: &str, cedar: &str) -> Result<Regulation, RegulationError> {
    Regulation::from_texts(&"haarlem".parse().unwrap(), toml, cedar)
}

/// A question with nothing against it.
pub(super) fn question(actor: &str) -> Facts {
    Facts {
        purpose: Some("eviction-prevention".parse().unwrap()),
        arrears: Some(Arrears { months: 3.0, days: 0 }),
        conditions: Conditions { tenant_agrees: false, ..Conditions::MET },
        in_stock: Some(true),
        stock: Some(1_000),
        batch: 1,
        ..Facts::new(actor.parse().unwrap(), Act::Ask, date!(2026 - 01 - 15))
    }
}

fn refused_by(regulation: &Regulation, facts: &Facts) -> String {
    regulation.decide(facts).expect_err("it should be refused").article
}

#[test]
fn a_good_question_is_permitted_by_its_article() {
    let permit = haarlem().decide(&question(YMERE)).unwrap();
    assert_eq!(permit.articles(), ["corporation-asks"]);
    assert_eq!((permit.act(), permit.role()), (Act::Ask, Role::Corporation));
}

#[test]
fn each_flaw_is_refused_by_its_own_article() {
    let haarlem = haarlem();
    type Flaw = fn(&mut Facts);
    let flaws: [(&str, Flaw); 17] = [
        ("validity", |f| f.today = date!(2025 - 06 - 30)),
        ("validity", |f| f.today = date!(2027 - 07 - 01)),
        ("purpose", |f| f.purpose = None),
        ("purpose", |f| f.purpose = Some("letting".parse().unwrap())),
        ("moment", |f| f.arrears = None),
        ("moment", |f| f.arrears = Some(Arrears { months: f64::NAN, days: 0 })),
        ("landlord-duties", |f| f.conditions.personal_contact = false),
        ("landlord-duties", |f| f.conditions.help_offered = false),
        ("landlord-duties", |f| f.conditions.reminder_sent = false),
        ("objection", |f| f.conditions.no_objection = false),
        ("stock", |f| f.in_stock = None),
        ("stock", |f| f.in_stock = Some(false)),
        ("budget", |f| f.asked_this_month = 250),
        ("budget", |f| f.asked_this_month = u64::MAX),
        ("household-limit", |f| f.asked_household_this_month = 4),
        ("probing", |f| f.tap_closed = true),
        ("minimum-batch", |f| f.batch = 0),
    ];
    for (article, change) in flaws {
        let mut facts = question(YMERE);
        change(&mut facts);
        let refusal = haarlem.decide(&facts).unwrap_err();
        assert_eq!((refusal.article.as_str(), refusal.articles.len()), (article, 1));
        assert!(!refusal.title.is_empty() && !refusal.remedy.is_empty());
    }
}

#[test]
fn what_is_left_is_ended_after_the_end_and_what_follows_is_activated_before_its_beginning() {
    let haarlem = haarlem();
    let (before, after) = (date!(2025 - 06 - 30), date!(2027 - 07 - 01));
    let officer = haarlem.parties().iter().find(|party| party.role == Role::PrivacyOfficer).unwrap().oin.clone();
    let administrator = haarlem.parties().iter().find(|party| party.role == Role::Administrator).unwrap().oin.clone();
    let on = |act, today| Facts { second: Some(officer.clone()), ..Facts::new(administrator.clone(), act, today) };
    assert!(haarlem.decide(&on(Act::EndEpoch, after)).is_ok());
    assert!(haarlem.decide(&on(Act::ActivateRegulation, before)).is_ok());
    for (act, today) in [(Act::ActivateRegulation, after), (Act::ActivateEpoch, before), (Act::ActivateEpoch, after)] {
        assert_eq!(refused_by(&haarlem, &on(act, today)), "validity", "{act:?} {today}");
    }
}

#[test]
fn several_refusals_come_in_the_order_of_the_file() {
    let mut facts = question(YMERE);
    facts.in_stock = None;
    facts.purpose = None;
    facts.today = date!(2030 - 01 - 01);
    let refusal = haarlem().decide(&facts).unwrap_err();
    assert_eq!(refusal.articles, ["validity", "purpose", "stock"]);
    assert_eq!(refusal.article, "validity");
}

#[test]
fn the_last_allowed_day_count_and_question_are_permitted() {
    let haarlem = haarlem();
    let edges: [fn(&mut Facts); 4] = [
        |f| f.today = date!(2025 - 07 - 01),
        |f| f.today = date!(2027 - 06 - 30),
        |f| f.asked_this_month = 249,
        |f| f.asked_household_this_month = 3,
    ];
    for change in edges {
        let mut facts = question(YMERE);
        change(&mut facts);
        assert!(haarlem.decide(&facts).is_ok(), "{facts:?}");
    }
}

#[test]
fn the_moment_of_asking_differs_by_corporation() {
    let [haarlem, rotterdam] = two();
    let [havensteder, woonbron, woonstad] = ["00000099000000014001", "00000099000000014002", "00000099000000014004"];
    for (regulation, actor, months, days, allowed) in [
        (&haarlem, YMERE, 1.0, 7, false),
        (&haarlem, YMERE, 1.0, 8, true),
        (&haarlem, YMERE, 1.2, 1, false),
        (&haarlem, YMERE, 1.5, 0, true),
        (&haarlem, YMERE, 2.0, 0, true),
        (&haarlem, ELAN, 0.9, 2, false),
        (&haarlem, ELAN, 1.0, 0, true),
        (&haarlem, ELAN, -9.0, 0, false),
        (&rotterdam, woonstad, 0.0, 5, false),
        (&rotterdam, woonstad, 0.0, 6, true),
        (&rotterdam, havensteder, 0.0, 0, false),
        (&rotterdam, havensteder, 0.0, 1, true),
        (&rotterdam, woonbron, 1.9, 0, false),
        (&rotterdam, woonbron, 2.0, 0, true),
    ] {
        let facts = Facts { arrears: Some(Arrears { months, days }), ..question(actor) };
        let decided = regulation.decide(&facts);
        assert_eq!(decided.is_ok(), allowed, "{actor} {months} {days}");
        if let Err(refusal) = decided {
            assert_eq!(refusal.articles, ["moment"]);
        }
    }
}

/// Independent of the articles: written by hand from the table of roles.
fn may(role: Role, act: Act) -> bool {
    use Act::*;
    use Role::*;
    match role {
        Administrator => matches!(act, AnnounceEpoch | ActivateEpoch | EndEpoch | ActivateRegulation),
        PopulationCustodian => matches!(act, Load(Source::Population) | ContributeShare | FetchShares),
        CareCustodian => matches!(act, Load(Source::Care) | ContributeShare | FetchShares | AskGroups),
        Corporation => matches!(act, Ask | RegisterStock | FetchShares),
        PrivacyOfficer => matches!(act, ReadLog | OpenTap),
        DistrictTeam => matches!(act, FetchShares | AskGroups),
    }
}

#[test]
fn every_pair_of_role_and_act_that_is_not_listed_is_refused_by_default() {
    for regulation in Regulation::built_in() {
        for role in Role::ALL {
            assert!(regulation.parties().iter().any(|party| party.role == role), "{role:?}");
        }
        for party in regulation.parties() {
            for act in Act::ALL {
                let municipal = regulation.parties().iter().find(|other| other.role == Role::PrivacyOfficer);
                let second = municipal.into_iter().chain(regulation.parties()).find(|other| other.oin != party.oin);
                let second = second.map(|other| other.oin.clone());
                let facts = Facts { action: act, in_case: true, second, ..question(party.oin.as_str()) };
                // The sources name a care list for two of the cities.
                let has_list = ["haarlem", "rotterdam"].contains(&regulation.id().as_str());
                let may = may(party.role, act) && (act != Act::Load(Source::Care) || has_list);
                match regulation.decide(&facts) {
                    Ok(_) => assert!(may, "{:?} {act:?}", party.role),
                    Err(refusal) => {
                        assert!(!may, "{} {:?} {act:?} {refusal:?}", regulation.id(), party.role);
                        let other =
                            ["default", "case", "four-eyes", "stock-countersigned"].contains(&refusal.article.as_str());
                        assert!(other, "{refusal:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn officers_read_the_log_after_the_end_and_nobody_else_does_anything() {
    for regulation in Regulation::built_in() {
        for party in regulation.parties() {
            for act in Act::ALL {
                let facts = Facts { action: act, today: date!(2028 - 01 - 01), ..question(party.oin.as_str()) };
                let officer_reads = party.role == Role::PrivacyOfficer && act == Act::ReadLog;
                assert_eq!(regulation.decide(&facts).is_ok(), officer_reads, "{party:?} {act:?}");
            }
        }
    }
}

#[test]
fn a_party_of_one_city_is_nobody_in_the_other() {
    let [haarlem, rotterdam] = two();
    for party in haarlem.parties() {
        assert_eq!(rotterdam.party(&party.oin), None);
        for act in Act::ALL {
            let facts = Facts { action: act, ..question(party.oin.as_str()) };
            assert_eq!(refused_by(&rotterdam, &facts), "default");
        }
    }
}

pub(super) fn finding(certain: bool, groups: Groups) -> Finding {
    Finding { tenants: vec![], certain, care_certain: certain, groups, apart: false, moved: None }
}

#[test]
fn the_regulation_says_whose_household_counts_for_a_tenant_who_is_registered_elsewhere() {
    let none = Groups { minor: false, senior_tenant: false, senior_resident: false, oggz: false };
    let minor = Groups { minor: true, ..none };
    let registered = haarlem();
    let address = read(&replaced(TOML_TEXT, "whose = \"registered\"", "whose = \"address\""), CEDAR_TEXT).unwrap();
    // Groups of all, and of those who are registered at the address; no tenant elsewhere: the same either way.
    for (groups, moved, by_registration, by_address) in [
        (minor, Some(none), Answer::Priority, Answer::Undetermined),
        (none, Some(none), Answer::NoPriority, Answer::Undetermined),
        (minor, Some(minor), Answer::Priority, Answer::Priority),
        (minor, None, Answer::Priority, Answer::Priority),
        (none, None, Answer::NoPriority, Answer::NoPriority),
    ] {
        for (regulation, want) in [(&registered, by_registration), (&address, by_address)] {
            let found = Finding { moved, ..finding(true, groups) };
            let permit = regulation.decide(&question(YMERE)).unwrap();
            assert_eq!(permit.disclose(regulation, Some(&found), true), want, "{groups:?} {moved:?}");
        }
    }
}

#[test]
fn of_three_people_apart_nothing_is_told() {
    let haarlem = haarlem();
    let minor = Groups { minor: true, senior_tenant: false, senior_resident: false, oggz: false };
    for (tenants, apart, want) in [
        (1, false, Answer::Priority),
        (2, false, Answer::Priority),
        (2, true, Answer::Priority),
        (3, false, Answer::Priority),
        (3, true, Answer::Undetermined),
    ] {
        let found = Finding { tenants: vec![Standing::Nobody; tenants], apart, ..finding(true, minor) };
        let permit = haarlem.decide(&question(YMERE)).unwrap();
        assert_eq!(permit.disclose(&haarlem, Some(&found), true), want, "{tenants} {apart}");
    }
}

#[test]
fn a_group_that_is_told_to_nobody_changes_no_answer_and_no_cost() {
    let without = "recipients = [\"care-custodian\"]";
    let haarlem = read(&replaced(TOML_TEXT, "recipients = [\"corporation\", \"care-custodian\"]", without), CEDAR_TEXT);
    let haarlem = haarlem.unwrap();
    let told = |found: &Finding| {
        let permit = haarlem.decide(&question(YMERE)).unwrap();
        (permit.disclose(&haarlem, Some(found), true), haarlem.cost(Role::Corporation, Some(found), true))
    };
    for bits in 0..24_usize {
        let (minor, certain, apart) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
        let found = |care_certain, oggz| {
            let groups = Groups { minor, senior_tenant: false, senior_resident: false, oggz };
            let tenants = vec![Standing::Nobody; 1 + bits / 8];
            Finding { tenants, certain, care_certain, groups, apart, moved: None }
        };
        for (care_certain, oggz) in [(false, false), (true, true), (false, true)] {
            assert_eq!(told(&found(care_certain, oggz)), told(&found(true, false)), "{bits}");
        }
    }
}

#[test]
fn only_a_permit_to_ask_discloses_and_only_for_its_regulation() {
    let [haarlem, rotterdam] = two();
    let minor = finding(true, Groups { minor: true, senior_tenant: false, senior_resident: false, oggz: false });
    let none = finding(true, Groups { minor: false, senior_tenant: false, senior_resident: false, oggz: false });
    let permit = || haarlem.decide(&question(YMERE)).unwrap();
    assert_eq!(permit().disclose(&haarlem, Some(&minor), true), Answer::Priority);
    assert_eq!(permit().disclose(&haarlem, Some(&none), true), Answer::NoPriority);
    assert_eq!(permit().disclose(&haarlem, Some(&minor), false), Answer::Undetermined);
    assert_eq!(permit().disclose(&haarlem, Some(&none), false), Answer::Undetermined);
    assert_eq!(permit().disclose(&haarlem, None, true), Answer::Undetermined);
    assert_eq!(permit().disclose(&rotterdam, Some(&minor), true), Answer::Undetermined);
    let second = Some("00000099000000005001".parse().unwrap());
    let register = haarlem.decide(&Facts { action: Act::RegisterStock, second, ..question(YMERE) }).unwrap();
    assert_eq!(register.disclose(&haarlem, Some(&minor), true), Answer::Undetermined);
}

#[test]
fn a_regulation_that_asks_for_consult_counts_undetermined_as_consult() {
    let regulation = read(&replaced(TOML_TEXT, "form = \"three-valued\"", "form = \"consult\""), CEDAR_TEXT).unwrap();
    let none = finding(true, Groups { minor: false, senior_tenant: false, senior_resident: false, oggz: false });
    let permit = || regulation.decide(&question(YMERE)).unwrap();
    assert_eq!(permit().disclose(&regulation, None, true), Answer::Priority);
    assert_eq!(permit().disclose(&regulation, Some(&none), true), Answer::NoPriority);
}

pub(super) fn replaced(text: &str, from: &str, to: &str) -> String {
    let changed = text.replacen(from, to, 1);
    assert!(changed != text, "{from}");
    changed
}

#[test]
fn the_digest_changes_with_every_file_and_with_the_border_between_them() {
    let same = digest("ab", "c");
    assert_eq!(same, digest("ab", "c"));
    assert_ne!(same, digest("a", "bc"));
    assert_ne!(same, digest("ab", "d"));
    assert_eq!(haarlem().digest(), digest(TOML_TEXT, CEDAR_TEXT));
    assert_eq!(same.len(), 64);
}

#[test]
fn a_folder_loads_as_its_texts_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/regulations");
    for shipped in Regulation::built_in() {
        let loaded = Regulation::load(&root.join(shipped.id().as_str())).unwrap();
        assert_eq!(loaded.digest(), shipped.digest());
    }
    assert!(matches!(Regulation::load(&root.join("nowhere")), Err(RegulationError::Read { .. })));
    assert!(matches!(Regulation::load(&root.join("No Name")), Err(RegulationError::Read { .. })));
}

#[test]
fn budgets_are_shares_of_the_stock() {
    let budgets = *haarlem().budgets();
    assert_eq!((budgets.alarm(1_000), budgets.stop(1_000)), (100, 250));
    assert_eq!((budgets.alarm(0), budgets.stop(0), budgets.stop(3)), (0, 0, 1));
}

#[test]
fn roles_are_written_as_they_are_named() {
    for role in Role::ALL {
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{}\"", role.as_str()));
    }
}

#[test]
fn a_regulation_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&haarlem());
}

/// The bound only catches a policy set that is parsed again each time.
#[test]
fn a_decision_takes_microseconds() {
    let haarlem = haarlem();
    let facts = question(YMERE);
    let mut micros: Vec<_> = (0..2_000)
        .map(|_| {
            let start = Instant::now();
            assert!(haarlem.decide(&facts).is_ok());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let (median, most) = (micros[1_000], micros[1_980]);
    assert!(median < 1_000.0, "median {median:.1} us, 99 % {most:.1} us");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn more_arrears_never_turn_a_permit_into_a_refusal(months in -5.0..30.0_f64, days in 0_u32..400, more in 0.0..9.0_f64) {
        let haarlem = haarlem_once();
        let ask = |months| haarlem.decide(&Facts { arrears: Some(Arrears { months, days }), ..question(YMERE) }).is_ok();
        prop_assert!(!ask(months) || ask(months + more));
    }

    #[test]
    fn no_numbers_make_a_decision_panic_or_fail_open(
        months: f64, days: u32, asked: u64, stock: Option<u64>, household: u64, in_stock: Option<bool>,
    ) {
        let facts = Facts {
            arrears: Some(Arrears { months, days }),
            asked_this_month: asked, stock, asked_household_this_month: household, in_stock,
            ..question(YMERE)
        };
        let fine = facts.arrears.unwrap().in_days() >= 38
            && in_stock == Some(true)
            && household < 4
            && stock.is_some_and(|stock| asked < haarlem_once().budgets().stop(stock));
        prop_assert_eq!(haarlem_once().decide(&facts).is_ok(), fine);
    }
}

fn haarlem_once() -> &'static Regulation {
    static HAARLEM: std::sync::LazyLock<Regulation> = std::sync::LazyLock::new(haarlem);
    &HAARLEM
}
