#!/usr/bin/env python3
"""Sends the same random requests to redis-server and to Haypile and compares the replies, in RESP2 and RESP3.

The requests are made from Redis' own description of its commands (COMMAND DOCS), with keys of every type, odd numbers,
and now and then an argument too many, too few or in the wrong place. A difference counts if it shows again when the
requests since the last fresh start are repeated.
"""

import argparse
import random
import socket
import sys
import time

import server

GROUPS = {"string", "list", "set", "sorted-set", "hash", "generic", "bitmap", "hyperloglog", "geo"}
# Those that come later, wait for replicas, or look into Redis' own structures.
WITHOUT = set("dump restore restore-asking migrate sort sort_ro pfdebug pfselftest wait waitaof".split())
WITHOUT |= {"object|help", "object|freq"}
# Replies that differ in content and not in form.
FORM_ONLY = {"srandmember", "hrandfield", "zrandmember", "spop", "randomkey", "scan", "sscan", "hscan", "zscan"}
FORM_ONLY |= {"object encoding", "object idletime", "object refcount", "memory usage"}
UNORDERED = {"smembers", "sinter", "sunion", "sdiff", "keys", "hkeys", "hvals", "hgetall"}
CLOCK = {"ttl", "pttl", "expiretime", "pexpiretime"}
# Their numbers are times: none that is over before the next request, or not.
EXPIRING = {"set", "setex", "psetex", "getex", "expire", "pexpire", "expireat", "pexpireat"}
# These are about members of equal score; Redis does not say what they do with others.
LEX = {"zrangebylex", "zrevrangebylex", "zlexcount", "zremrangebylex"}
# A fresh start after so many requests.
SESSION = 40
READ_TIMEOUT_S = 2

KEYS = [b"s", b"n", b"f", b"l", b"st", b"is", b"z", b"zg", b"h", b"hll", b"exp", b"big", b"missing"]
FILL = [
    "SET s hello", "SET n 10", "SET f 3.5", "RPUSH l a b c a 1 2", "SADD st a b c 1 2 abc", "SADD is 1 2 3 10",
    "ZADD z 0 a 0 b 0 c 0 abc", "GEOADD zg 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "HSET h a 1 b x f1 3.5", "PFADD hll a b c", "SET exp v EX 100000", "RPUSH big " + " ".join(map(str, range(50))),
    "ZADD {t}a 1 a 2 b 3 c 3 d 4.5 abc",
]  # fmt: skip
TEXTS = [b"", b"a", b"b", b"c", b"abc", b"1", b"2", b"-1", b"10", b"3.5", b"x y", b"1e3", b"a" * 70, b"nan", b"f1"]
SMALL = [b"0", b"1", b"2", b"3", b"-1", b"-2", b"10"]
INTEGERS = SMALL + [b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"2147483648", b"", b"x"]
INTEGERS += [b"1.5", b" 1", b"01", b"+1"]
# Not -0: it is 0 here.
DOUBLES = SMALL + [b"1.5", b"0.1", b"1e10", b"inf", b"-inf", b"nan", b"x", b"", b"(1", b"1e400", b"0x10", b"1e17"]
TIMES = [b"99999999999", b"9999999999999", b"9223372036854775807", b"-9223372036854775808", b"0", b"-1", b"x"]
BOUNDS = [b"-", b"+", b"[a", b"(a", b"[b", b"(c", b"[", b"a", b"", b"0", b"1", b"-1", b"(1", b"-inf", b"+inf"]
PATTERNS = [b"*", b"?", b"a*", b"[a-c]", b"[^a]*", b"\\*", b"[", b""]
UNITS = {"encoding": [b"u8", b"i8", b"i64", b"u63", b"u64", b"x"], "operation": [b"AND", b"or", b"XOR", b"NOT", b"x"]}
UNITS["type"] = [b"string", b"hash", b"list", b"set", b"zset", b"x"]


class Connection:
    """A connection that gives replies with their types."""

    def __init__(self, port, protocol):
        self.socket = socket.create_connection(("127.0.0.1", port), READ_TIMEOUT_S)
        self.file = self.socket.makefile("rb")
        self.call([b"HELLO", b"%d" % protocol])

    def call(self, words):
        """The reply to a request, or why there is none."""
        out = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        try:
            self.socket.sendall(b"*%d\r\n%s" % (len(words), out))
            return self.read()
        except TimeoutError:
            return ("nothing",)
        except (EOFError, ConnectionError):
            return ("closed",)

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        kind, text = line[:1].decode(), line[1:-2]
        if kind in "+-:,#(_":
            return (kind, text)
        length = int(text)
        if length < 0:
            return (kind, None)
        if kind in "$=!":
            return (kind, self.file.read(length + 2)[:-2])
        return (kind, [self.read() for _ in range(length * 2 if kind == "%" else length)])

    def close(self):
        self.file.close()
        self.socket.close()


def described(connection):
    """The arguments of each command of interest, by name."""

    def plain(reply):
        kind, value = reply
        return [plain(item) for item in value] if kind == "*" else (value or b"").decode()

    def table(flat):
        return dict(zip(flat[::2], flat[1::2]))

    def argument(flat):
        fields = table(flat)
        fields["arguments"] = [argument(inner) for inner in fields.get("arguments", [])]
        return fields

    commands = {}
    for name, flat in table(plain(connection.call([b"COMMAND", b"DOCS"]))).items():
        docs = table(flat)
        parts = table(docs.get("subcommands", [])) or {name: flat}
        for full_name, part in parts.items():
            if docs["group"] in GROUPS and not WITHOUT & {name, full_name}:
                commands[full_name.replace("|", " ")] = [argument(a) for a in table(part).get("arguments", [])]
    return commands


class Generator:
    """Makes requests."""

    def __init__(self, seed, commands, only):
        self.random = random.Random(seed)
        self.commands = {name: commands[name] for name in sorted(commands) if not only or name in only}

    def value(self, command, argument):
        kind, name = argument["type"], argument["name"]
        pick = self.random.choice
        if kind == "key":
            return pick(KEYS + [b"{t}a"])
        if kind == "pattern":
            return pick(PATTERNS)
        if kind == "integer":
            if command in ("setbit", "setrange"):
                return pick(SMALL)
            if command in EXPIRING:
                return pick([b"1000000", b"0", b"-1", b"9223372036854775807", b"x"])
            return pick(SMALL if self.random.random() < 0.8 else INTEGERS)
        if kind == "double":
            return pick([b"0.01", b"-1", b"x"] if name == "timeout" else DOUBLES)
        if kind == "unix-time":
            return pick(TIMES)
        if name in ("min", "max", "start", "stop"):
            return pick(BOUNDS)
        return pick(UNITS.get(name, TEXTS))

    def words(self, command, argument, keys=0):
        flags = argument.get("flags", [])
        if "optional" in flags and self.random.random() < 0.6:
            return []
        several = keys if keys and argument["type"] == "key" else self.random.choice([1, 1, 2, 3])
        out = []
        for n in range(several if "multiple" in flags else 1):
            if argument.get("token") and (n == 0 or "multiple_token" in flags):
                out.append(argument["token"].strip('"').encode())
            if argument["type"] == "oneof":
                out += self.words(command, self.random.choice(argument["arguments"]))
            elif argument["type"] == "block":
                for inner in argument["arguments"]:
                    out += self.words(command, inner)
            elif argument["type"] != "pure-token":
                out.append(self.value(command, argument))
        return out

    def request(self):
        """A command's name and a request."""
        command = self.random.choice(list(self.commands))
        keys = self.random.choice([1, 1, 2, 3])
        out = []
        for argument in self.commands[command]:
            right = argument["name"] == "numkeys" and self.random.random() < 0.9
            out += [b"%d" % keys] if right else self.words(command, argument, keys)
        if out:
            at, chance = self.random.randrange(len(out)), self.random.random()
            if chance < 0.05:
                out.pop(at)
            elif chance < 0.1:
                out.insert(at, self.random.choice(TEXTS))
            elif chance < 0.15:
                out[at] = self.random.choice(TEXTS)
        return command, [word.encode() for word in command.split()] + out


def normal(command, reply):
    """The part of a reply that has to be the same."""
    if reply[0] in ("-", "nothing", "closed"):
        return reply
    if command in FORM_ONLY:
        return (reply[0], len(reply[1]) if isinstance(reply[1], list) and "scan" not in command else None)
    if command in UNORDERED and isinstance(reply[1], list):
        return (reply[0], sorted(map(repr, reply[1])))
    if command in CLOCK and reply[0] == ":":
        return (":", int(reply[1]) // 100000)
    return reply


def is_known(command, request, mine):
    """Where Haypile does as Redis 7.2 or differs on purpose, see docs/compatibility.md."""
    if command in ("bitcount", "bitpos", "lpos", "zrank", "zrevrank") and mine[0] == "-":
        return True  # arguments are checked first
    if command in LEX or (command in ("zrange", "zrangestore") and b"BYLEX" in request):
        return b"{t}a" in request or b"zg" in request
    return False


class Pair:
    """The two servers, filled alike, with a connection to each."""

    def __init__(self, ports):
        self.ports = ports
        self.connections = []

    def refill(self, protocol):
        for connection in self.connections:
            connection.close()
        self.connections = [Connection(port, protocol) for port in self.ports]
        for connection in self.connections:
            for line in ["FLUSHALL", *FILL]:
                connection.call(line.encode().split())

    def ask(self, command, request):
        """Both replies, and whether they are alike."""
        redis, mine = [connection.call(request) for connection in self.connections]
        alike = normal(command, redis) == normal(command, mine) or is_known(command, request, mine)
        return redis, mine, alike


def run(pair, generator, until, print_difference):
    """Compares until the time is over; returns the numbers of requests and of differences."""
    asked = differences = 0
    while time.monotonic() < until:
        protocol = generator.random.choice([2, 3])
        pair.refill(protocol)
        history = []
        for _ in range(SESSION):
            history.append(generator.request())
            asked += 1
            redis, mine, alike = pair.ask(*history[-1])
            if not alike:
                pair.refill(protocol)
                for earlier in history[:-1]:
                    pair.ask(*earlier)
                redis, mine, alike = pair.ask(*history[-1])
                if not alike:
                    differences += 1
                    print_difference(protocol, history, redis, mine)
            if not alike or "nothing" in (redis[0], mine[0]) or history[-1][0] in ("spop", "move"):
                break
    return asked, differences


def print_difference(protocol, history, redis, mine):
    command, request = history[-1]
    print(f"DIFFERENT RESP{protocol} {b' '.join(map(repr_word, request)).decode()}")
    print(f"  redis   {str(redis)[:300]}\n  haypile {str(mine)[:300]}")
    for _, earlier in history[:-1]:
        if set(earlier) & set(request) & set(KEYS):
            print(f"  after   {b' '.join(map(repr_word, earlier)).decode()[:200]}")


def repr_word(word):
    return repr(word)[1:].encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", nargs="*", help="compare only these, such as zadd 'object encoding'")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="default: a random one, printed")
    parser.add_argument("--seconds", type=int, default=60, help="default 60")
    args = parser.parse_args()
    print(f"differential: --seed {args.seed}", flush=True)
    with server.Server(server.REDIS) as redis, server.Server(server.command_template()) as mine:
        first = Connection(redis.port, 2)
        generator = Generator(args.seed, described(first), set(args.command))
        first.close()
        pair = Pair([redis.port, mine.port])
        asked, differences = run(pair, generator, time.monotonic() + args.seconds, print_difference)
        died = mine.died()
    if died is not None:
        print(f"the server ended with {died}")
    print(f"differential: {asked} requests, {differences} different replies")
    return 1 if differences or died is not None else 0


if __name__ == "__main__":
    server.end_in_order_on_sigterm()
    try:
        sys.exit(main())
    except (server.ServerError, OSError) as problem:
        sys.exit(f"differential: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
