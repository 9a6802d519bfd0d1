"""A command line that every login shell reads alike: sh, bash, csh, tcsh, zsh and fish."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from sessiond.core.errors import NotSent

_PLAIN = re.compile(r"[A-Za-z0-9_+:,./-][A-Za-z0-9_+:,./=@%-]*", re.ASCII)
_QUOTABLE = re.compile(r"[ -~]*", re.ASCII)
# fish reads a backslash within single quotes, csh an exclamation mark: both stand outside of them, escaped.
_SPECIAL = re.compile(r"(['\\!])")
# A new line can be quoted in sh or in csh, not in both, and fish minds bytes that are no characters of its locale.
_UNPACK = 'eval "exec $(printf %b "$1")"'


def command_line(argv: Sequence[str]) -> str:
    """``argv`` as a line for the login shell, which gives way to the command.

    Raises NotSent for what no command line can hold: nothing at all, or a NUL.
    """
    if not argv or any("\0" in arg for arg in argv):
        name = argv[0] if argv and "\0" not in argv[0] else "a command"
        raise NotSent(f"{name} could not be started: its arguments cannot be passed on")
    if not all(_QUOTABLE.fullmatch(arg) for arg in argv):
        argv = ("sh", "-c", _UNPACK, "sh", _octal(argv))
    return "exec " + " ".join(map(_word, argv))


def _word(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    parts = (f"\\{part}" if _SPECIAL.fullmatch(part) else f"'{part}'" for part in _SPECIAL.split(text) if part)
    return "".join(parts) or "''"


def _octal(argv: Sequence[str]) -> str:
    """``argv`` as words of sh, in the escapes of printf."""
    words = " ".join("'" + arg.replace("'", "'\\''") + "'" for arg in argv)
    return "".join(f"\\0{byte:03o}" for byte in os.fsencode(words))
