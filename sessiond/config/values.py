"""What a single value in a file of ours may be. Each parser returns the value or raises `Wrong`."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from sessiond.config.reader import Wrong

E = TypeVar("E", bound=StrEnum)

_DURATION = re.compile(r"(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,8})s)?")
_UNITS = (86400, 3600, 60, 1)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WITH_PORT = re.compile(r"[^:]+:[0-9]+")
_DESTINATION = re.compile(r"(?:ssh://)?(?:(?P<user>[^@:/]+)@)?(?P<host>[^@:/]+)(?::(?P<port>[0-9]+))?/?")
_WORD = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):([0-9]{1,5})")

LAST_PORT = 65535
FIRST_FREE_PORT = 1024
"""Ports below it belong to root (ip(7), ip_unprivileged_port_start)."""


def is_identifier(text: str) -> bool:
    """Whether ``text`` can be the name of a shell variable."""
    return _IDENTIFIER.fullmatch(text) is not None


def file_text(name: str) -> str:
    """A file's name or path as text that JSON and SQLite can hold: a byte that is not UTF-8 becomes ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_name(text: str) -> bool:
    """Whether ``text`` can name a cluster or a service: safe in a path, a URL and a command line."""
    return _NAME.fullmatch(text) is not None


def seconds(text: str) -> int | None:
    """The seconds of a duration such as ``15s``, ``5m``, ``4h``, ``1h30m``, ``2d`` or ``0``; None if it is not one."""
    if text == "0":
        return 0
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    return sum(int(count) * unit for count, unit in zip(found.groups(), _UNITS, strict=True) if count)


def duration_text(duration_s: float) -> str:
    """A whole number of seconds as a duration: ``5400`` is ``1h30m``."""
    left, text = int(duration_s), ""
    for unit, letter in zip(_UNITS, "dhms", strict=True):
        count, left = divmod(left, unit)
        text += f"{count}{letter}" if count else ""
    return text or "0"


def duration(*, example: str, at_least_s: int = 0, at_most_s: int = 366 * 86400) -> Callable[[object], float]:
    """A parser of durations within bounds, in seconds."""

    def parse(value: object) -> float:
        found = seconds(value) if isinstance(value, str) else None
        if found is None:
            raise Wrong(f'a duration such as "{example}"')
        if not at_least_s <= found <= at_most_s:
            raise Wrong(f'a duration from "{duration_text(at_least_s)}" to "{duration_text(at_most_s)}"')
        return float(found)

    return parse


def text(value: object) -> str:
    """Any text, also of several lines, without NUL: no shell variable can hold that."""
    if isinstance(value, str) and "\0" not in value:
        return value
    raise Wrong("a text" if not isinstance(value, str) else "a text without NUL characters")


def line(value: object) -> str:
    """One line of text without control characters."""
    if isinstance(value, str) and not _CONTROL.search(value):
        return value
    raise Wrong("one line of text")


def word(*, example: str) -> Callable[[object], str]:
    """A parser of words for a command line: not empty, no blanks, and no ``-`` first, which would be an option."""

    def parse(value: object) -> str:
        if isinstance(value, str) and _WORD.fullmatch(value):
            return value
        raise Wrong(f'a name without blanks such as "{example}"')

    return parse


def host(value: object) -> str:
    """A host alone: as `word`, without what `ssh` takes beside it and config.toml has keys for."""
    name = word(example="frontier-login")(value)
    if "://" not in name and "@" not in name and not _WITH_PORT.fullmatch(name):
        return name
    found = _DESTINATION.fullmatch(name)
    if not found:
        raise Wrong('a name without blanks such as "frontier-login"')
    keys = [f'host = "{found["host"]}"']
    keys += [f'user = "{found["user"]}"'] if found["user"] else []
    keys += [f"port = {found['port']}"] if found["port"] else []
    raise Wrong(f"the host alone, as in {', '.join(keys)}")


def folder(value: object) -> str:
    """A folder on an execution host; ``~`` is the home there."""
    if (
        isinstance(value, str)
        and not _CONTROL.search(value)
        and (value[:1] == "/" or value == "~" or value[:2] == "~/")
    ):
        return value
    raise Wrong('a folder that begins with "/" or "~/"')


def boolean(value: object) -> bool:
    """true or false."""
    if isinstance(value, bool):
        return value
    raise Wrong("true or false")


def integer(lowest: int | None = None, highest: int | None = None) -> Callable[[object], int]:
    """A parser of integers within bounds."""
    bounds = f" from {lowest} to {highest}" if lowest is not None and highest is not None else ""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"an integer{bounds}")
        if (lowest is not None and value < lowest) or (highest is not None and value > highest):
            raise Wrong(f"an integer{bounds}")
        return value

    return parse


def choice(kind: type[E]) -> Callable[[object], E]:
    """A parser of one of the values of an enumeration."""
    allowed = ", ".join(f'"{member.value}"' for member in kind)

    def parse(value: object) -> E:
        found = next((member for member in kind if member.value == value), None)
        if found is None:
            raise Wrong(f"one of {allowed}")
        return found

    return parse


def lines_of_text(value: object) -> tuple[str, ...]:
    """A list of texts of one line each."""
    if not isinstance(value, list):
        raise Wrong("a list of texts")
    for n, item in enumerate(value):
        if not isinstance(item, str) or _CONTROL.search(item):
            raise Wrong("one line of text", at=(n,), value=item)
    return tuple(value)


def port_range(value: object) -> tuple[int, int]:
    """``"50000-55500"``: the first and the last port."""
    found = _PORTS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong('a range of ports such as "50000-55500"')
    first, last = int(found[1]), int(found[2])
    if not FIRST_FREE_PORT <= first <= last <= LAST_PORT:
        raise Wrong(f"a range of ports within {FIRST_FREE_PORT}-{LAST_PORT}, the lower one first")
    return first, last


def loopback_address(value: object) -> tuple[str, int] | None:
    """``"127.0.0.1:8700"``, ``"[::1]:8700"``, ``"localhost:0"``; None for ``""``."""
    if value == "":
        return None
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong('an address with its port such as "127.0.0.1:8700", or "" for none')
    host, port = found[1].removeprefix("[").removesuffix("]"), int(found[2])
    if not _is_loopback(host):
        raise Wrong('an address of this machine only (127.0.0.1, ::1 in brackets, localhost) such as "127.0.0.1:8700"')
    if port > LAST_PORT:
        raise Wrong(f"a port from 0 to {LAST_PORT}")
    return host, port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
