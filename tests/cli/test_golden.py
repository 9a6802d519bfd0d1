"""What people see, held as files in golden/. `UPDATE_GOLDEN=1 pytest tests/cli/test_golden.py` writes them anew."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sessiond import __version__
from sessiond.cli.output import cells
from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import ago, session
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
    "workflows": ("workflows",),
    "workflow-show": ("workflow", "show", "jupyterlab-host/general"),
    "workflow-show-broken": ("workflow", "show", "webshell/broken"),
    "clusters": ("clusters",),
    "partitions": ("partitions", "frontier"),
    "partitions-none": ("partitions", "local"),
    "partitions-unknown": ("partitions", "summit"),
    "status": ("status",),
    "plan": ("plan", "jupyterlab-host", "--on", "local", "--set", "theme=dark"),
    "reload": ("reload",),
    "logs": ("logs", "jl", "-n", "2"),
    "version": ("version",),
    "login-refused": ("login", "local"),
    "error-not-found": ("show", "nobody"),
    "error-usage": ("ls", "--jsn"),
    "error-conflict": ("rm", "jl"),
    "error-needs-login": ("show", "error-needs-login"),
    "error-no-daemon": ("status",),
    "error-several": ("rm", "jl", "nobody"),
}

STARTS = {
    "wait": ("wait", "jl", "lost"),
    "wait-timeout": ("wait", "simulation", "--timeout", "0s"),
    "stop": ("stop", "jl", "simulation"),
    "start": ("start", "quick", "--name", "mine"),
    "start-no-wait": ("start", "slow", "--no-wait"),
    "start-doomed": ("start", "doomed"),
    "start-unknown": ("start", "nothing"),
}


ON_CLUSTERS = {
    "clusters-ls": ("ls", "--fresh"),
    "clusters-show": ("show", "md"),
    "clusters-show-waiting": ("show", "big"),
    "clusters-why-waiting": ("why", "big"),
    "clusters-doctor": ("doctor", "frontier"),
    "clusters-extend": ("extend", "md", "+1h"),
}


def noon() -> str:
    """A time zone where it is about noon: what is near has no other day, and lines their usual length."""
    return f"NOON{datetime.now(UTC).hour - 12}"


def later_by(**span: float) -> str:
    """A time to come, as the API writes it."""
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


def on_clusters(canned: Canned) -> None:
    """Have sessions that run on nodes, and one that waits for some and is expected to start."""
    # The seconds are how long a screen may take to come: 12 min 30 s would be rounded to 13.
    soon, later = later_by(minutes=12, seconds=29), later_by(hours=5, minutes=30, seconds=30)
    place: dict[str, Any] = {"cluster": "frontier", "mode": "slurm"}
    reason = "resources are busy"
    canned.sessions = {
        one["name"]: one
        for one in (
            session("md", 1, node="n042,n043,n044", ends_by=later, **place),
            session("login", 2, node="login3", cluster="frontier", mode="controller"),
            session(
                "big",
                3,
                state="wait-for-node",
                phrase=f"waiting for a node: {reason}",
                next="the scheduler expects to start it in 12 min",
                severity="busy",
                job_phase="queued",
                queue_reason=reason,
                expected_start=soon,
                **place,
            ),
        )
    }


def elsewhere(screen: str) -> dict[str, str]:
    """Where a screen is about a daemon that is not there: a socket that nobody made."""
    return {"SESSIOND_SOCKET": "/nowhere/api.sock"} if screen == "error-no-daemon" else {}


def many(canned: Canned) -> None:
    """Have as many sessions as somebody with a cluster may have, in all kinds of states, some with wide names."""
    states = [("running", "running", "ok"), ("ended", "ended at its time limit", "ok"), ("kill", "stopping", "busy")]
    failed = ("ended", "failed: the session's script was killed by signal KILL (out of memory?)", "error")
    canned.sessions = {}
    for number in range(24):
        state, phrase, severity = [*states, failed][number % 4]
        name = f"計算の結果-{number}" if number % 5 == 0 else f"run-{number:03d}"
        node = f"n{number:03d}" if number % 3 else "n001,n002"
        known: dict[str, Any] = {"state": state, "phrase": phrase, "severity": severity, "node": node}
        if state == "ended":
            known["outcome"] = "failed" if severity == "error" else "walltime"
        if number % 2:
            known |= {"since": ago(days=number, hours=2, minutes=30)}
        canned.sessions[name] = session(name, number, cluster="frontier", mode="slurm", **known)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_many_sessions(ctl: Ctl, canned: Canned, columns: int) -> None:
    """A long list stays in its columns, whatever width the characters of a name have."""
    many(canned)
    plain = ctl("ls", "--all", COLUMNS=str(columns))
    compare(f"ls-many.{columns}.plain", plain)
    compare(f"ls-many.{columns}.colour", ctl.shown("ls", "--all", columns=columns))
    assert max(map(cells, plain.out.splitlines())) <= columns


def test_nothing_yet(ctl: Ctl, canned: Canned) -> None:
    """The screens of somebody who has just begun."""
    canned.sessions = {}
    for name, arguments in {"ls-empty": ("ls",), "stop-nothing": ("stop", "--all")}.items():
        for columns in (80, 200):
            compare(f"{name}.{columns}.plain", ctl(*arguments, COLUMNS=str(columns)))
            compare(f"{name}.{columns}.colour", ctl.shown(*arguments, columns=columns))


def compare(name: str, done: Done) -> None:
    """The run's output against the golden file, with the times of day taken out."""
    text = f"[status {done.status}]\n{done.out}" + (f"[stderr]\n{done.err}" if done.err else "")
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD HH:MM:SS", text)
    text = text.replace(__version__, "VERSION")
    text = re.sub(r"\d\d:\d\d, in", "HH:MM, in", text)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("screen", SCREENS)
def test_plain(ctl: Ctl, canned: Canned, screen: str, columns: int) -> None:
    """Without a terminal there is no colour, and the table fits what COLUMNS says."""
    done = ctl(*SCREENS[screen], COLUMNS=str(columns), **elsewhere(screen))
    compare(f"{screen}.{columns}.plain", done)
    if screen.startswith(("ls", "services")) and screen != "services-one":
        assert max(map(len, done.out.splitlines())) <= columns


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("screen", SCREENS)
def test_colour(ctl: Ctl, canned: Canned, screen: str, columns: int) -> None:
    """On a terminal states have their colours, and nothing a session says steers the terminal."""
    done = ctl.shown(*SCREENS[screen], columns=columns, **elsewhere(screen))
    compare(f"{screen}.{columns}.colour", done)
    assert re.findall(r"[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f\u202e]|\x1b(?!\[[0-9;]*m)", done.out) == []


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("screen", ON_CLUSTERS)
def test_sessions_on_clusters(ctl: Ctl, canned: Canned, screen: str, columns: int) -> None:
    """Where they run, how long still, what they wait for and until when; with and without colour."""
    on_clusters(canned)
    compare(f"{screen}.{columns}.plain", ctl(*ON_CLUSTERS[screen], COLUMNS=str(columns), TZ=noon()))
    shown = ctl.shown(*ON_CLUSTERS[screen], columns=columns, TZ=noon())
    compare(f"{screen}.{columns}.colour", shown)
    assert re.findall(r"[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f\u202e]|\x1b(?!\[[0-9;]*m)", shown.out) == []


def test_the_line_that_lives_says_when(ctl: Ctl, canned: Canned) -> None:
    """Who follows a session that waits sees the reason, the time of day, and how long until then."""
    on_clusters(canned)
    terminal = ctl.terminal("wait", "big", columns=120)
    day = rb"(?:\w{3} \d\d \w{3}, )?"
    line = rb"big: waiting for a node: resources are busy; expected to start at " + day + rb"\d\d:\d\d, in 12 min"
    terminal.until(line)


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
