"""A real daemon with little patience: a session that nobody uses is warned and ended, one that is used is not."""

from __future__ import annotations

import socket
import sys

from . import services
from .workspace import Workspace, fetch

QUIET = f'exec "{sys.executable}" -m http.server --bind 127.0.0.1 "${{servicePort}}"\n'
"""It waits on every connection for as long as its client says nothing."""
KILL = 'echo ran >> "${HOME}/killed"\n'
IDLE = ("[idle]", 'after = "5s"', 'warn = "4s"')


def test_a_session_that_nobody_uses_ends(workspace: Workspace) -> None:
    """In order: warned, in `ls`, `show` and the story; kept by a look at its page; then ended by its kill script."""
    workspace.configure(*IDLE)
    services.write(workspace.services / "quiet", QUIET, kill=KILL)
    workspace.daemon()
    session = workspace.start("quiet", name="lonely")
    warned = workspace.until_so("lonely", lambda one: one["idle_ends_by"] is not None or one["state"] == "ended")
    assert ("running", "attention") == (warned["state"], warned["severity"])
    assert warned["phrase"].startswith("running, but unused: it ends in ")
    assert "unused" in workspace.ctl("ls").out
    assert "unless used" in workspace.ctl("show", "lonely").out
    assert 200 == fetch(f"http://127.0.0.1:{session['open_port']}/")[0]
    kept = workspace.until_so("lonely", lambda one: one["idle_ends_by"] is None)
    assert "running" == kept["state"]
    ended = workspace.cleaned("lonely")
    assert ("idle", "ended: idle", "ok") == (ended["outcome"], ended["phrase"], ended["severity"])
    told = workspace.ctl("why", "lonely").out
    for words in ("unless somebody does", "it was used again", "it was idle for too long; its kill script runs"):
        assert words in told
    assert 1 == workspace.killed()
    assert [] == workspace.traces(ended)


def test_an_open_connection_keeps_it(workspace: Workspace) -> None:
    """However silent; and turning it off takes back what was announced."""
    workspace.configure(*IDLE)
    services.write(workspace.services / "quiet", QUIET, kill=KILL)
    workspace.daemon()
    session = workspace.start("quiet", name="watched")
    other = workspace.start("quiet", name="lonely")
    with socket.create_connection(("127.0.0.1", session["open_port"])):
        workspace.until("lonely", "ended")
        assert "running" == workspace.client.session("watched")["state"]
        assert None is workspace.client.session("watched")["idle_ends_by"]
    assert "idle" == workspace.client.session(other["id"])["outcome"]
    workspace.until_so("watched", lambda one: one["idle_ends_by"] is not None)
    workspace.configure()
    assert 0 == workspace.ctl("reload").status
    workspace.until_so("watched", lambda one: one["idle_ends_by"] is None)
    workspace.stop("watched")
