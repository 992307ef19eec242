//! Links per class of tenant, for data sets that come with their truth: who lives there, moved, died or was never
//! registered, and who was written down wrongly in which way.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::cli::output::{Output, finish_csv};

/// What became of one tenant: the linked person's id, or whether nobody was sure.
pub enum Became<'a> {
    Linked(&'a str),
    Unsure,
    Nobody,
}

#[derive(Deserialize)]
struct Truth {
    contract_id: String,
    volgnr: String,
    person_id: String,
    /// In the generator's words.
    situatie: String,
    fouten: String,
}

#[derive(Default)]
struct Counts {
    tenants: usize,
    right: usize,
    wrong: usize,
    unsure: usize,
}

/// Writes `classes.csv` if the data has a truth; a tenant counts in each of its classes.
///
/// # Errors
/// Names the file that cannot be read or written.
pub fn write<'a>(
    data: &Path,
    out: &Path,
    tenants: impl Iterator<Item = (&'a str, u32, Became<'a>)>,
) -> anyhow::Result<bool> {
    let path = data.join("truth_huurders.csv");
    if !path.exists() {
        return Ok(false);
    }
    let mut reader = csv::Reader::from_path(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut truth = HashMap::new();
    for row in reader.deserialize() {
        let row: Truth = row.with_context(|| format!("cannot read {}", path.display()))?;
        truth.insert((row.contract_id.clone(), row.volgnr.clone()), row);
    }
    let mut classes: BTreeMap<String, Counts> = BTreeMap::new();
    for (contract, number, became) in tenants {
        let Some(truth) = truth.get(&(contract.to_owned(), number.to_string())) else { continue };
        let registered = truth.situatie != "niet_in_brp";
        let errors = truth.fouten.split('|').filter(|error| registered && !error.is_empty());
        for class in std::iter::once(truth.situatie.as_str()).chain(errors) {
            let counts = classes.entry(class.to_owned()).or_default();
            counts.tenants += 1;
            match became {
                Became::Linked(person) if registered && person == truth.person_id => counts.right += 1,
                Became::Linked(_) => counts.wrong += 1,
                Became::Unsure => counts.unsure += 1,
                Became::Nobody => {}
            }
        }
    }
    let mut file = csv::Writer::from_writer(Output::create(&out.join("classes.csv"))?);
    file.write_record(["class", "tenants", "linked_right", "linked_wrong", "unsure", "right_share"])?;
    for (class, Counts { tenants, right, wrong, unsure }) in classes {
        let share = format!("{:.4}", right as f64 / tenants as f64);
        let counts = [tenants, right, wrong, unsure].map(|count| count.to_string());
        let [tenants, right, wrong, unsure] = &counts;
        file.write_record([&class, tenants, right, wrong, unsure, &share])?;
    }
    finish_csv(file)?;
    Ok(true)
}
