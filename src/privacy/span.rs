//! How many dimensions codes span over GF(2). Diffusion is a linear map: the codes of a pass lie in its image, which
//! anybody computes from enough of them. Where codes are longer than filters the image is small, the columns of the map
//! are its only words of low weight, and finding those (Stern, EUROCRYPT 1988, LNCS 388, 106-113) takes the diffusion
//! off every code, without a key or a known pair. As long as codes span everything, the image tells nothing.

/// A span that grows with each code; it stops looking when enough codes say what it is.
pub struct Span {
    bits: usize,
    /// By the place of their first set bit.
    rows: Vec<Option<Box<[u64]>>>,
    dimensions: usize,
    seen: usize,
}

/// Codes beyond the bits of one that are enough: fair coins then lack a dimension in one of 2^64 cases.
const MORE: usize = 64;

impl Span {
    /// Of codes of so many bits.
    pub fn new(bits: usize) -> Self {
        Self { bits, rows: vec![None; bits], dimensions: 0, seen: 0 }
    }

    /// Adds a code.
    pub fn add(&mut self, code: &[u64]) {
        if self.is_known() {
            return;
        }
        self.seen += 1;
        let mut code: Box<[u64]> = code.into();
        while let Some(at) = first(&code) {
            match &self.rows[at] {
                Some(row) => code.iter_mut().zip(row).for_each(|(word, row)| *word ^= row),
                None => {
                    self.rows[at] = Some(code);
                    self.dimensions += 1;
                    return;
                }
            }
        }
    }

    /// Whether there were enough codes to tell.
    pub fn is_known(&self) -> bool {
        self.dimensions == self.bits || self.seen >= self.bits + MORE
    }

    /// Dimensions so far.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }
}

/// The place of the first set bit.
fn first(code: &[u64]) -> Option<usize> {
    let (at, word) = code.iter().enumerate().find(|(_, word)| **word != 0)?;
    Some(at * 64 + word.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::super::testing::noise;
    use super::*;

    #[test]
    fn fair_coins_span_everything_and_a_linear_map_that_lengthens_them_does_not() {
        let (mut fair, mut longer) = (Span::new(128), Span::new(192));
        for code in noise(500, 128, 1) {
            fair.add(code.words());
            let words = code.words();
            longer.add(&[words[0], words[1], words[0].rotate_left(7) ^ words[1].rotate_left(19)]);
        }
        assert!(fair.is_known() && longer.is_known());
        assert_eq!((fair.dimensions(), longer.dimensions()), (128, 128));
    }

    #[test]
    fn few_codes_tell_nothing() {
        let mut span = Span::new(128);
        noise(100, 128, 1).iter().chain(&noise(80, 128, 1)).for_each(|code| span.add(code.words()));
        assert_eq!((span.dimensions(), span.is_known()), (100, false));
    }
}
