"""A daemon that dies, stops, or is not alone: sessions go on, and there is one daemon."""

from __future__ import annotations

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sessiond.client import Client

from . import traces
from .workspace import Workspace, fetch


def test_the_same_url_after_kill_nine(workspace: Workspace) -> None:
    """kill -9 of the daemon: the same process answers behind the same URL, and the story tells it."""
    first = workspace.daemon()
    before = workspace.start("tiny", name="one")
    assert before["url"] is not None
    status, text = fetch(before["url"])
    assert (200, True) == (status, text.startswith("tiny "))
    first.kill()
    workspace.daemon()
    after = workspace.until("one", "running")
    same = ("id", "number", "url", "open_port", "service_port", "job_id", "created")
    assert {key: before[key] for key in same} == {key: after[key] for key in same}  # type: ignore[literal-required]
    assert (200, text) == fetch(before["url"])
    assert 1 == workspace.started()
    why = workspace.ctl("why", "one")
    assert (0, "") == (why.status, why.err)
    assert why.out.startswith("one: running (for ")
    lines = [line.split("  ")[-1] for line in why.out.splitlines()]
    restarted = lines.index("sessiond was restarted; it looks for the session and its service")
    assert "the service answers" == lines[restarted - 1] == lines[restarted + 1]
    assert "cancelled" == workspace.stop("one")["outcome"]
    assert [] == workspace.traces(before)


def test_a_stopped_daemon_leaves_its_sessions(workspace: Workspace) -> None:
    """SIGTERM: exit status 0, no socket, the session's own processes live; a later daemon has it again."""
    first = workspace.daemon()
    before = workspace.start("tiny")
    processes = traces.marked(f"SESSIOND_TAG=sd-{before['id']}")
    first.signal(signal.SIGTERM)
    assert 0 == first.ended()
    assert not workspace.socket.exists()
    assert processes == traces.marked(f"SESSIOND_TAG=sd-{before['id']}")
    workspace.daemon()
    assert workspace.until(before["id"], "running")["url"] == before["url"]
    assert 1 == workspace.started()


def test_signals_that_come_at_once(workspace: Workspace) -> None:
    """As soon as the daemon says that it serves, SIGHUP is a reload, not its end, and SIGTERM ends it in order."""
    for _ in range(3):
        daemon = workspace.daemon()
        daemon.signal(signal.SIGHUP)
        assert daemon.pid == workspace.client.status()["pid"]
        daemon.signal(signal.SIGTERM)
        assert 0 == daemon.ended()
        at_once = workspace.daemon()
        at_once.signal(signal.SIGTERM)
        assert 0 == at_once.ended()
        assert not workspace.socket.exists()


def test_what_ended_while_no_daemon_ran_is_known_later(workspace: Workspace) -> None:
    """A service that ends by itself meanwhile has its true outcome after the restart, and leaves nothing."""
    first = workspace.daemon()
    session = workspace.start("tiny")
    first.kill()
    traces.end_marked(f"SESSIOND_TAG=sd-{session['id']}")
    workspace.daemon()
    ended = workspace.cleaned(session["id"])
    assert "failed" == ended["outcome"]
    assert "killed" in ended["phrase"]
    assert [] == workspace.traces(session, ended)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "TERM"])
def test_a_stop_survives_the_daemon(workspace: Workspace, number: int) -> None:
    """The daemon goes while a kill template is at work: the next one goes on stopping, and it runs only once."""
    first = workspace.daemon()
    session = workspace.start("slow")
    workspace.client.stop(session["id"])
    traces.until(lambda: workspace.killed() == 1, "the kill template did not begin")
    first.signal(number)
    first.ended()
    workspace.daemon()
    assert "cancelled" == workspace.cleaned(session["id"])["outcome"]
    assert 1 == workspace.killed()
    assert "its kill template is done" in workspace.ctl("logs", session["id"]).out
    assert [] == workspace.traces(session)


def test_a_second_daemon_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    """On the same state, and on the same socket: one sentence and a hint, status 1, and the first is undisturbed."""
    first = workspace.daemon()
    same_state = workspace.run_daemon(SESSIOND_SOCKET=str(workspace.root / "other.sock"))
    assert 1 == same_state.status
    sentence, hint = same_state.err.splitlines()
    assert sentence.startswith(f"sessiond: the state folder {workspace.state} is in use by another sessiond")
    assert f"pid {first.pid}" in sentence
    assert "SESSIOND_STATE_DIR" in hint
    assert not (workspace.root / "other.sock").exists()
    same_socket = workspace.run_daemon(SESSIOND_STATE_DIR=str(tmp_path / "state"))
    assert 1 == same_socket.status
    assert same_socket.err.splitlines() == [
        f"sessiond: another sessiond already answers at {workspace.socket}",
        "  use it, or set SESSIOND_SOCKET for this one",
    ]
    assert first.pid == workspace.client.status()["pid"]


def test_ten_commands_start_one_daemon(workspace: Workspace) -> None:
    """Ten `sessionctl ls` at once: each answers, one says that it started the daemon, one daemon runs."""
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda _: workspace.ctl("ls", "--json"), range(10)))
    assert [(0, [])] * 10 == [(one.status, json.loads(one.out)) for one in done]
    said = [one.err for one in done if one.err]
    assert 1 == len(said)
    pid = Client(workspace.socket).status()["pid"]
    assert said[0].startswith(f"sessiond was not running; started it (pid {pid}, log {workspace.state}/daemon.log)")
    daemons = [line for line in traces.marked(workspace.mark) if "-m sessiond" in line]
    assert [str(pid)] == [line.split()[0] for line in daemons]


def test_bytes_of_a_request_that_was_cut_off_start_nothing(workspace: Workspace) -> None:
    """A client that dies in the middle of its request leaves no session, and the daemon answers the next one."""
    workspace.daemon()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(workspace.socket))
        peer.sendall(b'POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n{"service": "ti')
    assert [] == workspace.client.sessions(all=True)
    assert "running" == workspace.start("tiny")["state"]
