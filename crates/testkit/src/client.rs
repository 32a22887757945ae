//! A client that speaks RESP to a server over a socket, and says what it heard as a person would write it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use haypile_resp::client::{Decoder, Value};

use super::{PATIENCE, text, words};

/// One connection to the server under test.
pub struct Client {
    stream: TcpStream,
    decoder: Decoder,
    input: BytesMut,
}

impl Client {
    /// Connects to this port of the loopback interface.
    #[track_caller]
    pub fn connect(port: u16) -> Client {
        Client::try_connect(port).expect("a connection")
    }

    /// As [`Client::connect`], for a server that may be gone.
    pub fn try_connect(port: u16) -> io::Result<Client> {
        Client::try_connect_to(([127, 0, 0, 1], port).into())
    }

    /// Connects to this address, where nobody may listen.
    pub fn try_connect_to(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream,
            decoder: Decoder::new(),
            input: BytesMut::new(),
        })
    }

    /// Sends a command and gives its reply, or the first thing that arrives.
    #[track_caller]
    pub fn cmd<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.send(args);
        self.recv()
    }

    /// Sends a command written as in a shell (see [`words`]) and gives its reply as text (see [`text()`]).
    #[track_caller]
    pub fn say(&mut self, line: &str) -> String {
        text(&self.cmd(&words(line)))
    }

    /// Sends a command without awaiting its reply.
    #[track_caller]
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        let mut bytes = Vec::new();
        encode(&mut bytes, args);
        self.send_raw(&bytes);
    }

    /// Sends commands, each written as in a shell, at one go.
    #[track_caller]
    pub fn send_lines(&mut self, lines: &[&str]) {
        let mut bytes = Vec::new();
        lines.iter().for_each(|line| encode(&mut bytes, &words(line)));
        self.send_raw(&bytes);
    }

    /// As [`Client::send_lines`], to a server that may be gone.
    pub fn try_send_lines(&mut self, lines: &[&str]) -> io::Result<()> {
        let mut bytes = Vec::new();
        lines.iter().for_each(|line| encode(&mut bytes, &words(line)));
        self.stream.write_all(&bytes)
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes what is sent");
    }

    /// The next reply or message.
    #[track_caller]
    pub fn recv(&mut self) -> Value {
        match self.recv_within(PATIENCE) {
            Ok(Some(value)) => value,
            Ok(None) => panic!("no reply arrives"),
            Err(error) => panic!("the connection is broken: {error}"),
        }
    }

    /// The next reply or message as text.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        text(&self.recv())
    }

    /// The next `n` replies or messages as text.
    #[track_caller]
    pub fn hear_all(&mut self, n: usize) -> Vec<String> {
        (0..n).map(|_| self.hear()).collect()
    }

    /// The next reply or message, `None` if none arrives in time, or an error if the server has closed the connection.
    pub fn recv_within(&mut self, patience: Duration) -> io::Result<Option<Value>> {
        let deadline = Instant::now() + patience;
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(value) = self.decoder.decode(&mut self.input).map_err(io::Error::other)? {
                return Ok(Some(value));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.input.extend_from_slice(&chunk[..n]),
                Err(error) if is_late(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the server closes the connection, which it does without sending anything more.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        match self.recv_within(PATIENCE) {
            Ok(Some(value)) => panic!("not closed, but: {}", text(&value)),
            Ok(None) => panic!("the connection stays open"),
            Err(_) => {}
        }
    }

    /// Checks that nothing has been sent to this client other than what it has received: the reply to a PING comes
    /// next. Messages that another client has caused before this call would stand before it.
    #[track_caller]
    pub fn assert_silent(&mut self) {
        let next = text(&self.cmd(&["PING", "silence"]));
        assert!(
            next == "\"silence\"" || next == "[\"pong\", \"silence\"]",
            "unexpected: {next}"
        );
    }

    /// The connection's number at the server.
    #[track_caller]
    pub fn id(&mut self) -> i64 {
        self.cmd(&["CLIENT", "ID"]).as_i64().expect("an id")
    }

    /// The address that the server sees the connection come from.
    pub fn addr(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Says that nothing more will be sent; what the server still sends can be received.
    pub fn shut_down_sending(&self) {
        // The server may have closed it already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// Adds a command in the form that every client library sends.
pub fn encode<A: AsRef<[u8]>>(bytes: &mut Vec<u8>, args: &[A]) {
    bytes.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
}

fn is_late(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
