//! The server under test, as a process of its own: started, stopped, killed, restarted, and its log read.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};

use super::{Client, PATIENCE, wait_until};

/// A running server of its own process. Killed when it is dropped, and its data removed.
pub struct Server {
    args: Vec<String>,
    address: Option<SocketAddr>,
    open_files_max: Option<u32>,
    namespace: Option<String>,
    dir: TempDir,
    process: Option<Process>,
    /// What the process logged that ran before.
    ended: String,
}

/// How a server refused to start.
#[derive(Debug)]
pub struct Refusal {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard error.
    pub errors: String,
}

struct Process {
    child: Child,
    address: SocketAddr,
    banner: String,
    /// Its standard error. A file and not a pipe: what the server has logged before it does something else is there to
    /// be read when that is seen.
    log: NamedTempFile,
}

impl Server {
    /// Starts the server with more arguments, as after `haypile server`, and waits until it is ready.
    #[track_caller]
    pub fn start(args: &[&str]) -> Server {
        let mut server = Server::stopped(args);
        server.start_again();
        server
    }

    /// A server that has not been started yet: [`Server::start_again`] does it, or [`Server::try_start_again`].
    pub fn stopped(args: &[&str]) -> Server {
        Server {
            args: args.iter().map(|a| a.to_string()).collect(),
            address: None,
            open_files_max: None,
            namespace: None,
            dir: tempfile::tempdir().expect("a temporary directory"),
            process: None,
            ended: String::new(),
        }
    }

    /// Lets it listen at this address from the next start on, instead of on a free port of 127.0.0.1.
    pub fn set_address(&mut self, address: SocketAddr) {
        self.address = Some(address);
    }

    /// Lets the next start have so many open files at most, as after `ulimit -n`.
    pub fn set_open_files_max(&mut self, files: u32) {
        self.open_files_max = Some(files);
    }

    /// Lets it run in this network namespace from the next start on.
    pub fn set_namespace(&mut self, name: &str) {
        self.namespace = Some(name.to_owned());
    }

    /// Tries to start a server that is expected to refuse: gives its exit code and what it wrote to standard error.
    #[track_caller]
    pub fn start_in_vain(args: &[&str]) -> (Option<i32>, String) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = command(dir.path(), None, args.iter().copied());
        let child = command.spawn().expect("the binary");
        let output = child.wait_with_output().expect("its end");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), errors)
    }

    /// Starts a stopped or killed server again, on the same data and with the same arguments. Its port is another one.
    #[track_caller]
    pub fn start_again(&mut self) {
        if let Err(refusal) = self.try_start_again() {
            panic!("the server is not ready ({:?}): {}", refusal.code, refusal.errors);
        }
    }

    /// As [`Server::start_again`], for a server that may refuse.
    #[track_caller]
    pub fn try_start_again(&mut self) -> Result<(), Refusal> {
        assert!(self.process.is_none(), "the server runs already");
        self.process = Some(Process::start(self.command())?);
        Ok(())
    }

    /// Starts a stopped or killed server again and kills it after this time, wherever it is then. Gives what it has
    /// written to standard error.
    #[track_caller]
    pub fn start_and_kill(&mut self, after: Duration) -> String {
        assert!(self.process.is_none(), "the server runs already");
        let mut child = self.command().spawn().expect("the binary");
        std::thread::sleep(after);
        // It may have ended by itself, which its errors tell.
        let _ = child.kill();
        let output = child.wait_with_output().expect("its end");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Starts a stopped or killed server again and asks it to stop (SIGTERM) while it still opens its data: as soon as
    /// it has locked its directory. Gives how it ended; [`Server::log`] has what it wrote to standard error.
    #[track_caller]
    pub fn start_and_stop(&mut self) -> ExitStatus {
        assert!(self.process.is_none(), "the server runs already");
        let lock = self.dir().join("LOCK");
        if let Err(error) = std::fs::remove_file(&lock) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
        let mut command = self.command();
        let log = NamedTempFile::new().expect("a temporary file");
        command
            .stdout(Stdio::null())
            .stderr(log.reopen().expect("the same file"));
        self.process = Some(Process {
            child: command.spawn().expect("the binary"),
            address: ([127, 0, 0, 1], 0).into(),
            banner: String::new(),
            log,
        });
        wait_until("the lock of the directory", || lock.exists());
        self.stop()
    }

    fn command(&self) -> Command {
        let mut command = command(self.dir.path(), self.address, self.args.iter());
        if let Some(files) = self.open_files_max {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\""));
            command = by_way_of(shell, &command);
        }
        if let Some(namespace) = &self.namespace {
            let mut ip = Command::new("ip");
            ip.args(["netns", "exec", namespace]);
            command = by_way_of(ip, &command);
        }
        command
    }

    /// Changes the arguments for the next start.
    pub fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(|a| a.to_string()).collect();
    }

    /// A new connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::try_connect_to(self.address()).expect("a connection")
    }

    /// A new connection that speaks RESP3.
    #[track_caller]
    pub fn client3(&self) -> Client {
        let mut client = self.client();
        client.cmd(&["HELLO", "3"]);
        client
    }

    /// The port that it listens on.
    #[track_caller]
    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// The address that it listens on.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.process().address
    }

    /// What it has said on standard output when it was ready.
    #[track_caller]
    pub fn banner(&self) -> &str {
        &self.process().banner
    }

    /// What it has logged so far; if it has ended, what it had logged by then.
    pub fn log(&self) -> String {
        match &self.process {
            Some(process) => process.log(),
            None => self.ended.clone(),
        }
    }

    /// Its process id.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process().child.id()
    }

    /// Its data directory.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Removes all data of a server that has ended.
    pub fn remove_data(&mut self) {
        assert!(self.process.is_none(), "the server runs");
        std::fs::remove_dir_all(self.dir()).expect("its directory");
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process().child);
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// Lets the data stay when this is dropped, for whoever looks into a failure; gives the directory.
    pub fn keep_dir(&mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir()
    }

    /// True until it has ended, by itself or by [`Server::stop`] or [`Server::kill`].
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|p| p.child.try_wait().expect("its state").is_none())
    }

    /// Asks it to stop (SIGTERM) and waits for that.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Waits until it ends, and gives how it did.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a running server");
        let mut status = None;
        wait_until("the end of the server", || {
            status = process.child.try_wait().expect("its state");
            status.is_some()
        });
        self.ended = process.log();
        status.unwrap()
    }

    /// Ends it as `kill -9` does.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("a running server");
        process.kill();
        self.ended = process.log();
    }

    /// Stops it in order, which must succeed, and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        let status = self.stop();
        assert!(status.success(), "the server stopped with {status}: {}", self.log());
        self.start_again();
    }

    /// Ends it as `kill -9` does, and starts it again.
    #[track_caller]
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start_again();
    }

    #[track_caller]
    fn process(&self) -> &Process {
        self.process.as_ref().expect("a running server")
    }
}

/// The program under test: `haypile`, which cargo builds before the tests of `haypile-server` and puts beside them.
///
/// # Panics
/// There is none: the tests of another crate run, and it was not built.
pub fn haypile() -> PathBuf {
    let mut folder = std::env::current_exe().expect("the path of this test");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let program = folder.join("haypile");
    assert!(
        program.exists(),
        "there is no {}: build haypile-server",
        program.display()
    );
    program
}

fn command(dir: &Path, address: Option<SocketAddr>, args: impl IntoIterator<Item = impl AsRef<str>>) -> Command {
    let mut command = Command::new(haypile());
    command.args(["server", "--http-port", "0"]);
    match address {
        Some(address) => command.args(["--bind", &address.ip().to_string()]),
        None => &mut command,
    };
    let port = address.map_or(0, |address| address.port());
    command.args(["--port", &port.to_string()]);
    command.arg("--dir").arg(dir.join("data")).current_dir(dir);
    for arg in args {
        command.arg(arg.as_ref());
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The same command by way of another, which runs it in its own place.
fn by_way_of(mut way: Command, command: &Command) -> Command {
    way.arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        way.current_dir(dir);
    }
    way.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    way
}

impl Process {
    #[track_caller]
    fn start(mut command: Command) -> Result<Process, Refusal> {
        let log = NamedTempFile::new().expect("a temporary file");
        command.stderr(log.reopen().expect("the same file"));
        let mut child = command.spawn().expect("the binary");
        let (said, banner) = mpsc::channel();
        collect(child.stdout.take().expect("a pipe"), said);
        let mut process = Process {
            child,
            address: ([127, 0, 0, 1], 0).into(),
            banner: String::new(),
            log,
        };
        let deadline = Instant::now() + PATIENCE;
        let line = banner.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        process.banner = match line {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                panic!("the server is not ready: {}", process.log())
            }
            // It has closed its standard output: it ends, and has written why.
            Err(RecvTimeoutError::Disconnected) => {
                let status = process.child.wait().expect("its end");
                return Err(Refusal {
                    code: status.code(),
                    errors: process.log(),
                });
            }
        };
        let address = process.banner.split("listening on ").nth(1).unwrap_or_default();
        let address = address.trim_start_matches("tls://");
        let end = address.find([',', ';']).unwrap_or(address.len());
        process.address =
            (address[..end].parse().ok()).unwrap_or_else(|| panic!("no address in the banner: {}", process.banner));
        Ok(process)
    }

    fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.log.path()).expect("the log");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Sends every line, on a thread that ends with the pipe.
fn collect(from: ChildStdout, lines: mpsc::Sender<String>) {
    let read = move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody listens after the first line, but the pipe must not fill up.
            let _ = lines.send(line);
        }
    };
    std::thread::Builder::new()
        .name("output".into())
        .spawn(read)
        .expect("a thread");
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
