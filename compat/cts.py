#!/usr/bin/env python3
"""Runs the table cts.json (commands and the replies that Redis gives) against one server.

Each case runs over the same connection after FLUSHALL. A case applies when its `since` is not newer than
the version asked for, it is not for clusters only, and it is not marked as skipped.
"""

import argparse
import json
import pathlib
import re
import sys

import expect
import resp
import server

TABLE = pathlib.Path(__file__).with_name("cts.json")


def version(text):
    """"7.0.0" as a tuple that compares."""
    return tuple(int(part) for part in text.split("."))


def applies(case, wanted):
    return (
        version(case["since"]) <= version(wanted)
        and case.get("tags") != "cluster"
        and not case.get("skipped")
    )


WORD = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+))""")
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def unescape(raw):
    """The bytes that the backslash escapes of redis-cli stand for."""

    def byte(match):
        code = match.group(1)
        return bytes.fromhex(code[1:].decode()) if len(code) == 3 else ESCAPED.get(code, code)

    return ESCAPE.sub(byte, raw)


def words(command, binary):
    """The words of a command as redis-cli splits them: escapes count inside double quotes. Outside of quotes
    a backslash stands for itself, except in a binary command.
    """
    result = []
    for double, single, bare in WORD.findall(command):
        raw = (double or single or bare).encode("latin-1" if binary else "utf-8")
        result.append(unescape(raw) if double or (bare and binary) else raw)
    return result


def as_float(value):
    """Numbers inside a reply as floats, so that "1.50" and "1.5" are the same; the rest as it is."""
    if isinstance(value, list):
        return [as_float(item) for item in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def sort_key(value):
    return (str(type(value)), str(value))


def same(case, expected, got):
    if isinstance(got, resp.ReplyError):
        return False
    if case.get("float_result"):
        expected, got = as_float(expected), as_float(got)
    if case.get("sort_result") and isinstance(expected, list) and isinstance(got, list):
        expected, got = sorted(expected, key=sort_key), sorted(got, key=sort_key)
    return expected == got


def run_case(client, case):
    """None when every reply is right, else (command, expected, got) of the first wrong one."""
    client.call("FLUSHALL")
    # One case of the table has a reply more than commands, so the lengths may differ.
    for command, expected in zip(case["command"], case["result"]):
        got = client.call(*words(command, case.get("command_binary")))
        if not same(case, expected, got):
            return command, expected, got
    return None


def run(port, wanted):
    """(passed, failures) over all cases that apply."""
    cases = [case for case in json.loads(TABLE.read_text()) if applies(case, wanted)]
    client = resp.Client(port)
    failures = []
    for case in cases:
        try:
            wrong = run_case(client, case)
        except (OSError, resp.Closed) as error:
            wrong = ("(connection)", "a reply", str(error))
        if wrong is not None:
            failures.append((case["name"], *wrong))
        # A failed case may leave MULTI behind; these leave a subscription, or no connection at all.
        if wrong is not None or any("subscribe" in command or command == "quit" for command in case["command"]):
            client.close()
            client = resp.Client(port)
    client.close()
    return len(cases) - len(failures), failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", default="7.0.0", help="cases up to this version of Redis (default 7.0.0)")
    parser.add_argument("--port", type=int, help="a server that runs already (its data is flushed)")
    parser.add_argument("--redis", action="store_true", help="run redis-server instead, as a baseline")
    args = parser.parse_args()
    if args.port:
        passed, failures = run(args.port, args.version)
    else:
        with server.Server(server.command_template(args.redis)) as target:
            passed, failures = run(target.port, args.version)
    known = [] if args.redis else expect.load("cts-expected.toml")["known"]
    unexpected = 0
    for name, command, expected, got in failures:
        why = expect.reason(known, name)
        if why is not None:
            print(f"known: {name}: {why}")
            continue
        unexpected += 1
        print(f"FAIL {name}\n  command  {command}\n  expected {expected!r}\n  got      {got!r}")
    print(f"cts {args.version}: {passed} passed, {len(failures)} failed ({len(failures) - unexpected} known, {unexpected} unexpected)")
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if unexpected else 0


if __name__ == "__main__":
    server.run("cts", main)
