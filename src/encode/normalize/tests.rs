use super::*;
use proptest::prelude::*;

fn parts(text: &str) -> String {
    surname_parts(text).join("|")
}

#[test]
fn surnames_have_one_form() {
    for (text, want) in [
        // marks, and letters that have none to strip
        ("Müller", "muller"),
        ("Muller", "muller"),
        ("Mu\u{308}ller", "muller"),
        ("Groß", "gros"),
        ("GROSS", "gros"),
        ("Sørensen", "sorensen"),
        ("Wałęsa", "walesa"),
        ("Æbelø", "aebelo"),
        ("Đorđević", "dordevic"),
        ("Þórsson", "thorson"),
        ("Yıldız", "yildiz"),
        ("YILDIZ", "yildiz"),
        ("İnan", "inan"),
        ("ﬁsher", "fisher"),
        // mojibake
        ("MÃ¼ller", "muller"),
        ("YÄ±lmaz", "yilmaz"),
        ("Ãbel", "abel"),
        // ij
        ("Meijer", "meyer"),
        ("Meyer", "meyer"),
        ("Meĳer", "meyer"),
        ("Meÿer", "meyer"),
        ("MEIJER", "meyer"),
        // apostrophes
        ("O'Neill", "oneill"),
        ("O’Neill", "oneill"),
        ("O´Neill", "oneill"),
        ("'s-Gravendijk", "sgravendyk"),
        // double surnames
        ("Jansen-de Vries", "jansen|vries"),
        ("Jansen - de Vries", "jansen|vries"),
        ("Jansen–Vries", "jansen|vries"),
        ("van Dijk-van Dijk", "dyk"),
        ("Al-Hassan", "hasan"),
        ("El-Al", "el|al"),
        // infixes in front, behind, abbreviated, glued
        ("van den Berg", "berg"),
        ("VAN DEN BERG", "berg"),
        ("Berg, van den", "berg"),
        ("Berg van den", "berg"),
        ("v.d. Berg", "berg"),
        ("v/d Berg", "berg"),
        ("vd Berg", "berg"),
        ("v.'t Hof", "hof"),
        ("in 't Veld", "veld"),
        ("VanderBerg", "berg"),
        ("Vandenberg", "berg"),
        ("DeJong", "jong"),
        ("Dejong", "dejong"),
        ("ElAmrani", "amrani"),
        ("d'Ancona", "ancona"),
        ("Ben Ali", "ali"),
        ("Berg-de Vries, van", "berg|vries"),
        ("Vandel", "vandel"),
        // names that look like infixes, and other words
        ("Van", "van"),
        ("De", "de"),
        ("Nguyen Le", "nguyen le"),
        ("García  López", "garcia lopez"),
        ("Dekker", "dekker"),
        ("Bakker, Jan", "bakker jan"),
        ("B", "b"),
        ("", ""),
        (" - ", ""),
        ("'", ""),
        ("Яковлев", "iakovlev"),
    ] {
        assert_eq!(parts(text), want, "{text}");
    }
}

#[test]
fn initials_and_given_names_begin_alike() {
    for (text, want) in [
        ("Émile Jan", "e"),
        ("E.J.", "e"),
        ("ej", "e"),
        ("IJsbrand", "y"),
        ("IJ.P.", "y"),
        ("Ĳ", "y"),
        ("Ømer", "o"),
        ("'t", "t"),
        ("-.", ""),
        ("", ""),
    ] {
        assert_eq!(initial(text).map_or_else(String::new, String::from), want, "{text}");
    }
}

proptest! {
    #[test]
    fn composed_and_decomposed_text_are_one(text in "[ A-Za-zà-žÀ-Ž'’-]{0,24}") {
        // Mojibake is only recognised composed, as real files have it.
        prop_assume!(letters::repair(&text) == text);
        let (nfc, nfd) = (text.nfc().collect::<String>(), text.nfd().collect::<String>());
        prop_assert_eq!(fold(&compatible(&nfc)), fold(&compatible(&nfd)));
    }

    #[test]
    fn any_text_has_clean_parts(text in "\\PC{0,30}") {
        for part in surname_parts(&text) {
            prop_assert!(part.chars().all(|c| c.is_alphanumeric() || c == ' '));
            prop_assert!(!part.trim().is_empty());
        }
    }

    #[test]
    fn normalising_twice_is_normalising_once(text in "\\PC{0,30}|[ A-Za-zà-žÀ-Ž'’/,.-]{0,30}|(van |de |el-|dr |s|ij|/|, |- |ev |geb\\. |h/o |[ab] ?){0,8}") {
        let once = surname_parts(&text);
        prop_assert_eq!(surname_parts(&once.join("-")), once);
        let first = initial(&text);
        prop_assert_eq!(first.and_then(|letter| initial(&letter.to_string())), first);
    }

    #[test]
    fn a_plain_surname_goes_the_short_way_to_the_same(text in "[A-Za-z][a-z]{1,9}|([Vv]an|[Dd]e|[Ii]j)(der|den|ij|ss)[a-z]{0,4}") {
        prop_assert!(is_plain(&text));
        prop_assert_eq!(surname_parts(&text), all_parts(&text));
    }

    #[test]
    fn text_in_ascii_goes_the_short_way_to_the_same(text in "[ -~]{0,20}") {
        // A letter beyond ASCII and its way back: the long way.
        let long = |short: &str| fold(&format!("{short} é")).trim_end_matches('e').to_owned();
        prop_assert_eq!(fold(&format!("{text} ")), long(&text));
        let long = composed(&format!("{text}é")).into_owned();
        prop_assert_eq!(format!("{}é", composed(&text)), long);
    }

    #[test]
    fn a_surname_in_normal_form_stays(text in "[a-z]{3,12}") {
        let folded = text.contains("ij") || text.contains("ss");
        prop_assume!(!folded && !text.starts_with("vande") && !is_infix(&text));
        prop_assert_eq!(surname_parts(&text), vec![text]);
    }
}
