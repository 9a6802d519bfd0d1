"""Reading TOML files that people write: every problem at once, each with its file, line and key."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from sessiond.config.lines import Key, key_lines, line_of
from sessiond.core.errors import ConfigError

T = TypeVar("T")
D = TypeVar("D")

SIZE_LIMIT = 1 << 20
"""The largest configuration file read, in bytes."""

_AT = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")
_AT_END = " (at end of document)"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 60
_LARGE_BITS = 64


class Wrong(ValueError):
    """A value is not what was expected: ``expected`` completes the sentence "expected ..."; ``at`` leads inside it."""

    def __init__(self, expected: str, *, at: Key = (), value: object = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.at = at
        self.value = value


class Document:
    """A parsed TOML file that collects what is wrong with it."""

    def __init__(self, file: str, text: str) -> None:
        """Parse ``text``; raises ConfigError with one problem if it is not TOML."""
        self.file = file
        self._problems: list[tuple[int, str]] = []
        try:
            self.values = tomllib.loads(text)
            self._lines: Mapping[Key, int] = key_lines(text)
        except RecursionError:
            raise ConfigError((f"{file}: lists or tables are nested too deeply",)) from None
        except ValueError as error:
            # besides TOMLDecodeError: int() of CPython refuses numbers of more than 4300 digits
            raise ConfigError((_syntax_problem(file, text, str(error)),)) from None

    def where(self, key: Key) -> str:
        """``config.toml:12 clusters.frontier.poll``."""
        return f"{self.file}:{self.line(key)} {key_text(key)}"

    def line(self, key: Key) -> int:
        """The line of ``key``, or of the table around it."""
        return line_of(self._lines, key)

    def problem(self, key: Key, text: str) -> None:
        """Note what is wrong at ``key``."""
        self._problems.append((self.line(key), f"{self.where(key)}: {text}"))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in the order of the file."""
        return tuple(text for _, text in sorted(self._problems, key=lambda problem: problem[0]))

    def top(self) -> Table:
        """The table of the whole file."""
        return Table(self, (), self.values)


class Table:
    """One table of a document. Whatever key is not read by the time of `close` is unknown."""

    def __init__(self, document: Document, key: Key, values: Mapping[str, object]) -> None:
        self.document = document
        self.key = key
        self.values = values
        self._known: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def read(self, name: str, parse: Callable[[object], T], default: D) -> T | D:
        """The value of ``name`` through ``parse``; ``default`` if it is absent or wrong (which is noted)."""
        self._known.append(name)
        if name not in self.values:
            return default
        value = self.values[name]
        try:
            return parse(value)
        except Wrong as wrong:
            self.problem(name, f"expected {wrong.expected}, got {shown(wrong.value if wrong.at else value)}", *wrong.at)
            return default

    def table(self, name: str) -> Table:
        """The table ``name``; empty if it is absent or not a table (which is noted)."""
        return Table(self.document, (*self.key, name), self.read(name, _table, {}))

    def tables(self) -> list[tuple[str, Table]]:
        """The tables of a table whose keys the author chooses; a key that holds no table is noted."""
        found = [(name, self.table(name)) for name in self.values]
        return [(name, table) for name, table in found if isinstance(self.values[name], dict)]

    def problem(self, name: str, text: str, *inside: str | int) -> None:
        """Note what is wrong with the key ``name`` of this table."""
        self.document.problem((*self.key, name, *inside), text)

    def close(self) -> None:
        """Note the keys nobody asked for."""
        for name in self.values:
            if name not in self._known:
                near = nearest(name, self._known)
                known = ", ".join(sorted(self._known))
                self.problem(
                    name, f'unknown key, did you mean "{near}"?' if near else f"unknown key, known are {known}"
                )


def read_text(path: Path, limit: int = SIZE_LIMIT) -> str | None:
    """The text of a file people write, or None if there is none.

    Raises ConfigError, naming the file by its last part, if it cannot be read, is no ordinary file (a pipe would
    block), is larger than ``limit`` bytes, or is not UTF-8.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError((f"{path.name}: {path} is not an ordinary file",))
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError((f"{path.name}: {path} cannot be read: {error.strerror or error}",)) from None
    if len(raw) > limit:
        raise ConfigError((f"{path.name}: {path} is larger than {limit} bytes",))
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError((f"{path.name}:{line}: not UTF-8 text",)) from None


def key_text(key: Key) -> str:
    """A key as it would be written in the file: ``clusters.frontier.identity_files[1]``."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else _quoted(part))
    return text


def shown(value: object) -> str:
    """A value in a message: short, on one line, without control characters."""
    match value:
        case bool() | str():
            return _quoted(value) if isinstance(value, str) else str(value).lower()
        case Mapping():
            return "a table"
        case list():
            return "a list" if value else "an empty list"
        case int() if value.bit_length() > _LARGE_BITS:
            return "a very large number"
        case _:
            return str(value)


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str | None:
    """The known name that ``name`` was probably meant to be."""
    return next(iter(get_close_matches(name[:_SHOWN], known, n=1, cutoff=0.6)), None)


def _quoted(text: str) -> str:
    # json escapes the C0 controls only; DEL and the C1 controls act on terminals, too
    escaped = json.dumps(text[:_SHOWN] + ("..." if len(text) > _SHOWN else ""), ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029]", lambda found: f"\\u{ord(found.group()):04x}", escaped)


def _table(value: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise Wrong("a table")


def _syntax_problem(file: str, text: str, message: str) -> str:
    at = _AT.search(message)
    if at:
        return f"{file}:{at[1]}: not valid TOML at column {at[2]}: {message[: at.start()]}"
    if message.endswith(_AT_END):
        return (
            f"{file}:{text.count(chr(10)) + 1}: not valid TOML: {message.removesuffix(_AT_END)} at the end of the file"
        )
    return f"{file}: not valid TOML: {message}"
