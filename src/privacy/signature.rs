//! The household signature: no pair is known. The linkage unit groups people by address, so a thief sees groups of
//! equal size; the similarities inside a group are matched to those that the attacker expects inside its own.

use rayon::prelude::*;

use super::similarity::Square;
use super::{Attacker, Covariance, Sample, Score};

/// Sizes of the groups that are matched; larger ones are few and known by their size alone.
const SIZES: std::ops::RangeInclusive<usize> = 2..=6;
/// Largest group whose members are tried in every order.
const MOST_ORDERED: usize = 5;

/// People of groups of 2 to 6 who are recognised in the codes of these passes side by side. Chance is one person a size: of random
/// one-to-one matches one is right on average. The two members of a couple look alike in this attack, so of a couple
/// that is recognised half of the people count.
pub fn signature(sample: &Sample, passes: &[usize], attackers: &[Attacker], covariance: Covariance) -> Score {
    let scaled = |pass: &usize, likeness| Likeness { scale: (sample.stolen[*pass][0].bits() as f32).sqrt(), likeness };
    let seen: Vec<_> = passes.iter().map(|pass| scaled(pass, Square::correlations(&sample.stolen[*pass]))).collect();
    let expected = |pass: &usize| scaled(pass, covariance.of(&attackers[*pass]).swap_remove(0));
    let expected: Vec<_> = passes.iter().map(expected).collect();
    let by_address = |address: &dyn Fn(usize) -> usize| {
        let mut blocks = vec![Vec::new(); sample.addresses()];
        (0..sample.people()).for_each(|at| blocks[address(at)].push(at));
        blocks
    };
    let own = by_address(&|row| sample.address[row]);
    // In the secret order: neither which group nor which member comes first says anything, not even between equals.
    let mut records = by_address(&|record| sample.address[sample.truth[record]]);
    records.sort_unstable();
    let mut score = Score { hits: 0, people: 0, by_chance: 0.0 };
    for size in SIZES {
        let of_size = |blocks: &[Vec<usize>]| blocks.iter().filter(|block| block.len() == size).cloned().collect();
        let (theirs, mine): (Vec<Vec<usize>>, Vec<Vec<usize>>) = (of_size(&records), of_size(&own));
        if theirs.len() < 2 {
            continue;
        }
        let shapes: Vec<Vec<f32>> = theirs.iter().map(|group| inside(&seen, group)).collect();
        let guesses = assigned(&shapes, &mine, &expected);
        let right = |(record, row): (&usize, &usize)| sample.truth[*record] == *row;
        let hits =
            theirs.iter().zip(&guesses).map(|(group, guess)| group.iter().zip(guess).filter(|&p| right(p)).count());
        score.hits += hits.sum::<usize>();
        score.people += size * theirs.len();
        score.by_chance += 1.0;
    }
    score
}

/// How alike people are in one pass.
struct Likeness {
    likeness: Square,
    /// From a correlation to standard deviations of strangers.
    scale: f32,
}

/// Per stolen group the members of the own group that it is taken for, in the order that fits best.
fn assigned(shapes: &[Vec<f32>], groups: &[Vec<usize>], expected: &[Likeness]) -> Vec<Vec<usize>> {
    let orders = orders(groups[0].len());
    let all_orders = |rows: &Vec<usize>| -> Vec<Vec<f32>> {
        orders.iter().map(|order| inside(expected, &arranged(rows, order))).collect()
    };
    let wanted: Vec<Vec<Vec<f32>>> = groups.iter().map(all_orders).collect();
    let matches: Vec<(f64, usize)> =
        shapes.par_iter().flat_map_iter(|shape| wanted.iter().map(|orders| nearest(shape, orders))).collect();
    let costs: Vec<f64> = matches.iter().map(|found| found.0).collect();
    let count = groups.len();
    let (rows, columns) = lsap::solve(count, count, &costs, false).expect("distances are finite numbers");
    let guess = |(at, of): (usize, usize)| arranged(&groups[of], &orders[matches[at * count + of].1]);
    rows.into_iter().zip(columns).map(guess).collect()
}

/// Similarities of all pairs in a group, in standard deviations of strangers, pass after pass.
fn inside(passes: &[Likeness], group: &[usize]) -> Vec<f32> {
    let pairs = || (0..group.len()).flat_map(|a| (a + 1..group.len()).map(move |b| (a, b)));
    let of = |pass: &Likeness| pairs().map(|(a, b)| pass.scale * pass.likeness.at(group[a], group[b])).collect();
    passes.iter().flat_map(|pass| -> Vec<f32> { of(pass) }).collect()
}

fn arranged(rows: &[usize], order: &[usize]) -> Vec<usize> {
    order.iter().map(|&at| rows[at]).collect()
}

/// Squared distance to the nearest order of a group, and which order.
fn nearest(seen: &[f32], orders: &[Vec<f32>]) -> (f64, usize) {
    let distance = |wanted: &Vec<f32>| seen.iter().zip(wanted).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let distances = orders.iter().map(distance).enumerate().map(|(at, distance)| (distance, at));
    distances.min_by(|a, b| a.0.total_cmp(&b.0)).expect("a group has at least one order")
}

/// Every order of so many members; of large groups the given one only.
fn orders(size: usize) -> Vec<Vec<usize>> {
    if size > MOST_ORDERED {
        return vec![(0..size).collect()];
    }
    let mut orders = vec![Vec::new()];
    for _ in 0..size {
        let longer = |order: &Vec<usize>| {
            let more = (0..size).filter(|at| !order.contains(at));
            more.map(|at| order.iter().copied().chain([at]).collect()).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::super::testing::Town;
    use super::*;

    #[test]
    fn orders_are_all_orders() {
        assert_eq!(orders(3).len(), 6);
        assert_eq!(orders(5).iter().collect::<std::collections::HashSet<_>>().len(), 120);
        assert_eq!(orders(6), [[0, 1, 2, 3, 4, 5]]);
    }

    #[test]
    fn households_show_in_undiffused_filters_and_not_in_noise() {
        let town = Town::households(240, 3);
        let of = |codes: &Vec<crate::code::Code>, covariance| {
            let sample = Sample::new(std::slice::from_ref(codes), &town.addresses, 1).unwrap();
            signature(&sample, &[0], std::slice::from_ref(&town.pass), covariance)
        };
        let shown = of(&town.stolen_filters, Covariance::Control);
        assert!(shown.rate() > 5.0 * shown.chance() && shown.people > 200, "{shown:?}");
        let noise: Vec<crate::code::Code> = super::super::testing::noise(240, 1024, 9);
        let hidden = of(&noise, Covariance::Exact);
        assert!(hidden.hits <= 9, "{hidden:?}");
    }

    #[test]
    fn groups_that_all_look_alike_are_found_by_chance_only() {
        let town = Town::households(240, 3);
        let equal = vec![crate::code::Code::from(vec![5; 16]); 240];
        let sample = Sample::new(std::slice::from_ref(&equal), &town.addresses, 1).unwrap();
        let alike = Attacker { codes: vec![equal.clone()], filters: vec![equal.clone()], diffusion: 3 };
        let found = signature(&sample, &[0], &[alike], Covariance::Control);
        assert!(found.hits <= 9, "{found:?}");
    }
}
