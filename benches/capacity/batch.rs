//! A batch of households, from the first byte sent to the last result fetched.

use voorrang::answer::wire::Question;
use voorrang::cli::client::Client;

use super::table::Table;
use crate::sending;

pub fn run(client: &Client, questions: &[&Question], table: &mut Table) -> anyhow::Result<()> {
    let [sent, answered, fetched] = sending::batch(client, questions)?.map(|time| time.as_secs_f64());
    let how = format!("sent in {sent:.2}, answered in {answered:.2}, fetched in {fetched:.2}");
    let figure = format!("a batch of {} households", questions.len());
    table.at_most(&figure, 5.0, sent + answered + fetched, "s", &how);
    Ok(())
}
