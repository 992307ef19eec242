//! How many people an attack found, and whether that is too many.

/// So many hits or more come in fewer than this share of samples: then they are no chance.
const CHANCE_LEVEL: f64 = 0.01;

/// People found by an attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub hits: usize,
    /// Whom it looked for.
    pub people: usize,
    /// People whom a guess with no code finds on average.
    pub by_chance: f64,
}

impl Score {
    /// Share of people found; 0 of nobody.
    pub fn rate(&self) -> f64 {
        self.hits as f64 / self.people.max(1) as f64
    }

    /// Share of people whom a guess finds.
    pub fn chance(&self) -> f64 {
        self.by_chance / self.people.max(1) as f64
    }

    /// Whether so many hits or more come by chance in one of a hundred samples.
    fn is_chance(&self) -> bool {
        self.may_come_of(self.by_chance)
    }

    /// Whether so many hits or more come in one of a hundred samples where `expected` come on average (Poisson).
    fn may_come_of(&self, expected: f64) -> bool {
        let mut term = (-expected).exp();
        let mut fewer = 0.0;
        for hits in 0..self.hits {
            fewer += term;
            term *= expected / (hits + 1) as f64;
        }
        1.0 - fewer >= CHANCE_LEVEL
    }
}

/// What a score must hold to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// At most this share of people, or as few as chance finds.
    AtMost(f64),
    /// At most so many times what chance finds. What is so near to chance differs from sample to sample: codes fail that
    /// stand above it surely.
    TimesChance(f64),
    /// No more than chance finds.
    Chance,
    /// At least this share: a control that an attack must break.
    AtLeast(f64),
}

impl Gate {
    /// Whether the score holds. Nobody attacked holds nothing: what was not tried is not shown.
    pub fn holds(&self, score: &Score) -> bool {
        score.people > 0
            && match *self {
                Self::AtMost(rate) => score.rate() <= rate || score.is_chance(),
                Self::TimesChance(times) => score.may_come_of(times * score.by_chance),
                Self::Chance => score.is_chance(),
                Self::AtLeast(rate) => score.rate() >= rate,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(hits: usize, people: usize, by_chance: f64) -> Score {
        Score { hits, people, by_chance }
    }

    #[test]
    fn a_rate_above_the_gate_fails_unless_chance_explains_it() {
        let gate = Gate::AtMost(0.005);
        assert!(gate.holds(&score(5, 1_000, 1.0)));
        assert!(!gate.holds(&score(6, 1_000, 1.0)));
        // 2 of 358 are more than .005, but chance gives as many in one of twenty samples; 3 are no chance.
        assert!(gate.holds(&score(2, 358, 0.358)));
        assert!(!gate.holds(&score(3, 358, 0.358)));
    }

    #[test]
    fn more_than_chance_is_what_chance_gives_in_fewer_than_one_of_a_hundred() {
        assert!(Gate::Chance.holds(&score(0, 2_000, 1.0)) && Gate::Chance.holds(&score(4, 2_000, 1.0)));
        assert!(!Gate::Chance.holds(&score(5, 2_000, 1.0)));
    }

    #[test]
    fn a_rate_that_is_surely_above_a_multiple_of_chance_fails() {
        // At three times 5 people, 25 come in 1.1 of a hundred samples, 26 in .6.
        assert!(Gate::TimesChance(3.0).holds(&score(25, 1_000, 5.0)));
        assert!(!Gate::TimesChance(3.0).holds(&score(26, 1_000, 5.0)));
    }

    #[test]
    fn a_control_that_is_not_broken_fails_and_so_does_an_attack_on_nobody() {
        assert!(Gate::AtLeast(0.99).holds(&score(990, 1_000, 1.0)));
        assert!(!Gate::AtLeast(0.99).holds(&score(989, 1_000, 1.0)));
        for gate in [Gate::AtMost(0.01), Gate::TimesChance(3.0), Gate::Chance, Gate::AtLeast(0.0)] {
            assert!(!gate.holds(&score(0, 0, 0.0)));
        }
    }
}
