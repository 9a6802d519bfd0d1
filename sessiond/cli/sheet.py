"""Text laid out for people: names with what is said of them, and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from sessiond.cli.output import cells, paint, safe, wrapped

if TYPE_CHECKING:
    from sessiond.api.wire_forms import Workflow

_WIDEST: Final = 100
"""Lines longer than this are hard to read, however wide the terminal is."""
_NAME: Final = 34
"""Names longer than this have a line of their own."""


def fitting(width: int | None) -> int | None:
    """The width of lines to be read where there are ``width`` columns; None where nothing limits them."""
    return None if width is None else min(width, _WIDEST)


def words_about(label: str, more: str) -> list[str]:
    """What is said of a value: its label, and what explains it if that is more; both as parts of a longer line."""
    found = [text.strip().removesuffix(".") for text in (label, more)]
    return list(dict.fromkeys(filter(None, found)))


def entries(rows: Sequence[tuple[str, str]], *, width: int | None, indent: int = 2) -> Iterator[str]:
    """A line for each name with its text beside it, continued below it; nothing is cut.

    Texts must be safe to print. Without ``width`` each has one line, for programs to search in.
    """
    column = max((cells(name) for name, _ in rows if cells(name) <= _NAME), default=0)
    begin = " " * indent
    for name, text in rows:
        if width is None:
            yield f"{begin}{paint(name, 'strong')}{' ' * (column - cells(name))}  {text}".rstrip()
            continue
        lines = wrapped(text, width - indent - column - 2)
        if cells(name) > column:
            yield f"{begin}{paint(name, 'strong')}"
        else:
            yield f"{begin}{paint(name, 'strong')}{' ' * (column - cells(name))}  {lines.pop(0)}".rstrip()
        yield from (f"{begin}{' ' * column}  {line}" for line in lines)


def paragraphs(text: str, *, width: int | None) -> Iterator[str]:
    """Markdown as it is, but what is no list, heading or code has lines as long as there is room for."""
    fenced = False
    for part in re.split(r"\n\s*\n", text.strip()):
        lines = part.split("\n")
        marks = sum(line.lstrip().startswith("```") for line in lines)
        plain = not (fenced or marks) and all(re.match(r"[^\W_]|[\"'(`*_\[](?! )", line) for line in lines)
        fenced ^= marks % 2 == 1
        if width is not None and plain:
            lines = wrapped(" ".join(map(str.strip, lines)), width)
        yield from map(safe, lines)
        yield ""


def gist(text: str) -> str:
    """The first sentence of a text in Markdown, on one line."""
    for part in re.split(r"\n\s*\n", text.strip()):
        lines = [line for line in part.split("\n") if not line.startswith(("#", "```"))]
        if words := " ".join(" ".join(lines).split()):
            return re.split(r"(?<=[.!?]) (?=[A-Z])", words, maxsplit=1)[0]
    return ""


def what_it_is(form: Workflow) -> str:
    """A form in a line: what is wrong with it, else its title, if that says more than its name, and its description."""
    if form["problems"]:
        return form["problems"][0]
    title, about = form["title"], gist(form["description"])
    stem = form["name"].rpartition("/")[2].casefold()
    if about and title.casefold() in (stem, stem.replace("_", " ").replace("-", " ")):
        return about
    return f"{title}: {about}" if about else title
