//! TTL, PTTL, EXPIRETIME and PEXPIRETIME.

use haypile_resp::Request;

use crate::spec::READ_FAST;
use crate::{Cx, Group, Handler, Keys, Outcome, SPEC, Spec};

pub(super) const TTL: Spec = Spec {
    name: "ttl",
    summary: "Says in how many seconds a key expires.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(1)",
    arity: 2,
    flags: READ_FAST,
    keys: Keys::ONE,
    syntax: "key",
    handler: Handler::Data(|cx, request| answer(cx, request, true, seconds)),
    ..SPEC
};

pub(super) const PTTL: Spec = Spec {
    name: "pttl",
    summary: "Says in how many milliseconds a key expires.",
    since: "2.6.0",
    handler: Handler::Data(|cx, request| answer(cx, request, true, |ms| ms)),
    ..TTL
};

pub(super) const EXPIRETIME: Spec = Spec {
    name: "expiretime",
    summary: "Says when a key expires, in seconds since the Unix epoch.",
    since: "7.0.0",
    handler: Handler::Data(|cx, request| answer(cx, request, false, seconds)),
    ..TTL
};

pub(super) const PEXPIRETIME: Spec = Spec {
    name: "pexpiretime",
    summary: "Says when a key expires, in milliseconds since the Unix epoch.",
    since: "7.0.0",
    handler: Handler::Data(|cx, request| answer(cx, request, false, |ms| ms)),
    ..TTL
};

/// To the nearest second.
fn seconds(ms: u64) -> u64 {
    (ms + 500) / 1000
}

/// -2 for no key, -1 for no expiry.
fn answer(cx: &mut Cx<'_>, request: &Request, from_now: bool, unit: fn(u64) -> u64) -> Outcome {
    let answer = match cx.row(&request[1])?.map(|row| row.header.expire_at) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => unit(if from_now { at - cx.now } else { at }) as i64,
    };
    cx.reply.integer(answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn times_are_rounded_to_the_nearest_second() {
        let mut bench = Bench::new();
        bench.string("k", "1");
        for command in ["ttl", "pttl", "expiretime", "pexpiretime"] {
            assert_eq!(bench.run(&format!("{command} nothing")), ":-2|");
            assert_eq!(bench.run(&format!("{command} k")), ":-1|");
        }
        bench.run("pexpire k 1499");
        assert_eq!(bench.run("ttl k"), ":1|");
        assert_eq!(bench.run("pttl k"), ":1499|");
        assert_eq!(bench.run("expiretime k"), ":1001|");
        assert_eq!(bench.run("pexpiretime k"), ":1001499|");
        bench.now += 999;
        assert_eq!(bench.run("ttl k"), ":1|");
        bench.now += 1;
        assert_eq!(bench.run("ttl k"), ":0|");
        bench.now += 499;
        assert_eq!(bench.run("ttl k"), ":-2|");
    }
}
