//! What the operating system says of this process and the machine.

use std::fs;
use std::io::Write;
use std::path::Path;

/// Ends the process at once, with this exit code: whatever other threads are at, they are not waited for, and nothing is
/// dropped. What is to be on disk must be there.
///
/// [`std::process::exit`] and the end of `main` do not do for a server. Both destroy the static objects of RocksDB and of
/// the C++ library while other threads still run: a thread of the runtime that was not done in time, or one that lets go
/// of the last reference to the store and closes it, locks a mutex that is no more.
pub fn leave(code: u8) -> ! {
    // Nobody is left to be told if what has been printed cannot be written.
    let _ = std::io::stdout().flush();
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(libc::c_int::from(code)) }
}

/// Resident memory of this process, bytes; 0 if the system does not say.
pub fn resident_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:").unwrap_or(0)
}

/// The same for who asks often: it costs a tenth.
pub fn resident_now_bytes() -> u64 {
    let pages = || {
        let text = fs::read_to_string("/proc/self/statm").ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    // SAFETY: the call takes a number and gives one.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages().unwrap_or(0) * page_bytes.max(0) as u64
}

/// The most memory that was ever resident, bytes; 0 if the system does not say.
pub fn resident_peak_bytes() -> u64 {
    kilobytes("/proc/self/status", "VmHWM:").unwrap_or(0)
}

/// Bytes that are free on the file system of `path`; `None` if the system does not say.
pub fn disk_free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}

/// Memory of the machine, bytes; `None` if the system does not say.
pub fn machine_total_bytes() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemTotal:")
}

/// The number of a line such as `MemTotal:  24684084 kB`, in bytes.
fn kilobytes(path: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(label))?;
    let number: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(number << 10)
}

/// Processor time, seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTimes {
    /// In this process' own code.
    pub user: f64,
    /// In the kernel on its behalf.
    pub system: f64,
}

/// Processor time of this process since it started, all threads together.
pub fn cpu_times() -> CpuTimes {
    usage(libc::RUSAGE_SELF)
}

/// Processor time of the calling thread.
pub fn thread_cpu_times() -> CpuTimes {
    usage(libc::RUSAGE_THREAD)
}

fn usage(who: libc::c_int) -> CpuTimes {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a struct of the type that the call fills in; all bits zero are a valid value of it.
    let usage = unsafe {
        libc::getrusage(who, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    CpuTimes {
        user: seconds(usage.ru_utime),
        system: seconds(usage.ru_stime),
    }
}

/// `Linux 6.1.0 x86_64`.
pub fn os() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

/// Raises the limit of open files to what the system allows, if `files` are more than it is; gives the limit then.
pub fn raise_open_files(files: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let soft = now.current.unwrap_or(u64::MAX);
    if soft >= files {
        return soft;
    }
    let wanted = now.maximum.map_or(files, |hard| hard.min(files));
    let raised = Rlimit {
        current: Some(wanted),
        maximum: now.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_answers() {
        assert!(resident_bytes() > 1 << 20);
        assert!(resident_peak_bytes() >= 1 << 20);
        assert!(machine_total_bytes().is_some_and(|bytes| bytes > 64 << 20));
        assert!(os().starts_with("Linux "));
        assert!(cpu_times().user >= 0.0);
        assert!(raise_open_files(16) >= 16);
        assert!(resident_now_bytes() > 1 << 20);
    }
}
