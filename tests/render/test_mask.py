"""No secret is left in a text, however it is spelled there, and the rest of the text stays."""

from __future__ import annotations

import base64
import html
import json
import shlex
import subprocess
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.render.mask import MASK, Masker
from sessiond.render.quote import word

HOSTILE = [
    "correct horse battery staple",
    "it's",
    'a"b\\c$d`e',
    ".*",
    "(a+)+$",
    "\\1\\g<0>",
    "tab\there",
    "pass%20word&x=1#?",
    "sécret-日本",
    "***",
    "</script><b>",
    "first line\nsecond line\nthird line",
    "  blanks around  ",
    "x" * 5000,
]


@pytest.mark.parametrize("secret", HOSTILE)
@pytest.mark.parametrize(
    "spelled",
    [
        str,
        word,
        shlex.quote,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        repr,
        html.escape,
        lambda text: quote(text, safe=""),
        quote_plus,
        lambda text: base64.b64encode(text.encode()).decode(),
    ],
)
def test_every_spelling_is_masked(secret: str, spelled: object) -> None:
    """As it is, for shells, JSON, Python, HTML and URLs, and in base 64; what stands around it stays."""
    assert callable(spelled)
    shown = str(spelled(secret))
    text = Masker([secret])(f"before <{shown}> after")
    assert text.startswith("before <")
    assert text.endswith("> after")
    if secret != MASK:
        assert secret.strip() not in text
        assert shown.strip("'\"=") not in text
    assert MASK in text


def test_what_bash_prints_of_it_is_masked() -> None:
    """`set -x` and printf %q have spellings of their own."""
    secret = "se cret'with$things"
    script = 'set -x; true "$1"; set +x; printf "%q\\n" "$1"'
    done = subprocess.run(["bash", "-c", script, "x", secret], capture_output=True, text=True, check=True)
    for text in (done.stderr, done.stdout):
        assert "cret" in text
        assert "cret" not in Masker([secret])(text)


def test_one_secret_is_the_beginning_of_another() -> None:
    """The longer goes first: nothing of it is left behind."""
    assert f"a {MASK} b {MASK} c" == Masker(["hunter2", "hunter2-and-more"])("a hunter2-and-more b hunter2 c")


def test_short_secrets_are_masked_where_they_stand_alone() -> None:
    """The text around them stays one that can be read."""
    assert f"pin {MASK}, 10 of 21; ab {MASK}" == Masker(["1", "xyz"])("pin 1, 10 of 21; ab xyz")


def test_a_secret_that_was_cut_off_is_masked() -> None:
    """Messages are of bounded length: their end may be the middle of a secret."""
    secret = "0123456789abcdefghijklmnop"
    assert f"it said {MASK}" == Masker([secret])(f"it said {secret[:14]}")
    assert f"{MASK}, then 0123456" == Masker([secret])(f"{secret[:9]}, then 0123456")


def test_the_lines_of_a_secret_are_masked_one_by_one() -> None:
    """A log may show them with a time before each."""
    key = "MIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj\nab"
    text = Masker([key])("10:00 MIIEvQIBADANBgkqhkiG\n10:00 9w0BAQEFAASCBKcwggSj\n")
    assert f"10:00 {MASK}\n10:00 {MASK}\n" == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:8888/lab?token=abcdef&x=1", "http://127.0.0.1:8888/lab?token=***&x=1"),
        ("/me/50000/?sessiond=wJ8mAoC2 HTTP/1.1", "/me/50000/?sessiond=*** HTTP/1.1"),
        ("/?a=1&access_token=zz#top", "/?a=1&access_token=***#top"),
        ("git clone https://bob:hunter2@example.org/x", "git clone https://bob:***@example.org/x"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ('{"Cookie": "sessiond_50000=abc"}', '{"Cookie": ***'),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nx",
            "-----BEGIN RSA PRIVATE KEY-----***\nx",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\nand the log was cut", "-----BEGIN PRIVATE KEY-----***"),
        ("the monkey has a key=value and token", "the monkey has a key=value and token"),
    ],
)
def test_credentials_of_others_are_masked(text: str, expected: str) -> None:
    """What a program prints of its own tokens is recognised by its name or form."""
    assert expected == Masker([])(text)


def test_objects_keep_their_form() -> None:
    """Texts in it are masked at any depth; names of fields and numbers are not."""
    found = Masker(["hunter2"]).within({"hunter2": [{"a": "my hunter2"}, 7, None, ("x",)], "b": "hunter2"})
    assert {"hunter2": [{"a": f"my {MASK}"}, 7, None, ["x"]], "b": MASK} == found


@given(st.text(min_size=4, max_size=60), st.text(max_size=80), st.text(max_size=80))
def test_no_text_of_four_characters_survives(secret: str, before: str, after: str) -> None:
    """Whatever it is made of, and whatever stands around it."""
    masked = Masker([secret])(before + secret + after)
    assert MASK in masked
    if not set(secret) & set(MASK):
        assert secret not in masked or secret in before + after
