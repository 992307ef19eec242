//! `voorrang regulation check` on folders as officers have them: one page, and an exit code.

use super::*;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/regulations/haarlem")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/questions/haarlem")
}

/// A copy of Haarlem's folder, of the same name, in which a text of one file is another.
fn amended(file: &str, from: &str, to: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let haarlem = folder.path().join("haarlem");
    fs::create_dir(&haarlem).unwrap();
    for name in ["regulation.toml", "articles.cedar"] {
        let mut text = fs::read_to_string(shipped().join(name)).unwrap();
        if name == file {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        fs::write(haarlem.join(name), text).unwrap();
    }
    (folder, haarlem)
}

/// Exit code, standard output and standard error of a check.
fn check(folder: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let output = voorrang().args(["regulation", "check"]).arg(folder).args(more).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_check_says_on_one_page_who_gets_what_under_which_article() {
    let (code, page, _) = check(&shipped(), &["--questions", examples().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{page}");
    let row =
        |name: &str| page.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{name}"));
    for (name, article, told) in [
        ("01-family", "corporation-asks", "priority;"),
        ("02-nobody-in-a-group", "corporation-asks", "no_priority;"),
        ("03-oggz-alone", "corporation-asks", "undetermined;"),
        ("04-not-registered", "corporation-asks", "undetermined;"),
        ("05-a-day-too-early", "moment", "refused"),
        ("07-objection", "objection", "refused"),
        ("08-letting", "purpose", "refused"),
        ("09-after-the-end", "validity", "refused"),
        ("10-team-asks", "care-side-asks-groups", "minor yes"),
        ("11-care-network-asks", "care-network-asks-groups", "oggz yes"),
        ("12-no-case", "case", "refused"),
        ("13-stock-alone", "stock-countersigned", "refused"),
        ("14-stock-confirmed", "corporation-registers-stock", "permitted"),
    ] {
        let row = row(name);
        assert!(row.contains(article) && row.contains(told), "{row}");
    }
    let worst: Vec<&str> = page.lines().map(str::trim).filter(|line| line.starts_with("worst")).collect();
    let without = "worst 38.2 %, the parties accept 50.0 %";
    assert_eq!(worst, [without, "worst 100.0 %, the parties accept 100.0 %"], "without the register, and with it");
    for form in ["three-valued", "consult"] {
        let line = format!("with the form {form}: worst 38.2 %, with the register 100.0 %");
        assert_eq!(row(&format!("with the form {form}")).trim(), line);
    }
    assert!(page.lines().any(|line| line.contains("a senior who is no tenant") && line.contains("undetermined")));
    assert!(
        row("corporation-asks").contains("permits") && !row("four-eyes").contains(" 0 "),
        "every article is reached"
    );
}

#[test]
fn a_check_says_how_many_questions_the_care_side_may_ask_and_where_nobody_signed_that() {
    let budget = "  of a party of the care side    250, told at 100\n";
    let left_out = ["care_alarm is left out: 100 questions", "care_stop is left out: 250 questions"];
    let (code, page, _) = check(&shipped(), &[]);
    assert!(code == Some(0) && page.contains(budget) && !page.contains("is left out"), "{page}");
    let (_home, folder) = amended("regulation.toml", "care_alarm = 100\ncare_stop = 250", "");
    let (code, page, _) = check(&folder, &[]);
    assert!(code == Some(0) && page.contains(budget), "{page}");
    assert!(left_out.iter().all(|what| page.contains(&format!("note     budget.{what}"))), "{page}");
}

/// Against expectations that were written by hand from the agreements, city by city.
#[test]
fn every_city_s_examples_get_what_was_written_down_for_them() {
    let table = include_str!("../data/examples.csv");
    let mut wanted: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let (city, row) = line.split_once(';').unwrap();
        wanted.entry(city).or_default().push(row.split(';').collect());
    }
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let cities = fs::read_dir(config.join("regulations")).unwrap().filter(|one| one.as_ref().unwrap().path().is_dir());
    assert_eq!(cities.count(), wanted.len());
    for (city, mut rows) in wanted {
        let questions = config.join("questions").join(city);
        let folder = config.join("regulations").join(city);
        let (code, page, said) = check(&folder, &["--questions", questions.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{city}: {said}");
        let printed = page.lines().skip_while(|line| !line.starts_with("  question ")).skip(1);
        let printed = printed.take_while(|line| !line.is_empty()).map(|line| {
            // What is told ends where the steps begin; of a care side that is told nothing there is no such column.
            let mut row: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
            row.resize(5, "");
            row[4] = row[4].split(';').next().unwrap();
            row
        });
        rows.sort_unstable();
        assert_eq!(printed.collect::<Vec<_>>(), rows, "{city}");
    }
}

#[test]
fn a_reader_that_has_enough_changes_nothing() {
    for more in [&["regulation", "check"][..], &["regulation", "check", "--questions", examples().to_str().unwrap()]] {
        let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_voorrang"));
        check.args(more).arg(shipped()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = check.spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap()), (Some(0), String::new()));
    }
}

#[test]
fn a_check_says_what_changed_and_nothing_where_nothing_did() {
    let stricter = amended("regulation.toml", "household_per_month = 4", "household_per_month = 3");
    let (code, page, _) = check(&stricter.1, &["--against", shipped().to_str().unwrap()]);
    let at = page.lines().position(|line| line.trim() == "budget.household_per_month").expect("the key that changed");
    let lines: Vec<_> = page.lines().skip(at + 1).take(2).map(str::trim).collect();
    assert_eq!((code, lines), (Some(0), vec!["- 4", "+ 3"]));
    let told = |folder: &Path| {
        let (code, page, _) = check(folder, &["--against", shipped().to_str().unwrap()]);
        let changed = page.lines().skip_while(|line| !line.starts_with("Changed against")).skip(1);
        (code, changed.take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(told(&shipped()), (Some(0), "nothing".into()));
    // Another digest, and no key and no article is another one.
    let (from, to) = ("# EXAMPLE: none of this is in the sources.", "# Agreed by all parties.");
    let comment = amended("regulation.toml", from, to);
    assert_eq!(told(&comment.1), (Some(0), format!("comments of regulation.toml\n- {from}\n+ {to}")));
    let spaced = amended("regulation.toml", "[budget]", "\n\n[budget]");
    assert_eq!(told(&spaced.1), (Some(0), "layout only: spaces and empty lines".into()));
}

/// One question in a folder of its own, and the last two columns of what it gets.
fn tried(regulation: &Path, question: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one.toml"), question).unwrap();
    let (code, page, said) = check(regulation, &["--questions", folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let row = page.lines().find(|line| line.starts_with("  one ")).unwrap();
    let mut cells = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).skip(3);
    let articles = cells.next().unwrap().to_owned();
    (articles, cells.next().unwrap_or_default().split(';').next().unwrap().to_owned())
}

#[test]
fn a_question_tries_each_limit_on_both_sides() {
    let best = fs::read_to_string(examples().join("01-family.toml")).unwrap();
    let with = |line: &str| best.replacen("in_stock = true", &format!("in_stock = true\n{line}"), 1);
    let batches = amended("regulation.toml", "minimum_batch = 1", "minimum_batch = 20");
    let number = amended("regulation.toml", "stop_share = 0.25", "stop_share = 0.25\nmost_questions = 30");
    let at_address = amended("regulation.toml", "whose = \"registered\"", "whose = \"address\"");
    let haarlem = shipped();
    for (folder, question, article, told) in [
        (&haarlem, with("dwellings = 100\nasked_this_month = 24"), "corporation-asks", "priority"),
        (&haarlem, with("dwellings = 100\nasked_this_month = 25"), "budget", "refused"),
        (&number.1, with("dwellings = 1000\nasked_this_month = 29"), "corporation-asks", "priority"),
        (&number.1, with("dwellings = 1000\nasked_this_month = 30"), "budget", "refused"),
        (&haarlem, with("asked_about_household = 3"), "corporation-asks", "priority"),
        (&haarlem, with("asked_about_household = 4"), "household-limit", "refused"),
        (&batches.1, best.clone(), "corporation-asks", "priority"),
        (&batches.1, with("households = 20"), "corporation-asks", "priority"),
        (&batches.1, with("households = 19"), "minimum-batch", "refused"),
        (&haarlem, with("tap_closed = true"), "probing", "refused"),
        (&haarlem, with("register_too_old = true"), "corporation-asks", "undetermined"),
        (&haarlem, best.replace("minor = true", "minor = true\nelsewhere = true"), "corporation-asks", "priority"),
        (
            &at_address.1,
            best.replace("minor = true", "minor = true\nelsewhere = true"),
            "corporation-asks",
            "undetermined",
        ),
    ] {
        assert_eq!(tried(folder, &question), (article.into(), told.into()), "{question}");
    }
}

#[test]
fn the_page_has_every_title_in_both_languages_and_the_number_of_questions() {
    let (_, page, _) = check(&shipped(), &[]);
    let regulation = voorrang::regulate::Regulation::load(&shipped()).unwrap();
    let mut lines = page.lines();
    let head = format!("haarlem: {}", regulation.title().en);
    assert_eq!(lines.next(), Some(head.as_str()));
    assert_eq!(lines.next().map(str::trim), Some(regulation.title().nl.as_str()));
    for article in regulation.articles() {
        let at = page.lines().position(|line| line.starts_with(&format!("  {} ", article.id))).unwrap();
        let two: Vec<&str> = page.lines().skip(at).take(2).collect();
        assert!(two[0].ends_with(&article.title) && two[1].trim() == article.titel, "{two:?}");
    }
    assert!(!page.contains("whatever its stock"));
    let number = amended("regulation.toml", "stop_share = 0.25", "stop_share = 0.25\nmost_questions = 30");
    let (_, page, _) = check(&number.1, &[]);
    assert!(page.contains("  of it, whatever its stock      30, told at 12\n"), "{page}");
}

/// Of the folder that ships, but for what its development keys change: digest, signatures and the remark on keys.
#[test]
fn the_documented_page_is_what_check_prints_of_the_shipped_regulation() {
    let documented = include_str!("../../docs/regulation.md");
    let (_, page, _) = check(&shipped(), &["--questions", examples().to_str().unwrap()]);
    let part = |from: &str, to: &str| &page[page.find(from).unwrap()..page.find(to).unwrap()];
    for part in [part("haarlem:", "digest"), part("Questions in a month", "Remarks")] {
        assert!(documented.contains(part), "docs/regulation.md is of another version: {part}");
    }
    let digest = voorrang::regulate::Regulation::built_in()[0].digest().to_owned();
    assert!(documented.contains(&format!("Changed against {}\n", &digest[..16])), "{digest}");
    let signed = documented.lines().filter_map(|line| line.strip_prefix("digest "));
    let signed: std::collections::BTreeSet<&str> = signed.collect();
    assert_eq!(signed.len(), 1, "one ceremony: checked and shown");
    let digest = signed.first().unwrap();
    for said in [format!("signed haarlem {digest}\n"), format!("Confirming regulation {digest}, ")] {
        assert!(documented.contains(&said), "{said}");
    }
}
