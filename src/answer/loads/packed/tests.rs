use super::*;
use proptest::prelude::*;

fn token(n: u8) -> [u8; 16] {
    [n; 16]
}

fn record(n: u8, parts: u8, profile: &Profile) -> Record {
    let code = |bits: usize| Code::from(vec![u64::from(n) * 0x0101_0101_0101_0101; bits / 64]);
    let passes = profile.passes.iter().map(|pass| vec![code(pass.code_bits); pass.held(profile)]);
    let has = |bit: u8| parts & bit != 0;
    Record {
        id: RecordRef(token(n)),
        address: has(ADDRESS).then(|| AddressToken(token(n + 1))),
        household: has(HOUSEHOLD).then(|| HouseholdToken(token(n + 2))),
        groups: GROUPS.into_iter().filter(|(_, bit)| has(*bit)).map(|(group, _)| group).collect(),
        codes: if has(CODES) { Codes { passes: passes.collect() } } else { Codes::default() },
    }
}

fn plain(said: Vec<Line<Said>>) -> Vec<(RecordRef, Option<Record>)> {
    let one = |said: Line<Said>| match said.unwrap() {
        Said::There(record) => (record.id, Some(record)),
        Said::Gone(id) => (id, None),
    };
    said.into_iter().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_kept_says_what_was_sent(lines in proptest::collection::vec((0_u8..200, any::<u8>()), 1..8), cut in 1_usize..400) {
        let profile = Profile::built_in();
        let lines: Vec<RecordLine> = lines.into_iter().map(|(n, parts)| match parts & REMOVED {
            0 => RecordLine::new(record(n, parts, &profile), &profile),
            _ => RecordLine::gone(RecordRef(token(n))),
        }).collect();
        let sent = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect::<String>();
        let mut packed = Packed::with_room(sent.len());
        lines.into_iter().for_each(|line| packed.push(&Said::of(line, &profile).unwrap()));
        let packed = packed.into_bytes();
        let kept = plain(read(&packed, &profile).unwrap());
        prop_assert_eq!(&kept, &plain(read(sent.as_bytes(), &profile).unwrap()));
        prop_assert!(packed.len() < sent.len() * 4 / 5);
        // Of a part no more is read than it holds.
        let part = read(&packed[..packed.len().saturating_sub(cut).max(1)], &profile);
        prop_assert!(part.is_none_or(|part| part.len() < kept.len()));
    }
}

#[test]
fn a_line_that_cannot_be_read_is_told_by_its_place() {
    let profile = Profile::built_in();
    let line = serde_json::to_string(&RecordLine::gone(RecordRef(token(1)))).unwrap();
    let lines = read(format!("{line}\nno line\n").as_bytes(), &profile).unwrap();
    assert_eq!(lines.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
}
