//! Registers of 6 bits, packed.

use super::{Histogram, REGISTERS, Registers};

/// Length of all registers, in bytes.
pub(super) const BYTES: usize = REGISTERS * 6 / 8;

/// One register.
pub(super) fn get(bytes: &[u8], index: usize) -> u8 {
    let bit = index * 6;
    let (at, shift) = (bit / 8, bit % 8);
    let low = bytes[at] >> shift;
    // A register that starts within the last 6 bits of a byte goes on in the next, and the last register does not.
    let high = if shift > 2 { bytes[at + 1] << (8 - shift) } else { 0 };
    (low | high) & 0x3f
}

/// Sets a register. The value is below 64.
pub(super) fn set(bytes: &mut [u8], index: usize, value: u8) {
    let bit = index * 6;
    let (at, shift) = (bit / 8, bit % 8);
    bytes[at] = bytes[at] & !(0x3f << shift) | value << shift;
    if shift > 2 {
        bytes[at + 1] = bytes[at + 1] & !(0x3f >> (8 - shift)) | value >> (8 - shift);
    }
}

/// All registers in order: four in every three bytes.
pub(super) fn registers(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let (groups, _) = bytes.as_chunks::<3>();
    groups.iter().flat_map(|&[a, b, c]| {
        let four = u32::from_le_bytes([a, b, c, 0]);
        [0, 6, 12, 18].map(|shift| (four >> shift & 0x3f) as u8)
    })
}

pub(super) fn histogram(bytes: &[u8]) -> Histogram {
    let mut histogram = [0; 64];
    registers(bytes).for_each(|value| histogram[usize::from(value)] += 1);
    histogram
}

/// Raises `into` to what is here.
pub(super) fn merge(bytes: &[u8], into: &mut Registers) {
    for (to, value) in into.iter_mut().zip(registers(bytes)) {
        *to = (*to).max(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_register_is_what_was_set_and_others_stay(changes in prop::collection::vec((0..REGISTERS, 0u8..64), 0..300)) {
            let mut bytes = vec![0; BYTES];
            let mut model = vec![0; REGISTERS];
            for (index, value) in changes.into_iter().chain([(0, 63), (REGISTERS - 1, 63)]) {
                set(&mut bytes, index, value);
                model[index] = value;
                prop_assert_eq!(get(&bytes, index), value);
            }
            prop_assert_eq!(registers(&bytes).collect::<Vec<_>>(), model);
        }
    }
}
