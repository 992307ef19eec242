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
        let [toml, cedar] = self.texts();
        let mut flat = BTreeMap::new();
        let table: toml::Table = toml.parse().expect("a regulation was read from this text");
        flatten("", &Value::Table(table), &mut flat);
        for article in cedar.split("@id(\"").skip(1) {
            let (id, text) = article.split_once('"').unwrap_or((article, ""));
            let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
            flat.insert(format!("article {id}"), code.collect::<Vec<_>>().join(" "));
        }
        flat
    }
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
