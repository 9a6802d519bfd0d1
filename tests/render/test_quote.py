"""What authors write between double quotes keeps its meaning there, and never gets out."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sessiond.core.errors import SpecError
from sessiond.render.quote import double, inside_double, means_itself, word

AUTHORED = st.lists(st.sampled_from(["\\", '"', "$", "`", "(", ")", "{", "}", "'", " ", "a", "$HOME", "\n", "é", ";"]))


def printed(source: str) -> str:
    """What a shell prints for a word, one word and nothing else; HOME is /h."""
    script = f'set -- {source}\n[ $# -eq 1 ] && printf %s "$1"'
    done = subprocess.run(["bash", "-c", script], env={"HOME": "/h"}, check=True, capture_output=True)
    assert b"" == done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('term -- bash -c \\"tool --help; exec bash\\"', 'term -- bash -c "tool --help; exec bash"'),
        ("/images/\\${USER}/x.sif", "/images/${USER}/x.sif"),
        ("$HOME/x", "/h/x"),
        ("${HOME}/x", "/h/x"),
        ('${NONE:-a "b"}', "a b"),
        ('say "hi"', 'say "hi"'),
        ('$(echo "a b")', "a b"),
        ("`echo a`", "a"),
        ("$((1 + (2)))", "3"),
        ("C:\\dir \\$5 a$ it's", "C:\\dir $5 a$ it's"),
        ("*  ~ !! ;&|<>()#", "*  ~ !! ;&|<>()#"),
        ("$\\\nHOME", "/h"),
        ("{", "{"),
        ("a(", "a("),
        ("", ""),
    ],
)
def test_double(text: str, meant: str) -> None:
    """Escapes, variables and substitutions are what a shell makes of them; other quotes are the text's own."""
    assert meant == printed(double(text))


@pytest.mark.parametrize("text", ["a\\", "$(", "`", "${x", "$(echo ')'", "$\\\n(", '$(")', "a\0"])
def test_what_has_no_end(text: str) -> None:
    """A text that would take the rest of the script with it is refused."""
    with pytest.raises(SpecError):
        double(text)


@settings(max_examples=200, deadline=None)
@given(AUTHORED.map("".join))
def test_an_authors_text_does_not_get_out(text: str) -> None:
    """Whatever is accepted, the line after it is a line of its own."""
    try:
        source = double(text)
    except SpecError:
        assume(False)
    # What is in a substitution is a script of its own, and may be a wrong one.
    assume(not any(begin in text for begin in ("$(", "${", "`")))
    done = subprocess.run(
        ["bash", "-c", f"x={source}\necho next"], capture_output=True, check=False, env={"HOME": "/h"}
    )
    assert (b"next\n", b"") == (done.stdout, done.stderr)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_inside_double_is_exact(text: str) -> None:
    """Escaped, a text is itself between double quotes; a text that means itself needs no escape."""
    assert text == printed(f'"{inside_double(text)}"')
    assert (inside_double(text) == text) == means_itself(text)
    assert word(text) or not text
