//! The command line. Flags come from the table of configuration keys; nothing is listed twice.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use haypile_commands::reference;
use haypile_config::{self as config, Config, ConfigError};

use crate::digests::{Asked, TlsFiles};

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run the server.
    Server {
        /// From the file and the flags.
        config: Config,
    },
    /// Print a file of entries that a full sync took away.
    Diverged {
        /// The file.
        file: PathBuf,
        /// As JSON.
        json: bool,
    },
    /// Compare the data of servers.
    Digest(Asked),
    /// Print this text to standard output and exit with 0: help, the version, the sample configuration.
    Print(String),
}

/// A command line that cannot be carried out. Its text is one line for standard error; the exit code is 2 for a
/// mistake on the command line and 1 for a configuration that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Not a command line of ours.
    #[error("{0} (`haypile help` says more)")]
    Usage(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl CliError {
    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Config(_) => 1,
        }
    }
}

/// Reads a command line; the first argument is the name of the program.
///
/// # Errors
/// One line that says what is wrong.
pub fn parse<I, T>(args: I) -> Result<Command, CliError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut command = command();
    let matches = match command.try_get_matches_from_mut(args) {
        Ok(matches) => matches,
        Err(error) => return without_matches(&error),
    };
    match matches.subcommand() {
        Some(("server", server)) => {
            let file = server.get_one::<PathBuf>("config");
            let config = Config::read(file.map(PathBuf::as_path), &flags(server))?;
            Ok(Command::Server { config })
        }
        Some(("diverged", diverged)) => Ok(Command::Diverged {
            // clap asks for it.
            file: diverged.get_one::<PathBuf>("file").cloned().unwrap_or_default(),
            json: diverged.get_flag("json"),
        }),
        Some(("debug", debug)) => match debug.subcommand() {
            Some(("digest", digest)) => Ok(Command::Digest(asked(digest))),
            _ => Ok(Command::Print(debug_command().render_help().to_string())),
        },
        Some(("config", config)) if config.get_flag("markdown") => Ok(Command::Print(config::markdown())),
        Some(("config", _)) => Ok(Command::Print(config::sample())),
        Some(("commands", commands)) if commands.get_flag("markdown") => Ok(Command::Print(reference::markdown())),
        Some(("commands", _)) => Ok(Command::Print(reference::list())),
        _ => Ok(Command::Print(command.render_help().to_string())),
    }
}

/// The whole command line as clap sees it.
fn command() -> clap::Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Read the configuration from this file; flags win over it");
    let server = clap::Command::new("server")
        .about("Run the server")
        .after_help("Keys of Redis that have no effect here are accepted as well: see docs/configuration.md.")
        .arg(file)
        .args(config::all_keys().map(flag));
    let markdown = Arg::new("markdown")
        .long("markdown")
        .action(ArgAction::SetTrue)
        .help("Print the reference in Markdown instead");
    let sample = clap::Command::new("config")
        .about("Print a commented sample configuration")
        .arg(markdown.clone());
    let commands = clap::Command::new("commands")
        .about("Print the commands by group")
        .arg(markdown.clone());
    clap::Command::new("haypile")
        .bin_name("haypile")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A database that speaks the Redis protocol and keeps its data on disk")
        .subcommand_required(false)
        .subcommands([server, sample, commands, diverged_command(), debug_command()])
}

fn json_flag() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON, for programs")
}

fn diverged_command() -> clap::Command {
    clap::Command::new("diverged")
        .about("Print a file of writes that a full sync took away (<dir>/diverged/*.entries)")
        .after_help("Lines that do not begin with # are commands that do the same again.")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(json_flag())
}

fn debug_command() -> clap::Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).num_args(1).help(help)
    };
    let digest = clap::Command::new("digest")
        .about("Print the digests of a server's databases; of several, compare them (exit code 1 if they differ)")
        .arg(
            Arg::new("addresses")
                .value_name("HOST:PORT")
                .num_args(0..)
                .help("The servers"),
        )
        .arg(option("host", "HOST", "The host of one server").default_value("127.0.0.1"))
        .arg(
            option("port", "PORT", "The port of one server, if no other is named")
                .value_parser(value_parser!(u16))
                .default_value("9221"),
        )
        .arg(option("user", "NAME", "The user").default_value(""))
        .arg(option(
            "password",
            "PASSWORD",
            "The password; better in the environment as HAYPILE_PASSWORD",
        ))
        .arg(
            Arg::new("tls")
                .long("tls")
                .action(ArgAction::SetTrue)
                .requires("cacert")
                .help("Connect by TLS"),
        )
        .arg(option("cacert", "FILE", "The CAs that certify the servers").requires("tls"))
        .arg(
            option("cert", "FILE", "The certificate to show")
                .requires("tls")
                .requires("key"),
        )
        .arg(option("key", "FILE", "The private key of the certificate").requires("cert"))
        .arg(
            option("timeout", "SECONDS", "How long to wait for an answer; 0 = for ever")
                .value_parser(value_parser!(u32))
                .default_value("300"),
        )
        .arg(json_flag());
    clap::Command::new("debug")
        .about("Look into running servers")
        .subcommand(digest)
}

fn asked(matches: &ArgMatches) -> Asked {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let mut addresses: Vec<String> = matches
        .get_many::<String>("addresses")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let one_is_named = ["host", "port"]
        .iter()
        .any(|name| matches.value_source(name) == Some(ValueSource::CommandLine));
    if addresses.is_empty() || one_is_named {
        let port = matches.get_one::<u16>("port").copied().unwrap_or_default();
        addresses.insert(0, format!("{}:{port}", text("host").unwrap_or_default()));
    }
    Asked {
        addresses,
        user: text("user").unwrap_or_default(),
        password: text("password")
            .or_else(|| std::env::var("HAYPILE_PASSWORD").ok())
            .unwrap_or_default(),
        tls: matches.get_flag("tls").then(|| TlsFiles {
            cacert: text("cacert").unwrap_or_default(),
            cert: text("cert").unwrap_or_default(),
            key: text("key").unwrap_or_default(),
        }),
        timeout: Duration::from_secs(matches.get_one::<u32>("timeout").copied().unwrap_or_default().into()),
        json: matches.get_flag("json"),
    }
}

/// The flag of one key.
fn flag(key: &'static config::Key) -> Arg {
    let arg = Arg::new(key.name)
        .long(key.name)
        .aliases(key.aliases.iter().copied())
        .value_name("VALUE")
        .action(ArgAction::Append)
        .help(config::summary(key))
        .help_heading(key.section)
        .hide(!key.has_effect || key.mirror_of.is_some());
    if key.takes_words() {
        arg.num_args(1..)
    } else {
        arg.num_args(1).allow_hyphen_values(true)
    }
}

/// The keys that were given, each occurrence apart, in the table's order.
fn flags(matches: &ArgMatches) -> Vec<(String, Vec<String>)> {
    let mut flags = Vec::new();
    for key in config::all_keys() {
        for occurrence in matches.get_occurrences::<String>(key.name).into_iter().flatten() {
            flags.push((key.name.to_string(), occurrence.cloned().collect()));
        }
    }
    flags
}

/// Help and version come out of clap as errors; real errors are cut down to one line.
fn without_matches(error: &clap::Error) -> Result<Command, CliError> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Ok(Command::Print(error.to_string()));
    }
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_string();
    let tip = lines.find_map(|line| line.strip_prefix("tip: "));
    Err(CliError::Usage(
        tip.map_or(first.clone(), |tip| format!("{first}: {tip}")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(args: &[&str]) -> Result<Config, String> {
        match parse(["haypile", "server"].iter().chain(args)) {
            Ok(Command::Server { config }) => Ok(config),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn printed(args: &[&str]) -> String {
        match parse(["haypile"].iter().chain(args)) {
            Ok(Command::Print(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clap_accepts_the_table() {
        command().debug_assert();
    }

    #[test]
    fn every_key_is_a_flag() {
        assert_eq!(server(&[]).unwrap().load().port, 9221);
        let config = server(&[
            "--port",
            "7",
            "--bind",
            "127.0.0.1",
            "127.0.0.2 -::1",
            "--slowlog-log-slower-than",
            "-1",
            "--save",
            "",
            "--hash-max-ziplist-value",
            "9",
            "--requirepass=--x",
            "--client-output-buffer-limit",
            "pubsub",
            "1",
            "2",
            "3",
        ]);
        let config = match config {
            Ok(config) => config,
            Err(error) => panic!("{error}"),
        };
        let values = config.load();
        assert_eq!(
            (values.port, values.bind.len(), values.slowlog_log_slower_than),
            (7, 3, -1)
        );
        assert_eq!(values.hash_max_listpack_value, 9);
        assert_eq!(values.requirepass, "--x");
        assert_eq!(values.client_output_buffer_limit.pubsub.soft_seconds, 3);
        for key in config::all_keys().filter(|key| key.mirror_of.is_none()) {
            let words: Vec<&str> = if key.takes_words() {
                key.default.split(' ').collect()
            } else {
                vec![key.default]
            };
            let flag = format!("--{}", key.name);
            let args: Vec<&str> = std::iter::once(flag.as_str()).chain(words).collect();
            assert_eq!(*server(&args).unwrap().get(), config::Values::default(), "{}", key.name);
        }
    }

    #[test]
    fn errors_are_one_line() {
        for (args, text) in [
            (
                &["--port", "x"][..],
                "command line: port is \"x\", but must be a whole number from 0 to 65535",
            ),
            (
                &["--config", "/does/not/exist"],
                "cannot read the configuration file /does/not/exist: No such file",
            ),
            (&["--prot", "5"], "unexpected argument '--prot' found"),
            (&["--port"], "a value is required for '--port <VALUE>'"),
        ] {
            let error = server(args).unwrap_err();
            assert!(error.starts_with(text) && error.lines().count() == 1, "{error}");
        }
        assert_eq!(parse(["haypile", "serve"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn servers_to_compare_are_named_in_two_ways() {
        let addresses = |args: &[&str]| match parse(["haypile", "debug", "digest"].iter().chain(args)) {
            Ok(Command::Digest(asked)) => asked.addresses.join(" "),
            other => panic!("{other:?}"),
        };
        assert_eq!(addresses(&[]), "127.0.0.1:9221");
        assert_eq!(addresses(&["--port", "7"]), "127.0.0.1:7");
        assert_eq!(addresses(&["a:1", "b:2"]), "a:1 b:2");
        assert_eq!(addresses(&["a:1", "--host", "c"]), "c:9221 a:1");
    }

    #[test]
    fn what_is_printed() {
        assert_eq!(
            printed(&["--version"]),
            format!("haypile {}\n", env!("CARGO_PKG_VERSION"))
        );
        assert!(printed(&[]).contains("Usage: haypile"));
        assert!(printed(&["debug"]).contains("digest"));
        assert!(printed(&["server", "--help"]).contains("--memory-budget <VALUE>"));
        assert_eq!(printed(&["config"]), config::sample());
        assert_eq!(printed(&["config", "--markdown"]), config::markdown());
        assert_eq!(printed(&["commands"]), reference::list());
        assert_eq!(printed(&["commands", "--markdown"]), reference::markdown());
    }
}
