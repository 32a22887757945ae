"""A small RESP2 client: one blocking connection, replies as Python values."""

import socket


class Closed(Exception):
    """The server closed the connection in the middle of a reply."""


class ReplyError(str):
    """An error reply; it is a value, not an exception, because a reply may contain one."""


class Client:
    """One connection to 127.0.0.1. `timeout` is in seconds and holds for each read."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def call(self, *words):
        """Sends one command, waits for its reply."""
        self.send(*words)
        return self.read()

    def send(self, *words):
        """Sends one command; text goes as UTF-8."""
        out = [b"*%d\r\n" % len(words)]
        for word in words:
            raw = word if isinstance(word, bytes) else str(word).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(raw), raw))
        self.socket.sendall(b"".join(out))

    def read(self):
        """Reads one reply. Bulk strings that are not UTF-8 keep their bytes as surrogates."""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Closed("connection closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode("utf-8", "surrogateescape")
        if kind == b"-":
            return ReplyError(rest.decode("utf-8", "surrogateescape"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            if length < 0:
                return None
            raw = self.file.read(length + 2)
            if len(raw) < length + 2:
                raise Closed("connection closed")
            return raw[:-2].decode("utf-8", "surrogateescape")
        if kind == b"*":
            length = int(rest)
            return None if length < 0 else [self.read() for _ in range(length)]
        raise Closed(f"not a RESP2 reply: {line!r}")
