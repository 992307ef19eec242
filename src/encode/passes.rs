//! The filters of a person in one pass of the profile: one a surname or one of all, and in a question one more for each
//! other way to read the row.

use super::diffuse::Diffusion;
use super::filter::{Filter, Strokes};
use super::keys::{Keys, Numbers, PassKeys, Root, Seed, shuffle};
use super::token::{Evidence, changed, reread};
use super::{Address, Person, Source};
use crate::code::Code;
use crate::profile::{Field, Missing, Pass, Profile, Reading, Scope, Surnames};

/// What of a record's random numbers is for what: none is used twice.
#[derive(Clone, Copy)]
enum Use {
    /// A field that is missing, a surname's variant that is not there.
    Field(Field),
    /// A code of which nothing can be made.
    Whole,
    /// What a reading that does not apply would have changed.
    Masked(Field),
    /// The order of the variants.
    Order,
}

/// A person of whom codes are made: what all passes need, made once.
pub(super) struct Subject<'a> {
    source: Source,
    /// Of everything that is random in this record.
    seed: Seed,
    address: Option<&'a Address>,
    evidence: Evidence<Seed>,
    /// The row read in other ways, where it can be.
    readings: Vec<(Reading, Evidence<Seed>)>,
}

impl<'a> Subject<'a> {
    /// `token` makes a seed of a token, `readings` are those that the profile asks for.
    pub(super) fn new(
        source: Source,
        seed: Seed,
        person: &'a Person,
        variants: usize,
        readings: &[Reading],
        token: impl Fn(super::token::Token) -> Seed,
    ) -> Self {
        let readings = if source == Source::Tenants { readings } else { &[] };
        let other = |reading: &Reading| Some((*reading, Evidence::new(&reread(person, *reading)?, variants, &token)));
        Self {
            source,
            seed,
            address: person.address.as_ref(),
            evidence: Evidence::new(person, variants, &token),
            readings: readings.iter().filter_map(other).collect(),
        }
    }
}

/// Encodes one pass.
pub(super) struct PassEncoder {
    pass: Pass,
    /// Position in the profile.
    at: u32,
    keys: PassKeys,
    diffusion: Diffusion,
    variants: usize,
}

impl PassEncoder {
    pub(super) fn new(profile: &Profile, root: &Root, at: usize) -> Self {
        let pass = profile.passes[at].clone();
        let keys = root.pass(&pass);
        Self {
            at: u32::try_from(at).expect("a profile has at most 64 passes"),
            diffusion: Diffusion::new(&keys.diffusion, pass.filter_bits, pass.code_bits, pass.diffusion),
            pass,
            keys,
            variants: profile.variants,
        }
    }

    pub(super) fn pass(&self) -> &Pass {
        &self.pass
    }

    /// The codes of filters, one after the other.
    pub(super) fn diffused(&self, filters: &[u64]) -> Vec<Code> {
        self.diffusion.apply(filters).into_iter().map(Code::from).collect()
    }

    /// Brings the codes of a record into an order that only the key tells.
    pub(super) fn shuffle(&self, keys: &Keys, subject: &Subject<'_>, codes: &mut [Code]) {
        shuffle(codes, &mut keys.filler.stream(&subject.seed, self.block(Use::Order, 0)));
    }

    /// Appends the filters of a record, the real name variants first; returns how many.
    /// `here` keeps the place between records: people of one address often follow each other.
    pub(super) fn filters(&self, keys: &Keys, subject: &Subject<'_>, here: &mut Here, into: &mut Vec<u64>) -> usize {
        let readings = if subject.source == Source::Tenants { &self.pass.also_asked[..] } else { &[] };
        let names = match self.pass.surnames {
            Surnames::Apart => self.variants,
            Surnames::Together => 1,
        };
        let filters: Vec<Filter> = match self.numbers(subject.address, here) {
            Some(numbers) => self.known(keys, numbers, subject, names, readings),
            None => (0..names + readings.len()).map(|variant| self.random(keys, subject, variant)).collect(),
        };
        filters.iter().for_each(|filter| into.extend(filter.words()));
        filters.len()
    }

    fn random(&self, keys: &Keys, subject: &Subject<'_>, variant: usize) -> Filter {
        Filter::random(self.pass.filter_bits, &keys.filler, &subject.seed, self.block(Use::Whole, variant))
    }

    fn known(
        &self,
        keys: &Keys,
        numbers: &Numbers,
        subject: &Subject<'_>,
        names: usize,
        readings: &[Reading],
    ) -> Vec<Filter> {
        let brush = Brush { pass: self, keys, numbers, subject };
        let mut filters = brush.names(names);
        for (at, reading) in readings.iter().enumerate() {
            let other = subject.readings.iter().find(|(known, _)| known == reading);
            filters.push(match other {
                Some((_, evidence)) => brush.read_anew(evidence, names + at),
                None => brush.masked(*reading, names + at),
            });
        }
        filters
    }

    /// Where numbers of the record begin: 6 bits of the pass, 6 of the variant, 4 of the use, 16 of blocks.
    fn block(&self, what: Use, variant: usize) -> u32 {
        let what = match what {
            Use::Field(field) => field as u32,
            Use::Masked(field) => 8 + field as u32,
            Use::Whole => 14,
            Use::Order => 15,
        };
        let variant = u32::try_from(variant).expect("a profile has at most 12 codes a pass");
        self.at << 26 | variant << 20 | what << 16
    }

    /// The numbers of the subject's place within the pass's scope; none if that is a place that is not known.
    fn numbers<'a>(&'a self, address: Option<&Address>, here: &'a mut Here) -> Option<&'a Numbers> {
        let place = match self.pass.scope {
            Scope::Everywhere => return Some(&self.keys.everywhere),
            Scope::Postcode => address?.postcode_key()?,
            Scope::Street => address?.street_key()?,
            Scope::Address => address?.key()?,
        };
        Some(here.of(place, |place| Numbers::of_place(&self.keys.place, place)))
    }
}

/// The last place of a pass and its numbers.
pub(super) type Here = Last<String, Numbers>;

/// What was made of the last key. People of one address often follow each other.
pub(super) struct Last<K, V>(Option<(K, V)>);

impl<K, V> Default for Last<K, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: PartialEq, V> Last<K, V> {
    /// What `make` makes of the key, made anew only for another one than before.
    pub(super) fn of(&mut self, key: K, make: impl FnOnce(&K) -> V) -> &V {
        let kept = self.0.take().filter(|(known, _)| *known == key);
        let (_, value) = self.0.insert(kept.unwrap_or_else(|| {
            let value = make(&key);
            (key, value)
        }));
        value
    }
}

/// Makes the filters of one record in one pass.
struct Brush<'a> {
    pass: &'a PassEncoder,
    keys: &'a Keys,
    numbers: &'a Numbers,
    subject: &'a Subject<'a>,
}

impl Brush<'_> {
    /// A filter a surname, or one of all. Records with fewer names than the profile has variants get more with a random
    /// surname and all else as it is: codes that are random throughout would show who has one name, because a record's
    /// real variants resemble each other.
    fn names(&self, names: usize) -> Vec<Filter> {
        let evidence = &self.subject.evidence;
        if self.pass.pass.surnames == Surnames::Together {
            return vec![self.whole(evidence, evidence.slots(Field::Surname), false, 0)];
        }
        // The fields that are no surname are the same in all variants, their filling too.
        let others = |fill| self.rest(evidence, fill, 0);
        let (mut filled, mut bare) = (None, None);
        let name = |variant| {
            let slots = evidence.surname(variant);
            let fill = self.fills(evidence, slots.unwrap_or(&[None]));
            let rest = if fill { &mut filled } else { &mut bare };
            let mut filter = rest.get_or_insert_with(|| others(fill)).clone();
            self.surname(&mut filter, slots.unwrap_or(&[None]), fill || slots.is_none(), variant);
            filter
        };
        (0..names).map(name).collect()
    }

    /// The row read in another way. What the reading does not know is filled, so that it is as dense as a masked one.
    fn read_anew(&self, evidence: &Evidence<Seed>, variant: usize) -> Filter {
        let slots = match self.pass.pass.surnames {
            Surnames::Apart => evidence.surname(0).unwrap_or(&[None]),
            Surnames::Together => evidence.slots(Field::Surname),
        };
        self.whole(evidence, slots, true, variant)
    }

    /// Stands for a reading that does not apply: the row itself with as many insertions random as the reading would
    /// have changed. It resembles the row as much as another reading does, and nobody else more than the row.
    fn masked(&self, reading: Reading, variant: usize) -> Filter {
        let insertions = &self.pass.pass.insertions;
        let all = f64::from(insertions.values().sum::<u32>());
        let part = insertions.iter().map(|(field, n)| f64::from(*n) * changed(reading, *field)).sum::<f64>() / all;
        let mut strokes = Strokes::new(&self.subject.seed);
        let evidence = &self.subject.evidence;
        for (field, insertions) in insertions {
            let slots = match (field, self.pass.pass.surnames) {
                (Field::Surname, Surnames::Apart) => evidence.surname(0).unwrap_or(&[None]),
                _ => evidence.slots(*field),
            };
            strokes.add(slots, *insertions, Some(self.pass.block(Use::Masked(*field), variant)), part);
        }
        self.paint(strokes)
    }

    fn whole(&self, evidence: &Evidence<Seed>, surname: &[Option<Seed>], anew: bool, variant: usize) -> Filter {
        let fill = anew || self.fills(evidence, surname);
        let mut filter = self.rest(evidence, fill, variant);
        self.surname(&mut filter, surname, fill, variant);
        filter
    }

    fn surname(&self, filter: &mut Filter, slots: &[Option<Seed>], fill: bool, variant: usize) {
        let Some(insertions) = self.pass.pass.insertions.get(&Field::Surname) else { return };
        let mut strokes = Strokes::new(&self.subject.seed);
        let fill = fill.then(|| self.pass.block(Use::Field(Field::Surname), variant));
        strokes.add(slots, *insertions, fill, 0.0);
        strokes.into(filter, self.numbers, &self.keys.filler);
    }

    fn rest(&self, evidence: &Evidence<Seed>, fill: bool, variant: usize) -> Filter {
        let mut strokes = Strokes::new(&self.subject.seed);
        for (field, insertions) in self.pass.pass.insertions.iter().filter(|(field, _)| **field != Field::Surname) {
            let fill = fill.then(|| self.pass.block(Use::Field(*field), variant));
            strokes.add(evidence.slots(*field), *insertions, fill, 0.0);
        }
        self.paint(strokes)
    }

    fn paint(&self, strokes: Strokes<'_>) -> Filter {
        let mut filter = Filter::new(self.pass.pass.filter_bits);
        strokes.into(&mut filter, self.numbers, &self.keys.filler);
        filter
    }

    /// Whether what is missing is filled: as the pass says, and whenever less than half of the evidence is there. A
    /// filter of so little would be light, and light ones resemble each other.
    fn fills(&self, evidence: &Evidence<Seed>, surname: &[Option<Seed>]) -> bool {
        let pass = &self.pass.pass;
        if pass.missing == Missing::Random || self.subject.source == Source::Population {
            return true;
        }
        let known = |(field, insertions): (&Field, &u32)| {
            let slots = if *field == Field::Surname { surname } else { evidence.slots(*field) };
            let known = slots.iter().filter(|slot| slot.is_some()).count();
            f64::from(*insertions) * known as f64 / slots.len() as f64
        };
        let all = f64::from(pass.insertions.values().sum::<u32>());
        pass.insertions.iter().map(known).sum::<f64>() * 2.0 < all
    }
}
