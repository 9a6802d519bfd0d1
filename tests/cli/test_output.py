"""Text and terminals: what is made harmless, how tables shrink, how times read."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from sessiond.cli.logs import tail
from sessiond.cli.neutral import Neutral
from sessiond.cli.output import ago, cells, clock, cut, left, safe, span, table, when
from tests.cli.conftest import ROOT

HEAVY = {"asyncio", "anyio", "asyncssh", "aiohttp", "msgspec", "structlog", "rich", "http.client", "ssl", "sqlite3"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Ünïcode 日本", "Ünïcode 日本"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("a\u202eb\u2066c\u2028", "a\\u202eb\\u2066c\\u2028"),
        ("\udcff", "\\udcff"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    """What steers a terminal, or the direction of text, is shown as its escape."""
    assert shown == safe(text)


def test_neutral_takes_any_pieces() -> None:
    """However a log is cut into pieces, the same comes out."""
    data = "é\x1b[1;31mred\x1b[0m\x1b[5;\x1b]52;c;aGk=\x07\r\n\x1b日本\x1b[".encode()
    whole = Neutral()
    expected = whole.feed(data) + whole.end()
    bytewise = Neutral()
    assert expected == b"".join(bytewise.feed(data[at : at + 1]) for at in range(len(data))) + bytewise.end()
    assert "é\x1b[1;31mred\x1b[0m\\x1b[5;\\x1b]52;c;aGk=\\x07\r\n\\x1b日本\\x1b[\x1b[0m".encode() == expected


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (-5, "0s"), (59.9, "59s"), (61, "1m01s"), (600, "10m"), (3 * 3600 + 60, "3h01m"), (49 * 3600, "2d01h")],
)
def test_span(seconds: float, words: str) -> None:
    """Two units are enough."""
    assert words == span(seconds)


def test_times() -> None:
    """Unknown and impossible times are empty, not errors; the others are relative to now."""
    now = datetime.now(UTC)
    assert (ago(None), ago("yesterday"), left(""), when("2026-13-01")) == ("", "", "", None)
    assert ago((now - timedelta(hours=1, seconds=5)).isoformat()) == "1h00m"
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert (None, "unknown", "") == (when(text), clock(text), ago(text))
    assert left((now + timedelta(hours=1, seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")) == "1h00m"


def test_widths() -> None:
    """Wide and combining characters take the columns they take."""
    assert (cells("日本"), cells("e\u0301"), cut("日本語", 4)) == (4, 1, "日…")


def test_a_table_shrinks_and_drops() -> None:
    """A column that is useless when cut goes first, then the widest of the others is cut."""
    rows = [["name", "a long phrase that goes on", "http://example.org/"]]
    lines = table(("NAME", "STATE", "URL"), rows, width=20, shrink={1: 8}, drop=(2,))
    assert lines == ["NAME  STATE", "name  a long phrase…"]
    lines = table(("NAME", "STATE", "URL"), rows, width=40, shrink={1: 8}, drop=(2,))
    assert lines == ["NAME  STATE          URL", "name  a long phras…  http://example.org/"]
    lines = table(("NAME", "STATE", "URL"), rows, width=8, shrink={2: 8}, drop=(2,))
    assert lines == ["NAME  STATE", "name  a long phrase that goes on"]


def test_tail_keeps_little() -> None:
    """The last lines of any pieces, and how many bytes there were."""
    pieces = [b"a\nb", b"", b"b\nc", b"\n"]
    assert [tail(pieces, count) for count in range(4)] == [(b"", 7), (b"c\n", 7), (b"bb\nc\n", 7), (b"a\nbb\nc\n", 7)]


def test_nothing_heavy_is_loaded() -> None:
    """sessionctl answers the Tab key: the list of sessions loads no event loop and no HTTP library."""
    program = "import sys, sessiond.cli.main, sessiond.cli.ls, sessiond.client; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert set() == HEAVY & set(done.stdout.splitlines())
