//! RFC 6962 section 2.1: hashes, roots, proofs, and the verifiers of RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::AuditError;

/// A SHA-256 value of the tree. Text and JSON are base64 in the standard alphabet with padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Hash {
    type Err = AuditError;
    fn from_str(text: &str) -> Result<Self, AuditError> {
        let bytes = STANDARD.decode(text).map_err(|_| AuditError::Note("has a hash that is not base64"))?;
        bytes.try_into().map(Self).map_err(|_| AuditError::Note("has a hash that is not 32 bytes long"))
    }
}

impl TryFrom<String> for Hash {
    type Error = AuditError;
    fn try_from(text: String) -> Result<Self, AuditError> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hash.to_string()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

/// `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// `SHA-256(0x01 || left || right)`: the prefix keeps a node from passing as an entry.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], &left.0, &right.0])
}

/// All that appending needs: the size, and the roots of the complete subtrees along the right edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Largest subtree first; one for each set bit of `size`.
    edge: Vec<Hash>,
}

impl Frontier {
    /// Appends one leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.edge.pop().expect("each set bit of the size has its subtree");
            node = node_hash(&left, &node);
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// Root of all leaves so far; of none, the hash of nothing.
    pub fn root(&self) -> Hash {
        let smallest_first = self.edge.iter().rev().copied();
        smallest_first.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| sha256(&[]))
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first; one for each set bit of the size.
    pub fn edge(&self) -> &[Hash] {
        &self.edge
    }

    /// A frontier as it was kept; `None` if there are not as many subtrees as a log of that size has.
    pub fn from_edge(size: u64, edge: Vec<Hash>) -> Option<Self> {
        (edge.len() == size.count_ones() as usize).then_some(Self { size, edge })
    }
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut frontier = Self::default();
        leaves.into_iter().for_each(|leaf| frontier.push(leaf));
        frontier
    }
}

/// Proof that leaf `index` is in the tree of `leaves`, from the leaf's side upwards.
///
/// # Errors
/// [`AuditError::OutOfRange`] if there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: u64) -> Result<Vec<Hash>, AuditError> {
    Ok(roots_of(leaves, inclusion_parts(leaves.len() as u64, index)?))
}

/// Proof that the tree of `leaves` only appends to the one of its first `old_size` leaves. From size 0 nothing
/// is to be proved.
///
/// # Errors
/// [`AuditError::OutOfRange`] if `old_size` is larger than the tree.
pub fn consistency_proof(leaves: &[Hash], old_size: u64) -> Result<Vec<Hash>, AuditError> {
    Ok(roots_of(leaves, consistency_parts(leaves.len() as u64, old_size)?))
}

/// The parts of a tree whose roots are the inclusion proof of leaf `index`, in the proof's order.
///
/// # Errors
/// [`AuditError::OutOfRange`] if there is no such leaf.
pub fn inclusion_parts(size: u64, index: u64) -> Result<Vec<Range<u64>>, AuditError> {
    if index >= size {
        return Err(AuditError::OutOfRange { index, size });
    }
    let mut parts = Vec::new();
    path(0..size, index, &mut parts);
    Ok(parts)
}

/// The parts of a tree whose roots are the consistency proof from its first `old_size` leaves, in the proof's order.
///
/// # Errors
/// [`AuditError::OutOfRange`] if `old_size` is larger than the tree.
pub fn consistency_parts(size: u64, old_size: u64) -> Result<Vec<Range<u64>>, AuditError> {
    if old_size > size {
        return Err(AuditError::OutOfRange { index: old_size, size });
    }
    let mut parts = Vec::new();
    if old_size > 0 {
        subproof(0..size, old_size, true, &mut parts);
    }
    Ok(parts)
}

/// Checks an inclusion proof (RFC 9162 section 2.1.3.2).
///
/// # Errors
/// [`AuditError::OutOfRange`] or [`AuditError::Proof`].
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, proof: &[Hash], root: &Hash) -> Result<(), AuditError> {
    if index >= size {
        return Err(AuditError::OutOfRange { index, size });
    }
    let wrong = AuditError::Proof { size };
    let (mut f, mut s, mut node) = (index, size - 1, *leaf);
    for other in proof {
        if s == 0 {
            return Err(wrong);
        }
        if f & 1 == 1 || f == s {
            node = node_hash(other, &node);
            skip_left_edge(&mut f, &mut s);
        } else {
            node = node_hash(&node, other);
        }
        (f, s) = (f >> 1, s >> 1);
    }
    if s == 0 && node == *root { Ok(()) } else { Err(wrong) }
}

/// Checks a consistency proof (RFC 9162 section 2.1.4.2). Every tree extends the empty one, with an empty proof.
///
/// # Errors
/// [`AuditError::OutOfRange`] or [`AuditError::Proof`].
pub fn verify_consistency(
    (old_size, old_root): (u64, &Hash),
    (size, root): (u64, &Hash),
    proof: &[Hash],
) -> Result<(), AuditError> {
    if old_size > size {
        return Err(AuditError::OutOfRange { index: old_size, size });
    }
    let wrong = AuditError::Proof { size };
    if old_size == 0 || old_size == size {
        let old_holds = if old_size == 0 { *old_root == Frontier::default().root() } else { old_root == root };
        let new_holds = size > 0 || root == old_root;
        return if proof.is_empty() && old_holds && new_holds { Ok(()) } else { Err(wrong) };
    }
    // Where the old tree is complete its root starts both ways, and the proof leaves it out.
    let mut nodes = old_size.is_power_of_two().then_some(old_root).into_iter().chain(proof);
    let first = *nodes.next().ok_or_else(|| wrong.clone())?;
    let skip = (old_size - 1).trailing_ones();
    let (mut f, mut s) = ((old_size - 1) >> skip, (size - 1) >> skip);
    let (mut old_node, mut node) = (first, first);
    for other in nodes {
        if s == 0 {
            return Err(wrong);
        }
        if f & 1 == 1 || f == s {
            old_node = node_hash(other, &old_node);
            node = node_hash(other, &node);
            skip_left_edge(&mut f, &mut s);
        } else {
            node = node_hash(&node, other);
        }
        (f, s) = (f >> 1, s >> 1);
    }
    if s == 0 && old_node == *old_root && node == *root { Ok(()) } else { Err(wrong) }
}

/// Climbs to the level where a node has a right neighbour again.
fn skip_left_edge(f: &mut u64, s: &mut u64) {
    while *f & 1 == 0 && *f != 0 {
        (*f, *s) = (*f >> 1, *s >> 1);
    }
}

/// Root of the tree of these leaves.
pub(super) fn root_of(leaves: &[Hash]) -> Hash {
    leaves.iter().copied().collect::<Frontier>().root()
}

fn roots_of(leaves: &[Hash], parts: Vec<Range<u64>>) -> Vec<Hash> {
    // No part is beyond the leaves, which are in memory.
    parts.into_iter().map(|part| root_of(&leaves[part.start as usize..part.end as usize])).collect()
}

/// A tree in its two halves: the left one is the largest complete subtree that is not all of it.
fn halves(tree: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let middle = tree.start + (tree.end - tree.start).next_power_of_two() / 2;
    (tree.start..middle, middle..tree.end)
}

fn path(tree: Range<u64>, index: u64, parts: &mut Vec<Range<u64>>) {
    if tree.end - tree.start < 2 {
        return;
    }
    let (left, right) = halves(&tree);
    let (way, beside) = if index < left.end { (left, right) } else { (right, left) };
    path(way, index, parts);
    parts.push(beside);
}

/// SUBPROOF of RFC 6962 section 2.1.2; `whole` while the old tree is all of `tree` that the reader knows.
fn subproof(tree: Range<u64>, old: u64, whole: bool, parts: &mut Vec<Range<u64>>) {
    if old == tree.end {
        if !whole {
            parts.push(tree);
        }
        return;
    }
    let (left, right) = halves(&tree);
    if old <= left.end {
        subproof(left, old, whole, parts);
        parts.push(right);
    } else {
        subproof(right, old, false, parts);
        parts.push(left);
    }
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    Hash(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    /// The definition of RFC 6962, without a frontier.
    fn oracle(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&oracle(left), &oracle(right))
            }
        }
    }

    #[test]
    fn the_frontier_has_the_root_of_the_definition() {
        let all = leaves(130);
        for n in 0..=130 {
            assert_eq!(root_of(&all[..n]), oracle(&all[..n]), "size {n}");
        }
    }

    #[test]
    fn a_node_is_no_leaf() {
        let [a, b] = [leaf_hash(b"a"), leaf_hash(b"b")];
        assert_ne!(node_hash(&a, &b), leaf_hash(&[a.as_bytes().as_slice(), b.as_bytes()].concat()));
    }

    #[test]
    fn positions_beyond_the_tree_are_refused() {
        let all = leaves(3);
        assert_eq!(inclusion_proof(&all, 3), Err(AuditError::OutOfRange { index: 3, size: 3 }));
        assert_eq!(consistency_proof(&all, 4), Err(AuditError::OutOfRange { index: 4, size: 3 }));
        assert!(verify_inclusion(3, 3, &all[0], &[], &all[0]).is_err());
    }

    #[test]
    fn the_empty_tree_is_extended_only_by_its_own_root() {
        let (all, empty) = (leaves(3), Frontier::default().root());
        let root = root_of(&all);
        assert_eq!(verify_consistency((0, &empty), (3, &root), &[]), Ok(()));
        assert!(verify_consistency((0, &root), (3, &root), &[]).is_err());
        assert!(verify_consistency((0, &empty), (0, &root), &[]).is_err());
    }

    proptest! {
        #[test]
        fn every_proof_that_is_made_is_accepted_and_no_other_size(n in 1_usize..200, a: prop::sample::Index, b: prop::sample::Index) {
            let all = leaves(n);
            let (index, old, root) = (a.index(n) as u64, b.index(n) as u64 + 1, root_of(&all));
            let proof = inclusion_proof(&all, index).unwrap();
            let leaf = &all[index as usize];
            prop_assert_eq!(verify_inclusion(index, n as u64, leaf, &proof, &root), Ok(()));
            for other in (0..n as u64).filter(|&other| other != index) {
                prop_assert!(verify_inclusion(other, n as u64, leaf, &proof, &root).is_err());
            }
            let old_root = root_of(&all[..old as usize]);
            let proof = consistency_proof(&all, old).unwrap();
            prop_assert_eq!(verify_consistency((old, &old_root), (n as u64, &root), &proof), Ok(()));
            if old < n as u64 {
                prop_assert!(verify_consistency((old, &root), (n as u64, &root), &proof).is_err());
            }
        }
    }
}
