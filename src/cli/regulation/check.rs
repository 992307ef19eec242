//! `voorrang regulation check`: everything that whoever signs should know, on one page.

use super::sign::signatures;
use super::{CheckArgs, HasErrors, examples};
use crate::answer::wire::law::RegulationTexts;
use crate::cli::client::Client;
use crate::regulate::{Cells, Form, Inference, Posture, Reader, Regulation, Severity};

/// Runs the command.
///
/// # Errors
/// [`HasErrors`], or what keeps a file from being read, with its line.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let regulation = Regulation::load(&args.folder)?;
    print_head(&regulation);
    print_parties(&regulation, args)?;
    print_articles(&regulation);
    print_inference(&regulation);
    if let Some(before) = in_force(args)? {
        print_changes(&regulation, &before);
    }
    if let Some(folder) = &args.questions {
        println!("\nExample questions");
        examples::run(&regulation, folder)?;
    }
    let errors = print_remarks(&regulation);
    if errors > 0 { Err(HasErrors(errors).into()) } else { Ok(()) }
}

fn print_head(regulation: &Regulation) {
    let (from, until) = regulation.validity();
    let place = regulation.municipality();
    println!("{}: {}", regulation.id(), regulation.title().en);
    println!("municipality {} ({}), valid from {from} until {until}", place.name, place.code);
    let evaluation = regulation.evaluation();
    println!("evaluated every {} months, from {}", evaluation.every_months, evaluation.anchor);
    println!("digest {}", regulation.digest());
}

fn print_parties(regulation: &Regulation, args: &CheckArgs) -> anyhow::Result<()> {
    let note = signatures(&args.folder)?.unwrap_or_default();
    println!("\nParties");
    for (party, state) in note.state(regulation)? {
        println!("  {}  {:<20}  {:<8}  {}", party.oin, party.role.as_str(), state.as_str(), party.name);
    }
    Ok(())
}

fn print_articles(regulation: &Regulation) {
    println!("\nArticles, and how many of the tried acts each decided");
    let decided = regulation.decided();
    for article in regulation.articles() {
        let effect = if article.forbids { "refuses" } else { "permits" };
        let count = decided.get(&article.id).copied().unwrap_or_default();
        println!("  {:<34}  {effect}  {count:>6}  {}", article.id, article.title);
    }
}

/// What a reader may infer, by the regulation's own estimates; a load report has the same from counts.
fn print_inference(regulation: &Regulation) {
    println!("\nWhat a reader may infer: how likely is a household in the OGGZ group, before and after the answer?");
    for Inference { reader, answer, prior, posterior } in
        Cells::estimated(regulation.posterior()).inferences(regulation)
    {
        println!(
            "  {:<52}  {:<12}  {:>5.1} %  {:>5.1} %",
            words(reader),
            answer.as_str(),
            100.0 * prior,
            100.0 * posterior
        );
    }
    let bound = regulation.posterior().bound;
    println!("  worst {:.1} %, the parties accept {:.1} %", 100.0 * regulation.worst_estimated(), 100.0 * bound);
    let town = Cells::estimated(regulation.posterior());
    for (form, name) in [(Form::ThreeValued, "three-valued"), (Form::Consult, "consult")] {
        let worst = town.inferences_as(regulation, form).first().map_or(0.0, |one| one.posterior);
        println!("  with the form {name}: worst {:.1} %", 100.0 * worst);
    }
}

/// The reader, for a table.
pub(super) fn words(reader: Reader) -> &'static str {
    match reader {
        Reader::Sees(Posture::Minor) => "knows the ages, and a minor there",
        Reader::Sees(Posture::Senior) => "knows the ages, and a senior tenant but no minor",
        Reader::Sees(Posture::SeniorResident) => "knows the ages, and a senior who is no tenant",
        Reader::Sees(Posture::Neither) => "knows the ages, and neither there",
        Reader::Blind => "does not know the ages",
    }
}

fn in_force(args: &CheckArgs) -> anyhow::Result<Option<Regulation>> {
    if let Some(folder) = &args.against {
        return Ok(Some(Regulation::load(folder)?));
    }
    let Some(config) = &args.config else { return Ok(None) };
    let client = Client::open(config)?;
    let texts: RegulationTexts = client.get(&format!("regulations/{}", client.config.regulation))?;
    Ok(Some(Regulation::from_texts(&texts.id, &texts.toml, &texts.cedar)?))
}

fn print_changes(regulation: &Regulation, before: &Regulation) {
    println!("\nChanged against {}", &before.digest()[..16]);
    let changes = regulation.changes_since(before);
    for change in &changes {
        println!("  {}", change.place);
        if let Some(text) = &change.before {
            println!("    - {text}");
        }
        if let Some(text) = &change.after {
            println!("    + {text}");
        }
    }
    if changes.is_empty() {
        println!("  nothing");
    }
}

/// Prints all remarks; returns how many are errors.
fn print_remarks(regulation: &Regulation) -> usize {
    println!("\nRemarks");
    let remarks = regulation.remarks();
    for remark in &remarks {
        println!("  {:<7}  {}", remark.severity.as_str(), remark.what);
    }
    if remarks.is_empty() {
        println!("  none");
    }
    remarks.iter().filter(|remark| remark.severity == Severity::Error).count()
}
