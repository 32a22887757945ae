//! Tips about commands: what COMMAND INFO tells clients of clusters. The words are those of Redis 7,
//! <https://redis.io/docs/latest/develop/reference/command-tips/>.

const RANDOM: &str = "nondeterministic_output";
const UNORDERED: &str = "nondeterministic_output_order";
const ALL_NODES: &str = "request_policy:all_nodes";
const ALL_SHARDS: &str = "request_policy:all_shards";
const MULTI_SHARD: &str = "request_policy:multi_shard";
const ALL_SUCCEEDED: &str = "response_policy:all_succeeded";
const SUM: &str = "response_policy:agg_sum";
const MINIMUM: &str = "response_policy:agg_min";
const SPECIAL: &str = "response_policy:special";

/// The tips about the command of this full name: whether the same request always gives the same reply, to which nodes of
/// a cluster a client should send it, and what to make of their replies. What is absent is the common case.
pub fn of(full_name: &str) -> &'static [&'static str] {
    match full_name {
        "client|info" | "client|list" | "cluster|info" | "cluster|nodes" | "cluster|shards" | "cluster|slots"
        | "hrandfield" | "hscan" | "lastsave" | "object|encoding" | "object|freq" | "object|idletime"
        | "object|refcount" | "pttl" | "spop" | "srandmember" | "sscan" | "time" | "ttl" | "zrandmember" | "zscan" => {
            &[RANDOM]
        }
        "command" | "command|docs" | "command|info" | "command|list" | "function|list" | "hgetall" | "hkeys"
        | "hvals" | "module|list" | "sdiff" | "sinter" | "smembers" | "sunion" => &[UNORDERED],
        "info" | "memory|doctor" | "memory|malloc-stats" | "memory|stats" => &[RANDOM, ALL_SHARDS, SPECIAL],
        "latency|doctor" | "latency|graph" | "latency|histogram" | "latency|history" | "latency|latest" => {
            &[RANDOM, ALL_NODES, SPECIAL]
        }
        "scan" => &[RANDOM, "request_policy:special"],
        "randomkey" => &[ALL_SHARDS, RANDOM],
        "keys" => &[ALL_SHARDS, UNORDERED],
        "slowlog|get" => &[ALL_NODES, RANDOM],
        "slowlog|len" => &[ALL_NODES, SUM, RANDOM],
        "config|set" | "latency|reset" | "slowlog|reset" => &[ALL_NODES, ALL_SUCCEEDED],
        "flushall" | "flushdb" | "function|flush" | "memory|purge" | "ping" => &[ALL_SHARDS, ALL_SUCCEEDED],
        "dbsize" => &[ALL_SHARDS, SUM],
        "wait" => &[ALL_SHARDS, MINIMUM],
        "del" | "exists" | "touch" | "unlink" => &[MULTI_SHARD, SUM],
        "mget" => &[MULTI_SHARD],
        "mset" => &[MULTI_SHARD, ALL_SUCCEEDED],
        "msetnx" => &[MULTI_SHARD, MINIMUM],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_a_cluster_learn_where_to_send_what() {
        assert_eq!(of("dbsize"), ["request_policy:all_shards", "response_policy:agg_sum"]);
        assert_eq!(of("mget"), ["request_policy:multi_shard"]);
        assert!(of("get").is_empty());
    }
}
