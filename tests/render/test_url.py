"""URLEND to address: every form that exists, and nothing else."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessiond.core.command import Completed
from sessiond.core.errors import SpecError
from sessiond.render.url import landing, read_urlend, slug, url_command
from tests.render.sample import session

VNC = (
    'vnc.html?resize=remote\\&autoconnect=true\\&show_dot=true\\&path=websockify\\&password=headless\\&host="'
    '+window.location.host+"/me/51234"+"/\\&dt="+(new Date()).getTime()'
)
VNC_TAIL = (
    "vnc.html?resize=remote&autoconnect=true&show_dot=true&path=websockify&password=headless"
    "&host=127.0.0.1:8700/me/51234/&dt=1700000000000"
)


def run(url_sh: bytes, params: dict[str, str] | None = None) -> Completed:
    """Run the command as a transport would."""
    command = url_command(session(params=params), url_sh)
    done = subprocess.run(
        command.argv, input=command.stdin, capture_output=True, timeout=command.timeout_s, check=False
    )
    return Completed(rc=done.returncode, stdout=done.stdout, stderr=done.stderr)


@pytest.mark.parametrize(
    ("urlend", "expected"),
    [
        ('"', "/me/51234/"),
        ('lab"', "/me/51234/lab"),
        ('lab?token=a\\&b=c"', "/me/51234/lab?token=a&b=c"),
        ('tree?dt="+(new Date()).getTime()', "/me/51234/tree?dt=1700000000000"),
        (
            VNC,
            f"/me/51234/{VNC_TAIL}",
        ),
        ('a\\/b"  +  "c d\'<é"', "/me/51234/a/bc%20d%27%3C%C3%A9"),
    ],
)
def test_landing(urlend: str, expected: str) -> None:
    """The forms that services use, sed escapes included, and text that has to be encoded."""
    assert expected == landing(urlend, "/me/51234", "127.0.0.1:8700", 1_700_000_000_000)


def test_slug_is_the_expression_without_sed_escapes() -> None:
    """service.json shows the expression itself."""
    assert 'a&b/c"' == slug('a\\&b\\/c"')
    assert VNC.replace("\\&", "&") == slug(VNC)


@pytest.mark.parametrize(
    "urlend",
    [
        "",
        "lab",
        'lab"+',
        'lab";alert(1)',
        'lab"+alert(1)',
        'lab"+document.cookie',
        'lab" "x"',
        'lab"+"x',
        'a\nb"',
        'a\\u0041"',
        'a\u2028"',
        'a\ud800"',
        '../../other"',
        'a/%2e%2E/b"',
        'a%2f..%2fb"',
        '/evil.example/"',
        '"+"/evil.example"',
        "lab'",
    ],
)
def test_anything_else_is_refused(urlend: str) -> None:
    """Code, unclosed text, escapes, control characters and ways out of the prefix."""
    with pytest.raises(SpecError):
        landing(urlend, "", "h", 0)


@given(st.text(max_size=40) | st.text('"+/\\.?&%20ajvscript:()', max_size=40))
def test_nothing_but_a_plain_path_gets_out(text: str) -> None:
    """Whatever URLEND holds, the result is refused or printable ASCII below the prefix, free of quotes."""
    for urlend in (text, text + '"', f'x"+"{text}"'):
        try:
            path = landing(urlend, "/me/51234", "h:1", 0)
        except SpecError:
            continue
        assert re.fullmatch(r"/me/51234/[!-~]*", path)
        assert not set(path) & set("\"'<>\\`")
        assert ".." not in re.split("[?#]", path)[0].split("/")


@pytest.mark.parametrize(
    ("url_sh", "expected"),
    [
        (b'export URLEND="lab\\""\n', 'lab"'),
        (b'URLEND="x\\"";', 'x"'),
        (b'export URLEND="e\\""\nexit 3\n', 'e"'),
        (b'echo noise; cat; export URLEND="n\\""', 'n"'),
        (b'export URLEND="r\\""; return; URLEND=no', 'r"'),
        (b'export URLEND="lab?port=${openPort}\\&token=${service_token}\\""', 'lab?port=51234\\&token=s3cret"'),
        (b'export URLEND="${odd}\\""', "it's $(id)\n\""),
    ],
)
def test_url_sh_runs_with_its_inputs(url_sh: bytes, expected: str) -> None:
    """url.sh sees the session's inputs and secrets, cannot read its own script, and may print, return or exit."""
    assert expected == read_urlend(run(url_sh, {"odd": "it's $(id)\n"}))


@pytest.mark.parametrize("url_sh", [b"", b"URLEND=", b"if", b"exec true", b"URLEND=$'a\\x1eb'", b"URLEND=$'\\xff'"])
def test_url_sh_that_says_nothing(url_sh: bytes) -> None:
    """No URLEND, a syntax error, a mark of ours in it, no text: one clear error."""
    with pytest.raises(SpecError, match="URLEND"):
        read_urlend(run(url_sh))


def test_url_sh_that_is_no_text() -> None:
    """A url.sh that is not UTF-8 is refused before anything runs."""
    with pytest.raises(SpecError, match="UTF-8"):
        url_command(session(), b"\xff")


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1e"), min_size=1))
def test_urlend_comes_back_as_it_was(text: str) -> None:
    """Any text survives the way through the shell."""
    assert text == read_urlend(run(b'URLEND="$odd"', {"odd": text}))


def test_who_and_where_the_user_is_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The workspace's home and user are known, also to what an author wrote; no other variable gets in, and no file."""
    (tmp_path / "env").write_text("URLEND=ours\n")
    for name, value in {"HOME": "/home/$(ada)", "USER": "ada", "BASH_ENV": str(tmp_path / "env"), "OTHER": "x"}.items():
        monkeypatch.setenv(name, value)
    one = session(params={"service_dir": "$HOME/x"})
    authored = replace(one, spec=replace(one.spec, authored=("service_dir",)))
    command = url_command(authored, b'URLEND="${URLEND-}|$HOME|$USER|${OTHER-none}|$service_dir"')
    done = subprocess.run(command.argv, input=command.stdin, capture_output=True, check=True)
    said = read_urlend(Completed(rc=0, stdout=done.stdout, stderr=done.stderr))
    assert "|/home/$(ada)|ada|none|/home/$(ada)/x" == said


OLD = (
    ("docker", 'export URLEND="\\""', "/me/51234/"),
    ("lab", 'export URLEND="lab\\""', "/me/51234/lab"),
    ("tree", 'export URLEND="tree?dt=\\"+(new Date()).getTime()"', "/me/51234/tree?dt=1700000000000"),
    (
        "vnc",
        (
            'export URLEND="vnc.html?resize=remote\\&autoconnect=true\\&show_dot=true'
            '\\&path=websockify\\&password=headless\\&host=\\"+window.location.host+\\"/me/${openPort}'
            '\\"+\\"\\/\\&dt=\\"+(new Date()).getTime()"'
        ),
        f"/me/51234/{VNC_TAIL}",
    ),
)
"""What each kind of existing url.sh says, as its shell text, and where the browser lands."""


@pytest.mark.parametrize(("text", "expected"), [one[1:] for one in OLD], ids=[one[0] for one in OLD])
def test_existing_url_sh(text: str, expected: str) -> None:
    """From the file to the address."""
    urlend = read_urlend(run(f"{text}\n".encode()))
    assert expected == landing(urlend, "/me/51234", "127.0.0.1:8700", 1_700_000_000_000)


def test_secrets_are_not_in_the_argv() -> None:
    """What the process table shows of the command holds no secret."""
    assert "s3cret" not in " ".join(url_command(session(), b"URLEND=x").argv)
