"""What lives: the line that follows a start, Ctrl-C, the event stream, and a daemon that goes away meanwhile."""

from __future__ import annotations

import json
import re
import signal
import subprocess

from sessiond.cli.output import cells
from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import TOKEN
from tests.cli.conftest import ROOT, SESSIONCTL, Ctl, serve


def test_the_live_line_and_ctrl_c(ctl: Ctl, canned: Canned) -> None:
    """The line shows phrase, time and the log's last line; Ctrl-C looks away, and the session goes on."""
    canned.log = b"Collecting wheels\n\x1b[32mInstalling\x1b[0m jupyterlab \x1b]0;owned\x07\n"
    terminal = ctl.terminal("start", "slow", columns=120)
    terminal.until("⠙.*slow: starting the service · \\d+s.*Installing jupyterlab".encode())
    terminal.type(b"\x03")
    status = terminal.end()
    assert (status, canned.sessions["slow"]["state"]) == (130, "start")
    last = terminal.seen.decode().splitlines()[-1]
    assert "Detached; slow goes on. `sessionctl why slow` tells how, `sessionctl stop slow` ends it." in last
    assert b"\x1b]" not in terminal.seen
    assert [asked[:2] for asked in canned.requests if asked[0] != "GET"] == [("POST", "/v1/sessions")]


def test_the_live_line_fits(ctl: Ctl, canned: Canned) -> None:
    """No picture of the line is wider than the terminal, or it would not be one line."""
    canned.log = "Lädt 日本語の長い長い長い長い長い長い名前 herunter\n".encode()
    terminal = ctl.terminal("start", "slow", columns=40)
    terminal.until("⠼.*\x1b\\[K".encode())
    terminal.type(b"\x03")
    terminal.end()
    pictures = re.sub("\x1b\\[[0-9;]*[mK]", "", terminal.seen.decode()).split("\r")
    assert [picture for picture in pictures if picture.startswith("⠼") and cells(picture) >= 40] == []


def test_a_start_on_a_terminal_ends_with_the_url(ctl: Ctl, canned: Canned) -> None:
    """The live line is wiped, and the URL stands alone."""
    done = ctl.shown("start", "quick")
    assert done.status == 0
    assert f"http://127.0.0.1:8700/me/50014/lab?token={TOKEN}" == done.out.split("\x1b[K")[-1].strip()


def test_watch(ctl: Ctl, canned: Canned) -> None:
    """Events as they happen: lines for people, NDJSON for programs; SIGINT ends it."""
    for args in (("watch",), ("watch", "--json")):
        with subprocess.Popen(
            (*SESSIONCTL, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ctl.env, cwd=ROOT
        ) as process:
            with canned.changed:
                assert canned.changed.wait_for(lambda: canned.listeners == 1, 30)
            canned.tell(canned.sessions["jl"], "tunnel")
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        with canned.changed:
            # The stream's thread sees that its reader is gone when it next writes.
            canned.tell(canned.sessions["jl"], "running")
            canned.tell(canned.sessions["jl"], "running")
            assert canned.changed.wait_for(lambda: canned.listeners == 0, 30)
        if args == ("watch",):
            assert line.endswith("  jl        running\n")
        else:
            assert ((event := json.loads(line))["name"], event["to_state"]) == ("jl", "running")


def test_watch_since(ctl: Ctl, canned: Canned) -> None:
    """--since begins with what has happened already."""
    for before in ("start", "tunnel"):
        canned.tell(canned.sessions["jl"], before)
    with subprocess.Popen(
        (*SESSIONCTL, "watch", "--json", "--since", "1"), stdout=subprocess.PIPE, env=ctl.env, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert ((event := json.loads(process.stdout.readline()))["seq"], event["from_state"]) == (2, "tunnel")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_daemon_that_restarts_is_waited_for(ctl: Ctl) -> None:
    """Who waits does not lose a session because the daemon is away for a moment, and no other daemon is started."""
    with serve(ctl) as first:
        process = subprocess.Popen((*SESSIONCTL, "wait", "simulation"), stderr=subprocess.PIPE, env=ctl.env, cwd=ROOT)
        with first.changed:
            assert first.changed.wait_for(lambda: first.listeners == 1, 30)
    with serve(ctl) as second:
        with second.changed:
            assert second.changed.wait_for(lambda: second.listeners == 1, 30)
        second.sessions["simulation-of-the-north-sea"].update(state="running", phrase="running", severity="ok")
        second.tell(second.sessions["simulation-of-the-north-sea"], "start")
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said.splitlines()[-1]) == (0, b"simulation-of-the-north-sea: running")
    assert not ctl.state.exists()


def test_logs_outlive_a_restart(ctl: Ctl) -> None:
    """A followed log goes on at the byte where it was cut off."""
    with serve(ctl) as first:
        first.hold = True
        process = subprocess.Popen((*SESSIONCTL, "logs", "-f", "jl"), stdout=subprocess.PIPE, env=ctl.env, cwd=ROOT)
        assert process.stdout is not None
        assert process.stdout.readline() == b"one\n"
        assert process.stdout.readline() == b"two\n"
    with serve(ctl):
        rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, b"three\nfour\n")
