use super::*;
use crate::code::{Code, Codes, Group};
use crate::link::popcount::Kernel;
use crate::link::testing::{City, missing, reaching};
use crate::link::thresholds::Limits;

/// Row and place of a link, or none.
fn link(standing: Standing) -> Option<(usize, bool)> {
    match standing {
        Standing::Linked { row, at_address, .. } => Some((row, at_address)),
        _ => None,
    }
}

fn one(city: &City, home: u64, tenant: &Codes) -> Standing {
    city.ask(home, &[tenant]).tenants[0]
}

#[test]
fn the_address_links_and_leaves_in_doubt_who_lives_there_and_nobody_else() {
    let mut city = City::new(1);
    city.resident(9, 9, &[]);
    let anna = city.resident(1, 1, &[]);
    let at = city.draw.like(&anna, None, reaching(9.0));
    let below = city.draw.like(&anna, None, reaching(6.0));
    let stranger = city.draw.like(&anna, None, reaching(2.0));
    assert_eq!(link(one(&city, 1, &at)), Some((1, true)));
    assert_eq!(one(&city, 1, &below), Standing::Unsure);
    assert_eq!(one(&city, 1, &stranger), Standing::Nobody);
    assert_eq!(one(&city, 2, &at), Standing::Nobody);
    assert_eq!(one(&city, 0, &at), Standing::Nobody);
}

#[test]
fn the_address_links_and_doubts_from_its_thresholds_on() {
    let mut city = City::new(2);
    let anna = city.resident(1, 1, &[]);
    let tenant = city.draw.like(&anna, reaching(4.0), reaching(7.0));
    city.limits.here.link = 1.0;
    let Standing::Linked { z, .. } = one(&city, 1, &tenant) else { panic!("linked") };
    // Both passes count.
    assert!((8.0..8.6).contains(&z.value()), "{z:?}");
    for (above_link, above_unsure, want) in [(0.0, -1.0, "linked"), (1e-9, 0.0, "unsure"), (1.0, 1e-9, "nobody")] {
        city.limits.here = Limits { link: z.value() + above_link, unsure: z.value() + above_unsure };
        let got = match one(&city, 1, &tenant) {
            Standing::Linked { .. } => "linked",
            Standing::Unsure => "unsure",
            Standing::Nobody => "nobody",
        };
        assert_eq!(got, want);
    }
}

#[test]
fn whom_the_global_code_alone_would_link_is_told() {
    let mut city = City::new(3);
    let anna = city.resident(1, 1, &[]);
    for (names, want) in [(reaching(6.0), true), (missing(6.0), false)] {
        let tenant = city.draw.like(&anna, names, reaching(20.0));
        let Standing::Linked { by_names, at_address, .. } = one(&city, 1, &tenant) else { panic!("linked") };
        assert_eq!((by_names, at_address), (want, true));
    }
}

#[test]
fn somebody_who_moved_is_found_elsewhere_from_its_threshold() {
    let mut city = City::new(3);
    let anna = city.resident(1, 1, &[]);
    for (names, want) in [(reaching(6.0), Some((0, false))), (missing(6.0), None)] {
        let tenant = city.draw.like(&anna, names, None);
        assert_eq!(link(one(&city, 2, &tenant)), want);
    }
    for (names, want) in [(missing(6.0), true), (reaching(5.2), true), (missing(5.2), false)] {
        let tenant = city.draw.like(&anna, names, None);
        assert_eq!(one(&city, 2, &tenant) == Standing::Unsure, want);
    }
}

#[test]
fn a_neighbour_s_code_links_before_the_global_one_and_has_thresholds_of_its_own() {
    let mut city = City::new(21);
    city.compare_streets();
    let with_street = |city: &mut City, code: &Code, distance: Option<u32>| {
        let mut codes = city.draw.codes();
        codes.passes.push(vec![city.draw.flip(code, distance.unwrap() as usize)]);
        codes
    };
    let street = city.draw.code();
    let (anna, other) = (with_street(&mut city, &street, Some(0)), city.draw.code());
    city.register(1, 1, &[], anna);
    let bert = with_street(&mut city, &other, Some(0));
    city.register(2, 2, &[], bert.clone());
    for (z, linked, unsure) in [(reaching(7.0), true, false), (missing(7.0), false, true), (missing(5.0), false, false)]
    {
        let tenant = with_street(&mut city, &street, z);
        let standing = one(&city, 9, &tenant);
        assert_eq!((link(standing) == Some((0, false)), standing == Standing::Unsure), (linked, unsure));
    }
    let mut tenant = with_street(&mut city, &street, reaching(7.0));
    tenant.passes[0] = bert.passes[0].clone();
    assert_eq!(link(one(&city, 9, &tenant)), Some((0, false)));
}

#[test]
fn all_codes_together_link_who_is_in_the_band_of_one() {
    let mut city = City::new(22);
    let anna = city.resident(1, 1, &[]);
    // In the band at the address, and of the global code.
    let tenant = city.draw.like(&anna, reaching(5.5), reaching(3.5));
    assert_eq!(one(&city, 1, &tenant), Standing::Unsure);
    // 5.5 and 3.5 together are 6.52; the noise of the variants is less than either.
    city.limits.together = 6.5;
    assert_eq!(link(one(&city, 1, &tenant)), Some((0, false)));
    city.limits.together = 7.0;
    assert_eq!(one(&city, 1, &tenant), Standing::Unsure);
    // Nobody is linked together who is in no band.
    city.limits.together = 2.0;
    let stranger = city.draw.like(&anna, missing(4.0), missing(2.4));
    assert_eq!(one(&city, 1, &stranger), Standing::Nobody);
}

#[test]
fn the_best_pair_of_variants_counts_and_padding_does_not() {
    let mut city = City::new(5);
    let anna = city.resident(1, 1, &[]);
    let mut tenant = city.draw.codes();
    tenant.passes[1][0] = anna.passes[1][1].clone();
    assert_eq!(link(one(&city, 1, &tenant)), Some((0, true)));
    let mut mover = city.draw.codes();
    mover.passes[0][1] = anna.passes[0][0].clone();
    assert_eq!(link(one(&city, 2, &mover)), Some((0, false)));
}

#[test]
fn who_is_at_the_address_does_not_go_before_the_one_whom_the_global_code_finds_elsewhere() {
    let mut city = City::new(6);
    let anna = city.resident(1, 1, &[]);
    let itself = city.resident(2, 2, &[]);
    let mut tenant = city.draw.like(&anna, None, reaching(9.0));
    assert_eq!(link(one(&city, 1, &tenant)), Some((0, true)));
    tenant.passes[0] = itself.passes[0].clone();
    assert_eq!(one(&city, 1, &tenant), Standing::Unsure);
    // The global code finds her too: then the address goes before a namesake.
    tenant.passes[0][0] = anna.passes[0][0].clone();
    assert_eq!(link(one(&city, 1, &tenant)), Some((0, true)));
}

#[test]
fn a_namesake_elsewhere_is_not_taken_for_somebody_in_doubt_at_the_address() {
    let mut city = City::new(31);
    let anna = city.resident(1, 1, &[]);
    let namesake = city.resident(2, 2, &[]);
    for (home, agrees, want) in [(1, 6.0, None), (1, 2.0, Some((1, false))), (3, 6.0, Some((1, false)))] {
        let mut tenant = city.draw.like(&anna, None, reaching(agrees));
        tenant.passes[0] = namesake.passes[0].clone();
        let standing = one(&city, home, &tenant);
        assert_eq!(link(standing), want);
        assert!(want.is_some() || standing == Standing::Unsure);
    }
    // Unless that one is another tenant, or lives with the namesake.
    let mut tenant = city.draw.like(&anna, None, reaching(6.0));
    tenant.passes[0] = namesake.passes[0].clone();
    let finding = city.ask(1, &[&anna, &tenant]);
    assert_eq!([0, 1].map(|at| link(finding.tenants[at])), [Some((0, true)), Some((1, false))]);
    city.register(2, 4, &[], anna.clone());
    assert_eq!(link(one(&city, 4, &tenant)), Some((1, false)));
}

#[test]
fn a_tie_between_households_is_unsure_and_inside_one_is_not() {
    let mut city = City::new(7);
    let anna = city.resident(1, 1, &[]);
    city.register(1, 1, &[], anna.clone());
    assert!(link(one(&city, 1, &anna)).is_some());
    assert!(link(one(&city, 2, &anna)).is_some());
    city.register(2, 1, &[], anna.clone());
    assert_eq!(one(&city, 1, &anna), Standing::Unsure);
    assert_eq!(one(&city, 2, &anna), Standing::Unsure);
}

#[test]
fn a_runner_up_whom_noise_explains_is_a_tie_at_the_address_and_elsewhere_none() {
    let mut city = City::new(8);
    let anna = city.resident(1, 1, &[]);
    let near = city.draw.like(&anna, Some(1), Some(1));
    city.register(2, 1, &[], near);
    assert_eq!(one(&city, 1, &anna), Standing::Unsure);
    assert_eq!(link(one(&city, 2, &anna)), Some((0, false)));
}

#[test]
fn a_runner_up_beyond_noise_is_no_tie() {
    for (z, linked) in [(10.0, true), (30.0, true), (43.5, false), (44.5, false)] {
        let mut city = City::new(15);
        let anna = city.resident(1, 1, &[]);
        let other = city.draw.like(&anna, None, reaching(z));
        city.register(2, 1, &[], other);
        let tenant = city.draw.like(&anna, None, Some(0));
        assert_eq!(link(one(&city, 1, &tenant)), linked.then_some((0, true)), "{z}");
        // Inside a household it is no matter.
        city.population[1].household = city.population[0].household;
        assert_eq!(link(one(&city, 1, &tenant)), Some((0, true)), "{z}");
    }
}

/// Another salt would have one of two equals above the threshold, and the other below.
#[test]
fn a_runner_up_who_is_only_in_doubt_is_a_rival_too() {
    for (link_z, rival_z, equal) in [(9.0, 7.0, true), (9.0, 3.5, false), (25.0, 7.0, false)] {
        let mut city = City::new(25);
        let (anna, bert) = (city.resident(1, 1, &[]), city.resident(2, 1, &[]));
        let carl = city.resident(2, 1, &[]);
        let mut tenant = city.draw.codes();
        tenant.passes[1][0] = city.draw.flip(&anna.passes[1][0], reaching(link_z).unwrap() as usize);
        tenant.passes[1][1] = city.draw.flip(&bert.passes[1][0], reaching(rival_z).unwrap() as usize);
        let standing = one(&city, 1, &tenant);
        assert_eq!((standing == Standing::Unsure, link(standing) == Some((0, true))), (equal, !equal), "{rival_z}");
        // Beside a tenant with whom he lives, the rival is who is in doubt.
        let both = city.ask(1, &[&carl, &tenant]).tenants;
        assert_eq!(link(both[1]).map(|(row, _)| row), Some(usize::from(equal)));
        // Inside a household it is no matter.
        city.population[1].household = city.population[0].household;
        assert_eq!(link(one(&city, 1, &tenant)), Some((0, true)));
    }
}

#[test]
fn every_pass_counts_its_noise_in_what_is_equal() {
    let mut city = City::new(26);
    let anna = city.resident(1, 1, &[]);
    city.register(2, 1, &[], anna);
    let (population, _) = city.loads();
    let toss = Search::alone(&population, Kernel::best()).toss(&Probe::row(&population, 0), 0, 1);
    // Both agree in everything, and their codes are the same: nothing but the passes' own noise is left.
    let passes = population.shape.passes();
    let bits: usize = (0..passes).map(|pass| population.shape.bits(pass)).sum();
    assert!((toss * toss * bits as f64 - 0.625 * passes as f64).abs() < 1e-9);
}

#[test]
fn a_rival_who_is_another_tenant_is_none() {
    let mut city = City::new(16);
    let anna = city.resident(1, 1, &[]);
    let mut bert = city.draw.like(&anna, Some(4), Some(4));
    let his = city.draw.code();
    bert.passes[1][1] = his.clone();
    city.register(2, 1, &[], bert);
    let mut tenant = city.draw.codes();
    tenant.passes[1][0] = city.draw.flip(&his, reaching(15.0).unwrap() as usize);
    assert_eq!(one(&city, 1, &anna), Standing::Unsure);
    for (tenants, rows) in [([&anna, &tenant], [0, 1]), ([&tenant, &anna], [1, 0])] {
        let linked: Vec<_> = city.ask(1, &tenants).tenants.into_iter().map(link).collect();
        assert_eq!(linked, rows.map(|row| Some((row, true))));
    }
}

#[test]
fn twins_are_linked_to_two_people() {
    let mut city = City::new(9);
    let first = city.resident(1, 1, &[]);
    let second = city.draw.like(&first, None, reaching(20.0));
    city.register(1, 1, &[], second.clone());
    // Nearest to the first twin, but near enough to the second.
    let mistyped = city.draw.like(&first, None, reaching(30.0));
    for tenants in [[&first, &mistyped], [&mistyped, &first]] {
        let mut rows: Vec<_> = city.ask(1, &tenants).tenants.into_iter().filter_map(link).collect();
        rows.sort_unstable();
        assert_eq!(rows, [(0, true), (1, true)]);
    }
}

#[test]
fn tenants_who_agree_equally_with_one_person_are_taken_in_no_order_of_the_question() {
    let mut city = City::new(13);
    let first = city.resident(1, 1, &[]);
    let (mut a, mut b) = (first.clone(), first);
    // Each would fall back on another household: whoever goes first decides which of them is seen.
    a.passes[1][1] = city.resident(2, 1, &[Group::Minor]).passes[1][1].clone();
    a.passes[1][1] = city.draw.flip(&a.passes[1][1], 100);
    b.passes[1][1] = city.resident(3, 1, &[Group::Senior]).passes[1][1].clone();
    b.passes[1][1] = city.draw.flip(&b.passes[1][1], 100);
    let (there, back) = (city.ask(1, &[&a, &b]), city.ask(1, &[&b, &a]));
    assert_eq!(there.groups, back.groups);
    assert!(there.groups.minor != there.groups.senior_tenant);
}

#[test]
fn tenants_share_a_person_only_where_nobody_else_would_do() {
    let mut city = City::new(10);
    let anna = city.resident(1, 1, &[]);
    city.resident(1, 1, &[]);
    let again = city.draw.like(&anna, None, reaching(10.0));
    let standings = city.ask(1, &[&again, &anna]).tenants;
    assert_eq!(standings.into_iter().map(link).collect::<Vec<_>>(), [Some((0, true)); 2]);
}

#[test]
fn a_tenant_in_doubt_is_whoever_lives_with_a_tenant_who_is_linked() {
    let mut city = City::new(14);
    let anna = city.resident(1, 1, &[]);
    let bert = city.resident(1, 1, &[]);
    let carl = city.resident(2, 1, &[]);
    let like = |city: &mut City, who: &Codes| city.draw.like(who, None, reaching(6.0));
    let (bert, carl) = (like(&mut city, &bert), like(&mut city, &carl));
    assert_eq!(one(&city, 1, &bert), Standing::Unsure);
    let standings = |tenants: &[&Codes]| city.ask(1, tenants).tenants.into_iter().map(link).collect::<Vec<_>>();
    assert_eq!(standings(&[&bert, &anna]), [Some((1, false)), Some((0, true))]);
    assert_eq!(standings(&[&carl, &anna]), [None, Some((0, true))]);
    // Anna is taken: who resembles her and is in doubt is not she.
    let sister = city.draw.like(&anna, None, reaching(6.0));
    assert_eq!(city.ask(1, &[&sister, &anna]).tenants[0], Standing::Unsure);
}

#[test]
fn an_empty_register_holds_nobody() {
    let mut city = City::new(11);
    let anna = city.draw.codes();
    assert_eq!(one(&city, 1, &anna), Standing::Nobody);
}

#[test]
fn a_threshold_that_no_code_reaches_links_nobody() {
    let mut city = City::new(12);
    let anna = city.resident(1, 1, &[]);
    let never = Limits { link: 1000.0, unsure: 1000.0 };
    (city.limits.here, city.limits.names) = (never, never);
    assert_eq!(one(&city, 1, &anna), Standing::Nobody);
}
