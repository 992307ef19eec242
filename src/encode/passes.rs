//! The filters of a person in one pass of the profile: one a surname or one of all, and in a question one more for each
//! other way to read the row.

use std::borrow::Borrow;
use std::rc::Rc;

use super::diffuse::Diffusion;
use super::filter::{Filters, Ink, Sheet, Strokes};
use super::keys::{Keys, Numbers, Root, Seed, shuffle};
use super::normalize::given_name;
use super::parts::Parts;
use super::person::street_start;
use super::token::{Evidence, changed, reread};
use super::{Address, Person, Source};
use crate::code::Code;
use crate::profile::{Field, Missing, Part, Pass, Profile, Reading, Scope, Surnames};

/// What of a record's random numbers is for what: none is used twice.
#[derive(Clone, Copy)]
enum Use {
    /// A field that is missing, a surname's variant that is not there.
    Field(Field),
    /// A code of which nothing can be made.
    Whole,
    /// What a reading that does not apply would have changed.
    Masked(Field),
    /// What a name that is not there shares with the first one; the same in all passes, as of a name that is.
    Padding,
    /// The order of the variants.
    Order,
    /// Positions of a token; no record's.
    Token,
}

/// Of 65,536 pairs of names of one person as many share one piece or more, two or more, and so on: measured on 3,619
/// people of nl10k.
const SHARED: [u16; 4] = [26_214, 10_093, 3_473, 1_311];

/// Pieces of the longer one of two names, most often.
const USUAL_PIECES: usize = 8;

/// The numbers of positions of a person's places; nothing where a place is not known.
pub(super) struct Places {
    address: Option<Numbers>,
    postcode: Option<Rc<Numbers>>,
    street: Option<Numbers>,
}

/// Makes places. Neighbours often follow each other, and their postcode and street are made once.
#[derive(Default)]
pub(super) struct Neighbours {
    address: Last<Address, Rc<Places>>,
    postcode: Last<String, Rc<Numbers>>,
    street: Last<String, String>,
}

impl Neighbours {
    pub(super) fn at(&mut self, keys: &Keys, address: &Address) -> Rc<Places> {
        let Self { address: last, postcode, street } = self;
        let numbers = |key, place: Option<String>| place.map(|place| Numbers::of_place(key, &place));
        let make = || {
            let of_postcode = |place| postcode.of(place, || Rc::new(Numbers::of_place(&keys.postcode, place))).clone();
            let street = street.of(address.street(), || street_start(address.street()));
            Rc::new(Places {
                address: numbers(&keys.address, address.key()),
                postcode: address.postcode_key().map(of_postcode),
                street: numbers(&keys.street, address.street_key(street)),
            })
        };
        last.of(address, make).clone()
    }
}

/// A person of whom codes are made: what all passes need, made once.
pub(super) struct Subject {
    source: Source,
    /// Of everything that is random in this record.
    seed: Seed,
    places: Option<Rc<Places>>,
    parts: Parts,
    evidence: Evidence<Seed>,
    /// The row read in other ways, where it can be.
    readings: Vec<(Reading, Parts, Evidence<Seed>)>,
}

impl Subject {
    /// `token` makes a seed of a token, `readings` are those that the profile asks for.
    pub(super) fn new(
        (source, seed): (Source, Seed),
        person: &Person,
        places: Option<Rc<Places>>,
        variants: usize,
        readings: &[Reading],
        token: impl Fn(super::token::Token) -> Seed,
    ) -> Self {
        let readings = if source == Source::Tenants { readings } else { &[] };
        let made = |person: &Person| {
            let given = given_name(&person.given_names);
            let evidence = Evidence::with_given(person, given.as_deref(), variants, &token);
            (Parts::of(person, given.as_deref()), evidence)
        };
        let other = |reading: &Reading| {
            let (parts, evidence) = made(&reread(person, *reading)?);
            Some((*reading, parts, evidence))
        };
        let (parts, evidence) = made(person);
        Self { source, seed, places, parts, evidence, readings: readings.iter().filter_map(other).collect() }
    }
}

/// Encodes one pass.
pub(super) struct PassEncoder {
    pass: Pass,
    /// Position in the profile.
    at: u32,
    /// Insertions of the surname, and of the other fields.
    surname: Option<u32>,
    others: Vec<(Field, u32)>,
    diffusion: Diffusion,
    variants: usize,
}

impl PassEncoder {
    pub(super) fn new(profile: &Profile, root: &Root, at: usize) -> Self {
        let pass = profile.passes[at].clone();
        let fields = || pass.insertions.iter().map(|(field, insertions)| (*field, *insertions));
        Self {
            at: u32::try_from(at).expect("a profile has at most 64 passes"),
            surname: pass.insertions.get(&Field::Surname).copied(),
            others: fields().filter(|(field, _)| *field != Field::Surname).collect(),
            diffusion: Diffusion::new(&root.diffusion(&pass), pass.filter_bits, pass.code_bits, pass.diffusion),
            pass,
            variants: profile.variants,
        }
    }

    /// An empty sheet for filters of this pass.
    #[inline]
    pub(super) fn sheet<'a>(&self) -> Sheet<'a> {
        Sheet::new(self.pass.filter_bits)
    }

    /// Appends the codes of a sheet's filters, one after the other.
    pub(super) fn diffused(&self, sheet: &mut Sheet, codes: &mut Vec<u64>) {
        self.diffusion.apply(sheet, codes);
    }

    /// Words of a code.
    pub(super) fn words(&self) -> usize {
        self.pass.code_bits / 64
    }

    /// Brings the codes of a record into an order that only the key tells.
    pub(super) fn shuffle(&self, keys: &Keys, record: Seed, codes: &mut [Code]) {
        shuffle(codes, &mut keys.filler.stream(record, self.block(Use::Order, 0)));
    }

    /// How many filters a record has.
    pub(super) fn count(&self, source: Source) -> usize {
        self.names() + self.readings(source).len()
    }

    fn names(&self) -> usize {
        match self.pass.surnames {
            Surnames::Apart => self.variants,
            Surnames::Together => 1,
        }
    }

    fn readings(&self, source: Source) -> &[Reading] {
        if source == Source::Tenants { &self.pass.also_asked } else { &[] }
    }

    /// The filters of a record, the real name variants first, on a sheet that has room for them.
    pub(super) fn filters<'a>(&'a self, keys: &'a Keys, subject: &'a Subject, sheet: &mut Sheet<'a>) {
        let Some(ink) = self.ink(keys, subject, &subject.parts) else {
            return (0..self.count(subject.source)).for_each(|variant| self.noise(keys, subject, sheet, variant));
        };
        Brush { pass: self, subject, ink, sheet }.names(self.names());
        for (variant, reading) in (self.names()..).zip(self.readings(subject.source)) {
            match subject.readings.iter().find(|(known, ..)| known == reading) {
                Some((_, parts, evidence)) => match self.ink(keys, subject, parts) {
                    Some(ink) => Brush { pass: self, subject, ink, sheet }.read_anew(evidence, variant),
                    None => self.noise(keys, subject, sheet, variant),
                },
                // As a reading of another initial is to its own row: a code that resembled the row would stand out.
                None if self.pass.parts().contains(&Part::Initial) => self.noise(keys, subject, sheet, variant),
                None => Brush { pass: self, subject, ink, sheet }.masked(*reading, variant),
            }
        }
    }

    /// A filter of which nothing can be made. In a question it follows from the row as well as from its number: under a
    /// number that is used again, other people would have an equal code, and stick to what the first were told.
    fn noise<'a>(&self, keys: &'a Keys, subject: &Subject, sheet: &mut Sheet<'a>, variant: usize) {
        let filter = sheet.next();
        let seed = match subject.source {
            Source::Tenants => keys.seed_of_row(subject.seed, subject.evidence.all()),
            Source::Population | Source::Care => subject.seed,
        };
        let block = self.block(Use::Whole, variant);
        sheet.randomize(filter, &keys.filler, (seed, block), self.pass.insertions.values().sum());
    }

    /// Where numbers of the record begin: 6 bits of the pass, 6 of the variant, 4 of the use, 16 of blocks.
    fn block(&self, what: Use, variant: usize) -> u32 {
        let what = match what {
            Use::Field(field) => field as u32,
            Use::Padding => 6,
            Use::Masked(field) => 8 + field as u32,
            Use::Whole => 14,
            Use::Order => 15,
            Use::Token => 0,
        };
        let variant = u32::try_from(variant).expect("a profile has at most 12 codes a pass");
        self.at << 26 | variant << 20 | what << 16
    }

    /// What positions of the subject are drawn with; nothing if the pass is keyed with what is not known.
    fn ink<'a>(&self, keys: &'a Keys, subject: &'a Subject, parts: &Parts) -> Option<Ink<'a>> {
        let places = subject.places.as_deref();
        let numbers = match self.pass.scope {
            Scope::Everywhere => &keys.everywhere,
            Scope::Postcode => places?.postcode.as_deref()?,
            Scope::Street => places?.street.as_ref()?,
            Scope::Address => places?.address.as_ref()?,
        };
        Some(Ink { numbers, parts: parts.number(self.pass.parts())?, filler: &keys.filler })
    }
}

/// What was made of the last key. People of one address often follow each other.
pub(super) struct Last<K, V>(Option<(K, V)>);

impl<K, V> Default for Last<K, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K, V> Last<K, V> {
    /// What `make` makes of the key, made anew only for another one than before.
    pub(super) fn of<Q>(&mut self, key: &Q, make: impl FnOnce() -> V) -> &V
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + PartialEq + ?Sized,
    {
        let kept = self.0.take().filter(|(known, _)| known.borrow() == key);
        let (_, value) = self.0.insert(kept.unwrap_or_else(|| (key.to_owned(), make())));
        value
    }
}

/// Makes the filters of one record in one pass.
struct Brush<'a, 'b> {
    pass: &'a PassEncoder,
    subject: &'a Subject,
    ink: Ink<'a>,
    sheet: &'b mut Sheet<'a>,
}

impl Brush<'_, '_> {
    /// A filter a surname, or one of all. Records with fewer names than the profile has variants get more with a drawn
    /// surname and all else as it is: codes that are random throughout would show who has one name, because a record's
    /// real variants resemble each other.
    fn names(&mut self, names: usize) {
        let evidence = &self.subject.evidence;
        if self.pass.pass.surnames == Surnames::Together {
            return self.whole(evidence, evidence.slots(Field::Surname), false, 0);
        }
        // The fields that are no surname are the same in all variants, their filling too.
        let (mut filled, mut bare) = (0, 0);
        for variant in 0..names {
            let filter = self.sheet.next();
            let name = evidence.surname(variant);
            let fill = self.fills(evidence, name.unwrap_or(&[None]));
            *(if fill { &mut filled } else { &mut bare }) |= filter;
            match name {
                Some(slots) => self.surname(filter, slots, fill, variant),
                None => self.surname(filter, &self.padding(variant), true, variant),
            }
        }
        for (fill, filters) in [(true, filled), (false, bare)] {
            if filters != 0 {
                self.rest(filters, evidence, fill, 0);
            }
        }
    }

    /// A name that is not there: random, but for as many pieces of the first name as two names of a person share.
    fn padding(&self, variant: usize) -> Vec<Option<Seed>> {
        let mut slots = self.subject.evidence.surname(0).unwrap_or(&[None]).to_vec();
        // Not this pass's block: a name that is there shares the same pieces in all of them.
        let block = self.pass.block(Use::Padding, variant) & ((1 << 26) - 1);
        let mut numbers = self.ink.filler.stream(self.subject.seed, block);
        let number = numbers.next().expect("the stream is endless");
        let shared = SHARED.iter().filter(|share| number < **share).count().min(slots.len());
        shuffle(&mut slots, &mut numbers);
        slots[shared..].fill(None);
        slots.resize(slots.len().max(USUAL_PIECES), None);
        slots
    }

    /// The row read in another way. What the reading does not know is filled, so that it is as dense as a masked one.
    fn read_anew(&mut self, evidence: &Evidence<Seed>, variant: usize) {
        let slots = match self.pass.pass.surnames {
            Surnames::Apart => evidence.surname(0).unwrap_or(&[None]),
            Surnames::Together => evidence.slots(Field::Surname),
        };
        self.whole(evidence, slots, true, variant);
    }

    /// Stands for a reading that does not apply: the row itself with as many insertions random as the reading would
    /// have changed. It resembles the row as much as another reading does, and nobody else more than the row.
    fn masked(&mut self, reading: Reading, variant: usize) {
        let pass = self.pass;
        let insertions = &pass.pass.insertions;
        let all = f64::from(insertions.values().sum::<u32>());
        let part = insertions.iter().map(|(field, n)| f64::from(*n) * changed(reading, *field)).sum::<f64>() / all;
        let evidence = &self.subject.evidence;
        let filter = self.sheet.next();
        for (field, insertions) in insertions {
            let slots = match (field, pass.pass.surnames) {
                (Field::Surname, Surnames::Apart) => evidence.surname(0).unwrap_or(&[None]),
                _ => evidence.slots(*field),
            };
            self.add(filter, slots, *insertions, Some(pass.block(Use::Masked(*field), variant)), part);
        }
    }

    fn whole(&mut self, evidence: &Evidence<Seed>, surname: &[Option<Seed>], anew: bool, variant: usize) {
        let fill = anew || self.fills(evidence, surname);
        let filter = self.sheet.next();
        self.rest(filter, evidence, fill, variant);
        self.surname(filter, surname, fill, variant);
    }

    fn surname(&mut self, filters: Filters, slots: &[Option<Seed>], fill: bool, variant: usize) {
        let Some(insertions) = self.pass.surname else { return };
        let fill = fill.then(|| self.pass.block(Use::Field(Field::Surname), variant));
        self.add(filters, slots, insertions, fill, 0.0);
    }

    fn rest(&mut self, filters: Filters, evidence: &Evidence<Seed>, fill: bool, variant: usize) {
        let pass = self.pass;
        for (field, insertions) in &pass.others {
            let fill = fill.then(|| pass.block(Use::Field(*field), variant));
            self.add(filters, evidence.slots(*field), *insertions, fill, 0.0);
        }
    }

    fn add(&mut self, filters: Filters, slots: &[Option<Seed>], insertions: u32, fill: Option<u32>, part: f64) {
        let record = self.subject.seed;
        // Passes of one place share its key, and no number.
        let first_block = self.pass.block(Use::Token, 0);
        self.sheet.add(self.ink, Strokes { slots, insertions, first_block, fill, part, record, filters });
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
