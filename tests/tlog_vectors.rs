//! The log's trees, proofs and notes against vectors that Go's `sumdb/tlog` and `sumdb/note` accept.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use voorrang::audit::{
    Checkpoint, Cosigner, Frontier, Hash, NoteSigner, NoteVerifier, consistency_proof, cosigned_at, inclusion_proof,
    leaf_hash, verify_consistency, verify_inclusion,
};

#[derive(Deserialize)]
struct Vectors {
    log_seed_hex: String,
    log_vkey: String,
    witness_seed_hex: String,
    witness_vkey: String,
    roots: Vec<Root>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
}

#[derive(Deserialize)]
struct Root {
    size: u64,
    root: Hash,
    checkpoint: String,
}

#[derive(Deserialize)]
struct Inclusion {
    size: u64,
    index: u64,
    leaf_hash: Hash,
    proof: Vec<Hash>,
}

#[derive(Deserialize)]
struct Consistency {
    old: u64,
    new: u64,
    proof: Vec<Hash>,
}

impl Vectors {
    fn read() -> Self {
        serde_json::from_str(include_str!("vectors/tlog/vectors.json")).expect("the vectors are JSON")
    }

    fn root(&self, size: u64) -> Hash {
        self.roots.iter().find(|r| r.size == size).expect("every size used has its root").root
    }
}

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|seq| leaf_hash(format!(r#"{{"seq":{seq}}}"#).as_bytes())).collect()
}

/// A proof with one bit flipped, a hash dropped, doubled or added, or two exchanged.
fn mutants(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[Hash::from([7; 32])]].concat(), [&[Hash::from([7; 32])], proof].concat()];
    for at in 0..proof.len() {
        let mut flipped = proof.to_vec();
        let mut bytes = *flipped[at].as_bytes();
        bytes[at % 32] ^= 1;
        flipped[at] = Hash::from(bytes);
        let mut dropped = proof.to_vec();
        dropped.remove(at);
        let doubled = [&proof[..=at], &proof[at..]].concat();
        let mut exchanged = proof.to_vec();
        exchanged.swap(at, 0);
        all.extend([flipped, dropped, doubled, exchanged].into_iter().filter(|mutant| mutant != proof));
    }
    all
}

/// RFC 8410: PKCS #8 version 1 of an Ed25519 seed.
fn pkcs8(seed_hex: &str) -> Vec<u8> {
    hex::decode(format!("302e020100300506032b657004220420{seed_hex}")).unwrap()
}

#[test]
fn roots_are_those_of_the_vectors() {
    let vectors = Vectors::read();
    assert_eq!(vectors.roots.len(), 21);
    for case in &vectors.roots {
        assert_eq!(leaves(case.size).into_iter().collect::<Frontier>().root(), case.root, "size {}", case.size);
    }
}

#[test]
fn checkpoints_are_read_and_signed_byte_for_byte() {
    let vectors = Vectors::read();
    let log = NoteVerifier::from_vkey(&vectors.log_vkey).unwrap();
    let witness = NoteVerifier::from_vkey(&vectors.witness_vkey).unwrap();
    let signer = NoteSigner::new(log.name(), &pkcs8(&vectors.log_seed_hex)).unwrap();
    let cosigner = Cosigner::new(witness.name(), &pkcs8(&vectors.witness_seed_hex)).unwrap();
    assert_eq!(signer.verifier().vkey(), vectors.log_vkey);
    assert_eq!(cosigner.verifier().vkey(), vectors.witness_vkey);
    for case in &vectors.roots {
        let checkpoint = Checkpoint::parse(&case.checkpoint, &log).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (case.size, case.root));
        // Ed25519 signs the same text the same way, so the whole note can be made again.
        let note = checkpoint.to_note(&signer);
        let line = cosigner.cosign(&note, cosigned_at(&case.checkpoint, &witness).unwrap()).unwrap();
        assert_eq!(note + &line, case.checkpoint, "cosignature of size {}", case.size);
        // The witness's line without its time, and a changed size, are refused.
        assert!(witness.verify(&checkpoint.to_note(&signer)).is_err());
        let grown = case.checkpoint.replacen(&format!("\n{}\n", case.size), &format!("\n{}\n", case.size + 1), 1);
        assert!(Checkpoint::parse(&grown, &log).is_err() && witness.verify(&grown).is_err());
    }
}

#[test]
fn inclusion_proofs_are_made_and_checked_as_in_the_vectors() {
    let vectors = Vectors::read();
    assert_eq!(vectors.inclusion.len(), 57);
    let mut refused = 0;
    for case in &vectors.inclusion {
        let root = vectors.root(case.size);
        assert_eq!(inclusion_proof(&leaves(case.size), case.index).unwrap(), case.proof);
        assert_eq!(verify_inclusion(case.index, case.size, &case.leaf_hash, &case.proof, &root), Ok(()));
        for mutant in mutants(&case.proof) {
            assert!(verify_inclusion(case.index, case.size, &case.leaf_hash, &mutant, &root).is_err());
            refused += 1;
        }
        assert!(verify_inclusion(case.index, case.size, &leaf_hash(b"x"), &case.proof, &root).is_err());
        assert!(verify_inclusion(case.index, case.size, &case.leaf_hash, &case.proof, &leaf_hash(b"x")).is_err());
    }
    assert!(refused > 500, "{refused} mutants");
}

#[test]
fn consistency_proofs_are_made_and_checked_as_in_the_vectors() {
    let vectors = Vectors::read();
    assert_eq!(vectors.consistency.len(), 210);
    let mut refused = 0;
    for case in &vectors.consistency {
        let (old, new) = (vectors.root(case.old), vectors.root(case.new));
        let check = |proof: &[Hash]| verify_consistency((case.old, &old), (case.new, &new), proof);
        assert_eq!(consistency_proof(&leaves(case.new), case.old).unwrap(), case.proof);
        assert_eq!(check(&case.proof), Ok(()), "{} to {}", case.old, case.new);
        for mutant in mutants(&case.proof) {
            assert!(check(&mutant).is_err(), "{} to {}", case.old, case.new);
            refused += 1;
        }
        let other = leaf_hash(b"x");
        assert!(verify_consistency((case.old, &other), (case.new, &new), &case.proof).is_err());
        if case.old != case.new {
            assert!(verify_consistency((case.old, &old), (case.new, &other), &case.proof).is_err());
        }
    }
    assert!(refused > 2000, "{refused} mutants");
}

/// A proof that is not `proof`, by one or two changes that chance chooses.
fn mutated(proof: &[Hash], chance: &mut ChaCha8Rng) -> Vec<Hash> {
    let mut mutant = proof.to_vec();
    while mutant == proof {
        for _ in 0..chance.gen_range(1..=2) {
            let at = chance.gen_range(0..=mutant.len());
            match chance.gen_range(0..5) {
                0 => mutant.insert(at, Hash::from(chance.r#gen::<[u8; 32]>())),
                1 => mutant.truncate(at),
                kind if at < mutant.len() => match kind {
                    2 => {
                        let mut bytes = *mutant[at].as_bytes();
                        bytes[chance.gen_range(0..32)] ^= 1 << chance.gen_range(0..8);
                        mutant[at] = bytes.into();
                    }
                    3 => mutant.insert(at, mutant[at]),
                    _ => mutant.swap(at, 0),
                },
                _ => {}
            }
        }
    }
    mutant
}

/// A fixed seed: what fails once fails always.
#[test]
fn none_of_100_000_mutated_proofs_is_accepted() {
    let (vectors, mut chance) = (Vectors::read(), ChaCha8Rng::seed_from_u64(6962));
    let inclusion: Vec<_> = vectors.inclusion.iter().map(|case| (case, vectors.root(case.size))).collect();
    let consistency: Vec<_> =
        vectors.consistency.iter().map(|case| (case, vectors.root(case.old), vectors.root(case.new))).collect();
    for number in 0..50_000 {
        let (case, root) = &inclusion[number % inclusion.len()];
        let mutant = mutated(&case.proof, &mut chance);
        let checked = verify_inclusion(case.index, case.size, &case.leaf_hash, &mutant, root);
        assert!(checked.is_err(), "inclusion, mutant {number}");
        let (case, old, new) = &consistency[number % consistency.len()];
        let mutant = mutated(&case.proof, &mut chance);
        let checked = verify_consistency((case.old, old), (case.new, new), &mutant);
        assert!(checked.is_err(), "consistency, mutant {number}");
    }
}
