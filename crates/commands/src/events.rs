//! Keyspace events: what they are called, and how the log names them.

use crate::Class;

macro_rules! events {
    ($($code:literal $variant:ident $class:ident $name:literal,)*) => {
        /// A keyspace event. Its number stands in the log: it keeps its meaning for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)] // the names say it
        pub enum KeyEvent {
            $($variant = $code,)*
        }

        impl KeyEvent {
            /// The event with this number.
            pub fn from_code(code: u8) -> Option<KeyEvent> {
                Some(match code {
                    $($code => KeyEvent::$variant,)*
                    _ => return None,
                })
            }

            /// The class by which `notify-keyspace-events` chooses it.
            pub fn class(self) -> Class {
                match self {
                    $(KeyEvent::$variant => Class::$class,)*
                }
            }

            /// The name that subscribers see.
            pub fn name(self) -> &'static str {
                match self {
                    $(KeyEvent::$variant => $name,)*
                }
            }
        }
    };
}

events! {
    // As `haypile_store::effects::NEW`.
    1 New New "new",
    2 Del Generic "del",
    3 Expire Generic "expire",
    4 Persist Generic "persist",
    5 Expired Expired "expired",
    6 RenameFrom Generic "rename_from",
    7 RenameTo Generic "rename_to",
    8 CopyTo Generic "copy_to",
    9 MoveFrom Generic "move_from",
    10 MoveTo Generic "move_to",
    // Not logged: a read has no effects.
    11 KeyMiss KeyMiss "keymiss",

    20 Set String "set",
    21 Append String "append",
    22 SetRange String "setrange",
    23 SetBit String "setbit",
    24 IncrBy String "incrby",
    25 IncrByFloat String "incrbyfloat",
    26 PfAdd String "pfadd",

    40 LPush List "lpush",
    41 RPush List "rpush",
    42 LPop List "lpop",
    43 RPop List "rpop",
    44 LInsert List "linsert",
    45 LSet List "lset",
    46 LRem List "lrem",
    47 LTrim List "ltrim",

    60 SAdd Set "sadd",
    61 SRem Set "srem",
    62 SPop Set "spop",
    // All members by one SPOP with a count.
    63 SPopAll Set "spop",
    64 SInterStore Set "sinterstore",
    65 SUnionStore Set "sunionstore",
    66 SDiffStore Set "sdiffstore",

    80 HSet Hash "hset",
    81 HDel Hash "hdel",
    82 HIncrBy Hash "hincrby",
    83 HIncrByFloat Hash "hincrbyfloat",

    100 ZAdd Zset "zadd",
    101 ZIncr Zset "zincr",
    102 ZRem Zset "zrem",
    103 ZRemRangeByScore Zset "zremrangebyscore",
    104 ZRemRangeByRank Zset "zremrangebyrank",
    105 ZRemRangeByLex Zset "zremrangebylex",
    106 ZPopMin Zset "zpopmin",
    107 ZPopMax Zset "zpopmax",
    108 ZRangeStore Zset "zrangestore",
    109 ZUnionStore Zset "zunionstore",
    110 ZInterStore Zset "zinterstore",
    111 ZDiffStore Zset "zdiffstore",
    112 GeoRadiusStore Zset "georadiusstore",
    113 GeoSearchStore Zset "geosearchstore",
}

const _: () = assert!(KeyEvent::New as u8 == haypile_store::effects::NEW);

impl KeyEvent {
    /// What the subscribers of a replica get. Redis' replica evaluates what the primary sends in place of some commands: DEL
    /// for a key that has expired, SET for INCRBYFLOAT, HSET for HINCRBYFLOAT, SREM for SPOP, and DEL for an SPOP of
    /// the whole set, which is not shown a second time then.
    pub fn on_replica(self) -> Option<KeyEvent> {
        Some(match self {
            KeyEvent::Expired => KeyEvent::Del,
            KeyEvent::IncrByFloat => KeyEvent::Set,
            KeyEvent::HIncrByFloat => KeyEvent::HSet,
            KeyEvent::SPop => KeyEvent::SRem,
            KeyEvent::SPopAll => return None,
            event => event,
        })
    }

    /// The event that a command raises about its first key as a rule. The log marks it with no more than a bit (see
    /// `haypile_store::effects`): what stands here once must not be changed, but commands may be added as long as no
    /// log has them.
    pub fn of_command(name: &str) -> Option<KeyEvent> {
        use KeyEvent::*;
        Some(match name {
            "set" | "setnx" | "setex" | "psetex" | "getset" | "mset" | "msetnx" | "bitop" => Set,
            "append" => Append,
            "setrange" => SetRange,
            "setbit" | "bitfield" => SetBit,
            "incr" | "decr" | "incrby" | "decrby" => IncrBy,
            "incrbyfloat" => IncrByFloat,
            "pfadd" | "pfmerge" => PfAdd,
            "del" | "unlink" | "getdel" => Del,
            "expire" | "pexpire" | "expireat" | "pexpireat" | "getex" => Expire,
            "persist" => Persist,
            "rename" | "renamenx" => RenameFrom,
            "move" => MoveFrom,
            "lpush" | "lpushx" => LPush,
            "rpush" | "rpushx" => RPush,
            "lpop" | "blpop" => LPop,
            "rpop" | "brpop" | "rpoplpush" | "brpoplpush" => RPop,
            "linsert" => LInsert,
            "lset" => LSet,
            "lrem" => LRem,
            "ltrim" => LTrim,
            "sadd" => SAdd,
            "srem" | "smove" => SRem,
            "spop" => SPop,
            "sinterstore" => SInterStore,
            "sunionstore" => SUnionStore,
            "sdiffstore" => SDiffStore,
            "hset" | "hmset" | "hsetnx" => HSet,
            "hdel" => HDel,
            "hincrby" => HIncrBy,
            "hincrbyfloat" => HIncrByFloat,
            "zadd" | "geoadd" => ZAdd,
            "zincrby" => ZIncr,
            "zrem" => ZRem,
            "zremrangebyscore" => ZRemRangeByScore,
            "zremrangebyrank" => ZRemRangeByRank,
            "zremrangebylex" => ZRemRangeByLex,
            "zpopmin" | "bzpopmin" => ZPopMin,
            "zpopmax" | "bzpopmax" => ZPopMax,
            "zrangestore" => ZRangeStore,
            "zunionstore" => ZUnionStore,
            "zinterstore" => ZInterStore,
            "zdiffstore" => ZDiffStore,
            "geosearchstore" => GeoSearchStore,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_logs_refer_to_has_not_changed() {
        let events: Vec<String> = (0..=u8::MAX)
            .filter_map(KeyEvent::from_code)
            .map(|event| format!("{} {event:?} {:?} {}\n", event as u8, event.class(), event.name()))
            .collect();
        let commands: Vec<String> = crate::table::all()
            .filter_map(|spec| Some(format!("{} {:?}\n", spec.name, KeyEvent::of_command(spec.name)?)))
            .collect();
        let text = events.concat() + &commands.concat();
        assert_eq!(
            text,
            include_str!("fixtures/events.txt"),
            "write to a log what it means, not something else"
        );
    }
}
