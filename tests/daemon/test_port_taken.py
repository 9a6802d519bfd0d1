"""A session's own port is the way to it: while another program has it, nothing of the session goes there."""

from __future__ import annotations

import socket

from .workspace import Workspace, fetch


def test_requests_never_reach_a_program_that_took_the_port(workspace: Workspace) -> None:
    """While the daemon is away a stranger takes the port: people are told, the stranger hears nothing."""
    daemon = workspace.daemon()
    session = workspace.start("tiny")
    assert session["url"] is not None
    daemon.kill()
    with socket.create_server(("127.0.0.1", session["open_port"])) as stranger:
        workspace.daemon()
        told = workspace.until_so(session["id"], lambda one: one["problem"] is not None)
        assert "tunnel" == told["state"]
        assert f"port {session['open_port']} is held by another program" in told["phrase"]
        assert 503 == fetch(session["url"])[0]
        stranger.settimeout(0)
        try:
            heard = stranger.accept()
        except BlockingIOError:
            heard = None
        assert heard is None
    again = workspace.until(session["id"], "running")
    assert session["url"] == again["url"]
    assert 200 == fetch(session["url"])[0]
    workspace.stop(session["id"])
