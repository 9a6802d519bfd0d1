"""The only place that makes shell words."""

from __future__ import annotations

from sessiond.core.errors import SpecError


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
