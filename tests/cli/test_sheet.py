"""How names, texts and paragraphs are laid out."""

from __future__ import annotations

import pytest

from sessiond.cli.output import wrapped
from sessiond.cli.sheet import entries, gist, paragraphs


def test_entries() -> None:
    """Texts begin in one column and go on in it; a long name has its own line; blanks in a value stay."""
    rows = [("a", "one  two three"), ("n" * 40, "four"), ("abc", "")]
    assert ["  a    one  two", "       three", f"  {'n' * 40}", "       four", "  abc"] == list(entries(rows, width=16))
    assert ["  a    one  two three", f"  {'n' * 40}  four", "  abc"] == list(entries(rows, width=None))


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 5, [""]),
        ("aaaaaaaaa b", 5, ["aaaaaaaaa", "b"]),
        ("中文 中文", 5, ["中文", "中文"]),
        ("one two", 7, ["one two"]),
    ],
)
def test_wrapped(text: str, width: int, lines: list[str]) -> None:
    """By columns, not by characters."""
    assert lines == wrapped(text, width)


def test_paragraphs() -> None:
    """Prose is filled; headings, lists and code stay as they are; nothing steers the terminal."""
    text = "# Title\n\nOne\ntwo \x1b[2J three.\n\n* a\n  b\n\n```\nx = 1\n\ny = 2\n```\n\nFour\nfive\n"
    assert [
        "# Title",
        "",
        "One two \\x1b[2J three.",
        "",
        "* a",
        "  b",
        "",
        "```",
        "x = 1",
        "",
        "y = 2",
        "```",
        "",
        "Four five",
        "",
    ] == list(paragraphs(text, width=80))
    assert ["One", "two", ""] == list(paragraphs("One\ntwo", width=None))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("# Title\n\nOne line\nand one more. Then another.", "One line and one more."),
        ("# Title\nWith version 1.2 of it! But", "With version 1.2 of it!"),
        ("# Title\n", ""),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, first: str) -> None:
    """For lists."""
    assert first == gist(text)
