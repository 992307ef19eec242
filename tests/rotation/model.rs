//! What must be answered: the same codes, linked and decided in this process, without network, store or service.

use std::collections::BTreeMap;
use std::sync::Arc;

use voorrang::answer::wire::{self, Question, by_name};
use voorrang::code::Codes;
use voorrang::encode::{Ages, Encoder, read};
use voorrang::link::{HouseholdQuestion, RegisterBuilder, Registers, Source};
use voorrang::profile::Profile;
use voorrang::regulate::{Act, Arrears, Conditions, Facts, Role};

use super::town::{REGISTERS, Town, today};

/// One epoch as a questioner knows it: its questions, and what they must bring.
pub struct Epoch {
    pub name: String,
    pub encoder: Encoder,
    pub salt: Vec<u8>,
    /// Contract, question, answer.
    pub questions: Vec<(String, Question, String)>,
}

/// Which register an epoch loads.
pub fn register_of(epoch: &str) -> &'static str {
    let number: usize = epoch.rsplit('-').next().unwrap().parse().unwrap();
    REGISTERS[number % 2]
}

impl Epoch {
    pub fn open(town: &Town, name: &str) -> anyhow::Result<Self> {
        let profile = Profile::built_in();
        let salt = town.client(Role::Corporation).salt(&name.parse().unwrap(), &profile)?;
        let encoder = Encoder::new(&profile, salt.expose(), &name.parse().unwrap());
        let registers = registers(town, &encoder, &profile, register_of(name));
        let mut questions = Vec::new();
        for (contract, tenants) in &town.households {
            let encoded = encoder.tenants(tenants);
            let address = encoded.iter().find_map(|(_, address)| *address);
            let codes: Vec<Codes> = encoded.into_iter().map(|(codes, _)| codes).collect();
            let tenants = codes.iter().map(|codes| wire::Tenant { codes: by_name(codes.clone(), &profile) }).collect();
            let question = Question {
                header: encoder.header(),
                purpose: Some("eviction-prevention".into()),
                arrears: wire::Arrears { months: 3.0, days: 0 },
                conditions: wire::Conditions {
                    personal_contact: true,
                    help_offered: true,
                    reminder_sent: true,
                    no_objection: true,
                    tenant_agrees: false,
                },
                address,
                tenants,
            };
            let Ok(household) = HouseholdQuestion::new(&profile, address, codes) else { continue };
            // A contract without an address is in nobody's stock: a refusal, and no question for this campaign.
            if address.is_some() {
                let permit = town.regulation.decide(&facts(town)).unwrap();
                let answer = permit.disclose(&town.regulation, Some(&registers.find(&household)), true);
                questions.push((contract.clone(), question, answer.as_str().to_owned()));
            }
        }
        let kinds: BTreeMap<&str, usize> = questions.iter().fold(BTreeMap::new(), |mut kinds, (_, _, answer)| {
            *kinds.entry(answer.as_str()).or_default() += 1;
            kinds
        });
        assert!(kinds.len() > 1, "a model that says the same to everybody shows nothing: {kinds:?}");
        Ok(Self { name: name.to_owned(), encoder, salt: salt.expose().to_vec(), questions })
    }
}

fn registers(town: &Town, encoder: &Encoder, profile: &Profile, file: &str) -> Registers {
    let (minor_below, senior_from) = town.regulation.ages();
    let ages = Ages { minor_below, senior_from };
    let residents = read::residents(&town.file(file)).unwrap();
    let mut population = RegisterBuilder::new(profile, Source::Population);
    for record in encoder.residents(&residents, today(), &ages) {
        population.push(record).unwrap();
    }
    let mut care = RegisterBuilder::new(profile, Source::Care);
    for record in encoder.care_members(&town.care) {
        care.push(record).unwrap();
    }
    Registers::join(Arc::new(population.finish()), Some(Arc::new(care.finish())))
}

fn facts(town: &Town) -> Facts {
    let corporation = town.regulation.parties().iter().find(|party| party.role == Role::Corporation).unwrap();
    Facts {
        purpose: Some("eviction-prevention".parse().unwrap()),
        arrears: Some(Arrears { months: 3.0, days: 0 }),
        conditions: Conditions { tenant_agrees: false, ..Conditions::MET },
        in_stock: Some(true),
        stock: Some(1_000_000),
        batch: 1,
        ..Facts::new(corporation.oin.clone(), Act::Ask, today())
    }
}
