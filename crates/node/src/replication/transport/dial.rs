//! From an address to a connection: first the Redis protocol, to log in and to ask for the sync port, then gRPC.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use haypile_config::{Config, Values};
use haypile_resp::client::{Decoder, Value};
use haypile_sync::wire::MESSAGE_BYTES_MAX;
use haypile_sync::wire::v1::sync_client::SyncClient;
use haypile_sync::{ErrorKind, Failure, NotReady};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::activity::{Activity, Counted};
use super::link;
use super::{CONNECTION_WINDOW_BYTES, PASSWORD_HEADER, STREAM_WINDOW_BYTES, USER_HEADER};
use crate::tls::{self, Contexts, Tls, Trouble};

/// The first byte of an answer by somebody who speaks TLS to one who does not: an alert (RFC 8446, 5.1).
const TLS_ALERT: u8 = 21;

/// Bytes of an answer by the Redis protocol: what is asked is answered with a word or a number.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A connection to a source.
pub(in crate::replication) type Client = SyncClient<InterceptedService<Channel, Credentials>>;

/// User and password, added to each request.
#[derive(Clone)]
pub(in crate::replication) struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    fn of(values: &Values) -> Self {
        Credentials {
            user: values.masteruser.clone(),
            password: values.masterauth.clone(),
        }
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if !self.password.is_empty() {
            let metadata = request.metadata_mut();
            metadata.insert_bin(USER_HEADER, MetadataValue::from_bytes(self.user.as_bytes()));
            metadata.insert_bin(PASSWORD_HEADER, MetadataValue::from_bytes(self.password.as_bytes()));
        }
        Ok(request)
    }
}

/// What a transport's error means.
pub(in crate::replication) fn failure(status: &Status) -> Failure {
    if let Some(error) = io_error(status)
        && let (Trouble::Certificate, cause) = tls::describe(error)
    {
        return Failure::new(ErrorKind::AuthFailed, cause);
    }
    let kind = match status.code() {
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => ErrorKind::AuthFailed,
        tonic::Code::Unimplemented | tonic::Code::InvalidArgument => ErrorKind::Protocol,
        tonic::Code::DeadlineExceeded => ErrorKind::Timeout("request"),
        // A damaged message is among these: what it came from is not damaged, so it is asked for again, soon, and a
        // checkpoint is not condemned for it.
        _ => ErrorKind::PeerClosed,
    };
    Failure::new(kind, status.to_string())
}

/// The error of the connection that is behind another.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// What an error of the connection means.
fn connection_failure(error: &io::Error) -> Failure {
    match tls::describe(error) {
        (Trouble::Certificate, cause) => Failure::new(ErrorKind::AuthFailed, cause),
        (Trouble::Connection, cause) => Failure::new(ErrorKind::ConnectFailed, cause),
    }
}

/// Connects to other servers as the configuration of one moment says.
pub(in crate::replication) struct Dialer {
    values: Arc<Values>,
    contexts: Option<Arc<Contexts>>,
}

impl Dialer {
    pub(in crate::replication) fn new(config: &Config, tls: &Tls) -> Self {
        Dialer {
            values: config.get(),
            contexts: tls.get(),
        }
    }

    /// The configuration of TLS for a port; `None` if `tls-replication` is off.
    fn tls(&self, of: fn(&tls::Dials) -> &Arc<ClientConfig>) -> Result<Option<Arc<ClientConfig>>, Failure> {
        if !self.values.tls_replication {
            return Ok(None);
        }
        let dials = self.contexts.as_ref().and_then(|contexts| contexts.dials.as_ref());
        let config = dials.map(|dials| of(dials).clone());
        // CONFIG SET has them read before it takes the values.
        let missing = || Failure::new(ErrorKind::Internal, "there are no certificates for tls-replication");
        config.map(Some).ok_or_else(missing)
    }

    /// How long a handshake may take: less than all of it, so that what takes too long has a name.
    fn patience(&self) -> Duration {
        let silence = Duration::from_secs(u64::from(self.values.repl_timeout));
        silence.min(haypile_sync::Settings::default().connect_timeout) / 2
    }

    /// Connects to a server by its address for clients, `host:port`. What comes from it then is counted in `activity`.
    ///
    /// # Errors
    /// Why that does not work.
    pub(in crate::replication) async fn dial(&self, address: &str, activity: Activity) -> Result<Client, Failure> {
        let bad = || Failure::new(ErrorKind::ConnectFailed, format!("{address} is no address"));
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let port: u16 = port.parse().map_err(|_| bad())?;
        let credentials = Credentials::of(&self.values);
        let sync_port = self.ask_for_port(host, port, &credentials).await?;
        let silence = Duration::from_secs(u64::from(self.values.repl_timeout));
        let failed = |error: tonic::transport::Error| {
            let failure = match io_error(&error) {
                Some(error) => connection_failure(error),
                None => Failure::new(ErrorKind::ConnectFailed, error.to_string()),
            };
            Failure::new(failure.kind, format!("sync port {sync_port}: {}", failure.cause))
        };
        let (tls, patience) = (self.tls(|dials| &dials.sync_port)?, self.patience());
        let (host, name) = match host.contains(':') {
            true => (host.to_owned(), format!("[{host}]")),
            false => (host.to_owned(), host.to_owned()),
        };
        let connect = move |_| {
            let (host, tls, activity) = (host.clone(), tls.clone(), activity.clone());
            async move {
                let link = link::connect(&host, sync_port, tls, patience).await?;
                Ok::<_, io::Error>(TokioIo::new(Counted::new(link, activity)))
            }
        };
        let channel = Endpoint::from_shared(format!("http://{name}:{sync_port}"))
            .map_err(failed)?
            .http2_keep_alive_interval(silence / 2)
            .keep_alive_timeout(silence / 2)
            .keep_alive_while_idle(true)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .connect_with_connector(tower::service_fn(connect))
            .await
            .map_err(failed)?;
        Ok(SyncClient::with_interceptor(channel, credentials)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Sends one command; gives the word that it is answered with, or the text of the error. `sent` is set before the other side
    /// can have seen the command.
    ///
    /// # Errors
    /// There is no answer.
    pub(in crate::replication) async fn ask(
        &self,
        host: &str,
        port: u16,
        command: &[&str],
        sent: &AtomicBool,
    ) -> Result<Result<String, String>, Failure> {
        let credentials = Credentials::of(&self.values);
        match self.converse(host, port, &credentials, command, sent).await? {
            Value::Simple(word) => Ok(Ok(word)),
            Value::Error(text) => Ok(Err(text)),
            other => Ok(Err(format!("it answers {other:?}"))),
        }
    }

    async fn ask_for_port(&self, host: &str, port: u16, credentials: &Credentials) -> Result<u16, Failure> {
        let command = ["REPLCONF", "sync-port"];
        let reply = self
            .converse(host, port, credentials, &command, &AtomicBool::default())
            .await?;
        if let Value::Error(text) = &reply {
            return Err(refusal(&command, text));
        }
        match reply.as_i64().and_then(|port| u16::try_from(port).ok()) {
            Some(0) => Err(Failure::new(
                ErrorKind::Refused,
                "its sync-port is 0: it takes no replicas",
            )),
            Some(port) => Ok(port),
            None => Err(Failure::new(ErrorKind::ProtocolVersion, "it is no Haypile server")),
        }
    }

    /// Logs in by the Redis protocol and sends one command; gives its reply, which may be an error. `sent` is set before the command
    /// is sent.
    async fn converse(
        &self,
        host: &str,
        port: u16,
        credentials: &Credentials,
        command: &[&str],
        sent: &AtomicBool,
    ) -> Result<Value, Failure> {
        let failed = |error: io::Error| connection_failure(&error);
        let tls = self.tls(|dials| &dials.client_port)?;
        let mut stream = link::connect(host, port, tls, self.patience()).await.map_err(failed)?;
        let (mut decoder, mut input) = (Decoder::new(), BytesMut::new());
        let auth = ["AUTH", credentials.user.as_str(), credentials.password.as_str()];
        let auth: Vec<&str> = auth.into_iter().filter(|word| !word.is_empty()).collect();
        let mut first: Vec<&[&str]> = vec![&["PING"]];
        if !credentials.password.is_empty() {
            first.insert(0, &auth);
        }
        let last = first.len();
        for (n, command) in first.into_iter().chain([command]).enumerate() {
            if n == last {
                sent.store(true, Ordering::Release);
            }
            if let Err(error) = stream.write_all(&encode(command)).await {
                // The other side may have said why it has closed the connection.
                let said = stream.read_buf(&mut input).await.err();
                return Err(failed(said.unwrap_or(error)));
            }
            let reply = loop {
                if !self.values.tls_replication && input.first() == Some(&TLS_ALERT) {
                    let cause = "the other side speaks TLS on this port: tls-replication";
                    return Err(Failure::new(ErrorKind::ConnectFailed, cause));
                }
                if let Some(value) = decoder
                    .decode(&mut input)
                    .map_err(|error| Failure::new(ErrorKind::Protocol, error.to_string()))?
                {
                    break value;
                }
                if input.len() > ANSWER_BYTES_MAX {
                    let cause = format!("it answers {} with more than {ANSWER_BYTES_MAX} bytes", command[0]);
                    return Err(Failure::new(ErrorKind::Protocol, cause));
                }
                if stream.read_buf(&mut input).await.map_err(failed)? == 0 {
                    return Err(Failure::new(ErrorKind::PeerClosed, "before it had answered"));
                }
            };
            match reply {
                reply if n == last => return Ok(reply),
                Value::Error(text) => return Err(refusal(command, &text)),
                _ => {}
            }
        }
        Ok(Value::Null)
    }
}

fn refusal(command: &[&str], text: &str) -> Failure {
    let kind = match text.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => ErrorKind::AuthFailed,
        "LOADING" | "MASTERDOWN" | "BUSY" => ErrorKind::PeerNotReady(NotReady::Loading),
        _ if command.first() == Some(&"AUTH") => ErrorKind::AuthFailed,
        // Redis, or a program that is too old.
        _ if command.first() == Some(&"REPLCONF") => {
            let cause = format!("it is no Haypile server: it answers REPLCONF sync-port with {text:?}");
            return Failure::new(ErrorKind::ProtocolVersion, cause);
        }
        _ => ErrorKind::Refused,
    };
    Failure::new(kind, text)
}

fn encode(command: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len());
    for word in command {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}
