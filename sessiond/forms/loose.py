"""JSON in attributes, as authors of forms write it: with single quotes, Python's words, keys without quotes.

Most of the family's lists of options are in single quotes, because the attribute around them is in double ones.
"""

from __future__ import annotations

import json
import re

_BARE = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_BETWEEN = re.compile(r"[^\"'A-Za-z_$]+")
_COMMA_TOO_MANY = re.compile(r",(\s*[\]}])")
_WORDS = {"true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null"}


def loads(text: str) -> object:
    """What ``text`` says. Raises ValueError, and RecursionError where it is nested without end."""
    try:
        return json.loads(text)
    except ValueError:
        return json.loads("".join(_strict(text)))


def _strict(text: str) -> list[str]:
    """The pieces of ``text`` as JSON has them. Every character is looked at once, whatever the text is."""
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in "'\"":
            end = _end_of_quoted(text, at)
            quoted = text[at : end + 1]
            found.append(quoted if quoted[0] == '"' else json.dumps(_unescaped(quoted[1:-1])))
            at = end + 1
        elif (word := _BARE.match(text, at)) is not None:
            found.append(_WORDS.get(word[0]) or json.dumps(word[0]))
            at = word.end()
        elif (between := _BETWEEN.match(text, at)) is not None:
            found.append(_COMMA_TOO_MANY.sub(r"\1", between[0]))
            at = between.end()
        else:  # a letter that is in no word of JSON's
            raise ValueError("no JSON")
    return found


def _end_of_quoted(text: str, start: int) -> int:
    at = start + 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == text[start]:
            return at
        at += 1
    raise ValueError("a quote has no end")


def _unescaped(inside: str) -> str:
    """What is between two single quotes; a backslash makes of ``n`` a new line, of anything else that itself."""
    pieces = inside.split("\\")
    found, rest = [pieces[0]], iter(pieces[1:])
    for piece in rest:
        if piece == "":  # an escaped backslash; what follows it is plain
            found += ["\\", next(rest, "")]
        else:
            found.append("\n" + piece[1:] if piece[0] == "n" else piece)
    return "".join(found)
