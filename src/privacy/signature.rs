//! The household signature: no pair is known. The linkage unit groups people by address, so a thief sees groups of
//! equal size; the similarities inside a group are matched to those that the attacker expects inside its own.

use rayon::prelude::*;

use super::similarity::Square;
use super::{Attacker, Covariance, Sample, Score};

/// Sizes of the groups that are matched; larger ones are few and known by their size alone.
const SIZES: std::ops::RangeInclusive<usize> = 2..=6;
/// Largest group whose members are tried in every order.
const MOST_ORDERED: usize = 5;

/// People of groups of 2 to 6 who are recognised in the codes of one pass. Chance is one person a size: of random
/// one-to-one matches one is right on average.
pub fn signature(sample: &Sample, pass: usize, attacker: &Attacker, covariance: Covariance) -> Score {
    let stolen = &sample.stolen[pass];
    let scale = (stolen[0].bits() as f32).sqrt();
    let seen = Square::correlations(stolen);
    let expected = &covariance.of(attacker)[0];
    let mut record = vec![0; sample.people()];
    sample.truth.iter().enumerate().for_each(|(at, &row)| record[row] = at);
    let mut blocks = vec![Vec::new(); sample.addresses()];
    sample.address.iter().enumerate().for_each(|(row, &address)| blocks[address].push(row));
    let mut score = Score { hits: 0, people: 0, by_chance: 0.0 };
    for size in SIZES {
        let groups: Vec<&Vec<usize>> = blocks.iter().filter(|block| block.len() == size).collect();
        if groups.len() < 2 {
            continue;
        }
        let orders = orders(size);
        // The stolen group's members in the secret order: the attacker does not know who is who.
        let stolen: Vec<Vec<usize>> = groups
            .iter()
            .map(|rows| {
                let mut records: Vec<usize> = rows.iter().map(|&row| record[row]).collect();
                records.sort_unstable();
                records
            })
            .collect();
        let shapes: Vec<Vec<f32>> = stolen.iter().map(|records| inside(&seen, records, scale)).collect();
        let wanted: Vec<Vec<Vec<f32>>> = groups
            .iter()
            .map(|rows| orders.iter().map(|order| inside(expected, &arranged(rows, order), scale)).collect())
            .collect();
        let matches: Vec<(f64, usize)> =
            shapes.par_iter().flat_map_iter(|shape| wanted.iter().map(|orders| nearest(shape, orders))).collect();
        let costs: Vec<f64> = matches.iter().map(|found| found.0).collect();
        let count = groups.len();
        let (rows, columns) = lsap::solve(count, count, &costs, false).expect("distances are finite numbers");
        for (at, of) in rows.into_iter().zip(columns) {
            let guess = arranged(groups[of], &orders[matches[at * count + of].1]);
            score.hits += stolen[at].iter().zip(guess).filter(|(record, row)| sample.truth[**record] == *row).count();
        }
        score.people += size * count;
        score.by_chance += 1.0;
    }
    score
}

/// Similarities of all pairs in a group, in standard deviations of strangers.
fn inside(all: &Square, group: &[usize], scale: f32) -> Vec<f32> {
    let pairs = (0..group.len()).flat_map(|a| (a + 1..group.len()).map(move |b| (a, b)));
    pairs.map(|(a, b)| scale * all.at(group[a], group[b])).collect()
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
        let town = Town::households(120, 3);
        let of = |codes: &Vec<crate::code::Code>, covariance| {
            let sample = Sample::new(std::slice::from_ref(codes), &town.addresses, 1).unwrap();
            signature(&sample, 0, &town.pass, covariance)
        };
        let shown = of(&town.stolen_filters, Covariance::Control);
        assert!(shown.rate() > 5.0 * shown.chance() && shown.people == 120, "{shown:?}");
        let noise: Vec<crate::code::Code> = super::super::testing::noise(120, 1024, 9);
        let hidden = of(&noise, Covariance::Exact);
        assert!(hidden.hits <= 8, "{hidden:?}");
    }
}
