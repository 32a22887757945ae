//! Child processes: started apart from the terminal, ended by their own pid, and what /proc says of them.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::interrupt;

/// How long a server may take to end after SIGTERM before it is killed.
const STOP_MAX: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

/// A running child; ended when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` in a process group of its own, so that ctrl-c reaches this program alone. Should this program
    /// be killed, the kernel kills the child.
    pub fn start(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        // SAFETY: prctl with these arguments is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 {
                    Ok(())
                } else {
                    Err(io::Error::last_os_error())
                }
            });
        }
        let process = Self {
            child: command.spawn()?,
        };
        interrupt::register(process.pid());
        Ok(process)
    }

    /// Runs `command` to its end; returns its status, output and error output.
    pub fn output(mut command: Command) -> io::Result<(ExitStatus, String, String)> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Self::start(command)?;
        let (mut output, mut errors) = (String::new(), String::new());
        if let (Some(mut out), Some(mut err)) = (process.child.stdout.take(), process.child.stderr.take()) {
            // One after the other: what is started here writes few errors, which fit into the pipe.
            out.read_to_string(&mut output)?;
            err.read_to_string(&mut errors)?;
        }
        loop {
            if let Some(status) = process.ended()? {
                return Ok((status, output, errors));
            }
            thread::sleep(POLL);
        }
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The exit status if it has ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        // Once reaped, the standard library answers from memory.
        interrupt::reap(self.pid(), || self.child.try_wait())
    }

    /// Sends SIGTERM and waits for the end; kills after two minutes. Returns how long it took.
    pub fn terminate(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        if self.ended()?.is_some() {
            return Ok(start.elapsed());
        }
        // SAFETY: kill takes plain numbers; the child has not been reaped, so the pid is its own.
        unsafe { libc::kill(self.pid(), libc::SIGTERM) };
        while self.ended()?.is_none() {
            if start.elapsed() > STOP_MAX {
                return self.kill().map(|()| start.elapsed());
            }
            thread::sleep(POLL);
        }
        Ok(start.elapsed())
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) -> io::Result<()> {
        // The standard library sends nothing to a child it has reaped.
        self.child.kill()?;
        interrupt::reap(self.pid(), || self.child.wait().map(Some)).map(drop)
    }

    /// CPU time used so far by all its threads, in user and kernel mode. The kernel counts in steps of 10 ms.
    pub fn cpu(&self) -> io::Result<Duration> {
        cpu_of(self.pid()).map(|(own, _)| own)
    }

    /// As [`Self::cpu`], and that of its children, such as the one in which Redis rewrites its log.
    pub fn cpu_with_children(&self) -> io::Result<Duration> {
        let pid = self.pid();
        let (own, reaped) = cpu_of(pid)?;
        let running = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        // A child that has gone meanwhile counts among the reaped ones the next time.
        let running = running
            .split_whitespace()
            .filter_map(|child| cpu_of(child.parse().ok()?).ok());
        Ok(own + reaped + running.map(|(own, _)| own).sum::<Duration>())
    }

    /// Resident memory in bytes (VmRSS), and the part of it that is not file pages (RssAnon).
    pub fn resident(&self) -> io::Result<(u64, u64)> {
        Ok((self.status_bytes("VmRSS:")?, self.status_bytes("RssAnon:")?))
    }

    /// The most resident memory it has had, in bytes (VmHWM).
    pub fn peak_resident(&self) -> io::Result<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kib = status.lines().find_map(|line| {
            let value = line.strip_prefix(field)?.trim().strip_suffix(" kB")?;
            value.trim().parse::<u64>().ok()
        });
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| io::Error::other(format!("/proc/PID/status without {field}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that cannot be ended has ended, or is beyond what can be done here.
        let _ = self.terminate();
    }
}

/// CPU time of a process, and of those of its children that it has waited for.
fn cpu_of(pid: i32) -> io::Result<(Duration, Duration)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let time = |ticks: u64| Duration::from_micros(ticks * 1_000_000 / ticks_per_second());
    cpu_ticks(&stat)
        .map(|(own, children)| (time(own), time(children)))
        .ok_or_else(|| io::Error::other("/proc/PID/stat has another form"))
}

/// utime + stime and cutime + cstime, fields 14 to 17; the name in field 2 may contain blanks and parentheses.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .skip(11)
        .map_while(|field| field.parse::<u64>().ok());
    Some((fields.next()? + fields.next()?, fields.next()? + fields.next()?))
}

fn ticks_per_second() -> u64 {
    // SAFETY: sysconf takes a plain number.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|n| *n > 0).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_a_name_with_parentheses() {
        let stat = "12 (a) b) S 1 12 12 0 -1 4194560 900 0 0 0 31 11 7 7 20 0 4 0 100 1000 10";
        assert_eq!(cpu_ticks(stat), Some((42, 14)));
    }

    #[test]
    fn a_child_is_ended_by_drop() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let process = Process::start(command).unwrap();
        let pid = process.pid();
        assert!(process.resident().unwrap().0 > 0);
        drop(process);
        assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    }
}
