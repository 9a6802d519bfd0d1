"""``sessionctl logs``."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.neutral import Neutral
from sessiond.cli.options import name_argument
from sessiond.cli.output import note
from sessiond.client import ClientError, NoDaemon

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sessiond.client import Client

_KEPT: Final = 64 << 20
"""The most bytes kept for ``-n``."""
_PATIENCE_S: Final = 30.0
_INTERRUPTED: Final = 130


@click.command()
@name_argument
@click.option("--follow", "-f", is_flag=True, help="Go on as it grows, until the session ends.")
@click.option("--lines", "-n", "count", type=click.IntRange(min=0), metavar="N", help="Begin with the last N lines.")
def command(name: str, follow: bool, count: int | None) -> int:
    """Print a session's own output, also while it waits and after it ended.

    The bytes are printed as they are; on a terminal, what would steer it is shown as an escape, colours excepted.
    """
    client = connect()
    # The id, because a name may be given to another session while this one is followed.
    name = client.session(name)["id"]
    neutral = Neutral() if sys.stdout.isatty() else None
    offset = 0
    try:
        if count is not None:
            last, offset = tail(client.log(name), count)
            _write(last, neutral)
        written = bool(count is not None and last)
        if count is None or follow:
            written |= _pour(client, name, follow, offset, neutral)
        if not written and count != 0 and neutral is not None:
            note("It has written nothing" + (" so far." if client.session(name)["state"] != "ended" else "."))
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        if neutral is not None:
            sys.stdout.buffer.write(neutral.end())
            sys.stdout.buffer.flush()
    return 0


def tail(pieces: Iterable[bytes], count: int) -> tuple[bytes, int]:
    """The last ``count`` lines of ``pieces``, and how many bytes these had in all."""
    total = 0
    kept = 0
    # The last element is the line that has not ended yet; it counts once it holds something.
    lines: deque[bytes] = deque([b""])
    for piece in pieces:
        total += len(piece)
        parts = piece.split(b"\n")
        lines[-1] += parts[0]
        lines.extend(parts[1:])
        kept += len(piece)
        while len(lines) > count + 1 or (kept > _KEPT and len(lines) > 1):
            kept -= len(lines.popleft()) + 1
        if kept > _KEPT:
            lines[-1] = lines[-1][-_KEPT:]
            kept = _KEPT
    found = list(lines)
    if found[-1] and len(found) > count:
        found = found[len(found) - count :]
    return b"\n".join(found) if count else b"", total


def _pour(client: Client, name: str, follow: bool, offset: int, neutral: Neutral | None) -> bool:
    """Print the log from ``offset`` on; whether there was any. Followed, it outlives a restart of the daemon."""
    lost_at: float | None = None
    begin = offset
    while True:
        try:
            for piece in client.log(name, follow=follow, offset=offset):
                lost_at = None
                offset += len(piece)
                _write(piece, neutral)
        except ClientError as error:
            if not (follow and isinstance(error, NoDaemon)):
                raise
            lost_at = lost_at or time.monotonic()
            if time.monotonic() - lost_at > _PATIENCE_S:
                raise
            time.sleep(0.5)
        else:
            return offset > begin


def _write(data: bytes, neutral: Neutral | None) -> None:
    sys.stdout.buffer.write(neutral.feed(data) if neutral is not None else data)
    sys.stdout.buffer.flush()
