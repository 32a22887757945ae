//! From an address to a connection: first the Redis protocol, to log in and to ask for the sync port, then gRPC.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use haypile_resp::client::{Decoder, Value};
use haypile_sync::wire::MESSAGE_BYTES_MAX;
use haypile_sync::wire::v1::sync_client::SyncClient;
use haypile_sync::{ErrorKind, Failure, NotReady};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::signs::{Counted, Signs};
use super::{CONNECTION_WINDOW_BYTES, PASSWORD_HEADER, STREAM_WINDOW_BYTES, USER_HEADER};
use crate::config::Values;

/// A connection to a source.
pub(super) type Client = SyncClient<InterceptedService<Channel, Credentials>>;

/// User and password, added to each request.
#[derive(Clone)]
pub(super) struct Credentials {
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
pub(super) fn failure(status: &Status) -> Failure {
    let kind = match status.code() {
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => ErrorKind::AuthFailed,
        tonic::Code::Unimplemented | tonic::Code::InvalidArgument => ErrorKind::Protocol,
        tonic::Code::DataLoss => ErrorKind::Corrupt("a message".into()),
        tonic::Code::DeadlineExceeded => ErrorKind::Timeout("request"),
        _ => ErrorKind::PeerClosed,
    };
    Failure::new(kind, status.to_string())
}

/// Connects to a server by its address for clients, `host:port`. What comes from it then is counted in `signs`.
///
/// # Errors
/// Why that does not work.
pub(super) async fn dial(values: &Values, address: &str, signs: Signs) -> Result<Client, Failure> {
    let bad = || Failure::new(ErrorKind::ConnectFailed, format!("{address} is no address"));
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    let credentials = Credentials::of(values);
    let sync_port = ask_for_port(host, port, &credentials).await?;
    let silence = Duration::from_secs(u64::from(values.repl_timeout));
    let name = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let host = host.to_owned();
    let connect = move |_| {
        let (host, signs) = (host.clone(), signs.clone());
        async move {
            let stream = TcpStream::connect((host.as_str(), sync_port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(TokioIo::new(Counted::new(stream, signs)))
        }
    };
    let failed = |error: tonic::transport::Error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let cause = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        Failure::new(ErrorKind::ConnectFailed, format!("sync port {sync_port}: {cause}"))
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

/// Tells a replica to take over.
///
/// # Errors
/// Why it does not.
pub(super) async fn promote(values: &Values, host: &str, port: u16) -> Result<(), Failure> {
    let credentials = Credentials::of(values);
    converse(host, port, &credentials, &["REPLICAOF", "NO", "ONE"]).await?;
    Ok(())
}

async fn ask_for_port(host: &str, port: u16, credentials: &Credentials) -> Result<u16, Failure> {
    let reply = converse(host, port, credentials, &["REPLCONF", "sync-port"]).await?;
    match reply.as_i64().and_then(|port| u16::try_from(port).ok()) {
        Some(0) => Err(Failure::new(
            ErrorKind::Refused,
            "its sync-port is 0: it takes no replicas",
        )),
        Some(port) => Ok(port),
        None => Err(Failure::new(ErrorKind::ProtocolVersion, "it is no Haypile server")),
    }
}

/// Logs in by the Redis protocol and sends one command; gives its reply.
async fn converse(host: &str, port: u16, credentials: &Credentials, command: &[&str]) -> Result<Value, Failure> {
    let failed = |error: io::Error| Failure::new(ErrorKind::ConnectFailed, error.to_string());
    let mut stream = TcpStream::connect((host, port)).await.map_err(failed)?;
    let (mut decoder, mut input) = (Decoder::new(), BytesMut::new());
    let auth = ["AUTH", credentials.user.as_str(), credentials.password.as_str()];
    let auth: Vec<&str> = auth.into_iter().filter(|word| !word.is_empty()).collect();
    let mut commands: Vec<&[&str]> = vec![&["PING"], command];
    if !credentials.password.is_empty() {
        commands.insert(0, &auth);
    }
    let mut last = Value::Null;
    for command in commands {
        stream.write_all(&encode(command)).await.map_err(failed)?;
        last = loop {
            if let Some(value) = decoder
                .decode(&mut input)
                .map_err(|error| Failure::new(ErrorKind::Protocol, error.to_string()))?
            {
                break value;
            }
            if stream.read_buf(&mut input).await.map_err(failed)? == 0 {
                return Err(Failure::new(ErrorKind::PeerClosed, "before it had answered"));
            }
        };
        if let Value::Error(text) = &last {
            return Err(refusal(command, text));
        }
    }
    Ok(last)
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
