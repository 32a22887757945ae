//! The kinds of value that have a shape of their own: addresses, buffer limits, notification classes, save points,
//! percentiles.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use haypile_types::is_host;

use super::codec::{Codec, parse_size, print_size};

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

/// A switch that cannot be off, and why not.
pub struct OnlyYes(pub &'static str);

impl Codec for OnlyYes {
    type Value = bool;

    fn parse(&self, text: &str, _now: Option<&bool>) -> Result<bool, String> {
        match text.eq_ignore_ascii_case("yes") {
            true => Ok(true),
            false => Err(format!("argument must be {}", self.allowed())),
        }
    }

    fn print(&self, _: &bool) -> String {
        "yes".into()
    }

    fn allowed(&self) -> String {
        format!("yes: {}", self.0)
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

    fn parse(text: &str) -> Option<Self> {
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
        let members = value
            .iter()
            .map(|member| format!("{}={}", member.number, member.address()));
        members.collect::<Vec<_>>().join(" ")
    }

    fn allowed(&self) -> String {
        "members as number=host:port, or empty".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

/// How much unsent output a client may pile up before it is disconnected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferLimit {
    /// Disconnect at once above this many bytes; 0 for no limit.
    pub hard_bytes: u64,
    /// Disconnect above this many bytes when it lasts `soft_seconds`; 0 for no limit.
    pub soft_bytes: u64,
    /// For how many seconds the soft limit may be exceeded.
    pub soft_seconds: u64,
}

/// Output buffer limits by class of client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferLimits {
    /// Clients that send commands.
    pub normal: BufferLimit,
    /// Replicas.
    pub replica: BufferLimit,
    /// Clients in pub/sub mode.
    pub pubsub: BufferLimit,
}

/// `class hard soft seconds`, for one class or several; classes that are not named keep their limits.
pub struct BufferLimitsByClass;

impl BufferLimitsByClass {
    fn write(value: &BufferLimits, replica: &str, size: fn(u64) -> String) -> String {
        let classes = [
            ("normal", value.normal),
            (replica, value.replica),
            ("pubsub", value.pubsub),
        ];
        let line = |(class, limit): (&str, BufferLimit)| {
            format!(
                "{class} {} {} {}",
                size(limit.hard_bytes),
                size(limit.soft_bytes),
                limit.soft_seconds
            )
        };
        classes.map(line).join(" ")
    }
}

impl Codec for BufferLimitsByClass {
    type Value = BufferLimits;

    fn parse(&self, text: &str, now: Option<&BufferLimits>) -> Result<BufferLimits, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut limits = now.copied().unwrap_or_default();
        let (groups, rest) = words.as_chunks::<4>();
        if groups.is_empty() || !rest.is_empty() {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        for [class, hard, soft, seconds] in groups {
            let class = match class.to_ascii_lowercase().as_str() {
                "normal" => &mut limits.normal,
                "replica" | "slave" => &mut limits.replica,
                "pubsub" => &mut limits.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
            };
            let numbers = (parse_size(hard), parse_size(soft), seconds.parse::<u64>());
            let (Some(hard_bytes), Some(soft_bytes), Ok(soft_seconds)) = numbers else {
                return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
            };
            *class = BufferLimit {
                hard_bytes,
                soft_bytes,
                soft_seconds,
            };
        }
        Ok(limits)
    }

    fn print(&self, value: &BufferLimits) -> String {
        Self::write(value, "slave", |bytes| bytes.to_string())
    }

    fn print_for_file(&self, value: &BufferLimits) -> String {
        Self::write(value, "replica", print_size)
    }

    fn allowed(&self) -> String {
        "class, hard limit, soft limit and seconds, the class one of normal, replica, pubsub: normal 0 0 0".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

/// A set of keyspace event classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyFlags(pub u32);

impl NotifyFlags {
    /// `K`: publish on `__keyspace@<db>__:<key>`.
    pub const KEYSPACE: u32 = 1;
    /// `E`: publish on `__keyevent@<db>__:<event>`.
    pub const KEYEVENT: u32 = 1 << 1;
    /// `g`: DEL, EXPIRE, RENAME and others that know no type.
    pub const GENERIC: u32 = 1 << 2;
    /// `$`: strings.
    pub const STRING: u32 = 1 << 3;
    /// `l`: lists.
    pub const LIST: u32 = 1 << 4;
    /// `s`: sets.
    pub const SET: u32 = 1 << 5;
    /// `h`: hashes.
    pub const HASH: u32 = 1 << 6;
    /// `z`: sorted sets.
    pub const ZSET: u32 = 1 << 7;
    /// `x`: keys that expired.
    pub const EXPIRED: u32 = 1 << 8;
    /// `e`: keys that were evicted.
    pub const EVICTED: u32 = 1 << 9;
    /// `t`: streams.
    pub const STREAM: u32 = 1 << 10;
    /// `d`: types of modules.
    pub const MODULE: u32 = 1 << 11;
    /// `m`: reads of keys that do not exist; not in `A`.
    pub const KEY_MISS: u32 = 1 << 12;
    /// `n`: keys that did not exist before; not in `A`.
    pub const NEW: u32 = 1 << 13;
    /// `A`: `g$lshzxetd`.
    pub const ALL: u32 = Self::GENERIC
        | Self::STRING
        | Self::LIST
        | Self::SET
        | Self::HASH
        | Self::ZSET
        | Self::EXPIRED
        | Self::EVICTED
        | Self::STREAM
        | Self::MODULE;

    /// Whether any of the classes in `class` is on.
    pub fn has(self, class: u32) -> bool {
        self.0 & class != 0
    }

    /// Whether events of `class` go anywhere: a class that is on, and at least one of the two channels.
    pub fn publishes(self, class: u32) -> bool {
        self.has(class) && self.has(Self::KEYSPACE | Self::KEYEVENT)
    }
}

/// The letters of `notify-keyspace-events`.
pub struct NotifyLetters;

/// In the order in which Redis prints them.
const NOTIFY_LETTERS: [(char, u32); 14] = [
    ('g', NotifyFlags::GENERIC),
    ('$', NotifyFlags::STRING),
    ('l', NotifyFlags::LIST),
    ('s', NotifyFlags::SET),
    ('h', NotifyFlags::HASH),
    ('z', NotifyFlags::ZSET),
    ('x', NotifyFlags::EXPIRED),
    ('e', NotifyFlags::EVICTED),
    ('t', NotifyFlags::STREAM),
    ('d', NotifyFlags::MODULE),
    ('n', NotifyFlags::NEW),
    ('K', NotifyFlags::KEYSPACE),
    ('E', NotifyFlags::KEYEVENT),
    ('m', NotifyFlags::KEY_MISS),
];

impl Codec for NotifyLetters {
    type Value = NotifyFlags;

    fn parse(&self, text: &str, _now: Option<&NotifyFlags>) -> Result<NotifyFlags, String> {
        text.chars().try_fold(NotifyFlags::default(), |flags, letter| {
            let class = match NOTIFY_LETTERS.iter().find(|(known, _)| *known == letter) {
                Some((_, class)) => *class,
                None if letter == 'A' => NotifyFlags::ALL,
                None => return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            };
            Ok(NotifyFlags(flags.0 | class))
        })
    }

    fn print(&self, value: &NotifyFlags) -> String {
        let all = value.0 & NotifyFlags::ALL == NotifyFlags::ALL;
        let hidden = if all { NotifyFlags::ALL } else { 0 };
        let letters = NOTIFY_LETTERS
            .iter()
            .filter(|(_, class)| value.has(class & !hidden))
            .map(|(letter, _)| *letter);
        all.then_some('A').into_iter().chain(letters).collect()
    }

    fn allowed(&self) -> String {
        "any of the letters K E g $ l s h z x e t d m n, A for g$lshzxetd; empty for none".into()
    }
}

/// `seconds changes` pairs, kept as text.
pub struct SavePoints;

impl Codec for SavePoints {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let numbers: Result<Vec<i64>, _> = text.split_whitespace().map(str::parse::<i64>).collect();
        let numbers = numbers.map_err(|_| "Invalid save parameters")?;
        let good = |pair: &[i64]| matches!(pair, [seconds, changes] if *seconds >= 1 && *changes >= 0);
        if !numbers.chunks(2).all(good) {
            return Err("Invalid save parameters".into());
        }
        Ok(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "pairs of seconds and changes, or empty".into()
    }

    fn takes_words(&self) -> bool {
        true
    }

    fn adds_up(&self) -> bool {
        true
    }
}

/// A version of TLS that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsVersion {
    /// The versions that a value of `tls-protocols` names; both if it is empty.
    pub fn of_text(text: &str) -> Vec<TlsVersion> {
        let has = |word: &str| text.is_empty() || text.split_whitespace().any(|given| given.eq_ignore_ascii_case(word));
        [("TLSv1.2", TlsVersion::V12), ("TLSv1.3", TlsVersion::V13)]
            .into_iter()
            .filter_map(|(word, version)| has(word).then_some(version))
            .collect()
    }
}

/// Versions of TLS, kept as text.
pub struct TlsProtocols;

impl Codec for TlsProtocols {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        for word in text.split_whitespace() {
            if TlsVersion::of_text(word).is_empty() {
                return Err(match word.to_ascii_lowercase().as_str() {
                    "tlsv1" | "tlsv1.1" => format!("{word} is not supported: it is not secure any more"),
                    _ => "Invalid tls-protocols specified. Use a combination of TLSv1.2 and TLSv1.3".into(),
                });
            }
        }
        Ok(text.trim().to_string())
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "any of TLSv1.2 and TLSv1.3; empty for both".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

/// Percentiles from 0 to 100, kept as text.
pub struct Percentiles(pub &'static str);

impl Codec for Percentiles {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse::<f64>).collect();
        let numbers = numbers.map_err(|_| format!("Invalid {} parameters", self.0))?;
        if !numbers.iter().all(|number| (0.0..=100.0).contains(number)) {
            return Err(format!("{} parameters should sit between [0.0,100.0]", self.0));
        }
        Ok(numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" "))
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "percentiles from 0 to 100, or empty".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

/// A size, or a share of memory such as `5%`, kept as text.
pub struct SizeOrPercent;

impl Codec for SizeOrPercent {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse::<u8>().ok());
        match (percent, parse_size(text)) {
            (Some(percent), _) if percent <= 100 => Ok(format!("{percent}%")),
            (None, Some(bytes)) => Ok(bytes.to_string()),
            _ if text
                .strip_suffix('%')
                .is_some_and(|number| number.parse::<u64>().is_ok()) =>
            {
                Err("percentage argument must be less or equal to 100".into())
            }
            _ => Err("argument must be a memory or percent value".into()),
        }
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "a size, or a percentage such as 5%".into()
    }
}

/// Three adjustments for the kernel's out-of-memory killer, kept as text.
pub struct OomScores;

impl Codec for OomScores {
    type Value = String;

    fn parse(&self, text: &str, _now: Option<&String>) -> Result<String, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != 3 {
            return Err("wrong number of arguments".into());
        }
        let score = |word: &&str| word.parse::<i32>().ok().filter(|score| (-2000..=2000).contains(score));
        let scores: Option<Vec<i32>> = words.iter().map(score).collect();
        let scores = scores.ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
        Ok(scores.iter().map(i32::to_string).collect::<Vec<_>>().join(" "))
    }

    fn print(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        "three numbers from -2000 to 2000".into()
    }

    fn takes_words(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error<C: Codec>(codec: &C, text: &str) -> String {
        codec.parse(text, None).err().unwrap()
    }

    #[test]
    fn bind_addresses() {
        let list = BindAddresses.parse("127.0.0.1 -::1 * localhost", None).unwrap();
        assert_eq!(
            list.iter().map(|a| (a.ip.to_string(), a.optional)).collect::<Vec<_>>(),
            [
                ("127.0.0.1".to_string(), false),
                ("::1".to_string(), true),
                ("0.0.0.0".to_string(), false),
                ("127.0.0.1".to_string(), false),
            ]
        );
        assert_eq!(BindAddresses.print(&list), "127.0.0.1 -::1 * localhost");
        assert!(BindAddresses.parse("", None).is_err());
        assert!(BindAddresses.parse("example.org", None).is_err());
    }

    #[test]
    fn buffer_limits_change_only_the_classes_they_name() {
        let codec = BufferLimitsByClass;
        let all = codec
            .parse("normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60", None)
            .unwrap();
        let text = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(codec.print(&all), text);
        assert_eq!(codec.parse(text, None), Ok(all));
        assert_eq!(codec.parse(&codec.print_for_file(&all), None), Ok(all));
        let changed = codec.parse("normal 1mb 2 3", Some(&all)).unwrap();
        assert_eq!(
            changed.normal,
            BufferLimit {
                hard_bytes: 1 << 20,
                soft_bytes: 2,
                soft_seconds: 3
            }
        );
        assert_eq!(changed.pubsub, all.pubsub);
        assert!(error(&codec, "").starts_with("Wrong number"));
        assert!(error(&codec, "normal 1 2").starts_with("Wrong number"));
        assert!(error(&codec, "master 1 2 3").starts_with("Invalid client class"));
        assert!(error(&codec, "normal 1 2 3x").starts_with("Error in hard"));
    }

    #[test]
    fn notification_classes_print_canonically() {
        for (set, get) in [
            ("", ""),
            ("KEA", "AKE"),
            ("AKE", "AKE"),
            ("Knm", "nKm"),
            ("Kx", "xK"),
            ("g$lshzxetd", "A"),
            ("KKll", "lK"),
        ] {
            let flags = NotifyLetters.parse(set, None).unwrap();
            assert_eq!(NotifyLetters.print(&flags), get);
        }
        assert_eq!(
            error(&NotifyLetters, "KQ"),
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
        );
        assert!(!NotifyFlags(NotifyFlags::ALL).publishes(NotifyFlags::LIST));
        assert!(NotifyFlags(NotifyFlags::ALL | NotifyFlags::KEYEVENT).publishes(NotifyFlags::LIST));
    }

    #[test]
    fn save_points_percentiles_and_the_rest() {
        assert_eq!(SavePoints.parse("60 1  30 2", None), Ok("60 1 30 2".into()));
        assert_eq!(SavePoints.parse("", None), Ok(String::new()));
        for bad in ["60", "x y", "0 1", "1 -1", "60 1 5"] {
            assert_eq!(error(&SavePoints, bad), "Invalid save parameters");
        }
        let percentiles = Percentiles("p");
        assert_eq!(percentiles.parse("50.0 99.90 100", None), Ok("50 99.9 100".into()));
        assert_eq!(
            error(&percentiles, "102"),
            "p parameters should sit between [0.0,100.0]"
        );
        assert_eq!(error(&percentiles, "x"), "Invalid p parameters");
        assert_eq!(SizeOrPercent.parse("5%", None), Ok("5%".into()));
        assert_eq!(SizeOrPercent.parse("1kb", None), Ok("1024".into()));
        assert!(SizeOrPercent.parse("101%", None).is_err());
        assert_eq!(OomScores.parse("0 200 800", None), Ok("0 200 800".into()));
        let versions = |text| TlsProtocols.parse(text, None).map(|text| TlsVersion::of_text(&text));
        assert_eq!(versions(""), Ok(vec![TlsVersion::V12, TlsVersion::V13]));
        assert_eq!(versions(" tlsv1.3 "), Ok(vec![TlsVersion::V13]));
        assert_eq!(versions("TLSv1.3 TLSv1.2"), Ok(vec![TlsVersion::V12, TlsVersion::V13]));
        assert!(error(&TlsProtocols, "TLSv1.1 TLSv1.2").contains("not supported"));
        assert!(error(&TlsProtocols, "SSLv3").starts_with("Invalid tls-protocols"));
        assert!(OomScores.parse("0 200", None).is_err());
    }
}
