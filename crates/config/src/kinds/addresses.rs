//! Addresses: to listen on, of hosts, of the members of a group.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use haypile_types::is_host;

use super::super::codec::Codec;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// The address as it was written.
    pub text: String,
    /// The address it stands for.
    pub ip: IpAddr,
    /// Written with a leading `-`: the server starts also when this address does not exist on the machine.
    pub optional: bool,
}

impl BindAddress {
    fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix('-').unwrap_or(text);
        let ip = match name {
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => name.parse().ok()?,
        };
        Some(Self {
            text: text.to_string(),
            ip,
            optional: text.starts_with('-'),
        })
    }
}

/// A list of addresses to listen on.
pub struct BindAddresses;

impl Codec for BindAddresses {
    type Value = Vec<BindAddress>;

    fn parse(&self, text: &str, _now: Option<&Self::Value>) -> Result<Self::Value, String> {
        let addresses: Option<Vec<_>> = text.split_whitespace().map(BindAddress::parse).collect();
        let addresses = addresses.filter(|list| !list.is_empty());
        addresses.ok_or_else(|| format!("argument must be {}", self.allowed()))
    }

    fn print(&self, value: &Self::Value) -> String {
        value
            .iter()
            .map(|address| address.text.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn allowed(&self) -> String {
        "one or more IP addresses, * for all IPv4 or ::* for all IPv6 ones; a leading - makes one optional".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

/// A host, or nothing.
pub struct Host;

impl Codec for Host {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        match text.is_empty() || is_host(text) {
            true => Ok(text.to_owned()),
            false => Err(format!("argument must be {}", self.allowed())),
        }
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "a host, or empty".into()
    }
}

/// A host and a port, or nothing.
pub struct HostPort;

impl Codec for HostPort {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            [] => Ok(String::new()),
            [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => Ok(String::new()),
            [host, port] if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                Ok(format!("{host} {port}"))
            }
            _ => Err(format!("argument must be {}", self.allowed())),
        }
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "a host and a port, or empty".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

/// A member of a replica group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number, which nobody else has had.
    pub number: u64,
    /// Where clients reach it, and other members.
    pub host: String,
    /// The port there.
    pub port: u16,
}

impl Member {
    /// `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Members as `group-members` has them.
    pub fn list(members: &[Member]) -> String {
        let members = members
            .iter()
            .map(|member| format!("{}={}", member.number, member.address()));
        members.collect::<Vec<_>>().join(" ")
    }

    /// A member as `number=host:port`; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, address) = text.split_once('=')?;
        let (host, port) = address.rsplit_once(':')?;
        let number = number.parse().ok().filter(|number| *number > 0)?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        is_host(host).then(|| Member {
            number,
            host: host.to_owned(),
            port,
        })
    }
}

/// The members of a replica group, each with a number of its own.
pub struct Members;

impl Codec for Members {
    type Value = Vec<Member>;

    fn parse(&self, text: &str, _now: Option<&Vec<Member>>) -> Result<Vec<Member>, String> {
        let parsed: Option<Vec<Member>> = text.split_whitespace().map(Member::parse).collect();
        let mut members = parsed.ok_or_else(|| format!("argument must be {}", self.allowed()))?;
        members.sort_by_key(|member| member.number);
        match members.windows(2).any(|two| two[0].number == two[1].number) {
            true => Err("two members have the same number".into()),
            false => Ok(members),
        }
    }

    fn print(&self, value: &Vec<Member>) -> String {
        Member::list(value)
    }

    fn allowed(&self) -> String {
        "members as number=host:port, or empty".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}
