"""What people see, held as files in golden/. `UPDATE_GOLDEN=1 pytest tests/cli/test_golden.py` writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.canned_daemon import Canned
from tests.cli.conftest import Ctl, Done

GOLDEN = Path(__file__).parent / "golden"

SCREENS = {
    "ls": ("ls",),
    "ls-all": ("ls", "--all"),
    "show": ("show", "simulation"),
    "show-lost": ("show", "lost"),
    "show-evil": ("show", "evil"),
    "why": ("why", "jl"),
    "why-lost": ("why", "lost"),
    "services": ("services",),
    "services-one": ("services", "jupyterlab-host"),
    "status": ("status",),
    "plan": ("plan", "jupyterlab-host", "--on", "local", "--set", "theme=dark"),
    "reload": ("reload",),
}

STARTS = {
    "start": ("start", "quick", "--name", "mine"),
    "start-no-wait": ("start", "slow", "--no-wait"),
    "start-doomed": ("start", "doomed"),
    "start-unknown": ("start", "nothing"),
}


def compare(name: str, done: Done) -> None:
    """The run's output against the golden file, with the times of day taken out."""
    text = f"[status {done.status}]\n{done.out}" + (f"[stderr]\n{done.err}" if done.err else "")
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD HH:MM:SS", text)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("screen", SCREENS)
def test_plain(ctl: Ctl, canned: Canned, screen: str, columns: int) -> None:
    """Without a terminal there is no colour, and the table fits what COLUMNS says."""
    done = ctl(*SCREENS[screen], COLUMNS=str(columns))
    compare(f"{screen}.{columns}.plain", done)
    if screen.startswith(("ls", "services")) and screen != "services-one":
        assert max(map(len, done.out.splitlines())) <= columns


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("screen", SCREENS)
def test_colour(ctl: Ctl, canned: Canned, screen: str, columns: int) -> None:
    """On a terminal states have their colours, and nothing a session says steers the terminal."""
    done = ctl.shown(*SCREENS[screen], columns=columns)
    compare(f"{screen}.{columns}.colour", done)
    assert re.findall(r"[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f\u202e]|\x1b(?!\[[0-9;]*m)", done.out) == []


@pytest.mark.parametrize("start", STARTS)
def test_start_without_a_terminal(ctl: Ctl, canned: Canned, start: str) -> None:
    """A phrase a line on standard error, and the URL alone on standard output."""
    compare(start, ctl(*STARTS[start]))


def test_no_color_is_honoured(ctl: Ctl, canned: Canned) -> None:
    """NO_COLOR on a terminal gives what a pipe of that width gets."""
    assert ctl("ls", COLUMNS="200").out == ctl.shown("ls", columns=200, NO_COLOR="1").out


def test_a_pipe_gets_everything(ctl: Ctl, canned: Canned) -> None:
    """Where nothing limits the width, nothing is cut."""
    assert "17 jobs of higher priority are before it (Priority)" in ctl("ls").out
