//! A replica follows a primary: how to begin it, and where both are.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
use crate::interrupt;
use crate::peer::{Peer, Server};

use super::Args;

/// No replica needs longer to reach its primary's position, a full sync of some GB included.
const IN_SYNC_MAX: Duration = Duration::from_secs(600);
/// Between two looks at a replica; also the resolution of what is timed so.
const POLL: Duration = Duration::from_millis(1);

/// The reply to INFO replication.
#[derive(Debug)]
pub struct Info(String);

impl Info {
    /// Asks for it.
    pub fn of(client: &mut Client) -> Result<Self, Error> {
        let reply = client.ask(&["INFO", "replication"])?;
        let text = reply.as_bytes().unwrap_or_default();
        Ok(Self(String::from_utf8_lossy(text).into_owned()))
    }

    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| line.split_once(':').is_some_and(|(key, _)| key == name);
        let found = self.0.lines().find(|text| line(text))?;
        Some(found[name.len() + 1..].trim())
    }

    /// A field that is a number.
    pub fn number(&self, name: &str) -> Result<u64, Error> {
        let value = self.field(name).and_then(|text| text.parse().ok());
        value.ok_or_else(|| Error::Reply {
            command: format!("INFO replication, {name}"),
            reply: self.0.clone(),
        })
    }

    /// Whether a replica receives what its primary writes.
    pub fn is_up(&self) -> bool {
        self.field("master_link_status") == Some("up") && self.field("master_sync_in_progress") == Some("0")
    }
}

/// Starts a replica of `primary` and waits until it has everything and is sent what is written from now on.
pub fn start_replica(args: &Args, peer: &Peer, primary: &Server) -> Result<Server, Error> {
    let replica = args.start(peer)?;
    follow(&replica, "127.0.0.1", primary.port)?;
    wait_in_sync(primary, &replica)?;
    // Redis streams to a replica only after its first acknowledgement, which comes up to a second later.
    primary.client()?.ask(&["SET", "haypile-bench:followed", "1"])?;
    wait_in_sync(primary, &replica)?;
    Ok(replica)
}

/// Makes `replica` follow whoever answers at an address.
pub fn follow(replica: &Server, host: &str, port: u16) -> Result<(), Error> {
    replica.client()?.ask(&["REPLICAOF", host, &port.to_string()]).map(drop)
}

/// The position up to which the primary has written: entries of the log, or bytes with Redis.
pub fn written(primary: &mut Client) -> Result<u64, Error> {
    Info::of(primary)?.number("master_repl_offset")
}

/// The position that the replica shows.
pub fn shown(replica: &mut Client) -> Result<u64, Error> {
    Info::of(replica)?.number("slave_repl_offset")
}

/// Waits until the replica has what the primary has now. Returns how long it took.
pub fn wait_in_sync(primary: &Server, replica: &Server) -> Result<Duration, Error> {
    let start = Instant::now();
    let goal = written(&mut primary.client()?)?;
    let mut client = replica.client()?;
    wait_until("the replica has what the primary has", IN_SYNC_MAX, || {
        let info = Info::of(&mut client)?;
        let there = info.is_up() && info.number("slave_repl_offset")? >= goal;
        Ok(if there { Ok(()) } else { Err(info.0) })
    })?;
    Ok(start.elapsed())
}

/// Looks again and again until `look` gives a value; what it gives meanwhile is told when the time is over.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Result<T, String>, Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    loop {
        interrupt::check()?;
        match look()? {
            Ok(value) => return Ok(value),
            Err(seen) if start.elapsed() > limit => {
                return Err(Error::Timeout {
                    what: what.into(),
                    limit,
                    seen,
                });
            }
            Err(_) => thread::sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info() {
        let info = Info("# Replication\r\nrole:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:17\r\n".into());
        assert_eq!(info.field("role"), Some("slave"));
        assert_eq!(info.number("slave_repl_offset").unwrap(), 17);
        assert!(info.number("role").is_err());
        assert!(info.field("slave").is_none());
        assert!(info.is_up());
    }

    #[test]
    fn waiting_has_an_end_that_says_what_was_seen() {
        let outcome = wait_until::<()>("x", Duration::ZERO, || Ok(Err("y".into())));
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains('x') && text.contains('y'), "{text}");
    }
}
