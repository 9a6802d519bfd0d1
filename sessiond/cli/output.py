"""What reaches people: the terminal, its width and colours, times in words, and text made harmless first."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from sessiond.client import ClientError

COLOURS: Final[Mapping[str, str]] = {
    "ok": "32",
    "busy": "36",
    "attention": "33;1",
    "error": "31",
    "dim": "2",
    "strong": "1",
}
"""The severities of a session and two looks of text, as ANSI's numbers."""

_HIDDEN: Final = frozenset(
    {*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
)
"""Code points that steer a terminal or turn the direction of what follows."""


_NARROW: Final = 16
"""Fewer columns than this are no room for a sentence: it goes as it is, and the terminal breaks it."""

_NARROWEST: Final = 4
"""No column of a table is cut to less."""


def safe(text: object) -> str:
    """``text`` on one line, with everything that steers a terminal shown as its escape."""
    raw = str(text)
    if raw.isascii() and raw.isprintable():
        return raw
    return "".join(_escape(char) for char in raw)


def safe_lines(text: object) -> str:
    """As `safe`, but newlines stay."""
    return "\n".join(safe(line.expandtabs(8)) for line in str(text).split("\n"))


def _escape(char: str) -> str:
    code = ord(char)
    if code in _HIDDEN or 0xD800 <= code <= 0xDFFF:
        return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    return char


def say(text: str = "", *, err: bool = False) -> None:
    """One line to standard output, or with ``err`` to standard error."""
    stream = sys.stderr if err else sys.stdout
    stream.write(text + "\n")
    stream.flush()


def note(text: str, look: str = "") -> None:
    """What a person is told beside the output: on standard error, in lines that fit. ``text`` is safe to print."""
    for line in hanging(text, columns(sys.stderr), 2):
        say(paint(line, look, sys.stderr), err=True)


def say_json(value: object) -> None:
    """``value`` as JSON on standard output, indented for a person; what steers a terminal JSON itself escapes."""
    import json

    # Indenting is left to Python code by the standard library: forty times slower, and programs do not look.
    say(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at ``stream`` on a terminal that can redraw a line."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def paint(text: str, look: str, stream: TextIO | None = None) -> str:
    """``text`` in a look of `COLOURS` where colour is wanted (no-color.org: any non-empty NO_COLOR means none)."""
    if not text or look not in COLOURS or os.environ.get("NO_COLOR") or not is_terminal(stream or sys.stdout):
        return text
    return f"\x1b[{COLOURS[look]}m{text}\x1b[0m"


def columns(stream: TextIO) -> int | None:
    """The width to fit, in columns: ``COLUMNS``, else the terminal's; None where nothing limits it (a pipe)."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return None


def cells(text: str) -> int:
    """How many columns ``text`` takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns, with an ellipsis where something is missing."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…" if width > 0 else ""


def wrapped(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` columns where its words allow it; at least one, which may be empty."""
    first, *words = text.split(" ")
    lines = [first]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if cells(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def hanging(text: str, width: int | None, indent: int) -> list[str]:
    """``text`` in lines of at most ``width`` columns, those after the first indented; one line where nothing limits
    them, or where there is no room for words beside the indent. A word that fits in no line, a URL perhaps, stays where
    it is: the terminal breaks it so that it can be copied."""
    if width is None or width - indent < _NARROW:
        return [text]
    first, *words = text.split(" ")
    lines = [first]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if cells(longer) <= width or cells(word) > width - indent:
            lines[-1] = longer
        else:
            lines.append(" " * indent + word)
    return lines


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    width: int | None,
    shrink: Mapping[int, int],
    drop: Sequence[int] = (),
    hide: Sequence[int] = (),
    look: Callable[[int, int], str] = lambda _row, _column: "",
) -> list[str]:
    """Lines of a table at most ``width`` columns wide.

    ``shrink`` holds the columns that may be cut, each with the width it needs to be of use. Where even these widths do
    not make room, columns of ``drop`` go, one after the other: those of no use when cut, and those that matter least.
    Columns of ``hide`` are not shown.
    ``look(row, column)`` names a cell's look.
    """
    body = [list(row) for row in rows]
    sizes = [max([cells(title), *(cells(row[column]) for row in body)]) for column, title in enumerate(head)]
    needs = [min(size, shrink.get(column, size)) for column, size in enumerate(sizes)]
    shown = [column for column in range(len(head)) if column not in hide]

    def total(widths: Sequence[int]) -> int:
        return sum(widths[column] for column in shown) + 2 * (len(shown) - 1)

    if width is not None:
        for column in [one for one in drop if one in shown]:
            if total(needs) > width:
                shown.remove(column)
        # First what is beyond its need, the furthest first; then, on a narrow terminal, what is widest.
        for floor in (needs, [_NARROWEST] * len(head)):
            while total(sizes) > width:
                over = [column for column in shrink if column in shown and sizes[column] > floor[column]]
                if not over:
                    break
                sizes[max(over, key=lambda column: sizes[column] - floor[column])] -= 1

    def line(row: Sequence[str], painted: Callable[[int, str], str]) -> str:
        parts = []
        for column in shown:
            text = cut(row[column], sizes[column])
            gap = " " * (sizes[column] - cells(text)) if column != shown[-1] else ""
            parts.append(painted(column, text) + gap)
        return "  ".join(parts).rstrip()

    lines = [line(head, lambda _column, text: paint(text, "strong"))]
    for number, row in enumerate(body):
        lines.append(line(row, lambda column, text, number=number: paint(text, look(number, column))))  # type: ignore[misc]  # mypy does not infer a lambda with a default
    return lines


def when(text: str | None) -> datetime | None:
    """An RFC 3339 time; None where it is unknown or not one."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        found.astimezone()
    except (ValueError, OverflowError):  # one at an end of the calendar may have none here
        return None
    return found


def clock(text: str | None) -> str:
    """A time as this machine's clocks show it."""
    found = when(text)
    return found.astimezone().strftime("%Y-%m-%d %H:%M:%S") if found else "unknown"


def ago(text: str | None) -> str:
    """How long since a time: ``3h12m``; empty where it is unknown."""
    found = when(text)
    return span((datetime.now(UTC) - found).total_seconds()) if found else ""


def left(text: str | None) -> str:
    """How long until a time; empty where it is unknown."""
    found = when(text)
    return span((found - datetime.now(UTC)).total_seconds()) if found else ""


def expected(text: str | None, *, relative: bool = True) -> str:
    """What a line about a waiting session ends with: ``; expected to start at 14:20, in 12 min``; empty where unknown.

    With ``relative`` false the time of day alone. A time that is over is not repeated: the scheduler has erred.
    """
    found = when(text)
    now = datetime.now(UTC)
    if found is None or found < now:
        return ""
    local, away_s = found.astimezone(), (found - now).total_seconds()
    day = "" if local.date() == now.astimezone().date() else local.strftime("%a %d %b, ")
    minutes = round(away_s / 60)
    soon = f"in {minutes} min" if 0 < minutes < 120 else f"in {span(away_s)}"
    return f"; expected to start at {day}{local.strftime('%H:%M')}" + (f", {soon}" if relative else "")


def span(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{second:02d}s" if minutes < 10 else f"{minutes}m"
    hours, minute = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minute:02d}m"
    days, hour = divmod(hours, 24)
    return f"{days}d{hour:02d}h"


def say_error(error: ClientError, *, as_json: bool = False) -> None:
    """An error for people on standard error, or for programs on standard output."""
    if as_json:
        say_json({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
        return
    width = columns(sys.stderr)
    who, *message = _block(f"sessionctl: {safe_lines(error.message)}", width)
    say(paint("sessionctl:", "error", sys.stderr) + who.removeprefix("sessionctl:"), err=True)
    hint = _block(safe_lines(error.hint), None if width is None else width - 2) if error.hint else []
    for line in (*message, *hint):
        say("  " + line.removeprefix("  "), err=True)


def _block(text: str, width: int | None) -> Iterator[str]:
    """Lines, each of them folded."""
    for line in text.split("\n"):
        yield from hanging(line, width, 2)
