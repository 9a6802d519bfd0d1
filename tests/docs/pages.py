"""The documentation as data: its pages, the blocks in them, their links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<fence>```+)(?P<kind>\w*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def pages() -> list[Path]:
    """Every page for people: those of the top level, of docs/ and of bench/."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")])


def title(page: Path) -> str:
    """A page's path in the clone, which names its tests."""
    return str(page.relative_to(ROOT))


def blocks(page: Path, kind: str) -> list[str]:
    """The texts of a page's fenced blocks of one kind."""
    return [found["text"] for found in _FENCE.finditer(page.read_text()) if found["kind"] == kind]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Where a page's links lead, as they are written."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> frozenset[str]:
    """The names of a page's headings in links: lower case, hyphens for spaces, no other signs."""
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(page))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A command of a ``console`` block, and the lines it is said to print; ``...`` in them stands for anything."""

    command: str
    output: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that the reader is told to write: its path as the page names it, and its text."""

    path: str
    text: str


_NAMED = re.compile(r"`(~/[^`]+)`[^\n`]*:\n\n$")
"""How a page names a file right before the block that shows it."""


def steps(page: Path) -> Iterator[Example | Written]:
    """What a page has its reader write and type, in its order."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        named = _NAMED.search(text, 0, found.start())
        if found["kind"] == "console":
            yield from _typed(found["text"])
        elif named is not None:
            yield Written(path=named[1], text=found["text"])


def examples(page: Path) -> list[Example]:
    """A page's commands, in their order."""
    return [step for step in steps(page) if isinstance(step, Example)]


def _typed(block: str) -> list[Example]:
    found: list[Example] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Example(command=line[2:], output=()))
        else:
            last = found.pop()
            found.append(Example(command=last.command, output=(*last.output, line)))
    return found


def missing(expected: tuple[str, ...], output: str) -> Iterator[str]:
    """The expected lines that the output does not have, in their order."""
    lines = iter(output.splitlines())
    for wanted in expected:
        pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
        if not any(re.fullmatch(pattern, line.rstrip()) for line in lines):
            yield wanted
