//! This family's commands on values that the other families' commands have made.

use crate::testing::Bench;

/// How to make a value of each type, how to read it, and what OBJECT ENCODING says of it.
const VALUES: [(&str, &str, &str, &str); 6] = [
    ("string", "set k value", "get k", "embstr"),
    ("list", "rpush k c a b a", "lrange k 0 -1", "listpack"),
    ("set", "sadd k a b 3", "smembers k", "listpack"),
    ("set", "sadd k 1 2 3", "smembers k", "intset"),
    ("zset", "zadd k 2 a -1 b 0.5 c", "zrange k 0 -1 withscores", "listpack"),
    ("hash", "hset k f 1 g 2", "hgetall k", "listpack"),
];

fn at(line: &str, key: &str) -> String {
    line.replacen(" k", &format!(" {key}"), 1)
}

#[test]
fn values_of_all_types_keep_what_they_hold() {
    for apply in [true, false] {
        for (kind, make, read, encoding) in VALUES {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.run(make);
            let content = bench.run(read);
            assert_eq!(bench.run("type k"), format!("+{kind}|"));
            assert_eq!(
                bench.run("object encoding k"),
                format!("${}|{encoding}|", encoding.len())
            );

            assert_eq!(bench.run("expire k 100"), ":1|");
            assert_eq!(bench.run("persist k"), ":1|");
            assert_eq!(bench.run(read), content, "{make}");

            assert_eq!(bench.run("rename k other"), "+OK|");
            assert_eq!(bench.run(&at(read, "other")), content, "{make}");
            assert_eq!(bench.run("exists k"), ":0|");

            assert_eq!(bench.run("copy other k"), ":1|");
            assert_eq!(bench.run(read), content, "{make}");
            assert_eq!(bench.digest_value("k"), bench.digest_value("other"));

            assert_eq!(bench.run("move k 3"), ":1|");
            bench.db = 3;
            assert_eq!(bench.run(read), content, "{make}");
            // The copy is a value of its own.
            bench.run("del k");
            bench.db = 0;
            assert_eq!(bench.run(&at(read, "other")), content, "{make}");
            assert_eq!(bench.run("scan 0 type stream"), "*2|$1|0|*0|");
            assert_eq!(bench.run(&format!("scan 0 type {kind}")), "*2|$1|0|*1|$5|other|");

            // What has expired does not come back with a new value.
            bench.run("pexpire other 1");
            bench.now += 1;
            bench.run(&at(make, "other"));
            assert_eq!(bench.run(&at(read, "other")), content, "{make}");
        }
    }
}

#[test]
fn equal_lists_have_equal_digests_however_they_came_about() {
    let mut bench = Bench::new();
    bench.run("rpush a 1 2 3");
    bench.run("lpush b 3 2 1");
    bench.run("rpush c x 1 2 3");
    bench.run("lpop c");
    assert_eq!(bench.digest_value("a"), bench.digest_value("b"));
    assert_eq!(bench.digest_value("a"), bench.digest_value("c"));
    bench.run("zadd y 1 a 2 b");
    bench.run("zadd z 5 b 1 a 7 c");
    bench.run("zadd z 2 b");
    bench.run("zrem z c");
    assert_eq!(bench.digest_value("y"), bench.digest_value("z"));
    bench.run("zadd z 3 b");
    assert_ne!(bench.digest_value("y"), bench.digest_value("z"));
}
