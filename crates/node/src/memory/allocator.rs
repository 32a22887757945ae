//! jemalloc's controls.

use std::ffi::{CStr, c_void};

/// Settings of the allocator, for its symbol `malloc_conf` in the binary.
///
/// - One arena for each processor instead of four: what one has free no other can use.
/// - Large allocations are not given a page more, in which to begin at a random line (`cache_oblivious`).
/// - What is free goes back to the system within ten seconds, jemalloc's default, by a thread of its own. Sooner would cost page
///   faults when it is used again; when memory is scarce nobody waits for that ([`purge`]).
pub const SETTINGS: &CStr =
    c"narenas_ratio:1,cache_oblivious:false,background_thread:true,dirty_decay_ms:10000,muzzy_decay_ms:0";

/// What the allocator has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in pages that hold something.
    pub active: u64,
    /// Bytes in pages that are free and still resident.
    pub unused: u64,
}

/// jemalloc's name for all arenas together, `MALLCTL_ARENAS_ALL`.
const ACTIVE_PAGES: &CStr = c"stats.arenas.4096.pactive";
const DIRTY_PAGES: &CStr = c"stats.arenas.4096.pdirty";
const MUZZY_PAGES: &CStr = c"stats.arenas.4096.pmuzzy";
const PAGE_BYTES: &CStr = c"arenas.page";
const EPOCH: &CStr = c"epoch";
const PURGE_ALL: &CStr = c"arena.4096.purge";

/// What the allocator has now; `None` if it does not say.
pub fn usage() -> Option<Usage> {
    // The figures are those of the last time that this was written to.
    if !write(EPOCH, 1u64) {
        return None;
    }
    let page = read(PAGE_BYTES)? as u64;
    let pages = |name| Some(read(name)? as u64 * page);
    Some(Usage {
        active: pages(ACTIVE_PAGES)?,
        unused: pages(DIRTY_PAGES)? + pages(MUZZY_PAGES)?,
    })
}

/// Gives memory that the allocator has kept for reuse back to the system; false if it does not do so on demand.
pub fn purge() -> bool {
    control(
        PURGE_ALL,
        (std::ptr::null_mut(), std::ptr::null_mut()),
        (std::ptr::null_mut(), 0),
    )
}

fn read(name: &CStr) -> Option<usize> {
    let mut value = 0usize;
    let mut length = size_of::<usize>();
    let to = ((&raw mut value).cast(), &raw mut length);
    control(name, to, (std::ptr::null_mut(), 0)).then_some(value)
}

fn write(name: &CStr, mut value: u64) -> bool {
    let from = ((&raw mut value).cast(), size_of::<u64>());
    control(name, (std::ptr::null_mut(), std::ptr::null_mut()), from)
}

/// Reads and writes a control: where its value goes with its length, and the new one with its length.
fn control(name: &CStr, to: (*mut c_void, *mut usize), from: (*mut c_void, usize)) -> bool {
    // SAFETY: the name ends with a zero byte; the pointers are null, or to values of the control's type that outlive the call, with
    // their lengths, which the callers above see to. jemalloc refuses other lengths.
    unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), to.0, to.1, from.0, from.1) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_answers() {
        let usage = usage().unwrap();
        assert!(usage.active > 0);
        assert!(purge());
    }
}
