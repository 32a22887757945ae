//! Limits of unsent output, by class of client.

use super::super::codec::{Codec, parse_size, print_size};

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
