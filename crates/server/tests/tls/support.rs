//! A certificate authority for these tests, and servers and clients that use it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use haypile_resp::client::{Decoder, Value};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use haypile_testkit::{PATIENCE, Server, encode, text, words};

/// A CA, and the directory of what it has issued.
pub struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two CAs of one name would be one CA with two keys.
        params
            .distinguished_name
            .push(DnType::CommonName, dir.path().to_string_lossy());
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.path().join("ca.crt"), issuer.pem()).unwrap();
        Authority { dir, issuer }
    }

    /// Its own certificate.
    pub fn cert(&self) -> String {
        self.path("ca.crt").to_string_lossy().into_owned()
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Issues a certificate for localhost.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_with(name, |_| {})
    }

    /// One that has expired long ago.
    pub fn issue_expired(&self, name: &str) -> Identity {
        self.issue_with(name, |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_path, key_path) = (self.path(&format!("{name}.crt")), self.path(&format!("{name}.key")));
        std::fs::write(&cert_path, cert.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        Identity {
            cert: cert_path.to_string_lossy().into_owned(),
            key: key_path.to_string_lossy().into_owned(),
        }
    }

    /// The arguments of a server with this certificate, which trusts this CA.
    pub fn args(&self, identity: &Identity) -> Vec<String> {
        let pairs = [
            ("--tls-cert-file", identity.cert.clone()),
            ("--tls-key-file", identity.key.clone()),
            ("--tls-ca-cert-file", self.cert()),
        ];
        pairs
            .into_iter()
            .flat_map(|(key, value)| [key.to_string(), value])
            .collect()
    }
}

/// Times that another port is tried when somebody else has taken the one that was free.
const PORT_ATTEMPTS: usize = 20;

/// A port that nobody uses now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().unwrap().port()
}

/// A server with a port for TLS, and none without: [`Server::port`] is that port.
#[track_caller]
pub fn start(args: &[String], more: &[&str]) -> Server {
    for _ in 0..PORT_ATTEMPTS {
        let mut all: Vec<String> = vec!["--tls-port".into(), free_port().to_string()];
        all.extend_from_slice(args);
        all.extend(more.iter().map(|arg| (*arg).to_string()));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut server = Server::stopped(&all);
        match server.try_start_again() {
            Ok(()) => return server,
            Err(refusal) if refusal.errors.contains("Address already in use") => {}
            Err(refusal) => panic!("the server is not ready: {}", refusal.errors),
        }
    }
    panic!("no port stays free");
}

/// A client's side of TLS: whom it trusts, who it is, which versions it speaks.
pub fn client_config(
    trusted: &Authority,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(trusted.issuer.der().clone()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_webpki_verifier(verifier.build().unwrap());
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let certs = CertificateDer::pem_file_iter(&identity.cert).unwrap();
            let certs = certs.collect::<Result<Vec<_>, _>>().unwrap();
            let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
            builder.with_client_auth_cert(certs, key).unwrap()
        }
    })
}

/// A connection with TLS.
pub struct TlsClient {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
    decoder: Decoder,
    input: BytesMut,
}

impl TlsClient {
    /// Connects and shakes hands.
    pub fn connect(port: u16, config: &Arc<ClientConfig>) -> io::Result<TlsClient> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let connection = ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(TlsClient {
            stream,
            decoder: Decoder::new(),
            input: BytesMut::new(),
        })
    }

    /// Sends commands, each written as in a shell, at one go.
    pub fn send_lines(&mut self, lines: &[&str]) -> io::Result<()> {
        let mut bytes = Vec::new();
        lines.iter().for_each(|line| encode(&mut bytes, &words(line)));
        self.stream.write_all(&bytes)?;
        self.stream.flush()
    }

    /// The next reply or message.
    pub fn recv(&mut self) -> io::Result<Value> {
        let mut chunk = [0; 16 << 10];
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = self.decoder.decode(&mut self.input).map_err(io::Error::other)? {
                return Ok(value);
            }
            assert!(Instant::now() < deadline, "no reply arrives");
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.input.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// Sends a command written as in a shell and gives its reply as text.
    pub fn try_say(&mut self, line: &str) -> io::Result<String> {
        self.send_lines(&[line])?;
        self.recv().map(|value| text(&value))
    }

    #[track_caller]
    pub fn say(&mut self, line: &str) -> String {
        self.try_say(line).expect("a reply")
    }

    #[track_caller]
    pub fn hear(&mut self) -> String {
        text(&self.recv().expect("a reply or a message"))
    }

    /// A field of INFO; empty if it is not there.
    pub fn field(&mut self, section: &str, name: &str) -> String {
        self.send_lines(&[&format!("INFO {section}")]).unwrap();
        let info = self.recv().unwrap();
        let info = String::from_utf8_lossy(info.as_bytes().unwrap()).into_owned();
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_default().to_owned()
    }
}

/// Connects and asks for something: TLS 1.3 tells a client only afterwards that its certificate was refused.
pub fn ping(port: u16, config: &Arc<ClientConfig>) -> io::Result<String> {
    TlsClient::connect(port, config)?.try_say("PING")
}

/// Waits until the other side closes a bare connection; gives what it has sent.
pub fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the connection stays open");
        match socket.read(&mut chunk) {
            Ok(0) => return bytes,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => return bytes,
        }
    }
}
