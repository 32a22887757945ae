#!/usr/bin/env python3
"""Runs redis-py's own tests (from its source package) against a server and counts.

scripts/compat.sh unpacks the package and makes the environment with pytest. redis-py-expected.toml says which files
run, which tests are left out because of what they need, and which failures are known.
"""

import argparse
import collections
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

import expect
import server

DETAIL_LINES_MAX = 6


def run_pytest(python, suite, port, protocol, plan, limit_s, only):
    """Runs pytest in `suite`; returns the cases as (name, status, detail) and what pytest printed last."""
    report = suite / f"report-{protocol}.xml"
    report.unlink(missing_ok=True)
    argv = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", f"--junitxml={report}"]
    # An older form of the report whose class names contain the file's path.
    argv += ["-o", "junit_family=xunit1", "-o", "asyncio_mode=auto", "-o", "timeout=" + str(plan["test_limit_s"])]
    argv += [f"--redis-url=redis://localhost:{port}/0", f"--protocol={protocol}"]
    # A port that nobody listens on: there is no server with modules.
    argv += ["--redis-mod-url=redis://localhost:1"]
    argv += ["-W", "ignore", "-m", plan["markers"]]
    for file in plan["without_files"]:
        argv.append(f"--ignore={file}")
    if only:
        argv += ["-k", only]
    environment = dict(os.environ, PYTHONPATH=str(suite), PYTHONDONTWRITEBYTECODE="1")
    process = subprocess.Popen(
        [*argv, "tests"],
        cwd=suite,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    text = output.decode("utf-8", "replace").splitlines()
    return (cases(report) if report.exists() else []), text


def cases(report):
    """(file::class::test, status, detail) of each case in a JUnit report."""
    result = []
    for case in ElementTree.parse(report).iter("testcase"):
        path = (case.get("file") or "").replace("tests/", "", 1)
        group = (case.get("classname") or "").split(".")[-1]
        inside = f"::{group}" if group and group != pathlib.Path(path).stem else ""
        name = f"{path}{inside}::{case.get('name')}"
        status, detail = "passed", ""
        for kind in ("failure", "error", "skipped"):
            if (element := case.find(kind)) is not None:
                status = "failed" if kind in ("failure", "error") else kind
                detail = (element.get("message") or "") + "\n" + (element.text or "")
                break
        result.append((name, status, detail))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=pathlib.Path, required=True, help="the unpacked source package of redis-py")
    parser.add_argument("--python", type=pathlib.Path, required=True, help="a Python with pytest and what the tests import")
    parser.add_argument("--protocol", choices=["2", "3", "both"], default="both", help="the version of RESP")
    parser.add_argument("--only", help="only these tests (pytest's -k)")
    parser.add_argument("--redis", action="store_true", help="run redis-server instead, as a baseline")
    args = parser.parse_args()

    plan = expect.load("redis-py-expected.toml")
    known = plan.get("known_redis", []) + ([] if args.redis else plan.get("known", []))
    copy = pathlib.Path(tempfile.mkdtemp(prefix="haypile-redis-py-"))
    totals = collections.Counter()
    unexpected = []
    try:
        shutil.copytree(args.suite / "tests", copy / "tests")
        shutil.copytree(args.suite / "redis", copy / "redis")
        for protocol in ["2", "3"] if args.protocol == "both" else [args.protocol]:
            with server.Server(server.command_template(args.redis)) as target:
                found, text = run_pytest(args.python, copy, target.port, protocol, plan, plan["limit_s"], args.only)
                died = target.died()
            counts = collections.Counter(status for _, status, _ in found)
            if not found:
                counts["failed"] += 1
                unexpected.append((protocol, "(nothing ran, or not to its end)", "\n".join(text[-20:])))
            if died is not None:
                counts["failed"] += 1
                unexpected.append((protocol, "(the server ended)", f"status {died}\n{target.log_tail()}"))
            for name, status, detail in found:
                if status == "failed":
                    if expect.reason(known, name, protocol=protocol) is None:
                        unexpected.append((protocol, name, detail))
                    else:
                        counts["known"] += 1
            print(f"RESP{protocol}: {counts['passed']} passed, {counts['failed']} failed ({counts['known']} known), {counts['skipped']} skipped")
            totals += counts
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    for protocol, name, detail in unexpected:
        print(f"\nFAIL RESP{protocol} {name}")
        for line in detail.splitlines()[:1] + detail.splitlines()[-DETAIL_LINES_MAX:]:
            print(f"  {line}")
    print(f"\nredis-py: {totals['passed']} passed, {totals['failed']} failed ({totals['known']} known, {len(unexpected)} unexpected)")
    print(f"{totals['passed']} passed, {totals['failed']} failed")
    return 1 if unexpected else 0


if __name__ == "__main__":
    server.run("redis-py", main)
