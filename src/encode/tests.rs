use super::*;
use crate::profile::{Field, Part, Scope};
use proptest::prelude::*;
use time::macros::date;

const AGES: Ages = Ages { minor_below: 18, senior_from: 65 };

fn encoder(salt: u8, epoch: &str) -> Encoder {
    Encoder::new(&Profile::built_in(), &[salt; 32], &epoch.parse().unwrap())
}

fn person(surname: &str, birth: &str, postcode: &str) -> Person {
    Person {
        given_names: "Anna Maria".into(),
        surname: surname.into(),
        birth: BirthDate::parse(birth).unwrap(),
        sex: Some(Sex::Female),
        address: Address::parse(postcode, "5", "").unwrap().map(|place| place.with_street("Dorpsstraat".into())),
        ..Person::default()
    }
}

fn resident(person: Person) -> Resident {
    Resident { id: "P1".into(), household: "H1".into(), person }
}

/// Agreement of two codes; strangers' is about N(0, 1).
fn z(one: &Code, other: &Code) -> f64 {
    let hamming: u32 = one.words().iter().zip(other.words()).map(|(a, b)| (a ^ b).count_ones()).sum();
    let bits = one.bits() as f64;
    (bits - 2.0 * f64::from(hamming)) / bits.sqrt()
}

fn best(one: &[Code], other: &[Code]) -> f64 {
    one.iter().flat_map(|a| other.iter().map(move |b| z(a, b))).fold(f64::MIN, f64::max)
}

fn codes(encoder: &Encoder, id: &str, person: &Person) -> Vec<Vec<Code>> {
    encoder.codes(Source::Population, id, person).passes
}

#[test]
fn equal_people_have_equal_codes_whatever_the_source() {
    let encoder = encoder(1, "haarlem-1");
    let one = person("van den Berg", "19800305", "1011AB");
    let other = Person {
        initials: "A.M.".into(),
        given_names: "ANNA".into(),
        ..person("BERG, van den", "5-3-1980", "1011 ab")
    };
    let register = codes(&encoder, "P1", &one);
    let tenant = encoder.codes(Source::Tenants, "K1/1", &other).passes;
    for pass in 0..register.len() {
        assert_eq!(register[pass][0], tenant[pass][0]);
        if let Some(padding) = register[pass].get(1) {
            assert_ne!(*padding, tenant[pass][1], "padding is the record's own");
        }
    }
}

#[test]
fn another_address_makes_the_home_code_noise_and_leaves_the_other() {
    let encoder = encoder(1, "haarlem-1");
    let (one, other) = (person("Berg", "19800305", "1011AB"), person("Berg", "19800305", "1011AC"));
    let (one, other) = (codes(&encoder, "P1", &one), codes(&encoder, "P2", &other));
    assert_eq!(one[0][0], other[0][0]);
    assert!(z(&one[1][0], &other[1][0]).abs() < 5.0);
}

#[test]
fn another_epoch_or_salt_makes_everything_noise() {
    let anna = person("Berg", "19800305", "1011AB");
    let one = encoder(1, "haarlem-1");
    for other in [encoder(1, "haarlem-2"), encoder(2, "haarlem-1")] {
        let (a, b) = (codes(&one, "P1", &anna), codes(&other, "P1", &anna));
        assert!((0..a.len()).all(|pass| best(&a[pass], &b[pass]).abs() < 5.0));
        let address = anna.address.as_ref().unwrap();
        assert_ne!(one.address(address), other.address(address));
        assert_ne!(one.record_ref(Source::Care, "O1"), other.record_ref(Source::Care, "O1"));
        assert_ne!(one.household("H1"), other.household("H1"));
        assert_ne!(one.header().key_check, other.header().key_check);
    }
}

#[test]
fn missing_never_agrees_with_missing() {
    let encoder = encoder(1, "haarlem-1");
    let known = person("Berg", "19800305", "1011AB");
    let unknown = person("Berg", "", "1011AB");
    let of = |id: &str, person: &Person| codes(&encoder, id, person);
    for pass in 0..2 {
        let both_known = best(&of("P1", &known)[pass], &of("P2", &known)[pass]);
        let both_unknown = best(&of("P1", &unknown)[pass], &of("P2", &unknown)[pass]);
        assert!(both_unknown < both_known - 10.0, "{both_unknown} {both_known}");
    }
    // Nobody knows anything about two people: they are strangers.
    let (one, other) = (of("P1", &Person::default()), of("P2", &Person::default()));
    assert!((0..one.len()).all(|pass| best(&one[pass], &other[pass]) < 5.0));
}

#[test]
fn repeated_loads_have_the_same_codes() {
    let encode = || encoder(1, "haarlem-1").resident(&resident(person("", "", "")), date!(2026 - 01 - 01), &AGES);
    assert_eq!(encode(), encode());
}

#[test]
fn a_partner_s_name_finds_its_bearer() {
    let encoder = encoder(1, "haarlem-1");
    let married = Person { partner_surname: "de Vries".into(), ..person("Berg", "19800305", "1011AB") };
    let tenant = person("de Vries-Berg", "19800305", "1011AB");
    let (one, other) = (codes(&encoder, "P1", &married), codes(&encoder, "K1/1", &tenant));
    assert_eq!((&one[0][0], &one[0][1]), (&other[0][1], &other[0][0]));
}

#[test]
fn how_alike_two_names_are_tells_nobody_whether_they_are_two() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/config/demo/brp.csv");
    let encoder = encoder(5, "haarlem-1");
    let mut likeness = [Vec::new(), Vec::new()];
    for Resident { id, person, .. } in read::residents(demo.as_ref()).unwrap() {
        let codes = codes(&encoder, &id, &person);
        let both = 0.6 * z(&codes[0][0], &codes[0][1]) + z(&codes[1][0], &codes[1][1]);
        likeness[usize::from(surnames(&person, 2).len() == 2)].push(both);
    }
    let [one, two] = likeness;
    let below = |of: &f64| one.iter().filter(|other| *other < of).count();
    // The chance that somebody with two names looks more like it than one name; .5 is a coin, give or take .02.
    let chance = two.iter().map(below).sum::<usize>() as f64 / (one.len() * two.len()) as f64;
    assert!((0.45..0.55).contains(&chance) && two.len() > 200, "{chance}");
}

#[test]
fn the_order_of_variants_in_a_record_tells_nothing() {
    let encoder = encoder(1, "haarlem-1");
    let anna = person("Berg", "19800305", "1011AB");
    let mut first = 0;
    for id in 0..200 {
        let row = Resident { id: format!("P{id}"), ..resident(anna.clone()) };
        let plain = codes(&encoder, &row.id, &anna);
        let shuffled = encoder.resident(&row, date!(2026 - 01 - 01), &AGES).codes.passes;
        let home = plain.iter().position(|codes| codes.len() == 2).unwrap();
        let kept = plain[home][0] == shuffled[home][0];
        first += u32::from(kept);
    }
    assert!((70..130).contains(&first), "{first}");
}

#[test]
fn children_are_counted_and_never_encoded() {
    let encoder = encoder(1, "haarlem-1");
    let day = date!(2026 - 01 - 01);
    let child = encoder.resident(&resident(person("Berg", "20150101", "1011AB")), day, &AGES);
    assert_eq!((child.groups.as_slice(), child.codes.passes.len()), (&[Group::Minor][..], 0));
    let unknown = encoder.resident(&resident(person("Berg", "", "1011AB")), day, &AGES);
    assert_eq!(
        (unknown.groups.as_slice(), unknown.codes.passes.len()),
        (&[Group::Minor, Group::Senior][..], Profile::built_in().passes.len())
    );
}

#[test]
fn a_filter_is_as_full_with_and_without_its_fields() {
    let encoder = encoder(1, "haarlem-1");
    let empty = Person::default();
    let homeless = Person { address: None, ..person("Berg", "19800305", "") };
    for person in [person("Berg", "19800305", "1011AB"), person("Ho", "19800000", "1011AB"), homeless, empty] {
        for pass in 0..Profile::built_in().passes.len() {
            let filters =
                |id: usize| encoder.lab_filters(Source::Population, &id.to_string(), &person).passes[pass].clone();
            let filters: Vec<Code> = (0..50).flat_map(filters).collect();
            let ones: u32 = filters.iter().map(Code::ones).sum();
            let fill = f64::from(ones) / (filters.len() * filters[0].bits()) as f64;
            // Tokens of one person lie where they lie: 256 bits of which .42 are set, give or take .02.
            assert!((0.35..=0.49).contains(&fill), "{fill}");
        }
    }
}

#[test]
fn a_record_survives_its_line() {
    let profile = Profile::built_in();
    let encoder = encoder(1, "haarlem-1");
    for birth in ["19800305", "20150101"] {
        let record = encoder.resident(&resident(person("Berg", birth, "1011AB")), date!(2026 - 01 - 01), &AGES);
        let (writer, header, mut bytes) = (file::Writer::new(&profile), encoder.header(), Vec::new());
        writer.line(None, Some(&header), &record, &mut bytes);
        writer.line(None, None, &record, &mut bytes);
        let lines: Vec<file::Line> = file::read(&bytes[..], "codes.ndjson").collect::<Result<_, _>>().unwrap();
        assert_eq!((lines[0].header.as_ref(), lines[1].header.as_ref()), (Some(&encoder.header()), None));
        assert!(lines.into_iter().all(|line| line.into_record(&profile).unwrap() == record));
    }
}

#[test]
fn nothing_readable_is_in_a_file() {
    let encoder = encoder(1, "haarlem-1");
    let member = CareMember { id: "O1".into(), person: person("Geheimschrijver", "19800305", "1011AB") };
    let mut text = Vec::new();
    let records = encoder.care_members_in_order(&[member]);
    let record = records.iter().next().unwrap();
    file::Writer::new(&Profile::built_in()).line_of(None, None, record, &mut text);
    let text = String::from_utf8(text).unwrap();
    assert!(["Geheim", "geheim", "1980", "Anna"].iter().all(|word| !text.contains(word)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn leaving_out_a_field_never_raises_agreement(surname in "[a-z]{2,12}", initial in "[a-z]", field in 0..4) {
        let encoder = encoder(1, "haarlem-1");
        let whole = Person { given_names: initial + "nna", ..person(&surname, "19800305", "1011AB") };
        let mut less = whole.clone();
        let left_out = match field {
            0 => { less.surname.clear(); Field::Surname }
            1 => { less.given_names.clear(); Field::Initial }
            2 => { less.birth = BirthDate::default(); Field::BirthDate }
            _ => { less.sex = None; Field::Sex }
        };
        let (one, other, lacking) = (codes(&encoder, "P1", &whole), codes(&encoder, "P2", &whole), codes(&encoder, "P3", &less));
        for (at, pass) in Profile::built_in().passes.iter().enumerate() {
            let (less, all) = (best(&one[at], &lacking[at]), best(&one[at], &other[at]));
            let in_key = |part: &Part| match part {
                Part::BirthDay | Part::BirthMonth | Part::BirthYear => left_out == Field::BirthDate,
                Part::Sex => left_out == Field::Sex,
                Part::Initial => left_out == Field::Initial,
            };
            let matters = pass.insertions.contains_key(&left_out) || pass.parts().iter().any(in_key);
            let holds = if matters { less < all } else { less == all };
            prop_assert!(holds, "{}", pass.name);
        }
    }
}

#[test]
fn whoever_is_known_by_surname_alone_still_has_natural_codes() {
    let encoder = encoder(1, "haarlem-1");
    let almost_unknown = person("Ho", "", "1011AB");
    let almost_unknown = Person { given_names: String::new(), initials: String::new(), sex: None, ..almost_unknown };
    for id in 0..200 {
        for code in encoder.codes(Source::Care, &id.to_string(), &almost_unknown).passes.concat() {
            let z = (f64::from(code.ones()) * 2.0 - code.bits() as f64) / (code.bits() as f64).sqrt();
            // The linkage unit refuses 14.
            assert!(z.abs() < 13.0, "{z}");
        }
    }
}

/// The codes of a question, `[pass][code]`, with the profile that says what each is.
fn asked(id: &str, person: &Person) -> (Profile, Vec<Vec<Code>>) {
    let profile = Profile::built_in();
    let codes = encoder(1, "haarlem-1").codes(Source::Tenants, id, person).passes;
    for (pass, codes) in profile.passes.iter().zip(&codes) {
        assert_eq!(codes.len(), pass.asked(&profile));
    }
    (profile, codes)
}

/// Where the code of a reading stands in a pass.
fn at(profile: &Profile, pass: usize, reading: Reading) -> Option<usize> {
    let pass = &profile.passes[pass];
    Some(pass.held(profile) + pass.also_asked.iter().position(|asked| *asked == reading)?)
}

#[test]
fn names_in_each_other_s_place_are_found_by_their_reading() {
    let resident = person("Berg", "19550305", "1011AB");
    let swapped = Person { given_names: "Berg".into(), surname: "Anna".into(), ..resident.clone() };
    let (profile, question) = asked("K1/1", &swapped);
    let register = codes(&encoder(1, "haarlem-1"), "P1", &Person { given_names: "Anna".into(), ..resident });
    for (pass, codes) in question.iter().enumerate() {
        let reread = &codes[at(&profile, pass, Reading::Swapped).unwrap()];
        assert!(codes[0] != register[pass][0] && *reread == register[pass][0], "{}", profile.passes[pass].name);
    }
}

#[test]
fn a_reading_that_does_not_apply_resembles_its_own_row_alone() {
    let initials = Person { given_names: String::new(), initials: "A.".into(), ..person("Berg", "19800305", "1011AB") };
    let other = person("Koolmees", "19620817", "1011AB");
    let register = codes(&encoder(1, "haarlem-1"), "P2", &other);
    let mut likeness = vec![0.0; register.len()];
    for id in 0..20 {
        let (profile, question) = asked(&format!("K{id}/1"), &initials);
        for pass in 0..question.len() {
            let at = at(&profile, pass, Reading::Swapped).unwrap();
            assert_ne!(question[pass][0], question[pass][at]);
            assert!(z(&question[pass][at], &register[pass][0]) < 6.0, "{}", profile.passes[pass].name);
            likeness[pass] += z(&question[pass][0], &question[pass][at]) / 20.0;
        }
    }
    // Keyed with the initial, which the reading changes, it is noise.
    let with_initial = |pass: usize| Profile::built_in().passes[pass].parts().contains(&Part::Initial);
    assert!((0..likeness.len()).all(|pass| !with_initial(pass) || likeness[pass] < 1.0), "{likeness:?}");
    // Birth date and sex are what the reading leaves alone; the strongly diffused passes hide even that. Of each pass the
    // mean has a standard deviation of .22.
    assert!(likeness[1] + likeness[2] + likeness[3] > 0.9, "{likeness:?}");
}

#[test]
fn half_an_address_makes_the_codes_that_need_no_more() {
    let encoder = encoder(1, "haarlem-1");
    let whole = person("Berg", "19800305", "1011AB");
    let with = |postcode: &str, number: &str| {
        let address = Address::parse(postcode, number, "").unwrap();
        Person { address: address.map(|place| place.with_street("Dorpsstraat".into())), ..whole.clone() }
    };
    let profile = Profile::built_in();
    let all = codes(&encoder, "P1", &whole);
    for (person, known) in [
        (with("1011AB", ""), &[Scope::Everywhere, Scope::Postcode][..]),
        (with("", "5"), &[Scope::Everywhere, Scope::Street]),
        (Person { address: None, ..whole.clone() }, &[Scope::Everywhere]),
    ] {
        let half = codes(&encoder, "P1", &person);
        for (at, pass) in profile.passes.iter().enumerate() {
            assert_eq!(half[at][0] == all[at][0], known.contains(&pass.scope), "{}", pass.name);
        }
    }
}

#[test]
fn passes_of_one_place_share_its_key_and_no_filter() {
    let encoder = encoder(1, "haarlem-1");
    let filters = encoder.lab_filters(Source::Population, "P1", &person("Berg", "19800305", "1011AB")).passes;
    let of: Vec<&Code> = filters.iter().map(|filters| &filters[0]).collect();
    for (at, one) in of.iter().enumerate() {
        for other in of[at + 1..].iter().filter(|other| other.bits() == one.bits()) {
            assert!(z(one, other).abs() < 5.0);
        }
    }
}

/// The shipped profile with these parts of the person in the keys of all passes that can have them.
fn keyed_with(parts: &[Part]) -> (Profile, Encoder) {
    let mut profile = Profile::built_in();
    for pass in profile.passes.iter_mut().filter(|pass| matches!(pass.scope, Scope::Street | Scope::Postcode)) {
        pass.keyed_with = Some(parts.to_vec());
    }
    let encoder = Encoder::new(&profile, &[1; 32], &"haarlem-1".parse().unwrap());
    (profile, encoder)
}

#[test]
fn a_pass_keyed_with_a_part_is_noise_to_whoever_differs_in_it() {
    let anna = person("Berg", "19800305", "1011AB");
    let birth = |birth: &str| Person { birth: BirthDate::parse(birth).unwrap(), ..anna.clone() };
    let others = [
        (Part::BirthDay, birth("19800306")),
        (Part::BirthMonth, birth("19800405")),
        (Part::BirthYear, birth("19810305")),
        (Part::Sex, Person { sex: Some(Sex::Male), ..anna.clone() }),
        (Part::Initial, Person { given_names: "Hanna Maria".into(), ..anna.clone() }),
    ];
    let (_, unkeyed) = keyed_with(&[]);
    let (same, mut seen) = (codes(&unkeyed, "P1", &anna), 0);
    for keyed in others.each_ref().map(|(part, _)| *part) {
        let (profile, encoder) = keyed_with(&[keyed]);
        let one = codes(&encoder, "P1", &anna);
        for (part, other) in &others {
            let (without, other) = (codes(&unkeyed, "P2", other), codes(&encoder, "P2", other));
            for (at, pass) in profile.passes.iter().enumerate() {
                let (before, likeness) = (z(&same[at][0], &without[at][0]), z(&one[at][0], &other[at][0]));
                if pass.keyed_with.is_some() && *part == keyed {
                    assert!(likeness < 5.0, "{}: {part:?} {likeness}", pass.name);
                } else if before > 8.0 {
                    assert!(likeness > 4.0, "{}: {part:?} {likeness}, without keys {before}", pass.name);
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn whoever_lacks_a_part_is_noise_even_to_others_who_lack_it() {
    let (profile, encoder) = keyed_with(&[Part::BirthDay, Part::BirthYear]);
    let (known, lacking) = (person("Berg", "19800305", "1011AB"), person("Berg", "19800300", "1011AB"));
    let of = |source, id: &str, person: &Person| encoder.codes(source, id, person).passes;
    let lacks = of(Source::Population, "P1", &lacking);
    for other in [
        of(Source::Population, "P2", &known),
        of(Source::Population, "P2", &lacking),
        of(Source::Care, "P1", &lacking),
        of(Source::Tenants, "P1", &lacking),
    ] {
        for (at, pass) in profile.passes.iter().enumerate().filter(|(_, pass)| pass.keyed_with.is_some()) {
            let likeness = z(&lacks[at][0], &other[at][0]);
            assert!(likeness.abs() < 5.0, "{}: {likeness}", pass.name);
        }
    }
    let (one, other) = (of(Source::Care, "O1", &known), of(Source::Population, "P2", &known));
    assert!(one.iter().zip(&other).all(|(one, other)| one[0] == other[0]), "where nothing lacks");
    assert_eq!(lacks, of(Source::Population, "P1", &lacking), "random, and always the same");
}

#[test]
fn a_reading_has_the_date_the_sex_and_the_initial_that_it_reads() {
    for parts in [[Part::BirthMonth, Part::Sex], [Part::Sex, Part::Initial]] {
        let (profile, encoder) = keyed_with(&parts);
        let resident = Person { given_names: "Anna".into(), ..person("Berg", "19550305", "1011AB") };
        let swapped = Person { given_names: "Berg".into(), surname: "Anna".into(), ..resident.clone() };
        let (register, question) = (codes(&encoder, "P1", &resident), encoder.codes(Source::Tenants, "K1/1", &swapped));
        for (pass, codes) in question.passes.iter().enumerate() {
            assert!(codes[at(&profile, pass, Reading::Swapped).unwrap()] == register[pass][0]);
        }
    }
}

#[test]
fn rows_at_once_and_one_by_one_have_the_same_codes() {
    for encoder in [encoder(1, "haarlem-1"), keyed_with(&[Part::BirthMonth, Part::Sex]).1] {
        rows_have_the_same_codes_in_any_company(&encoder);
    }
}

fn rows_have_the_same_codes_in_any_company(encoder: &Encoder) {
    let row = |at: usize| {
        let place = ["1011AB", "1011AC", "", "2011AB"][at / 3 % 4];
        let birth = ["19800305", "", "19550101"][at % 3];
        let surname = format!("{}berg", char::from(b'a' + (at % 26) as u8));
        Resident { id: format!("P{at}"), ..resident(person(&surname, birth, place)) }
    };
    let rows: Vec<Resident> = (0..150).map(row).collect();
    let day = date!(2026 - 01 - 01);
    let one_by_one: Vec<Record> = rows.iter().map(|row| encoder.resident(row, day, &AGES)).collect();
    assert!(encoder.residents(&rows, day, &AGES) == one_by_one);
    let backwards: Vec<Resident> = rows.into_iter().rev().collect();
    assert!(encoder.residents(&backwards, day, &AGES).into_iter().rev().eq(one_by_one));
}

/// What other versions of this program make under the same salt, schema and epoch: if this changes, codes no longer
/// compare, and the keys want another version (`keys.rs`).
#[test]
fn the_codes_of_a_known_person_stay() {
    let married = Person { partner_surname: "de Vries".into(), ..person("Berg", "19800305", "1011AB") };
    let nobody = Person { given_names: String::new(), ..person("Ho", "19550000", "") };
    let encoder = encoder(1, "haarlem-1");
    let digest = |source, person: &Person| {
        let codes = encoder.codes(source, "P1", person).passes.concat();
        let bytes: Vec<u8> = codes.iter().flat_map(Code::to_bytes).collect();
        hex::encode(&ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref()[..8])
    };
    let [population, care, tenants] =
        [Source::Population, Source::Care, Source::Tenants].map(|of| digest(of, &married));
    let digests = [population, care, tenants, digest(Source::Tenants, &nobody)];
    assert_eq!(digests, ["04ad46850c406674", "04ad46850c406674", "853466a25919a235", "74f11dea6f2151d5"]);
}
