//! `haypile debug digest`: asks servers for the digests of their databases, and compares them.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use haypile_config::Values;
use haypile_node::tls::{self, TlsError};
use haypile_resp::client::{Decoder, Value};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::json;

/// Longest time to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read at once.
const READ_BYTES: usize = 16 << 10;

/// Whom to ask, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Servers, each as `host:port`.
    pub addresses: Vec<String>,
    /// The user; empty for the default one.
    pub user: String,
    /// The password; empty for none.
    pub password: String,
    /// TLS, by these files; `None` = plain TCP.
    pub tls: Option<TlsFiles>,
    /// Longest time to wait for a digest, which takes as long as reading all data.
    pub timeout: Duration,
    /// Print JSON.
    pub json: bool,
}

/// What TLS needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CAs that servers' certificates are checked by.
    pub cacert: String,
    /// The certificate to show; empty for none.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// A server could not be reached, or broke off.
    #[error("{address}: {source}")]
    Io {
        /// The server.
        address: String,
        /// What was said.
        source: io::Error,
    },
    /// A server has answered with an error, or with something else than digests.
    #[error("{address}: {answer}")]
    Refused {
        /// The server.
        address: String,
        /// Its words.
        answer: String,
    },
    /// TLS as it is asked for.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Where it is printed to.
    #[error("cannot write: {0}")]
    Output(io::Error),
}

/// What a server holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Digests {
    address: String,
    /// Index of the last entry shown before the digest was begun, and after it was done.
    positions: (i64, i64),
    total: String,
    databases: Vec<Database>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Database {
    number: i64,
    keys: i64,
    digest: String,
}

/// Prints the digests of the servers; gives whether all are the same.
///
/// # Errors
/// A server does not answer as it should.
pub fn compare(asked: &Asked, out: &mut impl Write) -> Result<bool, DigestError> {
    let tls = asked.tls.as_ref().map(client_config).transpose()?;
    let all = asked
        .addresses
        .iter()
        .map(|address| ask(asked, tls.as_ref(), address))
        .collect::<Result<Vec<_>, _>>()?;
    let differing = differing(&all);
    let same = all.iter().all(|one| one.total == all[0].total) && differing.is_empty();
    let printed = match asked.json {
        true => print_json(&all, same, out),
        false => print(&all, &differing, same, out),
    };
    printed.map_err(DigestError::Output)?;
    Ok(same)
}

/// The databases that are not the same everywhere.
fn differing(all: &[Digests]) -> BTreeSet<i64> {
    let mut differing = BTreeSet::new();
    for one in all {
        for other in all {
            let missing = one.databases.iter().filter(|db| !other.databases.contains(db));
            differing.extend(missing.map(|db| db.number));
        }
    }
    differing
}

fn print(all: &[Digests], differing: &BTreeSet<i64>, same: bool, out: &mut impl Write) -> io::Result<()> {
    for one in all {
        writeln!(out, "{} at position {}", one.address, one.positions.1)?;
        for db in &one.databases {
            let mark = if differing.contains(&db.number) {
                "  differs"
            } else {
                ""
            };
            writeln!(out, "  db {:<3} {:>12} keys  {}{mark}", db.number, db.keys, db.digest)?;
        }
        let keys: i64 = one.databases.iter().map(|db| db.keys).sum();
        writeln!(out, "  total  {keys:>12} keys  {}", one.total)?;
    }
    if all.len() < 2 {
        return Ok(());
    }
    match same {
        true => writeln!(out, "all {} servers hold the same data", all.len()),
        false if at_rest(all) => writeln!(out, "the servers differ"),
        false => writeln!(
            out,
            "the servers differ, but they were not at the same position all along: compare when no writes are under way"
        ),
    }
}

/// All were at one position, before and after.
fn at_rest(all: &[Digests]) -> bool {
    let position = all.first().map(|one| one.positions.0);
    all.iter()
        .all(|one| Some(one.positions.0) == position && Some(one.positions.1) == position)
}

fn print_json(all: &[Digests], same: bool, out: &mut impl Write) -> io::Result<()> {
    let servers = all.iter().map(|one| {
        let databases = one
            .databases
            .iter()
            .map(|db| json!({ "db": db.number, "keys": db.keys, "digest": db.digest }));
        json!({
            "address": one.address,
            "position_before": one.positions.0,
            "position_after": one.positions.1,
            "digest": one.total,
            "databases": databases.collect::<Vec<_>>(),
        })
    });
    writeln!(
        out,
        "{}",
        json!({ "same": same, "servers": servers.collect::<Vec<_>>() })
    )
}

fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    tls::for_tools(&Values {
        tls_ca_cert_file: files.cacert.clone(),
        tls_client_cert_file: files.cert.clone(),
        tls_client_key_file: files.key.clone(),
        ..Values::default()
    })
}

fn ask(asked: &Asked, tls: Option<&Arc<ClientConfig>>, address: &str) -> Result<Digests, DigestError> {
    let io = |source| DigestError::Io {
        address: address.to_owned(),
        source,
    };
    let refused = |answer: &str| DigestError::Refused {
        address: address.to_owned(),
        answer: answer.to_owned(),
    };
    let mut connection = Connection::open(address, tls, asked.timeout).map_err(io)?;
    if !asked.password.is_empty() {
        let mut auth = vec!["AUTH"];
        auth.extend((!asked.user.is_empty()).then_some(asked.user.as_str()));
        auth.push(&asked.password);
        if let Some(error) = connection.call(&auth).map_err(io)?.as_error() {
            return Err(refused(error));
        }
    }
    let answer = connection.call(&["DEBUG", "DIGEST-DATABASES"]).map_err(io)?;
    match (&answer, digests(address, &answer)) {
        (Value::Error(error), _) => Err(refused(error)),
        (_, Some(digests)) => Ok(digests),
        (_, None) => Err(refused("the answer is not what this program expects")),
    }
}

/// See `DEBUG DIGEST-DATABASES`.
fn digests(address: &str, answer: &Value) -> Option<Digests> {
    let text = |value: &Value| Some(String::from_utf8_lossy(value.as_bytes()?).into_owned());
    let [before, after, total, databases @ ..] = answer.as_elements()? else {
        return None;
    };
    let database = |value: &Value| match value.as_elements()? {
        [number, keys, digest] => Some(Database {
            number: number.as_i64()?,
            keys: keys.as_i64()?,
            digest: text(digest)?,
        }),
        _ => None,
    };
    Some(Digests {
        address: address.to_owned(),
        positions: (before.as_i64()?, after.as_i64()?),
        total: text(total)?,
        databases: databases.iter().map(database).collect::<Option<_>>()?,
    })
}

/// A connection that waits for each answer.
struct Connection {
    stream: Box<dyn Transport>,
    buffer: BytesMut,
    decoder: Decoder,
}

/// TCP, or TLS over it.
trait Transport: Read + Write {}

impl<T: Read + Write> Transport for T {}

impl Connection {
    fn open(address: &str, tls: Option<&Arc<ClientConfig>>, timeout: Duration) -> io::Result<Self> {
        let mut outcome = Err(io::Error::other("the name has no address"));
        for address in address.to_socket_addrs()? {
            outcome = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT);
            if outcome.is_ok() {
                break;
            }
        }
        let stream = outcome?;
        stream.set_read_timeout(Some(timeout).filter(|timeout| !timeout.is_zero()))?;
        let stream: Box<dyn Transport> = match tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::from(stream.peer_addr()?.ip());
                let tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(tls, stream))
            }
        };
        Ok(Connection {
            stream,
            buffer: BytesMut::new(),
            decoder: Decoder::new(),
        })
    }

    fn call(&mut self, args: &[&str]) -> io::Result<Value> {
        let mut request = format!("*{}\r\n", args.len());
        for arg in args {
            request.push_str(&format!("${}\r\n{arg}\r\n", arg.len()));
        }
        self.stream.write_all(request.as_bytes())?;
        self.stream.flush()?;
        let mut bytes = [0; READ_BYTES];
        loop {
            let decoded = self.decoder.decode(&mut self.buffer);
            if let Some(value) = decoded.map_err(|error| io::Error::other(error.to_string()))? {
                return Ok(value);
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Ok(read) => self.buffer.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str, positions: (i64, i64), databases: &[(i64, &str)]) -> Digests {
        let database = |&(number, digest): &(i64, &str)| Database {
            number,
            keys: 1,
            digest: digest.into(),
        };
        Digests {
            address: address.into(),
            positions,
            total: databases.iter().map(|(_, digest)| *digest).collect(),
            databases: databases.iter().map(database).collect(),
        }
    }

    #[test]
    fn differences_are_named() {
        let all = [
            server("a", (5, 5), &[(0, "x"), (1, "y")]),
            server("b", (5, 5), &[(0, "x"), (2, "y")]),
        ];
        assert_eq!(differing(&all), BTreeSet::from([1, 2]));
        assert!(at_rest(&all));
        assert!(!at_rest(&[server("a", (5, 6), &[])]));
        let mut out = Vec::new();
        print(&all, &differing(&all), false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("a at position 5\n  db 0 "), "{text}");
        assert!(text.ends_with("the servers differ\n"), "{text}");
        assert_eq!(text.matches("differs").count(), 2);
    }

    #[test]
    fn answers_are_read() {
        let number = Value::Integer;
        let text = |text: &str| Value::Simple(text.into());
        let database = |n| Value::Array(vec![number(n), number(10), text("d")]);
        let answer = Value::Array(vec![number(7), number(8), text("t"), database(0), database(3)]);
        let read = digests("a", &answer).unwrap();
        assert_eq!((read.positions, read.databases.len()), ((7, 8), 2));
        assert_eq!(digests("a", &text("OK")), None);
    }
}
