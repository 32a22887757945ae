//! EXPIRE, its relatives, and PERSIST.

use haypile_resp::Request;

use crate::args::{integer, is};
use crate::spec::REMOVE_FAST;
use crate::{CommandError, Cx, Group, Handler, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const EXPIRE: Spec = Spec {
    name: "expire",
    summary: "Sets the time after which a key expires, in seconds from now.",
    since: "1.0.0",
    group: Group::Generic,
    complexity: "O(1)",
    arity: -3,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    syntax: "key seconds [NX|XX|GT|LT]",
    handler: Handler::Data(|cx, request| expire(cx, request, "expire", cx.now, SECOND)),
    ..SPEC
};

pub(super) const PEXPIRE: Spec = Spec {
    name: "pexpire",
    summary: "Sets the time after which a key expires, in milliseconds from now.",
    since: "2.6.0",
    syntax: "key milliseconds [NX|XX|GT|LT]",
    handler: Handler::Data(|cx, request| expire(cx, request, "pexpire", cx.now, MILLISECOND)),
    ..EXPIRE
};

pub(super) const EXPIREAT: Spec = Spec {
    name: "expireat",
    summary: "Sets the time at which a key expires, in seconds since the Unix epoch.",
    since: "1.2.0",
    syntax: "key unix-time-seconds [NX|XX|GT|LT]",
    handler: Handler::Data(|cx, request| expire(cx, request, "expireat", 0, SECOND)),
    ..EXPIRE
};

pub(super) const PEXPIREAT: Spec = Spec {
    name: "pexpireat",
    summary: "Sets the time at which a key expires, in milliseconds since the Unix epoch.",
    since: "2.6.0",
    syntax: "key unix-time-milliseconds [NX|XX|GT|LT]",
    handler: Handler::Data(|cx, request| expire(cx, request, "pexpireat", 0, MILLISECOND)),
    ..EXPIRE
};

pub(super) const PERSIST: Spec = Spec {
    name: "persist",
    summary: "Takes the expiry off a key.",
    since: "2.2.0",
    arity: 2,
    syntax: "key",
    handler: Handler::Data(persist),
    ..EXPIRE
};

/// Units of the argument, in milliseconds.
const SECOND: i64 = 1000;
const MILLISECOND: i64 = 1;

/// In which cases a new expiry is set.
#[derive(Clone, Copy, Default)]
struct Condition {
    /// Only where there is none.
    nx: bool,
    /// Only where there is one.
    xx: bool,
    /// Only to a later one; none is the latest.
    gt: bool,
    /// Only to an earlier one; none is the latest.
    lt: bool,
}

impl Condition {
    fn parse<'r>(options: impl Iterator<Item = &'r [u8]>) -> Result<Condition, CommandError> {
        let mut condition = Condition::default();
        for option in options {
            let flag = match option {
                o if is(o, "NX") => &mut condition.nx,
                o if is(o, "XX") => &mut condition.xx,
                o if is(o, "GT") => &mut condition.gt,
                o if is(o, "LT") => &mut condition.lt,
                other => {
                    let shown = String::from_utf8_lossy(other);
                    return Err(CommandError::reply(format!("ERR Unsupported option {shown}")));
                }
            };
            *flag = true;
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            return Err(CommandError::reply(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if condition.gt && condition.lt {
            return Err(CommandError::reply(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(condition)
    }

    fn allows(self, current: Option<i64>, when: i64) -> bool {
        !(self.nx && current.is_some()
            || self.xx && current.is_none()
            || self.gt && current.is_none_or(|current| when <= current)
            || self.lt && current.is_some_and(|current| when >= current))
    }
}

fn expire(cx: &mut Cx<'_>, request: &Request, name: &str, base: u64, unit: i64) -> Outcome {
    let key = &request[1];
    let condition = Condition::parse(request.iter().skip(3))?;
    let when = integer(&request[2])?
        .checked_mul(unit)
        .and_then(|ms| ms.checked_add(base as i64))
        .ok_or_else(|| CommandError::reply(format!("ERR invalid expire time in '{name}' command")))?;
    let Some(row) = cx.row(key)? else {
        cx.reply.integer(0);
        return Ok(());
    };
    if !condition.allows(row.header.expire_at.map(|at| at as i64), when) {
        cx.reply.integer(0);
        return Ok(());
    }
    match u64::try_from(when) {
        Ok(at) if at > cx.now => {
            cx.set_expiry(key, &row, Some(at))?;
            cx.modified(KeyEvent::Expire, key);
        }
        // That time is over.
        _ => {
            cx.delete(key, row.header)?;
            cx.modified(KeyEvent::Del, key);
        }
    }
    cx.reply.integer(1);
    Ok(())
}

fn persist(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let expiring = cx.row(key)?.filter(|row| row.header.expire_at.is_some());
    if let Some(row) = &expiring {
        cx.set_expiry(key, row, None)?;
        cx.modified(KeyEvent::Persist, key);
    }
    cx.reply.integer(i64::from(expiring.is_some()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use haypile_store::row::Kind;

    use crate::testing::Bench;

    #[test]
    fn sets_and_takes_off_an_expiry() {
        for apply in [true, false] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.string("s", "value");
            bench.collection("l", Kind::List, 3);
            for key in ["s", "l"] {
                assert_eq!(bench.run(&format!("expire {key} 10")), ":1|");
                assert_eq!(bench.heard, [format!("expire {key}")]);
                assert_eq!(bench.run(&format!("pttl {key}")), ":10000|");
                assert_eq!(bench.run(&format!("expireat {key} 2000")), ":1|");
                assert_eq!(bench.run(&format!("pexpiretime {key}")), ":2000000|");
                assert_eq!(bench.run(&format!("pexpireat {key} 2000001")), ":1|");
                assert_eq!(bench.run(&format!("pexpiretime {key}")), ":2000001|");
                assert_eq!(bench.run(&format!("pexpire {key} 7")), ":1|");
                assert_eq!(bench.run(&format!("pttl {key}")), ":7|");
                assert_eq!(bench.run(&format!("persist {key}")), ":1|");
                assert_eq!(bench.heard, [format!("persist {key}")]);
                assert_eq!(bench.run(&format!("persist {key}")), ":0|");
                assert_eq!(bench.heard, Vec::<String>::new());
                assert_eq!(bench.run(&format!("ttl {key}")), ":-1|");
            }
            assert_eq!(bench.elements("l"), 3);
            assert_eq!(bench.run("get s"), "$5|value|");
            assert_eq!(bench.counts(), (2, 0));
            assert_eq!(bench.run("persist nothing"), ":0|");
            assert_eq!(bench.run("expire nothing 10"), ":0|");
        }
    }

    #[test]
    fn a_time_in_the_past_deletes() {
        let mut bench = Bench::new();
        for line in [
            "expire k 0",
            "expire k -1",
            "pexpire k -9223372036854775808",
            "expireat k 1000",
            "pexpireat k -5",
        ] {
            bench.string("k", "1");
            assert_eq!(bench.run(line), ":1|", "{line}");
            assert_eq!(bench.heard, ["del k"]);
            assert_eq!(bench.counts(), (0, 0));
        }
    }

    #[test]
    fn conditions_compare_with_the_current_expiry() {
        let mut bench = Bench::new();
        bench.string("k", "1");
        for (line, reply) in [
            ("expire k 100 xx", ":0|"),
            ("expire k 100 gt", ":0|"),
            ("expire k 100 XX gt", ":0|"),
            ("expire k 100 nx", ":1|"),
            ("expire k 50 NX", ":0|"),
            ("expire k 100 gt", ":0|"),
            ("expire k 100 lt", ":0|"),
            ("expire k 200 gt xx", ":1|"),
            ("expire k 50 lt", ":1|"),
            ("ttl k", ":50|"),
            ("persist k", ":1|"),
            ("expire k 70 lt xx", ":0|"),
            ("expire k 70 lt", ":1|"),
            ("expire k -1 gt", ":0|"),
            ("expire k -1 lt", ":1|"),
            ("exists k", ":0|"),
        ] {
            assert_eq!(bench.run(line), reply, "{line}");
        }
    }

    #[test]
    fn arguments_are_checked_in_redis_order() {
        let mut bench = Bench::new();
        for (line, reply) in [
            ("expire k x aa", "-ERR Unsupported option aa|"),
            ("expire k x", "-ERR value is not an integer or out of range|"),
            (
                "expire k x nx lt",
                "-ERR NX and XX, GT or LT options at the same time are not compatible|",
            ),
            (
                "expire k 1 gt lt",
                "-ERR GT and LT options at the same time are not compatible|",
            ),
            (
                "expire k 9223372036854775",
                "-ERR invalid expire time in 'expire' command|",
            ),
            (
                "expire k -9223372036854776",
                "-ERR invalid expire time in 'expire' command|",
            ),
            (
                "pexpire k 9223372036854775807",
                "-ERR invalid expire time in 'pexpire' command|",
            ),
            (
                "expireat k 9223372036854776",
                "-ERR invalid expire time in 'expireat' command|",
            ),
            ("pexpireat k 9223372036854775807", ":0|"),
        ] {
            assert_eq!(bench.run(line), reply, "{line}");
        }
        bench.string("k", "1");
        assert_eq!(bench.run("pexpireat k 9223372036854775807"), ":1|");
        assert_eq!(bench.run("expiretime k"), ":9223372036854776|");
    }
}
