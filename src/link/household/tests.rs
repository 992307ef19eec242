use super::*;
use crate::code::{Codes, Group};
use crate::link::testing::{City, missing, reaching};
use proptest::prelude::*;

const NOTHING: Groups = Groups { minor: false, senior_tenant: false, senior_resident: false, oggz: false };
const OGGZ: Groups = Groups { oggz: true, ..NOTHING };

fn certainty(finding: &Finding) -> (bool, Groups) {
    (finding.certain && finding.care_certain, finding.groups)
}

#[test]
fn a_household_without_groups_is_a_certain_nothing() {
    let mut city = City::new(1);
    let anna = city.resident(1, 1, &[]);
    city.resident(2, 1, &[Group::Senior]);
    city.register(2, 1, &[Group::Minor], Codes::default());
    assert_eq!(certainty(&city.ask(1, &[&anna])), (true, NOTHING));
}

#[test]
fn a_member_whom_the_global_code_finds_elsewhere_does_not_make_a_relative_s_household_one_on_the_list() {
    let mut city = City::new(40);
    let mother = city.resident(1, 1, &[]);
    let itself = city.resident(2, 2, &[]);
    let mut member = city.draw.like(&mother, None, reaching(9.0));
    city.member(1, member.clone());
    assert_eq!(city.registers().households_on_list(), ["Yes", "No"]);
    city.care.clear();
    member.passes[0] = itself.passes[0].clone();
    city.member(1, member);
    assert_eq!(city.registers().households_on_list(), ["Unsure", "Unsure"]);
}

#[test]
fn a_child_without_codes_makes_its_household_one_with_a_minor() {
    let mut city = City::new(2);
    let anna = city.resident(1, 1, &[]);
    city.register(1, 1, &[Group::Minor], Codes::default());
    assert_eq!(certainty(&city.ask(1, &[&anna])), (true, Groups { minor: true, ..NOTHING }));
}

#[test]
fn a_senior_counts_as_tenant_only_if_linked() {
    let mut city = City::new(3);
    let anna = city.resident(1, 1, &[]);
    let opa = city.resident(1, 1, &[Group::Senior]);
    let resident = Groups { senior_resident: true, ..NOTHING };
    assert_eq!(certainty(&city.ask(1, &[&anna])), (true, resident));
    assert_eq!(certainty(&city.ask(1, &[&anna, &opa])), (true, Groups { senior_tenant: true, ..resident }));
}

#[test]
fn the_groups_of_all_linked_households_are_united() {
    let mut city = City::new(4);
    let anna = city.resident(1, 1, &[Group::Senior]);
    let bert = city.resident(2, 2, &[]);
    city.register(2, 2, &[Group::Minor], Codes::default());
    let want = Groups { minor: true, senior_tenant: true, senior_resident: true, oggz: false };
    assert_eq!(certainty(&city.ask(1, &[&anna, &bert])), (true, want));
}

#[test]
fn a_tenant_whom_nobody_knows_takes_the_certainty_alone_and_beside_a_linked_one() {
    let mut city = City::new(5);
    let (anna, stranger) = (city.resident(1, 1, &[]), city.draw.codes());
    assert_eq!(certainty(&city.ask(1, &[&anna])), (true, NOTHING));
    assert_eq!(certainty(&city.ask(1, &[&anna, &stranger])), (false, NOTHING));
    assert_eq!(certainty(&city.ask(1, &[&stranger])), (false, NOTHING));
}

#[test]
fn people_are_apart_unless_all_are_linked_in_one_household() {
    let mut city = City::new(16);
    let (anna, bert) = (city.resident(1, 1, &[]), city.resident(1, 1, &[]));
    let carla = city.resident(2, 1, &[]);
    let (listed, stranger) = (city.draw.codes(), city.draw.codes());
    city.member(5, listed.clone());
    city.member(0, carla.clone());
    for (tenants, apart) in [
        (vec![&anna], false),
        (vec![&stranger], false),
        (vec![&listed], false),
        (vec![&anna, &bert], false),
        (vec![&anna, &carla], true),
        (vec![&anna, &bert, &carla], true),
        (vec![&anna, &stranger], true),
        (vec![&anna, &listed], true),
        (vec![&listed, &stranger], true),
        (vec![&stranger, &stranger], true),
    ] {
        assert_eq!(city.ask(1, &tenants).apart, apart, "{} tenants", tenants.len());
    }
    city.profile.rule.max_household = 1;
    assert!(city.ask(1, &[&anna, &bert]).apart, "an institution");
}

#[test]
fn an_unsure_tenant_takes_the_certainty_and_leaves_the_groups() {
    let mut city = City::new(6);
    let anna = city.resident(1, 1, &[Group::Senior]);
    let bert = city.resident(2, 1, &[]);
    let unsure = city.draw.like(&bert, None, reaching(6.0));
    let want = Groups { senior_tenant: true, senior_resident: true, ..NOTHING };
    assert_eq!(certainty(&city.ask(1, &[&anna, &unsure])), (false, want));
}

#[test]
fn a_household_or_an_address_above_its_size_is_never_certain() {
    let mut city = City::new(7);
    let anna = city.resident(1, 1, &[Group::Senior]);
    city.resident(1, 2, &[]);
    city.resident(2, 1, &[]);
    let want = Groups { senior_tenant: true, senior_resident: true, ..NOTHING };
    for (max_household, max_address_block, certain) in [(2, 2, true), (1, 2, false), (2, 1, false)] {
        city.profile.rule.max_household = max_household;
        city.profile.rule.max_address_block = max_address_block;
        assert_eq!(certainty(&city.ask(1, &[&anna])), (certain, want));
        // Found elsewhere, the size of that address counts.
        assert_eq!(certainty(&city.ask(0, &[&anna])), (certain, want));
    }
}

#[test]
fn of_a_household_above_its_size_only_the_tenants_own_groups_count() {
    let mut city = City::new(17);
    let anna = city.resident(1, 1, &[]);
    let senior = city.resident(1, 1, &[Group::Senior]);
    // Of whom no birth date is known.
    let ageless = city.resident(1, 1, &[Group::Minor]);
    city.register(1, 1, &[Group::Minor], Codes::default());
    let listed = city.resident(1, 1, &[]);
    city.member(1, listed.clone());
    let (minor, all) = (Groups { minor: true, ..NOTHING }, Groups { minor: true, senior_resident: true, ..OGGZ });
    assert_eq!(certainty(&city.ask(1, &[&anna])), (true, all));
    city.profile.rule.max_household = 4;
    let own_age = Groups { senior_tenant: true, senior_resident: true, ..NOTHING };
    for (tenant, want) in [(&anna, NOTHING), (&senior, own_age), (&ageless, minor), (&listed, OGGZ)] {
        assert_eq!(certainty(&city.ask(1, &[tenant])), (false, want));
        assert_eq!(city.ask(2, &[tenant]).moved, Some(if want == OGGZ { OGGZ } else { NOTHING }));
    }
}

#[test]
fn a_care_member_gives_the_household_its_group_wherever_the_list_has_the_address() {
    for home in [1, 2, 0] {
        let mut city = City::new(8);
        let anna = city.resident(1, 1, &[]);
        let bert = city.resident(1, 1, &[]);
        let other = city.resident(2, 3, &[]);
        city.member(home, bert);
        assert_eq!(city.registers().joined(), 1);
        assert_eq!(certainty(&city.ask(1, &[&anna])), (true, OGGZ));
        assert_eq!(certainty(&city.ask(3, &[&other])), (true, NOTHING));
    }
}

#[test]
fn a_care_member_whom_nobody_knows_changes_no_household() {
    let mut city = City::new(9);
    let anna = city.resident(1, 1, &[]);
    let stranger = city.draw.codes();
    city.member(1, stranger);
    assert_eq!(city.registers().joined(), 0);
    assert_eq!(certainty(&city.ask(1, &[&anna])), (true, NOTHING));
}

#[test]
fn a_tenant_who_is_only_on_the_care_list_has_the_group_and_no_certainty() {
    let mut city = City::new(10);
    let anna = city.resident(1, 1, &[]);
    let carla = city.draw.codes();
    city.member(5, carla.clone());
    assert_eq!(certainty(&city.ask(1, &[&carla])), (false, OGGZ));
    assert_eq!(certainty(&city.ask(5, &[&carla])), (false, OGGZ));
    assert_eq!(certainty(&city.ask(1, &[&anna, &carla])), (false, OGGZ));
}

#[test]
fn a_care_member_in_the_band_of_a_household_leaves_it_uncertain() {
    let mut city = City::new(11);
    let anna = city.resident(1, 1, &[]);
    let bert = city.resident(1, 1, &[]);
    let unsure = city.draw.like(&bert, None, reaching(6.0));
    city.member(1, unsure);
    assert_eq!(certainty(&city.ask(1, &[&anna])), (false, NOTHING));
    // Certain membership outweighs the doubt.
    city.member(1, bert);
    assert_eq!(certainty(&city.ask(1, &[&anna])), (true, OGGZ));
}

#[test]
fn a_tenant_in_the_band_of_the_care_list_is_unsure() {
    let mut city = City::new(12);
    let anna = city.resident(1, 1, &[]);
    let unsure = city.draw.like(&anna, missing(6.0), None);
    // Known to the care list at an address where nobody is registered.
    city.member(7, unsure);
    city.limits.names.link = 30.0;
    assert_eq!(certainty(&city.ask(1, &[&anna])), (false, NOTHING));
}

#[test]
fn two_care_members_who_agree_equally_are_both_on_the_list() {
    let mut city = City::new(13);
    let carla = city.draw.codes();
    city.member(5, carla.clone());
    city.member(5, carla.clone());
    assert_eq!(city.ask(5, &[&carla]).groups, OGGZ);
}

#[test]
fn a_join_of_many_members_finds_each() {
    let mut city = City::new(14);
    for person in 0..50 {
        let codes = city.resident(person, 1 + person, &[]);
        // A third at the right address, a third at another one, a third at none.
        city.member([1 + person, 1000, 0][person as usize % 3], codes);
        let nobody = city.draw.codes();
        city.member(0, nobody);
    }
    let registers = city.registers();
    assert_eq!((registers.joined(), registers.care().map(|care| care.persons())), (50, Some(100)));
    let shown = "Registers(Register(population, 50 records, 50 with codes), \
                 Some(Register(care, 100 records, 100 with codes)), 50 joined)";
    assert_eq!(format!("{registers:?}"), shown);
    assert!(registers.membership.iter().all(|membership| *membership == Membership::Yes));
}

#[test]
#[should_panic(expected = "codes of one profile")]
fn a_question_of_another_shape_is_never_answered_with_nobody() {
    let mut city = City::new(15);
    let anna = city.resident(1, 1, &[]);
    let registers = city.registers();
    let mut short = anna.clone();
    short.passes[1].iter_mut().for_each(|code| *code = code.words()[..16].to_vec().into());
    city.profile.passes[1].code_bits = 1024;
    registers.find(&city.question(1, &[&short]));
}

#[test]
fn questions_that_are_searched_together_find_what_each_finds_alone() {
    for seed in 31..41 {
        let (city, people) = crowd(seed);
        let registers = city.registers();
        let [anna, bert, carla] = &people[..] else { unreachable!("a crowd has three tenants") };
        let questions = [&[anna][..], &[bert], &[carla, anna], &[bert, carla, anna], &[anna]];
        let questions = questions.map(|tenants| city.question(1, tenants));
        let alone: Vec<_> = questions.iter().map(|question| registers.find(question)).collect();
        assert_eq!(registers.find_each(&questions), alone);
    }
    assert_eq!(City::new(41).registers().find_each::<HouseholdQuestion>(&[]), []);
}

/// Else a question's time would tell whether the tenant is registered at his address.
#[test]
fn whoever_is_found_at_the_address_is_looked_for_in_the_whole_register_as_well() {
    let mut city = City::new(32);
    let anna = city.resident(1, 1, &[]);
    let (registers, question) = (city.registers(), city.question(1, &[&anna]));
    std::thread::scope(|scope| {
        let busy = registers.desk.busy();
        let found = scope.spawn(|| registers.find(&question));
        while registers.desk.is_empty() {
            assert!(!found.is_finished(), "the register was not searched");
            std::thread::yield_now();
        }
        drop(busy);
        assert_eq!(certainty(&found.join().unwrap()), (true, NOTHING));
    });
}

/// A crowded city: few addresses and households, copies and near copies, so that ties and rivals are common.
fn crowd(seed: u64) -> (City, Vec<Codes>) {
    let mut city = City::new(seed);
    let distances = [Some(0), reaching(20.0), reaching(9.0), reaching(6.0), missing(5.0), None];
    let mut known = vec![city.draw.codes()];
    for _ in 0..8 {
        let (names, home) = (distances[city.draw.below(6)], distances[city.draw.below(6)]);
        let model = known[city.draw.below(known.len())].clone();
        known.push(city.draw.like(&model, names, home));
    }
    let groups = [&[][..], &[Group::Senior], &[Group::Minor]];
    for _ in 0..8 {
        let codes = known[city.draw.below(known.len())].clone();
        let (household, home) = (city.draw.below(4) as u64, city.draw.below(3) as u64);
        let groups = groups[city.draw.below(3)];
        city.register(household, home, groups, codes);
    }
    for _ in 0..city.draw.below(3) {
        let (codes, home) = (known[city.draw.below(known.len())].clone(), city.draw.below(3) as u64);
        city.member(home, codes);
    }
    let tenants = (0..3).map(|_| known[city.draw.below(known.len())].clone()).collect();
    (city, tenants)
}

/// Else who is told nothing of that list would see what is on it.
#[test]
fn the_care_list_changes_nothing_of_a_finding_but_what_is_said_of_that_list() {
    let without = |groups: Groups| Groups { oggz: false, ..groups };
    let rest = |finding: Finding| Finding {
        care_certain: true,
        groups: without(finding.groups),
        moved: finding.moved.map(without),
        ..finding
    };
    let mut doubts = 0;
    for seed in 41..81 {
        let (mut city, people) = crowd(seed);
        for n in 1..=3 {
            let tenants: Vec<_> = people[..n].iter().collect();
            city.care.clear();
            let want = city.ask(1, &tenants);
            for listed in &people {
                let like = city.draw.like(listed, reaching(6.0), None);
                city.member(1, like);
                let found = city.ask(1, &tenants);
                doubts += usize::from(!found.care_certain);
                assert_eq!(rest(found), want, "{seed} {n}");
            }
        }
    }
    assert!(doubts > 50, "{doubts}");
}

fn shuffle<T>(draw: &mut crate::link::testing::Draw, list: &mut [T]) {
    (1..list.len()).for_each(|last| list.swap(last, draw.below(last + 1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_order_of_records_or_tenants_changes_an_answer(seed: u64, home in 0_u64..3) {
        let (mut city, mut tenants) = crowd(seed);
        let want = city.ask(home, &tenants.iter().collect::<Vec<_>>());
        shuffle(&mut city.draw, &mut city.population);
        shuffle(&mut city.draw, &mut city.care);
        shuffle(&mut city.draw, &mut tenants);
        let got = city.ask(home, &tenants.iter().collect::<Vec<_>>());
        prop_assert_eq!(certainty(&got), certainty(&want));
    }
}
