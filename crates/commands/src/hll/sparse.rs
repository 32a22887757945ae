//! Registers as runs of equal ones.

use super::{CORRUPT, Histogram, REGISTERS, Registers};
use crate::CommandError;

/// Greatest value of a register here.
pub(super) const VALUE_MAX: u8 = 32;
/// Longest run of registers that are not zero.
const VALUE_RUN_MAX: usize = 4;
/// Longest run of zeros in one byte.
const SHORT_ZEROS_MAX: usize = 64;
/// A change is followed by an attempt to join runs, and this is how many it looks at.
const RUNS_TO_JOIN: usize = 5;

/// A run of equal registers, and the form in which it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// Zeros, in one byte.
    Zeros(usize),
    /// Zeros, in two bytes.
    ManyZeros(usize),
    /// A value, and how often.
    Values(u8, usize),
}

impl Run {
    /// Reads the run at `at`; `None` at the end. A second byte that is missing counts as zero.
    fn read(bytes: &[u8], at: usize) -> Option<Run> {
        let first = *bytes.get(at)?;
        Some(match first >> 6 {
            0 => Run::Zeros(usize::from(first) + 1),
            1 => {
                let second = bytes.get(at + 1).copied().unwrap_or(0);
                Run::ManyZeros((usize::from(first & 0x3f) << 8 | usize::from(second)) + 1)
            }
            _ => Run::Values((first >> 2 & 0x1f) + 1, usize::from(first & 3) + 1),
        })
    }

    /// That many zeros in the shortest form. `len` is at least 1 and at most all registers.
    fn zeros(len: usize) -> Run {
        match len <= SHORT_ZEROS_MAX {
            true => Run::Zeros(len),
            false => Run::ManyZeros(len),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Run::Zeros(len) => out.push((len - 1) as u8),
            Run::ManyZeros(len) => out.extend_from_slice(&[0x40 | ((len - 1) >> 8) as u8, (len - 1) as u8]),
            Run::Values(value, len) => out.push(values(value, len)),
        }
    }

    /// Number of registers.
    pub(super) fn len(self) -> usize {
        match self {
            Run::Zeros(len) | Run::ManyZeros(len) | Run::Values(_, len) => len,
        }
    }

    /// Number of bytes.
    fn size(self) -> usize {
        match self {
            Run::ManyZeros(_) => 2,
            Run::Zeros(_) | Run::Values(..) => 1,
        }
    }

    fn value(self) -> u8 {
        match self {
            Run::Values(value, _) => value,
            Run::Zeros(_) | Run::ManyZeros(_) => 0,
        }
    }
}

fn values(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// Appends registers that are all zero.
pub(super) fn write_empty(out: &mut Vec<u8>) {
    Run::zeros(REGISTERS).write(out);
}

/// The runs in order.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let run = Run::read(bytes, at)?;
        at += run.size();
        Some(run)
    })
}

pub(super) fn histogram(bytes: &[u8]) -> Result<Histogram, CommandError> {
    let mut histogram = [0; 64];
    let mut total = 0;
    for run in runs(bytes) {
        total += run.len();
        histogram[usize::from(run.value())] += run.len() as u32;
    }
    match total {
        REGISTERS => Ok(histogram),
        _ => Err(CORRUPT),
    }
}

/// Raises `into` to what is here.
pub(super) fn merge(bytes: &[u8], into: &mut Registers) -> Result<(), CommandError> {
    let mut next = 0;
    for run in runs(bytes) {
        let registers = into.get_mut(next..next + run.len()).ok_or(CORRUPT)?;
        next += run.len();
        if let Run::Values(value, _) = run {
            registers
                .iter_mut()
                .for_each(|register| *register = (*register).max(value));
        }
    }
    match next {
        REGISTERS => Ok(()),
        _ => Err(CORRUPT),
    }
}

/// The run in which a register lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Where the run stands in the bytes.
    at: usize,
    /// Where the run before it stands.
    before: Option<usize>,
    run: Run,
    /// Its first register.
    first: usize,
}

impl Place {
    /// The value of the register.
    pub(super) fn value(&self) -> u8 {
        self.run.value()
    }
}

/// Finds a register; an error if the runs end before it.
pub(super) fn find(bytes: &[u8], index: usize) -> Result<Place, CommandError> {
    let (mut at, mut first, mut before) = (0, 0, None);
    while let Some(run) = Run::read(bytes, at) {
        if index < first + run.len() {
            return Ok(Place { at, before, run, first });
        }
        before = Some(at);
        at += run.size();
        first += run.len();
    }
    Err(CORRUPT)
}

/// Raises the register that was found to `value`, which is greater than what it is and at most [`VALUE_MAX`]. The
/// registers start at `head` in `bytes`. Gives false, and changes nothing, if the whole would grow beyond `bytes_max`.
pub(super) fn raise(
    bytes: &mut Vec<u8>,
    head: usize,
    place: &Place,
    index: usize,
    value: u8,
    bytes_max: usize,
) -> bool {
    let mut new = Vec::with_capacity(5);
    let (front, back) = (index - place.first, place.first + place.run.len() - 1 - index);
    let split = |len| match place.run {
        Run::Values(value, _) => Run::Values(value, len),
        Run::Zeros(_) | Run::ManyZeros(_) => Run::zeros(len),
    };
    if front > 0 {
        split(front).write(&mut new);
    }
    Run::Values(value, 1).write(&mut new);
    if back > 0 {
        split(back).write(&mut new);
    }
    let at = head + place.at;
    let end = (at + place.run.size()).min(bytes.len());
    if new.len() > end - at && bytes.len() + new.len() - (end - at) > bytes_max {
        return false;
    }
    bytes.splice(at..end, new);
    join(bytes, head + place.before.unwrap_or(0));
    true
}

/// Joins runs of the same value where they fit into one, among the first few from `at` on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..RUNS_TO_JOIN {
        let Some(run) = Run::read(bytes, at) else { return };
        if let Run::Values(value, len) = run
            && let Some(Run::Values(next_value, next_len)) = Run::read(bytes, at + 1)
            && value == next_value
            && len + next_len <= VALUE_RUN_MAX
        {
            // The joined run may be joined with what follows: stay here.
            bytes[at + 1] = values(value, len + next_len);
            bytes.remove(at);
        } else {
            at += run.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_are_written_as_documented() {
        let mut out = Vec::new();
        for run in [
            Run::zeros(1),
            Run::zeros(64),
            Run::zeros(65),
            Run::zeros(REGISTERS),
            Run::Values(1, 1),
            Run::Values(32, 4),
        ] {
            run.write(&mut out);
        }
        assert_eq!(out, [0x00, 0x3f, 0x40, 0x40, 0x7f, 0xff, 0x80, 0xff]);
        assert_eq!(
            runs(&out).collect::<Vec<_>>(),
            [
                Run::Zeros(1),
                Run::Zeros(64),
                Run::ManyZeros(65),
                Run::ManyZeros(REGISTERS),
                Run::Values(1, 1),
                Run::Values(32, 4)
            ]
        );
    }

    proptest! {
        #[test]
        fn raising_registers_gives_their_maxima(changes in prop::collection::vec((0..REGISTERS, 1..=VALUE_MAX), 0..400)) {
            let mut bytes = Vec::new();
            write_empty(&mut bytes);
            let mut model = [0; REGISTERS];
            // Neighbours too, so that runs are split and joined.
            for (index, value) in changes.into_iter().flat_map(|(i, v)| [(i, v), (i / 64, v / 8 + 1)]) {
                let place = find(&bytes, index).unwrap();
                prop_assert_eq!(place.value(), model[index]);
                if place.value() < value {
                    prop_assert!(raise(&mut bytes, 0, &place, index, value, usize::MAX));
                    model[index] = value;
                }
            }
            let mut merged = [0; REGISTERS];
            merge(&bytes, &mut merged).unwrap();
            prop_assert!(merged == model);
            prop_assert_eq!(histogram(&bytes).unwrap().iter().sum::<u32>(), REGISTERS as u32);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..50), index in 0..REGISTERS) {
            let _ = histogram(&bytes);
            let _ = merge(&bytes, &mut [0; REGISTERS]);
            if let Ok(place) = find(&bytes, index) && place.value() < VALUE_MAX {
                raise(&mut bytes.clone(), 0, &place, index, VALUE_MAX, usize::MAX);
            }
        }
    }
}
