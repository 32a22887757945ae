//! Random numbers for commands: quick, seeded once from the system. And those that must be a secret.

use std::io;

use haypile_types::Random;

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Seeded by the caller: the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        SplitMix64(seed)
    }

    /// Seeded by the operating system.
    #[allow(clippy::disallowed_methods)] // the adapter: everybody else gets randomness through `Random`
    pub fn from_system() -> Self {
        let mut bytes = [0u8; 8];
        let seed = match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(_) => u64::from_le_bytes(bytes),
            // Without the system's randomness the address of a local has to do: these numbers guard nothing.
            Err(_) => std::ptr::from_ref(&bytes) as u64,
        };
        SplitMix64(seed)
    }
}

/// Fills `bytes` with what nobody can guess: from the operating system, without delay once it has started.
///
/// # Errors
/// The system has none.
#[allow(clippy::disallowed_methods)] // the adapter, as above
pub fn secret(mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(filled) => bytes = &mut bytes[filled..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl Random for SplitMix64 {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
