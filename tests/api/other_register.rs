//! What a custodian is told of its own load is the same whoever is in the other register.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use voorrang::answer::wire::{RecordLine, Source, SourceReport};
use voorrang::encode::{self, Encoder, read};
use voorrang::profile::Profile;

use super::loads::{ByHand, residents};
use super::support::*;

/// Above 12 in 240 of these households a reader would be surer than the example's .5; at 11 nobody is.
const ALONE: usize = 240;
/// Of them on the care list whoever else is.
const LISTED: usize = 11;

/// A town of which the tests say who lives without a minor and a senior, alone; everybody else lives with a child.
struct Town<'a> {
    house: &'a House,
    encoder: Encoder,
    lines: Vec<Value>,
    /// Person numbers of adults of different households, with their rows of a care list.
    people: Vec<(String, String)>,
}

impl<'a> Town<'a> {
    fn of(house: &'a House) -> Self {
        let encoder = house.encoder(EPOCH);
        let lines = residents(house, &encoder).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { house, encoder, lines, people: adults() }
    }

    /// The numbers of some of the people.
    fn ids(&self, some: impl IntoIterator<Item = usize>) -> Vec<&str> {
        some.into_iter().map(|at| self.people[at].0.as_str()).collect()
    }

    /// The register in which these live alone, but for `left_out`, who is not in it.
    fn register(&self, alone: &[&str], left_out: Option<&str>) -> Vec<String> {
        let id = |person: &str| {
            serde_json::to_value(self.encoder.record_ref(encode::Source::Population, person)).unwrap().to_string()
        };
        let homes: BTreeMap<String, usize> = alone.iter().enumerate().map(|(at, person)| (id(person), at)).collect();
        let left_out = left_out.map(id);
        let child = |line: &Value| line.get("codes").is_none();
        let with_a_child = self.lines.iter().find(|line| child(line)).unwrap()["household"].clone();
        let mut lines = self.lines.clone();
        lines.retain(|line| Some(line["id"].to_string()) != left_out);
        for line in lines.iter_mut().filter(|line| !child(line)) {
            let home = homes.get(&line["id"].to_string()).map(|at| STANDARD.encode((*at as u128).to_be_bytes()));
            line["household"] = home.map_or_else(|| with_a_child.clone(), Value::from);
            line.as_object_mut().unwrap().remove("groups");
        }
        lines.iter().map(Value::to_string).collect()
    }

    /// A care list of these, and of people whom nobody knows, 18 together.
    fn list(&self, members: impl IntoIterator<Item = usize>) -> Vec<String> {
        let path = self.house.file("list.csv");
        let mut rows: Vec<String> = members.into_iter().map(|at| self.people[at].1.clone()).collect();
        let unknown = |n| format!("Wubbo,,Xqzwvik{},V,19{}-03-11,,,,,", char::from(b'a' + n), 60 + n);
        rows.extend((rows.len()..18).map(|n| unknown(n as u8)));
        let header = fs::read_to_string(demo("oggz.csv")).unwrap().lines().next().unwrap().to_owned();
        let rows = rows.iter().enumerate().map(|(n, row)| format!("O{n},{row}"));
        fs::write(&path, [header].into_iter().chain(rows).collect::<Vec<_>>().join("\n") + "\n").unwrap();
        let line = |record| serde_json::to_string(&RecordLine::new(record, &Profile::built_in())).unwrap();
        self.encoder.care_members(&read::care_members(&path).unwrap()).into_iter().map(line).collect()
    }

    /// Loads, and says what its custodian is told: the status, the body and its length without the receipt, whose place in
    /// the log differs, and the entries that the log got.
    fn load(&self, source: Source, lines: &[String]) -> Told {
        let stem = if source == Source::Population { POPULATION } else { CARE };
        let before = self.house.log().len();
        let load = ByHand::begin(self.house, stem, &self.encoder, source, lines.len());
        assert_eq!(load.put(self.house, stem, 0, lines).status, 200);
        let reply = load.commit(self.house, stem, 1);
        let mut body: Value = serde_json::from_slice(&reply.body).unwrap();
        let receipt = body["receipt"].take().to_string().len();
        (reply.status, body, reply.body.len() - receipt, self.house.log().len() - before)
    }

    /// Whether the epoch is above the bound, as officers read it.
    fn withheld(&self) -> bool {
        let reports: Vec<SourceReport> = self.house.client(OFFICER).get(&format!("epochs/{EPOCH}/reports")).unwrap();
        reports[0].withheld
    }
}

type Told = (u16, Value, usize, usize);

/// Adults whose address has neither letter nor addition, one of a household.
fn adults() -> Vec<(String, String)> {
    let text = fs::read_to_string(demo("brp.csv")).unwrap();
    let mut households = BTreeSet::new();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let born = cells[8];
        let known = born.len() == 8 && born < "2000" && !born.ends_with("00") && !born[4..].starts_with("00");
        let plain = known && cells[15].is_empty() && cells[16].is_empty();
        if !(plain && households.insert(cells[2].to_owned())) {
            return None;
        }
        let given = cells[4].split(' ').next().unwrap();
        let born = format!("{}-{}-{}", &born[..4], &born[4..6], &born[6..]);
        let [prefix, surname, sex, street, number, postcode, place] = [5, 6, 7, 13, 14, 17, 18].map(|at| cells[at]);
        let member = format!("{given},{prefix},{surname},{sex},{born},{street},{number},,{postcode},{place}");
        Some((cells[0].to_owned(), member))
    };
    text.lines().skip(1).filter_map(row).collect()
}

#[test]
fn the_population_s_custodian_is_told_the_same_whoever_of_those_who_stand_alone_is_on_the_care_list() {
    let house = House::open();
    let town = Town::of(&house);
    // M and N; the others who live alone are no members but for the first.
    let (m, n) = (LISTED, LISTED + 1);
    let alone = |one| town.ids((0..LISTED).chain([one]).chain(LISTED + 2..=ALONE));
    let registers = [m, n].map(|one| town.register(&alone(one), None));
    let mut told: Vec<Told> = Vec::new();
    let mut above = Vec::new();
    for member in [m, n] {
        let list = town.list((0..LISTED).chain([member]));
        town.load(Source::Care, &list);
        for register in &registers {
            told.push(town.load(Source::Population, register));
            above.push(town.withheld());
        }
    }
    assert_eq!(above, [true, false, false, true], "the registers do differ");
    assert_eq!((&told[0], &told[1]), (&told[2], &told[3]), "the same load, beside two lists");
    let (status, body, ..) = &told[0];
    assert_eq!((*status, &body["quality"]["care"], body.get("inference")), (200, &Value::Null, None));
    // Two loads that differ in who stands alone differ in what their own scores are, and in nothing else.
    let without = |told: &Told| (told.0, told.1["records"].clone(), told.1["persons"].clone(), told.3);
    assert_eq!(without(&told[0]), without(&told[1]));
}

#[test]
fn the_care_network_is_told_the_same_whether_somebody_is_registered_and_with_whom() {
    let house = House::open();
    let town = Town::of(&house);
    let (x, others) = (LISTED, LISTED + 1..=ALONE);
    let all = town.ids((0..=x).chain(others.clone()).take(ALONE));
    let with_a_child: Vec<&str> = all.iter().copied().filter(|one| *one != town.people[x].0).collect();
    let registers = [
        town.register(&all, None),
        town.register(&with_a_child, None),
        town.register(&with_a_child, Some(&town.people[x].0)),
    ];
    let list = town.list(0..=x);
    let mut told: Vec<Told> = Vec::new();
    let mut above = Vec::new();
    for register in &registers {
        town.load(Source::Population, register);
        told.push(town.load(Source::Care, &list));
        above.push(town.withheld());
    }
    assert_eq!(above, [true, false, false], "the registers do differ");
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert_eq!((told[0].0, &told[0].1["quality"]["care"], told[0].1.get("inference")), (200, &Value::Null, None));
    // Lists that differ: another person at the place of X, whom nobody knows.
    let stranger = town.load(Source::Care, &town.list(0..x));
    let without = |told: &Told| (told.0, told.1["records"].clone(), told.1["persons"].clone(), told.3);
    assert_eq!(without(&stranger), without(&told[0]));
    assert_eq!(json!(18), stranger.1["records"]);
}
