//! `PUT /v1/stock`: a corporation registers the addresses it lets, kept as a Bloom filter of address tokens, and the
//! municipality's privacy officer confirms them; it can ask about no others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use actix_web::HttpRequest;
use actix_web::web::Data;
use base64::{Engine, engine::general_purpose::STANDARD};
use bloomfilter::Bloom;

use super::decision::store_problem;
use super::four_eyes::Proposed;
use super::identity::Identity;
use super::json::Json;
use super::problem::Problem;
use super::wire::law::Pending;
use super::{App, Caller, EpochInForce, wire};
use crate::audit::{Action, Outcome};
use crate::code::{AddressToken, STOCK_PREFIX};
use crate::epoch::Epoch;
use crate::ids::{EpochId, Oin, ProposalId};
use crate::link::Register;
use crate::regulate::Act;
use crate::store::{Proposal, StoreError};

/// Addresses outside the stock that its filter takes for inside: 1 in 1,000.
const FALSE_POSITIVES: f64 = 0.001;

/// A filter is made for so many addresses at least: one of a few bits takes every tenth stranger for its own.
const FEWEST: usize = 100;

/// Most dwellings of one stock: several times the largest Dutch corporation.
const MAX_DWELLINGS: usize = 400_000;

/// Dwellings of one address at most: a tower's flats share one token.
const FLATS: usize = 50;

/// A registered stock.
pub(super) struct Stock {
    filter: Bloom<[u8; STOCK_PREFIX]>,
    /// As the corporation declares it.
    pub(super) dwellings: u32,
    /// The register that was looked at last, and its households at the addresses.
    lived_in: Mutex<(Weak<Register>, u64)>,
}

/// Households at the addresses of each stock that waits, by the proposal and the register that were looked at last.
pub(super) type Proposals = Mutex<HashMap<(EpochId, Oin), (ProposalId, Weak<Register>, u64)>>;

impl Stock {
    /// The filter of these addresses. It is made here: whoever sets its bits himself gets several times as many addresses
    /// into one that is as full as it should be.
    fn filter(addresses: &[u8], dwellings: u32) -> Result<Vec<u8>, &'static str> {
        let (addresses, rest) = addresses.as_chunks::<STOCK_PREFIX>();
        if !rest.is_empty() {
            return Err("the addresses are not six bytes each");
        }
        if !addresses.is_sorted_by(|one, next| one < next) {
            return Err("the addresses are not in ascending order, each once");
        }
        let mut filter = empty(dwellings)?;
        let dwellings = dwellings as usize;
        if addresses.len() > dwellings {
            return Err("there are more addresses than the declared number of dwellings");
        }
        if addresses.len() * FLATS < dwellings {
            return Err("there are far fewer addresses than the declared number of dwellings");
        }
        addresses.iter().for_each(|address| filter.set(address));
        Ok(filter.into_bytes())
    }

    /// Reads a filter that was kept.
    pub(super) fn read(filter: Vec<u8>, dwellings: u32) -> Result<Self, &'static str> {
        let want = empty(dwellings)?;
        if filter.len() != want.as_slice().len() {
            return Err("the filter's size is not the one for this number of dwellings");
        }
        let filter = Bloom::from_bytes(filter).map_err(|_| "the filter cannot be read")?;
        if (filter.len(), filter.number_of_hash_functions()) != (want.len(), want.number_of_hash_functions()) {
            return Err("the filter's parameters are not those for this number of dwellings");
        }
        Ok(Self { filter, dwellings, lived_in: Mutex::default() })
    }

    /// Households that the register has at the addresses. A register does not change; a load brings another one.
    pub(super) fn households(&self, population: &Arc<Register>) -> u64 {
        let mut known = self.lived_in.lock().unwrap_or_else(|broken| broken.into_inner());
        if !std::ptr::eq(known.0.as_ptr(), Arc::as_ptr(population)) {
            let households = population.households_within(|address| self.holds(Some(address)));
            *known = (Arc::downgrade(population), households as u64);
        }
        known.1
    }

    /// The dwellings of which alarm and stop are shares: no more than are declared, and no more than households are
    /// registered there. Else who declares a multiple would have as many questions more. A dwelling in which nobody is
    /// registered counts for nothing: about whom would it be asked?
    pub(super) fn counted(&self, in_force: &EpochInForce) -> u64 {
        let declared = u64::from(self.dwellings);
        in_force.registers.as_ref().map_or(declared, |both| declared.min(self.households(both.population())))
    }

    /// Whether the address is in the stock.
    pub(super) fn holds(&self, address: Option<&AddressToken>) -> bool {
        address.is_some_and(|address| self.filter.check(&address.stock_prefix()))
    }
}

fn empty(dwellings: u32) -> Result<Bloom<[u8; STOCK_PREFIX]>, &'static str> {
    let size = usize::try_from(dwellings).ok().filter(|size| (1..=MAX_DWELLINGS).contains(size));
    Bloom::new_for_fp_rate(size.ok_or("a stock has 1 to 400,000 dwellings")?.max(FEWEST), FALSE_POSITIVES)
}

/// The handler: proposes the caller's stock in the epoch of the header, in place of the one before. It counts once the
/// municipality's privacy officer has confirmed it.
pub(super) async fn register(
    app: Data<App>,
    identity: Identity,
    request: HttpRequest,
    stock: Json<wire::Stock>,
) -> Result<Json<Pending>, Problem> {
    let caller = Caller::of(identity, &request);
    let in_force = app.named_epoch(&caller, &stock.header.epoch, Action::Stock).await?;
    let regulation = app.regulation(&in_force.epoch.regulation).map_err(|problem| problem.traced(caller.trace))?;
    let epoch = in_force.epoch.id.clone();
    // The role first: whoever may not register a stock learns nothing about how one looks.
    let _permit = app.confirmable(&caller, &regulation, Act::RegisterStock, None).await?;
    let mut entry = app.entry(&caller, Some(&regulation), Action::Stock, Outcome::Done);
    entry.epoch = Some(epoch.clone());
    if let Err(mismatch) = in_force.epoch.accepts(&stock.header) {
        let problem = Problem::unprocessable(mismatch.code(), format!("the stock was {mismatch}"));
        return Err(app.refuse(entry, problem).await);
    }
    let unfit = |why| Problem::unprocessable("stock_addresses", why);
    let read = || {
        takes_stocks(&in_force.epoch)?;
        let addresses = STANDARD.decode(&stock.addresses).map_err(|_| unfit("the addresses are not base64"))?;
        Ok((Stock::filter(&addresses, stock.dwellings).map_err(unfit)?, addresses.len() / STOCK_PREFIX))
    };
    let (filter, held, dwellings) = match read() {
        Ok((filter, held)) => (filter, held, stock.dwellings),
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    let sealed = app.store.seal_stock(&epoch, &caller.identity.oin, dwellings, &filter);
    let sealed = sealed.map_err(|error| store_problem(&error).traced(caller.trace))?;
    let filter = STANDARD.encode(sealed);
    let proposed = Proposed::Stock { epoch: epoch.clone(), dwellings, addresses: Some(held), filter };
    app.propose(&caller, &regulation, Act::RegisterStock, proposed, Some(epoch)).await.map(Json)
}

/// Whether a stock may be registered in the epoch: it loads, and by a load it is known which salt is its own, so that no
/// stock of another one comes in.
///
/// # Errors
/// What to do instead.
pub(super) fn takes_stocks(epoch: &Epoch) -> Result<(), Problem> {
    let state = epoch.state;
    if !state.takes_stocks() {
        let detail =
            format!("the epoch is {state} and takes no stocks; load into the one in force, see GET /v1/service");
        return Err(Problem::conflict("epoch_not_loading", detail));
    }
    if epoch.key_check.is_none() {
        let detail =
            "no register is loaded in this epoch yet, so nothing shows its salt; load the stock after a custodian has";
        return Err(Problem::conflict("source_missing", detail));
    }
    Ok(())
}

impl App {
    /// The stock that a party registered in an epoch.
    pub(super) fn stock(&self, epoch: &EpochId, oin: &Oin) -> Result<Option<Arc<Stock>>, StoreError> {
        let place = (epoch.clone(), oin.clone());
        let known = self.stocks.read().unwrap_or_else(|broken| broken.into_inner()).get(&place).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(row) = self.store.stock(epoch, oin)? else { return Ok(None) };
        let damaged = |_| StoreError::Damaged { what: "a registered stock" };
        let stock = Arc::new(Stock::read(row.filter, row.dwellings).map_err(damaged)?);
        self.stocks.write().unwrap_or_else(|broken| broken.into_inner()).insert(place, stock.clone());
        Ok(Some(stock))
    }

    /// A stock that waits: what is declared, and for who may confirm it what the register has there. Whoever proposes is
    /// not told: by a stock of one address it would count the households at any.
    pub(super) fn about_stock(&self, proposal: &Proposal, proposed: &Proposed, may_confirm: bool) -> Option<String> {
        let Proposed::Stock { epoch, dwellings, addresses, filter } = proposed else { return None };
        let households = may_confirm.then(|| self.households_proposed(proposal, epoch, *dwellings, filter)).flatten();
        let at = addresses.map(|addresses| format!(" at {addresses} addresses"));
        let there = households.map(|households| format!(", {households} households registered there"));
        let [at, there] = [at, there].map(Option::unwrap_or_default);
        Some(format!("{dwellings} dwellings{at}{there}, epoch {epoch}"))
    }

    /// Households at the addresses of a stock that waits. The whole register is looked through, once for each proposal.
    fn households_proposed(&self, proposal: &Proposal, epoch: &EpochId, dwellings: u32, filter: &str) -> Option<u64> {
        let registers = self.epoch(epoch).ok()?.registers.clone()?;
        let population = registers.population();
        let mut known = self.proposed.lock().unwrap_or_else(|broken| broken.into_inner());
        let place = (epoch.clone(), proposal.by.clone());
        let is_same = |(id, register, _): &&(ProposalId, Weak<Register>, u64)| {
            *id == proposal.id && std::ptr::eq(register.as_ptr(), Arc::as_ptr(population))
        };
        if let Some((.., households)) = known.get(&place).filter(is_same) {
            return Some(*households);
        }
        let sealed = STANDARD.decode(filter).ok()?;
        let opened = self.store.open_stock(epoch, &proposal.by, dwellings, &sealed).ok()?;
        let households = Stock::read(opened, dwellings).ok()?.households(population);
        known.insert(place, (proposal.id, Arc::downgrade(population), households));
        Some(households)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: u64) -> AddressToken {
        let digest = ring::digest::digest(&ring::digest::SHA256, &n.to_be_bytes());
        AddressToken(*digest.as_ref().first_chunk().unwrap())
    }

    fn addresses(held: u64) -> Vec<u8> {
        let sorted: std::collections::BTreeSet<_> = (0..held).map(|n| token(n).stock_prefix()).collect();
        sorted.into_iter().flatten().collect()
    }

    #[test]
    fn a_stock_holds_its_own_addresses_and_few_others() {
        let stock = Stock::read(Stock::filter(&addresses(1000), 1000).unwrap(), 1000).unwrap();
        assert!((0..1000).all(|n| stock.holds(Some(&token(n)))));
        let others = (5000..15_000).filter(|&n| stock.holds(Some(&token(n)))).count();
        assert!(others < 30, "{others} of 10,000");
        assert!(!stock.holds(None));
    }

    #[test]
    fn a_small_stock_holds_no_more_strangers_than_a_large_one() {
        for held in [1_u64, 2, 3, 10, 30, 99, 100, 101] {
            // Each stock has addresses of its own; a filter's hashes are drawn by its size, so strangers vary too.
            let holding = |nth: u64| {
                let first = nth * 10_000;
                let sorted: std::collections::BTreeSet<_> =
                    (first..first + held).map(|n| token(n).stock_prefix()).collect();
                let addresses: Vec<u8> = sorted.into_iter().flatten().collect();
                let dwellings = u32::try_from(held).unwrap();
                let stock = Stock::read(Stock::filter(&addresses, dwellings).unwrap(), dwellings).unwrap();
                (first + 5_000..first + 5_430).filter(|&n| stock.holds(Some(&token(n)))).count()
            };
            let strangers: Vec<usize> = (0..200).map(holding).collect();
            let share = strangers.iter().sum::<usize>() as f64 / (200.0 * 430.0);
            assert!(share < 0.002 && strangers.iter().all(|&one| one < 8), "{held}: {share} {strangers:?}");
        }
    }

    #[test]
    fn more_addresses_than_dwellings_and_far_fewer_are_refused() {
        for (declared, held) in
            [(1000, 1001), (1000, 5000), (10_000, 199), (1000, 0), (10, 11), (0, 0), (400_001, 9000)]
        {
            assert!(Stock::filter(&addresses(held), declared).is_err(), "{held} of {declared}");
        }
        for (declared, held) in [(1000, 1000), (1000, 20), (1000, 600), (400_000, 8000), (10, 10), (1, 1), (3, 3)] {
            assert!(Stock::filter(&addresses(held), declared).is_ok(), "{held} of {declared}");
        }
    }

    #[test]
    fn each_address_comes_once_in_its_place_and_whole() {
        let right = addresses(3);
        let (first, rest) = right.split_at(STOCK_PREFIX);
        for wrong in [&right[..17], &[rest, first].concat(), &[first, first, rest].concat()] {
            assert!(Stock::filter(wrong, 10).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_filter_of_other_parameters_is_refused() {
        let of = |dwellings| Stock::filter(&addresses(10), dwellings).unwrap();
        assert!(Stock::read(of(100), 100).is_ok());
        assert!(Stock::read(of(200), 100).is_err() && Stock::read(of(100), 0).is_err());
        assert!(Stock::read(vec![0; 10], 100).is_err());
    }
}
