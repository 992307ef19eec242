//! `PUT /v1/stock`: a corporation registers the addresses it lets, as a Bloom filter of address tokens, and the
//! municipality's privacy officer confirms them; it can ask about no others.

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
use super::{App, Caller, wire};
use crate::audit::{Action, Outcome};
use crate::code::AddressToken;
use crate::epoch::Epoch;
use crate::ids::{EpochId, Oin};
use crate::regulate::Act;
use crate::store::StoreError;

/// Addresses outside the stock that its filter takes for inside: 1 in 1,000.
pub const FALSE_POSITIVES: f64 = 0.001;

/// Most dwellings of one stock: several times the largest Dutch corporation, and its filter fits a JSON body.
const MAX_DWELLINGS: usize = 400_000;

/// How much fuller than declared a filter may be: room for chance, not for other people's addresses.
const TOLERANCE: f64 = 1.05;

/// Entries a declared dwelling at least: a tower's flats share one token, up to 50 of them. The budget of questions
/// grows with the declared number, so it is no free choice.
const LEAST: f64 = 0.02;

/// A registered stock.
pub(super) struct Stock {
    filter: Bloom<[u8; 16]>,
    pub(super) dwellings: u32,
}

impl Stock {
    /// Reads a filter and holds it against the number of dwellings.
    pub(super) fn read(filter: Vec<u8>, dwellings: u32) -> Result<Self, &'static str> {
        let size = usize::try_from(dwellings).ok().filter(|size| (1..=MAX_DWELLINGS).contains(size));
        let size = size.ok_or("a stock has 1 to 400,000 dwellings")?;
        let want = Bloom::<[u8; 16]>::new_for_fp_rate(size, FALSE_POSITIVES)?;
        if filter.len() != want.as_slice().len() {
            return Err("the filter's size is not the one for this number of dwellings");
        }
        let filter = Bloom::from_bytes(filter).map_err(|_| "the filter cannot be read")?;
        if (filter.len(), filter.number_of_hash_functions()) != (want.len(), want.number_of_hash_functions()) {
            return Err("the filter's parameters are not those for this number of dwellings");
        }
        check_fill(&filter, dwellings)?;
        Ok(Self { filter, dwellings })
    }

    /// Whether the address is in the stock.
    pub(super) fn holds(&self, address: Option<&AddressToken>) -> bool {
        address.is_some_and(|address| self.filter.check(&address.0))
    }
}

/// Whether the filter holds about as many entries as declared: a fuller one lets ask about other people's addresses, an
/// emptier one inflates the budget.
fn check_fill(filter: &Bloom<[u8; 16]>, dwellings: u32) -> Result<(), &'static str> {
    let (bits, hashes) = (filter.len() as f64, f64::from(filter.number_of_hash_functions()));
    // Bits that n entries set: mean m (1 - e^-c), variance m e^-c (1 - (1 + c) e^-c) with c = k n / m (occupancy of m
    // cells by k n balls). Four deviations and one entry either way.
    let of = |entries: f64| {
        let load = hashes * entries / bits;
        let free = (-load).exp();
        (bits * (1.0 - free), hashes + 4.0 * (bits * free * (1.0 - (1.0 + load) * free)).sqrt())
    };
    // The bits are the end of the bytes, behind a header.
    let bytes = filter.as_slice().iter().rev().zip(0..filter.len() / 8);
    let set = f64::from(bytes.map(|(byte, _)| byte.count_ones()).sum::<u32>());
    let (most, slack) = of(f64::from(dwellings) * TOLERANCE);
    if set > most + slack {
        return Err("the filter holds more addresses than the declared number of dwellings");
    }
    let (fewest, slack) = of(f64::from(dwellings) * LEAST);
    if set < fewest - slack {
        return Err("the filter holds far fewer addresses than the declared number of dwellings");
    }
    Ok(())
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
    let unfit = |why| Problem::unprocessable("stock_filter", why);
    let read = || {
        takes_stocks(&in_force.epoch)?;
        let filter = STANDARD.decode(&stock.filter).map_err(|_| unfit("the filter is not base64"))?;
        Stock::read(filter.clone(), stock.dwellings).map_err(unfit)?;
        Ok(filter)
    };
    let (filter, dwellings) = match read() {
        Ok(filter) => (filter, stock.dwellings),
        Err(problem) => return Err(app.refuse(entry, problem).await),
    };
    let sealed = app.store.seal_stock(&epoch, &caller.identity.oin, dwellings, &filter);
    let sealed = sealed.map_err(|error| store_problem(&error).traced(caller.trace))?;
    let filter = STANDARD.encode(sealed);
    let proposed = Proposed::Stock { epoch: epoch.clone(), dwellings, filter };
    app.propose(&caller, &regulation, Act::RegisterStock, proposed, Some(epoch)).await.map(Json)
}

/// Whether a stock may be registered in the epoch: it loads, and by a load it is known which salt is its own, so that no
/// stock of another one comes in.
///
/// # Errors
/// What to do instead.
pub(super) fn takes_stocks(epoch: &Epoch) -> Result<(), Problem> {
    let state = epoch.state;
    if !state.loads() {
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
    pub(super) fn stock(&self, epoch: &EpochId, oin: &Oin) -> Result<Option<std::sync::Arc<Stock>>, StoreError> {
        let place = (epoch.clone(), oin.clone());
        let known = self.stocks.read().unwrap_or_else(|broken| broken.into_inner()).get(&place).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(row) = self.store.stock(epoch, oin)? else { return Ok(None) };
        let damaged = |_| StoreError::Damaged { what: "a registered stock" };
        let stock = std::sync::Arc::new(Stock::read(row.filter, row.dwellings).map_err(damaged)?);
        self.stocks.write().unwrap_or_else(|broken| broken.into_inner()).insert(place, stock.clone());
        Ok(Some(stock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(declared: usize, held: usize) -> Vec<u8> {
        let mut filter = Bloom::new_for_fp_rate(declared, FALSE_POSITIVES).unwrap();
        (0..held as u128).for_each(|n| filter.set(&n.to_be_bytes()));
        filter.into_bytes()
    }

    #[test]
    fn a_stock_holds_its_own_addresses_and_few_others() {
        let stock = Stock::read(filter(1000, 1000), 1000).unwrap();
        assert!((0..1000_u128).all(|n| stock.holds(Some(&AddressToken(n.to_be_bytes())))));
        let others = (5000..15_000_u128).filter(|n| stock.holds(Some(&AddressToken(n.to_be_bytes())))).count();
        assert!(others < 30, "{others} of 10,000");
        assert!(!stock.holds(None));
    }

    #[test]
    fn a_filter_fuller_or_emptier_than_declared_is_refused() {
        for (declared, held) in [(1000, 1500), (1000, 5000), (10_000, 10), (1000, 0), (10, 40)] {
            let read = Stock::read(filter(declared, held), declared as u32);
            assert!(read.is_err(), "{held} of {declared}");
        }
        for (declared, held) in
            [(1000, 1000), (1000, 1040), (1000, 30), (1000, 600), (400_000, 395_000), (10, 10), (1, 1), (3, 3)]
        {
            assert!(Stock::read(filter(declared, held), declared as u32).is_ok(), "{held} of {declared}");
        }
        let mut full: Bloom<[u8; 16]> = Bloom::new_for_fp_rate(1000, FALSE_POSITIVES).unwrap();
        full.fill();
        assert!(Stock::read(full.into_bytes(), 1000).is_err());
    }

    /// A corporation that knows many tokens sets the bits that most of them share. What that brings is bounded; fewer false
    /// positives do not help, because the places of an address are steps of one length (1 in a million: 623 of 5,000).
    #[test]
    fn a_filter_whose_bits_are_chosen_holds_a_few_times_what_was_declared() {
        const DECLARED: u32 = 200;
        let empty: Bloom<[u8; 16]> = Bloom::new_for_fp_rate(DECLARED as usize, FALSE_POSITIVES).unwrap();
        let token = |n: u128| ring::digest::digest(&ring::digest::SHA256, &n.to_be_bytes()).as_ref()[..16].to_vec();
        let tokens: Vec<[u8; 16]> = (0..5000).map(|n| token(n).try_into().unwrap()).collect();
        let start = empty.as_slice().len() - (empty.len() / 8) as usize;
        let bytes_of = |token| {
            let mut one = empty.clone();
            one.set(token);
            one.into_bytes()
        };
        let bits = |bytes: &[u8]| {
            let set = bytes.iter().enumerate().skip(start);
            let set =
                set.flat_map(|(at, byte)| (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| (at, bit)));
            set.collect::<Vec<_>>()
        };
        let wanted: Vec<_> = tokens.iter().map(|token| bits(&bytes_of(token))).collect();
        let (mut filter, mut stock) = (empty.into_bytes(), None);
        let missing =
            |filter: &[u8], of: &[(usize, u32)]| of.iter().filter(|(at, bit)| filter[*at] >> bit & 1 == 0).count();
        while let Some(cheapest) =
            wanted.iter().filter(|of| missing(&filter, of) > 0).min_by_key(|of| missing(&filter, of))
        {
            cheapest.iter().for_each(|(at, bit)| filter[*at] |= 1 << bit);
            match Stock::read(filter.clone(), DECLARED) {
                Ok(read) => stock = Some(read),
                // Too few to count as a stock yet, or too many.
                Err(_) if stock.is_none() => {}
                Err(_) => break,
            }
        }
        let stock = stock.unwrap();
        let held = tokens.iter().filter(|token| stock.holds(Some(&AddressToken(**token)))).count();
        println!("{held} of {} addresses in a stock of {DECLARED} whose bits were chosen", tokens.len());
        assert!((200..900).contains(&held), "{held}");
    }

    #[test]
    fn a_filter_of_other_parameters_is_refused() {
        assert!(Stock::read(filter(2000, 10), 1000).is_err());
        assert!(Stock::read(vec![0; 10], 1000).is_err());
        assert!(Stock::read(filter(1000, 10), 0).is_err());
        // One hash function and the right size: a cheap way to be in everybody's stock.
        let size = filter(1000, 1).len();
        let loose: Bloom<[u8; 16]> = Bloom::new(size - 48, 1_000_000).unwrap();
        if loose.as_slice().len() == size {
            assert!(Stock::read(loose.into_bytes(), 1000).is_err());
        }
    }
}
