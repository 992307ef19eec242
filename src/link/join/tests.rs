//! The join against all pairs compared one by one.

use super::threshold::dice;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn clks(codes: &[Vec<u64>]) -> Clks {
    let mut clks = Clks::default();
    for code in codes {
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        clks.push(&bytes).unwrap();
    }
    clks
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// All matches, sorted; every `Complete` is checked against what comes after it.
fn run(join: Join<'_>) -> Vec<Match> {
    let (mut all, mut done) = (Vec::new(), 0);
    let summary = join.run(|progress| -> Result<(), JoinError> {
        match progress {
            Progress::Matches(found) => {
                assert!(found.iter().all(|found| found.left as usize >= done), "nothing comes after its block");
                all.extend(found);
            }
            Progress::Complete { left } => done = left,
        }
        Ok(())
    });
    let summary = summary.unwrap();
    assert_eq!(done, join.left.len());
    assert_eq!(summary.matches, all.len() as u64);
    assert_eq!(summary.pairs, (join.left.len() * join.right.len()) as u64);
    all.sort_by_key(|found| (found.left, found.right));
    all
}

fn one_by_one(left: &Clks, right: &Clks, threshold: f64) -> Vec<Match> {
    let mut all = Vec::new();
    for (a, left_ones) in left.ones().iter().enumerate() {
        for (b, right_ones) in right.ones().iter().enumerate() {
            let common = left.code(a).iter().zip(right.code(b)).map(|(a, b)| (a & b).count_ones()).sum();
            let dice = dice(common, left_ones + right_ones);
            if dice >= threshold {
                all.push(Match { left: a as u32, right: b as u32, dice });
            }
        }
    }
    all
}

/// Codes of which many share most of their bits, so that coefficients are everywhere between 0 and 1.
fn codes(words: usize) -> impl Strategy<Value = Vec<Vec<u64>>> {
    let word = prop_oneof![2 => Just(0x5a5a_1234_ffff_0f0f_u64), 1 => Just(0), 1 => Just(u64::MAX), 2 => any::<u64>()];
    vec(vec(word, words), 1..80)
}

proptest! {
    #[test]
    fn every_kernel_finds_the_pairs_that_comparing_one_by_one_finds(
        (left, right) in (1_usize..34).prop_flat_map(|words| (codes(words), codes(words))),
        per_cent in 1_u32..=100,
        count in 1_usize..4,
    ) {
        let (left, right) = (clks(&left), clks(&right));
        let value = f64::from(per_cent) / 100.0;
        let want = one_by_one(&left, &right, value);
        for kernel in Kernel::available() {
            let threshold = Threshold::new(value).unwrap();
            let join = Join { left: &left, right: &right, threshold, kernel: Some(kernel), threads: threads(count) };
            prop_assert_eq!(&run(join), &want, "{}", kernel.name());
        }
    }
}

#[test]
fn a_pair_exactly_at_the_threshold_is_found_by_every_kernel_and_one_bit_less_is_not() {
    // 10 bits each, 8 in common: 0.8. The other has 7 in common: 0.7.
    let left = clks(&[vec![0b11_1111_1111; 1]]);
    let right = clks(&[vec![0b11_1111_1111 << 2], vec![0b11_1111_1111 << 3]]);
    for kernel in Kernel::available() {
        for (value, want) in [(0.8, 1), (0.8_f64.next_up(), 0), (0.7, 2)] {
            let threshold = Threshold::new(value).unwrap();
            let join = Join { left: &left, right: &right, threshold, kernel: Some(kernel), threads: threads(1) };
            assert_eq!(run(join).len(), want, "{} {value}", kernel.name());
        }
    }
}

#[test]
fn many_blocks_and_threads_give_what_one_thread_gives() {
    let mut word = 1_u64;
    let mut draw = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word
    };
    let left: Vec<Vec<u64>> = (0..2_500).map(|_| (0..2).map(|_| draw()).collect()).collect();
    let right: Vec<Vec<u64>> =
        (0..17_000).map(|at| if at % 64 == 0 { left[at / 8].clone() } else { vec![draw(); 2] }).collect();
    let (left, right) = (clks(&left), clks(&right));
    let threshold = Threshold::new(0.75).unwrap();
    let want = one_by_one(&left, &right, 0.75);
    assert!(want.len() >= 266);
    for kernel in Kernel::available() {
        // Of both files there are several pieces, so that a thread takes more than one of a block.
        for count in [1, 3] {
            let join = Join { left: &left, right: &right, threshold, kernel: Some(kernel), threads: threads(count) };
            assert_eq!(run(join), want, "{} {count}", kernel.name());
        }
    }
}

#[test]
fn an_error_of_the_taker_ends_the_run() {
    let left = clks(&vec![vec![u64::MAX]; 3000]);
    for count in [1, 3] {
        let threshold = Threshold::new(1.0).unwrap();
        let join = Join { left: &left, right: &left, threshold, kernel: None, threads: threads(count) };
        let mut taken = 0;
        let error = join.run(|_| {
            taken += 1;
            Err(JoinError::TooMany)
        });
        assert_eq!((error, taken), (Err(JoinError::TooMany), 1));
    }
}

#[test]
fn lengths_that_cannot_be_compared_are_refused_with_the_position() {
    let mut clks = Clks::default();
    assert_eq!(clks.push(&[0; 7]), Err(JoinError::Length { position: 0, bits: 56 }));
    assert_eq!(clks.push(&[]), Err(JoinError::Length { position: 0, bits: 0 }));
    assert_eq!(clks.push(&vec![0; 8200]), Err(JoinError::Length { position: 0, bits: 65_600 }));
    clks.push(&[0; 16]).unwrap();
    clks.push(&[1; 16]).unwrap();
    for bytes in [8, 17, 24] {
        assert_eq!(clks.push(&vec![0; bytes]), Err(JoinError::Mixed { position: 2, bits: bytes * 8, want: 128 }));
    }
    assert_eq!((clks.len(), clks.bits()), (2, 128));
    assert_eq!(format!("{clks:?}"), "Clks(2 of 128 bits)");

    let mut longer = Clks::default();
    longer.push(&[0; 24]).unwrap();
    let threshold = Threshold::new(0.5).unwrap();
    let join = Join { left: &clks, right: &longer, threshold, kernel: None, threads: threads(1) };
    let nothing = |_: Progress| -> Result<(), JoinError> { panic!("nothing is compared") };
    assert_eq!(join.run(nothing), Err(JoinError::Sides { left: 128, right: 192 }));
    let none = Clks::default();
    assert_eq!(Join { right: &none, ..join }.run(nothing), Err(JoinError::Empty));
}

proptest! {
    #[test]
    fn planes_give_one_question_or_many_what_the_join_gives(
        (asked, register) in (1_usize..20).prop_flat_map(|words| (codes(words), codes(words))),
        per_cent in 1_u32..=100,
    ) {
        let (asked, register) = (clks(&asked), clks(&register));
        let threshold = Threshold::new(f64::from(per_cent) / 100.0).unwrap();
        let planes = Planes::new(&register, &asked, threshold).unwrap();
        for kernel in Kernel::available() {
            let mut found = planes.find(&asked, kernel, threads(1)).unwrap();
            prop_assert!(found.is_sorted_by_key(|found| (found.right, found.left)));
            found.sort_by_key(|found| (found.left, found.right));
            prop_assert_eq!(found, one_by_one(&asked, &register, threshold.value()), "{}", kernel.name());
        }
    }
}

#[test]
fn planes_refuse_what_the_join_refuses_and_need_little_more_than_the_bits() {
    let register = clks(&vec![vec![7; 16]; 1000]);
    let longer = clks(&[vec![7; 17]]);
    let threshold = Threshold::new(0.8).unwrap();
    let sides = JoinError::Sides { left: 1088, right: 1024 };
    assert_eq!(Planes::new(&register, &longer, threshold).unwrap_err(), sides);
    let planes = Planes::new(&register, &register, threshold).unwrap();
    assert_eq!(planes.find(&longer, Kernel::PORTABLE, threads(1)), Err(sides));
    assert_eq!(planes.find(&Clks::default(), Kernel::PORTABLE, threads(1)), Err(JoinError::Empty));
    assert!(planes.memory_bytes() <= 1000 * 128 * 11 / 10, "{}", planes.memory_bytes());
    assert!(format!("{planes:?}").starts_with("Planes(1000 of 1024 bits, "));
}

/// Codes of 1,024 bits, and copies in which so many of 100 bits differ.
fn copies(count: usize, per_cent: usize) -> [Clks; 2] {
    let mut word = 7_u64;
    let mut draw = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word >> 32 ^ word << 32
    };
    let left: Vec<Vec<u64>> = (0..count).map(|_| (0..16).map(|_| draw()).collect()).collect();
    let mut right = left.clone();
    for code in &mut right {
        let mut bits: Vec<usize> = (0..1024).collect();
        for at in 0..1024 * per_cent / 100 {
            bits.swap(at, at + draw() as usize % (1024 - at));
            code[bits[at] / 64] ^= 1 << (bits[at] % 64);
        }
    }
    [clks(&left), clks(&right)]
}

fn run_lsh(join: Join<'_>, lsh: Lsh) -> (Vec<Match>, Summary) {
    let mut all = Vec::new();
    let summary = join.run_lsh(lsh, |progress| -> Result<(), JoinError> {
        if let Progress::Matches(found) = progress {
            all.extend(found);
        }
        Ok(())
    });
    all.sort_by_key(|found| (found.left, found.right));
    (all, summary.unwrap())
}

#[test]
fn sampled_bits_find_alike_codes_with_the_chance_that_is_stated_and_compare_few_others() {
    let threshold = Threshold::new(0.6).unwrap();
    for (per_cent, lsh) in
        [(5, Lsh { tables: 20, bits: 20 }), (10, Lsh { tables: 10, bits: 16 }), (20, Lsh { tables: 10, bits: 12 })]
    {
        let [left, right] = copies(2_000, per_cent);
        let join = Join { left: &left, right: &right, threshold, kernel: None, threads: threads(1) };
        let (found, summary) = run_lsh(join, lsh);
        let differing = per_cent as f64 / 100.0;
        let chance = 1.0 - (1.0 - (1.0 - differing).powi(lsh.bits as i32)).powi(lsh.tables as i32);
        let share = found.len() as f64 / 2_000.0;
        assert!((share - chance).abs() < 0.05, "{per_cent}: {share} where {chance} was stated");
        assert!(summary.compared < summary.pairs / 100 && summary.matches == found.len() as u64);
        assert_eq!(run_lsh(Join { threads: threads(3), ..join }, lsh).0, found);
    }
}

proptest! {
    #[test]
    fn sampled_bits_find_nothing_that_is_no_match_nothing_twice_and_everything_equal(
        (left, right) in (1_usize..20).prop_flat_map(|words| (codes(words), codes(words))),
        per_cent in 1_u32..=100, tables in 1_usize..9, bits in 1_usize..80,
    ) {
        let (left, right) = (clks(&left), clks(&right));
        let threshold = Threshold::new(f64::from(per_cent) / 100.0).unwrap();
        let exact = one_by_one(&left, &right, threshold.value());
        let join = Join { left: &left, right: &right, threshold, kernel: None, threads: threads(1) };
        let (found, _) = run_lsh(join, Lsh { tables, bits });
        prop_assert!(found.windows(2).all(|two| (two[0].left, two[0].right) != (two[1].left, two[1].right)));
        prop_assert!(found.iter().all(|found| exact.contains(found)));
        let equal = |pair: &&Match| left.code(pair.left as usize) == right.code(pair.right as usize);
        prop_assert!(exact.iter().filter(equal).all(|pair| found.contains(pair)));
    }
}

/// Strangers who agree in some fields by chance, as people do; every other left code is a right one with some changes.
/// Each field sets bits of its own value, in 24 places drawn from it.
fn people(left: usize, right: usize) -> [Clks; 2] {
    let mut state = 11_u64;
    let mut draw = |end: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    };
    let fields = |draw: &mut dyn FnMut(u64) -> u64| (0..24).map(|_| draw(4)).collect::<Vec<u64>>();
    let code = |fields: &[u64]| {
        let mut code = vec![0_u64; 16];
        for (field, value) in fields.iter().enumerate() {
            let mut place = (field as u64 * 4 + value + 1).wrapping_mul(0xd134_2543_de82_ef95);
            for _ in 0..24 {
                place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                code[(place >> 60) as usize] |= 1 << (place >> 40 & 63);
            }
        }
        code
    };
    let register: Vec<Vec<u64>> = (0..right).map(|_| fields(&mut draw)).collect();
    let asked = (0..left).map(|at| {
        let mut person = if at % 2 == 0 { register[at].clone() } else { fields(&mut draw) };
        for _ in 0..draw(5) {
            person[draw(24) as usize] = draw(4);
        }
        code(&person)
    });
    let asked: Vec<_> = asked.collect();
    [clks(&asked), clks(&register.iter().map(|fields| code(fields)).collect::<Vec<_>>())]
}

#[test]
fn what_is_estimated_without_truth_is_near_the_truth() {
    let [left, right] = people(1_000, 4_000);
    let estimate = suggest(&left, &right, threads(2)).unwrap();
    assert!((0.8..1.25).contains(&estimate.likeness), "{}", estimate.likeness);
    let visible = estimate.visible_from.unwrap();
    let threshold = Threshold::new(visible).unwrap();
    let found = run(Join { left: &left, right: &right, threshold, kernel: None, threads: threads(1) });
    let is_true = |found: &&Match| found.left == found.right && found.left.is_multiple_of(2);
    let all_true = found.iter().filter(is_true).count() as f64;
    assert!(all_true > 300.0, "{all_true} {estimate:?}");
    for row in estimate.rows.iter().filter(|row| row.threshold >= visible) {
        let reached: Vec<Match> = found.iter().filter(|found| found.dice >= row.threshold).copied().collect();
        let right_ones = reached.iter().filter(is_true).count() as f64;
        assert!((row.pairs - reached.len() as f64).abs() < 1.0, "all left codes are looked at: {row:?}");
        let (precision, recall) = (right_ones / reached.len().max(1) as f64, right_ones / all_true);
        assert!((row.precision - precision).abs() < 0.08, "{row:?} where precision is {precision}");
        assert!((row.recall - recall).abs() < 0.08, "{row:?} where recall is {recall}");
    }
    let best = estimate.best.unwrap();
    assert!(best > visible && best < 1.0, "{best}");
}

#[test]
fn where_there_are_only_strangers_no_threshold_is_suggested() {
    let [left, right] = people(1_000, 4_000);
    let mut strangers = Clks::default();
    for at in (1..1_000).step_by(2) {
        strangers.push(&left.code(at).iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    }
    let estimate = suggest(&strangers, &right, threads(1)).unwrap();
    assert_eq!(estimate.best, None, "{estimate:?}");
    let one = clks(&[vec![7; 16]]);
    assert_eq!(suggest(&one, &one, threads(1)), Err(JoinError::TooFew));
    assert_eq!(suggest(&Clks::default(), &right, threads(1)), Err(JoinError::Empty));
}

#[test]
fn threads_that_share_planes_find_what_one_finds() {
    // Three ranges of a thread.
    let codes: Vec<Vec<u64>> = (0..300_000_u64).map(|at| vec![at.wrapping_mul(0x9e37_79b9_7f4a_7c15)]).collect();
    let register = clks(&codes);
    let asked = clks(&[codes[7].clone(), codes[150_000].clone(), codes[299_999].clone()]);
    let planes = Planes::new(&register, &asked, Threshold::new(0.9).unwrap()).unwrap();
    let one = planes.find(&asked, Kernel::best_for(3), threads(1)).unwrap();
    assert!(one.len() >= 3 && one.is_sorted_by_key(|found| (found.right, found.left)));
    assert_eq!(planes.find(&asked, Kernel::best_for(3), threads(3)).unwrap(), one);
}
