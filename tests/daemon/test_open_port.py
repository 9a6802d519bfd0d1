"""Services that listen, or may listen, on the session's own port, as some existing folders do."""

from __future__ import annotations

from . import services
from .workspace import Workspace, fetch

ON_ANY = f'exec {services.SERVER} where "0.0.0.0:${{openPort}}"\n'
UNSURE = f'echo "not at ${{servicePort}}"\nexec {services.SERVER} where "127.0.0.1:${{openPort}}"\n'
OTHER = f'echo "at ${{servicePort}} for ${{openPort}}"\n{services.SERVER} where "127.0.0.1:${{servicePort}}"\n'


def test_a_service_that_knows_only_the_session_s_port(workspace: Workspace) -> None:
    """It gets it, at all addresses; the gateway goes to it, also with another daemon; a stop frees the port."""
    services.write(workspace.services / "only", ON_ANY)
    daemon = workspace.daemon()
    planned = workspace.client.plan({"service": "only"})["ports"]
    assert planned["openPort"] == planned["servicePort"]
    session = workspace.start("only")
    port = session["open_port"]
    assert port == session["service_port"]
    expected = (200, f"('0.0.0.0', {port})")
    for where in (str(session["url"]), f"http://127.0.0.1:{port}/"):
        assert expected == _where(where)
    daemon.kill()
    workspace.daemon()
    workspace.until("only", "running")
    assert 200 == fetch(str(workspace.client.session("only")["url"]))[0]
    workspace.stop("only")
    assert [] == workspace.traces(session)


def test_a_service_that_names_both_and_listens_on_the_session_s(workspace: Workspace) -> None:
    """The session finds out where it is."""
    services.write(workspace.services / "unsure", UNSURE)
    workspace.daemon()
    session = workspace.start("unsure")
    assert session["open_port"] == session["service_port"]
    assert (200, f"('127.0.0.1', {session['open_port']})") == _where(str(session["url"]))
    workspace.stop("unsure")
    assert [] == workspace.traces(session)


def test_a_service_that_names_both_and_listens_on_its_own(workspace: Workspace) -> None:
    """Once it answers, the session's port leads to it, as always; and again with another daemon."""
    services.write(workspace.services / "other", OTHER)
    daemon = workspace.daemon()
    session = workspace.start("other")
    expected = (200, f"('127.0.0.1', {session['service_port']})")
    assert session["open_port"] != session["service_port"]
    for _ in range(2):
        for where in (str(session["url"]), f"http://127.0.0.1:{session['open_port']}/"):
            assert expected == _where(where)
        daemon.kill()
        daemon = workspace.daemon()
        workspace.until("other", "running")
    workspace.stop("other")
    assert [] == workspace.traces(session)


def _where(url: str) -> tuple[int, str]:
    status, text = fetch(url)
    return status, text.rpartition(" at ")[2]
