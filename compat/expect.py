"""Expectations: which tests are known to fail against Haypile, and why. One TOML file for each suite."""

import pathlib
import re

try:
    import tomllib
except ImportError:  # Python 3.10 and older: pip carries a copy
    from pip._vendor import tomli as tomllib

HERE = pathlib.Path(__file__).resolve().parent


def load(name):
    """The file `name` beside this one."""
    return tomllib.loads((HERE / name).read_text())


def matches(pattern, name):
    """A pattern is a name, or a regular expression to be searched for when it starts with a slash."""
    return re.search(pattern[1:], name) is not None if pattern.startswith("/") else pattern == name


def reason(known, name, **where):
    """The reason why test `name` may fail, or None. `where` narrows: an entry that has the key must match it."""
    for entry in known:
        if all(entry.get(key, value) == value for key, value in where.items()):
            if any(matches(pattern, name) for pattern in entry["tests"]):
                return entry["reason"]
    return None
