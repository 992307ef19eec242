//! `voorrang regulation check`: everything that whoever signs should know, on one page.

use super::sign::signatures;
use super::{CheckArgs, HasErrors, examples, service};
use crate::cli::client::Client;
use crate::regulate::{Cells, Form, Inference, Posture, Reader, Regulation, Severity, Worst};

/// Runs the command.
///
/// # Errors
/// [`HasErrors`], or what keeps a file from being read, with its line.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let regulation = Regulation::load(&args.folder)?;
    print_head(&regulation);
    print_parties(&regulation, args)?;
    print_budgets(&regulation);
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
    println!("{:width$}  {}", "", regulation.title().nl, width = regulation.id().as_str().len());
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

fn print_budgets(regulation: &Regulation) {
    let budgets = regulation.budgets();
    let [most, told] = [budgets.stop_share, budgets.alarm_share].map(|share| 100.0 * share);
    println!("\nQuestions in a month, and from when the officers are told");
    println!("  of a corporation               {most:.0} % of its stock, told at {told:.0} %");
    if let (Some(most), Some(told)) = (budgets.most_questions, budgets.most_alarm()) {
        println!("  of it, whatever its stock      {most}, told at {told}");
    }
    println!("  of it about a household        {}", budgets.household_per_month);
    println!("  of a party of the care side    {}, told at {}", budgets.care_stop(), budgets.care_alarm());
}

fn print_articles(regulation: &Regulation) {
    println!("\nArticles, and how many of the tried acts each decided");
    let decided = regulation.decided();
    for article in regulation.articles() {
        let effect = if article.forbids { "refuses" } else { "permits" };
        let count = decided.get(&article.id).copied().unwrap_or_default();
        println!("  {:<34}  {effect}  {count:>6}  {}", article.id, article.title);
        if !article.titel.is_empty() {
            println!("  {:<34}  {:<7}  {:>6}  {}", "", "", "", article.titel);
        }
    }
}

/// What a reader may infer, by the regulation's own estimates; a load report has the same from counts.
fn print_inference(regulation: &Regulation) {
    println!("\nWhat a reader may infer: how likely is a household in the OGGZ group, before and after the answer?");
    let bounds = regulation.posterior();
    let town = Cells::estimated(bounds);
    let all = town.inferences(regulation);
    let Worst { unseen, registered } = Worst::of(&all);
    for (view, has_view, worst, bound) in [
        ("without a view of the register: the tenants may not be in it", false, unseen, bounds.bound),
        (
            "with a view of the register: all tenants are in it, in one household",
            true,
            registered,
            bounds.bound_registered(),
        ),
    ] {
        println!("  {view}");
        for Inference { reader, answer, prior, posterior } in
            all.iter().filter(|one| one.reader.is_registered() == has_view)
        {
            let (prior, posterior) = (100.0 * prior, 100.0 * posterior);
            println!("    {:<37}  {:<12}  {prior:>5.1} %  {posterior:>5.1} %", words(*reader), answer.as_str());
        }
        println!("    worst {:.1} %, the parties accept {:.1} %", 100.0 * worst, 100.0 * bound);
    }
    for form in [Form::ThreeValued, Form::Consult] {
        let Worst { unseen, registered } = Worst::of(&town.inferences_as(regulation, form));
        let (unseen, registered) = (100.0 * unseen, 100.0 * registered);
        println!("  with the form {}: worst {unseen:.1} %, with the register {registered:.1} %", form.as_str());
    }
}

/// The reader, for a table.
fn words(reader: Reader) -> &'static str {
    match reader {
        Reader::Sees(posture) | Reader::Registered(posture) => match posture {
            Posture::Minor => "a minor there",
            Posture::Senior => "a senior tenant but no minor",
            Posture::SeniorResident => "a senior who is no tenant",
            Posture::Neither => "neither there",
        },
        Reader::Blind => "does not know the ages",
    }
}

fn in_force(args: &CheckArgs) -> anyhow::Result<Option<Regulation>> {
    if let Some(folder) = &args.against {
        return Ok(Some(Regulation::load(folder)?));
    }
    let Some(config) = &args.config else { return Ok(None) };
    service::in_force(&Client::open(config)?).map(Some)
}

fn print_changes(regulation: &Regulation, before: &Regulation) {
    println!("\nChanged against {}", &before.digest()[..16]);
    let changes = regulation.changes_since(before);
    let mut place = "";
    for change in &changes {
        if change.place != place {
            place = &change.place;
            println!("  {place}");
        }
        if let Some(text) = &change.before {
            println!("    - {text}");
        }
        if let Some(text) = &change.after {
            println!("    + {text}");
        }
    }
    if changes.is_empty() {
        let same = regulation.digest() == before.digest();
        println!("  {}", if same { "nothing" } else { "layout only: spaces and empty lines" });
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
