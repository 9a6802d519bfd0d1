"""A gateway at another loopback address than the usual one, where other people's ports get none of its cookies."""

from __future__ import annotations

from urllib.parse import urlsplit

from .workspace import Workspace, fetch


def test_the_gateway_answers_at_the_address_that_was_configured(workspace: Workspace) -> None:
    """Its URLs lead there; no name below localhost does, so sessions have none, and the daemon says so."""
    workspace.configure("own_origins = true")
    workspace.config.write_text(workspace.config.read_text().replace('"127.0.0.1:', '"127.0.0.2:'))
    workspace.daemon()
    session = workspace.start("tiny", name="lab")
    where = urlsplit(str(session["url"]))
    assert ("127.0.0.2", f"/me/{session['open_port']}/") == (where.hostname, where.path)
    assert 200 == fetch(str(session["url"]))[0]
    why = "daemon.own_origins: has no effect: names below localhost do not lead to 127.0.0.2"
    assert [True] == [why in warning for warning in workspace.client.status()["warnings"]]
    link = urlsplit(workspace.client.dashboard()["url"])
    assert ("127.0.0.2", 200) == (link.hostname, fetch(f"http://{link.netloc}/")[0])
    workspace.stop("lab")
