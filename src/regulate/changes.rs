//! What changed between two regulations, key by key, article by article and comment by comment: whoever signs reads this,
//! not a hundred lines of both.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::{CEDAR, Regulation, TOML, seen};

/// One difference. Absent on the side where it was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// For example `budget.stop_share`, `party Ymere`, `article stock`, `order of the articles` or `comments of
    /// regulation.toml`.
    pub place: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What names an element of a list, the first that it has.
const NAMES: [&str; 5] = ["id", "oin", "group", "recipient", "parties"];

impl Regulation {
    /// What is different here from `before`: keys and articles by place, what stands in another order, then comments. If
    /// nothing of it is, the first line of each file that differs, where keys of a table have changed places. Two
    /// regulations of different digests that differ in nothing of all this differ in white space alone.
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let (old, new) = (before.flat(), self.flat());
        let places: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differ = places.into_iter().filter(|place| old.get(*place) != new.get(*place));
        let values = differ.map(|place| Change {
            place: place.clone(),
            before: old.get(place).cloned(),
            after: new.get(place).cloned(),
        });
        let mut all: Vec<Change> = values.collect();
        all.extend(self.orders_since(before));
        all.extend(self.comments_since(before));
        if all.is_empty() {
            let files = [TOML, CEDAR].into_iter().zip(before.texts().into_iter().zip(self.texts()));
            all.extend(files.filter_map(|(file, (old, new))| {
                let [before, after] = seen::first_changed(old, new)?.map(|line| line.map(str::to_owned));
                Some(Change { place: format!("lines of {file}"), before, after })
            }));
        }
        all
    }

    /// Elements of lists, and articles, that stand in another order: of several that refuse, the first article is named,
    /// and steps are told in the order of the file.
    fn orders_since(&self, before: &Self) -> Vec<Change> {
        let (old, new) = (before.orders(), self.orders());
        let both = old.iter().filter_map(|(list, names)| Some((list, names, new.get(list)?)));
        both.filter_map(|(list, old, new)| {
            let common = |names: &[String], other: &[String]| -> Vec<String> {
                names.iter().filter(|name| other.contains(name)).cloned().collect()
            };
            let (old, new) = (common(old, new), common(new, old));
            let from = old.iter().zip(&new).position(|(one, other)| one != other)?;
            let end = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
            let moved = |names: &[String]| names.get(from..names.len() - end).map(|part| part.join(", "));
            Some(Change { place: format!("order of {list}"), before: moved(&old), after: moved(&new) })
        })
        .collect()
    }

    /// The names in each list, in the file's order.
    fn orders(&self) -> BTreeMap<String, Vec<String>> {
        let lists = self.table().into_iter().filter_map(|(list, value)| {
            let items = value.as_array()?.iter().filter(|item| item.is_table());
            Some((format!("[[{list}]]"), items.map(name_of).collect()))
        });
        let articles = self.articles().iter().map(|article| article.id.clone()).collect();
        lists.chain([("the articles".to_owned(), articles)]).collect()
    }

    fn comments_since(&self, before: &Self) -> Vec<Change> {
        let files =
            [(TOML, seen::TOML), (CEDAR, seen::CEDAR)].into_iter().zip(before.texts().into_iter().zip(self.texts()));
        files
            .flat_map(|((file, marks), (old, new))| {
                let changed = seen::changed_comments(old, new, marks).into_iter();
                changed.map(move |sides| {
                    let [before, after] = sides.map(|text| text.map(str::to_owned));
                    Change { place: format!("comments of {file}"), before, after }
                })
            })
            .collect()
    }

    fn table(&self) -> toml::Table {
        self.texts()[0].parse().expect("a regulation was read from this text")
    }

    fn flat(&self) -> BTreeMap<String, String> {
        let mut flat = BTreeMap::new();
        flatten("", &Value::Table(self.table()), &mut flat);
        // As they were read, not as the file looks: a comment can look like an article.
        flat.extend(self.articles.texts().map(|(id, text)| (format!("article {id}"), plain(&text))));
        flat
    }
}

/// An article without comments, and with one space where there was white space; what is quoted stays as it is.
fn plain(article: &str) -> String {
    let mut plain = String::with_capacity(article.len());
    let mut rest = article.chars().peekable();
    let mut quoted = false;
    while let Some(next) = rest.next() {
        match next {
            '\\' if quoted => {
                plain.push(next);
                plain.extend(rest.next());
                continue;
            }
            '"' => quoted = !quoted,
            _ => {}
        }
        if !quoted && next == '/' && rest.peek() == Some(&'/') {
            while rest.next_if(|&one| one != '\n' && one != '\r').is_some() {}
        } else if quoted || !next.is_whitespace() {
            plain.push(next);
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    plain.trim().to_owned()
}

/// What an element of a list is called here.
fn name_of(item: &Value) -> String {
    let name = NAMES.iter().find_map(|name| item.get(*name)).map(Value::to_string).unwrap_or_default();
    name.replace('"', "")
}

fn flatten(place: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        Value::Table(table) => table.iter().for_each(|(name, value)| flatten(&below(name), value, into)),
        Value::Array(items) if items.iter().any(Value::is_table) => {
            items.iter().for_each(|item| flatten(&format!("{place} {}", name_of(item)), item, into));
        }
        _ => drop(into.insert(place.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::Change;
    use crate::regulate::tests::{CEDAR_TEXT, TOML_TEXT, read, replaced};

    #[test]
    fn each_change_is_named_with_its_place_and_both_values() {
        let before = read(TOML_TEXT, CEDAR_TEXT).unwrap();
        assert_eq!(before.changes_since(&before), []);
        let toml = replaced(TOML_TEXT, "household_per_month = 4", "household_per_month = 2");
        let toml = replaced(&toml, "name = \"Ymere\"", "name = \"Ymere Haarlem\"");
        let cedar = replaced(CEDAR_TEXT, "context.askedHousehold >=", "context.askedHousehold + 1 >");
        let after = read(&toml, &cedar).unwrap();
        let changes = after.changes_since(&before);
        let places: Vec<_> = changes.iter().map(|change| change.place.as_str()).collect();
        assert_eq!(
            places,
            ["article household-limit", "budget.household_per_month", "party 00000099000000004001.name"]
        );
        assert_eq!((changes[1].before.as_deref(), changes[1].after.as_deref()), (Some("4"), Some("2")));
    }

    #[test]
    fn a_comment_that_looks_like_an_article_hides_no_change() {
        let before = read(TOML_TEXT, CEDAR_TEXT).unwrap();
        let cedar = replaced(CEDAR_TEXT, "context.askedHousehold >=", "1 < 2 && context.askedHousehold >=");
        let id = "@id(\"household-limit\")";
        let at = CEDAR_TEXT.find(id).unwrap();
        let end = at + CEDAR_TEXT[at..].find(";\n").unwrap() + 2;
        let copy: String = CEDAR_TEXT[at + 4..end].lines().map(|line| format!("// {line}\n")).collect();
        let copied = CEDAR_TEXT[at..end].lines().map(|line| format!(" {line}")).collect::<String>();
        for comment in [format!("// see {id}\n"), format!("// @id{copy}"), format!("//{copied}\n")] {
            let after = read(TOML_TEXT, &format!("{cedar}\n{comment}")).unwrap();
            let changes = after.changes_since(&before);
            assert_eq!(changes[0].place, "article household-limit", "{comment}");
            let added = |changes: &[Change]| {
                let said = |one: &Change| one.place == "comments of articles.cedar" && one.before.is_none();
                assert!(!changes.is_empty() && changes.iter().all(said), "{comment}");
                let lines: Vec<_> = changes.iter().filter_map(|one| one.after.clone()).collect();
                assert_eq!(lines, comment.lines().map(str::trim).collect::<Vec<_>>());
            };
            added(&changes[1..]);
            added(&read(TOML_TEXT, &format!("{CEDAR_TEXT}\n{comment}")).unwrap().changes_since(&before));
        }
    }

    /// Places, and what stands on each side.
    fn told(toml: &str, cedar: &str) -> Vec<(String, String, String)> {
        let before = read(TOML_TEXT, CEDAR_TEXT).unwrap();
        let changes = read(toml, cedar).unwrap().changes_since(&before).into_iter();
        changes.map(|one| (one.place, one.before.unwrap_or_default(), one.after.unwrap_or_default())).collect()
    }

    fn row(place: &str, before: &str, after: &str) -> (String, String, String) {
        (place.into(), before.into(), after.into())
    }

    #[test]
    fn a_changed_comment_is_told_where_no_key_and_no_article_changed() {
        let example = "# EXAMPLE: none of this is in the sources.";
        let agreed = "# Agreed by all parties on 1 May 2025.";
        assert_eq!(
            told(&replaced(TOML_TEXT, example, agreed), CEDAR_TEXT),
            [row("comments of regulation.toml", example, agreed)]
        );
        let beside = replaced(TOML_TEXT, "# in the OGGZ group", "# counted in 2025");
        let want = row("comments of regulation.toml", "# in the OGGZ group", "# counted in 2025");
        assert_eq!(told(&beside, CEDAR_TEXT), [want]);
        let silent = replaced(CEDAR_TEXT, "// ---- Four eyes -", "// ---- Two keys -");
        let told = told(TOML_TEXT, &silent);
        assert!(
            told.len() == 1 && told[0].0 == "comments of articles.cedar" && told[0].2.contains("Two keys"),
            "{told:?}"
        );
    }

    #[test]
    fn an_article_or_a_step_that_stands_elsewhere_is_told() {
        let part = |text: &str, from: &str, to: &str| -> (String, String) {
            let at = text.find(from).unwrap();
            let end = at + text[at..].find(to).unwrap() + to.len();
            (format!("{}{}", &text[..at], &text[end..]), text[at..end].to_owned())
        };
        let (rest, purpose) = part(CEDAR_TEXT, "@id(\"purpose\")", ";\n");
        let moved = replaced(&rest, "@id(\"landlord-duties\")", &format!("{purpose}\n@id(\"landlord-duties\")"));
        let want = row("order of the articles", "purpose, case, moment", "case, moment, purpose");
        assert_eq!(told(TOML_TEXT, &moved), [want]);
        let (rest, step) = part(TOML_TEXT, "[[step]]\nid = \"HLM-YM-2a\"", "reference = \"HLM15:116-119\"\n");
        let moved = format!("{rest}\n{step}");
        let told = told(&moved, CEDAR_TEXT);
        assert!(told.len() == 1 && told[0].0 == "order of [[step]]", "{told:?}");
        assert!(told[0].1.starts_with("HLM-YM-2a, HLM-YM-2b") && told[0].2.ends_with("HLM-YM-2a"), "{told:?}");
    }

    #[test]
    fn lines_in_another_order_are_told_and_white_space_is_not() {
        let swapped =
            replaced(TOML_TEXT, "alarm_share = 0.10\nstop_share = 0.25", "stop_share = 0.25\nalarm_share = 0.10");
        let want = row("lines of regulation.toml", "alarm_share = 0.10", "stop_share = 0.25");
        assert_eq!(told(&swapped, CEDAR_TEXT), [want]);
        assert_eq!(told(&TOML_TEXT.replace("\n[", "\n\n\n["), &CEDAR_TEXT.replace('\n', "\r\n")), []);
    }

    #[test]
    fn what_is_quoted_in_an_article_stays_as_it_is() {
        assert_eq!(super::plain("a // b\n  \"c  // \\\" d\"  e//f"), "a \"c  // \\\" d\" e");
    }

    #[test]
    fn an_added_party_and_a_removed_article_stand_on_one_side() {
        let before = read(TOML_TEXT, CEDAR_TEXT).unwrap();
        let toml = format!(
            "{TOML_TEXT}\n[[party]]\noin = \"00000099000000006002\"\nname = \"T\"\nrole = \"district-team\"\n\
             organisation = \"T\"\n"
        );
        let at = CEDAR_TEXT.find("@id(\"officer-opens-tap\")").unwrap();
        let end = at + CEDAR_TEXT[at..].find(";\n").unwrap() + 2;
        let cedar = format!("{}{}", &CEDAR_TEXT[..at], &CEDAR_TEXT[end..]);
        let changes = read(&toml, &cedar).unwrap().changes_since(&before);
        assert!(changes.iter().any(|c| c.place == "article officer-opens-tap" && c.after.is_none()));
        assert!(changes.iter().any(|c| c.place == "party 00000099000000006002.role" && c.before.is_none()));
    }
}
