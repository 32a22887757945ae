//! The `haypile` binary: reads the command line, runs the server until it is told to stop.

use std::ffi::c_char;
use std::process::ExitCode;

use haypile_config::{BindAddress, Config};
use haypile_node::{memory, process};
use haypile_server::cli::{self, Command};
use haypile_server::server::Server;
use haypile_server::state::ServerState;
use haypile_server::{digests, diverged, logging};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A pointer to a string of C.
#[repr(transparent)]
pub struct Settings(*const c_char);

// SAFETY: what it points to is constant.
unsafe impl Sync for Settings {}

/// jemalloc reads this before anything else happens.
// SAFETY: the allocator's symbol has this name and type, and nothing else here is called so.
#[unsafe(export_name = "malloc_conf")]
#[used]
pub static ALLOCATOR_SETTINGS: Settings = Settings(memory::allocator::SETTINGS.as_ptr());

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(Command::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Command::Diverged { file, json }) => {
            let out = std::io::stdout().lock();
            match diverged::print(&file, json, &mut std::io::BufWriter::new(out)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error),
            }
        }
        Ok(Command::Digest(asked)) => match digests::compare(&asked, &mut std::io::stdout().lock()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => failed(&error),
        },
        Ok(Command::Server { config }) => serve(config),
        Err(error) => {
            eprintln!("haypile: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("haypile: {error}");
    ExitCode::FAILURE
}

fn serve(config: Config) -> ! {
    let fail = |text: String| {
        eprintln!("haypile: {text}");
        process::leave(1)
    };
    match start(config) {
        // It is never dropped: what it has in memory need not be given back.
        Ok(mut server) => match server.wait() {
            Ok(()) => process::leave(0),
            Err(error) => fail(error.to_string()),
        },
        Err(text) => fail(text),
    }
}

/// Starts the server, which runs until it is told to stop by a signal or a command.
fn start(config: Config) -> Result<Server, String> {
    let values = config.get();
    let log = logging::start(&values).map_err(|e| format!("cannot open the log file {}: {e}", values.logfile))?;
    let kept = config.set_without_effect();
    if !kept.is_empty() {
        tracing::warn!(
            keys = kept.join(" "),
            "these configuration keys are accepted but have no effect"
        );
    }
    let mut signals = signal_hook::iterator::Signals::new([libc::SIGTERM, libc::SIGINT, libc::SIGHUP])
        .map_err(|e| format!("cannot listen to signals: {e}"))?;
    let server = Server::start(config, log).map_err(|e| e.to_string())?;
    println!("{}", banner(&server.state));
    let state = server.state.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if signal != libc::SIGHUP {
                    tracing::info!(signal, "stopping");
                    return state.node.ask_to_stop();
                }
                // A terminal that is closed ends nobody, as with Redis.
                match state.log.reopen() {
                    Ok(()) => tracing::info!("the log was opened anew"),
                    Err(error) => tracing::error!(%error, "the log file cannot be opened anew; it stays where it was"),
                }
            }
        })
        .map_err(|e| format!("cannot start a thread for signals: {e}"))?;
    Ok(server)
}

fn banner(server: &ServerState) -> String {
    let values = server.node.config.load();
    let addresses: Vec<String> = [("", server.port), ("tls://", server.tls_port)]
        .iter()
        .filter(|(_, port)| *port > 0)
        .flat_map(|(scheme, port)| {
            let address = move |b: &BindAddress| format!("{scheme}{}", std::net::SocketAddr::new(b.ip, *port));
            values.bind.iter().map(address)
        })
        .collect();
    let http = match values.http_port {
        0 => String::new(),
        port => format!(", metrics on http port {port}"),
    };
    let dir = std::fs::canonicalize(&values.dir).unwrap_or_else(|_| values.dir.clone());
    format!(
        "haypile {} ready: listening on {}{http}; data in {}; sync {}; memory budget {} MiB",
        env!("CARGO_PKG_VERSION"),
        addresses.join(", "),
        dir.display(),
        values.sync,
        server.node.memory.budget_bytes() >> 20
    )
}
