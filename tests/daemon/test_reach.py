"""A session's machine through a real daemon: streams, a shell, and an end that does not wait for them."""

from __future__ import annotations

import subprocess

from tests.daemon.workspace import Workspace, error_of, signal


def test_a_stream_to_a_session(shared: Workspace) -> None:
    """`sessionctl proxy` carries a request to the service itself and its answer back."""
    session = shared.start("tiny")
    done = subprocess.run(
        shared.ctl_argv("proxy", session["name"], str(session["service_port"])),
        input=b"GET / HTTP/1.0\r\n\r\n",
        env=shared.env,
        cwd=shared.root,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n")
    shared.stop(session["id"])


def test_a_shell_of_a_session(shared: Workspace) -> None:
    """`sessionctl ssh` on this machine is a shell in the session's folder; an ended session has none."""
    session = shared.start("tiny")
    done = shared.ctl("ssh", session["name"], "pwd")
    assert (0, session["folder"], "") == (done.status, done.out.strip(), done.err)
    refused = shared.ctl("extend", session["name"], "+1h", "--json")
    assert (6, "refused") == (refused.status, error_of(refused)["code"])
    shared.stop(session["id"])
    assert 6 == shared.ctl("ssh", session["id"], "pwd").status


def test_this_machine_is_in_order(shared: Workspace) -> None:
    """`sessionctl doctor local` finds nothing bad where sessions run."""
    done = shared.ctl("doctor", "local")
    assert (0, "") == (done.status, done.err), done.out
    assert "this machine" in done.out


def test_a_daemon_ends_in_spite_of_open_streams(workspace: Workspace) -> None:
    """And the stream's client is told its end."""
    daemon = workspace.daemon()
    session = workspace.start("tiny")
    port = session["service_port"]
    assert port is not None
    stream, _ = workspace.client.proxy(session["id"], port)
    with stream:
        daemon.signal(signal.SIGTERM)
        assert 0 == daemon.ended(20)
        assert b"" == stream.recv(1)
