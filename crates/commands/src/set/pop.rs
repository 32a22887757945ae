//! SPOP: members that are chosen at random and taken out.

use haypile_resp::Request;
use haypile_store::row::Kind;

use super::draw::random_member;
use super::read::every;
use super::{Name, member};
use crate::args::non_negative;
use crate::error::SYNTAX;
use crate::sample;
use crate::spec::REMOVE_FAST;
use crate::{Collection, CommandError, Cx, Group, Handler, KeyAccess, KeyEvent, Keys, Outcome, SPEC, Spec};

pub(super) const SPOP: Spec = Spec {
    name: "spop",
    summary: "Removes random members from a set and returns them.",
    since: "1.0.0",
    group: Group::Set,
    complexity: "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
    arity: -2,
    flags: REMOVE_FAST,
    keys: Keys::ONE,
    access: KeyAccess::TAKE,
    syntax: "key [count]",
    handler: Handler::Data(spop),
    ..SPEC
};

/// One pass over all members costs as much as drawing one in this many.
const PASS_RATIO: u64 = 32;
/// When fewer than one in this many is left, those are written anew rather than the others deleted.
const KEEP_RATIO: u64 = 5;

fn spop(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    match request.len() {
        2 => {}
        3 => return pop_many(cx, request),
        _ => return Err(SYNTAX),
    }
    let Some(mut set) = cx.collection(key, Kind::Set)? else {
        cx.reply.null();
        return Ok(());
    };
    let element = random_member(cx, &set)?;
    cx.delete_element(&mut set, &element)?;
    set.size -= 1;
    cx.put_collection(key, &mut set)?;
    cx.reply.bulk(member(&element));
    tell(cx, key, &set, KeyEvent::SPop);
    Ok(())
}

fn pop_many(cx: &mut Cx<'_>, request: &Request) -> Outcome {
    let key = &request[1];
    let count = non_negative(&request[2])?;
    let mut set = match cx.collection(key, Kind::Set)? {
        Some(set) if count > 0 => set,
        _ => {
            cx.reply.set(0);
            return Ok(());
        }
    };
    let event = if count >= set.size {
        KeyEvent::SPopAll
    } else {
        KeyEvent::SPop
    };
    let count = count.min(set.size);
    cx.reply.set(count as usize);
    let left = set.size - count;
    if left == 0 {
        every(cx, &set)?;
        set.size = 0;
    } else if left * KEEP_RATIO < count {
        set = pop_most(cx, key, &set, count)?;
    } else if set.is_packed() || count * PASS_RATIO > set.size {
        pop_in_a_pass(cx, &mut set, count)?;
    } else {
        for _ in 0..count {
            let element = random_member(cx, &set)?;
            cx.delete_element(&mut set, &element)?;
            cx.reply.bulk(member(&element));
            set.size -= 1;
        }
    }
    cx.put_collection(key, &mut set)?;
    tell(cx, key, &set, event);
    Ok(())
}

fn tell(cx: &mut Cx<'_>, key: &[u8], set: &Collection, event: KeyEvent) {
    cx.modified(event, key);
    if set.size == 0 {
        cx.event(KeyEvent::Del, key);
    }
}

fn pop_in_a_pass(cx: &mut Cx<'_>, set: &mut Collection, count: u64) -> Result<(), CommandError> {
    let mut popped = Vec::with_capacity(count as usize);
    sample::select(cx, set, count, |reply, taken, member, _| {
        if taken {
            reply.bulk(member);
            popped.push(member.to_vec());
        }
        Ok(())
    })?;
    let mut name = Name::default();
    for member in &popped {
        cx.delete_element(set, name.of(member))?;
    }
    set.size -= count;
    Ok(())
}

/// Puts the few members that stay into a new incarnation of the set. The others need not be deleted one by one.
fn pop_most(cx: &mut Cx<'_>, key: &[u8], set: &Collection, count: u64) -> Result<Collection, CommandError> {
    let mut kept = Vec::new();
    sample::select(cx, set, count, |reply, taken, member, _| {
        match taken {
            true => reply.bulk(member),
            false => kept.push(member.to_vec()),
        }
        Ok(())
    })?;
    let mut new = cx.new_collection(key, Kind::Set, set.old);
    new.succeed(set);
    new.size = kept.len() as u64;
    let mut name = Name::default();
    for member in &kept {
        cx.put_element(&mut new, name.of(member), &[])?;
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::testing::Bench;
    use haypile_resp::Version;

    #[test]
    fn one_after_another_until_the_set_is_gone() {
        for (size, apply) in [(3, true), (3, false), (200, true), (200, false), (1500, true)] {
            let mut bench = Bench::new();
            bench.apply = apply;
            bench.fill_set("s", size);
            let mut seen = HashSet::new();
            for left in (0..size).rev() {
                let got = bench.run("spop s");
                assert!(seen.insert(got));
                match left {
                    0 => assert_eq!(bench.heard, ["spop s", "del s"]),
                    _ => assert_eq!(bench.heard, ["spop s"]),
                }
                assert_eq!(bench.run("scard s"), format!(":{left}|"));
            }
            assert_eq!(bench.run("spop s"), "$-1|");
            assert!(bench.heard.is_empty());
        }
    }

    #[test]
    fn many_at_a_time() {
        for apply in [true, false] {
            for (size, counts) in [
                (26, &[11, 9, 0, 4, 1, 0, 1, 0][..]),
                (20, &[18, 1, 5]),
                (2000, &[5, 100, 1000, 800, 50, 100]),
                (4000, &[3900, 99, 2]),
            ] {
                let mut bench = Bench::new();
                bench.apply = apply;
                bench.fill_set("s", size);
                let (mut seen, mut left) = (HashSet::new(), size);
                for &count in counts {
                    let reply = bench.run(&format!("spop s {count}"));
                    let got: Vec<&str> = reply.split('|').skip(2).step_by(2).collect();
                    assert_eq!(got.len(), count.min(left));
                    left -= got.len();
                    assert!(got.into_iter().all(|member| seen.insert(member.to_owned())));
                    assert_eq!(bench.run("scard s"), format!(":{left}|"));
                    let rest = bench.run("smembers s");
                    let rest: Vec<&str> = rest.split('|').skip(2).step_by(2).collect();
                    assert_eq!(rest.len(), left);
                    assert!(rest.iter().all(|member| !seen.contains(*member)));
                }
                assert_eq!((seen.len(), left), (size, 0));
            }
        }
    }

    /// Also where the set is written anew.
    #[test]
    fn the_expiry_stays() {
        let mut bench = Bench::new();
        bench.fill_set("s", 100);
        bench.write(|cx| {
            let row = cx.row(b"s").unwrap().unwrap();
            cx.set_expiry(b"s", &row, Some(2_000_000)).unwrap();
        });
        for (command, left) in [("spop s", 99), ("spop s 9", 90), ("spop s 88", 2)] {
            bench.run(command);
            assert_eq!(bench.run("scard s"), format!(":{left}|"));
            let (expires, at) = bench.write(|cx| {
                let at = cx.row(b"s").unwrap().unwrap().header.expire_at;
                (cx.counts().expires, at)
            });
            assert_eq!((expires, at), (1, Some(2_000_000)));
        }
        bench.now = 2_000_000;
        assert_eq!(bench.run("spop s 1"), "*0|");
        assert_eq!(bench.heard, ["expired s"]);
    }

    #[test]
    fn arguments() {
        let mut bench = Bench::new();
        assert_eq!(bench.run("spop s 4"), "*0|");
        bench.run("sadd s a");
        for count in ["x", "-1", "1.5"] {
            assert_eq!(
                bench.run(&format!("spop s {count}")),
                "-ERR value is out of range, must be positive|"
            );
        }
        assert_eq!(bench.run("spop s 1 2"), "-ERR syntax error|");
        assert_eq!(bench.run("spop s 0"), "*0|");
        assert!(bench.heard.is_empty());
        assert_eq!(bench.run("spop s 9"), "*1|$1|a|");
        assert_eq!(bench.heard, ["spop s", "del s"]);
        bench.version = Version::Resp3;
        assert_eq!(bench.run("spop s 4"), "~0|");
        assert_eq!(bench.run("spop s"), "_|");
    }
}
