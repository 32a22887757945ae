use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use haypile_commands::PackedLimits;

/// Thresholds that may change at any time. Who reads them meanwhile may see some old and some new: each is one of its own.
pub(crate) struct Limits {
    numbers: [AtomicU64; 7],
    list_size: AtomicI64,
}

impl Limits {
    pub(crate) fn new(limits: PackedLimits) -> Self {
        let new = Limits {
            numbers: Default::default(),
            list_size: AtomicI64::default(),
        };
        new.set(limits);
        new
    }

    pub(crate) fn set(&self, limits: PackedLimits) {
        let numbers = [
            limits.hash_entries,
            limits.hash_value,
            limits.intset_entries,
            limits.set_entries,
            limits.set_value,
            limits.zset_entries,
            limits.zset_value,
        ];
        for (place, number) in self.numbers.iter().zip(numbers) {
            place.store(number, Ordering::Relaxed);
        }
        self.list_size.store(limits.list_size, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> PackedLimits {
        let [
            hash_entries,
            hash_value,
            intset_entries,
            set_entries,
            set_value,
            zset_entries,
            zset_value,
        ] = self.numbers.each_ref().map(|number| number.load(Ordering::Relaxed));
        PackedLimits {
            hash_entries,
            hash_value,
            intset_entries,
            set_entries,
            set_value,
            zset_entries,
            zset_value,
            list_size: self.list_size.load(Ordering::Relaxed),
        }
    }
}
