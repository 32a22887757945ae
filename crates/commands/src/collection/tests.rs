//! A packed collection and a spread one are the same to every command.

use proptest::prelude::*;
use proptest::sample::select;

use crate::PackedLimits;
use crate::testing::Bench;

/// So low that most collections cross them now and then.
const LOW: PackedLimits = PackedLimits {
    hash_entries: 4,
    hash_value: 5,
    intset_entries: 6,
    set_entries: 4,
    set_value: 5,
    zset_entries: 4,
    zset_value: 5,
    list_size: 4,
};

fn key(kind: char) -> impl Strategy<Value = String> {
    (0..3u8).prop_map(move |n| format!("{kind}{n}"))
}

/// Fields, members and elements: few, so that they meet again, of which some are integers and some are long.
fn item() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec!["a", "b", "c", "d", "aa", "e", "f"]).prop_map(str::to_owned),
        3 => (0..9u8).prop_map(|n| n.to_string()),
        1 => select(vec!["longer than that", "zzzzzzzzz"]).prop_map(str::to_owned),
    ]
}

fn number() -> impl Strategy<Value = String> {
    (-3..6i32).prop_map(|n| n.to_string())
}

/// A command line of this shape: `H`, `S`, `Z`, `L` stand for keys, `x` for an item, `n` for a number.
fn command(shape: &'static str) -> BoxedStrategy<Vec<String>> {
    let words: Vec<BoxedStrategy<String>> = shape
        .split(' ')
        .map(|word| match word {
            "H" => key('h').boxed(),
            "S" => key('s').boxed(),
            "Z" => key('z').boxed(),
            "L" => key('l').boxed(),
            "x" => item().boxed(),
            "n" => number().boxed(),
            word => Just(word.to_owned()).boxed(),
        })
        .collect();
    words.boxed()
}

const SHAPES: &[&str] = &[
    "hset H x x",
    "hset H x x x x x x",
    "hsetnx H x x",
    "hdel H x",
    "hdel H x x x",
    "hincrby H x n",
    "hget H x",
    "hmget H x x x",
    "hgetall H",
    "hkeys H",
    "hvals H",
    "hlen H",
    "hstrlen H x",
    "hexists H x",
    "hrangebylex H - +",
    "hrangebylex H [b + limit 1 2",
    "hscan H 0 count 100",
    "hrandfield H 100",
    "hincrbyfloat H x 0.5",
    "sadd S x",
    "sadd S x x x x",
    "srem S x",
    "srem S x x x",
    "smove S S x",
    "sismember S x",
    "smismember S x x",
    "smembers S",
    "scard S",
    "sinter S S",
    "sunion S S",
    "sdiff S S",
    "sinterstore S S S",
    "sunionstore S S S",
    "sdiffstore S S S",
    "sintercard 2 S S",
    "sscan S 0 count 100",
    "srandmember S 100",
    "spop S 100",
    "zadd Z n x",
    "zadd Z n x n x n x",
    "zadd Z gt n x",
    "zadd Z incr n x",
    "zincrby Z n x",
    "zrem Z x",
    "zrem Z x x",
    "zscore Z x",
    "zmscore Z x x",
    "zrank Z x",
    "zrevrank Z x withscore",
    "zrange Z 0 -1 withscores",
    "zrange Z n n",
    "zrange Z 1 3 byscore",
    "zrange Z 3 (0 byscore rev limit 1 2",
    "zrevrange Z 0 2",
    "zrangebylex Z - +",
    "zrange Z [b (e bylex",
    "zcount Z 0 3",
    "zlexcount Z - [c",
    "zcard Z",
    "zpopmin Z",
    "zpopmax Z 2",
    "zremrangebyrank Z 0 1",
    "zremrangebyscore Z n n",
    "zremrangebylex Z [b [c",
    "zunion 2 Z S withscores",
    "zinter 2 Z Z",
    "zdiff 2 Z Z withscores",
    "zunionstore Z 2 Z S",
    "zrangestore Z Z 0 2",
    "zscan Z 0 count 100",
    "zrandmember Z 100 withscores",
    "zmpop 2 Z Z max count 2",
    "rpush L x",
    "lpush L x x x",
    "rpush L x x x x",
    "rpushx L x",
    "lpop L",
    "rpop L 2",
    "lpop L 10",
    "llen L",
    "lindex L n",
    "lrange L 0 -1",
    "lrange L n n",
    "lset L n x",
    "lrem L n x",
    "linsert L before x x",
    "linsert L after x x",
    "ltrim L 0 n",
    "ltrim L 1 -2",
    "lmove L L left right",
    "rpoplpush L L",
    "lpos L x count 0",
    "lmpop 2 L L right count 3",
    "rename H H",
    "rename S S",
    "rename Z Z",
    "rename L L",
    "renamenx L L",
    "copy H H replace",
    "copy Z Z",
    "copy L L replace",
    "copy S S",
    "move S 1",
    "del H",
    "del Z L",
    "expire H 100",
    "pexpire L 5",
    "persist H",
    "ttl H",
    "set S x",
    "type L",
    "exists H S Z L",
    "dbsize",
    "sort L alpha",
    "sort S alpha limit 0 2",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_packed_commands_say_and_do_the_same(
        commands in prop::collection::vec(select(SHAPES).prop_flat_map(command), 1..120),
        apply: bool,
    ) {
        let limits = [PackedLimits::default(), LOW, PackedLimits::NONE];
        let mut benches = limits.map(|limits| {
            let mut bench = Bench::new();
            (bench.limits, bench.apply) = (limits, apply);
            bench
        });
        for command in &commands {
            let unordered = match command[0].as_str() {
                "hgetall" | "hkeys" | "hvals" | "hscan" | "hrandfield" | "zrandmember" | "zunion" => true,
                name => name.starts_with('s'),
            };
            let [packed, mixed, spread] = benches.each_mut().map(|bench| {
                let reply = bench.run_args(command);
                let mut words: Vec<String> = reply.split('|').map(str::to_owned).collect();
                // Sets and hashes have no order.
                if unordered {
                    words.sort();
                }
                (words, bench.heard.clone())
            });
            prop_assert_eq!(&packed, &spread, "packed against spread: {:?}", command);
            prop_assert_eq!(&mixed, &spread, "low thresholds against spread: {:?}", command);
            benches.iter_mut().for_each(|bench| bench.now += 1);
        }
        let [packed, mixed, spread] = benches.each_mut().map(|bench| bench.digest());
        prop_assert_eq!(packed, spread);
        prop_assert_eq!(mixed, spread);
    }
}

#[test]
fn thresholds_take_effect_at_the_next_write() {
    let mut bench = Bench::new();
    bench.run("hset h a 1 b 2 c 3");
    assert_eq!(bench.run("object encoding h"), "$8|listpack|");
    bench.limits.hash_entries = 3;
    bench.run("hset h a 2");
    assert_eq!(bench.run("object encoding h"), "$8|listpack|");
    bench.run("hset h d 2");
    assert_eq!(bench.run("object encoding h"), "$9|hashtable|");
    assert_eq!(bench.run("hmget h a b c d"), "*4|$1|2|$1|2|$1|3|$1|2|");
    // It stays so, whatever is taken away, until it is made anew.
    bench.run("hdel h a b c");
    assert_eq!(bench.run("object encoding h"), "$9|hashtable|");
    bench.run("hdel h d");
    bench.run("hset h d 2");
    assert_eq!(bench.run("object encoding h"), "$8|listpack|");
    bench.limits.hash_value = 2;
    bench.run("hset h d 333");
    assert_eq!(bench.run("object encoding h"), "$9|hashtable|");
    bench.run("sadd s 1 2 3");
    assert_eq!(bench.run("object encoding s"), "$6|intset|");
    bench.run("sadd s x");
    assert_eq!(bench.run("object encoding s"), "$8|listpack|");
    bench.limits.list_size = 2;
    bench.run("rpush l a b");
    assert_eq!(bench.run("object encoding l"), "$8|listpack|");
    bench.run("lpush l c");
    assert_eq!(bench.run("object encoding l"), "$9|quicklist|");
}

#[test]
fn a_change_of_one_element_is_logged_as_that() {
    let mut bench = Bench::new();
    let mut hset = vec!["hset".to_owned(), "h".to_owned()];
    hset.extend((0..200).map(|n| format!("value {n}")));
    bench.run_args(&hset);
    bench.apply = false;
    bench.run("hset h f v");
    assert!(bench.payloads().concat().len() < 40);
    bench.run("hdel h f");
    assert!(bench.payloads().concat().len() < 80);
}
