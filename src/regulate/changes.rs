//! What changed between two regulations, key by key and article by article: whoever signs reads this, not a hundred
//! lines of both.

use std::collections::BTreeMap;

use toml::Value;

use super::Regulation;

/// One difference. Absent on the side where it was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// For example `budget.stop_share`, `party Ymere` or `article stock`.
    pub place: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What names an element of a list, the first that it has.
const NAMES: [&str; 5] = ["id", "oin", "group", "recipient", "parties"];

impl Regulation {
    /// What is different here from `before`, by place.
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let (old, new) = (before.flat(), self.flat());
        let places: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let differ = places.into_iter().filter(|place| old.get(*place) != new.get(*place));
        differ
            .map(|place| Change {
                place: place.clone(),
                before: old.get(place).cloned(),
                after: new.get(place).cloned(),
            })
            .collect()
    }

    fn flat(&self) -> BTreeMap<String, String> {
        let [toml, _] = self.texts();
        let mut flat = BTreeMap::new();
        let table: toml::Table = toml.parse().expect("a regulation was read from this text");
        flatten("", &Value::Table(table), &mut flat);
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

fn flatten(place: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        Value::Table(table) => table.iter().for_each(|(name, value)| flatten(&below(name), value, into)),
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for item in items {
                let name = NAMES.iter().find_map(|name| item.get(*name)).map(Value::to_string).unwrap_or_default();
                flatten(&format!("{place} {}", name.replace('"', "")), item, into);
            }
        }
        _ => drop(into.insert(place.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
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
            let places: Vec<_> = after.changes_since(&before).into_iter().map(|change| change.place).collect();
            assert_eq!(places, ["article household-limit"], "{comment}");
            let same = read(TOML_TEXT, &format!("{CEDAR_TEXT}\n{comment}")).unwrap();
            assert_eq!(same.changes_since(&before), [], "{comment}");
        }
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
