"""Which line a key of a TOML text stands on: tomllib parses, but tells no positions."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping

Key = tuple[str | int, ...]
"""The way to a value: the names of tables and keys, and the numbers of list items."""

# No possessive quantifiers: Python 3.11.2, which is Debian 12's, gets them wrong (seen; 3.11.7 does not). Each
# alternative begins with a character of its own, so there is nothing to go back to anyway.
_BLANK = re.compile(r"[ \t]*")
_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""(?:"{0,2})'
    r"|'''(?:[^']|'(?!''))*'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def key_lines(text: str) -> dict[Key, int]:
    """The line (from 1) of every table, key and list item of ``text``, which tomllib must have accepted already.

    A table that is only implied, as ``a`` is by ``[a.b]``, has the line of the first key that implies it.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.implied | scanner.stated


def line_of(lines: Mapping[Key, int], key: Key) -> int:
    """The line of ``key``, else of the nearest table around it, else 1."""
    return next((lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in lines), 1)


class _Scanner:
    """A walk over valid TOML that looks only at where things begin and end."""

    __slots__ = ("_breaks", "_last_item", "_pos", "_text", "implied", "stated")

    def __init__(self, text: str) -> None:
        self.stated: dict[Key, int] = {}
        self.implied: dict[Key, int] = {}
        self._text = text
        self._pos = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._last_item: dict[Key, int] = {}

    def document(self) -> None:
        table: Key = ()
        while self._skip(_SPACE):
            if self._take("[["):
                table = self._list_item_header()
            elif self._take("["):
                at = self._pos
                table = self._inside_last_items(self._key())
                self._note(table, at)
                self._take("]")
            else:
                self._pair(table)

    def _list_item_header(self) -> Key:
        at = self._pos
        path = self._inside_last_items(self._key(), and_itself=False)
        item = self._last_item[path] = self._last_item.get(path, -1) + 1
        self._note(path, at)
        self._note((*path, item), at)
        self._take("]]")
        return (*path, item)

    def _inside_last_items(self, parts: Key, *, and_itself: bool = True) -> Key:
        """``[fruit.colour]`` after ``[[fruit]]`` speaks of the last fruit."""
        path: Key = ()
        for n, part in enumerate(parts, start=1):
            path = (*path, part)
            if path in self._last_item and (and_itself or n < len(parts)):
                path = (*path, self._last_item[path])
        return path

    def _pair(self, table: Key) -> None:
        at = self._pos
        path = (*table, *self._key())
        self._note(path, at)
        self._take("=")
        self._skip(_BLANK)
        self._value(path)

    def _key(self) -> Key:
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            bare = _BARE.match(self._text, self._pos)
            parts.append(self._advance(bare) if bare else self._quoted())
            self._skip(_BLANK)
            if not self._take("."):
                return tuple(parts)

    def _quoted(self) -> str:
        value: str = tomllib.loads(f"key = {self._advance(_STRING.match(self._text, self._pos))}")["key"]
        return value

    def _value(self, path: Key) -> None:
        if self._take("["):
            item = 0
            while self._skip(_SPACE) and not self._take("]"):
                self._note((*path, item), self._pos)
                self._value((*path, item))
                item += 1
                self._skip(_SPACE)
                self._take(",")
        elif self._take("{"):
            while self._skip(_SPACE) and not self._take("}"):
                self._pair(path)
                self._skip(_SPACE)
                self._take(",")
        else:
            self._advance(_STRING.match(self._text, self._pos) or _SCALAR.match(self._text, self._pos))

    def _note(self, path: Key, at: int) -> None:
        line = bisect_left(self._breaks, at) + 1
        self.stated.setdefault(path, line)
        for n in range(1, len(path)):
            self.implied.setdefault(path[:n], line)

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Pass over blanks; False at the end of the text."""
        self._advance(pattern.match(self._text, self._pos))
        return self._pos < len(self._text)

    def _take(self, token: str) -> bool:
        found = self._text.startswith(token, self._pos)
        self._pos += len(token) * found
        return found

    def _advance(self, match: re.Match[str] | None) -> str:
        if match is None:
            raise ValueError(f"no TOML at offset {self._pos}")
        self._pos = match.end()
        return match.group()
