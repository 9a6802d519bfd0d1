"""``qstat -f`` and ``-F dsv``: every attribute of a job, a queue or a server."""

from __future__ import annotations

import time
from collections.abc import Iterable

from .attributes import TIMES

Thing = tuple[str, Iterable[tuple[str, str]]]
"""A job's id, a queue's or a server's name, and its attributes in the order in which they are printed."""

# Columns of a line of qstat -f; where a piece of a list between commas ends at the latest, the comma not counted; where
# a line breaks within a piece. Measured: all of tests/schedulers/recorded/openpbs is reproduced.
_FITS, _BREAKS = 77, 78
# What the tabulator before a further line counts: more after a comma than within a piece.
_TAB_AFTER_COMMA, _TAB_WITHIN = 9, 8


def text(kind: str, things: Iterable[Thing], *, wide: bool = False) -> str:
    """The blocks of ``qstat -f``; ``kind`` is ``Job Id``, ``Queue`` or ``Server``; ``wide``: no line is broken."""
    lines: list[str] = []
    for name, attributes in things:
        lines.append(f"{kind}: {name}\n")
        for key, value in attributes:
            shown = said(key, value)
            lines.append(f"    {key} = {shown}\n" if wide else f"{wrapped(key, shown)}\n")
        lines.append("\n")
    return "".join(lines)


def dsv(kind: str, things: Iterable[Thing], delimiter: str = "|") -> str:
    """The lines of ``qstat -f -F dsv``."""
    return "".join(
        delimiter.join([f"{kind}: {name}", *(f"{key}={said(key, value)}" for key, value in attributes)]) + "\n"
        for name, attributes in things
    )


def said(key: str, value: str) -> str:
    """An attribute's value as qstat says it; moments in the time zone of the process."""
    return time.ctime(int(value)) if key in TIMES else value


def wrapped(key: str, value: str) -> str:
    """A line ``    key = value``, broken at commas where the next piece is too long for it, else amid a word.

    Counted are bytes, so that what is not ASCII can be torn apart; the result then holds surrogates for them.
    """
    line = bytearray(f"    {key} = ".encode())
    column = len(line)
    for number, piece in enumerate(value.encode(errors="surrogateescape").split(b",")):
        if number:
            line += b","
        if column + len(piece) <= _FITS:
            line += piece
            column += len(piece)
            continue
        if number:
            line += b"\n\t"
            column = _TAB_AFTER_COMMA
        for byte in piece:
            line.append(byte)
            column += 1
            if column > _BREAKS:
                line += b"\n\t"
                column = _TAB_WITHIN
    return line.decode(errors="surrogateescape")
