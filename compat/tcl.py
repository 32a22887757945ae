#!/usr/bin/env python3
"""Runs Redis' own Tcl suite against a server, each unit alone against a fresh server, and counts.

The suite comes from Debian's source package (scripts/compat.sh fetches it); nothing of it is kept here.
tcl-expected.toml says which units run, which failures are known, and which tests must be skipped.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import expect
import server

# A line of the runner: [ok]: name (3 ms), [err]: name in tests/unit/x.tcl, ...
STATUS = re.compile(r"^\[(ok|err|skip|ignore|exception|TIMEOUT)\]: (.*)$")
IN_PROGRESS = re.compile(r"^\S+ => \(IN PROGRESS\) (.*)$")
THE_END = "                   The End"
# A test that hangs ends the unit; the unit is then run again without it, at most this often.
HANGS_MAX = 8
# How often a runner is started that finds its port in use, which it says at the beginning of its output.
PORT_ATTEMPTS = 5
OUTPUT_HEAD = 200
# The runners at work, each the leader of its process group, so that an interrupted run can end them.
RUNNING = set()
INTERRUPTED = threading.Event()
# Details of a failure that are shown, in lines.
DETAIL_LINES_MAX = 6


class Result:
    """What one run of a unit gave."""

    def __init__(self, unit, mode):
        self.unit = unit
        self.mode = mode
        self.counts = collections.Counter()
        self.failed = {}
        self.ok = []
        self.hung = []
        self.notes = []

    def fail(self, name, detail):
        # A name may occur more than once in a unit; each counts, the last detail is shown.
        self.counts["err"] += 1
        self.failed[name] = detail


def parse(output, result):
    """Adds the counts of a runner's output to `result`. Returns the test that hung, or None."""
    hung = None
    lines = output.splitlines()
    for number, line in enumerate(lines):
        if line == THE_END:
            break
        if match := IN_PROGRESS.match(line):
            hung = match.group(1)
            continue
        match = STATUS.match(line)
        if not match:
            continue
        status, text = match.groups()
        if status == "ok":
            result.counts["ok"] += 1
            result.ok.append(re.sub(r" \(\d+ ms\)$", "", text))
        elif status == "err":
            name = re.sub(r" in tests/\S+\.tcl$", "", text)
            result.fail(name, following(lines, number))
        elif status == "exception":
            result.counts["exception"] += 1
            result.failed["(exception)"] = [text, *following(lines, number)]
        elif status in ("skip", "ignore"):
            result.counts["skipped"] += 1
    return hung


def following(lines, number):
    """The lines after `number` that belong to it."""
    detail = []
    for line in lines[number + 1 :]:
        if STATUS.match(line) or line == THE_END or re.match(r"^\[\d+/\d+ done\]", line):
            break
        detail.append(line)
    return [line for line in detail if line.strip()]


def run_suite(suite, argv, limit_s):
    """The output of one call of the suite's runner; it and its children are killed at the limit."""
    environment = dict(os.environ, TERM="dumb")
    process = subprocess.Popen(
        argv,
        cwd=suite,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    RUNNING.add(process.pid)
    try:
        output, _ = process.communicate(timeout=limit_s)
        timed_out = False
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        RUNNING.discard(process.pid)
        # The runner starts a client of its own, which outlives it after an exception.
        kill_group(process.pid)
    if timed_out:
        output, _ = process.communicate()
    return output.decode("utf-8", "replace"), timed_out


def kill_group(pid):
    """Kills what is left of a runner's process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_unit(suite, template, unit, mode, plan, extra):
    """Runs one unit to its end, again without each test that hangs."""
    result = Result(unit["name"], mode)
    skips = [pattern for entry in plan.get("skip", []) if entry["unit"] == unit["name"] for pattern in entry["tests"]]
    stall_s = unit.get("stall_s", plan["stall_s"])
    while True:
        result.counts.clear()
        result.failed.clear()
        result.ok.clear()
        with server.Server(template) as target:
            argv = ["./runtest", "--host", "127.0.0.1", "--port", str(target.port), "--durable", "--no-latency"]
            argv += ["--ignore-encoding", "--ignore-digest", "--timeout", str(stall_s), "--single", unit["name"]]
            argv += ["--singledb"] if mode == "singledb" else []
            argv += ["--tags", " ".join("-" + tag for tag in plan["deny_tags"])] if plan["deny_tags"] else []
            for pattern in skips:
                argv += ["--skiptest", pattern]
            for _ in range(PORT_ATTEMPTS):
                # The runner and its client talk over a port near this one. It takes a port that is in use for a free
                # one, so two runners at the same time need ports far apart.
                port = ["--baseport", str(random.randrange(11000, 31000, 64))]
                output, timed_out = run_suite(suite, argv + port + extra, unit.get("limit_s", plan["limit_s"]))
                if "address already in use" not in output[:OUTPUT_HEAD]:
                    break
            hung = parse(output, result)
            died = target.died()
            if died is not None:
                result.notes.append(f"the server ended with {died}:\n{target.log_tail()}")
        if INTERRUPTED.is_set() or hung is None or hung in skips or len(result.hung) >= HANGS_MAX:
            break
        result.hung.append(hung)
        skips.append(hung)
    if timed_out:
        result.counts["exception"] += 1
        result.failed["(time limit)"] = ["the unit did not end in time"]
    for name in result.hung:
        result.fail(name, ["no progress: skipped in a second run"])
    if not result.counts:
        result.counts["exception"] += 1
        result.failed["(nothing ran)"] = output.splitlines()[-DETAIL_LINES_MAX:]
    return result


def private_copy(source):
    """A copy of the suite in a directory of its own (its runner cleans up in tests/tmp), with the system's tools."""
    copy = pathlib.Path(tempfile.mkdtemp(prefix="haypile-tcl-"))
    shutil.copytree(source / "tests", copy / "tests")
    shutil.copy(source / "runtest", copy / "runtest")
    (copy / "src").mkdir()
    for tool in ("redis-cli", "redis-benchmark"):
        if path := shutil.which(tool):
            (copy / "src" / tool).symlink_to(path)
    return copy


def report(results, plan, verbose):
    """Prints table and failures; returns (passed, known, unexpected)."""
    passed = known = unexpected = 0
    ceilings = {unit["name"]: unit.get("redis", {}) for unit in plan["unit"]}
    print(f"\n{'unit':34} {'mode':9} {'ok':>5} {'redis':>5} {'err':>5} {'exc':>4} {'skip':>5} {'known':>6} {'new':>5}")
    news = []
    for result in results:
        passed += result.counts["ok"]
        explained = 0
        for name, detail in result.failed.items():
            why = expect.reason(plan.get("known", []), name, unit=result.unit, mode=result.mode)
            if why is None:
                news.append((result, name, detail))
            else:
                explained += 1
        fresh = len(result.failed) - explained
        known += explained
        unexpected += fresh
        ceiling = ceilings.get(result.unit, {}).get(result.mode, "")
        print(
            f"{result.unit:34} {result.mode:9} {result.counts['ok']:5} {ceiling:>5} {result.counts['err']:5} "
            f"{result.counts['exception']:4} {result.counts['skipped']:5} {explained:6} {fresh:5}"
        )
    for result, name, detail in news:
        print(f"\nFAIL {result.unit} ({result.mode}): {name}")
        for line in detail if verbose else detail[:DETAIL_LINES_MAX]:
            print(f"  {line}")
    for result in results:
        for note in result.notes:
            print(f"\nNOTE {result.unit} ({result.mode}): {note}")
    for entry in plan.get("known", []):
        for result in results:
            if entry.get("unit") != result.unit or entry.get("mode", result.mode) != result.mode:
                continue
            for pattern in entry["tests"]:
                if pattern in result.ok and pattern not in result.failed:
                    print(f"NOTE {result.unit} ({result.mode}): passes now, expected to fail: {pattern}")
    return passed, known, unexpected


def chosen_units(plan, wanted, with_later):
    """The units to run: those named, or all that are not for later."""
    if not wanted:
        return [unit for unit in plan["unit"] if with_later or "later" not in unit]
    listed = {unit["name"]: unit for unit in plan["unit"]}
    names = [name if name.startswith(("unit/", "integration/")) else f"unit/{name}" for name in wanted]
    return [listed.get(name, {"name": name}) for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("unit", nargs="*", help="units, such as unit/type/string (default: all of tcl-expected.toml)")
    parser.add_argument("--suite", type=pathlib.Path, required=True, help="the unpacked source of Redis")
    parser.add_argument("--mode", choices=["singledb", "multidb", "both"], default="both", help="with --singledb, or not")
    parser.add_argument("--later", action="store_true", help="run the units that are marked as later, too")
    parser.add_argument("--only", action="append", default=[], help="only this test (or /regular expression)")
    parser.add_argument("--allow-tag", action="append", default=[], help="run tests with this tag, too, such as slow")
    parser.add_argument("--redis", action="store_true", help="run redis-server instead, as a baseline")
    parser.add_argument("--jobs", type=int, default=2, help="units at the same time (default 2); 1 when timing matters")
    parser.add_argument("--verbose", action="store_true", help="show the whole text of each failure")
    args = parser.parse_args()

    plan = expect.load("tcl-expected.toml")
    plan["deny_tags"] = [tag for tag in plan["deny_tags"] if tag not in args.allow_tag]
    if args.redis:
        plan["known"] = plan["skip"] = []
    modes = ["singledb", "multidb"] if args.mode == "both" else [args.mode]
    extra = [word for test in args.only for word in ("--only", test)]
    template = server.command_template(args.redis)
    suite = private_copy(args.suite)
    jobs = [(unit, mode) for unit in chosen_units(plan, args.unit, args.later) for mode in modes]

    def run(job):
        if INTERRUPTED.is_set():
            raise KeyboardInterrupt
        unit, mode = job
        result = run_unit(suite, template, unit, mode, plan, extra)
        counts = result.counts
        print(
            f"{unit['name']} {mode}: {counts['ok']} ok, {counts['err']} err, "
            f"{counts['exception']} exception, {counts['skipped']} skipped",
            flush=True,
        )
        return result

    try:
        # Threads only wait; each has a server of its own.
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            try:
                results = list(pool.map(run, jobs))
            except BaseException:
                INTERRUPTED.set()
                for pid in list(RUNNING):
                    kill_group(pid)
                raise
        passed, known, unexpected = report(results, plan, args.verbose)
    finally:
        shutil.rmtree(suite, ignore_errors=True)
    print(f"\ntcl: {passed} passed, {known + unexpected} failed ({known} known, {unexpected} unexpected)")
    print(f"{passed} passed, {known + unexpected} failed")
    return 1 if unexpected else 0


if __name__ == "__main__":
    server.run("tcl", main)
