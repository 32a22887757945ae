#!/usr/bin/env python3
"""Sends the same random list commands to redis-server and to Haypile, and compares the replies and what OBJECT ENCODING
says, for several values of list-max-listpack-size.

Redis 7.0 knows quicklists only, so encodings are compared with a redis-server of version 7.2 or later, if that is what
stands first on the PATH. Lists that have only grown must have the same one there; what else may differ is in
docs/compatibility.md, and is counted.
"""

import argparse
import random
import sys
import time

import server
from differential import Connection

KEYS = [b"l1", b"l2", b"l3"]
LIMITS = [b"-2", b"-1", b"8", b"128", b"1", b"-5"]
# Bytes of a packed list. Redis' layout takes other bytes than Haypile's, fewer for numbers, so near that either may be first.
PACKED_BYTES_MAX = {b"-1": 4 << 10}
NEAR = 0.4
GROWS = {b"RPUSH", b"LPUSH", b"RPUSHX", b"LPUSHX", b"LINSERT"}
LENGTHS = [0, 1, 3, 10, 50, 63, 64, 65, 200, 500, 1000, 4000]


class Lists:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def element(self):
        if self.random.random() < 0.6:
            return b"x" * self.random.choice(LENGTHS)
        return b"%d" % self.random.randrange(10 ** self.random.randrange(1, 19))

    def command(self):
        pick, key = self.random.choice, self.random.choice(KEYS)
        number = b"%d" % self.random.randrange(-3, 12)
        return pick(
            [
                [pick(sorted(GROWS - {b"LINSERT"})), key, *(self.element() for _ in range(pick([1, 1, 2, 5, 20])))],
                [pick(sorted(GROWS - {b"LINSERT"})), key, self.element()],
                [b"LINSERT", key, pick([b"BEFORE", b"AFTER"]), pick([b"", b"x", b"1"]), self.element()],
                [pick([b"LPOP", b"RPOP"]), key],
                [pick([b"LPOP", b"RPOP"]), key, b"%d" % self.random.randrange(40)],
                [b"LTRIM", key, number, b"%d" % self.random.randrange(-2, 60)],
                [b"LSET", key, number, self.element()],
                [b"LREM", key, number, self.element()],
                [b"LMOVE", key, pick(KEYS), pick([b"LEFT", b"RIGHT"]), pick([b"LEFT", b"RIGHT"])],
                [b"LRANGE", key, number, b"%d" % self.random.randrange(-3, 12)],
                [b"COPY", key, pick(KEYS), b"REPLACE"],
                [b"RENAME", key, pick(KEYS)],
                [b"DEL", key],
            ]
        )


def compare(pair, lists, until, encodings):
    """Returns the numbers of comparisons, of differences, and of encodings that may differ and did."""
    compared = different = other = 0
    for limit in LIMITS:
        near = PACKED_BYTES_MAX.get(limit, 8 << 10) * NEAR
        for connection in pair:
            connection.call([b"FLUSHALL"])
            connection.call([b"CONFIG", b"SET", b"list-max-listpack-size", limit])
        # Lists that have done nothing but grow, with their bytes.
        growing = dict.fromkeys(KEYS, 0)
        end = time.monotonic() + (until - time.monotonic()) / (len(LIMITS) - LIMITS.index(limit))
        while time.monotonic() < end:
            command = lists.command()
            redis, mine = [connection.call(command) for connection in pair]
            compared += 1
            # Texts of errors are compared elsewhere.
            if redis != mine and "-" not in (redis[0], mine[0]):
                different += 1
                print(f"DIFFERENT {short(command)} with {limit.decode()}\n  redis   {short(redis)}\n  haypile {short(mine)}")
            follow(growing, command, redis)
            for key in KEYS if encodings else ():
                redis, mine = [connection.call([b"OBJECT", b"ENCODING", key]) for connection in pair]
                compared += 1
                if redis == mine:
                    growing[key] = 0 if redis[0] == "_" or redis[1] is None else growing[key]
                elif growing[key] is None or growing[key] > near:
                    other += 1
                else:
                    different += 1
                    growing[key] = None
                    print(f"DIFFERENT encoding after {short(command)} with {limit.decode()}: {redis[1]} {mine[1]}")
    return compared, different, other


def follow(growing, command, reply):
    """Which lists have only grown, after this command."""
    name, keys = command[0], [word for word in command[1:3] if word in KEYS]
    if name == b"LINSERT" and reply[1] in (b"0", b"-1"):
        # Of a list that is full Redis makes a quicklist for it although nothing is inserted, as it does for LSET.
        growing[keys[0]] = None
    elif name in GROWS and growing[keys[0]] is not None:
        growing[keys[0]] += sum(map(len, command[2:]))
    elif name == b"DEL":
        growing[keys[0]] = 0
    elif name not in GROWS and name != b"LRANGE":
        growing.update(dict.fromkeys(keys))


def short(value):
    text = str(value)
    return text if len(text) < 200 else text[:200] + "..."


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="default: a random one, printed")
    parser.add_argument("--seconds", type=int, default=60, help="default 60")
    args = parser.parse_args()
    print(f"differential-lists: --seed {args.seed}", flush=True)
    with server.Server(server.REDIS) as redis, server.Server(server.command_template()) as mine:
        pair = [Connection(port, 2) for port in (redis.port, mine.port)]
        info = dict(line.split(b":", 1) for line in pair[0].call([b"INFO", b"server"])[1].split(b"\r\n") if b":" in line)
        version = tuple(int(part) for part in info[b"redis_version"].split(b".")[:2])
        encodings = version >= (7, 2)
        compared, different, other = compare(pair, Lists(args.seed), time.monotonic() + args.seconds, encodings)
        died = mine.died()
    if died is not None:
        print(f"the server ended with {died}")
    told = f", {other} encodings that may differ" if encodings else ", encodings not compared: Redis is older than 7.2"
    print(f"differential-lists: {compared} comparisons, {different} differences{told}")
    return 1 if different or died is not None else 0


if __name__ == "__main__":
    sys.exit(server.run("differential-lists", main))
