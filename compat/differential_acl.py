#!/usr/bin/env python3
"""Gives the same random access rules to redis-server and to Haypile, and compares what they say of the user and what the
user may do: with every command, with random requests that are only asked about (ACL DRYRUN), and with some that are sent.

Texts that Redis 7.2 has changed are held against those of 7.0 by what they mean.
"""

import argparse
import random
import re
import sys
import time

import differential
import server
from differential import Connection, Generator

differential.GROUPS |= {"pubsub", "connection", "transactions", "server"}
differential.WITHOUT |= {"failover", "psync", "sync", "replconf", "cluster", "module"}
differential.KEYS = [b"a", b"a1", b"b", b"b1", b"c", b"d", b"{t}a"]
differential.TEXTS = [b"a", b"a1", b"b", b"b1", b"c", b"d", b"*", b"GET", b"STORE", b"SET", b"1", b"0", b""]
# Slow here: members are counted one by one.
OTHER_CATEGORIES = {"zcount", "zlexcount", "zrank", "zrevrank"}
PATTERNS = ["~a*", "~b", "~c", "%R~a*", "%W~a*", "%R~b*", "%W~b*", "%RW~c*", "%r~d", "~*", "allkeys", "resetkeys"]
CHANNELS = ["&a*", "&b", "&c*", "&*", "allchannels", "resetchannels"]
FLAGS = ["on", "off", "nopass", "resetpass", ">p", ">q", "<p", "clearselectors", "reset", "sanitize-payload"]
FLAGS += ["skip-sanitize-payload", "#2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"]
WRONG = ["x", "+", "-", "+nonsense", "-@nonsense", "+get|", "-get|a", "+config|nonsense", "+config|get|a", "%~a", "%RR~a"]
WRONG += ["%RX~a", "#12", "!12", "(x)", "(+get", "(on)", "+@", "-@", "+|", "+get|a|b"]
FIRST_ARGUMENTS = ["+select|0", "+SELECT|1", "+get|a", "+set|b", "+debug|object", "+publish|a"]
# Where the number of keys stands.
COUNTED = dict.fromkeys([b"ZINTER", b"ZUNION", b"ZDIFF", b"ZINTERCARD", b"SINTERCARD", b"LMPOP", b"ZMPOP"], 1)
COUNTED |= dict.fromkeys([b"BLMPOP", b"BZMPOP", b"ZUNIONSTORE", b"ZINTERSTORE", b"ZDIFFSTORE"], 2)
# Rules for one user.
RULES = 12
REQUESTS = 30


class Rules:
    """Makes rules of the commands and categories that both servers have."""

    def __init__(self, seed, names, categories):
        self.random = random.Random(seed)
        self.names, self.categories = names, categories

    def of_selector(self):
        pick, sign = self.random.choice, self.random.choice("+-")
        return pick(
            [
                pick(PATTERNS),
                pick(CHANNELS),
                sign + pick(self.names),
                sign + pick(self.names).upper(),
                sign + "@" + pick(self.categories),
                pick(["+@all", "-@all", "allcommands", "nocommands", *FIRST_ARGUMENTS]),
            ]
        )

    def rule(self):
        chance = self.random.random()
        if chance < 0.1:
            inner = [self.of_selector() for _ in range(self.random.randrange(4))]
            return "(" + " ".join(inner) + ")"
        if chance < 0.2:
            return self.random.choice(FLAGS)
        if chance < 0.25:
            return self.random.choice(WRONG)
        return self.of_selector()


def plain(reply):
    kind, value = reply
    return [plain(item) for item in value] if kind in "*%~" else (value or b"").decode(errors="replace")


def verdict(reply):
    """What a reply says of rights; what is no refusal is "ok"."""
    text = plain(reply)
    if isinstance(text, list):
        return "ok"
    for pattern in [
        r"no permissions to (run|access) the '(.*)' (command|key|channel)",
        r"NOPERM.*(one of the|a) (key|channel)",
    ]:
        found = re.search(pattern, text, re.S | re.I)
        if found:
            return " ".join(found.groups()[-2:]).replace("one of the", "a")
    if text.startswith("ERR") and ("not found" in text or "wrong number" in text):
        return text
    return "ok"


def shown(reply):
    """What ACL GETUSER says, but for how the rules about commands are put."""

    def without_commands(fields):
        fields = dict(zip(fields[::2], fields[1::2]))
        fields.pop("commands", None)
        fields["flags"] = [flag for flag in fields.get("flags", []) if "sanitize" not in flag]
        fields["selectors"] = [without_commands(selector) for selector in fields.get("selectors", [])]
        return fields

    text = plain(reply)
    return without_commands(text) if isinstance(text, list) else text


def compare(ports, generator, rules, until, report):
    """Compares until the time is over; returns the number of comparisons and of differences."""
    compared = differences = 0
    names = [name for name in rules.names if name not in OTHER_CATEGORIES]
    arity = {}
    pair = [Connection(port, 2) for port in ports]
    for name in names:
        arity[name] = abs(plain_number(pair[0].call([b"COMMAND", b"INFO", name.encode()])))

    def both(words):
        return [connection.call(words) for connection in pair]

    def check(what, words, left, right):
        nonlocal compared, differences
        compared += 1
        if left != right:
            differences += 1
            report(what, history, words, left, right)

    while time.monotonic() < until:
        history = []
        both([b"ACL", b"DELUSER", b"u"])
        both([b"ACL", b"SETUSER", b"u", b"reset"])
        for _ in range(rules.random.randrange(1, RULES)):
            rule = rules.rule()
            left, right = both([b"ACL", b"SETUSER", b"u", rule.encode()])
            history.append(rule)
            check("reply", rule, plain(left), plain(right))
        left, right = both([b"ACL", b"GETUSER", b"u"])
        check("user", "GETUSER", shown(left), shown(right))
        # What is printed here makes the same user in Redis. (Redis 7.0 prints commands that are not here.)
        check("again", "LIST", shown(left), again(pair))
        for name in names:
            words = [b"ACL", b"DRYRUN", b"u", *name.replace("|", " ").encode().split()]
            words += [b"0"] * (3 + arity[name] - len(words))
            left, right = both(words)
            is_command = [verdict(reply).endswith(" command") for reply in (left, right)]
            check("command", name, *is_command)
        for _ in range(REQUESTS):
            name, request = generator.request()
            left, right = both([b"ACL", b"DRYRUN", b"u", *request])
            if name.replace(" ", "|") not in OTHER_CATEGORIES and not is_ambiguous(request):
                check("dry run", b" ".join(request), verdict(left), verdict(right))
        both([b"ACL", b"SETUSER", b"u", b"on", b"nopass"])
        both([b"ACL", b"LOG", b"RESET"])
        users = [Connection(port, 2) for port in ports]
        for connection in users:
            connection.call([b"AUTH", b"u", b"x"])
        for words in (b"GET a", b"SET b 1", b"PUBLISH a x", b"SUBSCRIBE c", b"MULTI", b"SET a 1", b"EXEC"):
            left, right = [connection.call(words.split()) for connection in users]
            check("sent", words, verdict(left), verdict(right))
        left, right = both([b"ACL", b"LOG"])
        check("log", "LOG", log_of(left), log_of(right))
        for connection in users:
            connection.close()
    for connection in pair:
        connection.close()
    return compared, differences


def again(pair):
    """Haypile's user as Redis makes it of its line."""
    redis, mine = pair
    redis.call([b"ACL", b"DELUSER", b"v"])
    redis.call([b"ACL", b"SETUSER", b"v", *line_of(mine)])
    return shown(redis.call([b"ACL", b"GETUSER", b"v"]))


def line_of(connection):
    """The rules that ACL LIST shows for the user."""
    lines = plain(connection.call([b"ACL", b"LIST"]))
    return next(line for line in lines if line.startswith("user u ")).encode().split(b" ")[2:]


def log_of(reply):
    entries = [dict(zip(entry[::2], entry[1::2])) for entry in plain(reply)]
    return [[entry[field] for field in ("count", "reason", "context", "object", "username")] for entry in entries]


def plain_number(info):
    return int(plain(info)[0][1])


def is_ambiguous(request):
    """Where Redis looks at other keys than those that the command would touch."""
    words = [word.upper() for word in request]
    name = words[0]
    if name.startswith(b"GEORADIUS"):
        # Of several destinations it looks at the first and writes the last.
        return words.count(b"STORE") + words.count(b"STOREDIST") > 1
    if name == b"PFMERGE" and len(words) == 2:
        # It finds no second key and takes that for no key at all.
        return True
    if name in COUNTED:
        # It takes " 1" and 1.5 for numbers, which the command then does not.
        return not re.fullmatch(rb"[1-9][0-9]*", words[COUNTED[name]])
    return False


def report(what, history, words, redis, mine):
    print(f"DIFFERENT {what}: {words!r} after {' '.join(history)}")
    print(f"  redis   {str(redis)[:400]}\n  haypile {str(mine)[:400]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="default: a random one, printed")
    parser.add_argument("--seconds", type=int, default=60, help="default 60")
    args = parser.parse_args()
    print(f"differential-acl: --seed {args.seed}", flush=True)
    with server.Server(server.REDIS) as redis, server.Server(server.command_template()) as mine:
        first, second = Connection(redis.port, 2), Connection(mine.port, 2)
        commands = differential.described(first)
        here = set(plain(second.call([b"COMMAND", b"LIST"])))
        names = sorted(here & set(plain(first.call([b"COMMAND", b"LIST"]))))
        categories = plain(second.call([b"ACL", b"CAT"]))
        if categories != plain(first.call([b"ACL", b"CAT"])):
            sys.exit("differential-acl: the categories are others")
        first.close()
        second.close()
        both = {name: arguments for name, arguments in commands.items() if name.replace(" ", "|") in here}
        generator = Generator(args.seed, both, set())
        rules = Rules(args.seed, names, categories)
        ports = [redis.port, mine.port]
        compared, differences = compare(ports, generator, rules, time.monotonic() + args.seconds, report)
        died = mine.died()
    if died is not None:
        print(f"the server ended with {died}")
    print(f"differential-acl: {compared} comparisons, {differences} differences")
    return 1 if differences or died is not None else 0


if __name__ == "__main__":
    server.run("differential-acl", main)
