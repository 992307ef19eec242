//! Households in requests of at least so many different addresses, where a regulation wants that nobody is singled out.

use std::collections::{BTreeMap, HashSet};

use crate::code::AddressToken;

/// Which households are asked about together, by position, and those for whom no request is large enough.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    pub together: Vec<Vec<usize>>,
    pub left: Vec<usize>,
}

/// Deals households, each with the token of its address, into requests of at most `most` households and at least
/// `minimum` different addresses. The same households in the same order make the same groups.
pub(super) fn groups(addresses: &[Option<AddressToken>], minimum: usize, most: usize) -> Groups {
    let different = |group: &[usize]| group.iter().filter_map(|&at| addresses[at]).collect::<HashSet<_>>().len();
    let mut groups = Groups { together: Vec::new(), left: (0..addresses.len()).collect() };
    while different(&groups.left) >= minimum {
        let dealt = deal(&groups.left, addresses, groups.left.len().div_ceil(most));
        if dealt.iter().all(|group| different(group) >= minimum) {
            groups.together.extend(dealt);
            groups.left = Vec::new();
            break;
        }
        // Too few for all: one request that has as many addresses as there are, and then see.
        let mut one = one_each_in_turn(&groups.left, addresses);
        one.truncate(most);
        let taken: HashSet<usize> = one.iter().copied().collect();
        groups.left.retain(|at| !taken.contains(at));
        groups.together.push(one);
    }
    groups.together.iter_mut().for_each(|group| group.sort_unstable());
    groups
}

/// Like cards, those of one address one after the other: so they are spread over the hands.
fn deal(all: &[usize], addresses: &[Option<AddressToken>], hands: usize) -> Vec<Vec<usize>> {
    let mut cards = all.to_vec();
    cards.sort_by_key(|&at| addresses[at]);
    let mut dealt = vec![Vec::new(); hands];
    cards.into_iter().enumerate().for_each(|(turn, at)| dealt[turn % hands].push(at));
    dealt
}

/// One household of each address, then a second of each that has one, and so on; those without an address last.
fn one_each_in_turn(all: &[usize], addresses: &[Option<AddressToken>]) -> Vec<usize> {
    let mut seen: BTreeMap<AddressToken, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, usize)> = Vec::with_capacity(all.len());
    for &at in all {
        let turn = addresses[at].map_or(usize::MAX, |address| {
            let count = seen.entry(address).or_default();
            *count += 1;
            *count
        });
        turns.push((turn, at));
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(number: u8) -> Option<AddressToken> {
        Some(AddressToken([number; 16]))
    }

    #[test]
    fn too_few_addresses_are_left_and_none_is_asked() {
        // Three flats of one address and one house.
        let addresses = [token(1), token(1), token(1), token(2)];
        let left = Groups { together: vec![], left: vec![0, 1, 2, 3] };
        assert_eq!(groups(&addresses, 3, 100), left);
        assert_eq!(groups(&addresses, 2, 100).together, [[0, 1, 2, 3]]);
        assert_eq!(groups(&[None, None], 1, 100).left, [0, 1], "who has no address is nobody's neighbour");
        assert_eq!(groups(&[], 2, 100), Groups::default());
    }

    #[test]
    fn flats_of_one_address_are_spread_over_the_requests() {
        let addresses: Vec<_> = [1, 1, 1, 1, 2, 3, 4, 5].into_iter().map(token).collect();
        let made = groups(&addresses, 3, 4);
        assert_eq!((made.together.len(), made.left.len()), (2, 0), "{made:?}");
        // One more than fits: the last request would be too small, so a few wait.
        let addresses: Vec<_> = (0..11).map(token).collect();
        let made = groups(&addresses, 6, 10);
        assert_eq!((made.together.len(), made.left.len()), (1, 1), "{made:?}");
    }

    proptest! {
        #[test]
        fn everybody_is_in_one_request_that_is_large_enough_or_left(
            numbers in prop::collection::vec(prop::option::of(0_u8..40), 0..300),
            minimum in 1_usize..20,
            most in 20_usize..60,
        ) {
            let addresses: Vec<_> = numbers.into_iter().map(|number| number.and_then(token)).collect();
            let made = groups(&addresses, minimum, most);
            let different = |group: &[usize]| group.iter().filter_map(|&at| addresses[at]).collect::<HashSet<_>>().len();
            for group in &made.together {
                prop_assert!(group.len() <= most && different(group) >= minimum, "{:?}", group);
            }
            prop_assert!(different(&made.left) < minimum);
            let mut all: Vec<usize> = made.together.concat().into_iter().chain(made.left).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..addresses.len()).collect::<Vec<_>>());
        }
    }
}
