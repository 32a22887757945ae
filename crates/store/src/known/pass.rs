//! Which parts of a collection a pass over all of them has not come to.

/// A pass over the parts of a collection, each once, in random order. What is drawn from one part after the other so leaves them
/// nearly even, which independent draws would not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// How wide each part is, in the numbers that were cut into parts.
    pub width: u64,
    left: Vec<u16>,
}

impl Pass {
    /// A pass over so many numbers from 0 on, of which up to 2^16 parts are made.
    pub fn over(numbers: u64, width: u64) -> Self {
        let parts = numbers.div_ceil(width.max(1)).min(1 << 16);
        let left = (0..parts).map(|part| part as u16).collect();
        Pass { width, left }
    }

    /// To how many parts it has not come.
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// One of the parts to which it has not come, where `below` gives a random number below another; `None` when it is over.
    pub fn next(&mut self, below: impl FnOnce(u64) -> u64) -> Option<u64> {
        if self.left.is_empty() {
            return None;
        }
        let chosen = below(self.left.len() as u64) as usize;
        Some(self.left.swap_remove(chosen).into())
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<u16>() * self.left.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_comes_once() {
        for (numbers, width, parts) in [(1 << 16, 1, 1 << 16), (1 << 16, 3, 21846), (10, 10, 1), (10, 99, 1)] {
            let mut pass = Pass::over(numbers, width);
            let mut seed = 7u64;
            let mut random = |below: u64| {
                seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                (seed >> 33) % below
            };
            let mut seen: Vec<u64> = std::iter::from_fn(|| pass.next(&mut random)).collect();
            assert_eq!(pass.left(), 0);
            assert!(parts == 1 || !seen.is_sorted());
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..parts));
        }
        assert_eq!(Pass::default().left(), 0);
    }
}
