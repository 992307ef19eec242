//! The regulations that ship inside the program: the cities of the sources, and the laboratory's.

use super::Regulation;

macro_rules! file {
    ($id:literal, $file:literal) => {
        include_str!(concat!("../../config/regulations/", $id, "/", $file))
    };
}

macro_rules! shipped {
    ($($id:literal),+) => {
        &[$(($id, file!($id, "regulation.toml"), file!($id, "articles.cedar"))),+]
    };
}

/// Id, `regulation.toml` and `articles.cedar`.
const SHIPPED: &[(&str, &str, &str)] =
    shipped!["haarlem", "rotterdam", "zaanstad", "sittard-geleen", "deventer", "groningen", "amsterdam"];

impl Regulation {
    /// The examples that ship with the program, Haarlem first. They name no keys, so none can be activated as it is.
    ///
    /// # Panics
    /// Never: a test reads them.
    pub fn built_in() -> Vec<Self> {
        let read = |(id, toml, cedar): &(&str, &str, &str)| {
            let id = id.parse().expect("a shipped id is kebab-case");
            Self::from_texts(&id, toml, cedar).expect("a shipped regulation is valid")
        };
        SHIPPED.iter().map(read).collect()
    }

    /// The regulation of `voorrang evaluate`: every group in the open, for invented people only.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn laboratory() -> Self {
        let id = "laboratory".parse().expect("a shipped id is kebab-case");
        let toml = include_str!("../../config/regulations/laboratory.toml");
        let cedar = include_str!("../../config/regulations/haarlem/articles.cedar");
        Self::from_texts(&id, toml, cedar).expect("the shipped regulation is valid")
    }
}
