"""The only place that makes shell words."""

from __future__ import annotations

import re

from sessiond.core.errors import SpecError, printable


def word(text: str) -> str:
    """``text`` as one word of a POSIX shell that expands to exactly ``text``, new lines and all.

    Raises SpecError for what no shell variable can hold: a NUL character, or text that is not valid Unicode.
    """
    if "\0" in text:
        raise SpecError("a value contains a NUL character", hint="shell variables cannot hold one: remove it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SpecError("a value is not valid text", hint="give it in UTF-8") from error
    return "'" + text.replace("'", "'\\''") + "'"


def path(text: str) -> str:
    """``text`` as one shell word that is a path; ``~`` and what begins with ``~/`` is below the home folder there."""
    if text == "~":
        return '"$HOME"'
    return f'"$HOME"/{word(text[2:])}' if text.startswith("~/") else word(text)


def double(text: str) -> str:
    """``text`` as its author meant it between double quotes: ``\\"``, ``\\$`` and ``$HOME`` are what they are there.

    A double quote that is not escaped is one of the text: it does not end the word. Raises SpecError for a text that
    would not end where its word does, because something in it is begun and not closed.
    """
    word(text)
    if _closed(text) is None:
        raise SpecError(
            f"the text {printable(text)!r} is not whole between double quotes: something in it is not closed",
            hint="write \\$ for a dollar, \\` for a backquote and \\\\ for a backslash at its end",
        )
    return f'"{escaped(text)}"'


def escaped(text: str) -> str:
    """What `double` has between its quotes; ``text`` itself where that is not possible."""
    closed = _closed(text)
    return text if closed is None else closed


def inside_double(text: str) -> str:
    """``text`` escaped so that between double quotes it is exactly itself."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def means_itself(text: str) -> bool:
    """Whether ``text`` is the same between double quotes and as data."""
    return _SPECIAL.search(text) is None


_SPECIAL = re.compile(r'[\\"$`]')
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_ENDS = {"${": "}", "$(": ")", "`": "`", "(": ")", "{": "}"}


def _closed(text: str) -> str | None:
    """``text`` with its bare double quotes escaped; None where a substitution or an escape in it has no end."""
    # A shell takes away an escaped new line first, and may find a beginning in what is left.
    text = _ESCAPED.sub(lambda escape: "" if escape[0] == "\\\n" else escape[0], text)
    found: list[str] = []
    open_: list[str] = []
    at = 0
    while at < len(text):
        step = text[at : at + 2]
        if step[0] == "\\":
            if len(step) == 1:
                return None
            found.append(step)
            at += 2
        elif open_ and step[0] == open_[-1]:
            found.append(step[0])
            open_.pop()
            at += 1
        elif open_ and step[0] in "'\"":
            # A quoted part inside a substitution is taken whole.
            end = text.find(step[0], at + 1)
            if end < 0:
                return None
            found.append(text[at : end + 1])
            at = end + 1
        elif step in ("${", "$(") or step[0] == "`" or (open_ and step[0] in "({"):
            opening = step if step in ("${", "$(") else step[0]
            open_.append(_ENDS[opening])
            found.append(opening)
            at += len(opening)
        else:
            found.append('\\"' if step[0] == '"' else step[0])
            at += 1
    return None if open_ else "".join(found)
