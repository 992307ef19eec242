//! The figures that are asked for, beside what was measured.

use std::fmt;

/// Rows in the order in which they were measured.
#[derive(Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// A figure that is to be so much at most; `how` says what it was made of.
    pub fn at_most(&mut self, figure: &str, asked: f64, measured: f64, unit: &str, how: &str) {
        self.row(figure, format!("at most {asked} {unit}"), (measured, unit, how), measured <= asked);
    }

    /// A figure that is to be so much at least.
    pub fn at_least(&mut self, figure: &str, asked: f64, measured: f64, unit: &str, how: &str) {
        self.row(figure, format!("at least {asked} {unit}"), (measured, unit, how), measured >= asked);
    }

    fn row(&mut self, figure: &str, asked: String, (measured, unit, how): (f64, &str, &str), reached: bool) {
        let reached = if reached { "yes" } else { "no" };
        let row = [figure.into(), asked, format!("{measured:.2} {unit}, {how}"), reached.into()];
        println!("{}: {} ({}): {reached}", row[0], row[2], row[1]);
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| figure | asked | measured | reached |\n|---|---|---|---|")?;
        self.0.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}
