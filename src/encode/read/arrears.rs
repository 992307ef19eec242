//! A corporation's contracts in arrears, with their tenants, and what a row states of what the law asks first.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use super::rows::{Columns, Row, open_rows};
use super::{LineError, Problem, ReadError, all};
use crate::encode::{Arrears, BadDate, BirthDate, Statements, Tenant};

/// Contracts in arrears (`achterstanden.csv`). A citizen service number anywhere in it is refused.
///
/// # Errors
/// As [`super::residents`].
pub fn arrears(path: &Path) -> Result<Vec<Arrears>, ReadError> {
    all(path, arrears_from)
}

/// A contract in arrears and its tenants, in the order of their file.
pub type Household = (Arrears, Vec<Tenant>);

/// Contracts in arrears with their tenants, in the order of the arrears file.
///
/// # Errors
/// As [`super::residents`], about the arrears; also for a contract without tenants.
pub fn households(arrears: &Path, tenants: Vec<Tenant>) -> Result<Vec<Household>, ReadError> {
    let mut by_contract: HashMap<String, Vec<Tenant>> = HashMap::new();
    for tenant in tenants {
        by_contract.entry(tenant.contract.clone()).or_default().push(tenant);
    }
    let arrears = all(arrears, |from, name| arrears_among(from, name, |contract| by_contract.contains_key(contract)))?;
    let with_tenants = |arrears: Arrears| {
        let tenants = by_contract.remove(&arrears.contract).expect("it was among them, and no contract is there twice");
        (arrears, tenants)
    };
    Ok(arrears.into_iter().map(with_tenants).collect())
}

/// [`arrears`] one by one.
///
/// # Errors
/// As [`super::care_members_from`].
pub fn arrears_from<R: Read>(
    from: R,
    name: &str,
) -> Result<impl Iterator<Item = Result<Arrears, LineError>> + use<R>, ReadError> {
    arrears_among(from, name, |_| true)
}

fn arrears_among<R: Read, F: Fn(&str) -> bool>(
    from: R,
    name: &str,
    has_tenants: F,
) -> Result<impl Iterator<Item = Result<Arrears, LineError>> + use<R, F>, ReadError> {
    const COLUMNS: Columns = Columns {
        required: &["contract_id", "maanden"],
        optional: &[
            "bedrag",
            "meld_datum",
            "n_inwoners_volgens_corporatie",
            "persoonlijk_contact",
            "schuldhulp_aangeboden",
            "herinnering_gestuurd",
            "bezwaar",
            "instemming",
        ],
        any_other: false,
        refuse_bsn: true,
        short_years: false,
        key: &["contract_id"],
    };
    open_rows(from, name, &COLUMNS, move |row| {
        let contract = row.needed("contract_id")?;
        let months: Option<f64> = row.needed("maanden")?.parse().ok();
        let reported = BirthDate::parse(row.text("meld_datum")).map_err(|error| row.bad("meld_datum", error.into()))?;
        // A day on which something was reported is known whole or not at all.
        if reported != BirthDate::default() && reported.known().is_none() {
            return Err(row.bad("meld_datum", BadDate::Form.into()));
        }
        if !has_tenants(contract) {
            return Err(row.bad("contract_id", Problem::NoTenants));
        }
        Ok(Arrears {
            contract: contract.to_owned(),
            months: months
                .filter(|months| (0.0..=1_200.0).contains(months))
                .ok_or_else(|| row.bad("maanden", Problem::Number))?,
            reported: reported.known(),
            said: Statements {
                personal_contact: yes_or_no(row, "persoonlijk_contact")?,
                help_offered: yes_or_no(row, "schuldhulp_aangeboden")?,
                reminder_sent: yes_or_no(row, "herinnering_gestuurd")?,
                no_objection: yes_or_no(row, "bezwaar")?.map(|objects| !objects),
                tenant_agrees: yes_or_no(row, "instemming")?,
            },
        })
    })
}

fn yes_or_no(row: &Row, column: &'static str) -> Result<Option<bool>, LineError> {
    match row.text(column).to_lowercase().as_str() {
        "" => Ok(None),
        "ja" => Ok(Some(true)),
        "nee" => Ok(Some(false)),
        _ => Err(row.bad(column, Problem::YesOrNo)),
    }
}
