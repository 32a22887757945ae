"""Starts the server under test in a directory of its own and stops it by its own pid."""

import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import resp

ROOT = pathlib.Path(__file__).resolve().parent.parent

HAYPILE = "bin/haypile server --port {port} --dir {dir} --http-port 0 --databases 16 --enable-debug-command yes"
REDIS = "redis-server --port {port} --dir {dir} --save '' --databases 16 --enable-debug-command yes"

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20
LOG_TAIL_LINES = 15


def command_template(redis=False):
    """The command line with {port} and {dir}: HAYPILE_SERVER_CMD, or Redis for a baseline, or Haypile."""
    if redis:
        return REDIS
    return os.environ.get("HAYPILE_SERVER_CMD", HAYPILE)


def end_in_order_on_sigterm():
    """Lets SIGTERM end this script as ctrl-c does, so that what it has started is stopped."""

    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def run(name, main):
    """The end of each suite's program: an exit code, and a problem as one line under its name."""
    end_in_order_on_sigterm()
    try:
        sys.exit(main())
    except (ServerError, OSError) as problem:
        sys.exit(f"{name}: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)


def free_port():
    """A port on loopback that nobody uses at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class ServerError(Exception):
    """The server under test did not start; the text says why."""


class Server:
    """A running server; use as a context manager."""

    def __init__(self, template):
        self.template = template
        self.port = 0
        self.process = None
        self.dir = None
        self.log = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="haypile-compat-")
        data = os.path.join(self.dir, "data")
        os.mkdir(data)
        self.port = free_port()
        self.log = os.path.join(self.dir, "log")
        values = {"port": str(self.port), "dir": data}
        argv = [part.format(**values) for part in shlex.split(self.template)]
        try:
            with open(self.log, "wb") as log:
                # A session of its own: ctrl-c reaches this script alone, which then stops the server in order.
                self.process = subprocess.Popen(
                    argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as error:
            self._remove()
            raise ServerError(f"cannot start {argv[0]}: {error.strerror}") from error
        try:
            self._wait_for_ping()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_for_ping(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerError(f"the server ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                with resp.Client(self.port, timeout=2) as client:
                    if client.call("PING") == "PONG":
                        return
            except (OSError, resp.Closed):
                pass
            time.sleep(0.02)
        raise ServerError(f"no PONG within {START_TIMEOUT_S} s:\n{self.log_tail()}")

    def died(self):
        """The exit status if the server has ended by itself, else None."""
        return self.process.poll()

    def log_tail(self):
        """The last lines of what the server printed."""
        try:
            with open(self.log, errors="replace") as log:
                return "".join(log.readlines()[-LOG_TAIL_LINES:])
        except OSError:
            return ""

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._remove()

    def _remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
