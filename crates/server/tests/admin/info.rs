//! INFO and what it counts.

use super::*;

#[test]
fn info_has_the_sections_that_are_asked_for() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&[
        "SET a 1 EX 1000",
        "SET b 2",
        "GET a",
        "GET nothing",
        "LPUSH a x",
        "NONSENSE",
    ]);
    client.hear_all(6);
    let default = info(&mut client, "");
    for field in [
        "redis_version",
        "haypile_version",
        "tcp_port",
        "run_id",
        "connected_clients",
        "used_memory_rss",
        "aof_enabled",
        "total_commands_processed",
        "role",
        "used_cpu_user",
        "cluster_enabled",
        "db0",
        "oplog_bytes",
        "errorstat_ERR",
    ] {
        assert!(default.contains_key(field), "{field} is missing");
    }
    assert!(!default.contains_key("cmdstat_get"));
    assert_eq!(default["tcp_port"], server.port().to_string());
    assert_eq!(default["db0"], "keys=2,expires=1,avg_ttl=0");
    assert_eq!(
        (default["keyspace_hits"].as_str(), default["keyspace_misses"].as_str()),
        ("1", "1")
    );
    assert_eq!(default["errorstat_WRONGTYPE"], "count=1");
    assert_eq!(default["total_error_replies"], "2");
    assert!(default["used_memory"].parse::<u64>().unwrap() > 1 << 20);

    let all = info(&mut client, "everything");
    assert!(
        all["cmdstat_get"].starts_with("calls=2,usec="),
        "{}",
        all["cmdstat_get"]
    );
    assert!(all["cmdstat_lpush"].ends_with("rejected_calls=0,failed_calls=1"));
    assert!(all["latency_percentiles_usec_get"].starts_with("p50="));
    let two = info(&mut client, "cpu KEYSPACE nonsense");
    assert!(two.contains_key("db0") && two.contains_key("used_cpu_sys") && !two.contains_key("role"));
    assert!(info(&mut client, "nonsense").is_empty());

    assert_eq!(client.say("CONFIG RESETSTAT"), "OK");
    let reset = info(&mut client, "everything");
    assert!(!reset.contains_key("cmdstat_get") && !reset.contains_key("errorstat_ERR"));
    assert_eq!(reset["keyspace_hits"], "0");
    assert!(matches!(server.client3().cmd(&["INFO"]), Value::Verbatim { .. }));
}

#[test]
fn statistics_count_refusals_failures_and_transactions() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send_lines(&["CONFIG RESETSTAT", "SET k", "MULTI", "SET k v", "LPUSH k x", "EXEC"]);
    client.hear_all(6);
    let stats = info(&mut client, "commandstats errorstats");
    assert!(stats["cmdstat_set"].starts_with("calls=1,"), "{}", stats["cmdstat_set"]);
    assert!(
        stats["cmdstat_set"].ends_with("rejected_calls=1,failed_calls=0"),
        "{}",
        stats["cmdstat_set"]
    );
    assert!(stats["cmdstat_lpush"].ends_with("failed_calls=1"));
    assert!(stats["cmdstat_exec"].starts_with("calls=1,"));
    assert_eq!(stats["errorstat_WRONGTYPE"], "count=1");

    assert_eq!(client.say("CONFIG SET latency-tracking no"), "OK");
    assert!(!info(&mut client, "latencystats").contains_key("latency_percentiles_usec_set"));
    assert_eq!(
        client.say("CONFIG SET latency-tracking yes latency-tracking-info-percentiles \"0 100\""),
        "OK"
    );
    assert!(info(&mut client, "latencystats")["latency_percentiles_usec_set"].contains(",p100="));
}
