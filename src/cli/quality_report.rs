//! How well a register can be linked, as text for whoever loads it and cannot see the other side.

use std::fmt::Write;

use crate::answer::quality::{LinkEstimate, LoadQuality};
use crate::answer::wire::law::{Bounded, InferenceView, WorstView};

/// Widest bar of the histogram.
const BAR: usize = 30;

/// Thresholds, expected errors, the scores of strangers, and how the care list was linked.
pub fn text(quality: &LoadQuality) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("memory takes all");
    let LoadQuality { persons, sampled, together, .. } = quality;
    line(format!("Thresholds in z for {persons} people, and expected errors per thousand who are not among them:"));
    let width = quality.passes.iter().map(|pass| pass.pass.len()).fold("all together".len(), usize::max);
    line(format!("  {:<width$}  links from   linked by mistake   unsure from   unsure", "pass"));
    for pass in &quality.passes {
        line(format!(
            "  {:<width$}  {:>10.1}  {:>18.2}  {:>12.1}  {:>7.2}",
            pass.pass, pass.link, pass.linked_per_thousand, pass.unsure, pass.unsure_per_thousand
        ));
    }
    let alone = quality.at_address.first().copied().unwrap_or_default();
    line(format!("  {:<width$}  {together:>10.1}  elsewhere; {alone:.1} at an address of one person", "all together"));
    line(format!("False links expected per thousand: {:.1}.", quality.false_links_per_thousand));
    if *sampled > 0 {
        let widest = quality.passes.iter().map(|pass| &pass.histogram).max_by_key(|counts| counts.len());
        line(format!("Scores of {sampled} of them with people of other households, in the pass that reaches highest:"));
        for (at, count) in widest.into_iter().flat_map(|counts| counts.chunks(4)).enumerate() {
            let count: u64 = count.iter().sum();
            let long = ((count as f64).ln_1p() * 3.0).ceil() as usize;
            line(format!("  z {:>2} to {:>2}  {:<BAR$}  {count}", at + 4, at + 5, "#".repeat(long.min(BAR))));
        }
    }
    if let Some(care) = &quality.care {
        line(format!("Care list against population: {}", estimate(care)));
    }
    text
}

/// What readers of the answers may infer, beside what the parties accept: a line, and one for who has the register.
pub fn inference(of: &InferenceView) -> String {
    // What else is shielded counts as well; without a care list that alone.
    let group = if of.forms.is_empty() { "a shielded group" } else { "the OGGZ group or another shielded one" };
    let line = |reader: &str, Bounded { worst, bound }: Bounded| {
        let word = if worst > bound { "MORE THAN" } else { "within" };
        let (worst, bound) = (worst * 100.0, bound * 100.0);
        format!("{reader} may become {worst:.0} % sure of {group}: {word} the accepted {bound:.0} %.")
    };
    let mut text = line("A reader of the answers", Bounded { worst: of.worst, bound: of.bound });
    if let Some(registered) = of.registered {
        text += &format!("\n{}", line("One with the register at hand", registered));
    }
    for (form, WorstView { worst, registered }) in &of.forms {
        text +=
            &format!("\n  in the form {form}: {:.0} %, with the register {:.0} %", 100.0 * worst, 100.0 * registered);
    }
    text
}

/// One line.
pub fn estimate(of: &LinkEstimate) -> String {
    let share = |share: Option<f64>| share.map_or("unknown".to_owned(), |share| format!("{share:.4}"));
    format!(
        "{} of {} linked, {} unsure; expected false links {:.1}, precision {}, recall {} (estimates).",
        of.linked,
        of.asked,
        of.unsure,
        of.false_links,
        share(of.precision),
        share(of.recall)
    )
}
